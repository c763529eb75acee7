"""From references to jobs: what `enqueue` was told, resolved, queued or only planned, and said."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.fit_options import best_of, require_fit
from flowhub_jobs.cli.jobs.list_file import ListLine, at_line, parse_line, read_lines, same_kind
from flowhub_jobs.cli.session import tell_no_worker
from flowhub_jobs.errors import (
    CatalogSourceMalformed,
    CatalogUnreachable,
    FlowhubError,
    SomeFailed,
    UsageInvalid,
)
from flowhub_jobs.jobs.requests import EnqueueTerms
from flowhub_jobs.net.urls import HUB, public_url
from flowhub_jobs.operations.enqueue_options import OptionReader
from flowhub_jobs.operations.schemas.jobs import jobs_json
from flowhub_jobs.operations.search.variants import judge_one
from flowhub_jobs.operations.session import EnqueueItem, Session
from flowhub_jobs.operations.wait_reasons import in_short
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.enums import Fit, State
from flowhub_jobs.values.jobs import Job
from flowhub_jobs.values.user_text import unquoted

SHOWN = 40  # lines of a long order that are printed
TOLD = 12  # bad lines that one error names
_OF_THE_CALL = (CatalogUnreachable, CatalogSourceMalformed)


@dataclass(slots=True)
class Ordered:
    """What is to be queued, each with its line's number (0: typed), and what could not be understood."""

    orders: list[EnqueueItem] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bad: list[tuple[int, FlowhubError]] = field(default_factory=list)
    count: int = 0
    made: set[int] = field(default_factory=set)  # the jobs that were not there before

    @property
    def errors(self) -> list[FlowhubError]:
        """Return what is wrong, in the order of the lines."""
        return [error for _, error in sorted(self.bad, key=itemgetter(0))]


def read(session: Session, refs: Sequence[str], file: str | None, defaults: Mapping[str, Any], enqueue: Any) -> Ordered:
    """Return what was ordered, and every line that is wrong. Raises what is wrong with the whole call.

    `enqueue` is the verb's Typer command, which parses the options in a list's lines.
    """
    _check(refs, file, defaults)
    found, clerk = Ordered(), OptionReader(session)
    clerk.terms(defaults)  # what is wrong with the whole call is told once, and not again for each line
    typed = [(0, ref) for ref in refs] if file is None else read_lines(file)
    for number, text in typed:
        found.count += 1
        try:
            found.orders.append(_understood(session, clerk, number, text, defaults, enqueue))
            found.lines.append(number)
        except FlowhubError as error:
            if error.exit_status == 1 or isinstance(error, _OF_THE_CALL):
                raise  # the catalog, or the machine: no line is at fault
            found.bad.append((number, error))
    session.references.notes.extend(clerk.notes)
    return found


def look_at_sources(session: Session, ordered: Ordered, *, pinned_too: bool) -> list[str]:
    """Ask the sources for the first bytes of what was ordered; what cannot be fetched counts as bad.

    Names and sizes that the sources tell are taken over. Return a sentence for each order that was not looked at.
    """
    kept, lines, unseen = [], [], []
    for order, number, seen in zip(
        ordered.orders, ordered.lines, session.check_sources(ordered.orders, pinned_too=pinned_too), strict=True
    ):
        if seen is not None and seen.error is not None:
            ordered.bad.append((number, at_line(number, seen.error) if number else seen.error))
            continue
        if seen is not None:
            order = replace(order, artifact=seen.artifact, size_seen=seen.size)
            unseen += [f"{seen.artifact.ref}: {seen.unseen}."] if seen.unseen else []
        kept.append(order)
        lines.append(number)
    ordered.orders, ordered.lines = kept, lines
    return unseen


def tell_unseen(unseen: Sequence[str]) -> None:
    """Say which sources could not be looked at: the worker finds out."""
    if not unseen:
        return
    more = f" ({len(unseen)} in all)" if len(unseen) > 1 else ""
    output.hint(output.fold(f"The source was not looked at{more}, but the job is queued. {unseen[0]}"))


def _check(refs: Sequence[str], file: str | None, defaults: Mapping[str, Any]) -> None:
    """Refuse what cannot be meant, whatever the references are."""
    if bool(refs) == (file is not None):
        said = "both were given" if refs else "neither was given"
        hint = "`flowhub enqueue MODEL`, or `flowhub enqueue -f FILE`."
        raise UsageInvalid(f"Say what to queue: references, or a list with -f; {said}.", hint=hint)
    for option in ("sha256", "name"):
        if defaults[option] and len(refs) != 1:
            hint = "In a list, write it behind the address that it belongs to."
            raise UsageInvalid(f"--{option} is of one file, and goes with one address.", hint=hint)


def _understood(
    session: Session, clerk: OptionReader, number: int, text: str, defaults: Mapping[str, Any], enqueue: Any
) -> EnqueueItem:
    """Return what a reference, or a line of a list (`number` is not 0), orders."""
    if not number:
        return _order(session, clerk, ListLine(0, text, {}), defaults)
    line = parse_line(number, text, enqueue)
    try:
        return _order(session, clerk, line, defaults)
    except FlowhubError as error:
        raise at_line(number, error) from error


def _order(session: Session, clerk: OptionReader, line: ListLine, defaults: Mapping[str, Any]) -> EnqueueItem:
    sha256 = line.options.get("sha256", defaults["sha256"])
    include, exclude = (line.options.get(name) or defaults[name] or () for name in ("include", "exclude"))
    ref = unquoted(line.ref)  # copied along from a text or a script
    ref = best_of(session, ref, session.references.notes) if defaults["best_fit"] else ref
    name = line.options.get("name", defaults["name"])
    artifact = session.artifact(ref, sha256, include=include, exclude=exclude, name=name)
    if sha256 and artifact.model is not None:
        hint = "The catalog has the digests of its models."
        raise UsageInvalid(f"--sha256 goes with the address of a file, not with the model {line.ref!r}.", hint=hint)
    if defaults["require_fit"]:
        require_fit(session, artifact)
    return EnqueueItem(artifact, clerk.terms(defaults, line.options))


def tell_notes(session: Session) -> None:
    """Say what was chosen for the person among a repository's files, and what else it offers."""
    notes = list(dict.fromkeys(session.references.notes))
    for note in notes[:SHOWN]:
        output.hint(output.fold(note))
    if len(notes) > SHOWN:
        output.hint(f"… and {len(notes) - SHOWN} notes more.")


def place(session: Session, ordered: Ordered) -> list[int]:
    """Queue it all; return the jobs' numbers, in the order of the references."""
    answers = session.enqueue(ordered.orders)
    ordered.made = {answer.job for answer in answers if answer.new}
    return [answer.job for answer in answers]


def raise_if_bad(ordered: Ordered) -> None:
    """Raise for every line that is wrong at once: nothing is queued. The error is of the first one's kind.

    A person reads the lines one by one, before the error; a program has them in its message.
    """
    errors = ordered.errors
    if not errors:
        return
    if ordered.count == 1:
        raise errors[0]
    first, count = errors[0], len(errors)
    if count == 1:
        message = f"{first.message} Nothing was queued."
    else:
        _tell_bad(errors)
        message = f"{count} of {ordered.count} cannot be queued, so nothing was."
        message += " " + " ".join(dict.fromkeys(error.message for error in errors[:TOLD])) if output.chosen.json else ""
    raise same_kind(first, message, f"{first.hint or ''} --keep-going queues the others.".strip())


def _tell_bad(errors: Sequence[FlowhubError]) -> None:
    for error in errors[:SHOWN]:
        output.hint(f"flowhub: {error.message}")
    if len(errors) > SHOWN:
        output.hint(f"… and {len(errors) - SHOWN} lines more.")


def raise_for(ordered: Ordered) -> None:
    """Raise what was wrong with some lines, after the others were queued; all but the first are told before."""
    errors = ordered.errors
    if not errors:
        return
    if ordered.count == 1:
        raise errors[0]
    if len(errors) > 1:
        _tell_bad(errors)
    told = f" {errors[0].message}" if not output.chosen.hints or len(errors) == 1 else ""
    raise SomeFailed(f"{len(errors)} of {ordered.count} were not queued.{told}", hint=errors[0].hint)


def tell_ids(numbers: Sequence[int]) -> None:
    """Print the jobs' numbers alone, one a line, in the order of the references."""
    for number in numbers:
        output.result(str(number))


def tell(session: Session, ordered: Ordered, numbers: Sequence[int], *, brief: bool) -> None:
    """Say which jobs answer, whether they fit this machine, and what is missing for them to move."""
    shown = numbers if output.chosen.json else numbers[:SHOWN]
    by_number = {job.id: job for job in session.queries.jobs(list(dict.fromkeys(shown)))}
    if output.chosen.json:
        output.result_json(jobs_json(by_number[number] for number in numbers))
        return
    for number, order in zip(shown, ordered.orders[:SHOWN], strict=True):
        line = _answer(session, by_number[number], order, brief)
        known = "" if brief or number in ordered.made else _known(by_number[number], order)
        output.result(output.fold(line + known, after="  "))
    if len(numbers) > SHOWN:
        output.result(f"… and {len(numbers) - SHOWN} more: `flowhub status` lists them.")
    if not ordered.count:
        output.hint("The list names no model: nothing was queued.")
    if not brief:
        _tell_endpoint(session, ordered)
        _hints(session, State.QUEUED in session.queries.state_of(numbers).values())


def _known(job: Job, order: EnqueueItem) -> str:
    """Return what is said of a job that was there before: the options of this call are not its own."""
    if not job.live:
        return "; already installed (--force downloads it again)"
    unheard = order.terms != EnqueueTerms(force=order.terms.force)
    told = (
        f", with its own time, priority and group (`flowhub cancel {job.id}` first to change them)" if unheard else ""
    )
    return f"; already queued{told}"


def _answer(session: Session, job: Job, order: EnqueueItem, brief: bool) -> str:
    """Return the line that says which job answers a reference, when it begins, and whether it fits this machine.

    The arithmetic is told only where it may be a surprise: of a model that does not fit well.
    """
    size = format_bytes(job.bytes_total) if job.bytes_total is not None else "size unknown"
    line = f"Job {job.id}: {job.ref}, {size}, {job.state}"
    if brief or job.state is not State.QUEUED:
        return line
    if job.reason is not None:
        line += f", {in_short(job, datetime.now(UTC))}"
    verdict = judge_one(session, order.artifact, ask_unknown=False).verdict
    if verdict.fit is Fit.UNKNOWN:
        return f"{line}; fit unknown"
    return f"{line}; fits this machine" if verdict.fit is Fit.FITS else f"{line}; {verdict.fit}: {verdict.why}"


def _tell_endpoint(session: Session, ordered: Ordered) -> None:
    """Say that a worker has an environment of its own, where HF_ENDPOINT decides which host is asked."""
    endpoint = session.settings.hf_endpoint
    at_the_hub = any(file.url.startswith(f"{HUB}/") for order in ordered.orders for file in order.artifact.files)
    if os.environ.get("HF_ENDPOINT") and endpoint != HUB and at_the_hub and output.is_terminal():
        output.hint(
            f"HF_ENDPOINT is {public_url(endpoint)} here. A worker asks there only if it has HF_ENDPOINT too;\n"
            "  hf_endpoint in config.toml is for every command and every worker."
        )


def _hints(session: Session, waits: bool) -> None:
    room, need = session.room(), session.queries.bytes_still_needed()
    if need > room.free - room.reserve:
        output.hint(
            f"The queue needs {format_bytes(need)}; "
            f"the store's disk has {format_bytes(room.free)} free.\n"
            "  Jobs without room wait."
        )
    if waits:
        tell_no_worker(session)
