"""Values as the contract's JSON: `flowhub/jobs/1` and `flowhub/installed/1`. All keys always; unknown is null."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowhub_jobs.times import rfc3339
from flowhub_jobs.values.jobs import Event, Job, Wait

if TYPE_CHECKING:
    from flowhub_jobs.device.description import Device
    from flowhub_jobs.operations.library.cleanup import Partial
    from flowhub_jobs.operations.library.installed import Removal
    from flowhub_jobs.operations.library.usage import StoreUsage

_JOB = [
    "id",
    "ref",
    "model",
    "option",
    "format",
    "node",
    "state",
    "stage",
    "reason",
    "priority",
    "group",
    "attempt",
    "bytes_total",
    "bytes_done",
    "bytes_fetched",
    "rate_bps",
    "eta_s",
    "not_before",
    "sha256_state",
    "target",
    "files",
    "created_at",
    "started_at",
    "finished_at",
    "error",
    "kind",
    "wait",
]
_WAIT = ("message", "code", "host")
_FILE = ("path", "bytes", "bytes_done", "sha256")
_INSTALLED = [
    "name",
    "model",
    "option",
    "format",
    "path",
    "bytes",
    "sha256",
    "installed_at",
    "verified_at",
    "in_catalog",
    "condition",
    "source",
    "linked_from",
]  # the contract's order


def jobs_page(jobs: Iterable[Job]) -> dict[str, Any]:
    return {"schema": "flowhub/jobs/1", "jobs": [job_object(job) for job in jobs]}


def job_object(job: Job) -> dict[str, Any]:
    return _object(job, _JOB)


def installed_page(stock: "StoreUsage") -> dict[str, Any]:
    """Return what is installed, and beside it: what is on its way, what was removed by hand, the store."""
    return {
        "schema": "flowhub/installed/1",
        "models": [_object(model, _INSTALLED) for model in stock.models],
        "partials": [partial_object(partial) for partial in stock.partials],
        "removed_by_hand": [{"name": entry.name, "source": entry.ref} for entry in stock.gone],
        "store": store_object(stock),
    }


def partial_object(partial: "Partial") -> dict[str, Any]:
    return {
        "path": str(partial.leaving.path),
        "name": partial.name,
        "bytes": partial.leaving.bytes,
        "age_s": partial.age_s,
        "job": partial.holder.job if partial.holder else None,
        "state": str(partial.state),
    }


def store_object(stock: "StoreUsage") -> dict[str, Any]:
    return {"path": str(stock.root), "online": stock.online, "free": stock.free}


def removed_page(removed: "Iterable[Removal]", *, dry_run: bool) -> dict[str, Any]:
    """Return `flowhub/removed/1`: each model that was removed, its bytes, and those of them that were freed."""
    gone = [{"name": one.name, "bytes": one.bytes, "freed": one.freed} for one in removed]
    return {"schema": "flowhub/removed/1", "dry_run": dry_run, "removed": gone}


def device_page(device: "Device") -> dict[str, Any]:
    """Return `flowhub/device/1`."""
    return {"schema": "flowhub/device/1", "device": device.as_dict()}


def events_object(events: Iterable[Event]) -> list[dict[str, Any]]:
    return [_object(event, ("at", "kind", "text", "code")) for event in events]


def _object(value: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, StrEnum | Path):
        return str(value)
    if isinstance(value, tuple):
        return [_object(file, _FILE) for file in value]
    if isinstance(value, Wait):
        return _object(value, _WAIT)
    return value
