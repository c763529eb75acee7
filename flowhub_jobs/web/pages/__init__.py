"""The HTML pages: five tabs, each with its own address.

queue              the tab Queue · job: the page of one job
discover           the tab Discover: search of the catalogs · model: the page of one model
installed          the tab Installed: disk and models
schedule           the tab Schedule: windows, limit, cap · schedule_view: its values
machine            the tab Machine: report, device, workers · node_rows, subscription_rows: its tables

frame              the frame of all pages: tabs, bar, templates
form_results       the result of a form: in the address, and as a sentence
static             style sheets, scripts and the icon
text               filters for text in templates
naming             names of jobs and models
fit_badges         the badge of a verdict: does the model run here?
svg_geometry       coordinates of the drawings
"""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.web.pages import discover, installed, job, machine, model, queue, schedule, static
from flowhub_jobs.web.pages.frame import environment, path_of
from flowhub_jobs.web.problems import status_of

_TABS = (static, queue, job, discover, model, installed, schedule, machine)
ROUTES: list[BaseRoute] = [route for module in _TABS for route in module.ROUTES]
_TITLES = {
    401: "Sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    421: "Not here",
    422: "Invalid request",
    502: "The source failed",
    507: "No room on the disk",
}


def error_page(request: Request, error: FlowhubError) -> Response:
    """Return the answer to a browser whose request failed, also of one that has not signed in."""
    status = status_of(error)
    values = {
        "title": _TITLES.get(status, "Error"),
        "message": error.message,
        "hint": error.hint,
        "back": path_of(request.headers.get("referer", "")),
        "back_label": "Try again" if status == 401 else "Back",
    }
    return HTMLResponse(environment().get_template("error.html").render(values), status)
