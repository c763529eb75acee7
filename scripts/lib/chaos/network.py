"""The origin and its network: counts bytes by worker and time, and injects faults on all paths or on one."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from support.fault_base import BODY_ONLY, Fault
from support.origin import Origin

from lib.origin.answer import Answer, Request, Step
from lib.origin.content import Piece
from lib.origin.flow import Counts


def who(request: Request) -> str:
    """Return the worker that sent the request: each has its own token (lib/chaos/workers.py)."""
    return request.headers.get("authorization", "").removeprefix("Bearer ")


class Tally(Counts):
    """Counts as Counts does, and also the bytes sent in each second (of `time.monotonic()`)."""

    def __init__(self) -> None:
        super().__init__()
        self.per_second: Counter[int] = Counter()

    def write(self, request: Request, send: Callable[[], int]) -> int:
        with self.changed:
            count = super().write(request, send)
            self.per_second[int(time.monotonic())] += count
        return count


@dataclass(frozen=True)
class TurnedOnce(Fault):
    """The byte at offset `at` of the file comes with all bits flipped, in the first answer that includes it."""

    methods = BODY_ONLY
    at: int = 0
    came: threading.Event = field(default_factory=threading.Event, repr=False)

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        place = self.at - answer.start
        for step in steps:
            if not isinstance(step, Piece):
                yield step
                continue
            if 0 <= place < len(step) and not self.came.is_set():
                self.came.set()
                yield b"".join((step[:place], bytes([step[place] ^ 0xFF]), step[place + 1 :]))
            else:
                yield step
            place -= len(step)


class Network(Origin):
    """An origin with a rate limit."""

    def __init__(self, rate_bps: float) -> None:
        super().__init__()
        self.counts = self.tally = Tally()
        self.rate_bps = rate_bps
        self._down, self._turn = False, threading.Lock()
        self._turning: list[tuple[str, TurnedOnce]] = []
        self.limit(total_bps=rate_bps)

    def inject_fault(self, fault: Fault) -> None:
        """Inject a fault into every request from now on."""
        for path in self._served:
            self.break_with(fault, path=path)

    def turn(self, path: str, at: int) -> None:
        """Flip one byte of a file the next time that it is sent."""
        self._turning.append((path, TurnedOnce(at=at)))
        self.clear_up()

    def turned(self, path: str) -> int:
        """Return the number of bytes of a file that were sent flipped."""
        return sum(fault.came.is_set() for where, fault in self._turning if where == path)

    def clear_up(self) -> None:
        """End all faults, except flips of bytes that were not sent yet."""
        for path in self._served:
            self.break_with(*(fault for where, fault in self._turning if where == path), path=path)
        with self._turn:
            if self._down:
                self.listen_again()
            self._down = False

    def restore(self) -> None:
        """End all faults, including the flips of bytes."""
        self._turning = [(path, fault) for path, fault in self._turning if fault.came.is_set()]
        self.clear_up()

    def go_down(self) -> None:
        """Reset every connection, and refuse new ones."""
        with self._turn:
            if not self._down:
                self.refuse()
            self._down = True
        self.drop_connections()
