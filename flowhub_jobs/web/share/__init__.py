"""What `flowhub web --share` serves to other machines: installed and verified models, to be read only."""

from starlette.routing import BaseRoute

ROUTES: list[BaseRoute] = []
