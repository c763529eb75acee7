"""Parser of the options of `enqueue`: a job's start, predecessors, priority, group and rate."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms, checked_priority
from flowhub_jobs.jobs.schedule import UNLIMITED, Schedule
from flowhub_jobs.operations.job_numbers import job_numbers
from flowhub_jobs.operations.requests_for_other_nodes import check_store_of_nodes
from flowhub_jobs.operations.session import Session
from flowhub_jobs.placement.apps import program_names
from flowhub_jobs.times import micros, parse_time
from flowhub_jobs.units import format_rate, parse_rate

TONIGHT = Schedule.parse("23:00-07:00")  # where no schedule says otherwise
_NOW_AS_NIGHT = "--tonight: the night (23:00 to 07:00) has begun, so the job begins now."
GROUP_MAX = 64
AFTER_MAX = 1000


class OptionReader:
    """Reads the options of one call and of each line of its list, all at the same moment."""

    def __init__(self, session: Session, nodes: Sequence[str] = ()) -> None:
        """`nodes` are those of `--on`; without any, the jobs are for this node."""
        self._session, self._nodes = session, nodes
        self._now_us = session.now_us()
        self._seen: set[int] = set()  # jobs that are there
        self.notes: list[str] = []

    def terms(self, call: Mapping[str, Any], line: Mapping[str, Any] | None = None) -> EnqueueTerms:
        """Return the terms that the options set; an absent one has its default. A line's options replace the call's.

        Raises UsageInvalid, and NotFound for a job of --after that is not there.
        """
        given = {**call, **(line or {})}
        if line and ("at" in line or "tonight" in line):  # both say when
            given |= {"at": line.get("at"), "tonight": line.get("tonight", False)}
        return EnqueueTerms(
            priority=checked_priority(given.get("priority") or 0),
            group=_group(given.get("group")),
            not_before=self._start(given.get("at"), tonight=bool(given.get("tonight"))),
            force=bool(given.get("force")),
            after=self._after(given.get("after") or ()),
            store=self.store(given.get("store")),
            place=self._programs(given.get("place")),
            limit_bps=parse_rate(str(given["rate"])) if given.get("rate") is not None else None,
        )

    def store(self, name: str | None) -> str | None:
        """Return the name of a store that each node has, this one by its settings. Raises UsageInvalid."""
        own_node, home = self._session.node, self._session.home
        if name is not None and (other_nodes := [node for node in self._nodes if node != own_node]):
            check_store_of_nodes(home, name, other_nodes)
            if own_node not in self._nodes:
                return name
        names = [each.store.name for each in home.each_store()]
        if name is None or name in names:
            return name
        raise UsageInvalid(
            f"No store is named {name!r}.", hint=f"Name one of: {', '.join(names)}. [stores] in config.toml adds more."
        )

    def _programs(self, typed: Sequence[str] | None) -> tuple[str, ...]:
        """Return the programs to place the models in: those typed, else those of the settings. Raises UsageInvalid."""
        return program_names(typed or self._session.settings.place)

    def _start(self, at: str | None, *, tonight: bool) -> int | None:
        if at is not None and tonight:
            raise UsageInvalid("--at and --tonight cannot be used together.", hint="Give one of them.")
        if tonight:
            if self._tonight is None:
                schedule = self._session.controls.schedule()
                self.notes = [_now_as_open(schedule.rate_at(self._now_us)) if schedule else _NOW_AS_NIGHT]
            return self._tonight
        return micros(parse_time(at, self._now)) if at is not None else None

    @property
    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._now_us / 1e6, UTC).astimezone()

    @cached_property
    def _tonight(self) -> int | None:
        """The next opening of the schedule's window (without a schedule: 23:00-07:00); None, which is now, if open."""
        return (self._session.controls.schedule() or TONIGHT).opens_at(self._now_us)

    def _after(self, typed: Sequence[str]) -> tuple[int, ...]:
        numbers = job_numbers([part.strip() for text in typed for part in text.split(",")])
        if len(numbers) > AFTER_MAX:
            raise UsageInvalid(f"A job can wait for {AFTER_MAX:,} others, not for {len(numbers):,}.")
        reports, new = self._session.queries, set(numbers) - self._seen
        if new and (missing := new - set(reports.state_of(new))):
            reports.jobs([min(missing)])  # which raises NotFound, in its words
        self._seen |= new
        return tuple(numbers)


def _now_as_open(rate: int) -> str:
    speed = "" if rate == UNLIMITED else f", at {format_rate(rate)} for all jobs together"
    return f"--tonight: the schedule's window is open, so the job begins now{speed}."


def _group(name: str | None) -> str | None:
    if name is not None and not (name.strip() and name.isprintable() and len(name) <= GROUP_MAX):
        hint = f"Use 1 to {GROUP_MAX} printable characters."
        raise UsageInvalid(f"{name[:GROUP_MAX]!r} cannot be the name of a group.", hint=hint)
    return name
