"""Checks one model for a version that is neither the last one seen nor the installed one."""

import hashlib
import json
from dataclasses import replace

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.huggingface.reference_parser import parse_hub_ref
from flowhub_jobs.huggingface.reference_value import HubRef
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.library.outdated import (
    OutdatedModel,
    commit_of,
    differs,
    is_removed,
    refuse_changed_by_hand,
)
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.subscriptions.check_result import NewVersion
from flowhub_jobs.store.library_check import LibraryEntry
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile


def version_of(artifact: Artifact) -> str:
    """Return 16 hex digits that another digest, commit, size or set of files changes."""
    parts = sorted((file.path, _identity(file)) for file in artifact.files)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _identity(file: ArtifactFile) -> str:
    return file.sha256 or file.git_sha1 or f"{commit_of(file) or file.url} {file.size}"


def newer_version(session: Session, artifact: Artifact, seen: str | None, terms: EnqueueTerms) -> NewVersion | None:
    """Return the version to queue; None if it is the seen or the installed one.

    `seen` is its version at the last check, None at the first: then a model that is not installed is queued. Raises
    NameTaken if the installed one was changed by hand: it is never replaced without the user.
    """
    if version_of(artifact) == seen:
        return None
    entry = _installed(session, artifact)
    if entry is not None:
        before = session.installed.home_with(entry).library.artifact(entry.name)
        if differs(entry, before, artifact) is not True:
            return None
        commit = None if before is None or before.hub is None else before.hub.commit
        refuse_changed_by_hand(session, OutdatedModel(entry, commit, artifact), force=False)
    is_update = entry is not None or seen is not None
    text = f"{artifact.ref} has a newer version." if is_update else None
    return NewVersion(EnqueueItem(artifact, terms), text)


def _installed(session: Session, artifact: Artifact) -> LibraryEntry | None:
    """Return the newest installed version."""
    every = [entry for home in session.home.each_store() for entry in home.entries.entries_here()]
    versions = [entry for entry in every if entry.claim == artifact.claim and not is_removed(session, entry)]
    return max(versions, key=lambda entry: entry.installed_at, default=None)


def followed_artifact(session: Session, ref: str) -> Artifact:
    """Return the latest artifact of a followed reference. Raises what `Session.artifact` raises.

    A repository that was renamed keeps the name that it is followed by, so that the new version replaces the old.
    """
    artifact = session.artifact(ref)
    followed = parse_hub_ref(ref, session.settings.hf_endpoint)
    hub = artifact.hub
    if followed is None or hub is None or followed.repo.lower() == hub.repo.lower():
        return artifact
    parts = (hub.revision, hub.quant, hub.path, hub.include, hub.exclude, hub.kind)
    return replace(artifact, ref=HubRef(followed.repo, *parts).text)


def refuse_address(ref: str) -> UsageInvalid:
    """Return the error for the URL of a file, which names no version that could change."""
    hint = "`flowhub enqueue` downloads it once. Follow a model of the catalog, or hf:owner/repo."
    return UsageInvalid(f"{ref[:200]!r} is the URL of one file: flowhub cannot know of a newer version.", hint=hint)
