"""The screen of `show`: a model's facts, each variant with its verdict, the versions, and the next step."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flowhub_jobs.cli import output
from flowhub_jobs.operations.search.model_details import DetailedVariant, ModelDetails
from flowhub_jobs.operations.search.variant_ranking import rank_key
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.artifacts import InstalledModel
from flowhub_jobs.values.enums import RUNNABLE

VERSIONS_SHOWN = 5
# Characters shown of a catalog's texts, whose length the catalog's author decides.
DESCRIPTION_SHOWN, TEXT_SHOWN, LABEL_SHOWN = 2000, 500, 80
_WIDTH = 10  # of the names of facts


def print_details(details: ModelDetails) -> None:
    facts = details.facts
    name = _cut(facts["name"], TEXT_SHOWN) + (f" ({_cut(facts['id'], LABEL_SHOWN)})" if facts["id"] else "")
    maker = f", by {_cut(facts['publisher'], LABEL_SHOWN)}" if facts.get("publisher") else ""
    output.result(output.fold(name + maker, after="  "))
    if facts.get("description"):
        output.result(output.fold(_cut(facts["description"], DESCRIPTION_SHOWN), "  "))
    _print_facts({name: value and _cut(value, TEXT_SHOWN) for name, value in _facts(details).items()})
    if details.installed:
        _print_facts(_store_facts(details.installed))
    if details.variants:
        output.result("")
        output.result(_variants(details.variants))
    _print_versions(facts.get("versions") or ())
    for note in details.notes:
        output.hint(output.fold(note))
    if details.variants:
        output.hint(f"\n{_next(details)}")


def _cut(text: str, most: int) -> str:
    """Return `text`, or its first `most` characters and a note that there is more."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _facts(details: ModelDetails) -> dict[str, str | None]:
    facts = details.facts
    return {
        "parameters": facts.get("parameters"),
        "context": f"{facts['contextLength']:,} tokens" if facts.get("contextLength") else None,
        "license": facts.get("license"),
        "tags": ", ".join(facts.get("tags") or ()),
        "needs": _needs(facts.get("hardware") or {}),
        "homepage": facts.get("homepage"),
        "catalog": details.catalog,
        "commit": facts.get("commit"),
        "access": _access(facts),
        "companions": ", ".join(facts.get("companions") or ()),
    }


def _needs(hardware: Mapping[str, Any]) -> str:
    """Return the machine that the catalog recommends."""
    least, recommended, disk = (hardware.get(name) for name in ("minRamGb", "recommendedRamGb", "diskGb"))
    platforms = list(hardware.get("platforms") or ())
    parts = [
        f"{least:g} GiB of memory" if least else None,
        f"{recommended:g} GiB recommended" if recommended and recommended != least else None,
        f"{disk:g} GB of disk" if disk else None,
        " or ".join(filter(None, (", ".join(platforms[:-1]), *platforms[-1:]))),
    ]
    return ", ".join(part for part in parts if part)


def _access(facts: Mapping[str, Any]) -> str | None:
    if facts.get("gated"):
        return "gated: its terms must be accepted on its page"
    return "private" if facts.get("private") else None


def _store_facts(model: InstalledModel) -> dict[str, str | None]:
    """Return the facts about a model in the store."""
    return {
        "path": str(model.path),
        "state": str(model.condition),
        "source": model.source,
        "linked": model.linked_from,
        "installed": _day(model.installed_at),
        "verified": _day(model.verified_at),
        "sha256": model.sha256,
    }


def _day(moment: datetime | None) -> str | None:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else None


def _print_facts(facts: Mapping[str, str | None]) -> None:
    for name, value in facts.items():
        if value:
            output.result(output.fold(f"{name:<{_WIDTH}} {value}", "  ", after=" " * (_WIDTH + 3)))


def _variants(variants: Sequence[DetailedVariant]) -> str:
    """Return a table of them; the reason is folded, so that no text is cut."""
    rows = [
        (
            _cut(one.option or one.quantization or one.ref, LABEL_SHOWN),
            str(one.format or "-") + (f", {one.files} files" if one.files > 1 else ""),
            "unknown" if one.bytes is None else format_bytes(one.bytes),
            str(one.verdict.fit) + (f" ({one.state})" if one.state else ""),
            _cut(one.verdict.why, TEXT_SHOWN),
        )
        for one in variants
    ]
    head = ("VARIANT", "FORMAT", "SIZE", "HERE", "WHY")
    if output.width_of(head[:-1], [row[:-1] for row in rows]) + 24 <= output.columns():
        return output.folded_table(head, rows, right=(2,))
    lines = [output.fold(", ".join(row[:-1]), after="  ") + "\n" + output.fold(row[-1], "  ") for row in rows]
    return "\n".join(lines)


def _print_versions(versions: Sequence[Mapping[str, Any]]) -> None:
    """Print the versions, newest first: those without a date last, as the catalog has them."""
    newest = sorted(versions, key=lambda version: version.get("releasedAt") or "", reverse=True)
    if newest:
        output.result("\nVersions:")
    for version in newest[:VERSIONS_SHOWN]:
        output.result(output.fold(_version(version), "  ", after="    "))
    if len(newest) > VERSIONS_SHOWN:
        output.result(f"  and {len(newest) - VERSIONS_SHOWN} earlier ones; --json has all of them")


def _version(version: Mapping[str, Any]) -> str:
    """Return e.g. "2.5 (2024-09-19): First release."."""
    name, day = _cut(version.get("version") or "", LABEL_SHOWN), (version.get("releasedAt") or "")[:10]
    head = f"{name} ({day})" if name and day else name or day or "unnamed"
    return f"{head}: {_cut(version['notes'], TEXT_SHOWN)}" if version.get("notes") else head


def _next(details: ModelDetails) -> str:
    """Return the next step: open an installed variant, else queue the best one that runs here, else the first."""
    if installed := [one for one in details.variants if one.state == "installed"]:
        name = details.installed.name if details.installed else installed[0].ref
        return f"`flowhub path {name}` prints its path."
    first = details.variants[0]
    best = min(details.variants, key=lambda one: rank_key(one.verdict, one.format, first.format))
    runs = best.verdict.fit in RUNNABLE
    return f"`flowhub enqueue {(best if runs else first).ref}` queues it."
