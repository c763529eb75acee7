"""Details of one model, for `show`: of a catalog, of a repository on the Hub, or of the store.

Values, for the command line and the page alike; nothing here prints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowhub_jobs.catalogs.resolve import no_model, parse_reference
from flowhub_jobs.catalogs.search_reader import ListedModel
from flowhub_jobs.device.fit import Verdict, fit
from flowhub_jobs.device.need import ModelNeeds
from flowhub_jobs.errors import FlowhubError, NotFound, UsageInvalid
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.repositories import RepositoryDetails, repository_details
from flowhub_jobs.operations.search.machine import read_needs
from flowhub_jobs.operations.search.model_needs import Variant
from flowhub_jobs.operations.search.variants import judge, judge_listed, judge_repository
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.artifacts import Artifact, InstalledModel
from flowhub_jobs.values.enums import HubFormat, Offload


@dataclass(frozen=True, slots=True)
class DetailedVariant:
    """One variant. `bytes` None is unknown; `state` is "installed", "queued" or None. `artifact` is what it fetches."""

    ref: str
    option: str | None
    format: HubFormat | None
    quantization: str | None
    bytes: int | None
    files: int
    verdict: Verdict
    state: str | None
    artifact: Artifact | None = None
    offload: Offload | None = None


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """A model. `facts` are in the catalog's words (contextLength, …); a repository has some more, and an id of null.

    `catalog` is the one that it is from: "base", the name of an imported one, or None. `installed` is the model of the
    store that was asked for by its name.
    """

    facts: Mapping[str, Any]
    variants: tuple[DetailedVariant, ...]
    catalog: str | None = None
    installed: InstalledModel | None = None
    notes: tuple[str, ...] = field(default=())


def model_details(session: "Session", ref: str, context: int | None = None) -> ModelDetails:
    """Return the details of a reference or an installed name, judged at `context` tokens.

    Raises NotFound with the nearest names, UsageInvalid.
    Of a repository: TokenMissing, TokenRefused, Gated and SourceError, too.
    """
    if (repo := repository_details(session.settings, ref)) is not None:
        return _of_repo(session, repo, context)
    try:
        return _of_catalog(session, ref, context)
    except (NotFound, UsageInvalid):
        if (model := session.installed.model(ref)) is None:
            raise
        return _installed_details(session, model)


# Of the catalog -----------------------------------------------------------------------------------------------------


def _of_catalog(session: "Session", ref: str, context: int | None) -> ModelDetails:
    reference = parse_reference(ref)
    model = session.listed_model(reference.model)
    if model is None:
        raise no_model(reference.model, session.titles())
    return _listed_details(session, model, reference.option, context)


def _listed_details(
    session: "Session", model: "ListedModel", option: str | None, context: int | None = None
) -> ModelDetails:
    """Return the details of a model with all its variants, or the one that is named. Raises NotFound."""
    return ModelDetails(
        model.facts, _variants(session, model, judge_listed(session, model, option, context)), model.catalog
    )


def _variants(session: "Session", model: "ListedModel", variants: Sequence[Variant]) -> tuple[DetailedVariant, ...]:
    labels = {option.artifact.option: option.quantization for option in model.options}
    offloads = {option.artifact.option: read_needs(option.needs).offload for option in model.options}
    plans = session.plan([EnqueueItem(one.artifact) for one in variants])
    return tuple(
        DetailedVariant(
            ref=one.artifact.ref,
            option=one.artifact.option,
            format=one.artifact.format,
            quantization=labels.get(one.artifact.option),
            bytes=one.artifact.size,
            files=len(one.artifact.files),
            verdict=one.verdict,
            state=None if plan.action == "fetch" else plan.action,
            artifact=one.artifact,
            offload=offloads.get(one.artifact.option),
        )
        for one, plan in zip(variants, plans, strict=True)
    )


# Of the Hub ---------------------------------------------------------------------------------------------------------


def _of_repo(session: "Session", repo: "RepositoryDetails", context: int | None) -> ModelDetails:
    facts = {
        "id": None,
        "name": repo.name,
        "tags": list(repo.tags),
        "license": repo.license,
        "parameters": _parameters_text(repo.parameters),
        "contextLength": repo.context_length,
        "homepage": f"https://huggingface.co/{repo.name}",
        "architecture": repo.architecture,
        "commit": repo.commit,
        "gated": repo.gated,
        "private": repo.private,
        "companions": list(repo.companions),
    }
    states = _states(session)
    verdicts = _verdicts(session, repo, states, context)
    variants = [
        _repo_variant(artifact, verdict, states) for artifact, verdict in zip(repo.variants, verdicts, strict=True)
    ]
    return ModelDetails(facts, tuple(variants), notes=repo.notes)


def _verdicts(
    session: "Session", repo: "RepositoryDetails", states: Mapping[str, str], context: int | None
) -> list[Verdict]:
    """Return a verdict for each variant: by the header at its source, or by the repository's facts alone."""
    try:
        return [variant.verdict for variant in judge_repository(session, repo, context)]
    except FlowhubError:  # a Hub that has become busy: the details are there, and are shown
        return [
            _by_card(session, repo, artifact, states.get(artifact.ref) == "installed") for artifact in repo.variants
        ]


def _repo_variant(artifact: Artifact, verdict: Verdict, states: Mapping[str, str]) -> DetailedVariant:
    quant = artifact.hub.quant if artifact.hub else None
    return DetailedVariant(
        artifact.ref,
        None,
        artifact.format,
        quant,
        artifact.size,
        len(artifact.files),
        verdict,
        states.get(artifact.ref),
        artifact,
    )


def _by_card(session: "Session", repo: "RepositoryDetails", artifact: Artifact, installed: bool) -> Verdict:
    needs = ModelNeeds(
        weights_bytes=artifact.size,
        format=artifact.format,
        parameters=repo.parameters,
        context_max=repo.context_length,
        disk_bytes=artifact.size,
    )
    return fit(needs, session.device, reserve_bytes=session.disk_reserve, installed=installed)


def _states(session: "Session") -> dict[str, str]:
    """Return the state, queued or installed, by reference."""
    queued = {job.ref: "queued" for job in session.queries.all(live=True)}
    return queued | {model.source: "installed" for model in session.installed.models() if model.source}


def _parameters_text(parameters: int | None) -> str | None:
    """Return a number of parameters as catalogs write it: 7.6B, 494M."""
    if parameters is None:
        return None
    for size, letter in ((10**9, "B"), (10**6, "M")):
        if parameters >= size:
            return f"{round(parameters / size, 1 if parameters < 100 * size else 0):g}{letter}"
    return str(parameters)


# From the store -----------------------------------------------------------------------------------------------------


def _installed_details(session: "Session", model: InstalledModel) -> ModelDetails:
    """Return the details of a model in the store: for one from the catalog, with its whole catalog entry."""
    if model.model and model.option and (listed := session.listed_model(model.model)) is not None:
        try:
            from_catalog = _listed_details(session, listed, model.option)
        except NotFound:  # the option is gone from the catalog
            from_catalog = None
        if from_catalog is not None:
            return ModelDetails(from_catalog.facts, from_catalog.variants, from_catalog.catalog, model)
    return ModelDetails({"id": model.model, "name": model.name}, (_installed_variant(session, model),), installed=model)


def _installed_variant(session: "Session", model: InstalledModel) -> DetailedVariant:
    [variant] = judge(session, model.name, fetch_headers=False)
    ref = model.source or model.name
    return DetailedVariant(ref, model.option, model.format, None, model.bytes, 1, variant.verdict, "installed")
