"""`/api/v1/events`: Server-Sent Events `job`, `installed` and `controls`, as the rows change."""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flowhub_jobs.operations.json_arguments import TEXT, Field
from flowhub_jobs.web.api.route_table import Operation
from flowhub_jobs.web.call import CONTEXT
from flowhub_jobs.web.live import LiveChanges, as_sse

MEDIA_TYPE = "text/event-stream"
RETRY_MS = 1000  # after which a browser connects again
KEEP_ALIVE_S = 15.0  # a comment, so that neither side takes a quiet connection for a dead one


async def stream_events(request: Request) -> Response:
    """Answer with the changes after `Last-Event-ID`; a first connection may give it as `?last_event_id=`."""
    last_event_id = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
    headers = {"x-accel-buffering": "no"}
    if request.method == "HEAD":  # a stream without a body would never end
        return Response(headers=headers, media_type=MEDIA_TYPE)
    live = request.scope[CONTEXT].live
    return StreamingResponse(_events(live, last_event_id), media_type=MEDIA_TYPE, headers=headers)


async def _events(live: LiveChanges, last_event_id: str | None) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    async with live.subscribe(last_event_id) as subscription:
        yield as_sse(subscription.first)
        while True:
            try:
                batch = await subscription.next(KEEP_ALIVE_S)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if batch is None:
                return
            yield as_sse(batch)


OPERATIONS = (
    Operation(
        "GET",
        "/api/v1/events",
        None,
        "Follow changes: Server-Sent Events `job`, `installed`, `controls`.",
        "text",
        media_type=MEDIA_TYPE,
        query=(Field("last_event_id", TEXT, help="As the header Last-Event-ID, which a browser cannot set."),),
        stream=stream_events,
    ),
)
