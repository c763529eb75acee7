"""The HTML pages: five tabs with addresses of their own."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.web.problems import status_of

ROUTES: list[BaseRoute] = []


def error_page(_request: Request, error: FlowhubError) -> Response:
    """Return the answer to a browser whose request failed, also of one that has not signed in."""
    return PlainTextResponse(f"{error.message}\n{error.hint or ''}\n", status_of(error))
