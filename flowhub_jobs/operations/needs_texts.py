"""Problems that need the user: each once, with the jobs that it concerns and one remedy. Pure."""

from collections.abc import Sequence
from itertools import groupby

from flowhub_jobs.errors.hint_placeholders import for_jobs
from flowhub_jobs.jobs.report_values import ActionNeeded, RoomNeeded
from flowhub_jobs.units import format_bytes


def folded(needs: Sequence[ActionNeeded]) -> list[list[ActionNeeded]]:
    """Return the needs in groups: those that say the same of several jobs are one."""
    groups: dict[tuple[str, str], list[ActionNeeded]] = {}
    for need in needs:
        groups.setdefault((need.code, _without_names(need)), []).append(need)
    return list(groups.values())


def _without_names(need: ActionNeeded) -> str:
    """Return the message without the names of its job: two jobs may have the same problem with two files."""
    if need.job is None:
        return need.message
    if need.code == "disk_full":
        return ""
    names = {need.job.ref, need.job.model or "", need.job.target.rpartition("/")[2]}
    message = need.message
    for name in sorted(filter(None, names), key=len, reverse=True):
        message = message.replace(name, "…")
    return message


def problem(group: Sequence[ActionNeeded]) -> str:
    """Return the first job's problem, and the other jobs that have it: a message with a name is of one job."""
    first = group[0]
    if first.job is None:
        return first.message
    others = _other_jobs(group)
    if others and any(need.message != first.message for need in group):
        return f"{first.job.title}: {first.message} The same problem: {others}."
    return f"{first.job.title}{f' and {others}' if others else ''}: {first.message}"


def _other_jobs(group: Sequence[ActionNeeded]) -> str:
    """Return "job 3", or "2 more (jobs 3 7)"; "" for a group of one."""
    others = [need.job for need in group[1:] if need.job]
    if len(others) == 1:
        return f"job {others[0].id}"
    return f"{len(others)} more (jobs {ranges([job.id for job in others])})" if others else ""


def room_sentence(count: int, room: RoomNeeded) -> str:
    jobs = "1 job waits" if count == 1 else f"{count} jobs wait"
    if room.missing <= 0:
        return f"{jobs} for room on the disk of {room.store}."
    needs = f"the queue needs {format_bytes(room.needed)}"
    return f"{jobs} for {format_bytes(room.missing)} on the disk of {room.store}: {needs}."


def remedy(group: Sequence[ActionNeeded]) -> str:
    """Return the remedy of the first job, for all jobs of the group."""
    jobs = [need.job for need in group if need.job]
    if not jobs:
        return group[0].hint
    return for_jobs(group[0].remedy, ranges([job.id for job in jobs]), [job.ref for job in jobs])


def ranges(numbers: Sequence[int]) -> str:
    """Return numbers as a user types them: "12 128-130"."""
    runs = groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0])
    number_runs = [[number for _, number in run] for _, run in runs]
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in number_runs)
