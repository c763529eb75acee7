"""Outdated models: the catalog or the Hub now pins another digest or commit than the installed one.

A file without a digest proves nothing; a different size does, and so does a different set of files.
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from flowhub_jobs.catalogs.schema import artifact as artifact_of
from flowhub_jobs.errors import FlowhubError, NameTaken
from flowhub_jobs.fs.names import same_name_key
from flowhub_jobs.operations.repositories import latest_version
from flowhub_jobs.operations.session import Session
from flowhub_jobs.settings import Settings
from flowhub_jobs.store.library_check import EntryFile, LibraryEntry, is_gone, old_versions
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile

AT_ONCE = 4  # repositories that are asked in parallel
_COMMIT = re.compile(r"/resolve/([0-9a-f]{40})/")

Latest = Callable[[Settings, Artifact], Artifact | None]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Identity of one version of a model; None is unknown. `sha256` is None for a folder."""

    version: str | None
    commit: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class OutdatedModel:
    """An installed model and its latest version. `version` is the catalog's newest, by name."""

    entry: LibraryEntry
    commit: str | None  # the installed version
    artifact: Artifact
    version: str | None = None

    @property
    def installed(self) -> ModelVersion:
        return ModelVersion(None, self.commit, self.entry.sha256)

    @property
    def available(self) -> ModelVersion:
        artifact = self.artifact
        commit = artifact.hub.commit if artifact.hub else commit_of(artifact.files[0])
        return ModelVersion(self.version, commit, None if artifact.folder else artifact.files[0].sha256)


@dataclass(frozen=True, slots=True)
class Unknown:
    """An installed model whose latest version is unknown, and the reason."""

    name: str
    ref: str | None
    why: str


@dataclass(slots=True)
class OutdatedCheck:
    """Result for each model that was checked; `current` are names. `failed` maps a name to the error of its source."""

    outdated: list[OutdatedModel] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    failed: dict[str, FlowhubError] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.outdated) + len(self.current) + len(self.unknown) + len(self.failed)


# Compare: pure -------------------------------------------------------------------------------------------------------


def differs(entry: LibraryEntry, before: Artifact | None, now: Artifact) -> bool | None:
    """Return whether `now` differs from the installed bytes; None if that is unknown.

    `before` is the artifact as it was installed. For a single file, another name alone is no difference.
    """
    pairs = _pairs(entry, now)
    if pairs is None:
        return True
    earlier = {file.path: file for file in before.files} if before else {}
    single_file = before.files[0] if before and not now.folder and len(before.files) == 1 else None
    answers = [_file_differs(installed, earlier.get(file.path) or single_file, file) for installed, file in pairs]
    if True in answers:
        return True
    return False if False in answers else None


def _pairs(entry: LibraryEntry, now: Artifact) -> list[tuple[EntryFile, ArtifactFile]] | None:
    """Return each installed file with its latest version; None if the files differ in number or name."""
    if not now.folder:
        is_file = list(entry.files) == [entry.name]
        return [(entry.files[entry.name], now.files[0])] if is_file else None
    if set(entry.files) != {file.path for file in now.files}:
        return None
    return [(entry.files[file.path], file) for file in now.files]


def _file_differs(installed: EntryFile, before: ArtifactFile | None, now: ArtifactFile) -> bool | None:
    if now.sha256 is not None:
        return now.sha256 != installed.sha256
    if now.size is not None and now.size != installed.bytes:
        return True
    if now.git_sha1 is not None and before is not None and before.git_sha1 is not None:
        return now.git_sha1 != before.git_sha1
    commits = (commit_of(before), commit_of(now))
    return commits[0] != commits[1] if None not in commits else None


def commit_of(file: ArtifactFile | None) -> str | None:
    """Return the Hub's commit that a file's address names."""
    match = _COMMIT.search(file.url) if file else None
    return match[1] if match else None


# Ask -----------------------------------------------------------------------------------------------------------------


def check_outdated(session: Session, names: Sequence[str] | None, latest: Latest | None = None) -> OutdatedCheck:
    """Compare the models of these names, None for all that are installed, with the catalog and the Hub.

    `latest` asks the Hub. An error of one model does not stop the check of the others.
    """
    check = OutdatedCheck()
    key, homes = session.installed.key, session.home.each_store()
    entries = {key(home.store.name, entry.name): entry for home in homes for entry in home.library.entries_here()}
    newer = old_versions(list(entries.values()))
    for name in names or ():
        if name not in entries:
            check.unknown.append(Unknown(name, None, "it was put there by hand"))
        elif name in newer:
            check.unknown.append(Unknown(name, entries[name].ref, f"it is an old version; {newer[name].name} is newer"))
    checked = [entries[name] for name in names or entries if name in entries and name not in newer]
    checked = [entry for entry in checked if not is_removed(session, entry)]
    _ask_catalog(session, [entry for entry in checked if entry.model], check)
    _ask_hub(session, [entry for entry in checked if not entry.model], check, latest or _latest())
    return check


def is_removed(session: Session, entry: LibraryEntry) -> bool:
    """Return whether the files of an entry were removed by hand from its store. On a disk that is away none are."""
    in_store = session.in_store(session.installed.home_with(entry).store.name)
    return is_gone(in_store.store, entry, in_store.installed.presence)


def _latest() -> Latest:
    return latest_version


def _ask_catalog(session: Session, entries: Sequence[LibraryEntry], check: OutdatedCheck) -> None:
    for entry in entries:
        model = session.loaded.catalog.by_id.get(str(entry.model))
        option = next((option for option in model.downloads if option.id == entry.option), None) if model else None
        if model is None or option is None:
            check.unknown.append(Unknown(entry.name, entry.ref, "it is no longer in the catalog"))
            continue
        version = max(model.versions, key=lambda item: item.released_at or "", default=None)
        before = session.installed.home_with(entry).library.artifact(entry.name)
        newer = OutdatedModel(entry, _commit(before), artifact_of(model, option), version.version if version else None)
        _add_result(newer, before, check, "the catalog has no digest of it")


def _ask_hub(session: Session, entries: Sequence[LibraryEntry], check: OutdatedCheck, latest: Latest) -> None:
    from_hub = []
    for entry in entries:
        before = session.installed.home_with(entry).library.artifact(entry.name)
        if before is None or before.hub is None:
            check.unknown.append(Unknown(entry.name, entry.ref, "it came from a URL that names no version"))
        else:
            from_hub.append((entry, before))
    if not from_hub:
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="latest") as pool:
        answers = list(pool.map(lambda pair: _latest_or_error(latest, session.settings, pair[1]), from_hub))
    for (entry, before), answer in zip(from_hub, answers, strict=True):
        if isinstance(answer, FlowhubError):
            check.failed[entry.name] = answer
        elif answer is not None:
            # A renamed repository keeps the name that it was installed by, so that the new version replaces the old.
            newer = OutdatedModel(entry, _commit(before), replace(answer, ref=entry.ref))
            _add_result(newer, before, check, "the Hub has no digest of it")


def _latest_or_error(latest: Latest, settings: Settings, artifact: Artifact) -> Artifact | FlowhubError | None:
    try:
        return latest(settings, artifact)
    except FlowhubError as error:
        return error


def _add_result(newer: OutdatedModel, before: Artifact | None, check: OutdatedCheck, unknown_reason: str) -> None:
    answer = differs(newer.entry, before, newer.artifact)
    if answer:
        check.outdated.append(newer)
    elif answer is None:
        check.unknown.append(Unknown(newer.entry.name, newer.entry.ref, unknown_reason))
    else:
        check.current.append(newer.entry.name)


def _commit(artifact: Artifact | None) -> str | None:
    if artifact is None:
        return None
    return artifact.hub.commit if artifact.hub else commit_of(artifact.files[0])


# Update --------------------------------------------------------------------------------------------------------------


def refuse_changed_by_hand(session: Session, newer: OutdatedModel, *, force: bool) -> None:
    """Raise NameTaken if the new version would replace files that were changed by hand; `force` allows it.

    Files that were added to an installed folder are never replaced.
    """
    name, artifact = newer.entry.name, newer.artifact
    keys = {same_name_key(artifact.name), same_name_key(artifact.second_name())}
    library = session.installed.home_with(newer.entry).library
    if same_name_key(name) not in keys or library.owner(name, changed_too=force) is not None:
        return
    if library.owner(name, changed_too=True) is None:
        problem = f"{name} has changed since flowhub installed it: files were added to it, or it was removed."
        raise NameTaken(problem, hint="Move what is yours out of it, then update again.")
    problem = f"{name} was changed by hand since it was installed; it is not replaced."
    raise NameTaken(problem, hint="--force downloads the newer version in its place.")
