"""Runs one transfer: opens the partial, fetches what is missing with as many connections as help, verifies.

    fetch ─► open the partial and its journal ─► check the kept pieces if the last run crashed
          ─► fetchers request ranges; they or the writer write the bytes and report them to the transfer's state
             concurrently: the hasher follows, the committer syncs and journals, this thread watches and adjusts
          ─► every file verified: the last commit; the digests are returned

Raises Cancelled (stopped: all is kept), RetryLater (a wait too long for a worker's slot), or the error that ends it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowhub_jobs.errors import FlowhubError, StorageFailed
from flowhub_jobs.fs.disk_errors import disk_errors, refuse_links, sync_tree
from flowhub_jobs.net.reachability import local_network_fault
from flowhub_jobs.net.urls import check_source
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.concurrency import ConcurrencyPlan, adjust
from flowhub_jobs.transfer.connection_watch import ConnectionWatch
from flowhub_jobs.transfer.fetchers import FetcherPool
from flowhub_jobs.transfer.file_state import FileState
from flowhub_jobs.transfer.hasher import Hasher
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.http.range_client import RangeClient
from flowhub_jobs.transfer.mirror_speed import MirrorSpeed
from flowhub_jobs.transfer.mirror_switching import begin_addresses
from flowhub_jobs.transfer.options import CancelToken, TransferOptions
from flowhub_jobs.transfer.partial.journal import Journal
from flowhub_jobs.transfer.rate_limit import TokenBucket, TransferRateLimit
from flowhub_jobs.transfer.receiver import TransferContext, Writer
from flowhub_jobs.transfer.resume import resume_partial
from flowhub_jobs.transfer.retry import NO_FAULTS, TRY_INSIDE_S, WAIT_INSIDE_S, PriorFaults
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.transfer.wire_meter import WireMeter
from flowhub_jobs.values.artifacts import Artifact, FileDigest
from flowhub_jobs.values.enums import DigestState, Stage
from flowhub_jobs.values.jobs import NewEvent

TICK_S = 0.05
WATCH_S = 0.5


@dataclass(frozen=True, slots=True)
class SharedLimits:
    """Shared by all transfers of a process: the limits of the hosts, the rate limit, and the count of bytes."""

    hosts: HostLimits
    bucket: TokenBucket
    meter: WireMeter = field(default_factory=WireMeter)


@dataclass(frozen=True, slots=True)
class PriorAttempts:
    """The result of earlier attempts: bytes over the wire, and the faults since the last new byte.

    `tag` names the job that `fetched` belongs to. `one_try`: the transfer waits out no fault itself, as when one job
    tries a host for all jobs that wait for it.
    """

    tag: str = ""
    fetched: int = 0
    faults: PriorFaults = NO_FAULTS
    one_try: bool = False
    fetched_by_origin: Mapping[str, int] = field(default_factory=dict)  # `fetched` by origin


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
    """The transfer at one moment: `kept` is what the journal has, `fetched` came over the wire."""

    stage: Stage
    total: int | None
    kept: int
    fetched: int
    rate_bps: int
    connections: int
    files: tuple[FileProgress, ...]
    notes: tuple[NewEvent, ...] = ()
    faults: PriorFaults = NO_FAULTS
    fetched_by_origin: tuple[tuple[str, int], ...] = ()  # `fetched` by origin
    bad_mirrors: frozenset[str] = frozenset()  # mirrors that sent wrong bytes
    last: bool = False  # the transfer has ended


@dataclass(frozen=True, slots=True)
class Fetched:
    """A completed transfer: every file verified, on the disk, still under its partial's name."""

    files: tuple[FileDigest, ...]
    parts: tuple[Path, ...]
    marks: tuple[tuple[int, ...], ...]  # of the parts, as they were written (file_systems.mark_of)
    bytes_fetched: int


class RetryLater(Exception):
    """The next try is too far off to hold a slot for it: continue after `seconds`. `error` is the fault behind it.

    `faults` counts the tries since the last new byte, with the time that they took. `origin` is where the failed
    request went, if the fault is a source's.
    """

    def __init__(
        self,
        seconds: float,
        error: FlowhubError,
        faults: PriorFaults = NO_FAULTS,
        *,
        asked_by_host: bool = False,
        origin: str | None = None,
    ) -> None:
        super().__init__(error.message)
        self.seconds, self.error, self.faults = seconds, error, faults
        self.asked_by_host, self.origin = asked_by_host, origin


def fetch(
    artifact: Artifact,
    folder: Path,
    *,
    options: TransferOptions,
    shared: SharedLimits,
    cancel: CancelToken,
    prior: PriorAttempts,
    on_progress: Callable[[TransferProgress], None],
) -> Fetched:
    """Fetch and verify all files of `artifact` into the partial `folder`, continuing what is there."""
    for file in artifact.files:
        check_source(file.url, options.hub_endpoint, pinned=file.sha256 is not None)
    refuse_links(folder.parent, folder)
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)  # not its parents: a disk that is not there must not be taken for an empty one
    transfer = TransferState(artifact, folder, options.hub_endpoint, options.mirrors)
    try:
        journal = resume_partial(transfer, prior.tag, prior.fetched, cancel.check_owner, prior.fetched_by_origin)
        begin_addresses(transfer, shared.hosts)
        transfer.faults, transfer.no_progress_s = prior.faults.faults, prior.faults.seconds
        transfer.one_try = prior.one_try
        try:
            return _Transfer(transfer, journal, options, shared, cancel, prior, on_progress).run()
        finally:
            journal.close()
    finally:
        transfer.close()


class _Transfer:
    """One run of `fetch`, with its threads."""

    def __init__(
        self,
        transfer: TransferState,
        journal: Journal,
        options: TransferOptions,
        shared: SharedLimits,
        cancel: CancelToken,
        prior: PriorAttempts,
        on_progress: Callable[[TransferProgress], None],
    ) -> None:
        self._transfer, self._cancel, self._on_progress = transfer, cancel, on_progress
        self._client = RangeClient(options, shared.meter.count)
        self._committer = Committer(transfer, journal, prior.tag, cancel)
        self._hasher = Hasher(transfer)
        self._writer = Writer()
        own_bucket = None if options.rate_bps is None else TokenBucket(options.rate_bps)
        rate_limit = TransferRateLimit(shared.bucket, own_bucket)
        context = TransferContext(transfer, self._committer, rate_limit, cancel, options, self._writer, shared.meter)
        self._pool = FetcherPool(self._client, shared.hosts, context)
        self._plan = ConcurrencyPlan(window_start_bytes=transfer.fetched)
        self._watch = ConnectionWatch(transfer, shared.hosts, rate_limit)
        self._speed = MirrorSpeed(transfer, shared.hosts, rate_limit)
        self._last_fetched = transfer.fetched
        self._reported_at = 0.0

    def run(self) -> Fetched:
        transfer = self._transfer
        self._cancel.on_stop(lambda: transfer.end())
        try:
            self._committer.start()
            self._hasher.start()
            while not transfer.done and not transfer.ended:
                self._pool.resize(self._plan.count)
                self._tick()
                self._postpone_if_all_wait()
            return self._finish()
        finally:
            self._shut_down()

    def _tick(self) -> None:
        transfer = self._transfer
        with transfer.commit_due:
            transfer.commit_due.wait_for(lambda: transfer.ended or transfer.done, TICK_S)
            sample = replace(transfer.sample_locked(time.monotonic()), is_low=self._watch.is_low)
            self._plan = adjust(self._plan, sample, self._pool.connections_max_locked())
            transfer.connections, transfer.probing = self._plan.count, self._plan.count > self._plan.baseline
        self._report()

    def _report(self, *, last: bool = False) -> None:
        """Measure the rate, sample the connections, and call `on_progress`: twice a second, and at the end."""
        now = time.monotonic()
        if now - self._reported_at < WATCH_S and not last:
            return
        transfer = self._transfer
        with transfer.changed:
            if self._reported_at:
                latest = (transfer.fetched - self._last_fetched) / max(now - self._reported_at, 1e-3)
                transfer.rate_bps = latest if not transfer.rate_bps else 0.7 * transfer.rate_bps + 0.3 * latest
                if latest:
                    self._pool.note_responses_locked()
            self._last_fetched, self._reported_at = transfer.fetched, now
            collapsed = self._watch.sample(now, self._plan) if not last else False
            if not last:
                self._speed.sample(now)
            progress = replace(_progress_locked(transfer), last=last)
            transfer.notes.clear()
        if collapsed:
            self._client.drop_idle()
        self._on_progress(progress)

    def _postpone_if_all_wait(self) -> None:
        """Raise RetryLater if all fetchers wait, and for long, or for a network. While one moves, nothing ends."""
        waiting = self._pool.all_waiting()
        if waiting is None:
            return
        at_once = self._transfer.one_try and not self._transfer.fetched_now
        tried_s = time.monotonic() - self._transfer.progress_at
        too_long = waiting.seconds > WAIT_INSIDE_S or tried_s > TRY_INSIDE_S
        if too_long or at_once or local_network_fault(waiting.error):
            with self._transfer.changed:
                faults = self._transfer.prior_faults_locked()
            raise RetryLater(
                waiting.seconds, waiting.error, faults, asked_by_host=waiting.asked_by_host, origin=waiting.origin
            )

    def _finish(self) -> Fetched:
        transfer = self._transfer
        if transfer.error is not None:
            raise transfer.error
        self._cancel.check()
        assert transfer.done
        self._committer.commit()
        parts = [state.disk.part for state in transfer.files if state.disk.part]
        digests = tuple(state.digest.verified for state in transfer.files if state.digest.verified)
        with disk_errors(transfer.folder):
            sync_tree(transfer.folder)
        return Fetched(digests, tuple(p.path for p in parts), tuple(p.mark() for p in parts), transfer.fetched)

    def _shut_down(self) -> None:
        """End all threads, then write the last commit if the partial is still this run's.

        The order matters: the fetchers and the writer end first, so that nothing is written after the last snapshot;
        then the hasher, which may still catch up with what is kept; then the committer. After a failed sync nothing
        more is committed: the disk may report that bytes are safe which it has lost (fsyncgate, 2018).
        """
        transfer = self._transfer
        transfer.end()
        self._client.abort()
        transfer.fetcher_hung = not self._pool.join()
        self._writer.close(wait=not transfer.fetcher_hung)
        for thread in (self._hasher, self._committer):
            if thread.ident is not None:  # else the system had no thread left for it
                thread.join()
        self._client.close()
        if isinstance(transfer.error, StorageFailed):
            return
        try:
            # A completed transfer is not marked clean: until the files have their names, a crash has them read again.
            self._committer.commit() if transfer.done else self._committer.commit_clean()
            self._report(last=True)
        except (FlowhubError, OSError):
            # A full disk, a lost lease: what cannot be recorded now is fetched again. The run has its own error.
            return


def _progress_locked(transfer: TransferState) -> TransferProgress:
    files = tuple(_file_progress(state) for state in transfer.files)
    sizes = [state.size for state in transfer.files]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    identified = any(state.identity.identified for state in transfer.files)
    complete = all(state.complete for state in transfer.files)
    stage = Stage.VERIFY if complete else Stage.DOWNLOAD if identified else Stage.RESOLVE
    return TransferProgress(
        stage=stage,
        total=total,
        kept=sum(file.kept for file in files),
        fetched=transfer.fetched_committed,
        rate_bps=int(transfer.rate_bps),
        connections=transfer.active,
        files=files,
        notes=tuple(transfer.notes),
        faults=transfer.prior_faults_locked() if transfer.faults else NO_FAULTS,
        fetched_by_origin=tuple(sorted(transfer.fetched_by_origin_committed.items())),
        bad_mirrors=frozenset(transfer.bad_mirrors),
    )


def _file_progress(state: FileState) -> FileProgress:
    digest, verified = DigestState.RUNNING if state.record.frontier else DigestState.PENDING, state.digest.verified
    if verified:
        digest = DigestState.VERIFIED if verified.pinned else DigestState.UNPINNED
    expected, identity = state.identity.expected_sha256, state.record.identity
    return FileProgress(state.number, state.size, state.disk.committed, expected, identity, digest)
