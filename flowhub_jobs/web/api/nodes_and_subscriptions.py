"""`/api/v1/nodes` and `/api/v1/subscriptions`: as `nodes` and `follow --list` print them."""

from starlette.responses import Response

from flowhub_jobs.operations.nodes import read_nodes
from flowhub_jobs.operations.schemas.nodes import nodes_json
from flowhub_jobs.operations.schemas.subscriptions import subscriptions_json
from flowhub_jobs.operations.subscriptions.follow import all_subscriptions
from flowhub_jobs.web.api.route_table import Operation
from flowhub_jobs.web.call import Call, JSONResponse


def list_nodes(call: Call) -> Response:
    return JSONResponse(nodes_json(read_nodes(call.context.home)))


def list_subscriptions(call: Call) -> Response:
    return JSONResponse(subscriptions_json(all_subscriptions(call.session)))


OPERATIONS = (
    Operation(
        "GET", "/api/v1/nodes", list_nodes, "List the machines that share the database.", "flowhub/nodes/1", "nodes"
    ),
    Operation(
        "GET",
        "/api/v1/subscriptions",
        list_subscriptions,
        "List the references that this node keeps up to date.",
        "flowhub/subscriptions/1",
        "follow",
    ),
)
