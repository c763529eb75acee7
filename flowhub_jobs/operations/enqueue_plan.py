"""Requests for new jobs: where each artifact goes, whether it is installed, and the effect of queuing it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest, EnqueueTerms, LiveKey
from flowhub_jobs.operations.target_store import TargetStores
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.jobs import JobTarget
from flowhub_jobs.values.store_settings import DEFAULT_STORE


@dataclass(frozen=True, slots=True)
class EnqueueItem:
    """An artifact to queue, and its terms. Without a `task` it is fetched."""

    artifact: Artifact
    terms: EnqueueTerms = field(default_factory=EnqueueTerms)
    task: JobTarget | None = None
    size_seen: int | None = None  # bytes, as its source reported
    node: str = ""  # the node that is to have it, ANY_NODE for the first that can; '': this one


@dataclass(frozen=True, slots=True)
class EnqueuePlan:
    """Plan for one reference: nothing to do (`installed`, `queued`), or bytes to fetch."""

    artifact: Artifact
    target: Path
    action: str  # fetch, queued, installed
    job: int | None
    kept: int
    to_fetch: int | None
    size: int | None = None
    store: str = DEFAULT_STORE


def requests_for(home: Home, items: Sequence[EnqueueItem]) -> list[EnqueueRequest]:
    """Return the items with where they go, also those for other nodes, in order."""
    own_items = {number: item for number, item in enumerate(items) if item.node in ("", home.node)}
    requests = dict(zip(own_items, own_requests(home, list(own_items.values())), strict=True))
    if len(own_items) < len(items):
        from flowhub_jobs.operations.requests_for_other_nodes import requests_elsewhere

        other_items = {number: item for number, item in enumerate(items) if number not in own_items}
        requests |= dict(zip(other_items, requests_elsewhere(home, list(other_items.values())), strict=True))
    return [requests[number] for number in range(len(items))]


def own_requests(home: Home, items: Sequence[EnqueueItem]) -> list[EnqueueRequest]:
    """Return the items with where they go, and whether they are here already."""
    stores = TargetStores(home, [item.artifact.key for item in items])
    requests = []
    for item in items:
        artifact = item.artifact
        existing = stores.found(artifact, item.terms)
        in_store = existing.home if existing else stores.home_for(artifact, item.terms)
        name = existing.installed.name if existing else stores.name_for(artifact, in_store)
        target = str(in_store.store.root / name)
        by = existing.installed.job if existing else None
        details = (existing is not None, by, item.task, item.size_seen)
        requests.append(EnqueueRequest(artifact, target, item.terms, *details, home.node, in_store.store.name))
    return requests


def plan_enqueue(home: Home, items: Sequence[EnqueueItem]) -> list[EnqueuePlan]:
    """Return what `enqueue` would do, without doing it."""
    requests = requests_for(home, items)
    live = home.queries.live_jobs_of([request.node for request in requests])
    return [_plan(home, request, live) for request in requests]


def _plan(home: Home, request: EnqueueRequest, live: Mapping[LiveKey, int]) -> EnqueuePlan:
    artifact, target = request.artifact, Path(request.target)
    if (key := (request.node, artifact.key)) in live:
        return EnqueuePlan(artifact, target, "queued", live[key], 0, 0, artifact.size)
    if request.installed and not request.terms.force:
        return EnqueuePlan(artifact, target, "installed", request.installed_by, artifact.size or 0, 0, artifact.size)
    is_here = request.node == home.node
    on_disk, store = (_bytes_on_disk(home, request), request.store) if is_here else (0, DEFAULT_STORE)
    size = request.size_seen if artifact.size is None else artifact.size
    to_fetch = None if size is None else size - on_disk
    return EnqueuePlan(artifact, target, "fetch", None, on_disk, to_fetch, size, store)


def _bytes_on_disk(home: Home, request: EnqueueRequest) -> int:
    from flowhub_jobs.transfer.partial.journal import load

    store = home.in_store(request.store).store
    record = load(store.partial_of(request.artifact, home.node))
    return sum(file.kept.total for file in record.files.values())
