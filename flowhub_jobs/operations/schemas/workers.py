"""Workers and the service as JSON: `flowhub/worker/1`, `flowhub/service/1`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flowhub_jobs.operations.workers_and_service import started_by
from flowhub_jobs.times import rfc3339

if TYPE_CHECKING:
    from flowhub_jobs.jobs.worker_rows import WorkerStatus
    from flowhub_jobs.service.service_base import Service, ServiceState

SERVICE_SCHEMA = "flowhub/service/1"


def service_json(
    service: "Service", text: str, commands: Sequence[Sequence[str]], hints: Sequence[str], *, installed: bool
) -> dict[str, Any]:
    """Return `flowhub/service/1` of an installation: the unit's file, its text, and the commands that start it."""
    return {
        "schema": SERVICE_SCHEMA,
        "kind": service.kind,
        "path": str(service.path),
        "text": text,
        "commands": commands,
        "installed": installed,
        "hints": hints,
    }


def service_removed_json(service: "Service", *, removed: bool) -> dict[str, Any]:
    return {"schema": SERVICE_SCHEMA, "kind": service.kind, "path": str(service.path), "removed": removed}


def worker_json(node: str, workers: "Sequence[WorkerStatus]", queued: int, service: "ServiceState") -> dict[str, Any]:
    return {
        "schema": "flowhub/worker/1",
        "node": node,
        "workers": [_one_worker_json(worker, service) for worker in workers],
        "queued": queued,
        "service": {**asdict(service), "path": str(service.path)},
    }


def _one_worker_json(worker: "WorkerStatus", service: "ServiceState") -> dict[str, Any]:
    times = {name: rfc3339(getattr(worker, name)) for name in ("started_at", "seen_at")}
    return {**asdict(worker), **times, "by": started_by(worker, service)}
