"""The memory that a model needs, from its catalog entry and its header, and the choice of the best variant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowhub_jobs.device.fit import Verdict
from flowhub_jobs.device.need import ModelNeeds
from flowhub_jobs.errors import DoesNotFit
from flowhub_jobs.operations.search.variant_ranking import rank_key
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import NOT_EXCLUDED, Fit, Offload, platform_of

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.schema import HubModel

_COUNT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,4})?)\s*(k|m|b|t|million|billion|trillion)\b", re.IGNORECASE)
_TIMES = re.compile(r"([0-9]{1,4})\s*x\s*(?=[0-9])", re.IGNORECASE)
_FACTORS = {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_WEIGHTS = (".gguf", ".safetensors", ".npz", ".bin")


def parse_parameters(text: str | None) -> int | None:
    """Return how many parameters "0.5B", "22.7M", "8x7B" or "7 billion" are; None where the text does not say it.

    Of a mixture "8x7B" the product, which is an upper bound of the loaded parameters.
    """
    match = _COUNT.search(text or "")
    if text is None or match is None:
        return None
    times = _TIMES.match(text.strip())
    return round(float(match[1]) * _FACTORS[match[2][0].lower()]) * (int(times[1]) if times else 1) or None


def weights_of(artifact: Artifact) -> int | None:
    """Return the bytes that a runtime loads: those of the weights' files, a projector for pictures apart."""
    files = [file for file in artifact.files if file.path.lower().endswith(_WEIGHTS)] or list(artifact.files)
    models = [file for file in files if "mmproj" not in file.path.lower()] or files
    sizes = [file.size for file in models]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def needs_of(
    artifact: Artifact,
    model: "HubModel | None",
    *,
    parameters: int | None = None,
    context_max: int | None = None,
) -> ModelNeeds:
    """Return an artifact's needs of a machine, from all known sources.

    `parameters` and `context_max` are those of a model that is in no catalog.
    """
    hardware = model.hardware if model else None
    option = next((one for one in model.downloads if one.id == artifact.option), None) if model else None
    return ModelNeeds(
        weights_bytes=weights_of(artifact),
        format=artifact.format,
        parameters=parse_parameters(model.parameters) if model else parameters,
        context_max=model.context_length if model else context_max,
        offload=Offload(option.offload) if option and option.offload else None,
        min_ram_gib=hardware.min_ram_gb if hardware else None,
        recommended_ram_gib=hardware.recommended_ram_gb if hardware else None,
        disk_gb=hardware.disk_gb if hardware else None,
        platforms=tuple(map(platform_of, hardware.platforms)) if hardware and hardware.platforms else None,
        disk_bytes=artifact.size,
    )


# The best of several -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variant:
    """One option of a model, as an artifact, and whether it runs here."""

    artifact: Artifact
    verdict: Verdict
    note: str | None = None


def best_fit(variants: Sequence[Variant]) -> tuple[Variant, str]:
    """Return the best variant for this machine, and in a sentence why; `variants` are in the catalog's order.

    Order: fits, tight, slow. Among equals the model's default format, which is
    that of its first option, comes first, and in it the largest weights: of one model, more bytes mean more precision.
    A variant of unknown fit is chosen only if no other is left, and then the first. Raises DoesNotFit.
    """
    running = [variant for variant in variants if variant.verdict.fit in NOT_EXCLUDED]
    if not running:
        least = min(variants, key=lambda variant: variant.artifact.size or 0)
        model = least.artifact.model or least.artifact.ref
        raise DoesNotFit(f"No variant of {model} runs here. {least.artifact.ref}: {least.verdict.why}.")
    best = min(running, key=lambda one: rank_key(one.verdict, one.artifact.format, variants[0].artifact.format))
    peers = [
        one for one in running if one.verdict.fit is best.verdict.fit and one.artifact.format is best.artifact.format
    ]
    return best, _why_best(best, len(peers), len(variants))


def _why_best(best: Variant, equals: int, count: int) -> str:
    verdict = best.verdict
    if verdict.fit is Fit.UNKNOWN:
        return f"the first variant that may fit; none is known to fit: {verdict.why}"
    clause = {Fit.FITS: "that fit", Fit.TIGHT: "that fit tightly", Fit.SLOW: "that run slowly"}[verdict.fit]
    if count == 1:
        return f"the only variant: {verdict.why}"
    return (
        f"the largest of {equals} {clause}: {verdict.why}" if equals > 1 else f"the best fit of {count}: {verdict.why}"
    )
