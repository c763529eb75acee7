"""The JSON of `flowhub help --json`, read from the verbs' Typer commands and the texts of the help topics."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from flowhub_jobs.cli.app import command
from flowhub_jobs.cli.help.setting_texts import TEXTS, variable
from flowhub_jobs.cli.help.state_texts import MOVED_BY, STATES
from flowhub_jobs.operations.schemas.manual import (
    ArgumentHelp,
    OptionHelp,
    SettingHelp,
    StateHelp,
    VerbHelp,
    help_json,
)
from flowhub_jobs.settings import Settings


def manual_json() -> dict[str, Any]:
    """Return `flowhub/help/1`."""
    return help_json(verbs(), _states(), _settings())


def verbs() -> Iterator[VerbHelp]:
    """Yield each verb, and each below a verb as "catalog list"."""
    top = command()
    headings = {name: heading for heading, names in top.summaries.items() for name in names}
    for name, verb in top.commands.items():
        yield from _verb(name, verb, headings[name])


def _verb(name: str, verb: Any, heading: str) -> Iterator[VerbHelp]:
    text = " ".join((verb.help or "").split("\n\n")[0].split())
    parameters = [parameter for parameter in verb.params if not getattr(parameter, "hidden", False)]
    options = [_option(one) for one in parameters if one.param_type_name == "option"]
    arguments = [_argument(one) for one in parameters if one.param_type_name == "argument"]
    yield VerbHelp(name, heading, text, arguments, options)
    for below, one in getattr(verb, "commands", {}).items():
        yield from _verb(f"{name} {below}", one, heading)


def _option(option: Any) -> OptionHelp:
    value = None if option.is_flag else option.metavar or option.type.name.upper()
    return OptionHelp([*option.opts, *option.secondary_opts], value, option.multiple, option.help)


def _argument(argument: Any) -> ArgumentHelp:
    return ArgumentHelp(argument.metavar or argument.name, argument.required, argument.nargs != 1, argument.help)


def _states() -> Iterator[StateHelp]:
    for state, meaning in STATES.items():
        yield StateHelp(state, meaning, tuple(after for before, after in MOVED_BY if before is state))


def _settings() -> Iterator[SettingHelp]:
    for setting in fields(Settings):
        yield SettingHelp(setting.name, variable(setting.name), TEXTS.get(setting.name, ""))
