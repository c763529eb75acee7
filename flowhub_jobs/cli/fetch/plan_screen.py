"""The screen of `enqueue --dry-run`: what an order would come to."""

from collections.abc import Sequence
from typing import Any

from flowhub_jobs.cli import say
from flowhub_jobs.cli.fetch.ordering import SHOWN, Ordered
from flowhub_jobs.cli.fetch.outlook import outlook_lines, outlook_object
from flowhub_jobs.hub.desk import Desk, Plan
from flowhub_jobs.hub.forecast import forecast
from flowhub_jobs.words import format_bytes


def tell_plan(desk: Desk, ordered: Ordered, *, as_json: bool, quiet: bool = False) -> None:
    """Say what an order would come to: what is fetched, what the disk holds afterwards, when it is done."""
    plans = _each_once(desk.plan(ordered.orders))
    begins = min((order.terms.not_before or 0 for order in ordered.orders), default=0)
    outlook = forecast(desk.home, plans, begins)
    if as_json:
        page = {"schema": "flowhub/plan/1", "plan": [_plan_object(desk, plan) for plan in plans]}
        say.result_json(page | outlook_object(outlook))
        return
    if quiet:
        say.result("\n".join(plan.artifact.ref for plan in plans))
        return
    rows = [(plan.artifact.ref, _size(plan.size), plan.action, _size(plan.to_fetch)) for plan in plans]
    say.result(say.table(("MODEL", "SIZE", "WOULD", "TO FETCH"), rows[:SHOWN], right=(1, 3)))
    if len(rows) > SHOWN:
        say.result(f"… and {len(rows) - SHOWN} more.")
    for line in outlook_lines(outlook):
        say.hint(say.fold(line))
    say.hint("Nothing was queued.")


def _each_once(plans: Sequence[Plan]) -> list[Plan]:
    """Return one plan of each artifact: one that several lines of a list name is downloaded once, if any line says."""
    found: dict[str, Plan] = {}
    for plan in plans:
        if plan.artifact.key not in found or plan.action == "fetch":
            found[plan.artifact.key] = plan
    return list(found.values())


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
        "bytes_total": plan.size,
        "bytes_done": plan.kept,
        "bytes_to_fetch": plan.to_fetch,
        "fit": str(verdict.fit),
        "why": verdict.why,
    }
