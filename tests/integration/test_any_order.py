"""Jobs under two workers, a person and time, in any order: one owner at most, only legal moves, nothing lost."""

import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.owner_writes import WRITES
from support.rooms import Rooms

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import jobs
from flowhub_jobs.errors import Busy, WrongState
from flowhub_jobs.jobs.leases import Claimed, LeaseLost
from flowhub_jobs.jobs.states import LIVE, may_move
from flowhub_jobs.records import State

EACH_WRITE = st.sampled_from([name for name in WRITES if name != "say"])


class Queue(RuleBasedStateMachine):
    """Two workers, a person and time over one real database, in any order that Hypothesis finds.

    Beside the table it keeps what each worker believes, and the last state seen of each job.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.rooms = Rooms(Path(self.folder.name))
        self.owners = {name: self.rooms.worker(name) for name in ("w-1", "w-2")}
        self.runs: list[tuple[str, Claimed]] = []
        self.last: dict[int, dict[str, Any]] = {}
        self.retried: int | None = None

    def teardown(self) -> None:
        self.rooms.close()
        self.folder.cleanup()

    # The person

    @rule(model=st.sampled_from("abcd"), priority=st.integers(-1, 1), later=st.sampled_from([None, 20]))
    def enqueue(self, model: str, priority: int, later: int | None) -> None:
        time = None if later is None else self.rooms.time.in_us(later)
        [job] = self.rooms.enqueue(model, priority=priority, not_before=time)
        assert self.rooms.reports.jobs([job])[0].live

    @precondition(lambda self: self.last)
    @rule(data=st.data(), verb=st.sampled_from(["cancel", "pause", "resume", "retry"]))
    def ask(self, data: st.DataObject, verb: str) -> None:
        job = data.draw(st.sampled_from(sorted(self.last)))
        before = self.rooms.row(job)
        try:
            getattr(self.rooms.ledger, verb)(job)
            self.retried = job if verb == "retry" else None
        except (WrongState, Busy):
            assert self.rooms.row(job) == before

    # The workers

    @rule(name=st.sampled_from(["w-1", "w-2"]))
    def claim(self, name: str) -> None:
        claimed = self.owners[name].claim()
        if claimed is not None:
            self.runs.append((name, claimed))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), write=EACH_WRITE)
    def write(self, data: st.DataObject, write: str) -> None:
        self._write(*data.draw(st.sampled_from(self.runs)), write)

    @rule(write=EACH_WRITE)
    def write_late(self, write: str) -> None:
        """Every run that is no owner any more writes all the same."""
        for name, run in self.runs:
            if not self._may_write(run):
                self._write(name, run, write)

    def _write(self, name: str, run: Claimed, write: str) -> None:
        """Only the run whose token the row bears, and in time, may change anything."""
        before, may = self.rooms.row(run.lease.job), self._may_write(run)
        self.rooms.owner = self.owners[name]
        try:
            WRITES[write](self.rooms, run)
            assert may
        except LeaseLost:
            assert not may
            assert self.rooms.row(run.lease.job) == before

    def _may_write(self, run: Claimed) -> bool:
        row = self.rooms.row(run.lease.job)
        return row["lease_token"] == run.lease.token and self.rooms.time.awake_s < row["lease_until"]

    @rule(name=st.sampled_from(["w-1", "w-2"]))
    def renew(self, name: str) -> None:
        self.owners[name].renew({run.lease.job: run.lease for worker, run in self.runs if worker == name})

    @rule(dead=st.sampled_from(["", "w-1", "w-2"]))
    def rescue(self, dead: str) -> None:
        """Take back what has no owner. Its runs stay: a worker may be thought dead, and wake up again."""
        self.rooms.rescue(dead)

    @rule(old=st.sampled_from(["w-1", "w-2"]))
    def hand_over(self, old: str) -> None:
        """One is thought dead, and the other goes on: each of these alone is drawn too rarely in this order."""
        self.claim(old)
        self.rescue(old)
        self.claim("w-2" if old == "w-1" else "w-1")

    @rule(seconds=st.sampled_from([1, 16, 31]))
    def turn(self, seconds: int) -> None:
        self.rooms.time.turn(seconds)

    # What holds after each of these

    @invariant()
    def a_job_has_at_most_one_owner(self) -> None:
        held = [run.lease.job for _, run in self.runs if run.lease.held and self._bears(run)]
        assert len(held) == len(set(held))
        self.runs = self.runs[-4:]  # a few, so that the newest are often drawn

    def _bears(self, run: Claimed) -> bool:
        return self.rooms.row(run.lease.job)["lease_token"] == run.lease.token

    @invariant()
    def nothing_is_lost_and_every_move_is_allowed(self) -> None:
        with reading(self.rooms.engine) as tx:
            now = {row["id"]: dict(row) for row in tx.execute(sa.select(jobs)).mappings()}
        assert set(self.last) <= set(now)
        for job, row in now.items():
            before = self.last.get(job)
            assert (row["state"] == "running") == (row["lease_token"] is not None)
            assert (row["finished_at"] is None) == (row["state"] in LIVE)
            assert row["attempt"] >= 0
            if before is not None and before["state"] != row["state"]:
                assert may_move(State(before["state"]), State(row["state"]))
            if before is not None and before["state"] not in LIVE and before != row:
                assert self.retried == job
        live = [row["artifact_key"] for row in now.values() if row["state"] in LIVE]
        assert len(live) == len(set(live))
        self.last, self.retried = now, None


TestAnyOrder = Queue.TestCase
TestAnyOrder.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
