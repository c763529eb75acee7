"""Runs transfers as a worker does, without a worker: makes artifacts, fetches them, and records their progress.

`python -m support.run_fetch ARTIFACT FOLDER`, with the artifact as JSON, is a process that a test can kill.
"""

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from flowhub_jobs.transfer.fetch import Fetched, PriorAttempts, SharedLimits, TransferProgress, fetch
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.options import Cancelled, CancelToken, TransferOptions
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.transfer.retry import Patience
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import HubFormat
from flowhub_jobs.values.jobs import NewEvent

if TYPE_CHECKING:
    from lib.origin.content import Content

    from support.fault_base import Fault
    from support.origin import Origin

PATIENT = Patience(base_s=0.002, delay_max_s=0.02, give_up_after_s=0.0)  # the tries alone count
QUICK = TransferOptions(connect_s=30, headers_s=60, stall_s=60, patience=PATIENT)


def quick(*, faults_max: int = 10, **changed: Any) -> TransferOptions:
    """Return options with retries after milliseconds instead of seconds."""
    return replace(QUICK, patience=replace(PATIENT, faults_max=faults_max), **changed)


# Artifacts ------------------------------------------------------------------------------------------------------------


def pinned_artifact(url: str, content: "Content", name: str = "m.gguf") -> Artifact:
    """Return a one-file artifact whose size and sha256 the catalog knows."""
    return one_file_artifact(ArtifactFile(name, url, content.size, content.sha256()))


def unpinned_artifact(url: str, name: str = "m.gguf") -> Artifact:
    """Return a one-file artifact of which the catalog knows only the URL."""
    return one_file_artifact(ArtifactFile(name, url))


def one_file_artifact(file: ArtifactFile) -> Artifact:
    return Artifact("m@q", "m", "q", HubFormat.GGUF, file.path, False, (file,))


def folder_artifact(files: Mapping[str, str], contents: "Mapping[str, Content] | None" = None) -> Artifact:
    """Return a folder artifact of URLs by path. Files in `contents` are pinned to their content."""
    known = contents or {}
    artifact_files = tuple(
        ArtifactFile(path, url, known[path].size, known[path].sha256()) if path in known else ArtifactFile(path, url)
        for path, url in files.items()
    )
    return Artifact("m@mlx", "m", "mlx", HubFormat.MLX, "m-mlx", True, artifact_files)


# Runs -----------------------------------------------------------------------------------------------------------------


@dataclass
class TransferRun:
    """One call of `fetch`: its arguments, its progress, and its result."""

    artifact: Artifact
    folder: Path
    options: TransferOptions = QUICK
    cancel: CancelToken = field(default_factory=CancelToken)
    prior: PriorAttempts = PriorAttempts("job")  # noqa: RUF009, it is frozen
    shared: SharedLimits = field(default_factory=lambda: SharedLimits(HostLimits(), TokenBucket()))
    progress: list[TransferProgress] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    fetched: Fetched | None = None

    def fetch(self) -> Self:
        """Fetch in this thread."""
        self.fetched = fetch(
            self.artifact,
            self.folder,
            options=self.options,
            shared=self.shared,
            cancel=self.cancel,
            prior=self.prior,
            on_progress=self._record_progress,
        )
        return self

    def _record_progress(self, progress: TransferProgress) -> None:
        with self.changed:
            self.progress.append(progress)
            self.changed.notify_all()

    def wait_for_progress(self, count: int) -> None:
        """Wait until `on_progress` was called `count` times more."""
        with self.changed:
            goal = len(self.progress) + count
            assert self.changed.wait_for(lambda: len(self.progress) >= goal, 30)

    def content(self, number: int = 0) -> bytes:
        """Return the content of a fetched file on disk."""
        assert self.fetched is not None
        return self.fetched.parts[number].read_bytes()

    @property
    def notes(self) -> list[NewEvent]:
        return [note for progress in self.progress for note in progress.notes]

    @property
    def note_kinds(self) -> list[str]:
        return [note.kind for note in self.notes]


def run_transfer(artifact: Artifact, folder: Path, **fields: Any) -> TransferRun:
    """Fetch an artifact into a folder, and return the run; `fields` are fields of TransferRun."""
    return TransferRun(artifact, folder, **fields).fetch()


class BackgroundRun:
    """A run in a background thread. Leaving the block stops it; `result` waits for it and raises its error."""

    def __init__(self, artifact: Artifact, folder: Path, **fields: Any) -> None:
        self.run = TransferRun(artifact, folder, **fields)
        self.hold = threading.Event()  # set it to let a paused origin continue
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run_thread, name="run", daemon=True)

    def _run_thread(self) -> None:
        try:
            self.run.fetch()
        except BaseException as error:
            self._error = error

    def result(self) -> TransferRun:
        self._thread.join(30)
        assert not self._thread.is_alive(), "the run does not end"
        if self._error is not None:
            raise self._error
        return self.run

    def stop(self, why: str = "stop") -> None:
        """Stop the run, and wait until it has ended."""
        self.run.cancel.stop(why)
        with contextlib.suppress(Cancelled):
            self.result()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.run.cancel.stop("the test is over")
        self._thread.join(30)


# Partials -------------------------------------------------------------------------------------------------------------


def journaled_bytes(folder: Path) -> int:
    """Return the number of bytes on disk according to the journal of a partial."""
    return sum(file.kept.total for file in journal.load(folder).files.values())


def hashed_bytes(folder: Path) -> int:
    """Return the number of hashed bytes in the journal of a partial of one file."""
    return max(file.frontier for file in journal.load(folder).files.values())


def part_path(folder: Path, path: str = "m.gguf") -> Path:
    """Return the path of a file's bytes in a partial."""
    return folder / journal.load(folder).files[path].part


def stop_after(
    count: int, artifact: Artifact, folder: Path, origin: "Origin", *, faults: "Sequence[Fault]" = (), **fields: Any
) -> Path:
    """Fetch `/m.gguf` until the journal has its first `count` bytes, stop the run, and return the partial."""
    with hold_after(count, artifact, folder, origin, faults=faults, **fields) as running:
        running.stop()
    origin.drop_connections()
    return folder


def crash_after(
    count: int, artifact: Artifact, folder: Path, origin: "Origin", *, faults: "Sequence[Fault]" = ()
) -> Path:
    """The same, but return a copy of the partial during the run, as a crash leaves it: all `count` bytes are hashed."""
    with hold_after(count, artifact, folder, origin, faults=faults) as running:
        origin.wait_for(lambda: hashed_bytes(folder) == count)
        copy = shutil.copytree(folder, folder.with_name(f"{folder.name}-crashed"))
        running.stop()
    origin.drop_connections()
    return copy


@contextmanager
def hold_after(
    count: int, artifact: Artifact, folder: Path, origin: "Origin", *, faults: "Sequence[Fault]" = (), **fields: Any
) -> Iterator[BackgroundRun]:
    """Fetch `/m.gguf` until the journal has its first `count` bytes, and pause there.

    The origin must serve it already; `faults` affect its answers. Later requests are not paused.
    """
    from support.faults import Hold

    hold = Hold(after=count)
    origin.break_with(*faults, hold.once(), path="/m.gguf")
    with BackgroundRun(artifact, folder, **fields) as running:
        origin.wait_for(lambda: journaled_bytes(folder) == count)
        running.hold = hold.event
        yield running


if __name__ == "__main__":
    run_transfer(Artifact.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]))
