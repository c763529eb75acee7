"""Requests the first bytes of files from their sources, several in parallel, for a limited time."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from flowhub_jobs.errors import (
    AddressRefused,
    FlowhubError,
    Gated,
    SourceMissing,
    TokenMissing,
    TokenRefused,
    TooLarge,
)
from flowhub_jobs.net import get
from flowhub_jobs.net.get import Document, Range
from flowhub_jobs.net.status_errors import status_error
from flowhub_jobs.net.token_choice import token_for
from flowhub_jobs.net.urls import at_endpoint, host_of, hub_page, origin
from flowhub_jobs.operations.preflight.first_response_checks import (
    ALL_MAX,
    ASKED_BYTES,
    CheckedArtifact,
    FirstResponse,
    check_artifact,
    check_response,
)
from flowhub_jobs.settings import Settings
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile

FILE_S, CONNECT_S = 10.0, 5.0  # for one file
CALL_S = 20.0  # for all files of a call
AT_ONCE = 8
FILES_MAX = 64  # of one artifact

_PERMANENT = (TokenMissing, TokenRefused, Gated, SourceMissing)


def check(artifacts: Sequence[Artifact], settings: Settings) -> list[CheckedArtifact]:
    """Probe the files of all artifacts, for `CALL_S` seconds at most, and return each as it can be queued.

    Files not reached in that time, or beyond `ALL_MAX`, are not refused; `unchecked_reason` says so.
    """
    files = [(number, file) for number, artifact in enumerate(artifacts) for file in artifact.files[:FILES_MAX]]
    files = files[:ALL_MAX]
    answers = _SourceProbe(settings).at([file for _, file in files])
    by_artifact: dict[int, list[FirstResponse]] = {}
    for (number, _), answer in zip(files, answers, strict=True):
        by_artifact.setdefault(number, []).append(answer)
    return [check_artifact(artifact, by_artifact.get(number, [])) for number, artifact in enumerate(artifacts)]


@dataclass(slots=True)
class _SourceProbe:
    """One probe of many files. A host that cannot be reached is not asked again."""

    settings: Settings
    _until: float = field(default_factory=lambda: time.monotonic() + CALL_S)
    _away: dict[str, str] = field(default_factory=dict)  # why, by origin

    def at(self, files: Sequence[ArtifactFile]) -> list[FirstResponse]:
        answers = [FirstResponse(unchecked_reason=f"not checked within {CALL_S:g} s")] * len(files)
        pending: SimpleQueue[int] = SimpleQueue()
        for number in range(len(files)):
            pending.put(number)

        def check_files() -> None:
            while time.monotonic() < self._until:
                try:
                    number = pending.get_nowait()
                except Empty:
                    return
                answers[number] = self._file(files[number])

        # Daemons: a resolver that hangs must not keep the command from ending.
        threads = [threading.Thread(target=check_files, daemon=True) for _ in range(min(AT_ONCE, len(files)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self._until - time.monotonic()) + 1.0)
        return list(answers)

    def _file(self, file: ArtifactFile) -> FirstResponse:
        url = at_endpoint(file.url, self.settings.hf_endpoint)
        try:
            if problem := self._away.get(origin(url)):
                return FirstResponse(unchecked_reason=problem)
            return self._first_answer(file, url)
        except AddressRefused as error:
            return FirstResponse(error=error)
        except FlowhubError as error:
            if error.retryable:
                self._away[origin(url)] = error.message.rstrip(".")
            return FirstResponse(unchecked_reason=error.message.rstrip("."))

    def _first_answer(self, file: ArtifactFile, url: str) -> FirstResponse:
        answer = self._request(file, (0, ASKED_BYTES))
        if answer.status in (200, 206):
            return check_response(file, answer)
        error = self._refusal(answer, url)
        if getattr(error, "about_range", False):
            # It may refuse ranges: request the whole file, and disconnect after the first bytes.
            try:
                answer = self._request(file, None)
            except TooLarge:
                return FirstResponse()
            if answer.status in (200, 206):
                return check_response(file, answer)
            error = self._refusal(answer, url)
        error.hint = _hint(error, file, answer)
        return (
            FirstResponse(error=error)
            if isinstance(error, _PERMANENT)
            else FirstResponse(unchecked_reason=error.message.rstrip("."))
        )

    def _request(self, file: ArtifactFile, byte_range: Range | None) -> Document:
        return get.get(
            file.url,
            max_bytes=ASKED_BYTES,
            total_s=min(FILE_S, max(0.1, self._until - time.monotonic())),
            connect_s=min(CONNECT_S, self.settings.connect_timeout_s),
            headers={"Accept-Encoding": "identity"},
            byte_range=byte_range,
            tokens=self.settings.tokens_by_origin,
            endpoint=self.settings.hf_endpoint,
            pinned=file.sha256 is not None,
        )

    def _refusal(self, answer: Document, url: str) -> FlowhubError:
        return status_error(
            answer.status,
            answer.headers,
            host=host_of(answer.url),
            fresh=True,
            home=origin(answer.url) == origin(url),
            had_token=token_for(answer.url, self.settings.tokens_by_origin) is not None,
            now=datetime.now(UTC),
            secrets=self.settings.tokens_by_origin.values(),
        )


def _hint(error: FlowhubError, file: ArtifactFile, answer: Document) -> str | None:
    """Return a remedy for a file that is not queued yet: the hints of a transfer name a job."""
    page = hub_page(file.url)
    if isinstance(error, Gated) and page:
        return f"Accept its terms at {page}, set HF_TOKEN for the worker too, then enqueue it again."
    if isinstance(error, TokenMissing | TokenRefused | Gated):
        advice = "Set HF_TOKEN" if page else f'Write "{origin(answer.url)}" = "…" under [tokens] in config.toml'
        return f"{advice} to a token that may read it, then enqueue it again."
    if isinstance(error, SourceMissing):
        return f"Look at {page} for the file's name." if page else "Check the address."
    return error.hint
