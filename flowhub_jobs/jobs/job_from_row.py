"""Makes a Job of its row, as screens and programs read it; a row that cannot be decoded is a failed job."""

from datetime import UTC, datetime
from typing import Any

from flowhub_jobs.database.lazy import Row
from flowhub_jobs.errors import JobUnreadable
from flowhub_jobs.jobs.current_holds import HoldsOf
from flowhub_jobs.jobs.eta import eta_s
from flowhub_jobs.jobs.row_decoding import LAST_US, check_row, error_of, sources_of
from flowhub_jobs.times import moment
from flowhub_jobs.values.artifacts import known_format
from flowhub_jobs.values.enums import DigestState, JobKind, Stage, State
from flowhub_jobs.values.jobs import Job, JobFile, OriginBytes, Wait


def job_from_row(row: Row, files: tuple[JobFile, ...], holds: HoldsOf, *, moving: bool, held: bool) -> Job:
    """Return the job of a row; one that cannot be decoded is shown as failed and does not hide the others.

    `moving`: a living worker runs it, so that its rate holds. `held`: its host is waited for, so it has no time left.
    """
    try:
        check_row(row)
        return _job(row, files, holds, row["rate_bps"] if moving else None, held=held)
    except JobUnreadable as error:
        return _shown_as_failed(row, error)


def _job(row: Row, files: tuple[JobFile, ...], holds: HoldsOf, rate: int | None, *, held: bool) -> Job:
    state = State(row["state"])
    first = next(iter(holds(row)), None) if state is State.QUEUED else None
    not_before = (first.until if first else None) if state is State.QUEUED else row["not_before"]
    return Job(
        id=row["id"],
        ref=row["ref"],
        model=row["model"],
        option=row["option"],
        format=known_format(row["format"]),
        node=row["node"],
        state=state,
        stage=Stage(row["stage"]) if row["stage"] else None,
        reason=first.reason if first else None,
        priority=row["priority"],
        group=row["group"],
        attempt=row["attempt"],
        bytes_total=row["bytes_total"],
        bytes_done=row["bytes_done"],
        bytes_fetched=row["bytes_fetched"],
        rate_bps=rate,
        eta_s=None if held else eta_s(row["bytes_total"], row["bytes_done"], rate),
        not_before=moment(not_before),
        sha256_state=DigestState(row["sha256_state"]),
        target=row["target"],
        files=files,
        created_at=_time(row["created_at"]),
        started_at=moment(row["started_at"]),
        finished_at=moment(row["finished_at"]),
        error=error_of(row),
        kind=JobKind(row["kind"]),
        store=row["store"],
        wait=Wait(first.text, first.code, first.host) if first else None,
        limit_bps=row["limit_bps"],
        hint_template=row["error"]["hint"] if row["error"] else None,
        sources=tuple(OriginBytes(*pair) for pair in sorted(sources_of(row).items())),
    )


def _time(micros: int) -> Any:
    time = moment(micros)
    assert time is not None
    return time


def _shown_as_failed(row: Row, error: JobUnreadable) -> Job:
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
