"""The story of one transfer: open the partial, fetch what is missing with as many connections as help, verify, done.

    fetch ─► open the partial and its journal ─► check the kept pieces, if the last run crashed
          ─► fetchers (pool) ask ranges, write them or have the writer do it, tell the transfer
             beside them: the hasher follows, the committer syncs and journals, this thread watches and tunes
          ─► every file verified: the last commit, and the digests are returned

Raises Stopped (asked to stop: all is kept), Postponed (a wait too long to sit out here), or the error that ends it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.errors import FlowhubError, StorageFailed
from flowhub_jobs.fs.disk_errors import disk_errors, refuse_links, sync_tree
from flowhub_jobs.net.reachability import machines_fault
from flowhub_jobs.net.urls import check_source
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.concurrency import ConcurrencyPlan, adjust
from flowhub_jobs.transfer.connection_watch import ConnectionWatch
from flowhub_jobs.transfer.fetchers import FetcherPool
from flowhub_jobs.transfer.file_state import FileState
from flowhub_jobs.transfer.hasher import Hasher
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.http.client import RangeClient
from flowhub_jobs.transfer.options import CancelToken, TransferOptions
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.transfer.receiver import TransferContext, Writer
from flowhub_jobs.transfer.resume import resume_partial
from flowhub_jobs.transfer.retry import NO_TRIES, TRY_INSIDE_S, WAIT_INSIDE_S, PriorFaults
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import Artifact, FileDigest
from flowhub_jobs.values.enums import DigestState, Stage
from flowhub_jobs.values.jobs import Note

TICK_S = 0.05
WATCH_S = 0.5


@dataclass(frozen=True, slots=True)
class Shared:
    """What all transfers of a process share: what is known of the hosts, and the speed limit."""

    hosts: HostLimits
    bucket: TokenBucket


@dataclass(frozen=True, slots=True)
class PriorAttempts:
    """What earlier attempts left: bytes over the wire, and the tries since the last new byte.

    `tag` names the job whose bytes they are. `one_try`: the transfer waits out no fault itself, as when one job tries
    a host for all that wait for it.
    """

    tag: str = ""
    fetched: int = 0
    fruitless: PriorFaults = NO_TRIES
    one_try: bool = False


@dataclass(frozen=True, slots=True)
class FileProgress:
    number: int
    size: int | None
    kept: int
    expected: str | None
    identity: str | None
    state: DigestState


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """How a transfer stands: `kept` is what the journal has, `fetched` what came by wire, `rate` is bytes a second."""

    stage: Stage
    total: int | None
    kept: int
    fetched: int
    rate: int
    connections: int
    files: tuple[FileProgress, ...]
    notes: tuple[Note, ...] = ()
    fruitless: PriorFaults = NO_TRIES


@dataclass(frozen=True, slots=True)
class Fetched:
    """A transfer that ended well: every file verified, on the disk, still under its partial's name."""

    files: tuple[FileDigest, ...]
    parts: tuple[Path, ...]
    marks: tuple[tuple[int, ...], ...]  # of the parts, as they were written (file_systems.mark_of)
    bytes_fetched: int


class RetryLater(Exception):
    """The next try is too far off to hold a slot for it: continue after `seconds`. `error` is the fault behind it.

    `fruitless` counts the tries since the last new byte, with the time that they took. `origin` is the one that was
    asked, where the fault is a source's.
    """

    def __init__(
        self,
        seconds: float,
        error: FlowhubError,
        fruitless: PriorFaults = NO_TRIES,
        *,
        asked_by_host: bool = False,
        origin: str | None = None,
    ) -> None:
        super().__init__(error.message)
        self.seconds, self.error, self.fruitless = seconds, error, fruitless
        self.asked_by_host, self.origin = asked_by_host, origin


def fetch(
    artifact: Artifact,
    folder: Path,
    *,
    terms: TransferOptions,
    shared: Shared,
    control: CancelToken,
    past: PriorAttempts,
    watch: Callable[[TransferProgress], None],
) -> Fetched:
    """Fetch and verify all files of `artifact` into the partial `folder`, going on with what is there."""
    for file in artifact.files:
        check_source(file.url, terms.hub_endpoint, pinned=file.sha256 is not None)
    refuse_links(folder.parent, folder)
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)  # not its parents: a disk that is not there must not be taken for an empty one
    transfer = TransferState(artifact, folder, terms.hub_endpoint)
    try:
        log = resume_partial(transfer, past.tag, past.fetched, control.check_owner)
        transfer.faults, transfer.no_progress_s = past.fruitless.faults, past.fruitless.seconds
        transfer.one_try = past.one_try
        try:
            return _Transfer(transfer, log, terms, shared, control, past, watch).run()
        finally:
            log.close()
    finally:
        transfer.close()


class _Transfer:
    """One run of `fetch`, with its threads."""

    def __init__(
        self,
        transfer: TransferState,
        log: journal.Journal,
        terms: TransferOptions,
        shared: Shared,
        control: CancelToken,
        past: PriorAttempts,
        watch: Callable[[TransferProgress], None],
    ) -> None:
        self._transfer, self._control, self._watch = transfer, control, watch
        self._web = RangeClient(terms)
        self._committer = Committer(transfer, log, past.tag, control)
        self._hasher = Hasher(transfer)
        self._writer = Writer()
        means = TransferContext(transfer, self._committer, shared.bucket, control, terms, self._writer)
        self._pool = FetcherPool(self._web, shared.hosts, means)
        self._tuning = ConcurrencyPlan(bytes=transfer.fetched)
        self._connections = ConnectionWatch(transfer, shared.hosts, shared.bucket)
        self._arrived = transfer.fetched
        self._watched_at = 0.0

    def run(self) -> Fetched:
        transfer = self._transfer
        self._control.on_stop(lambda: transfer.end())
        self._committer.start()
        self._hasher.start()
        try:
            while not transfer.done and not transfer.ended:
                self._pool.hire(self._tuning.count)
                self._tick()
                self._postpone_if_idle()
            return self._finish()
        finally:
            self._stand_down()

    def _tick(self) -> None:
        transfer = self._transfer
        with transfer.commit_due:
            transfer.commit_due.wait_for(lambda: transfer.ended or transfer.done, TICK_S)
            flow = replace(transfer.flow_locked(time.monotonic()), is_low=self._connections.is_low)
            self._tuning = adjust(self._tuning, flow, self._pool.cap())
            transfer.connections, transfer.probing = self._tuning.count, self._tuning.count > self._tuning.held
        self._look()

    def _look(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if now - self._watched_at < WATCH_S and not last:
            return
        transfer = self._transfer
        with transfer.changed:
            if self._watched_at:
                latest = (transfer.fetched - self._arrived) / max(now - self._watched_at, 1e-3)
                transfer.rate = latest if not transfer.rate else 0.7 * transfer.rate + 0.3 * latest
                if latest:
                    self._pool.note_answers()
            self._arrived, self._watched_at = transfer.fetched, now
            collapsed = self._connections.look(now, self._tuning) if not last else False
            seen = _seen(transfer)
            transfer.notes.clear()
        if collapsed:
            self._web.drop_idle()
        self._watch(seen)

    def _postpone_if_idle(self) -> None:
        """Give the slot away if everyone waits, and long, or for a network. While others move, nothing ends."""
        idle = self._pool.idle()
        if idle is None:
            return
        at_once = self._transfer.one_try and not self._transfer.fetched_now
        tried_s = time.monotonic() - self._transfer.progress_at
        too_long = idle.seconds > WAIT_INSIDE_S or tried_s > TRY_INSIDE_S
        if too_long or at_once or machines_fault(idle.error):
            raise RetryLater(
                idle.seconds,
                idle.error,
                self._transfer.prior_faults_locked(),
                asked_by_host=idle.asked_by_host,
                origin=idle.origin,
            )

    def _finish(self) -> Fetched:
        transfer = self._transfer
        if transfer.error is not None:
            raise transfer.error
        self._control.check()
        assert transfer.done
        self._committer.commit()
        parts = [state.disk.part for state in transfer.files if state.disk.part]
        digests = tuple(state.digest.verified for state in transfer.files if state.digest.verified)
        with disk_errors(transfer.folder):
            sync_tree(transfer.folder)
        return Fetched(digests, tuple(p.path for p in parts), tuple(p.mark() for p in parts), transfer.fetched)

    def _stand_down(self) -> None:
        """End all threads, then write the last words, if the partial is still ours: nothing need be read again."""
        transfer = self._transfer
        transfer.end()
        self._web.cut()
        transfer.fetcher_hung = not self._pool.leave()
        self._writer.close(wait=not transfer.fetcher_hung)
        self._hasher.join()
        self._committer.join()
        self._web.close()
        if isinstance(transfer.error, StorageFailed):
            return  # what a disk failed to sync once it may claim to have synced the next time (fsyncgate, 2018)
        try:
            # A transfer that is done says no clean word: until the files have their names, a crash has them read again.
            self._committer.commit() if transfer.done else self._committer.commit_clean()
            self._look(last=True)
        except (FlowhubError, OSError):
            # A full disk, a lease that is gone: what cannot be written now is fetched again; the run has its own error.
            return


def _seen(transfer: TransferState) -> TransferProgress:
    files = tuple(_file_seen(state) for state in transfer.files)
    sizes = [state.size for state in transfer.files]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    bound = any(state.identity.identified for state in transfer.files)
    whole = all(state.complete for state in transfer.files)
    stage = Stage.VERIFY if whole else Stage.DOWNLOAD if bound else Stage.RESOLVE
    return TransferProgress(
        stage=stage,
        total=total,
        kept=sum(file.kept for file in files),
        fetched=transfer.fetched_committed,
        rate=int(transfer.rate),
        connections=transfer.active,
        files=files,
        notes=tuple(transfer.notes),
        fruitless=transfer.prior_faults_locked() if transfer.faults else NO_TRIES,
    )


def _file_seen(state: FileState) -> FileProgress:
    digest = DigestState.RUNNING if state.record.frontier else DigestState.PENDING
    if state.digest.verified:
        digest = DigestState.VERIFIED if state.digest.verified.pinned else DigestState.UNPINNED
    return FileProgress(
        state.number, state.size, state.disk.committed, state.identity.expected_sha256, state.record.identity, digest
    )
