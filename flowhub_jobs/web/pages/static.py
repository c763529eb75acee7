"""The static files: style sheets, scripts, the icon."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.errors import NotFound
from flowhub_jobs.web.pages.frame import files

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
YEAR_S = 365 * 86_400


async def show_file(request: Request) -> Response:
    """Return a file. Its address changes with its content (`asset`), so a browser may keep it for a year."""
    name = str(request.path_params["name"])
    media_type = TYPES.get(name.rpartition(".")[2])
    if media_type is None or name not in files():
        raise NotFound(f"There is no file {name[:200]!r}.")
    headers = {"cache-control": f"public, max-age={YEAR_S}, immutable" if request.url.query else "no-cache"}
    return Response(files()[name], media_type=media_type, headers=headers)


ROUTES: list[BaseRoute] = [Route("/static/{name}", show_file, methods=["GET"])]
