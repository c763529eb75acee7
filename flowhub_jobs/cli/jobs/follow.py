"""follow: keeps references up to date. unfollow: stops that."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.followed_list_file import read_followed_list
from flowhub_jobs.cli.options import AsJson, PlaceIn
from flowhub_jobs.cli.session import hint_no_worker, open_session, warn_of_catalog
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.subscriptions.subscription_values import Subscription
from flowhub_jobs.operations.schemas.subscriptions import subscriptions_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.subscriptions import follow as operations
from flowhub_jobs.operations.subscriptions.follow import Followed
from flowhub_jobs.times import clock_time, known_moment
from flowhub_jobs.units import format_duration

_ALONE = "Use it alone: `flowhub follow --list`."


def follow(
    refs: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF…", help="model, model@option, hf:owner/repo[:QUANT], or hf:owner/ with --include."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("-f", "--file", metavar="FILE", help="A list of references, read again at each check."),
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="SPAN", help="Time between two checks: 12h, 7d (default 1d).")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="Time of day of the checks: 02:30 (local).")
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="GLOB",
            help="Of hf:owner/: the repositories, or REPO:QUANT, to follow. Of a Hub model: also download these files. "
            "Of a data set: only these. Repeatable.",
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            metavar="N",
            min=0,
            help="Number of old versions to keep, of those that this subscription downloaded (default: all). "
            "Placed and pinned versions are always kept.",
        ),
    ] = None,
    place: PlaceIn = None,
    list_them: Annotated[bool, typer.Option("--list", help="List what is followed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep models up to date automatically.

    A worker checks them, inside the schedule's windows, and queues what is new. The old version stays until the new one
    is verified.
    """
    options = {"every": every, "at": at, "include": include, "keep": keep, "place": place}
    if list_them:
        if refs or file is not None or any(value is not None for value in options.values()):
            raise UsageInvalid("--list takes no reference and no other option.", hint=_ALONE)
    elif bool(refs) == (file is not None):
        count_given = "both were given" if refs else "neither was given"
        hint = "`flowhub follow MODEL`, `flowhub follow -f FILE`, or `flowhub follow --list`."
        raise UsageInvalid(f"Name references, or a list with -f; {count_given}.", hint=hint)
    if file == "-":
        raise UsageInvalid("A list on stdin cannot be read again.", hint="Write it to a file, and follow that.")
    with open_session() as session:
        if list_them:
            _print_list(session)
            return
        session.references.on_wait = output.hint
        followed = operations.follow(session, refs or [], file, options, read_followed_list)
        warn_of_catalog(session)
        _print_followed(session, followed)


def unfollow(
    refs: Annotated[
        list[str] | None, typer.Argument(metavar="REF…", help="References of `flowhub follow --list`.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop keeping references up to date.

    Installed models and queued jobs stay.
    """
    if bool(refs) == every:
        raise UsageInvalid("Name references, or give --all.", hint="`flowhub follow --list` lists them.")
    with open_session() as session:
        removed = operations.unfollow(session, None if every else refs)
    if output.chosen.json:
        output.result_json(subscriptions_json(removed))
        return
    for one in removed:
        output.result(f"{output.clean(one.ref)} is not followed any more.")
    if not removed:
        output.hint("Nothing was followed.")


def _print_followed(session: Session, followed: Sequence[Followed]) -> None:
    if output.chosen.json:
        output.result_json(subscriptions_json(one.subscription for one in followed))
        return
    now = known_moment(session.now_us())
    for one in followed:
        when = clock_time(known_moment(one.subscription.next_at), now)
        line = f"{output.clean(one.subscription.ref)}: {_first_check_text(one)}; next check {when}"
        output.result(output.fold(line, after="  "))
    for one in followed:
        if one.subscription.error is not None:
            output.hint(output.fold(_problem(one.subscription), after="  "))
    hint_no_worker(session)


def _first_check_text(one: Followed) -> str:
    """Return what the first check found."""
    new = [str(job.job) for job in one.jobs if job.new]
    if new:
        return f"job{'s' * (len(new) > 1)} {' '.join(new)} queued"
    return "could not be checked now" if one.subscription.error is not None else "nothing new"


def _problem(one: Subscription) -> str:
    assert one.error is not None
    hint = one.error.get("hint")
    return f"{one.ref}: {one.error['message']}{f' {hint}' if hint else ''}"


def _print_list(session: Session) -> None:
    subscriptions = operations.all_subscriptions(session)
    if output.chosen.json:
        output.result_json(subscriptions_json(subscriptions))
        return
    if not subscriptions:
        output.hint("Nothing is followed. `flowhub follow MODEL` keeps a model up to date.")
        return
    now = known_moment(session.now_us())
    output.result(list_text([_row(one, now) for one in subscriptions]))
    for one in subscriptions:
        if one.error is not None:
            output.hint(output.fold(_problem(one), after="  "))
    hint_no_worker(session)


def list_text(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the subscriptions: one a line where the screen is wide enough, else two. No reference is cut."""
    head = ("REFERENCE", "EVERY", "CHECKED", "CHANGED", "JOB", "NEXT")
    if output.width_of(head, rows) <= output.columns():
        return output.table(head, rows)
    return "\n".join(f"{output.clean(ref)}\n{output.fold(_in_words(*rest), '  ')}" for ref, *rest in rows)


def _in_words(every: str, checked: str, changed: str, job: str, next_check: str) -> str:
    changes = [f"{name} {value}" for name, value in (("changed", changed), ("job", job)) if value != "-"]
    return ", ".join([f"every {every}", f"checked {checked}", *changes, f"next {next_check}"])


def _row(one: Subscription, now: datetime) -> tuple[str, ...]:
    times = (one.checked_at, one.changed_at)
    checked, changed = (clock_time(known_moment(time), now) if time is not None else "-" for time in times)
    include = f" ({', '.join(one.terms.include)})" if one.terms.include else ""
    every = format_duration(one.terms.every_us / 1e6)
    return (one.ref + include, every, checked, changed, str(one.job or "-"), clock_time(known_moment(one.next_at), now))
