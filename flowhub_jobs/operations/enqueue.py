"""Resolves and queues references for the page and the HTTP API: all or none. Checks those that no catalog pins."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flowhub_jobs.errors import CatalogSourceMalformed, CatalogUnreachable, FlowhubError, UsageInvalid
from flowhub_jobs.jobs.enqueue_rows import Enqueued, EnqueueTerms
from flowhub_jobs.operations.enqueue_option_parser import OptionReader
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.node_selection import chosen_nodes
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.pasted_text import unquoted

NAMED_MAX = 12  # wrong references that one error names


def is_about_call(error: FlowhubError) -> bool:
    """Return whether an error concerns the whole call (the catalog, the machine) and not a single reference."""
    return error.exit_status == 1 or isinstance(error, CatalogUnreachable | CatalogSourceMalformed)


def refuse_digest_of_model(artifact: Artifact, sha256: str | None, option: str, ref: str) -> None:
    """Raise UsageInvalid where `option` gives a digest for a model, whose digests the catalog has."""
    if sha256 is not None and artifact.model is not None:
        hint = "The catalog has the digests of its models."
        raise UsageInvalid(f"{option} applies only to the URL of a file; {ref!r} is a model.", hint=hint)


def named_together(errors: Sequence[FlowhubError]) -> str:
    """Return the messages of the first errors in one line, each once."""
    return " ".join(dict.fromkeys(error.message for error in errors[:NAMED_MAX]))


def same_kind(error: FlowhubError, message: str, hint: str | None) -> FlowhubError:
    """Return an error of the same class with another message."""
    other = type(error).__new__(type(error))
    FlowhubError.__init__(other, message, hint=hint)
    return other


def enqueue_refs(session: Session, refs: Sequence[str], options: Mapping[str, Any] | None = None) -> list[Enqueued]:
    """Queue all of these references, or none; return their jobs, in order.

    `options` are those of the verb, by name: priority, group, at, tonight, after, force, on; of one reference also
    sha256; of Hub repositories include and exclude. With `on` each reference has a job for each node. Raises the error
    of a single wrong reference; for several, an error of the first one's class that names them.
    """
    given = dict(options or {})
    if given.get("sha256") is not None and len(refs) != 1:
        raise UsageInvalid("sha256 needs exactly one URL.", hint="Send each URL by itself.")
    nodes = chosen_nodes(session.home, given["on"]) if given.get("on") is not None else []
    terms, checks = OptionReader(session, nodes).terms(given), session.settings.check
    session.references.may_lack_name = checks
    results: list[EnqueueItem | FlowhubError] = [_enqueue_item(session, ref, given, terms) for ref in refs]
    accepted = [result for result in results if isinstance(result, EnqueueItem)]
    if checks and len(accepted) == len(results):
        results = [error or item for item, error, _ in check_items(session, accepted, pinned_too=False)]
    _raise_for(results)
    items = [result for result in results if isinstance(result, EnqueueItem)]
    return session.enqueue(items_on_nodes(items, nodes) if nodes else items)


def items_on_nodes(items: Sequence[EnqueueItem], nodes: Sequence[str]) -> list[EnqueueItem]:
    """Return each item for each of the nodes."""
    return [replace(item, node=node) for item in items for node in nodes]


def _enqueue_item(
    session: Session, ref: str, given: Mapping[str, Any], terms: EnqueueTerms
) -> EnqueueItem | FlowhubError:
    sha256 = given.get("sha256")
    include, exclude = (given.get(name) or () for name in ("include", "exclude"))
    try:
        artifact = session.artifact(unquoted(ref), sha256, include=include, exclude=exclude)
        refuse_digest_of_model(artifact, sha256, "sha256", ref[:80])
    except FlowhubError as error:
        if is_about_call(error):
            raise
        return error
    return EnqueueItem(artifact, terms)


def check_items(
    session: Session, items: Sequence[EnqueueItem], *, pinned_too: bool
) -> list[tuple[EnqueueItem, FlowhubError | None, str | None]]:
    """Return each item with the name and size that its source tells, the error that keeps it from being fetched, and a
    sentence if the source did not answer.
    """
    results: list[tuple[EnqueueItem, FlowhubError | None, str | None]] = []
    for item, outcome in zip(items, session.check_sources(items, pinned_too=pinned_too), strict=True):
        if outcome is None or outcome.error is not None:
            results.append((item, None if outcome is None else outcome.error, None))
            continue
        unchecked_reason = f"{outcome.artifact.ref}: {outcome.unchecked_reason}." if outcome.unchecked_reason else None
        results.append((replace(item, artifact=outcome.artifact, size_seen=outcome.size), None, unchecked_reason))
    return results


def _raise_for(results: Sequence[EnqueueItem | FlowhubError]) -> None:
    errors = [result for result in results if isinstance(result, FlowhubError)]
    if not errors:
        return
    first = errors[0]
    if len(results) == 1:
        raise first
    message = f"{len(errors)} of {len(results)} cannot be queued, so nothing was. {named_together(errors)}"
    raise same_kind(first, message, first.hint)
