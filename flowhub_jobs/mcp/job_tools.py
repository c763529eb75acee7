"""enqueue, list_jobs, job_status, pause, resume, cancel, retry, morning_report: the queue and its report."""

from datetime import UTC, datetime

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.mcp.tool import AgentTool, Arguments, ToolFunction, ToolResult
from flowhub_jobs.operations.act_on_each import apply_to_each, error_of
from flowhub_jobs.operations.actions import steer
from flowhub_jobs.operations.enqueue import enqueue_refs
from flowhub_jobs.operations.job_list_filter import JobListFilter, parse_since_us, state_named
from flowhub_jobs.operations.json_arguments import NUMBER, NUMBERS, SWITCH, TEXT, TEXTS, Field
from flowhub_jobs.operations.nodes import hint_of_gone, home_for_node
from flowhub_jobs.operations.report import LAST_NIGHT, read_report, report_begins
from flowhub_jobs.operations.result_types import APPS
from flowhub_jobs.operations.schemas.jobs import jobs_json
from flowhub_jobs.operations.schemas.report import report_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.wait_reasons import why_not_moving
from flowhub_jobs.values.enums import State

JOBS = "flowhub/jobs/1"


def enqueue(session: Session, arguments: Arguments) -> ToolResult:
    options = {name: value for name, value in arguments.items() if name != "refs"}
    options["after"] = [str(number) for number in arguments.get("after", ())]
    answers = enqueue_refs(session, arguments["refs"], options)
    jobs = {job.id: job for job in session.queries.jobs([answer.job for answer in answers])}
    existing = [jobs[answer.job] for answer in answers if not answer.new]
    notes = [f"Job {job.id}, {job.ref}, was there before; it is {job.state}." for job in existing]
    if other_nodes := {job.node for job in jobs.values()} - {session.node}:
        notes += filter(None, [hint_of_gone(session.home, other_nodes)])
    return ToolResult(
        jobs_json(jobs[answer.job] for answer in answers),
        (*dict.fromkeys(notes), *session.references.notes, *session.placement_notes),
    )


def list_jobs(session: Session, arguments: Arguments) -> ToolResult:
    choice = JobListFilter(
        every=arguments.get("all", False),
        state=state_named(arguments.get("state")),
        since_us=parse_since_us(arguments.get("since")),
        group=arguments.get("group"),
    )
    return ToolResult(choice.page(_of_node(session, arguments)))


def _of_node(session: Session, arguments: Arguments) -> Session:
    """Return the session as it reads the node that `node` names. Raises NotFound for an unknown one."""
    return Session(home_for_node(session.home, arguments.get("node")))


def job_status(session: Session, arguments: Arguments) -> ToolResult:
    choice = JobListFilter([arguments["job"]])
    [job] = choice.read(session)
    return ToolResult(choice.page(session), tuple(why_not_moving(session, job, datetime.now(UTC))))


def _steering(verb: str) -> ToolFunction:
    """Return the action of a verb that steers jobs: each of them, whether or not another one refuses."""

    def act(session: Session, arguments: Arguments) -> ToolResult:
        numbers = list(dict.fromkeys(arguments["jobs"]))
        outcomes = apply_to_each(numbers, lambda job: steer(session, verb, job))
        changed = [number for number, outcome in outcomes.items() if not isinstance(outcome, FlowhubError)]
        failed = tuple(
            {"job": number, "error": outcome.as_dict()}
            for number, outcome in outcomes.items()
            if isinstance(outcome, FlowhubError)
        )
        return ToolResult(jobs_json(session.queries.jobs(changed)), failed=failed, error=error_of(outcomes))

    return act


def morning_report(session: Session, arguments: Arguments) -> ToolResult:
    begin = report_begins(arguments.get("since", LAST_NIGHT), datetime.now().astimezone())
    report = read_report(_of_node(session, arguments).home, begin)
    return ToolResult(report_json(report, arguments.get("node") or session.node))


_ENQUEUE = (
    Field(
        "refs",
        {**TEXTS, "minItems": 1},
        help="References: model or model@option of the catalogs, hf:owner/repo[:QUANT], or the URL of a file.",
        required=True,
    ),
    Field("tonight", SWITCH, help="Start in the schedule's window (without one, 23:00-07:00)."),
    Field("at", TEXT, help="Start at this time: 02:30, +3h, RFC 3339."),
    Field("after", NUMBERS, help="Start after these jobs have ended."),
    Field("priority", NUMBER, help="Higher starts first (default 0)."),
    Field("group", TEXT, help="Name of a group, for list_jobs."),
    Field("sha256", TEXT, help="Digest of the one URL in refs, 64 hexadecimal digits."),
    Field(
        "include", TEXTS, help="Of a Hub model: also download files that match these globs. Of a data set: only these."
    ),
    Field("exclude", TEXTS, help="Of Hub repositories: skip files that match these globs."),
    Field(
        "place",
        {"type": "array", "items": {"type": "string", "enum": [*APPS]}},
        help="Programs to link the models into.",
    ),
    Field("store", TEXT, help="Name of the store to install in; without one, where an older version is, else default."),
    Field(
        "on",
        TEXT,
        help='Download on these nodes of the database: NODE,NODE, all, any (the first that has room), "vram>=24G".',
    ),
    Field("force", SWITCH, help="Download an installed model again; the old version stays until the new is verified."),
)
NODE = Field("node", TEXT, help="Of this node (default: this machine), or of all.")
_JOBS = (Field("jobs", {**NUMBERS, "minItems": 1}, help="Numbers of jobs.", required=True),)

ENQUEUE = AgentTool(
    "enqueue",
    "Queue models for download",
    "Queue models for a worker to download, verify and install. Returns at once; the download continues when this "
    "process ends. All references are queued, or none. A reference that is queued or installed already returns its "
    "job. Wait with job_status.",
    enqueue,
    JOBS,
    _ENQUEUE,
    changes=True,
    asks=True,
    wants_worker=True,
)
LIST_JOBS = AgentTool(
    "list_jobs",
    "List jobs",
    "List jobs: without arguments running jobs, failed jobs, waiting jobs and the last that ended. Sizes are bytes, "
    "rate_bps is bytes a second, eta_s is seconds.",
    list_jobs,
    JOBS,
    (
        Field("state", {"type": "string", "enum": [*State]}, help="Only jobs in this state."),
        Field("since", TEXT, help="Only jobs queued or ended since: 12h, 22:00, RFC 3339."),
        Field("group", TEXT, help="Only jobs of this group."),
        Field("all", SWITCH, help="All jobs, in the order of their numbers."),
        NODE,
    ),
    wants_worker=True,
)
JOB_STATUS = AgentTool(
    "job_status",
    "Show one job",
    "Show a job with its events. `notes` say why it does not move, and what to do.",
    job_status,
    JOBS,
    (Field("job", NUMBER, help="Number of the job.", required=True),),
)
PAUSE = AgentTool("pause", "Pause jobs", "Pause jobs until resume.", _steering("pause"), JOBS, _JOBS, changes=True)
RESUME = AgentTool(
    "resume",
    "Resume jobs",
    "Resume paused jobs where they stopped.",
    _steering("resume"),
    JOBS,
    _JOBS,
    changes=True,
    wants_worker=True,
)
CANCEL = AgentTool(
    "cancel",
    "Cancel jobs",
    "Cancel jobs. Their partial downloads stay, and retry continues them.",
    _steering("cancel"),
    JOBS,
    _JOBS,
    changes=True,
)
RETRY = AgentTool(
    "retry",
    "Retry jobs",
    "Queue failed or cancelled jobs again. A job keeps its number and continues its partial download. Correct the "
    "cause first: an error with retryable false does not pass by itself.",
    _steering("retry"),
    JOBS,
    _JOBS,
    changes=True,
    wants_worker=True,
)
MORNING_REPORT = AgentTool(
    "morning_report",
    "Report the last night",
    "Report what was downloaded since last evening, what recovered by itself, and what needs the user.",
    morning_report,
    "flowhub/report/1",
    (Field("since", TEXT, help="Start of the report: last-night (18:00 yesterday), 12h, 22:00, RFC 3339."), NODE),
)
