"""A headless Chromium that is signed in to a web server of the tests, and records its errors."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from support.web import WebServer

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000


@dataclass
class Visitor:
    """A browser's window. `console_errors` are errors of its console, `outside_requests` URLs of other servers.

    `streams` are the requests for live events.
    """

    web: WebServer
    context: BrowserContext
    console_errors: list[str] = field(default_factory=list)
    outside_requests: list[str] = field(default_factory=list)
    streams: list[Request] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Return a new tab that shows a page."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(self.web.serving.base + path)
        return page

    def _record_request(self, request: Request) -> None:
        if urlsplit(request.url).path == "/api/v1/events":
            self.streams.append(request)
        if urlsplit(request.url).netloc != urlsplit(self.web.serving.base).netloc:
            self.outside_requests.append(request.url)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def large_font_browser(browser: Browser) -> Iterator[Browser]:
    """Start another browser of the same kind, whose user has doubled the default font size."""
    arguments = [*ARGUMENTS, "--blink-settings=defaultFontSize=32"]
    another = browser.browser_type.launch(executable_path=CHROMIUM, args=arguments)
    try:
        yield another
    finally:
        another.close()


@contextlib.contextmanager
def signed_in_visitor(browser: Browser, web: WebServer, **options: Any) -> Iterator[Visitor]:
    """Open a window that has the cookie of `web`; `options` are those of a browser's context."""
    context = browser.new_context(**options)
    visitor = Visitor(web, context)
    cookies = web.browser.cookies or web.sign_in().cookies
    context.add_cookies([{"name": name, "value": value, "url": web.serving.base} for name, value in cookies.items()])
    context.on("request", visitor._record_request)
    context.on(
        "console", lambda message: visitor.console_errors.append(message.text) if message.type == "error" else None
    )
    context.on("weberror", lambda error: visitor.console_errors.append(str(error.error)))
    try:
        yield visitor
    finally:
        context.close()
