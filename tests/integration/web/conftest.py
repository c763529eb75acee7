"""A home with two models in its catalog, and a real server of it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser
from support.app import App
from support.browser import Visitor, chromium, visiting
from support.cli import two_model_app
from support.models import gguf
from support.origin import Origin
from support.web import WebServer, web_server

A, B = gguf(4096, 1), gguf(8192, 2)


@pytest.fixture
def shop(home: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A home whose catalog has the models `a` and `b`, which `origin` serves."""
    with two_model_app(home, origin, monkeypatch, A, B) as shop:
        yield shop


@pytest.fixture
def web(shop: App) -> Iterator[WebServer]:
    """The server of that home, at a free port of the loopback."""
    with web_server(shop.settings) as web:
        yield web


@pytest.fixture
def program(web: WebServer) -> httpx.Client:
    """A client that sends the token for programs."""
    return web.program


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visitor(browser: Browser, web: WebServer) -> Iterator[Visitor]:
    """A signed-in window; at its end nothing has been complained about, and no request has left the server."""
    with visiting(browser, web) as visitor:
        yield visitor
        assert visitor.complaints == []
        assert visitor.strangers == []


@pytest.fixture
def plain_visitor(browser: Browser, web: WebServer) -> Iterator[Visitor]:
    """The same, with JavaScript switched off."""
    with visiting(browser, web, java_script_enabled=False) as visitor:
        yield visitor
        assert visitor.strangers == []
