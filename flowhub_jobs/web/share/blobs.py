"""`/blobs/SHA256`: a shared file by its digest, for the other nodes of this database."""

from collections.abc import Callable

from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from flowhub_jobs.errors import NotFound
from flowhub_jobs.web.call import Call, JSONResponse, endpoint
from flowhub_jobs.web.share.send_file import FileChanged, send_file

BUSY_S = 1  # when a node that finds no place may ask again


def send_blob(call: Call) -> Response:
    sha256 = call.path("sha256")
    file = call.context.shared.file(call.session, sha256)
    not_shared = NotFound(f"No file with the sha256 {sha256[:64]!a} is shared here.")
    if file is None:
        raise not_shared
    readers, reader = call.context.readers, call.context.node_authenticator.reader(call.request, sha256)
    if not readers.admit(reader):
        return JSONResponse(
            {"error": "This node already serves as many other nodes as it may; try again later."},
            503,
            {"Retry-After": str(BUSY_S)},
        )
    try:
        answer = send_file(call.request.method, call.request.headers, file, {})
    except FileChanged:
        readers.leave(reader)
        raise not_shared from None
    return _CallbackResponse(answer, lambda: readers.leave(reader))


class _CallbackResponse(Response):
    """An answer, and a call at its end, also where the client has gone."""

    def __init__(self, answer: Response, at_end: Callable[[], None]) -> None:
        super().__init__()
        self._answer, self._at_end = answer, at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        finally:
            self._at_end()


ROUTES: list[BaseRoute] = [Route("/blobs/{sha256}", endpoint(send_blob), methods=["GET"])]
