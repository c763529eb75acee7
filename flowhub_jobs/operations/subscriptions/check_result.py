"""The result of checking a subscription's source: frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.enqueue_plan import EnqueueItem


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to queue. `text` tells the user what is new; None: the user has just asked for it."""

    item: EnqueueItem
    text: str | None = None


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """The version of each item, the versions to queue, and the first error.

    `complete`: an item that is not in `seen` no longer exists.
    """

    seen: Mapping[str, str] = field(default_factory=dict)
    new: Sequence[NewVersion] = ()
    error: FlowhubError | None = None
    complete: bool = False
