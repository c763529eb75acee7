"""The Python API, with the names of the contract. Settings come from the environment and the home's config.toml."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import Busy, FlowhubError, NameTaken
from flowhub_jobs.operations.catalogs.active import catalog_in_force
from flowhub_jobs.settings import load_settings
from flowhub_jobs.store.layout import Store
from flowhub_jobs.values.artifacts import Artifact, LocalLlm

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.schema import DownloadOption, HubCatalog, HubModel
    from flowhub_jobs.store.install import Installer
    from flowhub_jobs.transfer.fetch import Fetched, TransferProgress

OnProgress = Callable[..., object]  # (stage, bytes_done, bytes_total)
NODE = "download"  # in the place of a node's name: the partials of `download()`


def catalog() -> "HubCatalog":
    """Return the catalog in force. Raises CatalogMalformed, CatalogUnreadable, and from a URL CatalogUnreachable."""
    return catalog_in_force(load_settings()).catalog


def find(model_id: str) -> "HubModel":
    """Return the model of the catalog in force. Raises NotFound, with the nearest names in its hint."""
    from flowhub_jobs.catalogs.resolve import find_model

    return find_model(catalog(), model_id)


def resolve_option(model: "HubModel", option_id: str | None = None) -> "DownloadOption":
    """Return the named option of a model, else its first. Raises NotFound."""
    from flowhub_jobs.catalogs.resolve import resolve_option as resolve

    return resolve(model, option_id)


def list_local_llms() -> list[LocalLlm]:
    """Return what lies in the store, by name: files and folders, put there by us or by hand."""
    return Store(load_settings().store).models()


def delete_local_llm(name: str) -> int:
    """Remove a model by its bare name, a folder whole; return the bytes it had.

    Raises UsageInvalid for anything but a bare name, NotFound, and Busy while a job works on it.
    """
    from flowhub_jobs.home import opened
    from flowhub_jobs.operations.session import Session

    with opened(load_settings()) as home:
        return Session(home).installed.remove(name)


def download(option: "DownloadOption", dest_dir: str | Path, on_progress: OnProgress | None = None) -> Path:
    """Download and verify what an option installs into `dest_dir`; return its path. No queue, no database.

    `on_progress(stage, bytes_done, bytes_total)` is called about twice a second: stage is "resolve", "download",
    "verify" or "install"; bytes_total is None while the size is unknown. Its parameters may have any names; those that
    have exactly these three are called by name.
    An interrupted call is resumed by the next one. Raises the errors of flowhub_jobs.errors: NameTaken, Busy (another
    process downloads the same), DiskFull, DigestMismatch, SizeMismatch and those of the source.
    """
    from flowhub_jobs.errors.guide import hint_in_call

    try:
        return _download(option, dest_dir, on_progress)
    except FlowhubError as error:
        error.hint = hint_in_call(error)
        raise


def _download(option: "DownloadOption", dest_dir: str | Path, on_progress: OnProgress | None) -> Path:
    from flowhub_jobs.catalogs.schema import artifact as artifact_of
    from flowhub_jobs.fs.disk_errors import disk_errors

    artifact = artifact_of(None, option)
    store = Store(Path(dest_dir).absolute())
    store.open(None, own=True)
    with disk_errors(store.root):
        there = None if store.partials_of(artifact, NODE) else store.taken(artifact.name)
    if there is not None:
        return _as_it_lies(artifact, there)
    with _alone_at(store, artifact) as partial:
        return _brought(artifact, partial, store, on_progress)


@contextmanager
def _alone_at(store: Store, artifact: Artifact) -> Iterator[Path]:
    """Hold the partial of an artifact: of two calls for the same, one fetches. Raises Busy."""
    from flowhub_jobs.store.install import remove_partial
    from flowhub_jobs.transfer.partial.claim import claimed
    from flowhub_jobs.transfer.partial.ownership import this_run

    fresh = store.new_partial(artifact, NODE)
    with claimed(store.partials_of(artifact, NODE), fresh, this_run("", "")) as claim:
        if claim.other_owners:
            if claim.folder == fresh:
                remove_partial(fresh)
            raise Busy(f"Another process is fetching {artifact.ref} into {store.root}.")
        yield claim.folder


def _as_it_lies(artifact: Artifact, there: Path) -> Path:
    from flowhub_jobs.store.adopt import adoptable

    if adoptable(artifact, there, lambda: None) is None:
        raise NameTaken(
            f"{there} is there already, and is not what {artifact.ref} is; it is never replaced.",
            hint="Move or remove it, then call download() again.",
        )
    return there


def _brought(artifact: Artifact, partial: Path, store: Store, on_progress: OnProgress | None) -> Path:
    """Return the path of the installed artifact: an earlier call's, an existing file's, or that of a new download."""
    from flowhub_jobs.store.install import Installer, remove_partial

    # The claim of the partial is this call's for as long as it lives: no lease can be lost, and no job be cancelled.
    installer = Installer(
        store, _JournalIntent(partial), owner=lambda name: None, check=lambda: None, may_write=lambda: None
    )
    if (installed := installer.recover()) is not None:
        path = installed.path
    elif (existing := store.taken(artifact.name)) is not None:
        path = _as_it_lies(artifact, existing)
    else:
        path = _named(artifact, partial, installer, on_progress)
    remove_partial(partial)
    return path


@dataclass(frozen=True, slots=True)
class _JournalIntent:
    """The intent in a partial's journal (store.install.IntentLog)."""

    partial: Path

    def read_intent(self) -> dict[str, Any] | None:
        from flowhub_jobs.transfer.partial import journal

        return journal.load(self.partial).install

    def write_intent(self, intent: dict[str, Any]) -> None:
        from flowhub_jobs.transfer.partial import journal

        journal.append(self.partial, {"install": intent})


def _named(artifact: Artifact, partial: Path, installer: "Installer", on_progress: OnProgress | None) -> Path:
    """Return the path of what is fetched now; of what another process put there since, if every byte of it is right."""
    try:
        return _fetched(artifact, partial, installer, on_progress)
    except NameTaken:
        if (existing := installer.store.taken(artifact.name)) is None:
            raise
        return _as_it_lies(artifact, existing)


def _fetched(artifact: Artifact, partial: Path, installer: "Installer", on_progress: OnProgress | None) -> Path:
    """Fetch what the partial does not hold yet, and install it; return its path."""
    from flowhub_jobs.store.install import ArtifactParts
    from flowhub_jobs.store.space import check_room, room_at
    from flowhub_jobs.transfer.partial import journal

    root = installer.store.root
    kept = sum(file.kept.total for file in journal.load(partial).files.values())
    check_room(room_at(root, load_settings().disk_reserve), max(0, (artifact.size or 0) - kept), 0, root)
    fetched = _patiently(artifact, partial, on_progress)
    return installer.install(artifact, partial, ArtifactParts(fetched.files, fetched.parts, fetched.marks)).path


def _patiently(artifact: Artifact, partial: Path, on_progress: OnProgress | None) -> "Fetched":
    """Fetch, sleeping through the waits for which a worker would give its slot away."""
    from flowhub_jobs.transfer.fetch import PriorAttempts, RetryLater, Shared, fetch
    from flowhub_jobs.transfer.host_limits import HostLimits
    from flowhub_jobs.transfer.options import CancelToken
    from flowhub_jobs.transfer.rate_limit import TokenBucket
    from flowhub_jobs.transfer.retry import PriorFaults
    from flowhub_jobs.worker.transfer_options import transfer_options

    settings = load_settings()
    options = transfer_options(settings)
    # A call is not left alone for the night, as a job is: its caller decides after ten tries what an outage means.
    options = replace(options, patience=replace(options.patience, give_up_after_s=0.0))
    shared = Shared(HostLimits(settings.connections_per_host), TokenBucket(settings.limit_rate))
    report = _reporter(on_progress)

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


def _reporter(on_progress: OnProgress | None) -> Callable[[str, int, int | None], object]:
    """Return how `on_progress` is called: by name if it has these three names, else in this order."""
    if on_progress is None:
        return lambda stage, bytes_done, bytes_total: None
    import inspect

    try:
        inspect.signature(on_progress).bind(stage="", bytes_done=0, bytes_total=None)
    except (TypeError, ValueError):  # other names; or a builtin without a signature
        return on_progress
    return lambda stage, bytes_done, bytes_total: on_progress(
        stage=stage, bytes_done=bytes_done, bytes_total=bytes_total
    )
