"""The HTTP API, `/api/v1`: the operations of the command line, with the same JSON."""

from starlette.routing import BaseRoute

from flowhub_jobs.web.api import jobs

ROUTES: list[BaseRoute] = [*jobs.ROUTES]
