"""`/api/openapi.json`: the OpenAPI 3.1 document, made from the table of operations and the manual of the verbs.

A parameter that is an option of a verb has the help text of that option, and every error code is that of `help errors`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.responses import Response

from flowhub_jobs import __version__
from flowhub_jobs.errors.guide import guides
from flowhub_jobs.operations.json_arguments import NUMBER, TEXT, Field, Schema, object_schema
from flowhub_jobs.web.api.route_table import Operation
from flowhub_jobs.web.call import Call, JSONResponse
from flowhub_jobs.web.problems import MEDIA_TYPE

PATH = "/api/openapi.json"
Manual = Mapping[str, Any]  # flowhub/help/1
_PARAMETER = re.compile(r"\{([a-z]+)(:[a-z]+)?\}")
_PATH: dict[str, tuple[Schema, str]] = {
    "job": ({**NUMBER, "minimum": 1}, "The number of a job."),
    "name": (TEXT, "The name of an installed model, as the list has it."),
    "model": (TEXT, "A model, model@option, or hf:owner/repo."),
}


def operations_with(api_operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Return all operations of the document, its own among them; `api_operations` are the API's."""
    document_operation = Operation("GET", PATH, None, "Return this document.", "object")
    health = Operation("GET", "/healthz", None, "Tell whether the server and its database answer.", "object")
    metrics = Operation("GET", "/metrics", None, "Return figures for Prometheus.", "text", media_type="text/plain")
    return (*api_operations, document_operation, health, metrics)


def document_of(operations: Iterable[Operation]) -> Callable[[Call], Response]:
    """Return the handler that answers with the document of these operations and its own."""

    def show_document(call: Call) -> Response:
        return JSONResponse(document(operations_with(operations), call.context.manual()))

    return show_document


def document(operations: Iterable[Operation], manual: Manual) -> dict[str, Any]:
    """Return the document. `manual` may be empty: then options have no help text of their verb."""
    verbs = {verb["name"]: verb for verb in manual.get("verbs", ())}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, verbs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "flowhub",
            "version": __version__,
            "description": "The queue, the catalogs, the library and the controls of one flowhub home.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "The token of web.token, in the home."}
            },
            "schemas": {"Problem": _problem()},
        },
    }


def _operation(operation: Operation, verbs: Manual) -> dict[str, Any]:
    verb = verbs.get(operation.verb or "", {})
    options = {name: option["help"] for option in verb.get("options", ()) for name in option["names"]}
    names = [(match[1], match[2] is not None) for match in _PARAMETER.finditer(operation.path)]
    path = [
        {"name": name, "in": "path", "required": True, "description": _PATH[name][1], "schema": _PATH[name][0]}
        for name, _ in names
    ]
    query = [
        {"name": field.name, "in": "query", "description": _help(field, options), "schema": field.schema}
        for field in operation.query
    ]
    entry: dict[str, Any] = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "parameters": [*path, *query],
        "responses": {str(status): _answer(operation) for status in operation.statuses} | {"default": _PROBLEM_ANSWER},
    }
    if operation.verb:
        entry["x-flowhub-verb"] = operation.verb
    if operation.body:
        entry["requestBody"] = _body(operation.body, options)
    if operation.path in ("/healthz", "/metrics"):
        entry["security"] = []
    return entry


def _operation_id(operation: Operation) -> str:
    parts = re.sub(r"[^a-z]+", " ", operation.path.removeprefix("/api/v1").removesuffix(".json").lower()).split()
    return "_".join([operation.method.lower(), *parts])


def _help(field: Field, options: Mapping[str, str | None]) -> str:
    return field.help or options.get(field.option or "") or ""


def _body(fields: Iterable[Field], options: Mapping[str, str | None]) -> dict[str, Any]:
    schema = object_schema(fields, lambda field: _help(field, options))
    return {"required": "required" in schema, "content": {"application/json": {"schema": schema}}}


def _answer(operation: Operation) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    if operation.media_type != "application/json":
        schema = {"type": "string"}
    elif operation.response_schema.startswith("flowhub/"):
        schema |= {"properties": {"schema": {"const": operation.response_schema}}, "required": ["schema"]}
    return {"description": operation.response_schema, "content": {operation.media_type: {"schema": schema}}}


_PROBLEM_ANSWER = {
    "description": "The request failed (RFC 9457).",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _problem() -> dict[str, Any]:
    keys = {
        "type": {"const": "about:blank"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "code": {"type": "string", "enum": sorted(guide.code for guide in guides())},
        "hint": {"type": ["string", "null"]},
        "retryable": {"type": "boolean"},
    }
    return {"type": "object", "properties": keys, "required": list(keys)}
