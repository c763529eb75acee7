"""A repository of the Hub in a real browser: a pasted link leads to its page, from where it is queued."""

import pytest
from playwright.sync_api import expect
from support.browser import signed_in_visitor
from support.cli import cli_app
from support.models import gguf
from support.web import web_server

from flowhub_jobs.values.enums import State


@pytest.fixture
def app(home, hub, monkeypatch):
    hub.add("org/tiny-GGUF", "tiny-Q4_K_M.gguf", gguf(4096, 1))
    hub.add("org/tiny-GGUF", "tiny-Q8_0.gguf", gguf(8192, 2))
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    with cli_app(home, monkeypatch) as app:
        yield app


@pytest.mark.parametrize("typed", ["hf:org/tiny-GGUF", "https://huggingface.co/org/tiny-GGUF"])
def test_a_reference_or_a_link_leads_to_the_repository(browser, app, typed):
    with web_server(app.settings) as web, signed_in_visitor(browser, web, java_script_enabled=False) as visitor:
        page = visitor.open("/discover")
        page.get_by_role("searchbox").fill(typed)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("org/tiny-GGUF")
        assert page.url.endswith("/models/hf:org/tiny-GGUF")
        page.get_by_label("Choose Q8_0").check()
        page.get_by_label("Choose Q4_K_M").check()
        page.get_by_role("button", name="Queue now").click()
        expect(page.locator(".notice")).to_contain_text("is queued.")
        assert sorted(job.ref for job in app.home.queries.all()) == ["hf:org/tiny-GGUF:Q4_K_M", "hf:org/tiny-GGUF:Q8_0"]
        expect(page.locator(".variants")).to_contain_text("Queued")


def test_a_hub_that_does_not_answer_is_an_answer(browser, app, hub):
    with web_server(app.settings) as web, signed_in_visitor(browser, web, java_script_enabled=False) as visitor:
        page = visitor.open("/models/hf:org/none")
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_role("link", name="Back").click()
        expect(page.get_by_role("heading", name="Queue")).to_be_visible()


def test_a_reference_is_queued_from_the_queue_too(browser, app):
    with web_server(app.settings) as web, signed_in_visitor(browser, web) as visitor:
        page = visitor.open("/queue")
        page.get_by_label("Model, reference or link").fill("hf:org/tiny-GGUF:Q8_0")
        page.get_by_label("Model, reference or link").press("Enter")
        expect(page.locator(".waits")).to_contain_text("org on the Hub")
        [job] = app.home.queries.all()
        assert job.state is State.QUEUED
