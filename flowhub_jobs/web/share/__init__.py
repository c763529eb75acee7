"""The share of `flowhub web --share`: installed and verified models, served read-only to other machines."""

from starlette.routing import BaseRoute

from flowhub_jobs.web.share import blobs, catalog, hub

ROUTES: list[BaseRoute] = [*catalog.ROUTES, *hub.ROUTES, *blobs.ROUTES]
