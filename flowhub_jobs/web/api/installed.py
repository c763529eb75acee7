"""`/api/v1/installed`: installed models, as `list` prints them; verify, repair, remove."""

from collections.abc import Callable

from starlette.responses import Response

from flowhub_jobs.operations.json_arguments import TEXT, Field
from flowhub_jobs.operations.library.on_nodes import models_on
from flowhub_jobs.operations.library.usage import list_store
from flowhub_jobs.operations.library_jobs import LibraryJobs
from flowhub_jobs.operations.nodes import nodes_named
from flowhub_jobs.operations.schemas.jobs import jobs_json
from flowhub_jobs.operations.schemas.library import installed_json, installed_on_nodes_json, removed_json
from flowhub_jobs.web.api.route_table import Operation
from flowhub_jobs.web.call import Call, JSONResponse

PATH = "/api/v1/installed"
NAME = f"{PATH}/{{name}}"


def list_installed(call: Call) -> Response:
    node = call.query("node")
    if node is None:
        return JSONResponse(installed_json(list_store(call.session)))
    home = call.context.home
    return JSONResponse(installed_on_nodes_json(models_on(home, nodes_named(home, node))))


def remove(call: Call) -> Response:
    """Remove a model by the name that the list has. Refused (409) while a job works on it."""
    library = call.session.installed
    library.require_store()
    name = library.named(call.path("name"))
    removal = library.plan_removal(name)
    library.remove(name)
    return JSONResponse(removed_json([removal], dry_run=False))


def verify(call: Call) -> Response:
    """Queue a job that reads every byte of a model again."""
    library_jobs = LibraryJobs(call.session)
    return _queue_and_answer(
        call, lambda: library_jobs.verify(library_jobs.installed([call.session.installed.named(call.path("name"))]))
    )


def repair(call: Call) -> Response:
    """Queue a job that downloads what the last verification found damaged, and no more."""
    library_jobs = LibraryJobs(call.session)
    [model] = library_jobs.installed([call.session.installed.named(call.path("name"))])
    return _queue_and_answer(call, lambda: [library_jobs.repair(model)])


def _queue_and_answer(call: Call, queue: Callable[[], list[int]]) -> Response:
    """Answer with the job: 201, or 200 where one was at it already."""
    session = call.session
    before = set(session.home.queries.live_jobs().values())
    numbers = queue()
    session.wake_workers(len(numbers))
    page = jobs_json(session.home.queries.jobs(numbers))
    return JSONResponse(page, 200 if set(numbers) <= before else 201)


_LIST = (Field("node", TEXT, "--node"),)

OPERATIONS = (
    Operation("GET", PATH, list_installed, "List what is installed.", "flowhub/installed/1", "list", query=_LIST),
    Operation(
        "DELETE", NAME, remove, "Remove an installed model; refused while a job works on it.", "flowhub/removed/1", "rm"
    ),
    Operation(
        "POST",
        f"{NAME}/verify",
        verify,
        "Queue a job that reads every byte of an installed model again.",
        "flowhub/jobs/1",
        "verify",
        statuses=(200, 201),
    ),
    Operation(
        "POST",
        f"{NAME}/repair",
        repair,
        "Queue a job that downloads what the last verification found damaged, and no more.",
        "flowhub/jobs/1",
        "verify",
        statuses=(200, 201),
    ),
)
