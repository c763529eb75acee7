"""Every page passes axe-core, in light and dark, wide and narrow, and fits a screen of 320 pixels."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from support.browser import visiting

from flowhub_jobs.database.engine import writing
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.jobs.wire_minutes import add_to_minute
from flowhub_jobs.operations.schedules import set_schedule

LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


@pytest.fixture
def paths(shop, origin):
    """The address of each page, with something on it."""
    with writing(shop.home.engine) as tx:
        add_to_minute(tx, shop.home.node, shop.home.clock.now_us(), 10**9)
    set_schedule(shop.session, Schedule.parse("23:00-07:00", "mon-fri", "500K"))
    first = shop.enqueue("a@q4")
    shop.session.again(first, "start")
    shop.work_here()
    failed = shop.enqueue("b@q4")
    origin.serve("b.gguf", b"<html>sign in</html>" * 400)
    shop.session.again(failed, "start")
    shop.work_here()
    shop.enqueue(origin.url("a.gguf"))
    tabs = ["/queue", "/discover?tag=x", "/discover", "/installed", "/schedule", "/machine"]
    return [*tabs, f"/jobs/{first}", f"/jobs/{failed}", "/models/a", "/installed/a.gguf/remove", "/jobs/99"]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_axe_finds_nothing(browser, web, paths, scheme, width):
    with visiting(browser, web, color_scheme=scheme, viewport={"width": width, "height": 800}) as visitor:
        for path in paths:
            found = Axe().run(visitor.open(path)).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], path


@pytest.mark.parametrize("width", [320, 390, 820, 1100, 1280])
def test_no_page_is_wider_than_its_screen(browser, web, paths, width):
    with visiting(browser, web, viewport={"width": width, "height": 800}) as visitor:
        for path in paths:
            page = visitor.open(path)
            over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert over <= 0, path


def test_nothing_moves_for_one_who_asked_for_less_motion(browser, web):
    with visiting(browser, web, reduced_motion="reduce") as visitor:
        page = visitor.open("/queue")
        assert page.evaluate("getComputedStyle(document.querySelector('.tabs a')).transitionDuration") == "0s"
