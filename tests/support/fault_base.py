"""The base of all faults: something that an origin, a proxy or a network does wrong, one small class each.

A fault has three hooks, of which each class needs one or two: `ask` changes what the origin takes for the request,
`change` the answer, `flow` the steps that go over the wire. When it strikes is a value too:

    Reset(after=3 * MIB).once()       the first GET, after 3 MiB of its body
    Status(503).first(2)              the first two requests
    Stall().nth(3)                    the third
    FlipByte(at=100).covering(100)    each request whose range covers byte 100
    Reset(after=9).from_byte(50)      each request that begins at byte 50 or later

Requests are counted from 1, each fault counting only those that it is for: GET where it needs a body, else GET and
HEAD, and of the span that was chosen. Several faults work in the order of the list.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from lib.origin.answer import Answer, Request, Span, Step

BODY_ONLY = ("GET",)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Strikes when both `turn` (which request, from 1) and `where` (which half-open span) say so."""

    methods: ClassVar[Sequence[str]] = ("GET", "HEAD")
    turn: Callable[[int], bool] = field(default=lambda index: True, repr=False)
    where: Callable[[Span], bool] = field(default=lambda span: True, repr=False)

    def applies(self, request_index: int, span: Span) -> bool:
        return self.where(span) and self.turn(request_index)

    def once(self) -> Self:
        return self.nth(1)

    def nth(self, number: int) -> Self:
        return replace(self, turn=lambda index: index == number)

    def first(self, count: int) -> Self:
        return replace(self, turn=lambda index: index <= count)

    def after_first(self) -> Self:
        return replace(self, turn=lambda index: index > 1)

    def covering(self, at: int) -> Self:
        return replace(self, where=lambda span: span[0] <= at < span[1])

    def from_byte(self, at: int) -> Self:
        return replace(self, where=lambda span: span[0] >= at)

    def ask(self, request: Request) -> Request:
        return request

    def change(self, answer: Answer) -> Answer:
        return answer

    def answer_to(self, request: Request, answer: Answer) -> Answer:
        """Return the answer to a request as this fault has it, where `change` must know the request."""
        return self.change(answer)

    def flow(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        return steps
