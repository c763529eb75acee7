"""A fleet in virtual time: no process, no socket. flowhub's code makes the decisions; the rates are a simple model.

A source's uplink is divided equally among its flows, and so is a node's downlink; a flow has the lower of both shares.
A waiting run finds a free place at once, while a worker looks for one every few seconds.
"""

from collections import Counter
from dataclasses import dataclass, field

from flowhub_jobs.errors import ServerBusy
from flowhub_jobs.jobs.node_shares import Copy, in_order
from flowhub_jobs.jobs.nodes_per_file_limit import has_room
from flowhub_jobs.transfer.mirror_choice import UNTRIED, AddressHealth, after_fault, choose
from flowhub_jobs.web.share.blobs import BUSY_S
from flowhub_jobs.web.share_admission import ReaderLimiter

ORIGIN, SLOTS, READERS = "origin", 3, 2
DUST = 1.0  # bytes: smaller differences are rounding errors


@dataclass(frozen=True, slots=True)
class Network:
    """Nodes, files and rates; sizes are bytes, rates bytes per second."""

    nodes: int
    files: int
    size: float
    origin_bps: float
    node_bps: float


@dataclass(slots=True, eq=False)
class Flow:
    """A transfer of a file to a node. `addresses` are the nodes with copies and, last, the origin."""

    node: str
    file: int
    left: float
    addresses: list[str]
    healths: list[AddressHealth]
    source: str = ORIGIN
    bps: float = 0.0


@dataclass(slots=True)
class Outcome:
    """`origin_bytes` and the time until the last node has the last file."""

    seconds: float = 0.0
    origin_bytes: float = 0.0


@dataclass
class Simulation:
    network: Network
    share: bool
    now: float = 0.0
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self._names = [f"n{number:04}" for number in range(self.network.nodes)]
        self._has: dict[str, set[int]] = {name: set() for name in self._names}
        self._waiting = {name: list(range(self.network.files)) for name in self._names}
        self._readers = {name: ReaderLimiter(READERS, lambda: self.now) for name in self._names}
        self._flows: list[Flow] = []
        self._flows_of: dict[str, list[Flow]] = {name: [] for name in self._names}
        self._copies: list[list[str]] = [[] for _ in range(self.network.files)]
        self._downloads: Counter[int] = Counter()  # by file

    def run(self) -> Outcome:
        self._start()
        while self._flows:
            self._set_rates()
            step = min(flow.left / flow.bps for flow in self._flows)
            retries = [until for flow in self._flows if (until := self._retry_at(flow)) is not None]
            self._advance(max(0.0, min([step, *(until - self.now for until in retries)])))
            self._finish()
            self._start()
            for flow in self._flows if retries else ():
                if (until := self._retry_at(flow)) is not None and until <= self.now:
                    self._connect(flow)
        self.outcome.seconds = self.now
        return self.outcome

    # Begin and end -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start flows for the waiting files of each node, up to its slots and to the free places."""
        full = set[int]()
        for name in self._names:
            free = SLOTS - len(self._flows_of[name])
            for file in self._waiting[name][:free]:
                if file in full or not self._has_place(file):
                    full.add(file)
                    continue
                self._waiting[name].remove(file)
                self._begin(name, file)

    def _has_place(self, file: int) -> bool:
        if not self.share:
            return True
        copies = self._copies[file]
        held = {other for name in copies for other in self._has[name]} if copies else {file}
        return has_room(sum(self._downloads[other] for other in held), len(copies), READERS)

    def _begin(self, name: str, file: int) -> None:
        copies = [Copy(other, "", here=False) for other in self._copies[file]] if self.share else []
        addresses = [copy.node for copy in in_order(name, copies, str(file))] + [ORIGIN]
        flow = Flow(name, file, self.network.size, addresses, [UNTRIED] * len(addresses))
        self._flows.append(flow)
        self._flows_of[name].append(flow)
        self._downloads[file] += 1
        self._connect(flow)

    def _finish(self) -> None:
        for flow in [flow for flow in self._flows if flow.left <= DUST]:
            self._flows.remove(flow)
            self._flows_of[flow.node].remove(flow)
            self._downloads[flow.file] -= 1
            self._has[flow.node].add(flow.file)
            self._copies[flow.file].append(flow.node)
            if flow.source != ORIGIN:
                self._readers[flow.source].leave(flow.node)

    # Sources -----------------------------------------------------------------------------------------------------

    def _connect(self, flow: Flow) -> None:
        """Use the first address that admits the node; skip each busy one for as long as it requests."""
        while True:
            number = choose(flow.healths, [False] * len(flow.addresses), self.now)
            source = ORIGIN if number is None else flow.addresses[number]
            if number is None or source == ORIGIN or self._readers[source].admit(flow.node):
                flow.source = source
                return
            busy = ServerBusy("It has enough readers.", wait_s=BUSY_S)
            flow.healths[number] = after_fault(flow.healths[number], busy, received=0, now=self.now)

    def _retry_at(self, flow: Flow) -> float | None:
        """Return the time at which a flow from the origin tries a copy again; None if there is none."""
        if flow.source != ORIGIN or len(flow.addresses) == 1:
            return None
        return min(health.aside_until for health in flow.healths[:-1])

    # Rates -------------------------------------------------------------------------------------------------------

    def _set_rates(self) -> None:
        flows_by_source, flows_by_node = (
            Counter(flow.source for flow in self._flows),
            Counter(flow.node for flow in self._flows),
        )
        for flow in self._flows:
            up = self.network.origin_bps if flow.source == ORIGIN else self.network.node_bps
            flow.bps = min(up / flows_by_source[flow.source], self.network.node_bps / flows_by_node[flow.node])

    def _advance(self, seconds: float) -> None:
        self.now += seconds
        for flow in self._flows:
            flow.left -= flow.bps * seconds
            if flow.source == ORIGIN:
                self.outcome.origin_bytes += flow.bps * seconds
