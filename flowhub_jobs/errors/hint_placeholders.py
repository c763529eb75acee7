"""Fills the placeholders of hints: how to try again differs for a job, for a command and for a call of `download()`.

A hint is written where the error is raised: "Move or remove it, then {retry}." That code does not know the reader. The
code that shows the hint fills it, by `for_command_line`, `for_jobs` or `for_call`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

REFS_NAMED = 3  # references that a command for several jobs names


@dataclass(frozen=True, slots=True)
class HintWords:
    """The text of each placeholder, which has the field's name. With a capital letter it begins a sentence."""

    retry: str  # an imperative: "then {retry}."
    new_try: str  # a noun: "{New_try} continues with what was kept."
    restart_and_retry: str  # an imperative, for what a worker reads only at its start
    continues: str  # a clause: "Free some space; {continues}."
    for_the_worker_too: str  # after "set the variable"
    enqueue: str  # an imperative


_IN_A_CALL = HintWords(
    retry="call download() again",
    new_try="a new call",
    restart_and_retry="call download() again",
    continues="the next call continues",
    for_the_worker_too="",
    enqueue="call download() again",
)


def for_command_line(hint: str) -> str:
    """Return a hint for the command line, where no job is known."""
    return _fill(hint, _command_words("JOB", "MODEL", "the job continues by itself"))


def for_jobs(hint: str, numbers: str, refs: Sequence[str]) -> str:
    """Return a hint for these jobs; `numbers` are the jobs', as a user types them, such as "3" or "3 7-9"."""
    ref_list = " ".join(refs) if len(refs) <= REFS_NAMED else f"{' '.join(refs[:REFS_NAMED])} …"
    continues = "the job continues by itself" if len(refs) == 1 else "the jobs continue by themselves"
    return _fill(hint, _command_words(numbers, ref_list, continues))


def for_call(hint: str) -> str:
    """Return a hint for a program that called `download()`, which has no commands, no jobs and no worker."""
    return _fill(hint, _IN_A_CALL)


def names_command(hint: str) -> bool:
    """Return whether a hint holds a command line in backticks, which is of no use to a program."""
    return "`flowhub" in hint


def _command_words(job: str, ref: str, continues: str) -> HintWords:
    retry = f"`flowhub retry {job}`"
    return HintWords(
        retry=retry,
        new_try=retry,
        restart_and_retry=f"restart the worker and {retry}",
        continues=continues,
        for_the_worker_too=", for the worker as well",
        enqueue=f"`flowhub enqueue {ref}`",
    )


def _fill(hint: str, values: HintWords) -> str:
    # Not str.format: a hint may name a file or an address that has braces of its own.
    for field in fields(values):
        text = getattr(values, field.name)
        hint = hint.replace(f"{{{field.name}}}", text)
        hint = hint.replace(f"{{{field.name.capitalize()}}}", text[:1].upper() + text[1:])
    return hint
