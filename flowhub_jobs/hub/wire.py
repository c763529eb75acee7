"""Values as the contract's JSON: `flowhub/jobs/1` and `flowhub/installed/1`. All keys always; unknown is null."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from flowhub_jobs.records import Event, InstalledModel, Job, rfc3339

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
]
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
]  # the contract's order


def jobs_page(jobs: Iterable[Job]) -> dict[str, Any]:
    return {"schema": "flowhub/jobs/1", "jobs": [job_object(job) for job in jobs]}


def job_object(job: Job) -> dict[str, Any]:
    return _object(job, _JOB)


def installed_page(models: Iterable[InstalledModel]) -> dict[str, Any]:
    return {"schema": "flowhub/installed/1", "models": [_object(model, _INSTALLED) for model in models]}


def events_object(events: Iterable[Event]) -> list[dict[str, Any]]:
    return [_object(event, ("at", "kind", "text")) for event in events]


def _object(value: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, StrEnum | Path):
        return str(value)
    if isinstance(value, tuple):
        return [_object(file, _FILE) for file in value]
    return value
