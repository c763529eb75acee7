"""A state machine of two workers, a user and time, in any order: one owner at most, legal moves alone, nothing lost."""

import contextlib
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.examples import examples
from support.job_store import JobStore
from support.owner_writes import WRITES
from support.postgres import fresh_database

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import job_after, jobs
from flowhub_jobs.errors import Busy, WrongState
from flowhub_jobs.jobs.run_values import Claimed, LeaseLost
from flowhub_jobs.jobs.states import may_move
from flowhub_jobs.values.enums import LIVE_STATES, State

PRIORITIES = st.integers(-1, 1)
EACH_WRITE = st.sampled_from([name for name in WRITES if name != "record_event"])


class Queue(RuleBasedStateMachine):
    """Two workers, a user and time over one real database, in any order that Hypothesis finds.

    Next to the table it keeps the runs of which each worker believes that they are its own, and each job's last row.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.job_store = self.open_store(Path(self.folder.name))
        self.owners = {name: self.job_store.worker(name) for name in ("w-1", "w-2")}
        self.runs: list[tuple[str, Claimed]] = []
        self.last: dict[int, dict[str, Any]] = {}
        self.retried: int | None = None

    def open_store(self, folder: Path) -> JobStore:
        return JobStore(folder)

    def teardown(self) -> None:
        self.job_store.close()
        self.folder.cleanup()

    # The user

    @rule(data=st.data(), model=st.sampled_from("abcd"), priority=PRIORITIES, later=st.sampled_from([None, 20]))
    def enqueue(self, data: st.DataObject, model: str, priority: int, later: int | None) -> None:
        time = None if later is None else self.job_store.time.us_from_now(later)
        after = tuple(data.draw(st.sets(st.sampled_from(sorted(self.last)), max_size=2))) if self.last else ()
        [job] = self.job_store.enqueue(model, priority=priority, not_before=time, after=after)
        assert self.job_store.queries.jobs([job])[0].live

    @precondition(lambda self: self.last)
    @rule(data=st.data(), verb=st.sampled_from(["cancel", "pause", "resume", "retry"]))
    def steer(self, data: st.DataObject, verb: str) -> None:
        job = data.draw(st.sampled_from(sorted(self.last)))
        before = self.job_store.row(job)
        try:
            getattr(self.job_store.commands, verb)(job)
            self.retried = job if verb == "retry" else None
        except (WrongState, Busy):
            assert self.job_store.row(job) == before

    @precondition(lambda self: self.last)
    @rule(data=st.data(), priority=PRIORITIES)
    def set_priority(self, data: st.DataObject, priority: int) -> None:
        job = data.draw(st.sampled_from(sorted(self.last)))
        before = self.job_store.row(job)
        try:
            self.job_store.commands.set_priority(job, priority)
            assert self.job_store.row(job) == before | {"priority": priority}
        except WrongState:
            assert self.job_store.row(job) == before

    @rule(opens_in=st.sampled_from([None, -1, 1, 720]))
    def schedule(self, opens_in: int | None) -> None:
        """Set a window of two hours that opens in so many minutes, or take the schedule away."""
        now = datetime.fromtimestamp(self.job_store.time.calendar_us / 1e6)
        opens, closes = (now + timedelta(minutes=minutes) for minutes in (opens_in or 0, (opens_in or 0) + 120))
        self.job_store.schedule(None if opens_in is None else f"{opens:%H:%M}-{closes:%H:%M}")
        self.claim("w-1")  # Hypothesis seldom draws a claim right after a schedule

    # The workers

    @rule(name=st.sampled_from(["w-1", "w-2"]))
    def claim(self, name: str) -> None:
        best = self._best()
        claimed = self.owners[name].claim(self.job_store.controls.gates())
        assert best == (claimed.lease.job if claimed else None)
        if claimed is not None:
            self.runs.append((name, claimed))

    def _best(self) -> int | None:
        """Return the job that must be claimed next: of all that may start, the one of the highest priority."""
        eligible = [self.job_store.row(job) for job in self.last if self._may_start(job)]
        return min(eligible, key=lambda row: (-row["priority"], row["id"]))["id"] if eligible else None

    def _may_start(self, job: int) -> bool:
        row, job_store = self.job_store.row(job), self.job_store
        earlier = [job_store.state(other) for other, waiting in self._after() if waiting == job]
        schedule = job_store.controls.schedule()
        return (
            row["state"] == "queued"
            and (row["not_before"] or 0) <= job_store.time.calendar_us
            and not any(state in LIVE_STATES for state in earlier)
            and (schedule is None or schedule.is_open(job_store.time.calendar_us))
        )

    def _after(self) -> list[tuple[int, int]]:
        """Return each pair of an earlier job and the one that waits for it."""
        with reading(self.job_store.engine) as tx:
            return [(row.after_id, row.job_id) for row in tx.execute(sa.select(job_after))]

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), write=EACH_WRITE)
    def write(self, data: st.DataObject, write: str) -> None:
        self._write(*data.draw(st.sampled_from(self.runs)), write)

    @rule(write=EACH_WRITE)
    def write_late(self, write: str) -> None:
        """Every run that has lost its job tries to write."""
        for name, run in self.runs:
            if not self._may_write(run):
                self._write(name, run, write)

    def _write(self, name: str, run: Claimed, write: str) -> None:
        """Only the run whose token is in the row may change anything, and only until its lease ends."""
        before, may_write = self.job_store.row(run.lease.job), self._may_write(run)
        self.job_store.owner = self.owners[name]
        try:
            WRITES[write](self.job_store, run)
            assert may_write
        except LeaseLost:
            assert not may_write
            assert self.job_store.row(run.lease.job) == before

    def _may_write(self, run: Claimed) -> bool:
        row = self.job_store.row(run.lease.job)
        return row["lease_token"] == run.lease.token and self.job_store.time.awake_s < row["lease_until"]

    @rule(name=st.sampled_from(["w-1", "w-2"]))
    def renew(self, name: str) -> None:
        self.owners[name].renew({run.lease.job: run.lease for worker, run in self.runs if worker == name})

    @rule(dead=st.sampled_from(["", "w-1", "w-2"]))
    def rescue(self, dead: str) -> None:
        """Take back jobs without an owner. Their runs stay: a worker that was taken for dead may wake up again."""
        self.job_store.rescue(dead)

    @rule(old=st.sampled_from(["w-1", "w-2"]))
    def hand_over(self, old: str) -> None:
        """One worker is taken for dead, and the other claims its job. Hypothesis seldom draws these in this order."""
        self.claim(old)
        self.rescue(old)
        self.claim("w-2" if old == "w-1" else "w-1")

    @rule(seconds=st.sampled_from([1, 16, 31]))
    def advance(self, seconds: int) -> None:
        self.job_store.time.advance(seconds)

    # Invariants

    @invariant()
    def a_job_has_at_most_one_owner(self) -> None:
        held = [run.lease.job for _, run in self.runs if run.lease.held and self._has_token(run)]
        assert len(held) == len(set(held))
        self.runs = self.runs[-4:]  # a few, so that the newest are often drawn

    @invariant()
    def only_queued_jobs_that_may_start_have_no_reason(self) -> None:
        queued = [job for job in self.job_store.queries.overview() if job.state is State.QUEUED]
        assert [job.id for job in queued if job.reason is None] == [job.id for job in queued if self._may_start(job.id)]

    @invariant()
    def a_job_waits_for_earlier_ones_alone(self) -> None:
        assert all(earlier < waiting for earlier, waiting in self._after())

    def _has_token(self, run: Claimed) -> bool:
        return self.job_store.row(run.lease.job)["lease_token"] == run.lease.token

    @invariant()
    def nothing_is_lost_and_every_move_is_allowed(self) -> None:
        with reading(self.job_store.engine) as tx:
            now = {row["id"]: dict(row) for row in tx.execute(sa.select(jobs)).mappings()}
        assert set(self.last) <= set(now)
        for job, row in now.items():
            before = self.last.get(job)
            assert (row["state"] == "running") == (row["lease_token"] is not None)
            assert (row["finished_at"] is None) == (row["state"] in LIVE_STATES)
            assert row["attempt"] >= 0
            if before is not None and before["state"] != row["state"]:
                assert may_move(State(before["state"]), State(row["state"]))
            if before is not None and before["state"] not in LIVE_STATES and before != row:
                assert self.retried == job
        live = [row["artifact_key"] for row in now.values() if row["state"] in LIVE_STATES]
        assert len(live) == len(set(live))
        self.last, self.retried = now, None


class QueueOnPostgresql(Queue):
    def open_store(self, folder: Path) -> JobStore:
        self.database = contextlib.ExitStack()
        return JobStore(folder, url=self.database.enter_context(fresh_database()))

    def teardown(self) -> None:
        super().teardown()
        self.database.close()


TestAnyOrder = Queue.TestCase
TestAnyOrder.settings = examples(40, stateful_step_count=40)
TestAnyOrderOnPostgresql = QueueOnPostgresql.TestCase
TestAnyOrderOnPostgresql.settings = examples(6, stateful_step_count=40)
