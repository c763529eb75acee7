"""`/api/v1/jobs`: the queue."""

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.operations.schemas.jobs import jobs_page
from flowhub_jobs.web.endpoint import Call, endpoint


def list_jobs(call: Call) -> Response:
    return JSONResponse(jobs_page(call.session.home.queries.all()))


ROUTES: list[BaseRoute] = [Route("/api/v1/jobs", endpoint(list_jobs), methods=["GET"])]
