"""The group of all verbs: `flowhub --help` lists them under headings; a verb is imported when it is called."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flowhub_jobs.cli.foreign_commands import AnsweringGroup


class HelpGroups(AnsweringGroup):
    """Lists its verbs in groups. `summaries` has a verb's first line of help by heading and name, in order."""

    summaries: Mapping[str, Mapping[str, str]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for heading, verbs in self.summaries.items():
            with formatter.section(heading):
                formatter.write_dl(list(verbs.items()))


class LazyCommands(Mapping[str, Any]):
    """The commands of a group by name. `build(name)` makes a command when it is first used."""

    def __init__(self, names: Sequence[str], build: Callable[[str], Any]) -> None:
        self._names, self._build = tuple(names), build
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            if name not in self._names:
                raise KeyError(name)
            self._built[name] = self._build(name)
        return self._built[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
