"""`flowhub/help/1`: every verb with its options, every error code, state, reason and setting, for programs."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from flowhub_jobs import __version__
from flowhub_jobs.cli.app import command
from flowhub_jobs.cli.help.setting_texts import TEXTS, variable
from flowhub_jobs.cli.help.state_texts import MOVED_BY, STATES
from flowhub_jobs.errors.guide import guides
from flowhub_jobs.jobs.states import LIVE
from flowhub_jobs.operations.wait_reasons import REASONS
from flowhub_jobs.settings import Settings

SCHEMA = "flowhub/help/1"


def page() -> dict[str, Any]:
    """Return the manual as one object. Keys are added to it, never removed."""
    return {
        "schema": SCHEMA,
        "version": __version__,
        "verbs": list(_verbs()),
        "errors": list(_errors()),
        "exit_statuses": _EXIT_STATUSES,
        "states": list(_states()),
        "reasons": list(_reasons()),
        "settings": list(_settings()),
    }


_EXIT_STATUSES = {
    "0": "done",
    "1": "failed",
    "2": "usage",
    "3": "no such model, option or job",
    "4": "sign-in or licence",
    "5": "network or source",
    "6": "disk space",
    "7": "does not fit",
    "8": "digest or size mismatch",
    "9": "busy",
    "10": "some of several failed",
    "124": "--timeout",
    "130": "Ctrl-C",
    "143": "SIGTERM",
}


def _verbs() -> Iterator[dict[str, Any]]:
    """Yield each verb, and each below a verb as "catalog list"."""
    top = command()
    chapters = {name: chapter for chapter, names in top.summaries.items() for name in names}
    for name, verb in top.commands.items():
        yield from _verb(name, verb, chapters[name])


def _verb(name: str, verb: Any, chapter: str) -> Iterator[dict[str, Any]]:
    text = " ".join((verb.help or "").split("\n\n")[0].split())
    shown = [parameter for parameter in verb.params if not getattr(parameter, "hidden", False)]
    options = [_option(one) for one in shown if one.param_type_name == "option"]
    arguments = [_argument(one) for one in shown if one.param_type_name == "argument"]
    yield {"name": name, "chapter": chapter, "help": text, "arguments": arguments, "options": options}
    for below, one in getattr(verb, "commands", {}).items():
        yield from _verb(f"{name} {below}", one, chapter)


def _option(one: Any) -> dict[str, Any]:
    return {
        "names": [*one.opts, *one.secondary_opts],
        "value": None if one.is_flag else one.metavar or one.type.name.upper(),
        "repeatable": one.multiple,
        "help": one.help,
    }


def _argument(one: Any) -> dict[str, Any]:
    return {"name": one.metavar or one.name, "required": one.required, "repeatable": one.nargs != 1, "help": one.help}


def _errors() -> Iterator[dict[str, Any]]:
    for one in guides():
        known = {"code": one.code, "exit_status": one.exit_status, "retryable": one.retryable}
        yield {**known, "meaning": one.meaning, "remedy": one.remedy}


def _states() -> Iterator[dict[str, Any]]:
    for state, meaning in STATES.items():
        then = [str(new) for old, new in MOVED_BY if old is state]
        yield {"state": str(state), "live": state in LIVE, "meaning": meaning, "next": then}


def _reasons() -> Iterator[dict[str, Any]]:
    for reason, (why, _) in REASONS.items():
        yield {"reason": str(reason), "meaning": f"{why}."}


def _settings() -> Iterator[dict[str, Any]]:
    for setting in fields(Settings):
        yield {"name": setting.name, "variable": variable(setting.name), "meaning": TEXTS.get(setting.name, "")}
