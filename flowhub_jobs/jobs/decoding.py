"""Decodes rows of `jobs`: the types of all columns, the artifact and the task. A row that cannot be decoded is named.

SQLite stores any value in any column, and another version may write words that this one does not know.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from flowhub_jobs.artifacts import Artifact
from flowhub_jobs.database.stored_json import Unreadable
from flowhub_jobs.database.tables import jobs
from flowhub_jobs.errors import JobUnreadable
from flowhub_jobs.kinds import DigestState, JobKind, Reason, Stage, State
from flowhub_jobs.records import Job, Task
from flowhub_jobs.times import moment

Value = TypeVar("Value")

_PAYLOAD = ("artifact", "intent", "task")
# All that the screens show. Not what only a run needs: an artifact may be a megabyte.
SHOWN = [column for column in jobs.columns if column.name not in _PAYLOAD]
_TYPES: dict[type[sa.types.TypeEngine[Any]], tuple[type, ...]] = {
    sa.Boolean: (bool,),
    sa.Integer: (int,),
    sa.Float: (float, int),
    sa.String: (str,),
}
_WORDS: dict[str, frozenset[str]] = {
    "state": frozenset(State),
    "stage": frozenset(Stage),
    "kind": frozenset(JobKind),
    "sha256_state": frozenset(DigestState),
    "wait_reason": frozenset(Reason),
}
_TIMES = ("created_at", "started_at", "finished_at", "not_before")
LAST_US = 253_402_300_799_999_999  # the last microsecond of the year 9999


def _types_of(column: "sa.Column[Any]") -> tuple[type, ...]:
    own = next(types for kind, types in _TYPES.items() if isinstance(column.type, kind))
    return (*own, type(None)) if column.nullable else own


_CHECKS = [(column.name, _types_of(column)) for column in SHOWN if column.name != "error"]


def check_row(row: sa.RowMapping) -> None:
    """Raise JobUnreadable, with the column, where a shown column holds another type or an unknown word."""
    for name, types in _CHECKS:
        if type(row[name]) not in types:
            raise unreadable(row, f"its {name} is {_short(row[name])}")
    for name, words in _WORDS.items():
        if row[name] is not None and row[name] not in words:
            raise unreadable(row, f"its {name} is {_short(row[name])}, which this version does not know")
    for name in _TIMES:
        if row[name] is not None and not 0 <= row[name] <= LAST_US:
            raise unreadable(row, f"its {name} is no time: {row[name]}")
    error = row["error"]
    if error is not None and not (isinstance(error, dict) and {"code", "message", "hint", "retryable"} <= error.keys()):
        raise unreadable(row, "its error is damaged")


def unreadable(row: sa.RowMapping, why: str) -> JobUnreadable:
    """Return the error of a row; the hint names the model where that can be read."""
    ref, hint = row.get("ref"), JobUnreadable.default_hint
    if isinstance(ref, str) and hint and ref.isprintable():
        hint = hint.replace("`flowhub enqueue`", f"`flowhub enqueue {ref}`")
    return JobUnreadable(f"Job {row['id']} cannot be read: {why}.", hint=hint)


def artifact_of(job: int, stored: Any) -> Artifact:
    """Return the artifact of a job's column. Raises JobUnreadable."""
    return _decoded(job, "artifact", stored, Artifact.from_dict)


def readable_artifacts(rows: Iterable[Sequence[Any]]) -> Iterator[Artifact]:
    """Yield the artifact of each (job, column), without those that cannot be decoded."""
    for job, stored in rows:
        with suppress(JobUnreadable):
            yield artifact_of(job, stored)


def task_of(row: sa.RowMapping) -> Task | None:
    """Return what a job of another kind than `fetch` does. Raises JobUnreadable."""
    if row["task"] is None:
        if row["kind"] != JobKind.FETCH:
            raise unreadable(row, f"it does not say what to {row['kind']}")
        return None
    place = _decoded(row["id"], "task", row["task"], lambda task: task["place"])
    if not isinstance(place, str):
        raise unreadable(row, f"its task's place is {_short(place)}")
    return Task(JobKind(row["kind"]), place)


def intent_of(row: sa.RowMapping) -> dict[str, Any] | None:
    """Return what a run was about to name; None where that is damaged: the next run looks at the disk by itself."""
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


def shown_as_failed(row: sa.RowMapping, error: JobUnreadable) -> Job:
    """Return a row that cannot be decoded as the screens show it: failed, with the reason."""

    def text(name: str) -> str | None:
        return row[name] if isinstance(row[name], str) else None

    def whole(name: str) -> int | None:
        return row[name] if type(row[name]) is int else None

    def time(name: str) -> datetime | None:
        stored = whole(name)
        return moment(stored) if stored is not None and 0 <= stored <= LAST_US else None

    return Job(
        id=row["id"],
        ref=text("ref") or "?",
        model=text("model"),
        option=text("option"),
        format=None,
        node=text("node") or "?",
        state=State.FAILED,
        stage=None,
        reason=None,
        priority=whole("priority") or 0,
        group=text("group"),
        attempt=whole("attempt") or 0,
        bytes_total=whole("bytes_total"),
        bytes_done=whole("bytes_done") or 0,
        bytes_fetched=whole("bytes_fetched") or 0,
        rate_bps=None,
        eta_s=None,
        not_before=None,
        sha256_state=DigestState.PENDING,
        target=text("target") or "?",
        files=(),
        created_at=time("created_at") or datetime.fromtimestamp(0, UTC),
        started_at=time("started_at"),
        finished_at=time("finished_at"),
        error=error.as_dict(),
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
