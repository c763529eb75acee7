"""A real `flowhub web` in this process, and its clients."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from flowhub_jobs.cli.help.help_json import manual_json
from flowhub_jobs.home import opened
from flowhub_jobs.settings import Settings
from flowhub_jobs.web.server import Options, Server, prepared
from flowhub_jobs.web.sign_in import TOKEN_FILE, SignIn

PATIENCE_S = 60.0


class WebServer:
    """A running server. `api_client` sends the token, `browser` has signed in, `anonymous` has neither."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self.serving, self.settings, self.stop = server.serving, settings, server.stop
        self.token = (settings.home / TOKEN_FILE).read_text().strip()
        self._closing = contextlib.ExitStack()
        self.api_client = self.client(headers={"Authorization": f"Bearer {self.token}"})
        self.browser = self.client()
        self.anonymous = self.client()

    def client(self, **options: Any) -> httpx.Client:
        base = options.pop("base_url", self.serving.base)
        return self._closing.enter_context(httpx.Client(base_url=base, timeout=PATIENCE_S, trust_env=False, **options))

    def sign_in(self) -> httpx.Client:
        """Return `browser` with the cookie of the printed URL."""
        self.browser.get(self.serving.url)
        assert self.browser.cookies, "the ticket was used before"
        return self.browser

    def page_token(self, browser: httpx.Client) -> str:
        """Return the token that the pages of this browser's session carry."""
        [cookie] = browser.cookies.values()
        session = SignIn(self.token).session(cookie)
        assert session is not None
        return session.page_token

    def close(self) -> None:
        self._closing.close()


@contextlib.contextmanager
def web_server(settings: Settings, **options: Any) -> Iterator[WebServer]:
    """Serve the home of these settings, by default at a free port of the loopback interface."""
    with opened(settings) as home, prepared(home, Options(**{"port": 0} | options), manual_json) as server:
        thread = threading.Thread(target=server.run, name="web", daemon=True)
        thread.start()
        try:
            assert server.ready.wait(PATIENCE_S), "the server did not start"
            web = WebServer(server, settings)
            try:
                yield web
            finally:
                web.close()
        finally:
            server.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "the server did not end"


def token_of(home: Path) -> str:
    return (home / TOKEN_FILE).read_text().strip()


def metrics_of(web: WebServer) -> dict[tuple[str, ...], float]:
    """Return each sample of /metrics by its name and labels."""
    text = web.anonymous.get("/metrics").text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
