"""Matches a typed reference to installed models, and chooses the file that a runtime opens. Uses no network."""

from collections.abc import Sequence
from pathlib import Path

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.huggingface.quants import gguf_models, quant_of
from flowhub_jobs.huggingface.reference_parser import parse_hub_ref
from flowhub_jobs.huggingface.reference_value import HubRef
from flowhub_jobs.huggingface.responses import RepoFile
from flowhub_jobs.store.library_check import LibraryEntry
from flowhub_jobs.values.artifacts import HUB_PREFIX


def match_entries(text: str, entries: Sequence[LibraryEntry], endpoint: str) -> list[LibraryEntry]:
    """Return the entries that are meant: by the name, else by model and option, else by where they came from."""
    if by_name := [entry for entry in entries if entry.name == text]:
        return by_name
    model, _, option = text.strip().lower().replace(":", "@").partition("@")
    if by_model := [entry for entry in entries if entry.model == model and option in ("", entry.option)]:
        return by_model
    return [entry for entry in entries if entry.ref == text.strip()] or _from_the_hub(text, entries, endpoint)


def can_be_enqueued(entry: LibraryEntry) -> bool:
    """Return whether `enqueue` accepts its reference: an adopted model may have only a name."""
    return bool(entry.model) or entry.ref.startswith((HUB_PREFIX, "https://", "http://"))


def _from_the_hub(text: str, entries: Sequence[LibraryEntry], endpoint: str) -> list[LibraryEntry]:
    requested = _parse_ref(text, endpoint) if "/" in text else None
    if requested is None:
        return []
    entry_refs = [(entry, _parse_ref(entry.ref, endpoint)) for entry in entries if entry.model is None]
    matches = [(entry, ref) for entry, ref in entry_refs if ref is not None and _covers(requested, entry, ref)]
    exact = [entry for entry, ref in matches if ref.quant == _label(requested)]
    return exact if requested.quant and exact else [entry for entry, _ in matches]


def _parse_ref(ref: str, endpoint: str) -> "HubRef | None":
    try:
        return parse_hub_ref(ref, endpoint)
    except UsageInvalid:
        return None


def _label(ref: "HubRef") -> str | None:
    return (quant_of(ref.quant) or ref.quant.upper()) if ref.quant else None


def _covers(requested: "HubRef", entry: LibraryEntry, ref: "HubRef") -> bool:
    """Return whether a model from the Hub matches: parts that were not typed match anything."""
    label = _label(requested)
    return (
        (requested.kind, requested.repo.lower()) == (ref.kind, ref.repo.lower())
        and requested.revision in ("main", ref.revision)
        and (label is None or ref.quant == label or (ref.quant or "").startswith((f"{label}_", f"UD-{label}")))
        and (requested.path in (None, ref.path) or str(requested.path).rpartition("/")[2] in entry.files)
    )


def file_to_open(path: Path) -> Path:
    """Return the path for a runtime to open: the file, a folder's one GGUF (of split parts the first), or the folder.

    A companion of a GGUF, such as an mmproj file, does not count.
    """
    if not path.is_dir():
        return path
    inside = sorted(str(file.relative_to(path)) for file in path.rglob("*.[gG][gG][uU][fF]"))
    models = gguf_models(RepoFile(name) for name in inside)
    return path / models[0].files[0].path if len(models) == 1 and models[0].files else path
