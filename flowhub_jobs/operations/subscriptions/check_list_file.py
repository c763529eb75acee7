"""Checks each reference of a list file, which is read again at every check."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowhub_jobs.errors import FlowhubError, UsageInvalid
from flowhub_jobs.operations.enqueue import refuse_digest_of_model, same_kind
from flowhub_jobs.operations.enqueue_option_parser import OptionReader
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.subscriptions.check_model import newer_version, version_of
from flowhub_jobs.operations.subscriptions.check_result import NewVersion, SourceCheck
from flowhub_jobs.values.artifacts import Artifact

BURST = 10  # references that are looked at without a pause
_NOT_FOLLOWED = ("best_fit", "require_fit", "force", "after")


@dataclass(frozen=True, slots=True)
class FollowedLine:
    """A line of a list: its number, the reference and the options behind it; or the error, which names the line."""

    number: int
    ref: str
    options: Mapping[str, Any] = field(default_factory=dict)
    error: FlowhubError | None = None


ReadList = Callable[[str], Sequence[FollowedLine]]


class CheckStopped(Exception):
    """The worker stops before all of a list was checked: nothing of the check is written."""


def check_list(
    session: Session,
    lines: Sequence[FollowedLine],
    seen_versions: Mapping[str, str],
    pause_s: float,
    stopping: threading.Event,
    defaults: Mapping[str, Any],
) -> SourceCheck:
    """Return what is new among the references of a list. A bad line does not stop the check of the others.

    `defaults` are the options of lines that do not say otherwise.
    """
    reader, seen, new, first = OptionReader(session), dict[str, str](), list[NewVersion](), None
    for count, line in enumerate(lines):
        if stopping.is_set() or (count >= BURST and stopping.wait(pause_s)):
            raise CheckStopped
        if line.error is not None:
            first = first or line.error
            continue
        try:
            artifact = _artifact(session, line)
            seen[line.ref] = version_of(artifact)
            if newer := newer_version(
                session, artifact, seen_versions.get(line.ref), reader.terms(defaults, line.options)
            ):
                new.append(newer)
        except FlowhubError as error:
            if error.retryable:  # of the network or a host: the rest of the list would meet it, too
                return SourceCheck(seen, new, error)
            first = first or same_kind(error, f"Line {line.number}: {error.message}", error.hint)
            seen |= {line.ref: seen_versions[line.ref]} if line.ref in seen_versions else {}
    return SourceCheck(seen, new, first, complete=True)


def _artifact(session: Session, line: FollowedLine) -> Artifact:
    options = line.options
    if wrong := [name for name in _NOT_FOLLOWED if options.get(name)]:
        raise UsageInvalid(f"--{wrong[0].replace('_', '-')} does not go with a list that is followed.")
    artifact = session.artifact(
        line.ref,
        options.get("sha256"),
        include=options.get("include") or (),
        exclude=options.get("exclude") or (),
        name=options.get("name"),
    )
    refuse_digest_of_model(artifact, options.get("sha256"), "--sha256", line.ref)
    return artifact
