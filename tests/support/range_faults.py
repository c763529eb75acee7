"""Faults of ranges: answers that are about another part than the one asked for."""

from dataclasses import dataclass, replace

from origin_answer import Answer, Request, Span
from origin_content import Bytes

from support.fault import Fault


@dataclass(frozen=True)
class IgnoreRange(Fault):
    """The whole with 200, whatever range was asked."""

    def ask(self, request: Request) -> Request:
        return replace(request, headers={name: text for name, text in request.headers.items() if name != "range"})


@dataclass(frozen=True)
class MovedRange(Fault):
    """The base of those that answer another range than asked, and say so in Content-Range."""

    def change(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        start, end = self.moved((answer.start, answer.end))
        end = max(1, min(end, answer.content.size))
        return answer.with_span(max(0, min(start, end - 1)), end)

    def moved(self, span: Span) -> Span:
        raise NotImplementedError


@dataclass(frozen=True)
class ShiftedRange(MovedRange):
    """The range begins and ends `by` bytes later than asked (earlier, if negative)."""

    by: int = 1

    def moved(self, span: Span) -> Span:
        return span[0] + self.by, span[1] + self.by


@dataclass(frozen=True)
class LongRange(MovedRange):
    """The range ends `by` bytes after what was asked, as far as there are any."""

    by: int = 1

    def moved(self, span: Span) -> Span:
        return span[0], span[1] + self.by


@dataclass(frozen=True)
class ShortRange(MovedRange):
    """The range ends `by` bytes before what was asked."""

    by: int = 1

    def moved(self, span: Span) -> Span:
        return span[0], max(span[0] + 1, span[1] - self.by)


@dataclass(frozen=True)
class CappedRange(MovedRange):
    """No more than `most` bytes an answer, as some CDNs do; legal, if the client looks."""

    most: int = 1 << 20

    def moved(self, span: Span) -> Span:
        return span[0], min(span[1], span[0] + self.most)


@dataclass(frozen=True)
class WrongTotal(Fault):
    """Content-Range names a total that is off by `by`."""

    by: int = 1

    def change(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        total = answer.content.size + self.by
        return answer.with_headers(Content_Range=f"bytes {answer.start}-{answer.end - 1}/{total}")


@dataclass(frozen=True)
class NoTotal(Fault):
    """A 206 that keeps the size of the file to itself: `bytes 0-99/*`."""

    def change(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        return answer.with_headers(Content_Range=f"bytes {answer.start}-{answer.end - 1}/*")


@dataclass(frozen=True)
class NoContentRange(Fault):
    """A 206 that does not say which part it is."""

    def change(self, answer: Answer) -> Answer:
        return answer.with_headers(Content_Range=None)


@dataclass(frozen=True)
class Multipart(Fault):
    """A 206 whose one range is wrapped as multipart/byteranges, though one range was asked."""

    def change(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        about = f"Content-Range: {answer.headers['Content-Range']}\r\n\r\n".encode()
        part = answer.content.read(answer.start, answer.end)
        wrapped = answer.with_body(Bytes(b"--cut\r\n" + about + part + b"\r\n--cut--\r\n"))
        return wrapped.with_headers(Content_Range=None, Content_Type="multipart/byteranges; boundary=cut")
