"""Options of a repository: every artifact of it that can be queued. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from flowhub_jobs.errors import NotFound, SourceRefused, UsageInvalid
from flowhub_jobs.huggingface.pick import pick
from flowhub_jobs.huggingface.quants import gguf_models, is_gguf
from flowhub_jobs.huggingface.reference_value import HubRef
from flowhub_jobs.huggingface.responses import RepoFile, RepoInfo
from flowhub_jobs.values.artifacts import Artifact

VARIANTS_MAX = 200


def variants_of(info: RepoInfo, files: Sequence[RepoFile], ref: HubRef) -> tuple[list[Artifact], tuple[str, ...]]:
    """Return the artifacts that can be queued, the preferred first, and notes on those that cannot."""
    if ref.quant or ref.path:
        return _pick_each(info, files, [ref])
    models = [model for model in gguf_models(files) if model.whole][:VARIANTS_MAX]
    quants = [model.quant for model in models]
    references = [
        replace(ref, quant=model.quant)
        if model.quant and quants.count(model.quant) == 1
        else replace(ref, path=model.files[0].path)
        for model in models
    ]
    return _pick_each(
        info, [file for file in files if is_gguf(file.path)] if references else files, references or [ref]
    )


def _pick_each(
    info: RepoInfo, files: Sequence[RepoFile], refs: Sequence[HubRef]
) -> tuple[list[Artifact], tuple[str, ...]]:
    artifacts, notes = [], []
    for ref in refs:
        try:
            artifacts.append(pick(info, files, ref).artifact)
        except (NotFound, SourceRefused, UsageInvalid) as error:
            notes.append(error.message)
    return artifacts, tuple(notes)
