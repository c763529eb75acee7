"""`/blobs/SHA256`: a shared file by its digest, for the other nodes of this database."""

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.errors import NotFound
from flowhub_jobs.web.call import Call, JSONResponse, endpoint
from flowhub_jobs.web.share.files import FileChanged, send_file

BUSY_S = 5  # when a node that finds no place may ask again


def send_blob(call: Call) -> Response:
    sha256 = call.path("sha256")
    file = call.context.shared.read(call.session).by_digest.get(sha256)
    gone = NotFound(f"No file with the sha256 {sha256[:64]!a} is shared here.")
    if file is None:
        raise gone
    if not call.context.readers.admit(call.context.fleet.reader(call.request, sha256)):
        return JSONResponse({"error": "Enough other nodes read from here."}, 503, {"Retry-After": str(BUSY_S)})
    try:
        return send_file(call.request.method, call.request.headers, file, {})
    except FileChanged:
        raise gone from None


ROUTES: list[BaseRoute] = [Route("/blobs/{sha256}", endpoint(send_blob), methods=["GET"])]
