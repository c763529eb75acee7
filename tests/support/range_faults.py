"""Faults of ranges: answers with another part than the requested one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lib.origin.answer import Answer, Request, Span, Step
from lib.origin.content import Bytes

from support.connection_faults import CloseBeforeHeaders
from support.fault_base import Fault


@dataclass(frozen=True)
class IgnoreRange(Fault):
    """The whole file with status 200, for any requested range."""

    def change_request(self, request: Request) -> Request:
        return replace(request, headers={name: text for name, text in request.headers.items() if name != "range"})


@dataclass(frozen=True)
class MovedRange(Fault):
    """The base of faults that answer with another range than requested, and say so in Content-Range."""

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
    """The range begins and ends `by` bytes later than requested (earlier, if negative)."""

    by: int = 1

    def moved(self, span: Span) -> Span:
        return span[0] + self.by, span[1] + self.by


@dataclass(frozen=True)
class LongRange(MovedRange):
    """The range ends `by` bytes later than requested, or at the end of the file."""

    by: int = 1

    def moved(self, span: Span) -> Span:
        return span[0], span[1] + self.by


@dataclass(frozen=True)
class ShortRange(MovedRange):
    """The range ends `by` bytes earlier than requested."""

    by: int = 1

    def moved(self, span: Span) -> Span:
        return span[0], max(span[0] + 1, span[1] - self.by)


@dataclass(frozen=True)
class CappedRange(MovedRange):
    """At most `most` bytes in each answer, as from some CDNs; this is legal."""

    most: int = 1 << 20

    def moved(self, span: Span) -> Span:
        return span[0], min(span[1], span[0] + self.most)


@dataclass(frozen=True)
class AlwaysParts(Fault):
    """The first `most` bytes of the requested part as status 206, even for a request without a range."""

    most: int = 1 << 20

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status not in (200, 206):
            return answer
        return replace(answer, status=206).with_span(answer.start, min(answer.end, answer.start + self.most))


@dataclass(frozen=True)
class SecondByteOnly(Fault):
    """A 206 with the second byte of the file, for every request."""

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
    """A Content-Range in another form: first byte `a`, last byte `b`, file size `t`, length of the part `n`."""

    form: str

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        values = {"a": answer.start, "b": answer.end - 1, "t": answer.content.size, "n": answer.end - answer.start}
        return answer.with_headers(Content_Range=self.form.format(**values))


@dataclass(frozen=True)
class RefusesRanges(Fault):
    """This status for requests whose Range header meets `condition`; `size` adds the size of the file."""

    code: int
    condition: Callable[[str, int], bool]
    size: bool = False

    def answer_to(self, request: Request, answer: Answer) -> Answer:
        total = answer.content.size
        if request.range is None or not self.condition(request.range, total):
            return answer
        refusal = Answer(self.code).with_body(Bytes(b""))
        return refusal.with_headers(Content_Range=f"bytes */{total}") if self.size else refusal


def any_range(header: str, size: int) -> bool:
    return True


def has_end(header: str, size: int) -> bool:
    return not header.endswith("-")


def ends_past_the_file(header: str, size: int) -> bool:
    return has_end(header, size) and int(header.rpartition("-")[2]) >= size


def is_long(header: str, size: int) -> bool:
    """Return whether a range is longer than a MiB, or has no end."""
    first, _, last = header.removeprefix("bytes=").partition("-")
    return not last or int(last) - int(first) >= 1 << 20


def begins_in_the_middle(header: str, size: int) -> bool:
    return not header.startswith("bytes=0-")


@dataclass(frozen=True)
class DropsRange(Fault):
    """The connection closes without an answer if the request has a range."""

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
    """A 206 without the size of the file: `bytes 0-99/*`."""

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        return answer.with_headers(Content_Range=f"bytes {answer.start}-{answer.end - 1}/*")


@dataclass(frozen=True)
class NoContentRange(Fault):
    """A 206 without Content-Range."""

    def change_answer(self, answer: Answer) -> Answer:
        return answer.with_headers(Content_Range=None)


@dataclass(frozen=True)
class Multipart(Fault):
    """A 206 whose only range is wrapped as multipart/byteranges, although only one range was requested."""

    def change_answer(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        part_head = f"Content-Range: {answer.headers['Content-Range']}\r\n\r\n".encode()
        part = answer.content.read(answer.start, answer.end)
        wrapped = answer.with_body(Bytes(b"--cut\r\n" + part_head + part + b"\r\n--cut--\r\n"))
        return wrapped.with_headers(Content_Range=None, Content_Type="multipart/byteranges; boundary=cut")
