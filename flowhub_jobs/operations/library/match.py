"""Which installed models a person means, and which file of one a runtime opens. No network is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.store.inventory import Entry
from flowhub_jobs.values.artifacts import HUB_PREFIX

if TYPE_CHECKING:
    from flowhub_jobs.huggingface.reference import HubRef


def matching(text: str, entries: Sequence[Entry], endpoint: str) -> list[Entry]:
    """Return the entries that are meant: by the name, else by model and option, else by where they came from."""
    if by_name := [entry for entry in entries if entry.name == text]:
        return by_name
    wanted, _, option = text.strip().lower().replace(":", "@").partition("@")
    if by_model := [entry for entry in entries if entry.model == wanted and option in ("", entry.option)]:
        return by_model
    return [entry for entry in entries if entry.ref == text.strip()] or _from_the_hub(text, entries, endpoint)


def can_be_asked(entry: Entry) -> bool:
    """Return whether its reference is one that `enqueue` takes: what was only adopted has its name alone."""
    return bool(entry.model) or entry.ref.startswith((HUB_PREFIX, "https://", "http://"))


def _from_the_hub(text: str, entries: Sequence[Entry], endpoint: str) -> list[Entry]:
    wanted = _read(text, endpoint) if "/" in text else None
    if wanted is None:
        return []
    known = [(entry, _read(entry.ref, endpoint)) for entry in entries if entry.model is None]
    found = [(entry, ref) for entry, ref in known if ref is not None and _covers(wanted, entry, ref)]
    exact = [entry for entry, ref in found if ref.quant == _label(wanted)]
    return exact if wanted.quant and exact else [entry for entry, _ in found]


def _read(ref: str, endpoint: str) -> "HubRef | None":
    from flowhub_jobs.huggingface.reference import parse_hub

    try:
        return parse_hub(ref, endpoint)
    except UsageInvalid:
        return None


def _label(ref: "HubRef") -> str | None:
    from flowhub_jobs.huggingface.quants import quant_of

    return (quant_of(ref.quant) or ref.quant.upper()) if ref.quant else None


def _covers(wanted: "HubRef", entry: Entry, ref: "HubRef") -> bool:
    """Return whether what was taken from the Hub is meant: what was not typed may be anything."""
    label = _label(wanted)
    return (
        (wanted.kind, wanted.repo.lower()) == (ref.kind, ref.repo.lower())
        and wanted.revision in ("main", ref.revision)
        and (label is None or ref.quant == label or (ref.quant or "").startswith((f"{label}_", f"UD-{label}")))
        and (wanted.path in (None, ref.path) or str(wanted.path).rpartition("/")[2] in entry.files)
    )


def entrance(path: Path) -> Path:
    """Return what a runtime is given to open: the file, a folder's one GGUF (of split parts the first), or the folder.

    What belongs to a GGUF beside it, as an mmproj file, is none by itself.
    """
    from flowhub_jobs.huggingface.quants import gguf_models
    from flowhub_jobs.huggingface.responses import RepoFile

    if not path.is_dir():
        return path
    inside = sorted(str(file.relative_to(path)) for file in path.rglob("*.[gG][gG][uU][fF]"))
    models = gguf_models(RepoFile(name) for name in inside)
    return path / models[0].files[0].path if len(models) == 1 and models[0].files else path
