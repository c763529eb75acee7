"""The HTTP API, `/api/v1`: the operations of the command line, with the same JSON.

route_table        the table of operations, from which the routes and the OpenAPI document are made
jobs               the queue, and the actions on a job
models             search and details of models; this machine
installed          installed models: verify, repair, remove
controls           limit, schedule, cap, report
nodes_and_subscriptions   the nodes and the subscriptions
events             Server-Sent Events
"""

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
