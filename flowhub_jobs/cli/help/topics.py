"""The pages of `flowhub help TOPIC`, as text that fits the terminal."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from flowhub_jobs.cli import output
from flowhub_jobs.cli.help.setting_texts import TEXTS, in_words, variable
from flowhub_jobs.cli.help.state_texts import MOVED_BY, STATES
from flowhub_jobs.cli.search.catalog_format_help import CATALOG_HELP
from flowhub_jobs.errors.guide import Guide, guides
from flowhub_jobs.operations.wait_reasons import NEXT, REASONS
from flowhub_jobs.settings import Settings, load_settings

INDENT = " " * 8


def errors() -> str:
    """Return every error code with its exit status, meaning and remedy."""
    head = output.bold("EXIT  CODE")
    return "\n".join([head, *(line for one in guides() for line in error_lines(one))])


def error_lines(one: Guide) -> list[str]:
    note = "  (may pass by itself; a worker tries again)" if one.retryable and one.exit_status in (5, 6) else ""
    return [f"{one.exit_status:>4}  {one.code}{note}", *_prose(one.meaning, one.remedy)]


def states() -> str:
    """Return the states, and the cause of each transition."""
    moves = [(str(old), str(new), mover) for (old, new), mover in MOVED_BY.items()]
    return "\n\n".join(
        [
            output.folded_table(("STATE", "MEANING"), [(str(state), text) for state, text in STATES.items()]),
            output.folded_table(("FROM", "TO", "MOVED BY"), moves),
        ]
    )


def reasons() -> str:
    """Return why a queued job waits, in the order in which the reasons are shown."""
    rows = "\n".join(f"{reason:<14} {why}." for reason, (why, _) in REASONS.items())
    foot = "If several apply, the first one in this list is shown. `flowhub status JOB` shows until when."
    return f"{rows}\n\n{output.fold(foot)}"


def settings() -> str:
    """Return every setting with its value, its meaning and where it is set; no secret."""
    now = load_settings()
    lines = []
    for setting in fields(Settings):
        value = getattr(now, setting.name)
        lines += _setting_lines(setting.name, value, secret=not setting.repr)
    foot = (
        f"Also in {now.config_path}: in lower case, without FLOWHUB_ (jobs = 2). A flag comes before the variable, "
        "the variable before the file. HF_TOKEN and the home are set by variables alone."
    )
    return "\n".join([*lines, "", output.fold(foot)])


def _setting_lines(name: str, value: object, *, secret: bool) -> list[str]:
    text = ("set, not shown" if value else "not set") if secret else in_words(name, value)
    return [f"{variable(name)} = {text}", *_prose(TEXTS.get(name, ""))]


def references() -> str:
    """Return the forms of a reference to a model."""
    return output.folded_table(("REFERENCE", "MEANING"), _REFERENCES)


def units() -> str:
    """Return how times, rates and sizes are written."""
    return output.folded_table(("VALUE", "WRITTEN AS"), _UNITS)


def catalog() -> str:
    """Return the format of a catalog, with an example."""
    return f"{CATALOG_HELP}\n\n`flowhub catalog --help` lists the commands."


def skill() -> str:
    """Return the SKILL.md for agents, as it is shipped."""
    return (Path(__file__).parent / "SKILL.md").read_text(encoding="utf-8").rstrip("\n")


def _prose(*sentences: str) -> list[str]:
    return [line for text in sentences if text for line in output.fold(text, INDENT).split("\n")]


def find(word: str) -> list[str]:
    """Return the texts about a word: an error code, a state, a reason to wait, a setting."""
    return [page for texts_of in (_error, _state, _reason, _setting) if (page := texts_of(word))]


def _error(word: str) -> str:
    return "\n".join(line for one in guides() if one.code == word for line in _one_error(one))


def _one_error(one: Guide) -> list[str]:
    note = "may pass by itself" if one.retryable else "does not pass by itself"
    return [f"Error {one.code}: exit status {one.exit_status}, {note}.", *_prose(one.meaning, one.remedy)]


def _state(word: str) -> str:
    texts = {str(state): text for state, text in STATES.items()}
    return "\n".join([f"State {word}:", *_prose(texts[word])]) if word in texts else ""


def _reason(word: str) -> str:
    for reason, (why, _) in REASONS.items():
        if reason == word:
            next_step = NEXT.get(reason, "").format(job="JOB")
            return "\n".join([f"Reason {word}, for which a queued job waits:", *_prose(f"{why}.", next_step)])
    return ""


def _setting(word: str) -> str:
    name = word.lower()
    for setting in fields(Settings):
        if name in (setting.name, variable(setting.name).lower()):
            value = getattr(load_settings(), setting.name)
            return "\n".join(_setting_lines(setting.name, value, secret=not setting.repr))
    return ""


TOPICS: dict[str, tuple[str, Callable[[], str]]] = {
    "errors": ("Error codes and exit statuses, with their remedies.", errors),
    "states": ("The states of a job.", states),
    "reasons": ("Why a queued job waits.", reasons),
    "settings": ("Every setting, its value and where to set it.", settings),
    "references": ("How a model is named.", references),
    "catalog": ("The format of a catalog, with an example.", catalog),
    "units": ("How times, rates and sizes are written.", units),
    "skill": ("A SKILL.md that teaches agents to use flowhub.", skill),
}

_REFERENCES = [
    ("model", "a model of the catalog; its first option"),
    ("model@option", "that option (model:option also works)"),
    ("hf:owner/repo", "a repository of the Hub: its Q4_K_M, or the folder of its model"),
    ("hf:owner/repo:QUANT", "one quantization of it"),
    ("hf:owner/repo/path", "one file of it; @revision follows the repository name"),
    ("https://huggingface.co/…", "a link to a page of the Hub or to a file, as it is pasted"),
    ("https://host/file", "the URL of a file; --sha256 HEX pins it"),
    ("-f FILE", "a list: one reference a line, then options of `enqueue`; # begins a comment"),
]
_UNITS = [
    ("TIME", "02:30 (the next one, local), +90s, +15m, +3h, +2d, or RFC 3339 (2026-11-23T02:30:00Z)"),
    ("T", "since when: 90m, 12h, 7d (ago), 22:00 (the last one), or RFC 3339"),
    ("RATE", "bytes a second: 500K, 5M, 1.5G (decimal), or off"),
    ("SIZE", "500M, 10G (decimal), 8GiB (binary)"),
    ("JOB", "a number or a range: 12 128-130"),
]
