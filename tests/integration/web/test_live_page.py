"""Pages in a real browser as the queue moves: live figures, focus and text that stay, a connection that is lost."""

import re

import pytest
from playwright.sync_api import expect
from support.browser import signed_in_visitor
from support.web import web_server

from flowhub_jobs.operations.queue_moves import in_turn
from flowhub_jobs.values.enums import QueueOrder, State

pytestmark = pytest.mark.timeout(300)


def test_a_job_appears_runs_and_ends_without_a_reload(visitor, app):
    page = visitor.open("/queue")
    page.evaluate("window.stayed = true")
    job = app.enqueue("a@q4")
    expect(page.locator(f".waits #job-{job}")).to_be_visible()
    app.run_next_job()
    expect(page.locator(f".ends #job-{job}")).to_contain_text("Completed")
    expect(page.locator("#told")).to_have_text("a@q4 is completed.")
    assert page.evaluate("window.stayed")


def test_every_tab_has_a_bar_that_moves(visitor, app):
    pages = [visitor.open(path) for path in ("/discover", "/installed", "/schedule", "/machine")]
    app.enqueue("a@q4")
    for page in pages:
        expect(page.locator("#bar .more").first).to_have_text(re.compile(r"1\s*waiting"))


def test_seven_tabs_share_one_stream_which_another_takes_over(visitor, app):
    pages = [visitor.open("/queue") for _ in range(7)]
    job = app.enqueue("a@q4")
    for page in pages:
        expect(page.locator(f"#job-{job}")).to_be_visible()
    [stream] = visitor.streams
    leader = stream.frame.page
    leader.close()
    pages.remove(leader)
    other = app.enqueue("b@q4")
    for page in pages:
        expect(page.locator(f"#job-{other}")).to_be_visible()
    assert len(visitor.streams) == 2


def test_typed_text_focus_and_selection_stay(visitor, app):
    page = visitor.open("/queue")
    box = page.get_by_label("Model, reference or link")
    box.fill("half a word")
    box.evaluate("box => box.setSelectionRange(5, 6)")
    job = app.enqueue("a@q4")
    expect(page.locator(f"#job-{job}")).to_be_visible()
    expect(box).to_be_focused()
    expect(box).to_have_value("half a word")
    assert box.evaluate("box => [box.selectionStart, box.selectionEnd]") == [5, 6]


def test_a_button_works_in_place_and_keeps_the_focus_near(visitor, app):
    job = app.enqueue("a@q4")
    page = visitor.open("/queue")
    page.evaluate("window.stayed = true")
    page.locator(f"#job-{job}").get_by_role("button", name="Pause").press("Enter")
    expect(page.locator(".notice")).to_have_text("A is paused.")
    assert app.job(job).state is State.PAUSED
    assert page.evaluate("window.stayed")
    page.wait_for_function("document.activeElement !== document.body")


def test_a_form_that_waits_for_its_answer_shows_it_and_is_sent_once(visitor, app):
    page, held = visitor.open("/queue"), []
    page.route("**/queue", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    box, form = page.get_by_label("Model, reference or link"), page.locator("form.add")
    box.fill("b@q4")
    box.press("Enter")
    expect(form).to_have_attribute("aria-busy", "true")
    job = app.enqueue("a@q4")
    expect(page.locator(f"#job-{job}")).to_be_visible()  # a refresh in the meantime leaves the form as it is
    expect(form).to_have_attribute("aria-busy", "true")
    box.press("Enter")
    held.pop().continue_()
    expect(page.locator(".notice")).to_have_text("B is queued.")
    expect(form).not_to_have_attribute("aria-busy", "true")
    assert held == []


def test_an_error_is_shown_in_place_with_a_way_back(visitor, app):
    page = visitor.open("/queue")
    page.get_by_label("Model, reference or link").fill("no-such-model")
    page.get_by_label("Model, reference or link").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("no-such-model")
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    visitor.console_errors.clear()  # the console names the status


def test_filters_apply_as_they_change_and_the_address_follows(visitor):
    page = visitor.open("/discover")
    page.get_by_role("searchbox").press_sequentially("b")
    expect(page.locator(".found")).to_contain_text("1 of 2 models")
    expect(page.get_by_role("searchbox")).to_be_focused()
    assert "q=b" in page.url
    page.reload()
    expect(page.locator(".found")).to_contain_text("1 of 2 models")


def test_a_chosen_variant_changes_the_command(visitor, app):
    page = visitor.open("/models/a")
    page.get_by_label("Choose q4").uncheck()
    page.get_by_label("Choose q4").check()
    expect(page.locator(".command code")).to_have_text("flowhub enqueue a@q4")


def test_a_drag_paints_the_week(visitor, app):
    page = visitor.open("/schedule")
    start, end = page.get_by_label("Tue 12:00, runs"), page.get_by_label("Tue 14:00, runs")
    start.hover()
    page.mouse.down()
    page.get_by_label("Tue 13:00, runs").hover()
    end.hover()
    page.mouse.up()
    assert page.locator(".cell input:checked").count() == 3
    page.get_by_role("button", name="Paused").click()
    expect(page.get_by_label("Tue 13:00, paused")).to_be_visible()


def test_a_lost_connection_says_so_and_comes_back(browser, app):
    with web_server(app.settings) as web, signed_in_visitor(browser, web) as visitor:
        page = visitor.open("/queue")
        expect(page.locator("#lost")).to_be_hidden()
        port = int(web.serving.base.rpartition(":")[2])
        web.stop()
        expect(page.locator("#lost")).to_contain_text("Connection lost at")
        job = app.enqueue("a@q4")
        with web_server(app.settings, port=port):
            expect(page.locator("#lost")).to_be_hidden()
            expect(page.locator(f"#job-{job}")).to_be_visible()


def test_arrow_keys_move_over_the_week(visitor):
    page = visitor.open("/schedule")
    page.get_by_label("Tue 12:00, runs").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Tue 13:00, runs")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_label("Wed 13:00, runs")).to_be_checked()


def test_a_change_during_a_press_is_shown_after_it(visitor, app):
    page = visitor.open("/queue")
    page.get_by_role("heading", name="Queue").hover()
    page.mouse.down()
    job = app.enqueue("a@q4")
    page.mouse.up()
    expect(page.locator(f"#job-{job}")).to_be_visible()


@pytest.fixture
def four(app, origin):
    """Four waiting jobs, in this order."""
    jobs = [app.enqueue(ref) for ref in ("a@q4", "b@q4", origin.url("a.gguf"), origin.url("b.gguf"))]
    assert len(set(jobs)) == 4
    return jobs


def rows_are(page, jobs):
    for place, job in enumerate(jobs):
        expect(page.locator(".waits tbody tr").nth(place)).to_have_id(f"job-{job}")


def test_a_waiting_job_is_dragged_to_another_place(visitor, app, four):
    first, second, third, last = four
    page = visitor.open("/queue")
    rows_are(page, four)
    page.locator(f"#grip-{last}").hover()
    page.mouse.down()
    box = page.locator(f"#job-{second}").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 4, steps=4)
    expect(page.locator(f"#job-{second}")).to_have_class("land-before")
    page.mouse.up()
    rows_are(page, [first, last, second, third])
    expect(page.locator(".notice")).to_contain_text("was moved in the queue")
    assert [job.id for job in in_turn(app.home.queries.all(), QueueOrder.OLDEST_FIRST)] == [first, last, second, third]

    page.locator(f"#grip-{first}").hover()
    page.mouse.down()
    box = page.locator(f"#job-{third}").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] + 40, steps=4)
    page.mouse.up()
    rows_are(page, [last, second, third, first])


def test_a_drag_that_is_given_up_moves_nothing(visitor, app, four):
    page = visitor.open("/queue")
    page.locator(f"#grip-{four[3]}").hover()
    page.mouse.down()
    page.locator(f"#job-{four[0]}").hover()
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(page.locator(".land-before, .dragged")).to_have_count(0)
    assert [job.id for job in in_turn(app.home.queries.all(), QueueOrder.OLDEST_FIRST)] == four


def test_arrow_keys_move_a_waiting_job_and_keep_the_focus(visitor, app, four):
    first, second, third, last = four
    page = visitor.open("/queue")
    page.locator(f"#grip-{first}").focus()
    page.keyboard.press("ArrowDown")
    rows_are(page, [second, first, third, last])
    expect(page.locator(f"#grip-{first}")).to_be_focused()
    page.keyboard.press("ArrowUp")
    rows_are(page, four)
    page.keyboard.press("ArrowUp")
    assert [job.id for job in in_turn(app.home.queries.all(), QueueOrder.OLDEST_FIRST)] == four
