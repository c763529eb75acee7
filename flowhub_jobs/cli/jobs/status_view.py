"""The screen of `status`: the queue by urgency, with sizes, a total and the expected end."""

from collections.abc import Sequence
from datetime import UTC, datetime

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.job_table import painted, table_lines
from flowhub_jobs.cli.jobs.job_view import print_job
from flowhub_jobs.jobs.remedies import NO_WORKER
from flowhub_jobs.jobs.status_order import Overview, fitted
from flowhub_jobs.operations.caps import cap_line
from flowhub_jobs.operations.job_list_filter import JobListFilter
from flowhub_jobs.operations.library.placed import count_waiting
from flowhub_jobs.operations.limits import limit_line
from flowhub_jobs.operations.schemas.jobs import jobs_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.subscriptions.next_check_line import next_check_line
from flowhub_jobs.operations.total_line import total_line, total_of_nodes
from flowhub_jobs.operations.wait_reasons import shared_waits
from flowhub_jobs.units import counted
from flowhub_jobs.values.jobs import Job

LINES_LEAST = 12  # a terminal with fewer lines gets the whole table
_ALL_OF = ("--state running", "--state failed", "--state queued", "--all")


def print_json(session: Session, choice: JobListFilter) -> None:
    output.result_json(choice.page(session))


def print_numbers(session: Session, choice: JobListFilter) -> None:
    """Print the numbers alone, one a line."""
    for job in choice.read(session):
        output.print_raw(str(job.id))


def print_plain(session: Session, choice: JobListFilter) -> None:
    if choice.is_overview:
        print_overview(session, choice.arranged(session))
        return
    jobs = choice.read(session)
    if choice.numbers is not None and len(choice.numbers) == 1 and jobs:
        print_job(session, jobs[0])
    elif jobs:
        print_table(jobs)
        hint_worker(session, jobs)
    else:
        output.hint("No job matches. `flowhub status --all` lists every job.")


def print_some(session: Session, numbers: Sequence[int]) -> None:
    """Print these jobs as rows, however few."""
    jobs = session.queries.jobs(numbers)
    if output.chosen.json:
        output.result_json(jobs_json(jobs))
    elif jobs:
        print_table(jobs)
    else:
        output.hint("No job to wait for.")


def print_table(jobs: Sequence[Job]) -> None:
    head, *lines = table_lines(jobs)
    output.result(output.bold(head))
    for job, line in zip(jobs, lines, strict=True):
        output.result(painted(line, job, needs_user=True))


# The overview --------------------------------------------------------------------------------------------------------


def print_overview(session: Session, overview: Overview) -> None:
    """Print running, failed, waiting and ended jobs; on a terminal, no more lines than it has."""
    if not overview.jobs:
        output.hint("No jobs. `flowhub enqueue MODEL` queues one.")
        hint_any(session)
        return
    foot = foot_lines(session, overview)
    for line in section_lines(overview, _room(sum(line.count("\n") + 1 for line in foot))):
        output.result(line)
    for line in foot:
        output.result(line)
    hint_worker(session, overview.live)
    hint_any(session)


def foot_lines(session: Session, overview: Overview) -> list[str]:
    """Return the lines below the table: shared reasons to wait, the total, failed jobs."""
    now = datetime.now(UTC)
    lines = [output.fold(line, after="  ") for line in shared_waits(overview.waiting, now)]
    if overview.live:
        total = total_line(session, overview, now) if not session.home.nodes else total_of_nodes(overview)
        lines.append(output.fold(total, after="  "))
    if not session.home.nodes and (line := next_check_line(session)):
        lines.append(output.fold(f"Followed: {line}.", after="  "))
    if not session.home.nodes and (waiting := count_waiting(session.home)):
        text = counted(waiting, "model is not placed yet", "models are not placed yet")
        lines.append(output.fold(f"{text}: `flowhub placements` says why.", after="  "))
    if overview.failed:
        many = len(overview.failed) > 1
        count = f"{len(overview.failed)} failed jobs need you" if many else "1 failed job needs you"
        lines.append(output.paint(f"{count}: `flowhub report` says what to do.", "31"))
    return lines


def section_lines(overview: Overview, lines: int) -> list[str]:
    """Return the table, of each section as much as `lines` have room for."""
    sections = fitted(overview, lines)
    jobs = [job for section, _ in sections for job in section]
    needs_user = {job.id for job in overview.failed}
    head, *rows = table_lines(jobs)
    by_number = {
        job.id: painted(row, job, needs_user=job.id in needs_user) for job, row in zip(jobs, rows, strict=True)
    }
    text = [output.bold(head)]
    for (section, hidden), option in zip(sections, _ALL_OF, strict=True):
        text += [by_number[job.id] for job in section]
        text += [f"     … and {hidden} more: `flowhub status {option}`"] if hidden else []
    return text


def _room(foot: int) -> int:
    """Return the lines that the table may take; unbounded if stdout is not a terminal."""
    if not output.is_terminal() or output.height() < LINES_LEAST:
        return output.UNBOUNDED
    return max(
        LINES_LEAST // 2, output.height() - 4 - foot
    )  # the command, the head, the hint that no worker runs, the prompt


def hint_any(session: Session) -> None:
    """Print a hint about jobs that no node has taken yet, which the list of one node does not show."""
    if session.home.database.is_shared and len(session.home.nodes) < 2:
        waiting = session.queries.waiting_for_any_node()
        if waiting:
            text = counted(waiting, "job is queued for any node", "jobs are queued for any node")
            output.hint(f"{text}: `flowhub status --node all`.")


def hint_worker(session: Session, jobs: Sequence[Job]) -> None:
    """Print hints about a speed limit and a cap, and one if no worker runs."""
    if not any(job.live for job in jobs):
        return
    if not session.home.nodes and (line := limit_line(session)):
        output.hint(line)
    if line := cap_line(session):
        output.hint(f"Cap: {line}")
    if not session.living_workers():
        output.hint(NO_WORKER)
