"""All named faults in one namespace, and a server that injects them. fault_base.py explains faults."""

import ssl
import threading
from collections.abc import Iterator, Sequence

from lib.origin.answer import Request, Span, Step, steps_of
from lib.origin.flow import Bucket
from lib.origin.server import OriginServer

from support.answer_faults import (
    ChangeEtag,
    CookieWall,
    CustomChunks,
    Empty,
    EndlessBody,
    FalseContentEncoding,
    Gzip,
    LoginPage,
    NoEtag,
    NoLength,
    Redirect,
    RejectsIfRange,
    Status,
    UnlessAccepted,
    UnquotedEtag,
    WeakEtag,
    WrongLength,
)
from support.connection_faults import (
    CloseBeforeHeaders,
    CustomHead,
    EarlyClose,
    EndlessHead,
    FlipByte,
    Hold,
    NoHeaders,
    Reset,
    SlowAfter,
    Stall,
    StallAfterHeaders,
    Trickle,
)
from support.edge_faults import CrowdPenalty, SlowEdges
from support.fault_base import Fault
from support.range_faults import (
    AlwaysParts,
    CappedRange,
    CustomContentRange,
    DropsRange,
    IgnoreRange,
    LongRange,
    Multipart,
    NoContentRange,
    NoTotal,
    PartAs200,
    RefusesRanges,
    SecondByteOnly,
    ShiftedRange,
    ShortRange,
    WrongTotal,
)

__all__ = [
    "ALL_FAULTS",
    "AlwaysParts",
    "CappedRange",
    "ChangeEtag",
    "CloseBeforeHeaders",
    "CookieWall",
    "CustomChunks",
    "CustomContentRange",
    "CustomHead",
    "DropsRange",
    "EarlyClose",
    "Empty",
    "EndlessBody",
    "EndlessHead",
    "FalseContentEncoding",
    "Fault",
    "FaultyServer",
    "FlipByte",
    "Gzip",
    "Hold",
    "IgnoreRange",
    "LoginPage",
    "LongRange",
    "Multipart",
    "NoContentRange",
    "NoEtag",
    "NoHeaders",
    "NoLength",
    "NoTotal",
    "PartAs200",
    "Redirect",
    "RefusesRanges",
    "RejectsIfRange",
    "Reset",
    "SecondByteOnly",
    "ShiftedRange",
    "ShortRange",
    "SlowAfter",
    "Stall",
    "StallAfterHeaders",
    "Status",
    "Trickle",
    "UnlessAccepted",
    "UnquotedEtag",
    "WeakEtag",
    "WrongLength",
    "WrongTotal",
]

ALL_FAULTS: tuple[type[Fault], ...] = (
    Reset,
    EarlyClose,
    Empty,
    CloseBeforeHeaders,
    NoHeaders,
    Stall,
    StallAfterHeaders,
    Hold,
    Trickle,
    SlowAfter,
    EndlessHead,
    CustomHead,
    CustomChunks,
    IgnoreRange,
    ShiftedRange,
    LongRange,
    ShortRange,
    CappedRange,
    WrongTotal,
    NoTotal,
    NoContentRange,
    Multipart,
    AlwaysParts,
    SecondByteOnly,
    PartAs200,
    CustomContentRange,
    RefusesRanges,
    DropsRange,
    Status,
    Redirect,
    CookieWall,
    LoginPage,
    NoLength,
    WrongLength,
    EndlessBody,
    Gzip,
    FalseContentEncoding,
    UnlessAccepted,
    SlowEdges,
    CrowdPenalty,
    FlipByte,
    UnquotedEtag,
    WeakEtag,
    NoEtag,
    ChangeEtag,
    RejectsIfRange,
)


class Plan:
    """The faults of one path, and for each the number of requests so far that it is for."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = faults
        self._counts = [0] * len(faults)
        self._lock = threading.Lock()

    def due(self, method: str, span: Span) -> list[Fault]:
        """Count this request, and return the faults that affect it, in order."""
        due = []
        with self._lock:
            for number, fault in enumerate(self._faults):
                if method in fault.methods and fault.where(span):
                    self._counts[number] += 1
                    if fault.applies(self._counts[number], span):
                        due.append(fault)
        return due


class FaultyServer(OriginServer):
    """A server with a plan of faults for each path; None is the plan for all other paths."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, total: Bucket | None = None) -> None:
        self.plans: dict[str | None, Plan] = {}
        super().__init__(tls=tls, total=total)

    def break_with(self, *faults: Fault, path: str | None = None) -> None:
        """Inject these faults from now on, instead of earlier ones; without arguments the server is correct again."""
        self.plans[path] = Plan(faults)

    def respond(self, request: Request) -> Iterator[Step]:
        answer = self.answer(request)
        plan = self.plans.get(request.path) or self.plans.get(None) or Plan(())
        due = plan.due(request.method, (answer.start, answer.end))
        effective_request = request
        for fault in due:
            effective_request = fault.change_request(effective_request)
        if effective_request is not request:
            answer = self.answer(effective_request)
        for fault in due:
            answer = fault.answer_to(request, answer)
        steps = steps_of(answer, request.method)
        for fault in due:
            steps = fault.change_steps(steps, answer)
        return steps
