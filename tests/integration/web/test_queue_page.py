"""The tab Queue in a real browser, with and without JavaScript."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect
from support.problems import assert_problem

from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.operations.limits import set_limit
from flowhub_jobs.operations.queue_moves import in_turn, move_before
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.enums import QueueOrder, State


@pytest.fixture
def window(visitor_without_javascript):
    return visitor_without_javascript


def press(page: Page, row: str, button: str) -> None:
    page.locator(row).get_by_role("button", name=re.compile(f"^{button}")).click()


def test_the_root_leads_to_the_queue_which_says_what_to_do(visitor):
    page = visitor.open("/")
    assert page.url.endswith("/queue")
    assert page.title() == "Queue · flowhub"


def test_a_typed_reference_is_queued(window, app):
    page = window.open("/queue")
    page.get_by_label("Model, reference or link").fill("a@q4")
    page.get_by_role("button", name="Queue", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("A is queued.")
    [job] = app.home.queries.all()
    assert (job.ref, job.state) == ("a@q4", State.QUEUED)
    expect(page.locator(f"#job-{job.id}")).to_contain_text("A worker is about to take it")


def test_a_wrong_reference_is_answered_with_the_nearest_and_a_way_back(window, app):
    page = window.open("/queue")
    page.get_by_label("Model, reference or link").fill("aa")
    page.get_by_role("button", name="Queue", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("aa")
    page.get_by_role("link", name="Back").click()
    assert page.url.endswith("/queue")
    assert app.home.queries.all() == []


def test_buttons_pause_resume_cancel_and_retry_a_job(window, app):
    job = app.enqueue("a@q4")
    page, row = window.open("/queue"), f"#job-{job}"
    for button, state in [
        ("Pause", State.PAUSED),
        ("Resume", State.QUEUED),
        ("Cancel", State.CANCELLED),
        ("Retry", State.QUEUED),
    ]:
        press(page, row, button)
        expect(page.get_by_role("status").first).to_contain_text("A is")
        assert app.job(job).state is state


def test_to_the_top_puts_a_job_before_all_others(window, app):
    first, second = app.enqueue("a@q4"), app.enqueue("b@q4")
    page = window.open("/queue")
    press(page, f"#job-{second}", "To the top")
    rows = page.locator(".waits tbody tr")
    expect(rows.first).to_have_id(f"job-{second}")
    assert app.job(second).priority > app.job(first).priority


def test_pause_all_and_resume_all_are_on_every_page(window, app):
    job = app.enqueue("a@q4")
    page = window.open("/queue")
    page.get_by_role("button", name="Pause all").click()
    expect(page.get_by_role("status").first).to_have_text("All jobs are paused.")
    assert app.job(job).state is State.PAUSED
    page.get_by_role("button", name="Resume all").click()
    expect(page.get_by_role("status").first).to_have_text("All paused jobs are queued again.")
    assert app.job(job).state is State.QUEUED


def test_a_failed_job_says_what_is_wrong_and_what_to_do(window, app, origin):
    origin.serve("a.gguf", b"<html>sign in</html>" * 400)
    job = app.enqueue("a@q4")
    app.run_next_job()
    assert app.job(job).state is State.FAILED
    page = window.open("/queue")
    expect(page.get_by_role("link", name="1 needs you")).to_be_visible()
    row = page.locator(f"#job-{job}")
    expect(row).to_contain_text(app.job(job).error["message"][:40])
    expect(row.locator("code").first).to_contain_text("flowhub")
    press(page, f"#job-{job}", "Retry")
    expect(page.get_by_role("status").first).to_contain_text("A is queued again")
    assert app.job(job).state is State.QUEUED


def test_a_missing_worker_and_a_limit_are_said_above_the_jobs(window, app):
    app.enqueue("a")
    set_limit(app.session, "5M")
    page = window.open("/queue")
    expect(page.locator(".hint").first).to_contain_text("No worker is running")
    expect(page.locator(".hint").nth(1)).to_contain_text("All jobs together are limited to 5.0 MB/s")


def test_a_completed_job_is_in_the_record(window, app):
    job = app.enqueue("a@q4")
    app.run_next_job()
    expect(window.open("/queue").locator(f"#job-{job}")).to_contain_text("Completed")


def test_a_form_without_the_page_token_is_refused(web, app):
    job = app.enqueue("a@q4")
    answer = web.sign_in().post(f"/jobs/{job}", data={"do": "cancel"}, headers={"Accept": "text/html"})
    assert answer.status_code == 403
    assert app.job(job).state is State.QUEUED


@pytest.mark.parametrize("before", ["x", "99", "-1", "1" * 20])
def test_a_place_that_is_none_is_answered(web, app, before):
    job, browser = app.enqueue("a@q4"), web.sign_in()
    form = {"do": "move", "before": before, "page_token": web.page_token(browser)}
    assert_problem(browser.post(f"/jobs/{job}", data=form), 422, "usage")


def test_a_job_that_does_not_start_in_its_turn_is_not_moved(web, app):
    job, browser = app.enqueue("a@q4"), web.sign_in()
    app.session.pause(job)
    form = {"do": "move", "before": "", "page_token": web.page_token(browser)}
    assert_problem(browser.post(f"/jobs/{job}", data=form), 422, "usage")
    assert app.job(job).priority == 0


@pytest.mark.parametrize("order", QueueOrder)
def test_a_moved_job_is_claimed_at_its_new_place_in_every_order(app, origin, order):
    session = Session(replace(app.home, settings=replace(app.settings, queue_order=str(order))))
    jobs = [app.enqueue(ref) for ref in ("b@q4", "a@q4", origin.url("a.gguf"), origin.url("b.gguf"))]
    now = [job.id for job in in_turn(app.home.queries.jobs(jobs), order)]
    move_before(session, now[3], now[1])
    leases = LeaseStore(app.home.engine, app.home.node, "w-order", app.home.clock, order)
    claimed = [leases.claim() for _ in jobs]
    assert [one.lease.job for one in claimed] == [now[0], now[3], now[1], now[2]]
