"""Requests to enqueue an artifact, and the rows that they become. `JobCommands` writes them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowhub_jobs.errors import AddressRefused, UsageInvalid
from flowhub_jobs.net.urls import origin
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import DigestState, EventKind, JobKind, Reason, State
from flowhub_jobs.values.jobs import ANY_NODE, JobTarget
from flowhub_jobs.values.store_settings import DEFAULT_STORE

PRIORITY_MAX = 1_000_000
LiveKey = tuple[str, str]  # a node and an artifact's key, which at most one live job has


@dataclass(frozen=True, slots=True)
class EnqueueTerms:
    """How the jobs of one `enqueue` are queued."""

    priority: int = 0
    group: str | None = None
    not_before: int | None = None
    force: bool = False
    limit_bps: int | None = None  # of each job alone, bytes a second
    after: tuple[int, ...] = ()  # starts once these jobs have ended, however they ended
    store: str | None = None  # the store to install it in; None: where its older version is, else the default one
    place: tuple[str, ...] = ()  # the programs to place the model in, once it is installed


@dataclass(frozen=True, slots=True)
class EnqueueRequest:
    """An artifact to enqueue. If it is installed, `installed_by` is the job that installed it, if known."""

    artifact: Artifact
    target: str
    terms: EnqueueTerms = field(default_factory=EnqueueTerms)
    installed: bool = False
    installed_by: int | None = None
    task: JobTarget | None = None  # None: to fetch it
    size_seen: int | None = None  # bytes, as its source announced before it was queued; not binding
    node: str = ""  # ANY_NODE for the first that has room; '': the node of the command
    store: str = DEFAULT_STORE

    @property
    def key(self) -> str:
        """Return the key that at most one live job of a node may have."""
        return self.task.key_of(self.artifact, self.store) if self.task else self.artifact.key

    @property
    def live_key(self) -> LiveKey:
        return self.node, self.key

    @property
    def needs_no_fetch(self) -> bool:
        """Return whether nothing needs to be fetched for it."""
        return self.installed and not self.terms.force


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The result of a request: its job, and whether the job is new."""

    job: int
    new: bool


def checked_priority(number: int) -> int:
    """Return a valid priority. Raises UsageInvalid."""
    if abs(number) > PRIORITY_MAX:
        raise UsageInvalid(f"The priority {number} is out of range.", hint=f"It may be ±{PRIORITY_MAX:,} at most.")
    return number


def needing_job(requests: Iterable[EnqueueRequest], live: Mapping[LiveKey, int]) -> dict[LiveKey, EnqueueRequest]:
    """Return the requests that need a job of their own, by their keys; one that fetches stands for all of its key."""
    fresh: dict[LiveKey, EnqueueRequest] = {}
    for request in requests:
        key = request.live_key
        answered = key in live or (request.needs_no_fetch and request.installed_by is not None)
        if not answered and (key not in fresh or (fresh[key].needs_no_fetch and not request.needs_no_fetch)):
            fresh[key] = request
    return fresh


def enqueued_for(
    request: EnqueueRequest, known: Mapping[LiveKey, int], fresh: dict[LiveKey, EnqueueRequest]
) -> Enqueued:
    """Return the job of a request. A new job counts as new for one request: it is removed from `fresh`."""
    key = request.live_key
    number = known.get(key, request.installed_by)
    assert number is not None
    is_new = fresh.get(key) is request
    if is_new:
        del fresh[key]
    return Enqueued(number, new=is_new and not request.needs_no_fetch)


def job_row(request: EnqueueRequest, now_us: int) -> dict[str, Any]:
    """Return the row of a request that gets a job of its own."""
    artifact, terms, installed = request.artifact, request.terms, request.needs_no_fetch
    return {
        "node": request.node,
        "any_node": request.node == ANY_NODE,
        "kind": request.task.kind if request.task else JobKind.FETCH,
        "task": {"place": request.task.place} if request.task else None,
        "ref": artifact.ref,
        "model": artifact.model,
        "option": artifact.option,
        "format": artifact.format,
        "artifact_key": request.key,
        "artifact": artifact.as_dict(),
        "source_origin": None if request.task else source_origin(artifact),
        "store": request.store,
        "target": request.target,
        "state": State.COMPLETED if installed else State.QUEUED,
        "priority": terms.priority,
        "group": terms.group,
        "forced": terms.force,
        "limit_bps": terms.limit_bps,
        "bytes_total": request.size_seen if artifact.size is None else artifact.size,
        "bytes_done": (artifact.size or 0) if installed else 0,
        "not_before": None if installed else terms.not_before,
        "wait_reason": Reason.AT if terms.not_before and not installed else None,
        "sha256_state": _digest_state(artifact) if installed else DigestState.PENDING,
        "place": list(terms.place) if terms.place and _installs(request) else None,
        "created_at": now_us,
        "finished_at": now_us if installed else None,
    }


def _installs(request: EnqueueRequest) -> bool:
    return request.task is None or request.task.kind is JobKind.IMPORT


def source_origin(artifact: Artifact) -> str | None:
    """Return the origin of an artifact's first file: the host whose outages hold its job."""
    try:
        return origin(artifact.files[0].url)
    except AddressRefused:  # the run reports what is wrong with it
        return None


def first_event(number: int, request: EnqueueRequest, now_us: int) -> dict[str, Any]:
    kind, text = (
        (EventKind.INSTALLED, "It is installed already.") if request.needs_no_fetch else (EventKind.QUEUED, "Queued.")
    )
    return {"job_id": number, "at": now_us, "kind": kind, "text": text}


def after_rows(number: int, request: EnqueueRequest) -> list[dict[str, Any]]:
    """Return which jobs this one waits for: earlier ones only, so that no two can wait for each other."""
    earlier = () if request.needs_no_fetch else dict.fromkeys(request.terms.after)
    return [{"job_id": number, "after_id": other} for other in earlier]


def file_rows(number: int, request: EnqueueRequest) -> list[dict[str, Any]]:
    return [
        {
            "job_id": number,
            "number": place,
            "path": file.path,
            "bytes": file.size,
            "bytes_done": (file.size or 0) if request.needs_no_fetch else 0,
            "sha256": file.sha256,
        }
        for place, file in enumerate(request.artifact.files)
    ]


def _digest_state(artifact: Artifact) -> DigestState:
    pinned = all(file.sha256 or file.git_sha1 for file in artifact.files)
    return DigestState.VERIFIED if pinned else DigestState.UNPINNED
