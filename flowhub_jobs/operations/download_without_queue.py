"""Download of one option without a queue or a database: the implementation of `api.download`."""

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowhub_jobs.catalogs.schema import DownloadOption
from flowhub_jobs.catalogs.schema import artifact as artifact_of
from flowhub_jobs.errors import Busy, NameTaken
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.settings import load_settings
from flowhub_jobs.store.install import ArtifactParts, Installer, remove_partial
from flowhub_jobs.store.layout import DIRECT_DOWNLOAD, Store
from flowhub_jobs.store.recognize_existing import recognize_existing
from flowhub_jobs.store.space import check_room, room_at
from flowhub_jobs.transfer.fetch import Fetched, PriorAttempts, RetryLater, SharedLimits, TransferProgress, fetch
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.options import CancelToken
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.partial.hold import hold_partial
from flowhub_jobs.transfer.partial.owner_lock import this_run
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.transfer.retry import PriorFaults
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import Stage
from flowhub_jobs.worker.transfer_options import transfer_options

OnProgress = Callable[..., object]  # (stage, bytes_done, bytes_total)
Report = Callable[[str, int, int | None], object]


def download_option(option: "DownloadOption", dest_dir: str | Path, on_progress: OnProgress | None) -> Path:
    """Return the path of what an option installs, downloaded and verified, as `api.download` documents."""
    artifact = artifact_of(None, option)
    store = Store(Path(dest_dir).absolute())
    store.open(None, own=True)
    with disk_errors(store.root):
        existing = None if store.partials_of(artifact, DIRECT_DOWNLOAD) else store.taken(artifact.name)
    if existing is not None:
        return _verified_existing(artifact, existing)
    with _exclusive_partial(store, artifact) as partial:
        return _recover_or_download(artifact, partial, store, on_progress)


@contextmanager
def _exclusive_partial(store: Store, artifact: Artifact) -> Iterator[Path]:
    """Hold the partial of an artifact: of two calls for the same, one fetches. Raises Busy."""
    fresh = store.new_partial(artifact, DIRECT_DOWNLOAD)
    with hold_partial(store.partials_of(artifact, DIRECT_DOWNLOAD), fresh, this_run("", "")) as hold:
        if hold.other_owners:
            if hold.folder == fresh:
                remove_partial(fresh)
            raise Busy(f"Another process is fetching {artifact.ref} into {store.root}.")
        yield hold.folder


def _verified_existing(artifact: Artifact, existing: Path) -> Path:
    if recognize_existing(artifact, existing, lambda: None) is None:
        raise NameTaken(
            f"{existing} already exists, with other content than {artifact.ref}. flowhub does not replace it.",
            hint="Move or remove it, then call download() again.",
        )
    return existing


def _recover_or_download(artifact: Artifact, partial: Path, store: Store, on_progress: OnProgress | None) -> Path:
    """Return the path of the installed artifact: an earlier call's, an existing file's, or that of a new download."""
    # The claim of the partial is this call's for as long as it lives: no lease can be lost, and no job be cancelled.
    installer = Installer(
        store, _JournalIntent(partial), owner=lambda name: None, check=lambda: None, may_write=lambda: None
    )
    if (installed := installer.recover()) is not None:
        path = installed.path
    elif (existing := store.taken(artifact.name)) is not None:
        path = _verified_existing(artifact, existing)
    else:
        path = _download_or_existing(artifact, partial, installer, on_progress)
    remove_partial(partial)
    return path


@dataclass(frozen=True, slots=True)
class _JournalIntent:
    """The intent in a partial's journal (store.install.IntentLog)."""

    partial: Path

    def read_intent(self) -> dict[str, Any] | None:
        return journal.load(self.partial).install

    def write_intent(self, intent: dict[str, Any]) -> None:
        journal.append(self.partial, {"install": intent})


def _download_or_existing(
    artifact: Artifact, partial: Path, installer: "Installer", on_progress: OnProgress | None
) -> Path:
    """Return the path of the download; or of a file that another process put there since, if every byte is right."""
    try:
        return _fetch_and_install(artifact, partial, installer, on_progress)
    except NameTaken:
        if (existing := installer.store.taken(artifact.name)) is None:
            raise
        return _verified_existing(artifact, existing)


def _fetch_and_install(
    artifact: Artifact, partial: Path, installer: "Installer", on_progress: OnProgress | None
) -> Path:
    """Fetch the missing bytes of the partial, and install it; return its path."""
    root = installer.store.root
    on_disk = sum(file.kept.total for file in journal.load(partial).files.values())
    check_room(room_at(root, load_settings().disk_reserve), max(0, (artifact.size or 0) - on_disk), 0, root)
    report = _reporter(on_progress)
    report(str(Stage.DOWNLOAD), on_disk, artifact.size)  # a small file is there before the first measurement
    fetched = _fetch_with_waits(artifact, partial, report)
    return installer.install(artifact, partial, ArtifactParts(fetched.files, fetched.parts, fetched.marks)).path


def _fetch_with_waits(artifact: Artifact, partial: Path, report: Report) -> "Fetched":
    """Fetch, sleeping through the waits for which a worker would give its slot away."""
    settings = load_settings()
    options = transfer_options(settings)
    # A call does not wait all night as a job does: after ten tries its caller decides about an outage.
    options = replace(options, patience=replace(options.patience, give_up_after_s=0.0))
    shared = SharedLimits(HostLimits(settings.connections_per_host), TokenBucket(settings.limit_rate))

    def show(progress: "TransferProgress") -> None:
        report(str(progress.stage), progress.kept, progress.total)

    faults = PriorFaults()
    while True:
        prior, cancel = PriorAttempts("download", 0, faults), CancelToken()
        try:
            return fetch(
                artifact, partial, options=options, shared=shared, cancel=cancel, prior=prior, on_progress=show
            )
        except RetryLater as wait:
            faults = replace(wait.faults, seconds=wait.faults.seconds + wait.seconds)
            time.sleep(wait.seconds)


def _reporter(on_progress: OnProgress | None) -> Report:
    """Return a function that calls `on_progress`: by name if it has these three names, else in this order."""
    if on_progress is None:
        return lambda stage, bytes_done, bytes_total: None
    try:
        inspect.signature(on_progress).bind(stage="", bytes_done=0, bytes_total=None)
    except (TypeError, ValueError):  # other names; or a builtin without a signature
        return on_progress
    return lambda stage, bytes_done, bytes_total: on_progress(
        stage=stage, bytes_done=bytes_done, bytes_total=bytes_total
    )
