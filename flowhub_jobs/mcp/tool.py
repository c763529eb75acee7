"""One tool: its arguments, its action, and its hints for clients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.json_arguments import Field, object_schema
from flowhub_jobs.operations.session import Session

Arguments = Mapping[str, Any]
ToolFunction = Callable[[Session, Arguments], "ToolResult"]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """`page` is the JSON of the verb that does the same. `failed` has the error of each job that was not changed."""

    page: dict[str, Any]
    notes: tuple[str, ...] = ()
    failed: tuple[dict[str, Any], ...] = ()
    error: FlowhubError | None = None


@dataclass(frozen=True, slots=True)
class AgentTool:
    """`result_schema` names the schema of the result. `changes` is whether it changes a job; `asks` whether it may use
    the network; `wants_worker` whether a note says that no worker runs.
    """

    name: str
    title: str
    description: str
    act: ToolFunction
    result_schema: str
    fields: tuple[Field, ...] = ()
    changes: bool = False
    asks: bool = False
    wants_worker: bool = False

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments: an object with these keys and no others."""
        return object_schema(self.fields, lambda field: field.help)
