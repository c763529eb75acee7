"""RFC 9457 problems as a client reads them."""

import httpx


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    """The answer is problem+json with this status and code, and no header invites another origin."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert {"type", "title", "detail", "hint", "retryable"} <= set(problem)
    assert "access-control-allow-origin" not in response.headers
