"""`/api/v1/limit`, `/api/v1/schedule`, `/api/v1/cap`, `/api/v1/report`: as the verbs of these names print them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from starlette.responses import Response

from flowhub_jobs.operations.caps import CapState, cap_from_json, read_cap, set_cap
from flowhub_jobs.operations.json_arguments import TEXT, TEXT_OR_NULL, TEXT_OR_NUMBER, Field
from flowhub_jobs.operations.limits import in_force, set_limit_from_json
from flowhub_jobs.operations.report import LAST_NIGHT, read_report, report_begins
from flowhub_jobs.operations.result_types import Limits
from flowhub_jobs.operations.schedules import schedule_from, set_schedule
from flowhub_jobs.operations.schemas.controls import cap_json, limit_json, schedule_json
from flowhub_jobs.operations.schemas.report import report_json
from flowhub_jobs.web.api.route_table import Operation, read_body
from flowhub_jobs.web.call import Call, JSONResponse

LIMIT, SCHEDULE, CAP = "/api/v1/limit", "/api/v1/schedule", "/api/v1/cap"


def show_limit(call: Call) -> Response:
    return JSONResponse(limit_json(in_force(call.session)))


def change_limit(call: Call) -> Response:
    set_limit_from_json(call.session, read_body(call, (*_LIMIT, *_LIMIT_ANSWER)))
    return show_limit(call)


def show_schedule(call: Call) -> Response:
    home = call.context.home
    return JSONResponse(schedule_json(home.controls.schedule(), home.clock.now_us()))


def change_schedule(call: Call) -> Response:
    set_schedule(call.session, schedule_from(read_body(call, (*_SCHEDULE, *_SCHEDULE_ANSWER))))
    return show_schedule(call)


def show_cap(call: Call) -> Response:
    return JSONResponse(cap_json(read_cap(call.session)))


def change_cap(call: Call) -> Response:
    set_cap(call.session, cap_from_json(read_body(call, (*_CAP, *_CAP_ANSWER))))
    return show_cap(call)


def show_report(call: Call) -> Response:
    begin = report_begins(call.query("since") or LAST_NIGHT, datetime.now().astimezone())
    report, node = read_report(call.session_of_node.home, begin), call.query("node")
    return JSONResponse(report_json(report, node or call.context.home.node))


_LIMIT = (
    Field("rate", TEXT_OR_NUMBER, help="Bytes a second: 500K, 5M; off, or null, for no limit."),
    Field("for", TEXT_OR_NULL, "--for"),
    Field("jobs", TEXT_OR_NUMBER, "--jobs"),
    Field("limit_bps", TEXT_OR_NUMBER, help="The same as rate, as in the response."),
    Field("until", {"type": ["string", "null"]}, help="When the limit ends by itself, as in the response."),
)
_TEXT_OR_TEXTS = {"type": ["string", "array", "null"], "items": TEXT}
_NUMBER_OR_NULL = {"type": ["integer", "null"]}
_WINDOWS = {
    "type": "object",
    "properties": {
        "windows": _TEXT_OR_TEXTS,
        "days": _TEXT_OR_TEXTS,
        "rate": TEXT_OR_NUMBER,
        "rate_bps": _NUMBER_OR_NULL,
    },
    "required": ["windows"],
    "additionalProperties": False,
}
_SCHEDULE = (
    Field("windows", _TEXT_OR_TEXTS, help="23:00-07:00; none: no schedule."),
    Field("days", _TEXT_OR_TEXTS, "--days"),
    Field("rate", TEXT_OR_NUMBER, "--rate"),
    Field("rate_bps", _NUMBER_OR_NULL, help="The same as rate, as in the response; null: no limit."),
    Field("outside", TEXT_OR_NUMBER, "--outside"),
    Field("outside_bps", _NUMBER_OR_NULL, help="The same as outside, as in the response; null: pause."),
    Field(
        "more",
        {"type": ["array", "null"], "items": _WINDOWS},
        help="Further windows, each with days and a rate.",
    ),
)
_CAP = (
    Field("cap", TEXT_OR_NUMBER, help="Bytes in each period: 200G; off, or null, for none."),
    Field("per", {"type": ["string", "null"]}, "--per"),
    Field("cap_bytes", _NUMBER_OR_NULL, help="The same as cap, as in the response."),
)


def _answer_fields(page: Mapping[str, Any], fields: Iterable[Field]) -> tuple[Field, ...]:
    """Return the other keys of an answer, so that a program can send back what it got."""
    names = {field.name for field in fields}
    ignored_help = "Ignored; accepted so that a response can be sent back."
    return tuple(Field(name, {}, help=ignored_help, ignored=True) for name in page if name not in names)


_LIMIT_ANSWER = _answer_fields(limit_json(Limits()), _LIMIT)
_SCHEDULE_ANSWER = _answer_fields(schedule_json(None, 0), _SCHEDULE)
_CAP_ANSWER = _answer_fields(cap_json(CapState(None, 0, 0)), _CAP)
_REPORT = (Field("since", TEXT, "--since"), Field("node", TEXT, "--node"))

OPERATIONS = (
    Operation("GET", LIMIT, show_limit, "Return the speed limit in force.", "flowhub/limit/1", "limit"),
    Operation(
        "PUT",
        LIMIT,
        change_limit,
        "Limit the speed of all jobs together.",
        "flowhub/limit/1",
        "limit",
        body=(*_LIMIT, *_LIMIT_ANSWER),
    ),
    Operation("GET", SCHEDULE, show_schedule, "Return the schedule in force.", "flowhub/schedule/1", "schedule show"),
    Operation(
        "PUT",
        SCHEDULE,
        change_schedule,
        "Run jobs only in these windows, every week.",
        "flowhub/schedule/1",
        "schedule set",
        body=(*_SCHEDULE, *_SCHEDULE_ANSWER),
    ),
    Operation("GET", CAP, show_cap, "Return the cap, and the bytes that were received.", "flowhub/cap/1", "cap"),
    Operation(
        "PUT",
        CAP,
        change_cap,
        "Cap the bytes of a day or month.",
        "flowhub/cap/1",
        "cap",
        body=(*_CAP, *_CAP_ANSWER),
    ),
    Operation(
        "GET",
        "/api/v1/report",
        show_report,
        "Return completed and unfinished jobs, recoveries, and problems that need the user.",
        "flowhub/report/1",
        "report",
        query=_REPORT,
    ),
)
