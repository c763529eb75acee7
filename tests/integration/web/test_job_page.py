"""A job's page in a real browser: why it does not move, its pieces, attempts, events, files."""

from playwright.sync_api import expect

from flowhub_jobs.pieces.ranges import Ranges
from flowhub_jobs.transfer.partial.journal import FileRecord, Journal, Record
from flowhub_jobs.values.enums import State


def test_a_waiting_job_says_why_and_what_can_be_done(visitor_without_javascript, app):
    job = app.enqueue("a@q4")
    page = visitor_without_javascript.open(f"/jobs/{job}")
    expect(page.get_by_role("heading", level=1)).to_have_text("A")
    expect(page.locator("main")).to_contain_text("No worker is running")
    expect(page.locator("code", has_text="flowhub worker").first).to_be_visible()
    page.get_by_role("button", name="Pause A", exact=True).click()
    expect(page.locator(".notice")).to_have_text("A is paused.")
    assert page.url.startswith(f"{visitor_without_javascript.web.serving.base}/jobs/{job}")
    assert app.job(job).state is State.PAUSED


def test_a_completed_job_shows_its_history_files_and_place(visitor_without_javascript, app, origin):
    job = app.enqueue("a@q4")
    app.run_next_job()
    page = visitor_without_javascript.open(f"/jobs/{job}")
    expect(page.locator("main")).to_contain_text("It is installed:")
    expect(page.locator(".log")).to_contain_text("Queued")
    expect(page.get_by_role("table").first).to_contain_text("completed")
    [file] = app.job(job).files
    expect(page.locator(".files")).to_contain_text(file.sha256)
    expect(page.locator(".pairs")).to_contain_text(str(app.store / "a.gguf"))
    expect(page.locator(".pairs")).to_contain_text(f"{origin.address.removeprefix('http://')} 4.1 KB")
    assert page.get_by_role("button", name="Retry").count() == 0


def test_a_failed_job_shows_its_error_and_its_remedy(visitor_without_javascript, app, origin):
    origin.serve("a.gguf", b"<html>sign in</html>" * 400)
    job = app.enqueue("a@q4")
    app.run_next_job()
    page = visitor_without_javascript.open(f"/jobs/{job}")
    expect(page.locator("main")).to_contain_text(app.job(job).error["message"][:40])
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".notice")).to_contain_text("is queued again")
    assert app.job(job).state is State.QUEUED


def test_a_number_that_is_none_is_answered(web):
    browser = web.sign_in()
    assert browser.get("/jobs/99", headers={"Accept": "text/html"}).status_code == 404
    assert browser.get("/jobs/x", headers={"Accept": "text/html"}).status_code == 422


def test_an_event_arrives_while_one_looks(visitor, app):
    job = app.enqueue("a@q4")
    page = visitor.open(f"/jobs/{job}")
    app.home.commands.set_priority(job, 7)
    expect(page.locator(".log")).to_contain_text("priority is 7")


def test_what_is_kept_is_a_strip_with_the_same_in_words(visitor_without_javascript, app):
    job = app.enqueue("a@q4")
    partial = app.partial("a@q4")
    partial.mkdir(parents=True)
    kept = Ranges([(0, 1024), (3072, 4096)])
    Journal(partial, Record({"a.gguf": FileRecord("0", 4096, kept=kept, frontier=1024)})).close()
    page = visitor_without_javascript.open(f"/jobs/{job}")
    expect(page.get_by_role("img", name="2.0 KB of 4.1 KB on disk, 1.0 KB hashed")).to_be_visible()
    assert page.locator(".pieces .whole").count() == 60
    assert page.locator(".pieces .none").count() == 60
