"""The screen of `enqueue --dry-run`: downloads, disk space and expected end."""

from collections.abc import Sequence
from datetime import UTC, datetime

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.enqueue_plan import SHOWN, Ordered
from flowhub_jobs.operations.forecast import Forecast, forecast
from flowhub_jobs.operations.schemas.jobs import plan_json
from flowhub_jobs.operations.search.variants import judge_one
from flowhub_jobs.operations.session import EnqueuePlan, Session
from flowhub_jobs.times import at_clock, moment
from flowhub_jobs.units import format_bytes, format_duration, format_rate


def print_plan(session: Session, ordered: Ordered) -> None:
    """Print what would be downloaded, the disk space left afterwards, and the expected end."""
    plans = _each_once(session.plan(ordered.orders))
    begins = min((order.terms.not_before or 0 for order in ordered.orders), default=0)
    outlook = forecast(session.home, plans, begins)
    if output.chosen.json:
        output.result_json(
            plan_json([(plan, judge_one(session, plan.artifact, ask_unknown=False).verdict) for plan in plans], outlook)
        )
        return
    if output.chosen.quiet:
        output.result("\n".join(plan.artifact.ref for plan in plans))
        return
    rows = [(plan.artifact.ref, _size(plan.size), plan.action, _size(plan.to_fetch)) for plan in plans]
    output.result(output.table(("MODEL", "SIZE", "WOULD", "TO FETCH"), rows[:SHOWN], right=(1, 3)))
    if len(rows) > SHOWN:
        output.result(f"… and {len(rows) - SHOWN} more.")
    for line in outlook_lines(outlook):
        output.hint(output.fold(line))
    output.hint("Nothing was queued.")


def _each_once(plans: Sequence[EnqueuePlan]) -> list[EnqueuePlan]:
    """Return one plan of each artifact: an artifact that several lines name is downloaded once."""
    found: dict[str, EnqueuePlan] = {}
    for plan in plans:
        if plan.artifact.key not in found or plan.action == "fetch":
            found[plan.artifact.key] = plan
    return list(found.values())


def _size(size: int | None) -> str:
    return "unknown" if size is None else format_bytes(size)


def outlook_lines(found: Forecast) -> list[str]:
    """Return the forecast in sentences."""
    return [_to_fetch(found), _disk(found), _done(found)]


def _to_fetch(found: Forecast) -> str:
    sizes = f", and {found.unknown} of unknown size" if found.unknown else ""
    before = f"; {format_bytes(found.queued)} are queued before it" if found.queued else ""
    return f"To fetch: {format_bytes(found.to_fetch)}{sizes}{before}."


def _disk(found: Forecast) -> str:
    room = found.room
    said = f"The store's disk has {format_bytes(room.free)} free"
    if found.free_after < room.reserve:
        missing = format_bytes(room.reserve - found.free_after)
        kept = f", of which {format_bytes(room.reserve)} are kept back"
        return f"{said}{kept}: {missing} are missing. Jobs without room wait."
    return f"{said}, and would have {format_bytes(found.free_after)} afterwards."


def _done(found: Forecast) -> str:
    if not found.to_fetch and not found.unknown:
        return "Nothing to download."
    if found.unknown:
        return "ETA unknown (a size is missing)."
    if found.usual_bps is None:
        return "ETA unknown (no recent downloads)."
    now, done = datetime.now(UTC), moment(found.done_at)
    if done is None:
        return f"At {format_rate(found.usual_bps)}, the speed of the last day: years."
    end = f"{at_clock(done, now)}, in {format_duration((done - now).total_seconds())}"
    return f"At {format_rate(found.usual_bps)}, the speed of the last day, done {end}."
