"""The variants that a reference can mean, each with its verdict for a machine, and the best of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flowhub_jobs.catalogs.resolve import no_option
from flowhub_jobs.device.fit import Verdict, fit
from flowhub_jobs.device.need import ModelNeeds
from flowhub_jobs.operations.search.headers import HeaderReading, local_metadata, remote_metadata
from flowhub_jobs.operations.search.machine import read_needs
from flowhub_jobs.operations.search.model_needs import Variant, best_fit, needs_of
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import Fit, HubFormat

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.schema import HubModel
    from flowhub_jobs.catalogs.search_reader import ListedModel
    from flowhub_jobs.device.device_values import Device
    from flowhub_jobs.formats.metadata import ModelMetadata
    from flowhub_jobs.home import Home
    from flowhub_jobs.operations.repositories import RepositoryDetails
    from flowhub_jobs.operations.session import Session


def judge(
    session: "Session",
    ref: str,
    machine: "Device | None" = None,
    *,
    context: int | None = None,
    fetch_headers: bool = True,
) -> list[Variant]:
    """Return the variants of a model or a repository, or the one that is named or installed, each with its verdict.

    Without `machine` it is this one, and the store's disk counts; another's disk holds what its profile says. With
    `fetch_headers`, the header of a model that is not installed is fetched. Raises NotFound and the errors of
    `session.artifact`.
    """
    return _judge_all(session, expand_reference(session, ref), machine, context, fetch_headers)


def judge_repository(session: "Session", details: "RepositoryDetails", context: int | None = None) -> list[Variant]:
    """Return the variants of a repository with their verdicts on this machine; one header of each format is fetched."""
    return _judge_all(session, _of_repository(details), None, context, fetch_headers=True)


def judge_listed(
    session: "Session", model: "ListedModel", option: str | None, context: int | None = None
) -> list[Variant]:
    """Return what `judge` does of a model in the index, or its named option, without asking. Raises NotFound."""
    options = [item for item in model.options if option in (None, item.artifact.option)]
    if option is not None and not options:
        raise no_option(model.id, [item.artifact.option or "" for item in model.options], option)
    if (installed := _installed_artifact(session, f"{model.id}@{option}" if option else model.id)) is not None:
        return _judge_all(session, _installed_variants(session, installed), None, context, fetch_headers=False)
    needs = {item.artifact.option: item.needs for item in options}
    artifacts = [item.artifact for item in options]
    variants = VariantSet(artifacts, lambda artifact: read_needs(needs[artifact.option]), in_catalog=True)
    return _judge_all(session, variants, None, context, fetch_headers=False)


def _judge_all(
    session: "Session", variants: "VariantSet", machine: "Device | None", context: int | None, fetch_headers: bool
) -> list[Variant]:
    judge_of = _Judge(session, variants, machine, context, fetch_headers)
    names = session.home.installed_names([artifact.key for artifact in variants.artifacts])
    return [
        judge_of.judge(artifact, names.get(artifact.key, _installed_name(artifact))) for artifact in variants.artifacts
    ]


@dataclass(slots=True)
class _Judge:
    """Judges the variants of one reference. `headers` caches the header of one variant of each format."""

    session: "Session"
    variants: "VariantSet"
    machine: "Device | None"
    context: int | None
    fetch_headers: bool
    headers: dict[HubFormat | None, HeaderReading] = field(default_factory=dict)

    def judge(self, artifact: Artifact, installed: str | None) -> Variant:
        home = self._home_with(artifact, installed) if installed else self.session.home
        header = HeaderReading(local_metadata(home.store, home.node, artifact, installed))
        variant = Variant(artifact, self._verdict(artifact, header, installed), header.note)
        needs_header = header.metadata is None and self.fetch_headers and variant.verdict.fit is not Fit.WRONG_PLATFORM
        return self.judge_there(artifact, installed) if needs_header else variant

    def _home_with(self, artifact: Artifact, installed: str) -> "Home":
        """Return the home with the store that has the artifact; another store may have a model of its name."""
        if len(homes := self.session.home.each_store()) == 1:
            return homes[0]
        with_artifact = (home for home in homes if artifact.key in home.entries.unchanged([artifact.key]))
        return next(with_artifact, self.session.installed.located(installed)[0])

    def judge_there(self, artifact: Artifact, installed: str | None) -> Variant:
        """Return the variant, judged by the header at its source."""
        header = self._remote_header(artifact)
        artifact = _with_size(artifact, header.size)
        return Variant(artifact, self._verdict(artifact, header, installed), header.note)

    def _verdict(self, artifact: Artifact, header: HeaderReading, installed: str | None) -> Verdict:
        return fit(
            replace(self.variants.needs(artifact), metadata=header.metadata, context=self.context),
            self.machine or self.session.device,
            reserve_bytes=self.session.disk_reserve,
            installed=installed is not None and self.machine is None,
        )

    def _remote_header(self, artifact: Artifact) -> HeaderReading:
        """Return the source's header. The variants of one model are built alike: one of each format is fetched."""
        if (cached := self.headers.get(artifact.format)) is not None:
            return cached
        header = remote_metadata(artifact, self.session.settings)
        self.headers[artifact.format] = HeaderReading(_shape_of(header.metadata), header.note)
        return header


def judge_one(session: "Session", artifact: Artifact, *, ask_unknown: bool) -> Variant:
    """Return one artifact with its verdict; if it is unknown and `ask_unknown`, the source's header is fetched."""
    installed = session.home.installed_names([artifact.key]).get(artifact.key)
    judge_of = _Judge(session, _in_catalog([artifact], _model_of(session, artifact)), None, None, fetch_headers=False)
    variant = judge_of.judge(artifact, installed)
    fetch_header = ask_unknown and variant.verdict.fit is Fit.UNKNOWN
    return judge_of.judge_there(artifact, installed) if fetch_header else variant


def best(session: "Session", ref: str) -> tuple[Variant, str]:
    """Return the best variant of a model for this machine, and why. Raises DoesNotFit, NotFound."""
    variants = expand_reference(session, ref)
    return best_fit(_judge_all(session, variants, None, None, fetch_headers=not variants.in_catalog))


def leaves_choice(session: "Session", ref: str) -> bool:
    """Return whether a reference names a model of the catalog, or a repository of the Hub, but no variant of it."""
    return ref.strip().lower() in session.loaded.catalog.by_id or _is_repository(session, ref)


def _is_repository(session: "Session", ref: str) -> bool:
    from flowhub_jobs.huggingface.reference_parser import parse_hub_ref

    hub_ref = parse_hub_ref(ref, session.settings.hf_endpoint)
    return hub_ref is not None and not (hub_ref.quant or hub_ref.path)


@dataclass(frozen=True, slots=True)
class VariantSet:
    """Artifacts that a reference may mean: all variants of a bare model or repository, and the needs of each.

    `needs` also takes a variant whose size its source gave later.
    """

    artifacts: Sequence[Artifact]
    needs: Callable[[Artifact], ModelNeeds]
    in_catalog: bool


def _in_catalog(artifacts: Sequence[Artifact], model: "HubModel | None") -> VariantSet:
    return VariantSet(artifacts, lambda artifact: needs_of(artifact, model), model is not None)


def expand_reference(session: "Session", ref: str) -> VariantSet:
    """Return the artifacts that a reference may mean. Raises what `session.artifact` raises."""
    if (installed := _installed_artifact(session, ref)) is not None:
        return _installed_variants(session, installed)
    if _is_repository(session, ref):
        return _repository(session, ref)
    artifact = session.artifact(ref)
    model = _model_of(session, artifact)
    if model is None or model.id != ref.strip().lower():
        return _in_catalog([artifact], model)
    from flowhub_jobs.catalogs.schema import artifact as artifact_of

    return _in_catalog([artifact_of(model, option) for option in model.downloads], model)


def _model_of(session: "Session", artifact: Artifact) -> "HubModel | None":
    return session.loaded.catalog.by_id.get(artifact.model) if artifact.model else None


def _repository(session: "Session", ref: str) -> VariantSet:
    from flowhub_jobs.operations.repositories import repository_details

    details = repository_details(session.settings, ref)
    if details is None or not details.variants:
        return _in_catalog([session.artifact(ref)], None)
    return _of_repository(details)


def _of_repository(details: "RepositoryDetails") -> VariantSet:
    facts = {"parameters": details.parameters, "context_max": details.context_length}
    return VariantSet(details.variants, lambda artifact: needs_of(artifact, None, **facts), in_catalog=False)


def _installed_artifact(session: "Session", name: str) -> Artifact | None:
    """Return the model under a bare name in the store, as an artifact without a source."""
    model = session.installed.model(name)
    if model is None:
        return None
    file = ArtifactFile(model.name, "", model.bytes)
    return Artifact(model.name, model.model, model.option, model.format, model.name, model.path.is_dir(), (file,))


def _installed_variants(session: "Session", installed: Artifact) -> VariantSet:
    return _in_catalog([installed], _model_of(session, installed))


def _installed_name(artifact: Artifact) -> str | None:
    return artifact.name if artifact.files[0].url == "" else None


def _with_size(artifact: Artifact, size: int | None) -> Artifact:
    """Return an artifact of one file with the size from its source, if no other is known."""
    if size is None or artifact.size is not None or len(artifact.files) != 1:
        return artifact
    return replace(artifact, files=(replace(artifact.files[0], size=size),))


def _shape_of(metadata: "ModelMetadata | None") -> "ModelMetadata | None":
    """Return what holds for every variant of a model: not the bytes and the type of this one's weights."""
    return replace(metadata, weights_bytes=None, quantization=None, parts=None) if metadata else None
