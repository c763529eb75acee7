"""One call of a tool: opens the home as a command does, checks the arguments, returns the result or the error.

Each call opens the home by itself, so that a server that runs for weeks holds no database and sees every change of
config.toml.
"""

import logging
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.errors import FlowhubError, InternalError
from flowhub_jobs.mcp.tool import AgentTool, Arguments
from flowhub_jobs.operations.convert_unexpected_errors import as_flowhub_error
from flowhub_jobs.operations.json_arguments import check_arguments
from flowhub_jobs.operations.open_home import load_settings, opened
from flowhub_jobs.operations.result_types import NO_WORKER
from flowhub_jobs.operations.session import Session

log = logging.getLogger("flowhub.mcp")


@dataclass(frozen=True, slots=True)
class Answer:
    """The structured result of a call. With `failed`, it has the key `error`."""

    content: dict[str, Any]
    failed: bool


def call(tool: AgentTool, arguments: Arguments) -> Answer:
    """Run a tool; never raises: an error is a result with code, message, hint and retryable."""
    try:
        check_arguments(arguments, tool.fields)
        with opened(load_settings()) as home:
            return _answer(tool, Session(home), arguments)
    except Exception as error:
        converted = as_flowhub_error(error)
        if isinstance(converted, InternalError):
            log.error("A call of %s failed.", tool.name, exc_info=True)
        return Answer(_error_of(converted), failed=True)


def _answer(tool: AgentTool, session: Session, arguments: Arguments) -> Answer:
    result = tool.act(session, arguments)
    notes = [*result.notes, *filter(None, [session.catalog_warning])]
    if tool.wants_worker and not {"on", "node"} & {*arguments} and not session.living_workers():
        notes.append(NO_WORKER)
    content = result.page | {"notes": list(dict.fromkeys(notes))}
    if result.error is None:
        return Answer(content, failed=False)
    return Answer(content | {"failed": list(result.failed)} | _error_of(result.error), failed=True)


def _error_of(error: FlowhubError) -> dict[str, Any]:
    return {"error": error.as_dict()}
