"""Decodes rows of `jobs`: the types of all columns, the artifact and the task. Raises JobUnreadable.

SQLite stores any value in any column, and another version may write values that this one does not know.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from flowhub_jobs.database.decode_row_values import Unreadable, boolean_of, json_of
from flowhub_jobs.database.lazy import Row, Snapshot
from flowhub_jobs.errors import JobUnreadable
from flowhub_jobs.errors.hint_placeholders import for_jobs
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import DigestState, JobKind, Reason, RequestedAction, Stage, State
from flowhub_jobs.values.jobs import JobTarget

Value = TypeVar("Value")
AnyRow = Mapping[Any, Any]  # also one of SQLAlchemy's, whose keys may be columns

_TEXT, _WHOLE, _TRUTH = (str,), (int,), (bool,)
_TEXT_OR_NONE, _WHOLE_OR_NONE = (str, type(None)), (int, type(None))
# The columns that the screens show, except `error`, with the types that a value may have. Not those that only a run
# needs: an artifact may be a megabyte.
TYPES: dict[str, tuple[type, ...]] = {
    "id": _WHOLE,
    "node": _TEXT,
    "any_node": _TRUTH,
    "kind": _TEXT,
    "ref": _TEXT,
    "model": _TEXT_OR_NONE,
    "option": _TEXT_OR_NONE,
    "format": _TEXT_OR_NONE,
    "artifact_key": _TEXT,
    "source_origin": _TEXT_OR_NONE,
    "store": _TEXT,
    "target": _TEXT,
    "state": _TEXT,
    "stage": _TEXT_OR_NONE,
    "priority": _WHOLE,
    "group": _TEXT_OR_NONE,
    "forced": _TRUTH,
    "attempt": _WHOLE,
    "bytes_total": _WHOLE_OR_NONE,
    "bytes_done": _WHOLE,
    "bytes_fetched": _WHOLE,
    "rate_bps": _WHOLE_OR_NONE,
    "limit_bps": _WHOLE_OR_NONE,
    "sha256_state": _TEXT,
    "not_before": _WHOLE_OR_NONE,
    "wait_reason": _TEXT_OR_NONE,
    "wait_text": _TEXT_OR_NONE,
    "start_now": _TRUTH,
    "wait_us": _WHOLE_OR_NONE,
    "faults": _WHOLE,
    "fruitless_us": _WHOLE,
    "rescues": _WHOLE,
    "furthest": _WHOLE,
    "progressed": _TRUTH,
    "requested": _TEXT_OR_NONE,
    "lease_token": _TEXT_OR_NONE,
    "lease_worker": _TEXT_OR_NONE,
    "lease_boot": _TEXT_OR_NONE,
    "lease_until": (float, int, type(None)),
    "created_at": _WHOLE,
    "started_at": _WHOLE_OR_NONE,
    "finished_at": _WHOLE_OR_NONE,
}
_SHOWN = ", ".join(f'jobs."{name}"' for name in (*TYPES, "error", "sources"))
_WORDS: dict[str, frozenset[str]] = {
    "state": frozenset(State),
    "stage": frozenset(Stage),
    "kind": frozenset(JobKind),
    "sha256_state": frozenset(DigestState),
    "wait_reason": frozenset(Reason),
}
_TIMES = ("created_at", "started_at", "finished_at", "not_before")
LAST_US = 253_402_300_799_999_999  # the last microsecond of the year 9999


def shown_rows(snapshot: Snapshot, where: str, **values: Any) -> list[Row]:
    """Return the columns that the screens show of these jobs, by number."""
    rows = snapshot.rows(f"SELECT {_SHOWN} FROM jobs WHERE {where} ORDER BY jobs.id", **values)  # noqa: S608, fixed text
    return [_with_types(row) for row in rows]


def _with_types(row: Row) -> Row:
    truths = {name: boolean_of(row[name]) for name, types in TYPES.items() if types is _TRUTH}
    return {**row, **truths, "error": json_of(row["error"]), "sources": json_of(row["sources"])}


def check_row(row: AnyRow) -> None:
    """Raise JobUnreadable, with the column, where a shown column holds another type or an unknown word."""
    for name, types in TYPES.items():
        if type(row[name]) not in types:
            raise unreadable(row, f"its {name} is {_short(row[name])}")
    for name, known_values in _WORDS.items():
        if row[name] is not None and row[name] not in known_values:
            raise unreadable(row, f"its {name} is {_short(row[name])}, which this version does not know")
    for name in _TIMES:
        if row[name] is not None and not 0 <= row[name] <= LAST_US:
            raise unreadable(row, f"its {name} is no time: {row[name]}")
    error = row["error"]
    if error is not None and not (isinstance(error, dict) and {"code", "message", "hint", "retryable"} <= error.keys()):
        raise unreadable(row, "its error is damaged")


def unreadable(row: AnyRow, why: str) -> JobUnreadable:
    """Return the error of a row; the hint names the model where that can be read."""
    error = JobUnreadable(f"Job {row['id']} cannot be read: {why}.")
    ref = row.get("ref")
    if isinstance(ref, str) and ref.isprintable():
        error.hint = for_jobs(error.hint_template or "", str(row["id"]), [ref])
    return error


def error_of(row: AnyRow) -> dict[str, Any] | None:
    """Return the error of a row in the contract's shape: its hint names the job's own commands."""
    error: dict[str, Any] | None = row["error"]
    if error is None or error["hint"] is None:
        return error
    return error | {"hint": for_jobs(error["hint"], str(row["id"]), [row["ref"]])}


def sources_of(row: AnyRow) -> dict[str, int]:
    """Return the bytes of a job by the origin that sent them; none where the column is empty or damaged."""
    stored = row["sources"]
    pairs = stored.items() if isinstance(stored, dict) else ()
    return {origin: count for origin, count in pairs if type(count) is int}


def artifact_of(job: int, stored: Any) -> Artifact:
    """Return the artifact of a job's column. Raises JobUnreadable."""
    return _decoded(job, "artifact", stored, Artifact.from_dict)


def readable_artifacts(rows: Iterable[Sequence[Any]]) -> Iterator[Artifact]:
    """Yield the artifact of each (job, column), without those that cannot be decoded."""
    for job, stored in rows:
        with suppress(JobUnreadable):
            yield artifact_of(job, stored)


def task_of(row: AnyRow) -> JobTarget | None:
    """Return what a job of another kind than `fetch` does. Raises JobUnreadable."""
    if row["task"] is None:
        if row["kind"] != JobKind.FETCH:
            raise unreadable(row, f"it does not say what to {row['kind']}")
        return None
    place = _decoded(row["id"], "task", row["task"], lambda task: task["place"])
    if not isinstance(place, str):
        raise unreadable(row, f"its task's place is {_short(place)}")
    return JobTarget(JobKind(row["kind"]), place)


def requested_of(stored: str | None) -> RequestedAction | None:
    """Return the action that a row requests. One that this version does not know cancels: that stops and keeps all."""
    if stored is None:
        return None
    return RequestedAction(stored) if stored in frozenset[str](RequestedAction) else RequestedAction.CANCEL


def intent_of(row: AnyRow) -> dict[str, Any] | None:
    """Return a run's install intent; None where that is damaged: the next run then looks at the disk."""
    intent = row["intent"]
    if not isinstance(intent, dict) or not isinstance(intent.get("name"), str) or "is" not in intent:
        return None
    files = intent.get("files")
    described = isinstance(files, list) and all(isinstance(file, list) and 4 <= len(file) <= 5 for file in files)
    return intent if described else None


def _decoded(job: int, column: str, stored: Any, decode: Callable[[Any], Value]) -> Value:
    if isinstance(stored, Unreadable):
        raise JobUnreadable(f"Job {job} cannot be read: its {column} is not JSON ({stored.reason}).")
    try:
        return decode(stored)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise JobUnreadable(f"Job {job} cannot be read: its {column} is damaged ({error}).") from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
