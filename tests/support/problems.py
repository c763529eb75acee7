"""Checks of RFC 9457 problems in HTTP responses."""

import httpx


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    """Check that the response is problem+json with this status and code, and that no header allows another origin."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert {"type", "title", "detail", "hint", "retryable"} <= set(problem)
    assert "access-control-allow-origin" not in response.headers
