"""Errors as RFC 9457 `application/problem+json`: `code`, `hint`, `retryable` next to `status`, `title`, `detail`."""

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from flowhub_jobs.errors import FlowhubError

MEDIA_TYPE = "application/problem+json"

_BY_CODE = {
    "not_found": 404,
    "busy": 409,
    "wrong_state": 409,
    "name_taken": 409,
    "usage": 422,
    "address_refused": 422,
    "does_not_fit": 422,
    "sign_in_required": 401,
    "forbidden": 403,
    "misdirected": 421,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "database_replaced": 503,
    "store_offline": 503,
    "partial_removed": 503,
    "too_many_files": 503,
    "too_many_threads": 503,
    "out_of_memory": 503,
    "timeout": 504,
}
# By the exit status of the command line: sign-in at a source, network or source, disk space, digest or size mismatch.
_BY_EXIT_STATUS = {4: 502, 5: 502, 6: 507, 8: 502}


def status_of(error: FlowhubError) -> int:
    """Return the HTTP status of an error; 500 for a fault of this machine."""
    return _BY_CODE.get(error.code) or _BY_EXIT_STATUS.get(error.exit_status, 500)


def problem_object(error: FlowhubError) -> dict[str, Any]:
    """Return an error in the shape of RFC 9457 §3, with the error object's own keys as extensions."""
    status = status_of(error)
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
        "retryable": error.retryable,
    }


def problem_response(error: FlowhubError) -> Response:
    """Return the answer to a program whose request failed."""
    content = json.dumps(problem_object(error), ensure_ascii=False).encode("utf-8", "replace")
    headers = {"www-authenticate": 'Bearer realm="flowhub"'} if status_of(error) == 401 else None
    return Response(content, status_of(error), headers, MEDIA_TYPE)
