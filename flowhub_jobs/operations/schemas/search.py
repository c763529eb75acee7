"""Models and this machine as JSON: `flowhub/search/1`, `flowhub/model/1`, `flowhub/fits/1`, `flowhub/device/1`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowhub_jobs.operations.schemas.plain_json import fields_json

if TYPE_CHECKING:
    from flowhub_jobs.device.device_values import Device
    from flowhub_jobs.operations.search.model_details import DetailedVariant, ModelDetails
    from flowhub_jobs.operations.search.model_needs import Variant
    from flowhub_jobs.operations.search.search import FoundModel, FoundVariant, SearchResult


def search_json(findings: "SearchResult", typed: tuple[str, ...]) -> dict[str, Any]:
    """Return `flowhub/search/1`; `corrected` is null, or the words as typed and the words that were searched."""
    corrected = {"typed": " ".join(typed), "shown": findings.corrected} if findings.corrected else None
    models = [_found_model_json(model) for model in findings.models]
    return {"schema": "flowhub/search/1", "total": findings.total, "models": models, "corrected": corrected}


def _found_model_json(model: "FoundModel") -> dict[str, Any]:
    row = model.row
    return {
        "id": row.id,
        "name": row.name,
        "publisher": row.publisher,
        "family": row.family,
        "parameters": row.parameters,
        "license": row.license,
        "context_length": row.context_length,
        "tags": model.tags,
        "catalog": row.catalog,
        "released_at": row.released_at,
        "installed": model.installed,
        "best": model.best.ref,
        "variants": [_found_variant_json(variant) for variant in model.variants],
    }


def _found_variant_json(variant: "FoundVariant") -> dict[str, Any]:
    return {
        "ref": variant.ref,
        "option": variant.option,
        "format": str(variant.format),
        "quantization": variant.quantization,
        "bytes": variant.bytes,
        "fit": str(variant.verdict.fit),
        "why": variant.verdict.why,
        "installed": variant.installed,
    }


def model_json(details: "ModelDetails") -> dict[str, Any]:
    """Return `flowhub/model/1`; `model` has the facts under the catalog's names (contextLength, …)."""
    return {
        "schema": "flowhub/model/1",
        "model": dict(details.facts),
        "variants": [_detailed_variant_json(variant) for variant in details.variants],
        "catalog": details.catalog,
        "installed": fields_json(details.installed, _INSTALLED) if details.installed else None,
        "notes": list(details.notes),
    }


_INSTALLED = (
    "name",
    "path",
    "bytes",
    "sha256",
    "condition",
    "source",
    "linked_from",
    "installed_at",
    "verified_at",
)


def _detailed_variant_json(variant: "DetailedVariant") -> dict[str, Any]:
    fields = fields_json(variant, ("ref", "option", "quantization", "bytes", "files", "state", "format"))
    return fields | {"fit": str(variant.verdict.fit), "why": variant.verdict.why}


def device_json(device: "Device") -> dict[str, Any]:
    return {"schema": "flowhub/device/1", "device": device.as_dict()}


def fits_json(device: "Device", variants: "Iterable[Variant]") -> dict[str, Any]:
    return {
        "schema": "flowhub/fits/1",
        "device": device.as_dict(),
        "variants": [_variant_json(variant) for variant in variants],
    }


def _variant_json(variant: "Variant") -> dict[str, Any]:
    artifact = variant.artifact
    fields = {"ref": artifact.ref, "option": artifact.option, "bytes": artifact.size}
    return fields | variant.verdict.as_dict() | {"note": variant.note}
