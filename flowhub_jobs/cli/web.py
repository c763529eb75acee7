"""web: serves the local page and the HTTP API."""

import os
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.help.help_json import manual_json
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.errors import ExtraMissing
from flowhub_jobs.net.urls import check_address
from flowhub_jobs.operations.schemas.web_address import web_json
from flowhub_jobs.worker.log_format import set_up

if TYPE_CHECKING:  # the packages of the extra may be missing
    from flowhub_jobs.web.server import Serving


def web(
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Listen on this address.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="N", min=0, max=65535, help="Port (default: 7811, or the next free port; 0 for any)."
        ),
    ] = None,
    share: Annotated[
        bool, typer.Option("--share", help="Serve installed models to other machines, in the Hub's protocol.")
    ] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="Also accept requests for this host name, such as that of a proxy, NAME:PORT.",
        ),
    ] = None,
    share_url: Annotated[
        str | None,
        typer.Option("--share-url", metavar="URL", help="Address of the share for the other nodes of the database."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a local page and the HTTP API, until stopped.

    Prints a URL that signs in one browser, once. Programs send the token in web.token, in flowhub's home.
    """
    try:  # late, since the packages of the extra may be missing
        from flowhub_jobs.web.server import Options, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("jinja2", "prometheus_client", "starlette", "uvicorn"):
            raise
        raise ExtraMissing(
            f"`flowhub web` needs the package {error.name}.", hint="Install it: pip install 'flowhub[web]'."
        ) from error
    if share_url is not None:
        check_address(share_url, pinned=True)
    options = Options(host, port, share, tuple(allow_host or ()), share_url and share_url.rstrip("/"))
    with open_session() as session:
        set_up(session.home.settings.log_format, sys.stderr, os.environ)
        serve(session.home, options, lambda serving: _announce(serving, no_open=no_open), manual_json)


def _announce(serving: "Serving", *, no_open: bool) -> None:
    if output.chosen.json:
        output.result_json(web_json(serving.url, serving.base, serving.token_file, serving.share_token_file))
    else:
        output.result(serving.url)
    sys.stdout.flush()
    if serving.on_network:
        output.hint("Other machines can reach this address, and nothing is encrypted. Put a TLS proxy in front of it.")
        if serving.share_token_file:
            output.hint(f"They read the share with the token of {serving.share_token_file}, sent as HF_TOKEN.")
    if not (no_open or output.chosen.json) and sys.stdout.isatty():
        # In a thread: a browser in the terminal runs in the foreground, and would hold up the server.
        threading.Thread(target=webbrowser.open, args=(serving.url,), daemon=True).start()
