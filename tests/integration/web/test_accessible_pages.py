"""Every page passes axe-core, in light and dark, wide and narrow, and fits a screen of 320 pixels."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from support.browser import large_font_browser, signed_in_visitor
from support.models import gguf

from flowhub_jobs.database.engine import writing
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.jobs.wire_minutes import add_to_minute
from flowhub_jobs.operations.schedules import set_schedule

# The whole of what axe reports takes longer to bring here than to find.
VIOLATIONS = """() => axe.run({resultTypes: ["violations"]})
    .then(found => found.violations.map(one => [one.id, one.nodes[0].html]))"""
# By how many pixels a page is wider than its screen. A chart follows the width of its box a frame later.
OVERFLOW = """async () => {
    const root = document.documentElement
    for (let frame = 0; frame < 60 && root.scrollWidth > root.clientWidth; frame++)
        await new Promise(requestAnimationFrame)
    return root.scrollWidth - root.clientWidth
}"""


@pytest.fixture
def paths(app, origin):
    """The address of each page, with something on it."""
    with writing(app.home.engine) as tx:
        add_to_minute(tx, app.home.node, app.home.clock.now_us(), 10**9)
    set_schedule(app.session, Schedule.parse("23:00-07:00", "mon-fri", "500K"))
    first = app.enqueue("a@q4")
    app.session.requeue(first, "start")
    app.run_next_job()
    failed = app.enqueue("b@q4")
    origin.serve("b.gguf", gguf(8192, 9))  # the error has two digests: words that no narrow screen has room for
    app.session.requeue(failed, "start")
    app.run_next_job()
    app.enqueue(origin.url("a.gguf"))
    tabs = ["/queue", "/discover?tag=x", "/discover", "/installed", "/schedule", "/machine"]
    return [*tabs, f"/jobs/{first}", f"/jobs/{failed}", "/models/a", "/installed/a.gguf/remove", "/jobs/99"]


def pages(visitor, paths, widths):
    """Yield each page at each width; it is loaded once, and all in one tab: to make one takes longer than to load."""
    page = visitor.open(paths[0])
    for path in paths:
        page.goto(visitor.web.serving.base + path)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 800})
            yield page, path, width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser, web, paths, scheme):
    with signed_in_visitor(browser, web, color_scheme=scheme) as visitor:
        for page, path, width in pages(visitor, paths, [1280, 390]):
            page.evaluate(Axe().axe_script)
            assert page.evaluate(VIOLATIONS) == [], (path, width)


def test_no_page_is_wider_than_its_screen(browser, web, paths):
    with signed_in_visitor(browser, web, viewport={"width": 320, "height": 800}) as visitor:
        for page, path, width in pages(visitor, paths, [320, 390, 820, 1100, 1280, 320]):
            assert page.evaluate(OVERFLOW) <= 0, (path, width)


def test_pages_fit_a_phone_whose_letters_are_twice_as_large(browser, web, paths):
    with large_font_browser(browser) as another, signed_in_visitor(another, web) as visitor:
        for page, path, width in pages(visitor, paths, [390, 1024]):
            assert page.evaluate(OVERFLOW) <= 0, (path, width)


def test_nothing_moves_for_one_who_asked_for_less_motion(browser, web):
    with signed_in_visitor(browser, web, reduced_motion="reduce") as visitor:
        page = visitor.open("/queue")
        assert page.evaluate("getComputedStyle(document.querySelector('.tabs a')).transitionDuration") == "0s"
