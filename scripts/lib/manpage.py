"""The man page flowhub(1), made from `flowhub help --json`: verbs with options, settings, exit statuses, files."""

import re
from collections.abc import Iterator
from typing import Any

from flowhub_jobs.cli.help import help_json
from lib.env import TOP

PATH = TOP / "docs" / "flowhub.1"
_DESCRIPTION = (
    "flowhub downloads model files (GGUF, MLX, safetensors) unattended. `flowhub enqueue` queues them, "
    "`flowhub worker` downloads them: resumed after a kill or an outage, each compared with its published sha256, and "
    "renamed only when all of it is verified."
)
_FILES = (
    ("~/.flow-studio", "The home: databases, locks, config.toml. FLOWHUB_HOME names another."),
    ("~/.flow-studio/llms", "The store: the models. FLOWHUB_STORE names another."),
    ("~/.flow-studio/config.toml", "Settings; a variable of the environment comes before it, an option before both."),
)


def man_page() -> str:
    """Return the page as roff, in the macros of man(7)."""
    return "\n".join(_lines(help_json.manual_json())) + "\n"


def _lines(page: dict[str, Any]) -> Iterator[str]:
    yield '.\\" Written by scripts/reference.'
    yield f'.TH FLOWHUB 1 "" "flowhub {page["version"]}" "User Commands"'
    yield from (".SH NAME", r"flowhub \- download model files unattended: queued, resumed, verified")
    yield from (".SH SYNOPSIS", ".B flowhub", r".RI [ VERB ]\~[ OPTIONS ]\~[ ARGUMENTS ]")
    yield from (".SH DESCRIPTION", _text(_DESCRIPTION))
    yield from (".SH VERBS",)
    yield from _verbs(page)
    yield ".SH SETTINGS"
    for entry in page["settings"]:
        yield from (".TP", rf"\fB{_text(entry['name'])}\fR, {_text(entry['variable'])}", _text(entry["meaning"]))
    yield ".SH EXIT STATUS"
    for status, meaning in page["exit_statuses"].items():
        yield from (".TP", rf"\fB{status}\fR", _text(meaning))
    yield ".SH FILES"
    for path, meaning in _FILES:
        yield from (".TP", rf"\fI{_text(path)}\fR", _text(meaning))
    yield from (".SH SEE ALSO", _text("`flowhub help`, `flowhub help errors`, `flowhub help settings`"))


def _verbs(page: dict[str, Any]) -> Iterator[str]:
    chapter = None
    for verb in page["verbs"]:
        if verb["chapter"] != chapter:
            chapter = verb["chapter"]
            yield f'.SS "{_text(chapter)}"'
        arguments = "".join(rf" \fI{_text(entry['name'])}\fR" for entry in verb["arguments"])
        yield from (".TP", rf"\fBflowhub {_text(verb['name'])}\fR{arguments}", _text(verb["help"]))
        if verb["options"]:
            yield ".RS"
            for entry in verb["options"]:
                names = ", ".join(rf"\fB{_text(name)}\fR" for name in entry["names"])
                value = rf" \fI{_text(entry['value'])}\fR" if entry["value"] else ""
                yield from (".TP", names + value, _text(entry["help"]))
            yield ".RE"


def _text(text: str) -> str:
    """Return text for a line of roff: escaped, and no line of it begins with a dot or a quote."""
    line = re.sub(r"\s+", " ", text).strip().replace("\\", r"\e").replace("-", r"\-").replace("`", "")
    line = line.replace("\u2026", "...").replace("\u2013", r"\(en")
    return rf"\&{line}" if line.startswith((".", "'")) else line
