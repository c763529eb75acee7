"""The answers of a correct origin: ranges, validators and the steps that go over the wire. Pure."""

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from lib.origin.content import Bytes, Content, Piece

Span = tuple[int, int]


@dataclass
class Request:
    """One request and its answer. Header names are lower-case, `at` is `time.monotonic()`.

    `path` is without the query, percent-encoded. `range` is the Range header's text or None.
    `status` is None until the head of the answer is sent; `bytes_sent` counts body bytes handed to the socket.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    at: float
    status: int | None = None
    bytes_sent: int = 0
    done: bool = False

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass(frozen=True)
class Head:
    """Status line and headers. Without `keep_alive` the connection ends after the body."""

    status: int
    headers: Mapping[str, str]
    keep_alive: bool = True


@dataclass(frozen=True)
class Frame:
    """Bytes of the framing (chunk sizes), which no count includes."""

    data: bytes


class Sender(Protocol):
    """The interface of `Connection` for actions."""

    sock: socket.socket

    def hang_up(self) -> None: ...

    def reset(self) -> None: ...


Action = Callable[[Sender], None]
Step = Head | Frame | Piece | Action
NOTHING = Bytes(b"")


@dataclass(frozen=True)
class Answer:
    """A response as a value: the body is [start, end) of the content."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: Content = NOTHING
    start: int = 0
    end: int = 0
    keep_alive: bool = True

    def with_headers(self, **headers: str | None) -> "Answer":
        """Return it with headers set, or removed if None; `_` in a name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        merged: dict[str, str | None] = {**self.headers, **named}
        return replace(self, headers={name: value for name, value in merged.items() if value is not None})

    def with_span(self, start: int, end: int) -> "Answer":
        """Return it with another part of the content, and correct headers for that part."""
        moved = replace(self, start=start, end=end).with_headers(Content_Length=str(end - start))
        if self.status != 206:
            return moved
        return moved.with_headers(Content_Range=f"bytes {start}-{end - 1}/{self.content.size}")

    def with_body(self, content: Content) -> "Answer":
        return replace(self, content=content, start=0, end=content.size).with_headers(Content_Length=str(content.size))


def text_answer(status: int, text: str, kind: str = "text/plain; charset=utf-8", **headers: str) -> Answer:
    """Return an answer with a short text; `_` in a header's name stands for `-`."""
    return Answer(status).with_body(Bytes(text.encode())).with_headers(Content_Type=kind, **headers)


def parse_range(header: str | None, size: int) -> Span | None:
    """Return the requested half-open span (RFC 9110 §14.1.2), None for the whole.

    An empty span cannot be satisfied. Several ranges, other units and nonsense are ignored, as the RFC allows.
    """
    match = re.fullmatch(r"bytes=\s*(\d*)-(\d*)\s*", header or "")
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return min(int(first), size), min(int(last) + 1, size) if last else size


def content_answer(request: Request, content: Content, etag: str, extra: Mapping[str, str]) -> Answer:
    """Return 200, 206, 304 or 416 for a request of this content (RFC 9110 §13.1.2, §13.1.5, §14)."""
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": etag, **extra}
    if request.headers.get("if-none-match") == etag:
        return Answer(304, headers)
    validators = {etag, extra.get("Last-Modified", etag)}
    span = parse_range(request.range, content.size) if _range_holds(request, validators) else None
    if span is None:
        return Answer(200, headers, content).with_span(0, content.size)
    if span[0] == span[1]:
        return Answer(416, {**headers, "Content-Range": f"bytes */{content.size}", "Content-Length": "0"})
    return Answer(206, headers, content).with_span(*span)


def _range_holds(request: Request, validators: set[str]) -> bool:
    """Return whether If-Range allows the range: its strong ETag or Last-Modified must be equal."""
    condition = request.headers.get("if-range")
    return condition is None or (condition in validators and not condition.startswith("W/"))


def steps_of(answer: Answer, method: str) -> Iterator[Step]:
    """Yield the steps of an answer: the head, then the body unless the method is HEAD."""
    yield Head(answer.status, answer.headers, answer.keep_alive)
    if method != "HEAD":
        yield from answer.content.pieces(answer.start, answer.end)
