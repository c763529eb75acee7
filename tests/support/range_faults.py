"""Faults of ranges: answers that are about another part than the one asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lib.origin.answer import Answer, Request, Span, Step
from lib.origin.content import Bytes

from support.connection_faults import CloseBeforeHeaders
from support.fault_base import Fault


@dataclass(frozen=True)
class IgnoreRange(Fault):
    """The whole with 200, whatever range was asked."""

    def change_request(self, request: Request) -> Request:
        return replace(request, headers={name: text for name, text in request.headers.items() if name != "range"})


@dataclass(frozen=True)
class MovedRange(Fault):
    """The base of those that answer another range than asked, and say so in Content-Range."""

    def change_answer(self, answer: Answer) -> Answer:
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
class AlwaysParts(Fault):
    """The first `most` bytes of whatever was asked for, also where no range was, as status 206."""

    most: int = 1 << 20

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status not in (200, 206):
            return answer
        return replace(answer, status=206).with_span(answer.start, min(answer.end, answer.start + self.most))


@dataclass(frozen=True)
class SecondByteOnly(Fault):
    """Each answer is a 206 of the second byte, whatever was asked for."""

    def change_answer(self, answer: Answer) -> Answer:
        return replace(answer, status=206).with_span(1, 2)


@dataclass(frozen=True)
class PartAs200(Fault):
    """A part with status 200, as modelscope_hub #50 has it; `content_range=False` also without Content-Range."""

    content_range: bool = True

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        part = replace(answer, status=200)
        return part if self.content_range else part.with_headers(Content_Range=None)


@dataclass(frozen=True)
class CustomContentRange(Fault):
    """A Content-Range in another form: `a` first and `b` last byte, `t` size of the file, `n` length of the part."""

    form: str

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        values = {"a": answer.start, "b": answer.end - 1, "t": answer.content.size, "n": answer.end - answer.start}
        return answer.with_headers(Content_Range=self.form.format(**values))


@dataclass(frozen=True)
class RefusesRanges(Fault):
    """A status for requests whose Range header `dislikes` says so of; with the size of the file where `size`."""

    code: int
    dislikes: Callable[[str, int], bool]
    size: bool = False

    def answer_to(self, request: Request, answer: Answer) -> Answer:
        total = answer.content.size
        if request.range is None or not self.dislikes(request.range, total):
            return answer
        refusal = Answer(self.code).with_body(Bytes(b""))
        return refusal.with_headers(Content_Range=f"bytes */{total}") if self.size else refusal


def is_ranged(header: str, size: int) -> bool:
    return True


def has_end(header: str, size: int) -> bool:
    return not header.endswith("-")


def ends_behind(header: str, size: int) -> bool:
    return has_end(header, size) and int(header.rpartition("-")[2]) >= size


def is_long(header: str, size: int) -> bool:
    """Return whether a range is longer than a MiB, or has no end."""
    first, _, last = header.removeprefix("bytes=").partition("-")
    return not last or int(last) - int(first) >= 1 << 20


def begins_in_the_middle(header: str, size: int) -> bool:
    return not header.startswith("bytes=0-")


@dataclass(frozen=True)
class DropsRange(Fault):
    """The connection is closed without a word where a range was asked for."""

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        return CloseBeforeHeaders().change_steps(steps, answer) if answer.status == 206 else steps


@dataclass(frozen=True)
class WrongTotal(Fault):
    """Content-Range names a total that is off by `by`."""

    by: int = 1

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        total = answer.content.size + self.by
        return answer.with_headers(Content_Range=f"bytes {answer.start}-{answer.end - 1}/{total}")


@dataclass(frozen=True)
class NoTotal(Fault):
    """A 206 that keeps the size of the file to itself: `bytes 0-99/*`."""

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        return answer.with_headers(Content_Range=f"bytes {answer.start}-{answer.end - 1}/*")


@dataclass(frozen=True)
class NoContentRange(Fault):
    """A 206 that does not say which part it is."""

    def change_answer(self, answer: Answer) -> Answer:
        return answer.with_headers(Content_Range=None)


@dataclass(frozen=True)
class Multipart(Fault):
    """A 206 whose one range is wrapped as multipart/byteranges, though one range was asked."""

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        about = f"Content-Range: {answer.headers['Content-Range']}\r\n\r\n".encode()
        part = answer.content.read(answer.start, answer.end)
        wrapped = answer.with_body(Bytes(b"--cut\r\n" + about + part + b"\r\n--cut--\r\n"))
        return wrapped.with_headers(Content_Range=None, Content_Type="multipart/byteranges; boundary=cut")
