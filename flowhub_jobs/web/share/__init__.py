"""What `flowhub web --share` serves to other machines: installed and verified models, to be read only."""

from starlette.routing import BaseRoute

from flowhub_jobs.web.share import blobs, catalog, hub

ROUTES: list[BaseRoute] = [*catalog.ROUTES, *hub.ROUTES, *blobs.ROUTES]
