"""Describes an installed model for the layouts of other programs."""

from pathlib import Path

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.placement.values import InstalledForPlacement, PlacementFile
from flowhub_jobs.store.hub_origin import hub_origin
from flowhub_jobs.store.library_check import LibraryEntry, condition_of
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import Condition, RepoKind


def installed_for_placement(entry: LibraryEntry, path: Path, artifact: Artifact | None) -> InstalledForPlacement:
    """Return the description of the model at `path`. Raises PlacementRefused if it is not as it was installed."""
    if condition_of(entry, path) is not Condition.GOOD:
        raise PlacementRefused(
            f"{entry.name} is not as it was installed: its files were changed.",
            hint=f"`flowhub verify {entry.name} --repair` restores them.",
        )
    folder = path.is_dir()
    paths = sorted(entry.files)
    by_path = (
        {file.path if artifact and artifact.folder else entry.name: file for file in artifact.files} if artifact else {}
    )
    origin = hub_origin(artifact, [by_path.get(file_path) for file_path in paths])
    hub_paths = dict(zip(paths, origin.paths, strict=True)) if origin else {}
    files = tuple(
        PlacementFile(
            source=path / file_path if folder else path,
            path=file_path,
            size=entry.files[file_path].bytes,
            sha256=entry.files[file_path].sha256,
            git_sha1=file.git_sha1 if (file := by_path.get(file_path)) and not file.sha256 else None,
            repository_path=hub_paths.get(file_path),
        )
        for file_path in paths
    )
    return InstalledForPlacement(
        name=entry.name,
        model=entry.model,
        option=entry.option,
        format=entry.format,
        folder=folder,
        files=files,
        repository=origin.repo if origin else None,
        kind=origin.kind if origin else RepoKind.MODEL,
        revision=origin.revision if origin else None,
        commit=origin.commit if origin else None,
        quantization=_quantization(entry, artifact),
    )


def _quantization(entry: LibraryEntry, artifact: Artifact | None) -> str | None:
    if artifact and artifact.hub and artifact.hub.quant:
        return artifact.hub.quant
    return entry.option.upper() if entry.option else None
