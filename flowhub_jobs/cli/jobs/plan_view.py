"""The screen of `enqueue --dry-run`: downloads, disk space and expected end."""

from collections.abc import Sequence
from datetime import UTC, datetime

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.enqueue_run import SHOWN, EnqueueList
from flowhub_jobs.operations.enqueue_plan import EnqueuePlan
from flowhub_jobs.operations.forecast import Forecast, forecast
from flowhub_jobs.operations.schemas.jobs import plan_json
from flowhub_jobs.operations.search.variants import judge_one
from flowhub_jobs.operations.session import Session
from flowhub_jobs.store.space import room_text
from flowhub_jobs.times import at_clock, moment
from flowhub_jobs.units import format_bytes, format_duration, format_rate

_DISK = "The store's disk"


def print_plan(session: Session, requested: EnqueueList) -> None:
    """Print what would be downloaded, the disk space left afterwards, and the expected end."""
    plans = _unique_plans(session.plan(requested.items))
    begins = min((item.terms.not_before or 0 for item in requested.items), default=0)
    outlook = forecast(session.home, plans, begins)
    if output.chosen.json:
        output.result_json(
            plan_json([(plan, judge_one(session, plan.artifact, ask_unknown=False).verdict) for plan in plans], outlook)
        )
        return
    if output.chosen.quiet:
        output.result("\n".join(plan.artifact.ref for plan in plans))
        return
    rows = [(plan.artifact.ref, _size(plan.size), _action(plan), _size(plan.to_fetch)) for plan in plans]
    output.result(output.table(("MODEL", "SIZE", "WOULD", "TO DOWNLOAD"), rows[:SHOWN], right=(1, 3)))
    if len(rows) > SHOWN:
        output.result(f"… and {len(rows) - SHOWN} more.")
    for line in outlook_lines(outlook):
        output.hint(output.fold(line))
    output.hint("Nothing was queued.")


def _unique_plans(plans: Sequence[EnqueuePlan]) -> list[EnqueuePlan]:
    """Return one plan of each artifact: an artifact that several lines name is downloaded once."""
    by_key: dict[str, EnqueuePlan] = {}
    for plan in plans:
        if plan.artifact.key not in by_key or plan.action == "fetch":
            by_key[plan.artifact.key] = plan
    return list(by_key.values())


def _action(plan: EnqueuePlan) -> str:
    return "download" if plan.action == "fetch" else plan.action


def _size(size: int | None) -> str:
    return "unknown" if size is None else format_bytes(size)


def outlook_lines(outlook: Forecast) -> list[str]:
    """Return the forecast in sentences."""
    return [_to_fetch(outlook), _disk(outlook), _end_sentence(outlook)]


def _to_fetch(outlook: Forecast) -> str:
    sizes = f", and {outlook.unknown} of unknown size" if outlook.unknown else ""
    before = f"; {format_bytes(outlook.queued)} are queued before it" if outlook.queued else ""
    return f"To download: {format_bytes(outlook.to_fetch)}{sizes}{before}."


def _disk(outlook: Forecast) -> str:
    room = outlook.room
    if outlook.missing:
        return (
            f"{room_text(room, _DISK)}: {format_bytes(outlook.missing)} are missing. Jobs without room wait; "
            "`flowhub prune --to-fit` makes room."
        )
    return f"{_DISK} has {format_bytes(room.free)} free, and would have {format_bytes(outlook.free_after)} afterwards."


def _end_sentence(outlook: Forecast) -> str:
    if not outlook.to_fetch and not outlook.unknown:
        return "Nothing to download."
    if outlook.unknown:
        return "ETA unknown (a size is missing)."
    if outlook.usual_bps is None:
        return "ETA unknown (no recent downloads)."
    now, done = datetime.now(UTC), moment(outlook.done_at)
    if done is None:
        return f"At {format_rate(outlook.usual_bps)}, the speed of the last day: years."
    end = f"{at_clock(done, now)}, in {format_duration((done - now).total_seconds())}"
    return f"At {format_rate(outlook.usual_bps)}, the speed of the last day, done {end}."
