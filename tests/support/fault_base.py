"""The base of all faults: something that an origin, a proxy or a network does wrong, one small class each.

Each class overrides one or two of three hooks: `change_request` changes the request as the origin reads it,
`change_answer` the answer, `change_steps` the steps that go over the wire. A value says which requests a fault affects:

    Reset(after=3 * MIB).once()       the first GET, after 3 MiB of its body
    Status(503).first(2)              the first two requests
    Stall().nth(3)                    the third
    FlipByte(at=100).covering(100)    each request whose range covers byte 100
    Reset(after=9).from_byte(50)      each request that begins at byte 50 or later

Each fault counts, from 1, the requests that it is for: GET where it needs a body, else GET and HEAD, and only those of
the chosen span. Several faults are applied in the order of the list.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from lib.origin.answer import Answer, Request, Span, Step

BODY_ONLY = ("GET",)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Affects a request when both `turn` (its number, from 1) and `where` (its half-open span) say so."""

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

    def change_request(self, request: Request) -> Request:
        return request

    def change_answer(self, answer: Answer) -> Answer:
        return answer

    def answer_to(self, request: Request, answer: Answer) -> Answer:
        """Return the changed answer to a request; overridden where `change_answer` would need the request."""
        return self.change_answer(answer)

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        return steps
