"""Placements as JSON: `flowhub/placements/1`, `flowhub/unplaced/1`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowhub_jobs.operations.schemas.plain_json import fields_json

if TYPE_CHECKING:
    from flowhub_jobs.operations.placement import ShownPlacement

_PLACEMENT = ("name", "model", "option", "app", "path", "how", "state", "error", "next_at")
_UNPLACED = _PLACEMENT[:6]


def placements_json(placements: "Iterable[ShownPlacement]") -> dict[str, Any]:
    return {"schema": "flowhub/placements/1", "placements": [placement_json(placement) for placement in placements]}


def placement_json(placement: "ShownPlacement") -> dict[str, Any]:
    return fields_json(placement, _PLACEMENT)


def unplaced_json(removed: "Iterable[ShownPlacement]") -> dict[str, Any]:
    """Return `flowhub/unplaced/1`: the placements that were removed, without their state."""
    return {"schema": "flowhub/unplaced/1", "removed": [fields_json(placement, _UNPLACED) for placement in removed]}
