"""`/api/v1/jobs`: the queue, as `status` prints it, and the actions of its verbs on a job."""

import re
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from flowhub_jobs.errors import NotFound, UsageInvalid
from flowhub_jobs.operations.actions import steer
from flowhub_jobs.operations.enqueue import enqueue_refs
from flowhub_jobs.operations.job_list_filter import JobListFilter, parse_since_us, state_named
from flowhub_jobs.operations.json_arguments import NUMBER, SWITCH, TEXT, TEXT_OR_NULL, TEXT_OR_NUMBER, TEXTS, Field
from flowhub_jobs.operations.schemas.jobs import jobs_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.enums import State
from flowhub_jobs.web.api.route_table import Operation, read_body
from flowhub_jobs.web.call import Call, Handler, JSONResponse

PATH = "/api/v1/jobs"
JOB = f"{PATH}/{{job}}"
JOBS = "flowhub/jobs/1"


def list_jobs(call: Call) -> Response:
    choice = JobListFilter(
        every=call.switch("all"),
        state=state_named(call.query("state")),
        since_us=parse_since_us(call.query("since")),
        group=call.query("group"),
    )
    return JSONResponse(choice.page(call.session_of_node))


def show_job(call: Call) -> Response:
    return JSONResponse(JobListFilter([_number(call)]).page(call.session))


_ENQUEUE = (
    Field(
        "refs",
        {**TEXTS, "minItems": 1},
        help="References: model, model@option, hf:owner/repo[:QUANT], or the URL of a file.",
        required=True,
    ),
    Field("priority", NUMBER, "--priority"),
    Field("group", TEXT_OR_NULL, "--group"),
    Field("rate", TEXT_OR_NUMBER, "--rate"),
    Field("at", TEXT_OR_NULL, "--at"),
    Field("tonight", SWITCH, "--tonight"),
    Field("after", {"type": ["array", "integer", "string", "null"]}, "--after"),
    Field("force", SWITCH, "--force"),
    Field("place", {"type": ["array", "string", "null"]}, help="Programs to place the models in, once installed."),
    Field("store", TEXT_OR_NULL, "--store"),
    Field("sha256", TEXT_OR_NULL, "--sha256"),
    Field("include", TEXTS, "--include"),
    Field("exclude", TEXTS, "--exclude"),
    Field("on", TEXT_OR_NULL, "--on"),
)


def enqueue(call: Call) -> Response:
    """Queue all references, or none. What is queued or installed already is answered with its job: 200 if all are."""
    data = read_body(call, _ENQUEUE)
    refs = data.pop("refs")
    options = data | {"after": _numbers(data.get("after")), "place": _programs(data.get("place"))}
    answers = enqueue_refs(call.session, refs, options)
    by_number = {job.id: job for job in call.session.home.queries.jobs([answer.job for answer in answers])}
    page = jobs_json(by_number[answer.job] for answer in answers)
    return JSONResponse(page, 201 if any(answer.new for answer in answers) else 200)


def _programs(place: Any) -> list[str]:
    """Return the programs of `place`. A folder is refused: no path is set over HTTP."""
    programs = [] if place is None else place if isinstance(place, list) else [place]
    if not all(isinstance(one, str) for one in programs):
        raise UsageInvalid("place is neither a program nor a list of programs.", hint='Send "place": ["hf-cache"].')
    if any(one.startswith("dir:") for one in programs):
        raise UsageInvalid(
            "A folder cannot be named over HTTP.", hint="Use `flowhub place MODEL --in dir:PATH` on that machine."
        )
    return programs


def _numbers(after: Any) -> list[str]:
    """Return the jobs of `after` as the command line takes them: 12, "12,15-18", or a list of those."""
    jobs = [] if after is None else after if isinstance(after, list) else [after]
    if not all(isinstance(one, str | int) and not isinstance(one, bool) for one in jobs):
        raise UsageInvalid("after is neither a job nor a list of jobs.", hint='Send "after": [12, 13].')
    return [str(one) for one in jobs]


_PRIORITY = (Field("priority", NUMBER, help="Higher goes first.", required=True),)
_PURGE = (Field("purge", SWITCH, "--purge"),)


def change_job(call: Call) -> Response:
    data = read_body(call, _PRIORITY)
    return _change_and_answer(call, lambda session, job: session.set_priority(job, data["priority"]))


def cancel(call: Call) -> Response:
    data = read_body(call, _PURGE)
    return _change_and_answer(call, lambda session, job: session.cancel(job, purge=data.get("purge", False)))


def action(verb: str) -> Handler:
    """Return the action of a verb that takes no options."""
    return lambda call: _change_and_answer(call, lambda session, job: steer(session, verb, job))


def _change_and_answer(call: Call, change: Callable[[Session, int], object]) -> Response:
    """Change the job, and answer with it as it is then. A job whose worker died changes at once."""
    number, session = _number(call), call.session
    session.home.take_back_orphans()
    change(session, number)
    return JSONResponse(jobs_json(session.home.queries.jobs([number])))


def _number(call: Call) -> int:
    text = call.path("job")
    if not re.fullmatch("[0-9]{1,18}", text):  # more is no integer of a database
        raise NotFound(f"There is no job {text[:40]}.", hint="GET /api/v1/jobs lists them.")
    return int(text)


_LIST = (
    Field("state", {"type": "string", "enum": [*State]}, "--state"),
    Field("since", TEXT, "--since"),
    Field("group", TEXT, "--group"),
    Field("all", SWITCH, "--all"),
    Field("node", TEXT, "--node"),
)

OPERATIONS = (
    Operation(
        "GET",
        PATH,
        list_jobs,
        "List jobs. Without a filter: running jobs, jobs that need the user, waiting jobs, and recently ended jobs.",
        JOBS,
        "status",
        query=_LIST,
    ),
    Operation(
        "POST",
        PATH,
        enqueue,
        "Queue models. Returns the job of each reference; 200 if no new job was created.",
        JOBS,
        "enqueue",
        body=_ENQUEUE,
        statuses=(200, 201),
    ),
    Operation("GET", JOB, show_job, "Return one job, with its events.", JOBS, "status"),
    Operation("PATCH", JOB, change_job, "Change the priority of a job.", JOBS, "priority", body=_PRIORITY),
    Operation("POST", f"{JOB}/pause", action("pause"), "Pause a job until `resume`.", JOBS, "pause"),
    Operation("POST", f"{JOB}/resume", action("resume"), "Resume a paused job.", JOBS, "resume"),
    Operation("POST", f"{JOB}/cancel", cancel, "Cancel a job.", JOBS, "cancel", body=_PURGE),
    Operation("POST", f"{JOB}/retry", action("retry"), "Queue a failed or cancelled job again.", JOBS, "retry"),
    Operation(
        "POST",
        f"{JOB}/start",
        action("start"),
        "Start a job now, ignoring its start time and the schedule.",
        JOBS,
        "start",
    ),
)
