"""The result of one check, and a guard that converts an error into a failed check."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum

from flowhub_jobs.database.engine import translated
from flowhub_jobs.errors import FlowhubError


class Status(StrEnum):
    """`warn` works, but not as well as it could; `skip` was not tried, and the message says why."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name (`store.rename`: the group and the thing), its status, what was found, what to do."""

    name: str
    status: Status
    message: str
    hint: str | None = None


def ok(name: str, message: str) -> Check:
    return Check(name, Status.OK, message)


def warn(name: str, message: str, hint: str | None = None) -> Check:
    return Check(name, Status.WARN, message, hint)


def fail(name: str, message: str, hint: str | None = None) -> Check:
    return Check(name, Status.FAIL, message, hint)


def skip(name: str, message: str) -> Check:
    return Check(name, Status.SKIP, message)


def failed_by(name: str, error: FlowhubError) -> Check:
    """Return the check that an error of flowhub's ended."""
    return fail(name, error.message, error.hint)


Run = Callable[[], Check]


def guarded(checks: Iterable[tuple[str, Run]], url: str | None = None) -> Iterator[Check]:
    """Run named checks in order. One that ends with an error fails, and the others run all the same.

    `url` is the address of the database that the checks read, whose driver's errors are converted.
    """
    for name, run in checks:
        try:
            with translated(url) if url else nullcontext():
                check = run()
            yield check
        except FlowhubError as error:
            yield failed_by(name, error)
        except OSError as error:
            file_text = f"{error.filename}: " if error.filename else ""
            yield fail(name, f"{file_text}{error.strerror or error}.")
