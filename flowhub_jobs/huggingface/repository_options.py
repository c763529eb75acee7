"""All that a repository offers, as the artifacts that could be queued. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from flowhub_jobs.errors import NotFound, SourceRefused, UsageInvalid
from flowhub_jobs.huggingface.pick import pick
from flowhub_jobs.huggingface.quants import gguf_models, is_gguf
from flowhub_jobs.huggingface.reference import HubRef
from flowhub_jobs.huggingface.responses import RepoFile, RepoInfo
from flowhub_jobs.values.artifacts import Artifact

VARIANTS_MAX = 200


def variants_of(info: RepoInfo, files: Sequence[RepoFile], asked: HubRef) -> tuple[list[Artifact], tuple[str, ...]]:
    """Return what can be had of a repository, the preferred first, and notes on what cannot."""
    if asked.quant or asked.path:
        return _had(info, files, [asked])
    models = [model for model in gguf_models(files) if model.whole][:VARIANTS_MAX]
    quants = [model.quant for model in models]
    wanted = [
        replace(asked, quant=model.quant)
        if model.quant and quants.count(model.quant) == 1
        else replace(asked, path=model.files[0].path)
        for model in models
    ]
    return _had(info, [file for file in files if is_gguf(file.path)] if wanted else files, wanted or [asked])


def _had(info: RepoInfo, files: Sequence[RepoFile], wanted: Sequence[HubRef]) -> tuple[list[Artifact], tuple[str, ...]]:
    found, notes = [], []
    for one in wanted:
        try:
            found.append(pick(info, files, one).artifact)
        except (NotFound, SourceRefused, UsageInvalid) as error:
            notes.append(error.message)
    return found, tuple(notes)
