"""What a search found, as `flowhub/search/1`: for `--json`, and for the page."""

from typing import Any

from flowhub_jobs.operations.search.search import Findings, FoundModel, FoundVariant


def search_page(findings: Findings, typed: tuple[str, ...]) -> dict[str, Any]:
    """Return `total` and the models that were asked for; `corrected` is null, or what was typed and what is shown."""
    corrected = {"typed": " ".join(typed), "shown": findings.corrected} if findings.corrected else None
    models = [model_object(model) for model in findings.models]
    return {"schema": "flowhub/search/1", "total": findings.total, "models": models, "corrected": corrected}


def model_object(model: FoundModel) -> dict[str, Any]:
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
        "variants": [_variant_object(variant) for variant in model.variants],
    }


def _variant_object(variant: FoundVariant) -> dict[str, Any]:
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
