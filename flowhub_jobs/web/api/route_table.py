"""The table that the API's routes and its OpenAPI document are made from."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.operations.json_arguments import Field, check_arguments
from flowhub_jobs.web.call import Call, Handler, endpoint

AsyncHandler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `verb` is the command that does the same; `response_schema` names that of its JSON."""

    method: str
    path: str
    act: Handler | None
    summary: str
    response_schema: str
    verb: str | None = None
    query: tuple[Field, ...] = ()
    body: tuple[Field, ...] = ()
    statuses: tuple[int, ...] = (200,)
    media_type: str = "application/json"
    stream: AsyncHandler | None = field(
        default=None, repr=False
    )  # in the place of `act`, for what does not run in a thread

    @property
    def handle(self) -> AsyncHandler:
        if self.stream is not None:
            return self.stream
        assert self.act is not None
        return endpoint(self.act if self.body else _refusing_keys(self.act))


def _refusing_keys(act: Handler) -> Handler:
    """Return an action without a body of its own, which refuses an object with keys: they would have no effect."""

    def answer(call: Call) -> Response:
        if call.is_json:
            read_body(call, ())
        return act(call)

    return answer


def routes(operations: Iterable[Operation]) -> list[BaseRoute]:
    """Return one route a path, so that a method it does not have is answered with all those that it has."""
    by_path: dict[str, dict[str, AsyncHandler]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation.handle
    return [Route(path, _dispatch(handles), methods=list(handles)) for path, handles in by_path.items()]


def _dispatch(handles: Mapping[str, AsyncHandler]) -> AsyncHandler:
    async def handle(request: Request) -> Response:
        method_handle = handles.get("GET" if request.method == "HEAD" else request.method)
        if method_handle is None:  # pragma: no cover, Starlette has refused it
            raise HTTPException(405)
        return await method_handle(request)

    return handle


def read_body(call: Call, fields: Iterable[Field]) -> dict[str, Any]:
    """Return the body's JSON object, checked against its fields. Raises UsageInvalid, which names the key."""
    data = call.json()
    check_arguments(data, fields)
    return data
