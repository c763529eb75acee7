"""The tab Discover and a model's page in a real browser: search, filters, queueing by keyboard, hostile text."""

import re

import pytest
from playwright.sync_api import expect
from support.models import gguf, one_file_model

from flowhub_jobs.values.enums import State

HOSTILE = "<script>window.hit=1</script><img src=x onerror='window.hit=1'>\u202egnp.exe"


@pytest.fixture
def catalog(app, origin):
    """The app's catalog with three models that can be told apart by every filter."""
    models = [
        one_file_model("alpha", origin.url("a.gguf"), gguf(4096, 1), quantization="Q4_K_M"),
        one_file_model("beta", origin.url("b.gguf"), gguf(8192, 2), quantization="Q8_0"),
        one_file_model("gamma", "http://127.0.0.1:1/g.safetensors", b"x" * 100, format="safetensors"),
    ]
    models[0] |= {"name": "Alpha Chat", "tags": ["chat"], "license": "MIT", "parameters": "7B"}
    models[1] |= {"name": "Beta Code", "tags": ["code", "chat"], "license": "Apache-2.0", "parameters": "1B"}
    models[2] |= {
        "name": "Gamma",
        "versions": [{"version": "2", "releasedAt": "2026-01-02", "notes": "Newer.\nBetter."}],
    }
    app.set_models(*models)
    return models


def names(page):
    return page.locator(".models .name").all_text_contents()


def test_words_and_filters_narrow_the_list_without_javascript(visitor_without_javascript, catalog):
    page = visitor_without_javascript.open("/discover?sort=name")
    assert names(page) == ["Alpha Chat", "Beta Code", "Gamma"]
    page.get_by_label("Search models, or paste a reference or link").fill("beta")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".found")).to_contain_text("1 of 3 models")
    assert names(page) == ["Beta Code"]
    page.goto(page.url.partition("?")[0] + "?tag=chat&sort=name")
    assert names(page) == ["Alpha Chat", "Beta Code"]
    assert page.get_by_label("chat 2").is_checked()
    page.get_by_label("MIT 1").check()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("Clear 2 filters")).to_be_visible()
    assert names(page) == ["Alpha Chat"]


def test_the_number_next_to_a_filter_counts_its_matches(visitor_without_javascript, catalog):
    page = visitor_without_javascript.open("/discover?tag=chat")
    for chip in ("GGUF", "up to 3B", "MIT"):
        page.goto(f"{visitor_without_javascript.web.serving.base}/discover?tag=chat")
        label = page.locator("label.chip", has_text=re.compile(rf"^\s*{chip} \d"))
        [count] = re.findall(r"(\d+)\s*$", label.inner_text())
        label.locator("input").check()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".found")).to_contain_text(f"{count} of 3 models")


def test_nothing_found_says_so_and_shows_the_way_back(visitor_without_javascript, catalog):
    page = visitor_without_javascript.open("/discover?q=zzzzzz&tag=chat")
    expect(page.get_by_text("No model matches and passes the filters.")).to_be_visible()
    page.get_by_role("link", name="Show all models").click()
    assert len(names(page)) == 3


def test_a_wrong_filter_is_an_answer_not_a_failure(visitor, catalog):
    page = visitor.context.new_page()
    answer = page.goto(f"{visitor.web.serving.base}/discover?format=exe")
    assert answer.status == 422
    expect(page.get_by_role("alert")).to_contain_text("'exe' is not a format.")
    visitor.console_errors.clear()  # the console names the status


def test_a_model_is_queued_with_the_keyboard_alone(visitor, app, catalog):
    page = visitor.open("/discover?sort=name")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Alpha Chat":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Alpha Chat")).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Queue now":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_contain_text("Alpha Chat is queued.")
    [job] = app.home.queries.all()
    assert (job.ref, job.state) == ("alpha@q4", State.QUEUED)


def test_a_row_queues_the_best_variant_and_is_marked(visitor_without_javascript, app, catalog):
    page = visitor_without_javascript.open("/discover?sort=name")
    page.get_by_role("button", name="Queue Beta Code, Q8_0").click()
    expect(page.locator("tr", has_text="Beta Code")).to_contain_text("Queued")
    assert [job.ref for job in app.home.queries.all()] == ["beta@q4"]


def test_tonight_waits_for_the_night(visitor_without_javascript, app, catalog):
    page = visitor_without_javascript.open("/models/alpha")
    expect(page.get_by_text("flowhub enqueue alpha@q4")).to_be_visible()
    page.get_by_role("button", name="Queue for tonight").click()
    expect(page.locator(".notice")).to_be_visible()
    [job] = app.home.queries.all()
    assert job.reason == "at" or job.created_at.astimezone().hour >= 23 or job.created_at.astimezone().hour < 7


def test_a_model_shows_its_variants_why_and_its_versions(visitor_without_javascript, catalog):
    page = visitor_without_javascript.open("/models/gamma")
    expect(page.locator(".variants .why")).to_contain_text("The memory for its context is unknown")
    expect(page.locator(".versions")).to_contain_text("2026-01-02")
    expect(page.locator(".files")).to_contain_text("g.safetensors")


def test_another_context_is_judged_again(visitor_without_javascript, catalog):
    page = visitor_without_javascript.open("/models/alpha")
    before = page.locator(".variants .why").first.inner_text()
    page.get_by_label("Context").select_option("131,072")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".variants .why").first).to_contain_text("131,072 tokens")
    assert "4,096 tokens" in before


def test_a_pasted_link_of_a_file_is_queued(visitor_without_javascript, app, origin):
    page = visitor_without_javascript.open("/discover")
    page.get_by_label("Search models, or paste a reference or link").fill(origin.url("a.gguf"))
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name="Queue now").click()
    expect(page.locator(".notice")).to_contain_text("a.gguf is queued.")
    [job] = app.home.queries.all()
    assert job.ref == origin.url("a.gguf")


def test_hostile_catalog_text_stays_text(visitor, app, origin):
    model = one_file_model("evil", origin.url("a.gguf"), gguf(4096, 1), quantization=HOSTILE[:60])
    model |= dict.fromkeys(("name", "publisher", "family", "license", "parameters"), HOSTILE)
    model |= {"description": HOSTILE + "x" * 10_000_000, "tags": [HOSTILE], "homepage": "http://evil.example/x"}
    model |= {"versions": [{"version": HOSTILE, "notes": HOSTILE}]}
    app.set_models(model)
    for path in ("/discover", "/models/evil"):
        page = visitor.open(path)
        expect(page.locator("main")).to_contain_text("<script>window.hit=1</script>")
        assert page.evaluate("window.hit") is None
        assert page.locator("main script, main img, main a[href^='http:']").count() == 0
        assert "\u202e" not in page.content()
        assert len(page.content()) < 200_000
    app.enqueue("evil@q4")
    page = visitor.open("/queue")
    expect(page.locator(".waits")).to_contain_text("<script>window.hit=1</script>")
    assert page.evaluate("window.hit") is None
