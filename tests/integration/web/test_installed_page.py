"""The tab Installed in a real browser: the disk, the list, verify, repair and remove."""

import re

import pytest
from playwright.sync_api import expect

from flowhub_jobs.values.enums import JobKind, State


@pytest.fixture
def installed(app):
    """Both models of the catalog, installed."""
    for name in ("a", "b"):
        job = app.enqueue(f"{name}@q4")
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED


def row(page, name):
    return page.locator(".inst tbody tr", has_text=name)


def test_nothing_installed_says_what_to_do(visitor_without_javascript):
    page = visitor_without_javascript.open("/installed")
    page.get_by_role("link", name="Find a model").click()
    assert page.url.endswith("/discover")


def test_the_disk_is_a_picture_with_the_same_in_words(visitor_without_javascript, app, installed):
    page = visitor_without_javascript.open("/installed")
    words = page.get_by_role("img", name="Disk of").get_attribute("aria-label") or ""
    assert "models 12.3 KB" in words
    assert "free" in words
    expect(page.locator(".legend")).to_contain_text("2 installed")


def test_the_list_is_sorted_by_the_head_that_is_pressed(visitor_without_javascript, installed):
    page = visitor_without_javascript.open("/installed")
    assert page.locator(".inst .name").all_text_contents() == ["B", "A"]
    page.get_by_role("link", name="Model").click()
    expect(page.locator(".inst .name")).to_have_text(["A", "B"])
    expect(page.get_by_role("columnheader", name="Model")).to_have_attribute("aria-sort", "ascending")


def test_verify_queues_a_job_which_the_list_shows(visitor_without_javascript, app, installed):
    page = visitor_without_javascript.open("/installed")
    row(page, "a.gguf").get_by_role("button", name="Verify").click()
    expect(page.locator(".notice")).to_contain_text("will be verified")
    expect(row(page, "a.gguf")).to_contain_text("Verify is queued")
    assert [job.kind for job in app.home.queries.all(live=True)] == [JobKind.VERIFY]


def test_a_damaged_model_is_repaired(visitor_without_javascript, app, installed):
    model = app.store / "a.gguf"
    damaged = bytearray(model.read_bytes())
    damaged[2000] ^= 1
    model.write_bytes(bytes(damaged))
    page = visitor_without_javascript.open("/installed")
    expect(row(page, "a.gguf")).to_contain_text("Changed by hand")
    row(page, "a.gguf").get_by_role("button", name="Verify").click()
    expect(page.locator(".notice")).to_be_visible()
    app.run_next_job()
    page.goto(page.url)
    row(page, "a.gguf").get_by_role("button", name="Repair").click()
    expect(page.locator(".notice")).to_contain_text("will be repaired")
    app.run_next_job()
    page.goto(page.url)
    expect(row(page, "a.gguf")).to_contain_text("Verified")


def test_remove_asks_on_a_page_of_its_own_and_says_what_it_frees(visitor_without_javascript, app, installed):
    page = visitor_without_javascript.open("/installed")
    row(page, "a.gguf").get_by_role("link", name="Remove").click()
    expect(page.get_by_role("heading", name="Remove a.gguf?")).to_be_visible()
    expect(page.locator("main")).to_contain_text("This frees 4.1 KB.")
    page.get_by_role("link", name="Keep").click()
    assert (app.store / "a.gguf").exists()
    row(page, "a.gguf").get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove, free 4.1 KB").click()
    expect(page.locator(".notice")).to_have_text("The model is removed.")
    assert not (app.store / "a.gguf").exists()
    assert page.locator(".inst .name").all_text_contents() == ["B"]


def test_what_was_removed_by_hand_is_forgotten(visitor_without_javascript, app, installed):
    (app.store / "a.gguf").unlink()
    page = visitor_without_javascript.open("/installed")
    page.get_by_role("link", name="Forget a.gguf").click()
    page.get_by_role("button", name="Forget").click()
    expect(page.locator(".notice")).to_have_text("The entry is forgotten.")
    assert [entry.name for entry in app.home.entries.entries()] == ["b.gguf"]


def test_a_name_with_signs_of_an_address_can_be_removed(visitor_without_javascript, app):
    name = "my model 100% & #1 ü.gguf"
    app.home.open_store()
    (app.store / name).write_bytes(b"GGUF")
    page = visitor_without_javascript.open("/installed")
    page.get_by_role("link", name="Remove").click()
    expect(page.get_by_role("heading")).to_have_text(f"Remove {name}?")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator(".notice")).to_be_visible()
    assert not (app.store / name).exists()


def test_a_name_that_is_not_there_is_answered_404(web, installed):
    answer = web.sign_in().get("/installed/nothing.gguf/remove", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "is not installed" in answer.text


def test_a_name_that_no_command_takes_has_no_actions(visitor_without_javascript, app):
    app.home.open_store()
    (app.store / "<b>bold.gguf").write_bytes(b"GGUF")
    line = row(visitor_without_javascript.open("/installed"), "<b>bold.gguf")
    expect(line).to_be_visible()
    assert line.get_by_role("link").count() + line.get_by_role("button").count() == 0


def test_it_shows_where_a_model_is_placed_and_removes_it_there_too(
    visitor_without_javascript, app, installed, tmp_path
):
    page = visitor_without_javascript.open("/installed")
    assert page.locator(".placed").count() == 0
    folder = tmp_path / "elsewhere"
    app.home.placements.place("a.gguf", f"dir:{folder}")
    page.reload()
    expect(page.locator(".inst tbody tr", has_text="a.gguf").locator(".placed")).to_have_text(f"placed in {folder}")
    assert [path.name for path in folder.iterdir()] == ["a.gguf"]
    page.locator(".inst tbody tr", has_text="a.gguf").get_by_role("link", name="Remove").click()
    expect(page.locator("main")).to_contain_text(f"also removed from {folder}")
    page.get_by_role("button", name=re.compile("^Remove")).click()
    expect(page.locator(".notice")).to_have_text("The model is removed.")
    assert list(folder.iterdir()) == []
