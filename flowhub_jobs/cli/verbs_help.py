"""help: what programs depend on, from the terminal: errors and exit statuses, states, settings."""

from typing import Annotated

import typer

_TOPICS = ("errors", "states", "reasons", "settings", "references")


def help_page(
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help=f"One of: {', '.join(_TOPICS)}.")] = None,
) -> None:
    """Explain errors, states, reasons, settings, references."""
    from flowhub_jobs.cli import say
    from flowhub_jobs.errors import UsageInvalid

    pages = {
        "errors": _errors,
        "states": _states,
        "reasons": _reasons,
        "settings": _settings,
        "references": _references,
    }
    if topic is None:
        say.result("flowhub help TOPIC, with one of: " + ", ".join(_TOPICS))
        say.result("flowhub VERB --help tells how a verb is called.")
    elif topic in pages:
        say.result(pages[topic]())
    else:
        raise UsageInvalid(f"There is no help on {topic!r}.", hint=f"Topics: {', '.join(_TOPICS)}.")


def _errors() -> str:
    from flowhub_jobs.cli import say
    from flowhub_jobs.errors import ERRORS

    rows = sorted((str(kind.exit_status), kind.code, "yes" if kind.retryable else "no") for kind in ERRORS.values())
    rows.sort(key=lambda row: int(row[0]))
    return say.table(("EXIT", "CODE", "CAN PASS BY ITSELF"), rows, right=(0,))


def _states() -> str:
    from flowhub_jobs.cli import say
    from flowhub_jobs.jobs.states import MOVES

    return say.table(("FROM", "TO", "MOVED BY"), [(old, new, who) for (old, new), who in MOVES.items()])


def _reasons() -> str:
    from flowhub_jobs.cli.fetch.why import REASONS

    rows = "\n".join(f"{reason:<14} {why}." for reason, (why, _) in REASONS.items())
    return f"{rows}\n\nWhere several hold, the first of these is shown. `flowhub status JOB` says until when."


def _settings() -> str:
    from dataclasses import fields

    from flowhub_jobs.cli import say
    from flowhub_jobs.settings import Settings, load_settings

    now = load_settings()
    rows = []
    for setting in fields(Settings):
        value = getattr(now, setting.name)
        # What has no repr is a secret, or lies in the file alone.
        shown = ("set" if value else "-") if not setting.repr else "-" if value is None else str(value)
        rows.append((_setting_name(setting.name), shown))
    foot = f"Also in {now.config_path}, in lower case and without FLOWHUB_. Flags come before both."
    return say.table(("SETTING", "NOW"), rows, give=1) + f"\n\n{foot}"


def _setting_name(name: str) -> str:
    if name in ("tokens", "notify"):
        return f"[{name}] of the file"
    return name.upper() if name.startswith("hf_") else f"FLOWHUB_{name.upper()}"


def _references() -> str:
    return _REFERENCES


_REFERENCES = """\
model               a model of the catalog; its first option
model@option        that option (model:option is taken too)
hf:owner/repo       a repository of the Hub: its Q4_K_M, or the folder of its model
hf:owner/repo:QUANT one quant of it; hf:owner/repo/path one file; @revision behind repo
https://huggingface.co/owner/repo   a link to its page, or to a file, as it is pasted
https://host/file   the URL of a file; --sha256 HEX pins it
-f FILE             a list: one reference a line, then options of `enqueue`; # begins a comment"""
