"""The HTTP API, `/api/v1`: the operations of the command line, with the same JSON."""

from starlette.routing import BaseRoute, Route

from flowhub_jobs.web import openapi
from flowhub_jobs.web.api import controls, events, installed, jobs, models, nodes_and_subscriptions
from flowhub_jobs.web.api.route_table import Operation, routes
from flowhub_jobs.web.call import endpoint

OPERATIONS: tuple[Operation, ...] = (
    *jobs.OPERATIONS,
    *models.OPERATIONS,
    *installed.OPERATIONS,
    *controls.OPERATIONS,
    *nodes_and_subscriptions.OPERATIONS,
    *events.OPERATIONS,
)
ROUTES: list[BaseRoute] = [
    *routes(OPERATIONS),
    Route(openapi.PATH, endpoint(openapi.document_of(OPERATIONS)), methods=["GET"]),
]
