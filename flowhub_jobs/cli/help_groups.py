"""The verbs: listed in `flowhub --help` under the words by which a person looks for them, built when one is called."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flowhub_jobs.cli.foreign_commands import AnsweringGroup


class HelpGroups(AnsweringGroup):
    """Lists its verbs by chapter: `chapters` names them, in order."""

    chapters: Mapping[str, Sequence[str]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = formatter.width - 6 - max(map(len, self.commands))
        for chapter, names in self.chapters.items():
            with formatter.section(chapter):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(width)) for name in names])


class Verbs(Mapping[str, Any]):
    """The commands of a group by name: `build(name, place)` makes one when it is first asked for."""

    def __init__(self, places: Mapping[str, str], build: Callable[[str, str], Any]) -> None:
        self._places, self._build = dict(places), build
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = self._build(name, self._places[name])
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
