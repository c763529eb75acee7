"""Opens a session for a verb, and chooses the jobs that the verb applies to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from flowhub_jobs.cli import output
from flowhub_jobs.errors import FlowhubError, UsageInvalid
from flowhub_jobs.home import opened
from flowhub_jobs.jobs.remedies import NO_WORKER
from flowhub_jobs.operations.act_on_each import Item, Outcome, error_of
from flowhub_jobs.operations.job_numbers import job_numbers
from flowhub_jobs.operations.nodes import home_for_node
from flowhub_jobs.operations.session import Session
from flowhub_jobs.settings import load_settings


@contextmanager
def open_session(of_node: str | None = None) -> Iterator[Session]:
    """Yield a session on the home in force; `of_node` is what --node names, for a verb that only reads."""
    with opened(load_settings()) as home:
        if of_node is not None:
            home = home_for_node(home, of_node)
        yield Session(home)


def warn_of_catalog(session: Session) -> None:
    """Print the warning about the catalog, such as that a cached copy was used."""
    if session.catalog_warning:
        output.hint(f"flowhub: {session.catalog_warning}")


def hint_no_worker(session: Session) -> None:
    """Print a hint if no worker runs here; other nodes on which one runs are named."""
    if session.living_workers():
        return
    output.hint(NO_WORKER)
    if session.home.database.is_shared:
        from flowhub_jobs.operations.nodes import others_alive

        if others := others_alive(session.home):
            rest = f" and {len(others) - 3} more" if len(others) > 3 else ""
            output.hint(
                f"Workers run on {', '.join(others[:3])}{rest}: `--on NODE`, `--on any` or `--on all` uses them."
            )


def chosen_jobs(
    typed: Sequence[str] | None, every: bool, group: str | None, query: Callable[[str | None], list[int]]
) -> list[int]:
    """Return the jobs that a verb applies to: those typed, else those that `query` finds (of a group)."""
    if bool(typed) == (every or group is not None):
        raise UsageInvalid("Name jobs by number, --all or --group.", hint="`flowhub status` lists them.")
    return job_numbers(typed) if typed else query(group)


def raise_outcome_errors(outcomes: Mapping[Item, Outcome | FlowhubError]) -> None:
    """Raise the error, if there was one job or model; SomeFailed if some of several failed."""
    error = error_of(outcomes)
    if error is not None:
        raise error
