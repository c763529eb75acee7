"""Jobs, their files and events: frozen values."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import LIVE_STATES, DigestState, EventKind, HubFormat, JobKind, Reason, Stage, State
from flowhub_jobs.values.store_settings import DEFAULT_STORE

ANY_NODE = "*"  # the node of a job that none has taken yet; no node has this name


@dataclass(frozen=True, slots=True)
class JobTarget:
    """Task of a job that is not a `fetch`.

    `place` is the installed name to `verify`, the folder to `export` to, the folder to `import` from, or the store to
    `move` from.
    """

    kind: JobKind
    place: str

    def key_of(self, artifact: Artifact, store: str = DEFAULT_STORE) -> str:
        """Return the key that only one live job may have: what writes one artifact into a store shares it.

        Two stores may have an artifact under one name: each has a job of its own that verifies it.
        """
        if self.kind in (JobKind.IMPORT, JobKind.MOVE):
            return artifact.key
        parts = [self.kind, self.place, artifact.key]
        if self.kind is JobKind.VERIFY and store != DEFAULT_STORE:
            parts.append(store)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class JobFile:
    """One file of a job, for the screens. `sha256` is the expected one."""

    path: str
    bytes: int | None
    bytes_done: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Wait:
    """The fault behind a queued job's wait, and the host that failed. None: unknown."""

    message: str | None
    code: str | None
    host: str | None


@dataclass(frozen=True, slots=True)
class OriginBytes:
    """The bytes of a job that one origin sent."""

    origin: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the contract's `flowhub/jobs/1`, in its order. Bytes, seconds, bytes a second; times are UTC."""

    id: int
    ref: str
    model: str | None
    option: str | None
    format: HubFormat | None
    node: str
    state: State
    stage: Stage | None
    reason: Reason | None
    priority: int
    group: str | None
    attempt: int
    bytes_total: int | None
    bytes_done: int
    bytes_fetched: int
    rate_bps: int | None
    eta_s: int | None
    not_before: datetime | None
    sha256_state: DigestState
    target: str
    files: tuple[JobFile, ...]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: dict[str, Any] | None
    kind: JobKind = JobKind.FETCH
    store: str = DEFAULT_STORE
    wait: Wait | None = None
    limit_bps: int | None = None  # the most that it may fetch, bytes a second
    sources: tuple[OriginBytes, ...] = ()  # the origins that sent the bytes, as far as they are known
    hint_template: str | None = None  # the hint of `error` with its placeholders, for a remedy of several jobs

    @property
    def title(self) -> str:
        """Return the job's title for a screen: its reference, and its kind unless it fetches."""
        return self.ref if self.kind is JobKind.FETCH else f"{self.kind} {self.ref}"

    @property
    def brings(self) -> bool:
        """Return whether it brings a model into the store."""
        return self.kind in (JobKind.FETCH, JobKind.IMPORT)

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job. `code` is that of the error behind it, if any; `text` is for people.

    `kind` is an EventKind, or the word of a newer version.
    """

    at: datetime
    kind: str
    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event for the history of a job, without its time."""

    kind: EventKind
    text: str
    code: str | None = None
