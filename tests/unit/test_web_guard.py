"""The web guard: it reads the whole body of a request or none, and knows the paths of the share."""

import pytest
from support.event_loops import run_to_end

from flowhub_jobs.errors import BodyTooLarge, UsageInvalid
from flowhub_jobs.web.guard import BODY_MAX, SHARED, _read_body


def body_of(*messages):
    """Return the body that these ASGI messages make."""
    remaining = list(messages)

    async def receive():
        return remaining.pop(0)

    return run_to_end(_read_body(receive))


def part(content, *, more):
    return {"type": "http.request", "body": content, "more_body": more}


def test_a_body_in_parts_is_put_together():
    assert body_of(part(b"ab", more=True), part(b"c", more=False)) == b"abc"


def test_half_of_a_body_is_refused():
    """The first half may be a form with the page's token and fewer fields."""
    with pytest.raises(UsageInvalid):
        body_of(part(b"page_token=x&ref=a", more=True), {"type": "http.disconnect"})


def test_a_body_beyond_the_limit_is_refused():
    assert len(body_of(part(b"x" * BODY_MAX, more=False))) == BODY_MAX
    with pytest.raises(BodyTooLarge):
        body_of(part(b"x" * BODY_MAX, more=True), part(b"x", more=False))


@pytest.mark.parametrize(
    "path",
    ["/catalog.json", "/api/models", "/api/models/o/r/tree/main", "/o/r/resolve/m/a/b", "/datasets/o/r/resolve/m/x"],
)
def test_a_path_of_the_share_is_shared(path):
    assert SHARED.fullmatch(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1/jobs",
        "/models/o/resolve/x",
        "/models/hf:o/r",
        "/o/r/resolve/main/",
        "/catalog.json/x",
        "/api/modelsx",
    ],
)
def test_any_other_path_is_not_shared(path):
    assert not SHARED.fullmatch(path)
