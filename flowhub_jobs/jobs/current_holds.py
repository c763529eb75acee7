"""Finds everything that keeps a queued job from starting: its own wait, its host, the gates, other jobs, the slots."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from flowhub_jobs.database.batches import in_groups
from flowhub_jobs.database.lazy import Database, Row, Snapshot
from flowhub_jobs.jobs.controls import Controls
from flowhub_jobs.jobs.held_hosts import held_hosts
from flowhub_jobs.jobs.node_rows import slots_taken_everywhere
from flowhub_jobs.jobs.shared_select_sql import EARLIER, RUNNING_OF_NODE
from flowhub_jobs.jobs.states import Hold, after_hold, in_order, own_hold
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import JobKind, Reason, State
from flowhub_jobs.values.jobs import ANY_NODE

HoldsOf = Callable[[Row], list[Hold]]  # the holds of the row of a queued job, in the order in which they are shown


class CurrentHolds:
    """Reads what holds queued jobs, of any node."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def of_rows(self, snapshot: Snapshot, rows: Sequence[Row]) -> HoldsOf:
        """Return a function that finds the holds of a queued job among these rows, by its node's gates and hosts."""
        queued: defaultdict[str, list[int]] = defaultdict(list)
        for row in rows:
            if row["state"] == State.QUEUED:
                queued[row["node"]].append(row["id"])
        of_node = {node: self._of_node(snapshot, node, numbers) for node, numbers in queued.items()}
        return lambda row: of_node[row["node"]](row)

    def _of_node(self, snapshot: Snapshot, node: str, queued: Sequence[int]) -> HoldsOf:
        now_us, earlier = self._clock.now_us(), _jobs_before(snapshot, queued)
        hosts = held_hosts(snapshot, node).waits
        gates = Controls(self._database, node, self._clock).gates_in(snapshot)
        if node == ANY_NODE:
            no_slot = slots_taken_everywhere(snapshot, now_us)
        else:
            no_slot = _slots_taken(snapshot, node, gates.jobs_max)
        slots = [Hold(Reason.SLOTS)] if no_slot else []

        def holds(row: Row) -> list[Hold]:
            own_holds = own_hold(row["wait_reason"], row["not_before"], row["wait_text"], now_us)
            shared = gates.holds(now_us, start_now=row["start_now"], fetches=row["kind"] == JobKind.FETCH)
            host = hosts.get(row["source_origin"])
            held = [host.hold(now_us)] if host else []
            return in_order([*own_holds, *held, *shared, *after_hold(earlier[row["id"]]), *slots])

        return holds


def _jobs_before(snapshot: Snapshot, queued: Sequence[int]) -> "defaultdict[int, list[tuple[int, State]]]":
    """Return the live jobs that each of these waits for, with their states."""
    earlier: defaultdict[int, list[tuple[int, State]]] = defaultdict(list)
    for group in in_groups(queued):
        for row in snapshot.rows(EARLIER, jobs=group):
            earlier[row["job_id"]].append((row["id"], State(row["state"])))
    return earlier


def _slots_taken(snapshot: Snapshot, node: str, jobs_max: int | None) -> bool:
    [row] = snapshot.rows("SELECT sum(slots) AS slots FROM workers WHERE node = :node", node=node)
    [running] = snapshot.rows(f"SELECT count(*) AS jobs FROM jobs WHERE {RUNNING_OF_NODE}", node=node)  # noqa: S608, fixed text
    most = [slots for slots in (row["slots"], jobs_max) if slots is not None]
    return bool(most) and running["jobs"] >= min(most)
