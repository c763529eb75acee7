"""A subscription and the result of one of its checks: frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flowhub_jobs.errors import ERRORS, FlowhubError

DAY_US = 86_400_000_000


class SubscriptionKind(StrEnum):
    """What a subscription follows."""

    REFERENCE = "reference"  # one model: its newer versions
    OWNER = "owner"  # all models of an owner at the Hub: new repositories and quants
    LIST = "list"  # the references in a file, which is read again at each check


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user sets of a subscription. `at_minute` is minutes since local midnight; `keep` None: all versions.

    `include` are globs over an owner's repositories and quants, `place` the programs to place each model in.
    """

    every_us: int = DAY_US
    at_minute: int | None = None
    include: tuple[str, ...] = ()
    keep: int | None = None
    place: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """A row. Times are microseconds; `job` is the last one that it queued, `error` that of the last check.

    `version` counts the writes of checks: a check writes its result only on the version that it read.
    """

    id: int
    kind: SubscriptionKind
    ref: str
    terms: Terms
    created_at: int
    next_at: int
    version: int
    checked_at: int | None = None
    changed_at: int | None = None
    job: int | None = None
    error: Mapping[str, Any] | None = None
    failures: int = 0
    failing_since: int | None = None

    @property
    def needs_user(self) -> bool:
        """Return whether the last check found something that only the user can change."""
        if self.error is None:
            return False
        kind = ERRORS.get(str(self.error.get("code")))
        return not self.error.get("retryable") or bool(getattr(kind, "needs_user", False))


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that a check queued. `text` says what is new about it; None: nothing that the user is to be notified of."""

    job: int
    text: str | None = None


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check found: the version of each item that it saw, and the first error.

    `complete`: items that it did not see are forgotten, as those of a list from which they were removed.
    """

    seen: Mapping[str, str] = field(default_factory=dict)
    error: FlowhubError | None = None
    complete: bool = False
