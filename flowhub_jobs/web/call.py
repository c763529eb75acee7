"""Request handlers: functions of a `Call`, run in a thread, because they read the database and the disk."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from flowhub_jobs.errors import DatabaseReplaced, UsageInvalid
from flowhub_jobs.operations.session import Session
from flowhub_jobs.web.sign_in import BrowserSession
from flowhub_jobs.web.web_context import WebContext

CONTEXT, SESSION = "flowhub.context", "flowhub.session"  # keys of the ASGI scope
FIELDS_MAX = 1000  # of a form
_SWITCH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


@dataclass(frozen=True)
class Call:
    """One request, its body read whole. `session` is the way to the application layer, made once a call."""

    request: Request
    body: bytes

    @property
    def context(self) -> WebContext:
        context = self.request.scope[CONTEXT]
        assert isinstance(context, WebContext)
        return context

    @property
    def page_token(self) -> str:
        """The token that a form must send along as `page_token`; "" for a program with the bearer token."""
        session = self.request.scope.get(SESSION)
        return session.page_token if isinstance(session, BrowserSession) else ""

    @cached_property
    def session(self) -> Session:
        return self.context.session()

    @property
    def session_of_node(self) -> Session:
        """The session, which reads the jobs of the node that `?node=` names. Raises NotFound for an unknown one."""
        node = self.query("node")
        return self.session if node is None else self.context.session(node)

    def path(self, name: str) -> str:
        """Return a part of the path, decoded."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """Return a query parameter; an empty one counts as absent. Raises UsageInvalid for one given twice."""
        values = [value for value in self.request.query_params.getlist(name) if value]
        if len(values) > 1:
            raise UsageInvalid(f"{name} is given {len(values)} times.", hint="Give it once.")
        return values[0] if values else None

    def queries(self, name: str) -> list[str]:
        """Return all values of a query parameter that may be repeated; empty ones are left out."""
        return [value for value in self.request.query_params.getlist(name) if value]

    def switch(self, name: str) -> bool:
        """Return whether a query parameter is on: 1, true, yes or on. Raises UsageInvalid for what is neither."""
        value = (self.query(name) or "false").lower()
        if value not in _SWITCH:
            raise UsageInvalid(f"{name} is {value[:40]!r}.", hint=f"Write {name}=true or {name}=false.")
        return _SWITCH[value]

    def number(self, name: str, *, maximum: int) -> int | None:
        """Return a query parameter that is a whole number from 0 to `maximum`. Raises UsageInvalid."""
        value = self.query(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= 18 and int(value) <= maximum):
            raise UsageInvalid(f"{name} is {value[:40]!r}.", hint=f"Write a whole number up to {maximum:,}.")
        return int(value)

    @property
    def is_json(self) -> bool:
        return self.request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"

    def json(self) -> dict[str, Any]:
        """Return the body's JSON object; {} for an empty body. Raises UsageInvalid."""
        if not self.body:
            return {}
        if not self.is_json:
            raise UsageInvalid("The body is not JSON.", hint="Send Content-Type: application/json.")
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise UsageInvalid(f"The body is not JSON: {str(error)[:200]}.") from None
        if not isinstance(value, dict):
            raise UsageInvalid("The body is not a JSON object.", hint='Send an object, such as {"refs": ["model"]}.')
        return value

    def json_or_form(self) -> dict[str, Any]:
        """Return the body as a JSON object, or the lists of its fields: clients of the Hub send either."""
        is_form = self.request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        return dict(self.form()) if is_form else self.json()

    def form(self) -> dict[str, list[str]]:
        """Return the fields of a form (application/x-www-form-urlencoded). Raises UsageInvalid."""
        return form_fields(self.body)


def form_fields(body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form's body. Raises UsageInvalid."""
    try:
        return parse_qs(body.decode(), keep_blank_values=True, strict_parsing=False, max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise UsageInvalid("The form cannot be read.") from error


class JSONResponse(Response):
    """JSON as the verbs print it: escaped, so that a file name that is not valid Unicode can be sent."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


Handler = Callable[[Call], Response]


def _answer(handler: Handler, request: Request, body: bytes) -> Response:
    """Return the answer; if the database was replaced, it is opened again, and what only reads is asked again."""
    call = Call(request, body)
    home = call.context.home
    try:
        return handler(call)
    except DatabaseReplaced:
        call.context.reopen(home)
        if request.method not in ("GET", "HEAD"):
            raise
        return handler(Call(request, body))


def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return `handler` as a Starlette endpoint. The guard has read the body already, and limited it."""

    async def handle(request: Request) -> Response:
        return await run_in_threadpool(_answer, handler, request, await request.body())

    return handle
