"""The library and the store as JSON: `flowhub/installed/1`, and the results of the verbs that change them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.schemas.placements import placement_json
from flowhub_jobs.operations.schemas.plain_json import fields_json
from flowhub_jobs.values.enums import Condition

if TYPE_CHECKING:
    from pathlib import Path

    from flowhub_jobs.operations.library.adopt import Adopted
    from flowhub_jobs.operations.library.adopt_scan import AdoptableModel, AdoptScan
    from flowhub_jobs.operations.library.cleanup import Item, Partial
    from flowhub_jobs.operations.library.installed import Removal
    from flowhub_jobs.operations.library.on_nodes import ModelOnNode, ModelsOnNodes
    from flowhub_jobs.operations.library.outdated import OutdatedCheck, OutdatedModel
    from flowhub_jobs.operations.library.quick_verify import VerifyResult
    from flowhub_jobs.operations.library.usage import DiskUsageReport, ModelDiskUsage, StoreListing, StoreState
    from flowhub_jobs.operations.placement import ShownPlacement
    from flowhub_jobs.values.artifacts import InstalledModel

_INSTALLED = [
    "name",
    "model",
    "option",
    "format",
    "path",
    "bytes",
    "sha256",
    "installed_at",
    "verified_at",
    "in_catalog",
    "condition",
    "source",
    "linked_from",
    "placed_in",
    "pinned",
    "store",
]  # the contract's order


def installed_json(listing: "StoreListing") -> dict[str, Any]:
    """Return `flowhub/installed/1`: the models, the partial downloads, the models removed by hand, the store."""
    return {
        "schema": "flowhub/installed/1",
        "models": [installed_model_json(model) for model in listing.models],
        "partials": [partial_json(partial) for partial in listing.partials],
        "removed_by_hand": [{"name": entry.name, "source": entry.ref} for entry in listing.gone],
        "store": {"path": str(listing.root), "online": listing.online, "free": listing.free},
        "stores": [_store_json(one) for one in listing.stores],
    }


def _store_json(state: "StoreState") -> dict[str, Any]:
    return fields_json(state, ("name", "path", "online", "free"))


def installed_on_nodes_json(on_nodes: "ModelsOnNodes") -> dict[str, Any]:
    """Return `flowhub/installed/1` of other nodes: as their libraries have it, without a look at their stores."""
    alone = on_nodes.nodes[0] if len(on_nodes.nodes) == 1 else None
    return {
        "schema": "flowhub/installed/1",
        "models": [_on_node_json(model) for model in on_nodes.models],
        "partials": [],
        "removed_by_hand": [],
        "store": {"path": alone and alone.store, "online": None, "free": alone and alone.disk_free},
        "stores": [],
    }


def _on_node_json(model: "ModelOnNode") -> dict[str, Any]:
    library_fields = fields_json(
        model, [name for name in _INSTALLED if name not in ("in_catalog", "condition", "source")]
    )
    condition = Condition.DAMAGED if model.damaged else Condition.GOOD
    fields = {"in_catalog": None, "condition": str(condition), "source": model.ref, "node": model.node}
    return {**{name: library_fields.get(name) for name in _INSTALLED}, **fields}


def installed_model_json(model: "InstalledModel") -> dict[str, Any]:
    return fields_json(model, _INSTALLED)


def partial_json(partial: "Partial") -> dict[str, Any]:
    return {
        "path": str(partial.leaving.path),
        "name": partial.name,
        "bytes": partial.leaving.bytes,
        "age_s": partial.age_s,
        "job": partial.holder.job if partial.holder else None,
        "state": str(partial.state),
    }


def path_json(model: "InstalledModel", path: "Path") -> dict[str, Any]:
    """Return `flowhub/path/1`; `path` is the file to open, or the folder."""
    return {
        "schema": "flowhub/path/1",
        "path": str(path),
        "name": model.name,
        "format": model.format,
        "folder": model.path.is_dir(),
        "condition": str(model.condition),
    }


def pinned_json(names: Iterable[str], *, pinned: bool) -> dict[str, Any]:
    """Return `flowhub/pinned/1`: the models that were pinned, or unpinned."""
    return {"schema": "flowhub/pinned/1", "models": [{"name": name, "pinned": pinned} for name in names]}


def removed_json(removals: "Iterable[Removal]", *, dry_run: bool) -> dict[str, Any]:
    removed = [fields_json(removal, ("name", "bytes", "freed")) for removal in removals]
    return {"schema": "flowhub/removed/1", "dry_run": dry_run, "removed": removed}


def verify_json(results: "Iterable[VerifyResult]", broken: "Iterable[ShownPlacement]" = ()) -> dict[str, Any]:
    """Return `flowhub/verify/1`; `broken` are the placements that are not as they were made."""
    models = [_verify_result_json(result) for result in results]
    return {"schema": "flowhub/verify/1", "models": models, "placements": [placement_json(one) for one in broken]}


def _verify_result_json(result: "VerifyResult") -> dict[str, Any]:
    return {
        "name": result.model.name,
        "ref": result.model.artifact.ref,
        "state": result.state,
        "bytes": result.model.bytes,
        "job": result.job,
        "damage": result.damage,
        "bytes_fetched": result.bytes_fetched,
        "error": _error_json(result.error),
        "store": result.model.store,
    }


def outdated_json(check: "OutdatedCheck", to_fetch: Mapping[str, int | None]) -> dict[str, Any]:
    """Return `flowhub/outdated/1`; `to_fetch` has the bytes that each update would download, by name."""
    return {
        "schema": "flowhub/outdated/1",
        "outdated": [_newer_json(newer, to_fetch[newer.entry.name]) for newer in check.outdated],
        "unknown": [fields_json(one, ("name", "ref", "why")) for one in check.unknown],
        "failed": [{"name": name, "error": error.as_dict()} for name, error in check.failed.items()],
    }


def _newer_json(newer: "OutdatedModel", to_fetch: int | None) -> dict[str, Any]:
    return {
        "name": newer.entry.name,
        "ref": newer.entry.ref,
        "installed": fields_json(newer.installed, _VERSION),
        "available": fields_json(newer.available, _VERSION),
        "bytes_to_fetch": to_fetch,
    }


_VERSION = ("version", "commit", "sha256")


def adopt_json(scan: "AdoptScan", outcomes: "Mapping[int, Adopted | FlowhubError]", *, dry_run: bool) -> dict[str, Any]:
    """Return `flowhub/adopt/1`; `outcomes` has the result of each adoption, by the offer's index in the scan."""
    return {
        "schema": "flowhub/adopt/1",
        "dry_run": dry_run,
        "models": [_offer_json(offer, outcomes.get(number)) for number, offer in enumerate(scan.offers)],
        "skipped": [fields_json(one, ("path", "why")) for one in scan.skipped],
    }


def _offer_json(offer: "AdoptableModel", outcome: "Adopted | FlowhubError | None") -> dict[str, Any]:
    artifact, failed = offer.recognized.artifact, isinstance(outcome, FlowhubError)
    state = "already" if offer.same_as else "failed" if failed else "found" if outcome is None else "adopted"
    how = "in place" if offer.in_place else None if offer.same_as else offer.how
    if outcome is not None and not isinstance(outcome, FlowhubError):
        how = outcome.how or "in place"
    return {
        "name": getattr(outcome, "name", offer.name),
        "ref": artifact.ref,
        "model": artifact.model,
        "option": artifact.option,
        "format": artifact.format,
        "bytes": offer.size,
        "sha256": None if artifact.folder else offer.recognized.files[0].sha256,
        "program": offer.candidate.program,
        "from": str(offer.candidate.where),
        "how": how,
        "state": state,
        "error": _error_json(outcome if isinstance(outcome, FlowhubError) else None),
    }


def pruned_json(removed: "Sequence[Item]", kept: "Sequence[Item]", *, dry_run: bool) -> dict[str, Any]:
    """Return `flowhub/pruned/1`; `kept` are the partials that stay for `retry`."""
    return {
        "schema": "flowhub/pruned/1",
        "dry_run": dry_run,
        "freed": sum(item.frees for item in removed),
        "removed": [_item_json(item) for item in removed],
        "kept": [_item_json(item) for item in kept],
    }


def _item_json(item: "Item") -> dict[str, Any]:
    return (
        fields_json(item, ("kind", "name", "path", "bytes"))
        | {"freed": item.frees}
        | fields_json(item, ("age_s", "job", "why"))
    )


def du_json(usage: "DiskUsageReport") -> dict[str, Any]:
    return {
        "schema": "flowhub/du/1",
        "models": [_disk_usage_json(model) for model in usage.models],
        "partials": _disk_usage_json(usage.partials),
        "rests": _disk_usage_json(usage.leftovers),
        "bytes_on_disk": usage.total,
        "bytes_shared": usage.shared,
        "bytes_elsewhere": usage.linked,
        "store": {"path": str(usage.root), "online": True, "free": usage.free},
        "stores": [_store_json(one) for one in usage.stores],
    }


def _disk_usage_json(model: "ModelDiskUsage") -> dict[str, Any]:
    """Return the disk usage of a model; `part` is from 0 to 1."""
    return {
        "name": model.name,
        "bytes": model.bytes,
        "bytes_on_disk": model.on_disk,
        "bytes_shared": model.size.shared,
        "bytes_elsewhere": model.size.linked,
        "part": round(model.fraction, 4),
    }


def _error_json(error: FlowhubError | None) -> dict[str, Any] | None:
    return error.as_dict() if error else None
