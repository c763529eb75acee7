"""From references to jobs: what `enqueue` was told, resolved, queued or only planned, and said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flowhub_jobs.cli import say
from flowhub_jobs.cli.listfile import Line, at_line, parse_line, read_lines
from flowhub_jobs.errors import FlowhubError, SomeFailed, UsageInvalid
from flowhub_jobs.hub.desk import Desk, Order, Plan
from flowhub_jobs.hub.wire import jobs_page
from flowhub_jobs.jobs.ledger import Terms
from flowhub_jobs.records import State, micros
from flowhub_jobs.times import parse_time
from flowhub_jobs.words import format_bytes

SHOWN = 40  # lines of a long order that are printed


@dataclass(slots=True)
class Ordered:
    """What is to be queued, and the lines that could not be understood."""

    orders: list[Order] = field(default_factory=list)
    bad: list[FlowhubError] = field(default_factory=list)
    count: int = 0


def read(
    desk: Desk, refs: Sequence[str], file: str | None, defaults: Mapping[str, Any], *, keep_going: bool
) -> Ordered:
    """Return what was ordered. Raises the first error, unless `keep_going` collects them."""
    if bool(refs) == (file is not None):
        raise UsageInvalid("Say what to queue: references, or a list with -f.", hint="`flowhub enqueue --help`")
    lines = [Line(0, ref, {}) for ref in refs] if file is None else None
    found = Ordered()
    now = datetime.now().astimezone()
    for number, text in enumerate(refs) if lines else read_lines(file or "-"):
        found.count += 1
        try:
            line = Line(0, text, {}) if lines else parse_line(number, text)
            found.orders.append(_order(desk, line, defaults, now))
        except FlowhubError as error:
            named = error if lines or error.message.startswith("Line ") else at_line(number, error)
            if not keep_going:
                raise named from error
            found.bad.append(named)
    return found


def _order(desk: Desk, line: Line, defaults: Mapping[str, Any], now: datetime) -> Order:
    said = {**defaults, **line.options}
    when = said["at"] or ("23:00" if said["tonight"] else None)
    terms = Terms(
        priority=said["priority"] or 0,
        group=said["group"],
        not_before=micros(parse_time(when, now)) if when else None,
        force=bool(said["force"]),
    )
    return Order(desk.artifact(line.ref, said["sha256"]), terms)


def place(desk: Desk, ordered: Ordered) -> list[int]:
    """Queue it all; return the jobs' numbers, in the order of the references."""
    return [answer.job for answer in desk.enqueue(ordered.orders)]


def raise_for(ordered: Ordered) -> None:
    """Raise what was wrong with some lines, after the others were queued."""
    if not ordered.bad:
        return
    if ordered.count == 1:
        raise ordered.bad[0]
    first = ordered.bad[0]
    raise SomeFailed(f"{len(ordered.bad)} of {ordered.count} were not queued. {first.message}", hint=first.hint)


def tell(desk: Desk, ordered: Ordered, numbers: Sequence[int], *, as_json: bool, brief: bool) -> None:
    """Say which jobs answer, whether they fit this machine, and what is missing for them to move."""
    jobs = desk.home.reports.jobs(list(dict.fromkeys(numbers)))
    by_number = {job.id: job for job in jobs}
    if as_json:
        say.result_json(jobs_page(by_number[number] for number in numbers))
        return
    for number, order in list(zip(numbers, ordered.orders, strict=True))[:SHOWN]:
        job = by_number[number]
        size = format_bytes(job.bytes_total) if job.bytes_total is not None else "size unknown"
        fit = "" if brief or job.state is not State.QUEUED else f"; {_fit(desk, order)}"
        say.result(f"Job {job.id}: {job.ref}, {size}, {job.state}{fit}")
    if len(numbers) > SHOWN:
        say.result(f"… and {len(numbers) - SHOWN} more.")
    if not brief:
        _hints(desk, any(job.state is State.QUEUED for job in jobs))


def _fit(desk: Desk, order: Order) -> str:
    verdict = desk.verdict(order.artifact)
    return f"{verdict.fit}: {verdict.why}"


def _hints(desk: Desk, waits: bool) -> None:
    room, need = desk.room(), desk.home.reports.bytes_still_needed()
    if need > room.free - room.reserve:
        say.hint(
            f"flowhub: all that is queued needs {format_bytes(need)}; "
            f"the store's disk has {format_bytes(room.free)} free.\n"
            "  What does not fit waits until there is room."
        )
    if waits and not desk.home.living_workers():
        say.hint("No worker is running; start one with `flowhub worker`.")


def tell_plan(desk: Desk, ordered: Ordered, *, as_json: bool) -> None:
    plans = desk.plan(ordered.orders)
    room = desk.room()
    need = sum(plan.to_fetch or 0 for plan in plans)
    if as_json:
        disk = {"free_bytes": room.free, "reserve_bytes": room.reserve, "needed_bytes": need}
        say.result_json(
            {"schema": "flowhub/plan/1", "plan": [_plan_object(desk, plan) for plan in plans], "disk": disk}
        )
        return
    rows = [(plan.artifact.ref, _size(plan.artifact.size), plan.action, _size(plan.to_fetch)) for plan in plans]
    say.result(say.table(("MODEL", "SIZE", "WOULD", "TO FETCH"), rows[:SHOWN], right=(1, 3)))
    if len(rows) > SHOWN:
        say.result(f"… and {len(rows) - SHOWN} more.")
    say.hint(
        f"To fetch: {format_bytes(need)}; free on the store's disk: {format_bytes(room.free)}. Nothing was queued."
    )


def _size(size: int | None) -> str:
    return "unknown" if size is None else format_bytes(size)


def _plan_object(desk: Desk, plan: Plan) -> dict[str, Any]:
    verdict = desk.verdict(plan.artifact)
    return {
        "ref": plan.artifact.ref,
        "model": plan.artifact.model,
        "option": plan.artifact.option,
        "action": plan.action,
        "job": plan.job,
        "target": str(plan.target),
        "bytes_total": plan.artifact.size,
        "bytes_done": plan.kept,
        "bytes_to_fetch": plan.to_fetch,
        "fit": str(verdict.fit),
        "why": verdict.why,
    }
