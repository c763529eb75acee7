"""The speed limit in force: read, set, and described in sentences."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.controls import JOBS_MAX
from flowhub_jobs.jobs.rate_limits import LIMIT, Limits, limits_with_jobs
from flowhub_jobs.times import clock_time, known_moment, micros, parse_span, parse_time
from flowhub_jobs.units import counted, format_duration, format_rate, parse_rate

if TYPE_CHECKING:
    from flowhub_jobs.operations.session import Session

_BY = {"limit": "`flowhub limit`", "schedule": "the schedule", "setting": "config.toml"}


def in_force(session: "Session") -> Limits:
    return limits_with_jobs(session.controls, session.controls.gates().rate_bps, session.settings.limit_rate)


def set_limit(session: "Session", rate: str, span: str | None = None) -> None:
    """Limit the speed of all jobs, as typed (`5M`, `off`), for or until `span` (`2h`, `07:00`). Raises UsageInvalid."""
    check_limit(rate, span)
    rate_bps = parse_rate(rate)
    value = None if rate_bps is None else {"rate_bps": rate_bps}
    session.controls.set(LIMIT, value, until_us=_end(session.now_us(), span))


def parse_jobs_max(typed: str) -> int | None:
    """Return how many jobs may run at a time, as typed: `2`, `off`. Raises UsageInvalid."""
    text = typed.strip().lower()
    if text == "off":
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 4 and int(text)):
        raise UsageInvalid(f"{typed[:40]!r} is no number of jobs.", hint="Write --jobs 2, or --jobs off.")
    return int(text)


def set_jobs_max(session: "Session", jobs: int | None) -> None:
    """Set how many jobs may run at a time on this node; None: as many as its workers have slots.

    A lower number stops no job that runs; the next one waits.
    """
    session.controls.set(JOBS_MAX, None if jobs is None else {"jobs": jobs})


def set_limit_from_json(session: "Session", data: Mapping[str, Any]) -> None:
    """Set the limit of a JSON object: `{"rate": "5M", "for": "2h"}`, or as `limit_json` has it (limit_bps, until).

    A rate of "off" or null removes the limit. `{"jobs": 2}` sets how many jobs run at a time. Raises UsageInvalid.
    """
    jobs_max = _jobs_in(data)
    name = next((name for name in ("rate", "limit_bps", "rate_bps") if name in data), None)
    if name is not None:
        _set_rate_from(session, data, name)
    elif "jobs" not in data:
        raise UsageInvalid("The object has no rate.", hint='Send {"rate": "5M"}, or {"rate": "off"}.')
    if "jobs" in data:
        set_jobs_max(session, jobs_max)


def _jobs_in(data: Mapping[str, Any]) -> int | None:
    jobs = data.get("jobs")
    if isinstance(jobs, bool) or not isinstance(jobs, str | int | None):
        raise UsageInvalid("'jobs' must be an integer or a string.", hint='Send {"jobs": 2}.')
    return None if jobs is None else parse_jobs_max(str(jobs))


def _set_rate_from(session: "Session", data: Mapping[str, Any], name: str) -> None:
    rate, end = data[name], "for" if "for" in data else "until"
    span = data.get(end)
    if isinstance(rate, bool) or not isinstance(rate, str | int | None):
        raise UsageInvalid(f"{name!r} must be a string or an integer.", hint='Send {"rate": "5M"}.')
    if not isinstance(span, str | None):
        raise UsageInvalid(f"{end!r} must be a string.", hint='Send {"rate": "5M", "for": "2h"}.')
    set_limit(session, "off" if rate is None else str(rate), span if rate is not None else None)


def check_limit(rate: str | None, span: str | None) -> None:
    """Raise UsageInvalid for a time without a rate."""
    if span is not None and (rate is None or rate.strip().lower() == "off"):
        raise UsageInvalid("--for needs a rate.", hint="`flowhub limit 5M --for 2h`.")


def _end(now: int, span: str | None) -> int | None:
    """Return when a limit ends, in microseconds; None: not by itself. Raises UsageInvalid."""
    if span is None:
        return None
    if ":" in span:  # 07:00, or a whole date
        end = micros(parse_time(span, datetime.fromtimestamp(now / 1e6, UTC).astimezone()))
    else:
        end = now + int(parse_span(span.strip().removeprefix("+")) * 1e6)
    if end <= now:
        raise UsageInvalid("--for names a time that is over.", hint="`flowhub limit off` removes the limit.")
    return end


def limit_line(session: "Session") -> str | None:
    """Return the limit in force in one line, for the screens; None where there is none."""
    limits = in_force(session)
    return limit_sentence(limits, session.now_us()) if limits.lowest else None


def limit_lines(limits: Limits, now: int) -> list[str]:
    """Return the limit in force as a sentence, and one more for each other limit that is set."""
    others = [
        f"Also, {_limit_text(limits, name, rate, now)}."
        for name in ("limit", "schedule", "setting")
        if (rate := getattr(limits, name)) is not None and name != limits.lowest
    ]
    jobs = [f"At most {counted(limits.jobs_max, 'job runs', 'jobs run')} at a time."] if limits.jobs_max else []
    return [limit_sentence(limits, now) if limits.lowest else "No limit set.", *others, *jobs]


def limit_sentence(limits: Limits, now: int) -> str:
    """Return e.g. "All jobs together are limited to 5.0 MB/s by `flowhub limit`, until 07:00, for 3 h."."""
    assert limits.lowest is not None
    assert limits.rate_bps is not None
    end = f", {_until(limits.until, now)}" if limits.lowest == "limit" and limits.until else ""
    return f"All jobs together are limited to {format_rate(limits.rate_bps)} by {_BY[limits.lowest]}{end}."


def _limit_text(limits: Limits, name: str, rate: int, now: int) -> str:
    end = f", {_until(limits.until, now)}" if name == "limit" and limits.until else ""
    return (
        f"{_BY[name]} allows {format_rate(rate)}{end}"
        if name != "setting"
        else f"config.toml allows {format_rate(rate)}"
    )


def _until(until: int, now: int) -> str:
    end = clock_time(known_moment(until), datetime.fromtimestamp(now / 1e6, UTC))
    return f"until {end}, for {format_duration((until - now) / 1e6)}"
