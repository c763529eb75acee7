"""The tab Machine in a real browser: last night, the machine, its workers."""

from playwright.sync_api import expect


def test_it_says_what_was_detected_and_how(plain_visitor, shop):
    page = plain_visitor.open("/machine")
    table = page.get_by_role("table").first
    for what in ("System", "Processor", "Memory", "Store"):
        expect(table.get_by_role("row", name=what)).to_be_visible()
    expect(table).to_contain_text(str(shop.store))
    expect(table).to_contain_text("statvfs of the store's folder")


def test_without_a_worker_it_says_how_to_start_one(plain_visitor):
    page = plain_visitor.open("/machine")
    expect(page.get_by_text("No worker is running")).to_be_visible()
    expect(page.locator("code", has_text="flowhub worker install").first).to_be_visible()


def test_a_worker_shows_its_heartbeat_and_slots(plain_visitor, shop):
    worker = shop.worker("--jobs", "2")
    shop.until(shop.home.living_workers, "a worker")
    page = plain_visitor.open("/machine")
    expect(page.get_by_text(f"Process {worker.pid}")).to_be_visible()
    expect(page.locator(".pairs").first).to_contain_text("0 of 2 taken")
    expect(page.locator(".pairs").first).to_contain_text("ago")


def test_last_night_counts_what_was_completed(plain_visitor, shop):
    shop.enqueue("a@q4")
    shop.work_here()
    page = plain_visitor.open("/machine")
    expect(page.locator(".figures")).to_contain_text("1 model")
    expect(page.locator(".figures")).to_contain_text("4.1 KB")
    expect(page.locator(".night")).to_contain_text("A")


def test_last_night_says_what_needs_the_user(plain_visitor, shop, origin):
    origin.serve("a.gguf", b"<html>sign in</html>" * 400)
    shop.enqueue("a@q4")
    shop.work_here()
    page = plain_visitor.open("/machine")
    expect(page.locator(".lines")).to_contain_text("a@q4")
    expect(page.locator(".lines code").first).to_contain_text("flowhub")


def test_look_again_probes_the_machine_anew(plain_visitor):
    page = plain_visitor.open("/machine")
    page.get_by_role("button", name="Look again").click()
    expect(page.locator(".notice")).to_have_text("This machine was looked at again.")
