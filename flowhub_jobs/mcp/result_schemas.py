"""JSON Schemas of the structured results: the keys of the public JSON that an agent works with.

An object may have further keys; docs/json.md describes them all.
"""

from collections.abc import Mapping
from typing import Any

from flowhub_jobs.errors import ERRORS
from flowhub_jobs.values.enums import Fit, Reason, Stage, State

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "integer"}
_NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
_FIGURE_OR_NULL: Schema = {"type": ["number", "null"]}
_OBJECT: Schema = {"type": "object"}
_OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}


def result_schema(answer: str) -> dict[str, Any]:
    """Return the schema of a result without an error. `notes` are sentences for the user."""
    keys = {"schema": {"const": answer}, **_KEYS[answer], "notes": _list(_TEXT)}
    return _object(keys)


def error_schema() -> dict[str, Any]:
    """Return the schema of a result with an error."""
    return _object(
        {
            "error": _object(
                {
                    "code": {"type": "string", "enum": sorted(ERRORS)},
                    "message": _TEXT,
                    "hint": _TEXT_OR_NULL,
                    "retryable": {"type": "boolean"},
                }
            )
        }
    )


def _object(keys: Mapping[str, Schema]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(keys), "required": list(keys)}


def _list(items: Schema) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _enum(values: Any, *, null: bool) -> dict[str, Any]:
    return {"enum": [*values, None] if null else [*values]}


_JOB = _object(
    {
        "id": _NUMBER,
        "ref": _TEXT,
        "state": _enum(State, null=False),
        "stage": _enum(Stage, null=True),
        "reason": _enum(Reason, null=True),
        "priority": _NUMBER,
        "group": _TEXT_OR_NULL,
        "bytes_total": _NUMBER_OR_NULL,
        "bytes_done": _NUMBER,
        "rate_bps": _FIGURE_OR_NULL,
        "eta_s": _FIGURE_OR_NULL,
        "not_before": _TEXT_OR_NULL,
        "target": _TEXT,
        "finished_at": _TEXT_OR_NULL,
        "error": _OBJECT_OR_NULL,
        "wait": _OBJECT_OR_NULL,
    }
)
_VARIANT: dict[str, Schema] = {
    "ref": _TEXT,
    "option": _TEXT_OR_NULL,
    "bytes": _NUMBER_OR_NULL,
    "fit": _enum(Fit, null=False),
    "why": _TEXT,
}
_FOUND = _object(
    {
        "id": _TEXT,
        "name": _TEXT,
        "parameters": _TEXT_OR_NULL,
        "license": _TEXT_OR_NULL,
        "context_length": _NUMBER_OR_NULL,
        "best": _TEXT,
        "variants": _list(_object(_VARIANT)),
    }
)
_INSTALLED = _object(
    {
        "name": _TEXT,
        "model": _TEXT_OR_NULL,
        "option": _TEXT_OR_NULL,
        "format": _TEXT_OR_NULL,
        "path": _TEXT,
        "bytes": _NUMBER,
        "sha256": _TEXT_OR_NULL,
        "condition": _TEXT,
    }
)
_NEED = _object(
    {"job": _NUMBER_OR_NULL, "ref": _TEXT_OR_NULL, "code": _TEXT_OR_NULL, "message": _TEXT, "hint": _TEXT_OR_NULL}
)
_KEYS: dict[str, dict[str, Schema]] = {
    "flowhub/jobs/1": {"jobs": _list(_JOB)},
    "flowhub/search/1": {"total": _NUMBER, "models": _list(_FOUND), "corrected": _OBJECT_OR_NULL},
    "flowhub/fits/1": {"device": _OBJECT, "variants": _list(_object(_VARIANT))},
    "flowhub/installed/1": {"models": _list(_INSTALLED), "partials": _list(_OBJECT), "store": _OBJECT},
    "flowhub/path/1": {"path": _TEXT, "name": _TEXT, "format": _TEXT_OR_NULL, "folder": {"type": "boolean"}},
    "flowhub/report/1": {
        "since": _TEXT,
        "until": _TEXT,
        "came": _list(_OBJECT),
        "healed": _list(_OBJECT),
        "going": _list(_OBJECT),
        "needs_you": _list(_NEED),
        "totals": _OBJECT,
    },
}
