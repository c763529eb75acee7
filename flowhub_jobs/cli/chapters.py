"""The list of verbs in `flowhub --help`, under the words by which a person looks for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer.core


class Chapters(typer.core.TyperGroup):
    """Lists its verbs by chapter: `chapters` names them, in order."""

    chapters: Mapping[str, Sequence[str]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = formatter.width - 6 - max(map(len, self.commands))
        for chapter, names in self.chapters.items():
            with formatter.section(chapter):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(width)) for name in names])
