"""Faults of a CDN's edges: connections that stay slow, and hosts that crawl under many connections."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from lib.origin.answer import Answer, Step
from lib.origin.connection import Connection

from support.fault_base import BODY_ONLY, Fault


@dataclass(frozen=True)
class SlowEdges(Fault):
    """Each connection keeps its rate: one in `of` connections has `fast_bps`, the others have `slow_bps`.

    `first_is_fast` says whether the first one is fast.
    """

    methods = BODY_ONLY
    slow_bps: float = 1e5
    fast_bps: float = 2e6
    of: int = 3
    first_is_fast: bool = True
    connections: list[Connection] = field(default_factory=list, repr=False)

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        yield self._set_rate
        yield from steps

    def _set_rate(self, connection: Connection) -> None:
        if connection not in self.connections:
            self.connections.append(connection)
            fast = (len(self.connections) - 1 + (not self.first_is_fast)) % self.of == 0
            connection.bucket.set_rate(self.fast_bps if fast else self.slow_bps)


@dataclass(frozen=True)
class CrowdPenalty(Fault):
    """More than `most` connections at once make all crawl (`crawl_bps`) for `seconds`; else each has `each_bps`."""

    methods = BODY_ONLY
    most: int = 6
    each_bps: float = 1e6
    crawl_bps: float = 10e3
    seconds: float = 1.0
    crawls_until: list[float] = field(default_factory=lambda: [0.0], repr=False)

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        for step in steps:
            if isinstance(step, bytes | memoryview):
                for at in range(0, len(step), 8192):
                    yield self._set_rate
                    yield step[at : at + 8192]
            else:
                yield step

    def _set_rate(self, connection: Connection) -> None:
        now = time.monotonic()
        if connection.server.open_connections > self.most:
            self.crawls_until[0] = now + self.seconds
        rate = self.crawl_bps if now < self.crawls_until[0] else self.each_bps
        if connection.bucket._rate != rate:
            connection.bucket.set_rate(rate)
