"""Three ways to one artifact: the engine alone, `download()`, and a job under a worker. A fault ends alike in each.

Each ends by itself: in a file that is right, or in an error with a code, a message and a hint, and no file at all.
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
    """How it ended. `path` is what was fetched; `error` the four keys of why there is nothing.

    `bytes_fetched` is how many bytes came over the wire, by its own word, where it has one.
    """

    path: Path | None = None
    error: Error | None = None
    bytes_fetched: int | None = None


class Downloader(ABC):
    """Fetches artifacts into a folder of its own; what is kept there waits for the next call."""

    def __init__(self, folder: Path, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.home, self.patch = folder, home, patch

    @abstractmethod
    def fetch(self, artifact: Artifact, options: TransferOptions = QUICK) -> Outcome:
        """Fetch until it ends."""

    @abstractmethod
    def final_names(self) -> list[Path]:
        """Return what bears a final name."""

    def assert_succeeds(self, artifact: Artifact, content: "Content", options: TransferOptions = QUICK) -> Outcome:
        """Fetch a one-file artifact, and hold it against what it should be."""
        ended = self.fetch(artifact, options)
        assert ended.error is None, ended.error
        assert ended.path is not None
        assert ended.path.read_bytes() == content.read()
        return ended

    def assert_succeeds_without_refetch(
        self, artifact: Artifact, content: "Content", origin: "Origin", options: TransferOptions = QUICK
    ) -> None:
        """The same, and no byte of `/m.gguf` left the origin twice."""
        ended = self.assert_succeeds(artifact, content, options)
        assert origin.sent("m.gguf") == content.size
        assert ended.bytes_fetched in (None, content.size)

    def assert_fails(
        self, artifact: Artifact, kind: type[FlowhubError], *says: object, options: TransferOptions = QUICK
    ) -> Error:
        """Fetch what cannot be had: the error is of its kind, says these words, says what to do; nothing has a name."""
        ended = self.fetch(artifact, options)
        assert ended.error is not None
        assert_error(ended.error, kind, *says)
        assert self.final_names() == []
        return ended.error


def assert_error(error: Error, kind: type[FlowhubError], *says: object) -> None:
    """Hold an error against what each owes a person: its code, the words in its message, and what to do next."""
    assert error["code"] == kind.code
    assert error["code"] in ERRORS
    for word in says:
        assert str(word) in error["message"]
    assert error["hint"]


class EngineDownloader(Downloader):
    """The transfer alone: what it returns is verified, and gets its name from others."""

    def fetch(self, artifact: Artifact, options: TransferOptions = QUICK) -> Outcome:
        try:
            got = run_transfer(artifact, self.folder, options=options)
        except FlowhubError as error:
            return Outcome(error=error.as_dict())
        assert got.fetched is not None
        assert got.fetched.files[0].sha256 == hashlib.sha256(got.content()).hexdigest()
        return Outcome(got.fetched.parts[0], bytes_fetched=got.fetched.bytes_fetched)

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
        return visible_files(self.folder)


class JobDownloader(Downloader):
    """A job of the queue, run by a worker's own story in this process."""

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
        return visible_files(self.folder)


DOWNLOADERS: dict[str, type[Downloader]] = {"fetch": EngineDownloader, "download": ApiDownloader, "job": JobDownloader}


def visible_files(folder: Path) -> list[Path]:
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
    known = {"url": file.url, "sizeBytes": file.size, "sha256": file.sha256, "gitSha1": file.git_sha1}
    return {key: value for key, value in known.items() if value is not None}


def set_options(patch: pytest.MonkeyPatch, options: TransferOptions) -> None:
    """Put the options where a person sets them: into the environment."""
    patience = options.patience
    settings = {
        "FLOWHUB_CONNECT_TIMEOUT_S": options.connect_s,
        "FLOWHUB_HEADERS_TIMEOUT_S": options.headers_s,
        "FLOWHUB_STALL_TIMEOUT_S": options.stall_s,
        "FLOWHUB_SLOW_BPS": options.slow_bps,
        "FLOWHUB_SLOW_WINDOW_S": options.slow_window_s,
        "FLOWHUB_BACKOFF_BASE_S": patience.base_s,
        "FLOWHUB_BACKOFF_CAP_S": patience.cap_s,
        "FLOWHUB_FAULTS_MAX": patience.faults_max,
        "FLOWHUB_GIVE_UP_AFTER": patience.give_up_after_s or 1e-6,
        "FLOWHUB_CONNECTIONS_PER_HOST": options.connections_per_host,
        "HF_ENDPOINT": options.hub_endpoint,
    }
    for name, value in settings.items():
        patch.setenv(name, str(value))
    for token in options.tokens.values():
        patch.setenv("HF_TOKEN", token)
