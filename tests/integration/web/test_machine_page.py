"""The tab Machine in a real browser: last night, the machine, its workers."""

import json
import re

import pytest
from playwright.sync_api import expect

from flowhub_jobs.database.engine import writing
from flowhub_jobs.jobs.wire_minutes import MINUTE_US, add_to_minute


@pytest.fixture
def received(app):
    """Some minutes of this node in which bytes came."""
    now = app.home.clock.now_us()
    with writing(app.home.engine) as tx:
        for ago in (30, 20, 10):
            add_to_minute(tx, app.home.node, now - ago * MINUTE_US, 60_000_000 * ago)


def test_it_says_what_was_detected_and_how(visitor_without_javascript, app):
    page = visitor_without_javascript.open("/machine")
    table = page.get_by_role("table").first
    for what in ("System", "Processor", "Memory", "Store"):
        expect(table.get_by_role("row", name=what)).to_be_visible()
    expect(table).to_contain_text(str(app.store))
    expect(table).to_contain_text("statvfs of the store's folder")


def test_without_a_worker_it_says_how_to_start_one(visitor_without_javascript):
    page = visitor_without_javascript.open("/machine")
    expect(page.get_by_text("No worker is running")).to_be_visible()
    expect(page.locator("code", has_text="flowhub worker install").first).to_be_visible()


def test_a_worker_shows_its_heartbeat_and_slots(visitor_without_javascript, app):
    worker = app.start_worker("--jobs", "2")
    app.until(app.home.living_workers, "a worker")
    page = visitor_without_javascript.open("/machine")
    expect(page.get_by_text(f"Process {worker.pid}")).to_be_visible()
    expect(page.locator(".pairs").first).to_contain_text("0 of 2 taken")
    expect(page.locator(".pairs").first).to_contain_text("ago")


def test_last_night_counts_what_was_completed(visitor_without_javascript, app):
    app.enqueue("a@q4")
    app.run_next_job()
    page = visitor_without_javascript.open("/machine")
    expect(page.locator(".figures")).to_contain_text("1 model")
    expect(page.locator(".figures")).to_contain_text("4.1 KB")
    expect(page.locator(".night")).to_contain_text("A")


def test_last_night_says_what_needs_the_user(visitor_without_javascript, app, origin):
    origin.serve("a.gguf", b"<html>sign in</html>" * 400)
    app.enqueue("a@q4")
    app.run_next_job()
    page = visitor_without_javascript.open("/machine")
    expect(page.locator(".lines")).to_contain_text("a@q4")
    expect(page.locator(".lines code").first).to_contain_text("flowhub")


def test_look_again_probes_the_machine_again(visitor_without_javascript):
    page = visitor_without_javascript.open("/machine")
    page.get_by_role("button", name="Look again").click()
    expect(page.locator(".notice")).to_have_text("The hardware information was refreshed.")


def test_the_speed_of_the_night_is_a_chart_with_the_same_in_words(visitor, received):
    page = visitor.open("/machine")
    expect(page.locator("#readout")).to_contain_text(re.compile(r"Fastest minute \d+\.\d MB/s at "))
    canvas = page.locator("#plot canvas")
    expect(canvas).to_be_visible()
    expect(page.locator("#speed > svg")).to_be_hidden()
    page.locator("#plot .u-over").hover()
    expect(page.locator("#readout")).to_contain_text(re.compile(r"^\d\d:\d\d: "))
    page.get_by_role("heading", name="Machine").hover()
    expect(page.locator("#readout")).to_contain_text("Fastest")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 320, "height": 700})
    expect(canvas).to_be_visible()
    # The chart follows the width of its box a frame later.
    page.wait_for_function("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_without_javascript_the_speed_is_drawn_by_the_server(visitor_without_javascript, received):
    page = visitor_without_javascript.open("/machine")
    expect(page.locator("#speed > svg polyline")).to_be_visible()
    expect(page.locator("#readout")).to_contain_text("Fastest")


def test_a_night_in_which_nothing_came_has_no_chart(visitor_without_javascript):
    page = visitor_without_javascript.open("/machine")
    expect(page.get_by_role("heading", name="Last night")).to_be_visible()
    assert page.locator("#speed").count() == 0


def test_a_workers_download_is_in_the_speed_of_the_night(visitor_without_javascript, app):
    app.enqueue("b@q4")
    app.start_worker("--drain").wait(60)
    page = visitor_without_javascript.open("/machine")
    told = json.loads(page.locator("#speed").get_attribute("data-speed"))
    assert sum(told["rates"]) > 0


def test_what_is_followed_is_listed_with_its_next_check(visitor_without_javascript, app, api_client, cli):
    assert cli("follow", "a", "--every", "12h").status == 0
    assert api_client.get("/api/v1/subscriptions").json() == cli("follow", "--list", "--json").json
    page = visitor_without_javascript.open("/machine")
    row = page.locator("table.followed").get_by_role("row", name="a@q4")
    expect(row).to_contain_text("every 12 h")
    expect(row.get_by_role("link", name="a@q4")).to_have_attribute("href", "/jobs/1")
    expect(page.locator("table.nodes")).to_have_count(0)


def test_a_worker_that_starts_and_the_first_bytes_of_a_night_appear_by_themselves(visitor, app):
    page = visitor.open("/machine")
    expect(page.get_by_text("No worker is running")).to_be_visible()
    worker = app.start_worker()
    expect(page.get_by_text(f"Process {worker.pid}")).to_be_visible(timeout=60_000)
    app.enqueue("b@q4")
    expect(page.locator("#plot canvas")).to_be_visible(timeout=60_000)
    expect(page.locator("#readout")).to_contain_text("Fastest")
