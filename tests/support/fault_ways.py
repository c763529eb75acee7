"""Three ways to download an artifact: the transfer engine alone, `download()`, and a job. Each fault has one outcome.

The outcome is a right file, or an error with a code, a message and a hint, and no file.
"""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowhub_jobs.errors import ERRORS, FlowhubError
from flowhub_jobs.transfer.options import TransferOptions
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import State
from support.app import app_of
from support.run_fetch import QUICK, run_transfer

if TYPE_CHECKING:
    from lib.origin.content import Content

    from support.origin import Origin

Error = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a download: the file or folder, or the four keys of an error.

    `bytes_fetched` is the number of received bytes, where the downloader reports it.
    """

    path: Path | None = None
    error: Error | None = None
    bytes_fetched: int | None = None


class Downloader(ABC):
    """Fetches artifacts into its folder. A partial there is kept for the next call."""

    def __init__(self, folder: Path, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.home, self.patch = folder, home, patch

    @abstractmethod
    def fetch(self, artifact: Artifact, options: TransferOptions = QUICK) -> Outcome:
        """Fetch an artifact, and return the outcome."""

    @abstractmethod
    def final_names(self) -> list[Path]:
        """Return the files that have a final name."""

    def assert_succeeds(self, artifact: Artifact, content: "Content", options: TransferOptions = QUICK) -> Outcome:
        """Fetch a one-file artifact, and compare it with its content."""
        outcome = self.fetch(artifact, options)
        assert outcome.error is None, outcome.error
        assert outcome.path is not None
        assert outcome.path.read_bytes() == content.read()
        return outcome

    def assert_succeeds_without_refetch(
        self, artifact: Artifact, content: "Content", origin: "Origin", options: TransferOptions = QUICK
    ) -> None:
        """The same, and the origin sent no byte of `/m.gguf` twice."""
        outcome = self.assert_succeeds(artifact, content, options)
        assert origin.sent("m.gguf") == content.size
        assert outcome.bytes_fetched in (None, content.size)

    def assert_fails(
        self, artifact: Artifact, kind: type[FlowhubError], *words: object, options: TransferOptions = QUICK
    ) -> Error:
        """Fetch, and expect an error of this class that contains `words`, has a hint and leaves no installed file."""
        outcome = self.fetch(artifact, options)
        assert outcome.error is not None
        assert_error(outcome.error, kind, *words)
        assert self.final_names() == []
        return outcome.error


def assert_error(error: Error, kind: type[FlowhubError], *words: object) -> None:
    """Check what each error owes a user: its code, the words in its message, and a hint."""
    assert error["code"] == kind.code
    assert error["code"] in ERRORS
    for word in words:
        assert str(word) in error["message"]
    assert error["hint"]


class EngineDownloader(Downloader):
    """The transfer engine alone: it returns verified files and installs none."""

    def fetch(self, artifact: Artifact, options: TransferOptions = QUICK) -> Outcome:
        try:
            transfer = run_transfer(artifact, self.folder, options=options)
        except FlowhubError as error:
            return Outcome(error=error.as_dict())
        assert transfer.fetched is not None
        assert transfer.fetched.files[0].sha256 == hashlib.sha256(transfer.content()).hexdigest()
        return Outcome(transfer.fetched.parts[0], bytes_fetched=transfer.fetched.bytes_fetched)

    def final_names(self) -> list[Path]:
        return []


class ApiDownloader(Downloader):
    """`flowhub_jobs.download`: no queue, no database."""

    def fetch(self, artifact: Artifact, options: TransferOptions = QUICK) -> Outcome:
        from flowhub_jobs import DownloadOption, download

        set_options(self.patch, options)
        try:
            return Outcome(download(DownloadOption.model_validate(option_of(artifact)), self.folder))
        except FlowhubError as error:
            return Outcome(error=error.as_dict())

    def final_names(self) -> list[Path]:
        return installed_files(self.folder)


class JobDownloader(Downloader):
    """A job of the queue, run by a worker's pipeline in this process."""

    def fetch(self, artifact: Artifact, options: TransferOptions = QUICK) -> Outcome:
        set_options(self.patch, options)
        self.patch.setenv("FLOWHUB_STORE", str(self.folder))
        with app_of(self.home, {"id": "m", "name": "M", "downloads": [option_of(artifact)]}) as app:
            number = app.enqueue("m", force=True)
            app.run_next_job()
            job = app.job(number)
            if job.state is State.COMPLETED:
                return Outcome(Path(job.target), bytes_fetched=job.bytes_fetched)
            assert job.state is State.FAILED, (job.state, job.reason)
            return Outcome(error=job.error)

    def final_names(self) -> list[Path]:
        return installed_files(self.folder)


DOWNLOADERS: dict[str, type[Downloader]] = {"fetch": EngineDownloader, "download": ApiDownloader, "job": JobDownloader}


def installed_files(folder: Path) -> list[Path]:
    """Return the store's files whose names do not begin with a dot."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def option_of(artifact: Artifact) -> dict[str, Any]:
    """Return an artifact as the catalog's option that installs it."""
    option = {"id": "q", "format": str(artifact.format)}
    if artifact.folder:
        return option | {"files": [{"path": file.path, **_source(file)} for file in artifact.files]}
    [file] = artifact.files
    return option | {"filename": file.path, **_source(file)}


def _source(file: ArtifactFile) -> dict[str, Any]:
    fields = {"url": file.url, "sizeBytes": file.size, "sha256": file.sha256, "gitSha1": file.git_sha1}
    return {key: value for key, value in fields.items() if value is not None}


def set_options(patch: pytest.MonkeyPatch, options: TransferOptions) -> None:
    """Set the options as a user does: in the environment."""
    patience = options.patience
    settings = {
        "FLOWHUB_CONNECT_TIMEOUT_S": options.connect_s,
        "FLOWHUB_HEADERS_TIMEOUT_S": options.headers_s,
        "FLOWHUB_STALL_TIMEOUT_S": options.stall_s,
        "FLOWHUB_SLOW_BPS": options.slow_bps,
        "FLOWHUB_SLOW_WINDOW_S": options.slow_window_s,
        "FLOWHUB_BACKOFF_BASE_S": patience.base_s,
        "FLOWHUB_BACKOFF_CAP_S": patience.delay_max_s,
        "FLOWHUB_FAULTS_MAX": patience.faults_max,
        "FLOWHUB_GIVE_UP_AFTER": patience.give_up_after_s or 1e-6,
        "FLOWHUB_CONNECTIONS_PER_HOST": options.connections_per_host,
        "HF_ENDPOINT": options.hub_endpoint,
    }
    for name, value in settings.items():
        patch.setenv(name, str(value))
    for token in options.tokens.values():
        patch.setenv("HF_TOKEN", token)
