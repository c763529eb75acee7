"""`/api/v1/models`: the catalogs, as `search` and `show` print them; `/api/v1/device`: this machine."""

from datetime import date

from starlette.responses import Response

from flowhub_jobs.operations.json_arguments import NUMBER, SWITCH, TEXT, TEXTS, Field
from flowhub_jobs.operations.result_types import Filters
from flowhub_jobs.operations.schemas.search import device_json, model_json, search_json
from flowhub_jobs.operations.search.model_details import model_details
from flowhub_jobs.operations.search.search import SORTS, SearchRequest, run_search
from flowhub_jobs.values.enums import HubFormat
from flowhub_jobs.web.api.route_table import Operation
from flowhub_jobs.web.call import Call, JSONResponse

PATH = "/api/v1/models"
SHOWN, SHOWN_MAX = 50, 10_000  # models of one answer


def search(call: Call) -> Response:
    typed = tuple((call.query("q") or "").split())
    sort, limit = call.query("sort"), call.number("limit", maximum=SHOWN_MAX)
    request = SearchRequest(
        typed=typed,
        filters=Filters.typed(
            format=call.query("format"),
            params=call.query("params"),
            max_size=call.query("max_size"),
            license=call.query("license"),
            tags=tuple(call.queries("tag")),
            publisher=call.query("publisher"),
            new_on=date.today() if call.switch("new") else None,
        ),
        fits=call.switch("fits"),
        installed=call.switch("installed"),
        sort=sort.strip().lower() if sort else None,
        limit=SHOWN if limit is None else limit or None,
    )
    return JSONResponse(search_json(run_search(call.context.home.settings, request, call.context.device()), typed))


def show(call: Call) -> Response:
    return JSONResponse(model_json(model_details(call.session, call.path("model"))))


def show_device(call: Call) -> Response:
    return JSONResponse(device_json(call.session.device))


_SEARCH = (
    Field("q", TEXT, help="Words, or beginnings of them, with a space between them."),
    Field("format", {"type": "string", "enum": [*HubFormat]}, "--format"),
    Field("params", TEXT, "--params"),
    Field("max_size", TEXT, "--max-size"),
    Field("license", TEXT, "--license"),
    Field("tag", TEXTS, "--tag"),
    Field("publisher", TEXT, "--publisher"),
    Field("fits", SWITCH, "--fits"),
    Field("installed", SWITCH, "--installed"),
    Field("new", SWITCH, "--new"),
    Field("sort", {"type": "string", "enum": [*SORTS]}, "--sort"),
    Field("limit", {**NUMBER, "minimum": 0, "maximum": SHOWN_MAX}, help=f"Return so many; 0 is all (default {SHOWN})."),
)

OPERATIONS = (
    Operation("GET", PATH, search, "Search the catalogs.", "flowhub/search/1", "search", query=_SEARCH),
    Operation("GET", f"{PATH}/{{model:path}}", show, "Return one model, with its variants.", "flowhub/model/1", "show"),
    Operation("GET", "/api/v1/device", show_device, "Return this machine.", "flowhub/device/1", "device"),
)
