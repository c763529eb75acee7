"""`/catalog.json`: the shared models as a catalog, with addresses at this server."""

from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.operations.models_to_share import SharedModel, shared_catalog
from flowhub_jobs.values.enums import RepoKind
from flowhub_jobs.web.call import Call, JSONResponse, endpoint


def show_catalog(call: Call) -> Response:
    """The addresses have the host that the client has asked: it names this server."""
    base = f"{call.request.url.scheme}://{call.request.headers['host']}"
    models = call.context.shared.read(call.session).models
    addresses = {place: address for model in models for place, address in _addresses(base, model).items()}
    return JSONResponse(shared_catalog(models, addresses))


def _addresses(base: str, model: SharedModel) -> dict[str, str]:
    kind, repo = model.repo
    prefix = "" if kind is RepoKind.MODEL else "/datasets"
    return {
        str(file.local_path): f"{base}{prefix}/{quote(repo)}/resolve/{model.commit}/{quote(file.path)}"
        for file in model.files
    }


ROUTES: list[BaseRoute] = [Route("/catalog.json", endpoint(show_catalog), methods=["GET"])]
