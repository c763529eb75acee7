"""Faults of the answer: its status, its headers, its content."""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from lib.origin.answer import Answer, Frame, Request, Step, text_answer
from lib.origin.content import Bytes, Piece

from support.fault_base import Fault


@dataclass(frozen=True)
class Status(Fault):
    code: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def change_answer(self, answer: Answer) -> Answer:
        bare = Answer(self.code).with_body(Bytes(self.body))
        return replace(bare, headers={**bare.headers, **self.headers})


@dataclass(frozen=True)
class Redirect(Fault):
    code: int = 302
    location: str = "/"

    def change_answer(self, answer: Answer) -> Answer:
        return text_answer(self.code, "", Location=self.location)


@dataclass(frozen=True)
class CookieWall(Fault):
    """A redirect until the cookie that comes with it is sent along: to the address itself, or to `location`."""

    cookie: str = "ok=1"
    attributes: str = "; Path=/"
    location: str | None = None

    def answer_to(self, request: Request, answer: Answer) -> Answer:
        if self.cookie in request.headers.get("cookie", "").split("; "):
            return answer
        return text_answer(302, "", Location=self.location or request.path, Set_Cookie=self.cookie + self.attributes)


@dataclass(frozen=True)
class LoginPage(Fault):
    """200 and an HTML page, as a captive portal or an expired session sends; padded to `size` bytes."""

    size: int = 0

    def change_answer(self, answer: Answer) -> Answer:
        page = "<!DOCTYPE html>\n<html><title>Sign in</title></html>\n"
        return text_answer(200, page.ljust(self.size), "text/html; charset=utf-8")


@dataclass(frozen=True)
class Empty(Fault):
    """200 with an empty body, as from a CDN edge that has not fetched the file yet."""

    def change_answer(self, answer: Answer) -> Answer:
        return text_answer(200, "", "application/octet-stream")


@dataclass(frozen=True)
class NoLength(Fault):
    """No Content-Length: chunked, or (`chunked=False`) ended by closing the connection."""

    chunked: bool = True

    def change_answer(self, answer: Answer) -> Answer:
        bare = answer.with_headers(Content_Length=None)
        if self.chunked:
            return bare.with_headers(Transfer_Encoding="chunked")
        return replace(bare, keep_alive=False)

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        return _chunked(steps) if self.chunked else steps


@dataclass(frozen=True)
class CustomChunks(Fault):
    """A chunked body with unusual framing: the ends of lines, the last chunk, the headers."""

    size_end: bytes = b"\r\n"
    data_end: bytes = b"\r\n"
    last: bytes = b"0\r\n\r\n"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Transfer-Encoding": "chunked"})
    keep_alive: bool = True

    def change_answer(self, answer: Answer) -> Answer:
        bare = answer.with_headers(Content_Length=None)
        return replace(bare, headers={**bare.headers, **self.headers}, keep_alive=self.keep_alive)

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        for step in steps:
            if isinstance(step, Piece) and len(step):
                yield Frame(b"%x" % len(step) + self.size_end)
                yield step
                yield Frame(self.data_end)
            else:
                yield step
        yield Frame(self.last)


@dataclass(frozen=True)
class WrongLength(Fault):
    """Content-Length is off by `by`; the connection closes after the bytes that really exist."""

    by: int = 1

    def change_answer(self, answer: Answer) -> Answer:
        length = answer.end - answer.start + self.by
        return replace(answer, keep_alive=False).with_headers(Content_Length=str(length))


@dataclass(frozen=True)
class EndlessBody(Fault):
    """200 without a length: the file from its first byte, then `more` bytes that do not belong to it."""

    more: int = 400_000

    def change_answer(self, answer: Answer) -> Answer:
        longer = Bytes(answer.content.read() + bytes(self.more))
        bare = Answer(200, answer.headers, keep_alive=False).with_body(longer)
        return bare.with_headers(Content_Range=None, Content_Length=None)


@dataclass(frozen=True)
class Gzip(Fault):
    """A body that is compressed and labelled so, although the request did not accept it.

    `coding` is the name; deflate is sent in zlib's format. `level` 0 stores without compression.
    """

    coding: str = "gzip"
    level: int = 0

    def change_answer(self, answer: Answer) -> Answer:
        compress = zlib.compress if self.coding == "deflate" else gzip.compress
        packed = compress(answer.content.read(answer.start, answer.end), self.level)
        return answer.with_body(Bytes(packed)).with_headers(Content_Encoding=self.coding)


@dataclass(frozen=True)
class UnlessAccepted(Fault):
    """The fault `other` for every request whose Accept-Encoding is not `wanted`."""

    wanted: str
    other: Fault

    def answer_to(self, request: Request, answer: Answer) -> Answer:
        return answer if request.headers.get("accept-encoding") == self.wanted else self.other.change_answer(answer)


@dataclass(frozen=True)
class FalseContentEncoding(Fault):
    """A Content-Encoding header on an uncompressed body."""

    coding: str

    def change_answer(self, answer: Answer) -> Answer:
        return answer.with_headers(Content_Encoding=self.coding)


@dataclass(frozen=True)
class WeakEtag(Fault):
    def change_answer(self, answer: Answer) -> Answer:
        return answer.with_headers(ETag=f"W/{answer.headers['ETag']}") if "ETag" in answer.headers else answer


@dataclass(frozen=True)
class UnquotedEtag(Fault):
    """An ETag as Azure Blob writes it for a request without x-ms-version. If-Range with it gets the whole file."""

    def change_answer(self, answer: Answer) -> Answer:
        return answer.with_headers(ETag=answer.headers["ETag"].strip('"')) if "ETag" in answer.headers else answer


@dataclass(frozen=True)
class NoEtag(Fault):
    def change_answer(self, answer: Answer) -> Answer:
        return answer.with_headers(ETag=None)


@dataclass(frozen=True)
class RejectsIfRange(Fault):
    """A request with If-Range gets this status. A 200 sends the whole file; a 206 has no validator."""

    code: int

    def change_request(self, request: Request) -> Request:
        if self.code != 200 or "if-range" not in request.headers:
            return request
        return replace(request, headers={name: text for name, text in request.headers.items() if name != "range"})

    def answer_to(self, request: Request, answer: Answer) -> Answer:
        if "if-range" not in request.headers or self.code == 200:
            return answer
        if self.code == 206:
            return answer.with_headers(ETag=None, Last_Modified=None)
        return Answer(self.code).with_body(Bytes(b""))


@dataclass(frozen=True)
class ChangeEtag(Fault):
    """Another validator for the same bytes, as from several servers behind one load balancer."""

    etag: str = '"another"'

    def change_answer(self, answer: Answer) -> Answer:
        return answer.with_headers(ETag=self.etag)


def _chunked(steps: Iterator[Step]) -> Iterator[Step]:
    """Yield the steps in chunked coding (RFC 9112 §7.1); an answer without a body is left as it is."""
    has_body = False
    for step in steps:
        if isinstance(step, Piece):
            yield from (Frame(b"%x\r\n" % len(step)), step, Frame(b"\r\n"))
            has_body = True
        else:
            yield step
    if has_body:
        yield Frame(b"0\r\n\r\n")
