"""The screens of `catalog`: the catalogs, an import, an update, a validation."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flowhub_jobs.catalogs.import_record import TITLES
from flowhub_jobs.cli import output
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.catalogs.imports import Change
from flowhub_jobs.operations.schemas.catalogs import examples
from flowhub_jobs.units import format_duration

NAMED = 5  # models that are named of those that came, changed, went; files that nothing verifies
FINDINGS_SHOWN = 200
Entry = Mapping[str, Any]


def list_table(catalogs: Sequence[Entry]) -> str:
    now = datetime.now(UTC)
    rows = [
        (
            str(one["name"]),
            TITLES.get(one["format"], "unknown"),
            "damaged" if one["damaged"] else f"{one['models']:,}",
            f"{one['hidden']:,}" if one["hidden"] else "-",
            _age(one["checked_at"], now),
            one["source"] or ("shipped with flowhub" if one["name"] == "base" else "unknown"),
        )
        for one in catalogs
    ]
    return output.folded_table(("NAME", "SHAPE", "MODELS", "HIDDEN", "ASKED", "SOURCE"), rows, right=(2, 3))


def _age(at: str | None, now: datetime) -> str:
    """Return the time since a catalog's source was checked."""
    try:
        age = (now - datetime.fromisoformat(at)).total_seconds() if at else None
    except (ValueError, TypeError):
        age = None
    return "-" if age is None else f"{format_duration(age)} ago"


def import_lines(change: Change) -> list[str]:
    """Return the result of an import: models taken, ids changed, entries not taken."""
    facts = change.facts
    note = ", in place of the previous import" if change.replaced else ""
    head = f"Imported {change.name}: {_models(facts.models)} ({TITLES[facts.format]}'s shape){note}."
    renamed = list(change.renamed.values())
    lines = [output.fold(head)]
    if renamed:
        one = len(renamed) == 1
        ids = "1 id was in use, and got" if one else f"{len(renamed):,} ids were in use, and got"
        renames = f"{ids} the catalog's name behind {'it' if one else 'them'}: {_first_ids(renamed)}."
        lines.append(output.fold(renames, after="  "))
    counts = {"refused": facts.refused, "left_out": facts.left_out, "remark": facts.remarks}
    return lines + _remark_paragraphs(counts, examples(change.result))


def validate_lines(page: Entry) -> list[str]:
    """Return all faults and warnings, one a line or two, and the files that nothing verifies."""
    if page["faults"]:
        head = f"{page['source']}: {_counted(page['faults'], 'fault')}."
    else:
        verdict = "would be taken" if page["format"] != "flowhub" else "without a fault"
        head = f"{page['source']}: {TITLES[page['format']]}, {_models(page['models'])} {verdict}."
    lines = [output.fold(head, after="  ")]
    lines += _findings("Faults", page["faults"]) + _findings("Warnings", page["warnings"]) + _unpinned(page["notes"])
    counts = {"refused": page["refused"], "left_out": page["left_out"], "remark": page["remarks"]}
    return [*lines, *_remark_paragraphs(counts, page["entries"])]


def _findings(title: str, findings: Sequence[Entry]) -> list[str]:
    if not findings:
        return []
    lines = [
        "",
        f"{title}:",
        *(output.fold(_finding_text(one), "  ", after="    ") for one in findings[:FINDINGS_SHOWN]),
    ]
    hidden = len(findings) - FINDINGS_SHOWN
    return [*lines, f"  and {hidden:,} more; --json has all of them"] if hidden > 0 else lines


def _finding_text(finding: Entry) -> str:
    field = f'field "{finding["field"]}"' if finding["field"] else None
    place = ", ".join(part for part in (finding["entry"], field) if part)
    end = "" if finding["reason"].endswith((".", "?")) else "."
    return f"{place}: {finding['reason']}{end}" if place else f"{finding['reason']}{end}"


def _unpinned(notes: Sequence[Entry]) -> list[str]:
    if not notes:
        return []
    have = "has" if len(notes) == 1 else "have"
    examples = "; ".join(str(note["entry"]) for note in notes[:NAMED])
    rest = f"; and {len(notes) - NAMED:,} more" if len(notes) > NAMED else ""
    head = f"Note: {_counted(notes, 'file')} {have} no sha256, so nothing verifies the bytes: "
    return ["", output.fold(f"{head}{examples}{rest}.", after="  ")]


def _counted(values: Sequence[Any], noun: str) -> str:
    return f"{len(values):,} {noun}" + ("" if len(values) == 1 else "s")


_KINDS = {
    "refused": ("Not taken", "entry", "entries"),
    "left_out": ("Left out of the imported models", "file", "files"),
    "remark": ("Warnings on the imported models", "file", "files"),
}


def _remark_paragraphs(counts: Mapping[str, Mapping[str, int]], entries: Sequence[Entry]) -> list[str]:
    """Return a paragraph for each kind of remark, a reason a line, with a few of those that it is about."""
    lines = []
    for kind, by_reason in counts.items():
        if not by_reason:
            continue
        head, one, many = _KINDS[kind]
        total = sum(by_reason.values())
        lines += ["", f"{head}: {total:,} {one if total == 1 else many}"]
        for reason, count in sorted(by_reason.items(), key=lambda pair: -pair[1]):
            such = [entry["entry"] for entry in entries if (entry["kind"], entry["reason"]) == (kind, reason)]
            ellipsis = ", …" if count > len(such) else ""
            lines.append(output.fold(f"{count:>5,}  {reason}: {', '.join(such)}{ellipsis}", "  ", after=" " * 9))
    return lines


def update_lines(name: str, outcome: Change | FlowhubError) -> list[str]:
    """Return the result of updating one catalog."""
    if isinstance(outcome, FlowhubError):
        return [output.fold(f"{name}: not updated; the previous import stays. {outcome.message}", after="  ")]
    moved = {"new": outcome.new, "changed": outcome.changed, "gone": outcome.gone}
    if not any(moved.values()):
        return [f"{name}: {_models(outcome.facts.models)}, nothing new."]
    head = ", ".join(f"{len(ids):,} {change}" for change, ids in moved.items() if ids)
    lines = [f"{name}: {_models(outcome.facts.models)}; {head}."]
    return lines + [
        output.fold(f"{change:<8} {_first_ids(ids)}", "  ", after=" " * 11) for change, ids in moved.items() if ids
    ]


def _first_ids(ids: Sequence[str]) -> str:
    rest = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + rest


def _models(count: int) -> str:
    return f"{count:,} model" + ("" if count == 1 else "s")
