"""A home with two models in its catalog, and a real server of it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser
from support.app import App
from support.browser import Visitor, chromium, signed_in_visitor
from support.cli import two_model_app
from support.models import gguf
from support.origin import Origin
from support.web import WebServer, web_server

A, B = gguf(4096, 1), gguf(8192, 2)


@pytest.fixture
def app(home: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A home whose catalog has the models `a` and `b`, which `origin` serves."""
    with two_model_app(home, origin, monkeypatch, A, B) as app:
        yield app


@pytest.fixture
def web(app: App) -> Iterator[WebServer]:
    """The server of that home, at a free port of the loopback interface."""
    with web_server(app.settings) as web:
        yield web


@pytest.fixture
def api_client(web: WebServer) -> httpx.Client:
    """A client that sends the token for programs."""
    return web.api_client


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visitor(browser: Browser, web: WebServer) -> Iterator[Visitor]:
    """A signed-in window. At its end there must be no console error and no request to another server."""
    with signed_in_visitor(browser, web) as visitor:
        yield visitor
        assert visitor.console_errors == []
        assert visitor.outside_requests == []


@pytest.fixture
def visitor_without_javascript(browser: Browser, web: WebServer) -> Iterator[Visitor]:
    """The same, with JavaScript switched off."""
    with signed_in_visitor(browser, web, java_script_enabled=False) as visitor:
        yield visitor
        assert visitor.outside_requests == []
