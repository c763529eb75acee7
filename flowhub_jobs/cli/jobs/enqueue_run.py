"""Resolves the references of `enqueue`, queues them, and prints the jobs."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.best_fit import best_of, require_fit
from flowhub_jobs.cli.jobs.list_file import ListLine, at_line, parse_line, read_lines
from flowhub_jobs.cli.session import hint_no_worker
from flowhub_jobs.errors import (
    FlowhubError,
    SomeFailed,
    UsageInvalid,
)
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms
from flowhub_jobs.net.redaction import public_url
from flowhub_jobs.net.urls import HUB
from flowhub_jobs.operations.caps import cap_reached_line
from flowhub_jobs.operations.enqueue import (
    check_items,
    is_about_call,
    items_on_nodes,
    named_together,
    refuse_digest_of_model,
    same_kind,
)
from flowhub_jobs.operations.enqueue_option_parser import OptionReader
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.node_selection import chosen_nodes
from flowhub_jobs.operations.nodes import hint_of_gone, place_of
from flowhub_jobs.operations.schemas.jobs import jobs_json
from flowhub_jobs.operations.search.variants import judge_one
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.wait_reasons import in_short
from flowhub_jobs.store.space import room_text
from flowhub_jobs.units import format_bytes, listed
from flowhub_jobs.values.enums import Fit, State
from flowhub_jobs.values.jobs import Job
from flowhub_jobs.values.pasted_text import unquoted

SHOWN = 40  # lines printed of a long list


@dataclass(slots=True)
class EnqueueList:
    """The items to queue, each with its line's number (0: typed as an argument), and the errors of the other lines."""

    items: list[EnqueueItem] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bad: list[tuple[int, FlowhubError]] = field(default_factory=list)
    count: int = 0
    new: set[int] = field(default_factory=set)  # jobs that this call queued

    def send_to(self, nodes: Sequence[str]) -> None:
        """Queue each item on each of these nodes; without any, on this one."""
        if nodes:
            self.lines = [line for line in self.lines for _ in nodes]
            self.items = items_on_nodes(self.items, nodes)

    @property
    def errors(self) -> list[FlowhubError]:
        """Return the errors in the order of the lines."""
        return [error for _, error in sorted(self.bad, key=itemgetter(0))]


def nodes_of(session: Session, on: str | None, *, for_this_machine: bool) -> list[str]:
    """Return the nodes of --on. Raises UsageInvalid, also for options that look at this machine alone; NotFound."""
    if on is None:
        return []
    nodes = chosen_nodes(session.home, on)
    if for_this_machine and nodes != [session.node]:
        hint = 'Name the variant as model@option; --on "vram>=24G" chooses nodes by what they have.'
        raise UsageInvalid("--best-fit and --require-fit look at this machine, and --on names others.", hint=hint)
    return nodes


def read(
    session: Session,
    refs: Sequence[str],
    file: str | None,
    defaults: Mapping[str, Any],
    enqueue: Any,
    nodes: Sequence[str] = (),
) -> EnqueueList:
    """Resolve all references. Raises an error that concerns the whole command; those of single lines are collected.

    `enqueue` is the verb's Typer command, which parses the options in a list's lines. `nodes` are those of --on.
    """
    _check(refs, file, defaults)
    requested, reader = EnqueueList(), OptionReader(session, nodes)
    reader.terms(defaults)  # raises an error in the command's own options once, not for each line
    typed = [(0, ref) for ref in refs] if file is None else read_lines(file)
    for number, text in typed:
        requested.count += 1
        try:
            requested.items.append(_parse_item(session, reader, number, text, defaults, enqueue))
            requested.lines.append(number)
        except FlowhubError as error:
            if is_about_call(error):
                raise
            requested.bad.append((number, error))
    session.references.notes.extend(reader.notes)
    return requested


def check_sources(session: Session, requested: EnqueueList, *, pinned_too: bool) -> list[str]:
    """Request the first bytes of each item; an item that cannot be downloaded counts as an error.

    Takes over the names and sizes that the sources report. Returns a sentence for each source that did not answer.
    """
    items, lines, unchecked = [], [], []
    checked = check_items(session, requested.items, pinned_too=pinned_too)
    for (item, error, unchecked_reason), number in zip(checked, requested.lines, strict=True):
        if error is not None:
            requested.bad.append((number, at_line(number, error) if number else error))
            continue
        unchecked += [unchecked_reason] if unchecked_reason else []
        items.append(item)
        lines.append(number)
    requested.items, requested.lines = items, lines
    return unchecked


def hint_unchecked(unchecked: Sequence[str]) -> None:
    """Print a hint about sources that could not be checked; the worker will find out."""
    if not unchecked:
        return
    total = f" ({len(unchecked)} in all)" if len(unchecked) > 1 else ""
    output.hint(output.fold(f"The source could not be checked{total}; the job is queued all the same. {unchecked[0]}"))


def _check(refs: Sequence[str], file: str | None, defaults: Mapping[str, Any]) -> None:
    """Check the combination of arguments. Raises UsageInvalid."""
    if bool(refs) == (file is not None):
        count_given = "both were given" if refs else "neither was given"
        hint = "`flowhub enqueue MODEL`, or `flowhub enqueue -f FILE`."
        raise UsageInvalid(f"Name references, or a list with -f; {count_given}.", hint=hint)
    for option in ("sha256", "name"):
        if defaults[option] and len(refs) != 1:
            hint = "In a list, write it after the address."
            raise UsageInvalid(f"--{option} needs exactly one URL.", hint=hint)


def _parse_item(
    session: Session, reader: OptionReader, number: int, text: str, defaults: Mapping[str, Any], enqueue: Any
) -> EnqueueItem:
    """Return the item of a reference, or of a line of a list (`number` is not 0)."""
    if not number:
        return _item_of_line(session, reader, ListLine(0, text, {}), defaults)
    line = parse_line(number, text, enqueue)
    try:
        return _item_of_line(session, reader, line, defaults)
    except FlowhubError as error:
        raise at_line(number, error) from error


def _item_of_line(session: Session, reader: OptionReader, line: ListLine, defaults: Mapping[str, Any]) -> EnqueueItem:
    sha256 = line.options.get("sha256", defaults["sha256"])
    include, exclude = (line.options.get(name) or defaults[name] or () for name in ("include", "exclude"))
    ref = unquoted(line.ref)  # quotes that were copied along
    ref = best_of(session, ref, session.references.notes) if defaults["best_fit"] else ref
    name = line.options.get("name", defaults["name"])
    artifact = session.artifact(ref, sha256, include=include, exclude=exclude, name=name)
    refuse_digest_of_model(artifact, sha256, "--sha256", line.ref)
    if defaults["require_fit"]:
        require_fit(session, artifact)
    return EnqueueItem(artifact, reader.terms(defaults, line.options))


def hint_notes(session: Session) -> None:
    """Print which files of a repository were chosen, what else it offers, and that the cap is reached."""
    notes = list(dict.fromkeys(session.references.notes))
    for note in notes[:SHOWN]:
        output.hint(output.fold(note))
    if len(notes) > SHOWN:
        output.hint(f"… and {len(notes) - SHOWN} notes more.")
    if line := cap_reached_line(session):
        output.hint(output.fold(line))


def queue(session: Session, requested: EnqueueList) -> list[int]:
    """Queue all items; return the jobs' numbers, in the order of the references."""
    answers = session.enqueue(requested.items)
    requested.new = {answer.job for answer in answers if answer.new}
    for note in session.placement_notes:
        output.hint(output.fold(note))
    return [answer.job for answer in answers]


def raise_if_bad(requested: EnqueueList) -> None:
    """Raise one error for all wrong lines, of the class of the first; then nothing is queued.

    On a terminal, the lines are printed one by one before the error. With --json, its message has them.
    """
    errors = requested.errors
    if not errors:
        return
    if requested.count == 1:
        raise errors[0]
    first, count = errors[0], len(errors)
    if count == 1:
        message = f"{first.message} Nothing was queued."
    else:
        _hint_errors(errors)
        message = f"{count} of {requested.count} cannot be queued, so nothing was."
        message += f" {named_together(errors)}" if output.chosen.json else ""
    raise same_kind(first, message, f"{first.hint or ''} --keep-going queues the others.".strip())


def _hint_errors(errors: Sequence[FlowhubError]) -> None:
    for error in errors[:SHOWN]:
        output.hint(f"flowhub: {error.message}")
    if len(errors) > SHOWN:
        output.hint(f"… and {len(errors) - SHOWN} lines more.")


def raise_line_errors(requested: EnqueueList) -> None:
    """Raise the error of the wrong lines, after the others were queued. Several are printed first."""
    errors = requested.errors
    if not errors:
        return
    if requested.count == 1:
        raise errors[0]
    if len(errors) > 1:
        _hint_errors(errors)
    note = f" {errors[0].message}" if not output.chosen.hints or len(errors) == 1 else ""
    raise SomeFailed(f"{len(errors)} of {requested.count} were not queued.{note}", hint=errors[0].hint)


def print_numbers(numbers: Sequence[int]) -> None:
    """Print the jobs' numbers alone, one a line, in the order of the references."""
    for number in numbers:
        output.result(str(number))


def print_jobs(session: Session, requested: EnqueueList, numbers: Sequence[int], *, brief: bool) -> None:
    """Print each job, whether it fits this machine, and what is missing for it to start."""
    printed_numbers = numbers if output.chosen.json else numbers[:SHOWN]
    by_number = {job.id: job for job in session.queries.jobs(list(dict.fromkeys(printed_numbers)))}
    if output.chosen.json:
        output.result_json(jobs_json(by_number[number] for number in numbers))
        return
    for number, item in zip(printed_numbers, requested.items[:SHOWN], strict=True):
        line = _answer(session, by_number[number], item, brief)
        note = "" if brief or number in requested.new else _existing_job_note(by_number[number], item)
        output.result(output.fold(line + note, after="  "))
    if len(numbers) > SHOWN:
        output.result(f"… and {len(numbers) - SHOWN} more: `flowhub status` lists them.")
    if not requested.count:
        output.hint("The list is empty; nothing was queued.")
    if not brief:
        _hint_endpoint(session, requested)
        if nodes := {item.node for item in requested.items if item.node} - {session.node}:
            if hint := hint_of_gone(session.home, nodes):
                output.hint(output.fold(hint))
            return
        stores = {job.store for job in by_number.values() if job.state is State.QUEUED}
        _hints(session, stores, State.QUEUED in session.queries.state_of(numbers).values())


def _existing_job_note(job: Job, item: EnqueueItem) -> str:
    """Return a note about an existing job, to which the options of this command do not apply."""
    if not job.live:
        return "; already installed (--force downloads it again)"
    has_other_terms = replace(item.terms, place=()) != EnqueueTerms(force=item.terms.force)
    note = (
        f", with its own time, priority and group (`flowhub cancel {job.id}` first to change them)"
        if has_other_terms
        else ""
    )
    return f"; already queued{note}"


def _answer(session: Session, job: Job, item: EnqueueItem, brief: bool) -> str:
    """Return the line of a job: when it starts, and whether it fits this machine.

    The arithmetic is shown only for a model that does not fit well.
    """
    size = format_bytes(job.bytes_total) if job.bytes_total is not None else "size unknown"
    line = f"Job {job.id}: {job.ref}, {size}, {job.state}"
    if item.node:
        line += f" {place_of(job.node)}"
    if brief or job.state is not State.QUEUED:
        return line
    if job.reason is not None:
        line += f", {in_short(job, datetime.now(UTC))}"
    if item.terms.place:
        line += f", then placed in {', '.join(item.terms.place)}"
    if job.node != session.node:
        return line
    verdict = judge_one(session, item.artifact, ask_unknown=False).verdict
    if verdict.fit is Fit.UNKNOWN:
        return f"{line}; fit unknown"
    return f"{line}; fits this machine" if verdict.fit is Fit.FITS else f"{line}; {verdict.fit}: {verdict.why}"


def _hint_endpoint(session: Session, requested: EnqueueList) -> None:
    """Print a hint that a worker needs HF_ENDPOINT too, if it is set here."""
    endpoint = session.settings.hf_endpoint
    at_the_hub = any(file.url.startswith(f"{HUB}/") for item in requested.items for file in item.artifact.files)
    if os.environ.get("HF_ENDPOINT") and endpoint != HUB and at_the_hub and output.is_terminal():
        text = f"HF_ENDPOINT is {public_url(endpoint)} here, and applies to a worker only if it is set there too."
        output.hint(output.fold(f"{text} hf_endpoint in config.toml applies to both.", after="  "))


def _hints(session: Session, stores: Collection[str], waits: bool) -> None:
    """Print what keeps jobs from starting. `stores` are those of the queued jobs that are shown."""
    hinted_stores: set[str] = set()  # stores whose disk is named already
    for home in session.home.each_store():
        if not home.store_is_away():
            _hint_room(home, hinted_stores)
        elif home.store.name in stores:
            where = f"The store {home.store.name} ({home.store.root}) is offline"
            output.hint(output.fold(f"{where}: its jobs wait until its disk is mounted."))
    if waits:
        hint_no_worker(session)


def _hint_room(home: Home, hinted_stores: set[str]) -> None:
    """Print that the queue needs more than there is, once for the stores of one disk; `hinted_stores` is changed."""
    room, need, names = home.room(), home.bytes_promised(), home.stores_on_disk() or ()
    if need > room.usable and (room.is_limited_by_maximum or home.store.name not in hinted_stores):
        if not room.is_limited_by_maximum:
            hinted_stores.update(names)
        disk = f"the disk of the store{'s' * (len(names) > 1)} {listed(names)}" if names else "the store's disk"
        left = room_text(room, disk, "the store")
        output.hint(
            f"The queue needs {format_bytes(need)}; {left}.\n"
            "  Jobs without room wait; `flowhub prune --to-fit` makes room."
        )
