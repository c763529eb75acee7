"""The manual as JSON, `flowhub/help/1`: verbs, errors, exit statuses, states, reasons to wait, settings."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flowhub_jobs import __version__
from flowhub_jobs.errors.guide import guides
from flowhub_jobs.operations.schemas.plain_json import fields_json
from flowhub_jobs.operations.wait_reasons import REASONS
from flowhub_jobs.values.enums import LIVE_STATES, State

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


@dataclass(frozen=True, slots=True)
class OptionHelp:
    """An option of a verb; `value` names its value, None for a flag."""

    names: list[str]
    value: str | None
    repeatable: bool
    help: str | None


@dataclass(frozen=True, slots=True)
class ArgumentHelp:
    name: str
    required: bool
    repeatable: bool
    help: str | None


@dataclass(frozen=True, slots=True)
class VerbHelp:
    """A verb, or one below a verb ("catalog list"); `chapter` is the heading of `flowhub --help` that has it."""

    name: str
    chapter: str
    help: str
    arguments: list[ArgumentHelp]
    options: list[OptionHelp]


@dataclass(frozen=True, slots=True)
class SettingHelp:
    name: str
    variable: str
    meaning: str


@dataclass(frozen=True, slots=True)
class StateHelp:
    """A state of a job, and the states that may follow it."""

    state: State
    meaning: str
    next: tuple[State, ...]


def help_json(
    verbs: Iterable[VerbHelp], states: Iterable[StateHelp], settings: Iterable[SettingHelp]
) -> dict[str, Any]:
    """Return `flowhub/help/1`."""
    return {
        "schema": "flowhub/help/1",
        "version": __version__,
        "verbs": [asdict(verb) for verb in verbs],
        "errors": [fields_json(guide, _GUIDE) for guide in guides()],
        "exit_statuses": dict(_EXIT_STATUSES),
        "states": [_state_json(state) for state in states],
        "reasons": [{"reason": str(reason), "meaning": f"{why}."} for reason, (why, _) in REASONS.items()],
        "settings": [asdict(setting) for setting in settings],
    }


_GUIDE = ("code", "exit_status", "retryable", "meaning", "remedy")


def _state_json(state: StateHelp) -> dict[str, Any]:
    fields: Mapping[str, Any] = {
        "state": str(state.state),
        "live": state.state in LIVE_STATES,
        "meaning": state.meaning,
    }
    return {**fields, "next": [str(after) for after in state.next]}
