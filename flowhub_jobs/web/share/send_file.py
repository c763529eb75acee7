"""Sends a file of the store: whole, a range, only its headers, or 304 if the client has it already."""

import os
from collections.abc import AsyncIterator, Mapping
from functools import partial
from urllib.parse import quote

import anyio
from starlette.responses import Response, StreamingResponse

from flowhub_jobs.operations.models_to_share import SharedFile, is_as_shared
from flowhub_jobs.web.share.ranges import RangeNotSatisfiable, byte_range, etag_matches

CHUNK = 1 << 20  # bytes
READERS = 16  # threads that read at once: more would only wait for the same disk
_readers: anyio.CapacityLimiter | None = None


class FileChanged(Exception):
    """The file is gone, or is not as it was verified."""


def open_shared(file: SharedFile) -> int:
    """Return a descriptor of the file as it was verified. Raises FileChanged."""
    try:
        descriptor = os.open(file.local_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise FileChanged from error
    if not is_as_shared(file, os.fstat(descriptor)):
        os.close(descriptor)
        raise FileChanged
    return descriptor


def send_file(
    method: str, request_headers: Mapping[str, str], file: SharedFile, headers: Mapping[str, str]
) -> Response:
    """Return the answer to GET or HEAD; `request_headers` are the request's. Raises FileChanged."""
    common = {
        **headers,
        "etag": f'"{file.etag}"',
        "accept-ranges": "bytes",
        "cache-control": "no-cache",
        "content-disposition": f"attachment; filename*=utf-8''{quote(file.path.rpartition('/')[2], safe='')}",
    }
    if "if-match" in request_headers and not etag_matches(request_headers["if-match"], file.etag, weak=False):
        return Response(status_code=412, headers=common)
    if etag_matches(request_headers.get("if-none-match"), file.etag, weak=True):
        return Response(status_code=304, headers=common)
    condition = request_headers.get("if-range")
    range_header = request_headers.get("range") if condition is None or condition.strip() == common["etag"] else None
    try:
        requested = byte_range(range_header, file.size)
    except RangeNotSatisfiable:
        return Response(status_code=416, headers=common | {"content-range": f"bytes */{file.size}"})
    start, end = requested or (0, file.size)
    if requested:
        common["content-range"] = f"bytes {start}-{end - 1}/{file.size}"
    common["content-length"] = str(end - start)
    status, media_type = 206 if requested else 200, "application/octet-stream"
    descriptor = open_shared(file)
    if method == "HEAD":
        os.close(descriptor)
        return Response(status_code=status, headers=common, media_type=media_type)
    return StreamingResponse(_chunks(descriptor, start, end), status, common, media_type)


async def _chunks(descriptor: int, start: int, end: int) -> AsyncIterator[bytes]:
    global _readers
    _readers = _readers or anyio.CapacityLimiter(READERS)
    try:
        while start < end:
            read = partial(os.pread, descriptor, min(CHUNK, end - start), start)
            chunk = await anyio.to_thread.run_sync(read, limiter=_readers)
            if not chunk:
                raise OSError("A shared file became shorter while it was sent.")
            start += len(chunk)
            yield chunk
    finally:
        os.close(descriptor)
