"""Rows for every table of a schema, old or new: valid for flowhub, and with different values."""

from typing import Any

import sqlalchemy as sa

NODE = "n-dump"
JOBS = {1: "completed", 2: "failed", 3: "queued"}
NOW = 1_795_000_000_000_000  # microseconds since 1970
PER_TABLE = 2
PIN = "ab" * 32


def rows_of(table: sa.Table) -> list[dict[str, Any]]:
    """Return the rows of a reflected table: the first has no NULL, except where a column must be NULL."""
    count = len(JOBS) if table.name == "jobs" else PER_TABLE
    return [_row(table, number) for number in range(1, count + 1)]


def _row(table: sa.Table, number: int) -> dict[str, Any]:
    chosen = _chosen(table.name, number)
    return {
        column.name: chosen[column.name] if column.name in chosen else _value(column, number)
        for column in table.columns
    }


def _value(column: sa.Column[Any], number: int) -> Any:
    if column.foreign_keys or column.name == "id":
        return number
    if column.nullable and number > 1:
        return None
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return number == 1
    if isinstance(kind, sa.Float):
        return number + 0.5
    if isinstance(kind, sa.Integer):
        return NOW + number if isinstance(kind, sa.BigInteger) else 10 + number
    if isinstance(kind, sa.LargeBinary):
        return bytes(range(32)) * number
    if isinstance(kind, sa.String):
        return f"{column.name[:12]}-{number}"[: kind.length]
    return {column.name: number}  # JSON


def _chosen(table: str, number: int) -> dict[str, Any]:
    """Return the values of a row that have a meaning, also for columns that an old schema lacks."""
    shared = {"node": NODE if table not in ("nodes", "workers") else f"{NODE}-{number}", "store_id": "5" * 32}
    return shared | (_job(number) if table == "jobs" else _OTHERS.get(table, {}).get(number, {}))


def _job(number: int) -> dict[str, Any]:
    state, model = JOBS[number], f"model-{number}"
    file = {"path": f"{model}.gguf", "url": f"https://h.example/{model}.gguf", "size": 1000, "sha256": PIN}
    artifact = {
        "ref": f"{model}@q4",
        "model": model,
        "option": "q4",
        "format": "gguf",
        "name": f"{model}.gguf",
        "folder": False,
        "files": [file | {"git_sha1": None, "commit": None}],
        "hub": None,
    }
    has_ended = state != "queued"
    error = {"code": "source_missing", "message": "It is gone.", "hint": None, "retryable": False}
    return {
        "kind": "fetch",
        "task": None,
        "any_node": False,
        "ref": f"{model}@q4",
        "model": model,
        "option": "q4",
        "format": "gguf",
        "artifact_key": f"{number:016x}",
        "artifact": artifact,
        "source_origin": "https://h.example:443",
        "target": f"/store/{model}.gguf",
        "state": state,
        "stage": None,
        "group": "night",
        "bytes_total": 1000,
        "bytes_done": 1000 if state == "completed" else 10 * number,
        "bytes_fetched": 100 * number,
        "sources": {"https://h.example:443": 100 * number},
        "rate_bps": None,
        "limit_bps": 5_000_000,
        "sha256_state": "verified" if state == "completed" else "pending",
        "not_before": None,
        "wait_reason": None,
        "intent": None,
        "wish": None,
        "requested": None,
        "place": ["hf-cache"],
        "lease_token": None,
        "lease_worker": None,
        "lease_boot": None,
        "lease_until": None,
        "created_at": NOW + number,
        "started_at": NOW + 10 + number if has_ended else None,
        "finished_at": NOW + 20 + number if has_ended else None,
        "error": error if state == "failed" else None,
    }


_NAMES = {1: "model-1.gguf", 2: "other.gguf"}
_OTHERS: dict[str, dict[int, dict[str, Any]]] = {
    "artifacts": {
        number: {
            "name": name,
            "name_key": name,
            "artifact_key": f"{number:016x}",
            "ref": f"model-{number}@q4",
            "format": "gguf",
            "bytes": 1000,
            "artifact": _job(number)["artifact"],
            "damage": None,
        }
        for number, name in _NAMES.items()
    },
    "artifact_files": {number: {"path": name, "bytes": 1000, "sha256": PIN} for number, name in _NAMES.items()},
    "artifact_pieces": {number: {"path": name, "piece": 1 << 20} for number, name in _NAMES.items()},
    "job_after": {1: {"job_id": 3, "after_id": 1}, 2: {"job_id": 3, "after_id": 2}},
    "job_files": {number: {"path": f"model-{number}.gguf", "sha256_state": "pending"} for number in JOBS},
    "nodes": {1: {"node": NODE, "gpus": [{"name": "A", "vendor": "nvidia", "vram_total_bytes": 1 << 34}]}},
    "placements": {number: {"entries": [], "folders": [], "state": "placed"} for number in (1, 2)},
    "subscriptions": {
        number: {"kind": "reference", "include": None, "place": ["hf-cache"], "error": None, "at_minute": 90}
        for number in (1, 2)
    },
    "wire_bytes": {1: {"day": "2026-11-29"}, 2: {"day": "2026-11-30"}},
}
