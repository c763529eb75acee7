"""help: verbs, error codes, states, settings, references; `--json` is the whole manual for programs."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.app import VERBS, command
from flowhub_jobs.cli.foreign_commands import answer
from flowhub_jobs.cli.help import topics
from flowhub_jobs.cli.help.help_json import manual_json
from flowhub_jobs.cli.help.topics import TOPICS
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.errors import ERRORS, UsageInvalid


def help_page(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD…]", help="A verb, a topic, an error code, a state or a setting."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain verbs, errors, states, settings, references.

    --json prints everything as one object, and ignores WORD.
    """
    if output.chosen.json:
        output.result_json(manual_json())
    elif not words:
        output.result(_contents())
    elif len(words) == 1 and words[0] in topics.TOPICS:
        output.result(topics.TOPICS[words[0]][1]())
    else:
        _explain(words)


def _contents() -> str:
    topics = [(f"flowhub help {name}", text) for name, (text, _) in TOPICS.items()]
    others = [
        ("flowhub help VERB", "How a verb is called."),
        ("flowhub help CODE", "What an error code means, and what to do."),
    ]
    verbs = " ".join(name for names in VERBS.values() for name in names)
    return output.folded_table(("HELP", ""), [*topics, *others]) + "\n\n" + output.fold(f"Verbs: {verbs}", after="  ")


def _explain(words: Sequence[str]) -> None:
    """Print the help of a verb, or of a topic word. Raises UsageInvalid."""
    top = command()
    if words[0] in top.commands:
        with top.make_context("flowhub", [*words, "--help"]) as context:
            top.invoke(context)
    texts = topics.find(words[0]) if len(words) == 1 else []
    if not texts:
        raise answer("flowhub", words) or _unknown(" ".join(words))
    output.result("\n".join(texts))


def _unknown(word: str) -> Exception:
    known = [*TOPICS, *(name for names in VERBS.values() for name in names), *ERRORS]
    near = get_close_matches(word, known, 3, 0.6)
    hint = f"Did you mean {', '.join(near)}?" if near else f"Topics: {', '.join(TOPICS)}; or a verb or an error code."
    return UsageInvalid(f"There is no help on {word!r}.", hint=hint)
