"""The table that the API's routes and its OpenAPI document are made from."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.web.call import Act, Call, endpoint

Handle = Callable[[Request], Awaitable[Response]]
Schema = Mapping[str, Any]  # JSON Schema

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
NUMBER: Schema = {"type": "integer"}
SWITCH: Schema = {"type": "boolean"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
TEXT_OR_NUMBER: Schema = {"type": ["string", "integer", "null"]}

_TYPES = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "null": type(None),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A query parameter, or a key of a body's object. `option` is that of the verb, whose help describes it."""

    name: str
    schema: Schema
    option: str | None = None
    help: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `verb` is the command that does the same; `answer` names the schema of its JSON."""

    method: str
    path: str
    act: Act | None
    summary: str
    answer: str
    verb: str | None = None
    query: tuple[Field, ...] = ()
    body: tuple[Field, ...] = ()
    statuses: tuple[int, ...] = (200,)
    media_type: str = "application/json"
    stream: Handle | None = field(default=None, repr=False)  # in the place of `act`, for what does not run in a thread

    @property
    def handle(self) -> Handle:
        if self.stream is not None:
            return self.stream
        assert self.act is not None
        return endpoint(self.act)


def routes(operations: Iterable[Operation]) -> list[BaseRoute]:
    """Return one route a path, so that a method it does not have is answered with all those that it has."""
    by_path: dict[str, dict[str, Handle]] = {}
    for one in operations:
        by_path.setdefault(one.path, {})[one.method] = one.handle
    return [Route(path, _dispatch(handles), methods=list(handles)) for path, handles in by_path.items()]


def _dispatch(handles: Mapping[str, Handle]) -> Handle:
    async def handle(request: Request) -> Response:
        found = handles.get("GET" if request.method == "HEAD" else request.method)
        if found is None:  # pragma: no cover, Starlette has refused it
            raise HTTPException(405)
        return await found(request)

    return handle


def read_body(call: Call, fields: Iterable[Field]) -> dict[str, Any]:
    """Return the body's JSON object, checked against its fields. Raises UsageInvalid, which names the key."""
    known, data = {one.name: one for one in fields}, call.json()
    for name, value in data.items():
        if name not in known:
            keys = ", ".join(known) or "none"
            raise UsageInvalid(f"{name[:40]!r} is not a key of this object.", hint=f"Keys are: {keys}.")
        _check(name, value, known[name].schema)
    for one in known.values():
        if one.required and one.name not in data:
            raise UsageInvalid(f"The object has no {one.name}.", hint=f"Send it as {_words(one.schema)}.")
    return data


def _check(name: str, value: Any, schema: Schema) -> None:
    wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if type(value) not in [_TYPES[one] for one in wanted]:  # a bool is no int
        raise UsageInvalid(f"{name} is not {_words(schema)}.")
    if isinstance(value, list) and "items" in schema:
        for item in value:
            _check(f"An item of {name}", item, schema["items"])


def _words(schema: Schema) -> str:
    names = {"string": "a text", "integer": "a whole number", "boolean": "true or false", "array": "a list"}
    wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(names[one] for one in wanted if one in names)
