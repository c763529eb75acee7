"""limit: how fast all jobs together may be, while they run."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowhub_jobs.cli.options import AsJson

if TYPE_CHECKING:
    from flowhub_jobs.hub.desk import Desk
    from flowhub_jobs.jobs.limits import Limits

_BY = {"limit": "`flowhub limit`", "schedule": "the schedule, outside its windows", "setting": "config.toml"}


def limit(
    rate: Annotated[str | None, typer.Argument(metavar="[RATE|off]", help="Bytes a second: 500K, 5M, off.")] = None,
    span: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long, or until when: 2h, 90m, 07:00.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Limit the speed of all jobs together, or show the limit.

    Running jobs obey within a second. The lowest of this limit, the schedule's and config.toml's applies.
    """
    from flowhub_jobs.cli.session import desk
    from flowhub_jobs.jobs.limits import LIMIT
    from flowhub_jobs.words import parse_rate

    _check(rate, span)
    wanted = parse_rate(rate) if rate is not None else None
    with desk() as found:
        if rate is not None:
            value = None if wanted is None else {"rate_bps": wanted}
            found.home.controls.set(LIMIT, value, until=_end(found.home.clock.now_us(), span))
        _tell(found, as_json=as_json)


def _check(rate: str | None, span: str | None) -> None:
    from flowhub_jobs.errors import UsageInvalid

    if span is not None and (rate is None or rate.strip().lower() == "off"):
        raise UsageInvalid("--for needs a rate.", hint="`flowhub limit 5M --for 2h`.")


def _end(now: int, span: str | None) -> int | None:
    """Return when a limit ends, in microseconds; None: not by itself. Raises UsageInvalid."""
    from datetime import UTC, datetime

    from flowhub_jobs.errors import UsageInvalid
    from flowhub_jobs.times import micros, parse_span, parse_time

    if span is None:
        return None
    if ":" in span:  # 07:00, or a whole date
        end = micros(parse_time(span, datetime.fromtimestamp(now / 1e6, UTC).astimezone()))
    else:
        end = now + int(parse_span(span.strip().removeprefix("+")) * 1e6)
    if end <= now:
        raise UsageInvalid("--for names a time that is over.", hint="`flowhub limit off` removes the limit.")
    return end


def in_force(desk: "Desk") -> "Limits":
    from flowhub_jobs.jobs.limits import limits

    return limits(desk.home.controls, desk.home.controls.gates().rate_bps, desk.home.settings.limit_rate)


def limit_line(desk: "Desk") -> str | None:
    """Return the limit in force in one line, for the screens; None where there is none."""
    found = in_force(desk)
    return _ruling(found, desk.home.clock.now_us()) if found.rules else None


def _tell(desk: "Desk", *, as_json: bool) -> None:
    from flowhub_jobs.cli import say

    found, now = in_force(desk), desk.home.clock.now_us()
    if as_json:
        say.result_json(_page(found))
        return
    say.result(_ruling(found, now) if found.rules else "No limit set.")
    for name in ("limit", "schedule", "setting"):
        rate = getattr(found, name)
        if rate is not None and name != found.rules:
            say.result(f"Besides, {_said(found, name, rate, now)}.")


def _page(found: "Limits") -> dict[str, Any]:
    """Return `flowhub/limit/1`: bytes a second, null for no limit; `rules` names the one that is obeyed."""
    from flowhub_jobs.times import moment, rfc3339

    until = moment(found.until)
    rates = {"rate_bps": found.rate_bps, "rules": found.rules, "limit_bps": found.limit}
    rates |= {"until": rfc3339(until) if until else None}
    return {"schema": "flowhub/limit/1", **rates, "schedule_bps": found.schedule, "setting_bps": found.setting}


def _ruling(found: "Limits", now: int) -> str:
    from flowhub_jobs.words import format_rate

    assert found.rules is not None
    assert found.rate_bps is not None
    end = f", {_until(found.until, now)}" if found.rules == "limit" and found.until else ""
    return f"All jobs together are limited to {format_rate(found.rate_bps)} by {_BY[found.rules]}{end}."


def _said(found: "Limits", name: str, rate: int, now: int) -> str:
    from flowhub_jobs.words import format_rate

    end = f", {_until(found.until, now)}" if name == "limit" and found.until else ""
    return (
        f"{_BY[name]} allows {format_rate(rate)}{end}"
        if name != "setting"
        else f"config.toml allows {format_rate(rate)}"
    )


def _until(until: int, now: int) -> str:
    from datetime import UTC, datetime

    from flowhub_jobs.times import clock_time, moment
    from flowhub_jobs.words import format_duration

    end = moment(until)
    assert end is not None
    return (
        f"until {clock_time(end, datetime.fromtimestamp(now / 1e6, UTC))}, for {format_duration((until - now) / 1e6)}"
    )
