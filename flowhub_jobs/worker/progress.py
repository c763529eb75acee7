"""Writes the progress of a run into the job's row. The transfer calls it at most twice a second."""

import logging
import time
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.database.postgresql import is_outage
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.run_values import Claimed, FileCounts, Progress
from flowhub_jobs.transfer.fetch import TransferProgress
from flowhub_jobs.values.enums import DigestState, EventKind, Stage
from flowhub_jobs.values.jobs import NewEvent

log = logging.getLogger("flowhub.worker")

SHARED_EVERY_S = 0.9  # in a database that machines share: of two calls, half a second apart, one writes


class ProgressWriter:
    """The row of one running job. The transfer already paces its calls."""

    def __init__(self, leases: LeaseStore, claimed: Claimed, every_s: float = 0.0) -> None:
        """Between two writes of one stage there are `every_s` seconds, unless there is an event, or it is the last."""
        self._leases, self._lease, self._every_s = leases, claimed.lease, every_s
        self._written: tuple[Stage | None, float] = (None, float("-inf"))
        sources = tuple(claimed.sources.items())
        self._last = Progress(Stage.RESOLVE, None, 0, claimed.fetched, None, DigestState.PENDING, sources=sources)
        self._files: dict[int, FileCounts] = {}
        self._events: list[NewEvent] = []
        self._started_at = time.monotonic()

    def show(self, progress: TransferProgress) -> None:
        """Write the progress of the transfer and its notes. Raises LeaseLost."""
        stage, at = self._written
        if progress.stage is stage and not (progress.notes or progress.last) and time.monotonic() - at < self._every_s:
            return
        files = {
            file.number: FileCounts(file.number, file.size, file.kept, file.expected, file.identity, file.state)
            for file in progress.files
        }
        changed = tuple(file for number, file in files.items() if self._files.get(number) != file)
        digest = _overall_state(files)
        tries = progress.faults
        self._last = Progress(
            progress.stage,
            progress.total,
            progress.kept,
            progress.fetched,
            progress.rate_bps,
            digest,
            changed,
            tries.faults,
            tries.seconds,
            progress.fetched_by_origin,
        )
        self._events += progress.notes
        if self._write():
            self._files = files
            self._write_events()

    def _write(self) -> bool:
        """Write the job's progress; return whether the database took it.

        A database that does not answer for now does not stop a transfer while the lease lasts. Raises LeaseLost.
        """
        try:
            self._leases.progress(self._lease, self._last)
        except SQLAlchemyError as error:
            if not is_outage(error):
                raise
            self._lease.check()
            return False
        self._written = (self._last.stage, time.monotonic())
        return True

    def _write_events(self) -> None:
        while self._events:
            event = self._events[0]
            try:
                self._leases.record_event(self._lease, event)
            except SQLAlchemyError as error:
                if not is_outage(error):
                    raise
                return
            del self._events[0]
            if event.kind is EventKind.CONNECTION:
                log.info("Job %d: %s", self._lease.job, event.text, extra={"job": self._lease.job})

    def reads(self, total: int, read: int, files: Sequence[FileCounts]) -> None:
        """Write the progress of a job that transfers nothing: how many bytes of `total` it has read or copied."""
        rate = round(read / max(time.monotonic() - self._started_at, 0.001))
        last = self._last
        self._last = Progress(
            Stage.VERIFY, total, read, last.fetched, rate, DigestState.RUNNING, tuple(files), sources=last.sources
        )
        self._write()

    def stage(self, stage: Stage) -> None:
        last = self._last
        progress = Progress(stage, last.total, last.done, last.fetched, None, last.sha256_state, sources=last.sources)
        self._leases.progress(self._lease, progress)


def _overall_state(files: dict[int, FileCounts]) -> DigestState:
    """Return one state for all files: verified only when every one is."""
    states = {file.sha256_state for file in files.values()}
    if states <= {DigestState.VERIFIED}:
        return DigestState.VERIFIED
    if states <= {DigestState.VERIFIED, DigestState.UNPINNED}:
        return DigestState.UNPINNED
    return DigestState.PENDING if states == {DigestState.PENDING} else DigestState.RUNNING
