"""mcp: serves tools for agents over the Model Context Protocol."""

import os
import sys

from flowhub_jobs.errors import ExtraMissing
from flowhub_jobs.settings import load_settings
from flowhub_jobs.worker.log_format import set_up


def mcp() -> None:
    """Serve tools for agents (MCP) on stdin and stdout.

    An agent's program starts it. The tools search, check the fit, queue, pause and cancel jobs, and list installed
    models; no tool removes a model. Ends when stdin ends.
    """
    try:  # late, since the package of the extra may be missing
        from flowhub_jobs.mcp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "anyio"):
            raise
        raise ExtraMissing(
            f"`flowhub mcp` needs the package {error.name}.", hint="Install it: pip install 'flowhub[mcp]'."
        ) from error
    set_up(load_settings().log_format, sys.stderr, os.environ)
    serve()
