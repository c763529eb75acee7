"""How anything is printed: the result on stdout; hints, warnings and progress on stderr."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any


def result(text: str) -> None:
    sys.stdout.write(text + "\n")


def result_json(page: dict[str, Any]) -> None:
    json.dump(page, sys.stdout, ensure_ascii=False)
    sys.stdout.write("\n")
    sys.stdout.flush()


def hint(text: str, *, quiet: bool = False) -> None:
    """Say something that is not the result; with --json (`quiet`) stderr belongs to errors alone."""
    if not quiet:
        sys.stderr.write(text + "\n")


def columns() -> int:
    return shutil.get_terminal_size((80, 24)).columns


def is_terminal() -> bool:
    return sys.stdout.isatty()


def paint(text: str, code: str) -> str:
    """Return the text in a colour (an ANSI code), where a person looks on and did not set NO_COLOR."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), give: int = 0) -> str:
    """Return aligned columns, no wider than the terminal: column `give` gives way. `right` are set flush right."""
    lines = [list(head), *[list(row) for row in rows]]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    over = sum(widths) + 2 * (len(widths) - 1) - columns()
    if over > 0:
        widths[give] = max(len(head[give]), 12, widths[give] - over)
    return "\n".join(_line(line, widths, right).rstrip() for line in lines)


def _line(line: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    cells = (shorten(text, width) for text, width in zip(line, widths, strict=True))
    return "  ".join(
        text.rjust(width) if place in right else text.ljust(width)
        for place, (text, width) in enumerate(zip(cells, widths, strict=True))
    )
