"""Reads the table of released versions: scripts/lib/catalog/releases.csv."""

import csv
from collections import defaultdict
from datetime import date
from pathlib import Path

Release = dict[str, str]


def releases_by_model(table: Path, models: set[str]) -> dict[str, list[Release]]:
    """Return the catalog's releases by model, newest first.

    A row with an unknown model, without a source, or with an invalid date ends the build.
    """
    releases: dict[str, list[Release]] = defaultdict(list)
    for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
        if row["model"] not in models:
            raise SystemExit(f"{table.name}: there is no model {row['model']}")
        if not row["source"].startswith("https://"):
            raise SystemExit(f"{table.name}: {row['model']} has no source")
        releases[row["model"]].append(_release(row))
    return {
        model: sorted(rows, key=lambda release: release["releasedAt"], reverse=True) for model, rows in releases.items()
    }


def _release(row: dict[str, str]) -> Release:
    day = date.fromisoformat(row["released_at"]).isoformat()
    values = {"version": row["version"], "releasedAt": day, "notes": row["notes"]}
    return {name: value for name, value in values.items() if value}
