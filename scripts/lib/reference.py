"""The generated parts of docs/: verbs, settings, exit statuses, error codes, states, reasons, the HTTP API, the tools.

They come from `flowhub help --json` (flowhub_jobs.cli.help.help_json) and from the API's table of operations. Each
stands between two comments with its name.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields
from typing import Any

from flowhub_jobs.cli.help import help_json, setting_texts
from flowhub_jobs.mcp.tool_table import TOOLS
from flowhub_jobs.settings import Settings
from flowhub_jobs.web.api import OPERATIONS
from lib.env import TOP

DOCUMENTS = tuple(TOP / "docs" / name for name in ("reference.md", "http.md", "agents.md"))
_PART = re.compile(r"(?P<begin><!-- begin: (?P<name>[a-z ]+) -->).*?(?P<end><!-- end: (?P=name) -->)", re.DOTALL)
_DEFAULTS = {
    "home": "`~/.flow-studio`",
    "store": "`llms` in the home",
    "database_url": "`flowhub.db` in the home",
    "catalog": "the one that flowhub ships",
    "node": "made once, kept in the home",
    "give_up_after": "86400 s (24 h)",
}


def refreshed(document: str) -> str:
    """Return the document with its generated parts updated. Raises KeyError for an unknown part."""
    page = help_json.manual_json()

    def part(found: re.Match[str]) -> str:
        return "\n".join([found["begin"], "", *_PARTS[found["name"]](page), "", found["end"]])

    return _PART.sub(part, document)


def _verbs(page: dict[str, Any]) -> Iterator[str]:
    chapter = None
    for verb in page["verbs"]:
        if verb["chapter"] != chapter:
            chapter = verb["chapter"]
            yield from (f"### {chapter}", "")
        arguments = " ".join(_usage(entry) for entry in verb["arguments"])
        yield from (f"#### `flowhub {verb['name']}{' ' if arguments else ''}{arguments}`", "", _cell(verb["help"]), "")
        options = [entry for entry in verb["options"] if entry["names"] != ["--json"]]
        if options or any(entry["help"] for entry in verb["arguments"]):
            yield from _table("| | |", (_parameter(entry) for entry in (*verb["arguments"], *options) if entry["help"]))
            yield ""
        if len(options) < len(verb["options"]):
            yield from ("`--json` prints one JSON object.", "")


def _usage(argument: dict[str, Any]) -> str:
    name = argument["name"]
    return name if argument["required"] or name.startswith("[") else f"[{name}]"


def _parameter(entry: dict[str, Any]) -> tuple[str, str]:
    if "names" not in entry:
        return f"`{entry['name']}`", entry["help"]
    value = f" {entry['value']}" if entry["value"] else ""
    text = entry["help"] + (" May be repeated." if entry["repeatable"] else "")
    return ", ".join(f"`{name}{value}`" for name in entry["names"]), text


def _settings(page: dict[str, Any]) -> Iterator[str]:
    default = {entry.name: entry.default for entry in fields(Settings)}
    rows = (
        (
            f"`{entry['name']}`",
            f"`{entry['variable']}`",
            _default(entry["name"], default[entry["name"]]),
            entry["meaning"],
        )
        for entry in page["settings"]
    )
    yield from _table("| setting | set by | default | meaning |", rows)


def _default(name: str, value: object) -> str:
    if name in _DEFAULTS:
        return _DEFAULTS[name]
    return "none" if value is MISSING else setting_texts.in_words(name, value)


def _exit_statuses(page: dict[str, Any]) -> Iterator[str]:
    yield from _table("| exit | meaning |", page["exit_statuses"].items())


def _errors(page: dict[str, Any]) -> Iterator[str]:
    rows = (
        (
            f"`{entry['code']}`",
            str(entry["exit_status"]),
            "yes" if entry["retryable"] else "",
            entry["meaning"],
            entry["remedy"],
        )
        for entry in page["errors"]
    )
    yield from _table("| code | exit | retryable | meaning | remedy |", rows)


def _states(page: dict[str, Any]) -> Iterator[str]:
    rows = ((f"`{entry['state']}`", entry["meaning"], ", ".join(entry["next"]) or "none") for entry in page["states"])
    yield from _table("| state | meaning | next states |", rows)


def _reasons(page: dict[str, Any]) -> Iterator[str]:
    rows = ((f"`{entry['reason']}`", entry["meaning"]) for entry in page["reasons"])
    yield from _table("| reason | meaning |", rows)


def _operations(page: dict[str, Any]) -> Iterator[str]:
    rows = (
        (
            f"`{entry.method} {entry.path.replace(':path', '')}`",
            entry.summary,
            ", ".join(f"`{field.name}`" for field in (*entry.query, *entry.body) if not field.ignored),
            f"`{entry.response_schema}`" if "/" in entry.response_schema else entry.media_type,
            f"`{entry.verb}`" if entry.verb else "",
        )
        for entry in OPERATIONS
    )
    yield from _table("| request | | parameters | answer | verb |", rows)


def _tools(_page: dict[str, Any]) -> Iterator[str]:
    rows = (
        (
            f"`{tool.name}`",
            f"{tool.description.partition('. ')[0].rstrip('.')}.",
            ", ".join(f"`{field.name}`" for field in tool.fields),
            f"`{tool.result_schema}`",
        )
        for tool in TOOLS
    )
    yield from _table("| tool | | arguments | result |", rows)


def _table(head: str, rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield head
    yield "|---" * (head.count("|") - 1) + "|"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


_PARTS = {
    "verbs": _verbs,
    "settings": _settings,
    "exit statuses": _exit_statuses,
    "error codes": _errors,
    "states": _states,
    "reasons": _reasons,
    "operations": _operations,
    "tools": _tools,
}
