"""The tab Installed: a drawing of the disk, the models, and verify, repair and remove."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.errors import NotFound, UsageInvalid
from flowhub_jobs.fs.names import name_problem
from flowhub_jobs.operations.library.cleanup import Partial, PartialState
from flowhub_jobs.operations.library.installed import Removal, freed_note
from flowhub_jobs.operations.library.usage import DiskUsageReport, StoreListing, StoreState, list_store, measure_disks
from flowhub_jobs.operations.library_jobs import LibraryJobs
from flowhub_jobs.operations.queue_view import titles_or_none
from flowhub_jobs.operations.session import Session
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.artifacts import InstalledModel
from flowhub_jobs.values.enums import Condition, JobKind, State
from flowhub_jobs.values.jobs import Job
from flowhub_jobs.web.call import Call, endpoint
from flowhub_jobs.web.pages.form_results import notice_of
from flowhub_jobs.web.pages.frame import back, render
from flowhub_jobs.web.pages.naming import name_of, programs_named
from flowhub_jobs.web.pages.svg_geometry import Band, bands
from flowhub_jobs.web.pages.text import date_of

SORTS = ("size", "name", "date", "state")
SHOWN = 1000
_STATES = {
    Condition.GOOD: ("check", "Verified", "good"),
    Condition.CHANGED: ("warn", "Changed by hand", "warn"),
    Condition.DAMAGED: ("warn", "Damaged", "bad"),
    Condition.BY_HAND: ("ask", "Put there by hand", "soft"),
    Condition.OFFLINE: ("slash", "Its disk is away", "soft"),
}
_BUTTONS = {
    Condition.GOOD: ("verify", "Verify"),
    Condition.CHANGED: ("verify", "Verify"),
    Condition.DAMAGED: ("repair", "Repair"),
}
_AT_WORK = {
    JobKind.VERIFY: ("Verify is queued", "Verifying"),
    JobKind.EXPORT: ("Export is queued", "Exporting"),
    JobKind.IMPORT: ("Import is queued", "Importing"),
    JobKind.MOVE: ("Move is queued", "Moving"),
    JobKind.FETCH: ("Download is queued", "Downloading"),
}


@dataclass(frozen=True, slots=True)
class DiskPart:
    kind: str
    label: str
    size: str
    note: str


@dataclass(frozen=True, slots=True)
class Disk:
    """The picture of a disk: bands in percent, and the same in words. `stores` are named if there are several."""

    stores: str
    bands: tuple[Band, ...]
    parts: tuple[DiskPart, ...]
    words: str


@dataclass(frozen=True, slots=True)
class InstalledRow:
    """`path` is the address of its actions; "" where a browser cannot name it. `button` is a verb and its label."""

    name: str
    about: str
    file: str
    href: str
    path: str
    size: str
    installed: str
    verified: str
    placed: str
    icon: str
    state: str
    css: str
    note: str
    button: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class PartialRow:
    name: str
    size: str
    state: str
    job: int | None


@dataclass(frozen=True, slots=True)
class InstalledView:
    summary: str
    root: str
    away: tuple[str, ...]
    disks: tuple[Disk, ...]
    rows: tuple[InstalledRow, ...]
    shown_count: str
    sort: str
    gone: tuple[tuple[str, str], ...]
    partials: tuple[PartialRow, ...]
    can_verify: bool


# The disk -------------------------------------------------------------------------------------------------------------


def disk_of(
    used: DiskUsageReport, total: int, promised: int, models: int, jobs: int, stores: Sequence[StoreState] = ()
) -> Disk:
    """Return the picture of a disk of `total` bytes; `promised` are the bytes that queued jobs still need.

    `stores` are those to name.
    """
    installed = sum(share.on_disk for share in used.models)
    partial = used.partials.on_disk + used.leftovers.on_disk
    other = max(0, total - used.free - installed - partial)
    reserved = min(promised, used.free)
    sizes = [
        ("models", "Models", installed, f"{models} installed"),
        ("partial", "Partials", partial, "kept for jobs"),
        ("other", "Other", other, "not flowhub's"),
        ("promised", "Needed", promised, f"by {jobs} job{'' if jobs == 1 else 's'}"),
        ("free", "Free", used.free - reserved, f"of {format_bytes(total)}"),
    ]
    visible = [entry for entry in sizes if entry[2] or entry[0] in ("models", "free")]
    description = ", ".join(f"{label.lower()} {format_bytes(size)}" for _, label, size, _ in visible)
    store_names = ", ".join(f"{store.name} ({store.path})" for store in stores)
    return Disk(
        stores=store_names,
        bands=tuple(bands([(kind, reserved if kind == "promised" else size) for kind, _, size, _ in sizes], total)),
        parts=tuple(DiskPart(kind, label, format_bytes(size), note) for kind, label, size, note in visible),
        words=f"Disk of {format_bytes(total)}{f', {store_names}' if store_names else ''}: {description}",
    )


def disks_of(session: Session, listing: StoreListing, live: Collection[Job]) -> tuple[Disk, ...]:
    """Return the picture of each disk that has a store; those that are away have none."""
    several = len(listing.stores) > 1
    disks = []
    for disk in measure_disks(session):
        models = [
            model for model in listing.models if model.store in disk.stores and model.condition is not Condition.OFFLINE
        ]
        waiting = [job for job in live if job.brings and job.store in disk.stores]
        stores = disk.used.stores if several else ()
        disks.append(disk_of(disk.used, disk.total, disk.promised, len(models), len(waiting), stores))
    return tuple(disks)


# The models -----------------------------------------------------------------------------------------------------------


def installed_view(
    listing: StoreListing, disks: tuple[Disk, ...], live: Collection[Job], titles: Mapping[str, str], sort: str
) -> InstalledView:
    at_work = {(_store_of(job), Path(job.target).name): _AT_WORK[job.kind][job.state is State.RUNNING] for job in live}
    ordered = sorted(listing.models, key=lambda model: _order(model, sort))
    total = sum(model.bytes for model in listing.models)
    count, stores = len(listing.models), len(listing.stores)
    in_several = {name for name, times in Counter(model.name for model in listing.models).items() if times > 1}
    return InstalledView(
        summary=f"{count} model{'' if count == 1 else 's'}, {format_bytes(total)} in"
        + (f" {stores} stores" if stores > 1 else ""),
        root="" if stores > 1 else str(listing.root),
        away=tuple(str(store.path) for store in listing.stores if not store.online),
        disks=disks,
        rows=tuple(
            installed_row(
                model,
                titles,
                at_work.get((model.store, model.name)) or at_work.get((None, model.name)),
                listing.old,
                key=f"{model.store}:{model.name}" if model.name in in_several else model.name,
                store=model.store if stores > 1 else "",
            )
            for model in ordered[:SHOWN]
        ),
        shown_count=f"{min(count, SHOWN)} of {count}" if count > SHOWN else str(count),
        sort=sort,
        gone=tuple((entry.name, address_of(entry.name)) for entry in listing.gone),
        partials=tuple(_partial_row(partial) for partial in listing.partials if partial.leaving.operation is None),
        can_verify=any(model.condition in _BUTTONS for model in listing.models),
    )


def _store_of(job: Job) -> str | None:
    """Return the store of the model that a job works on; None for a move, whose store is the one that it goes to."""
    return None if job.kind is JobKind.MOVE else job.store


def _order(model: InstalledModel, sort: str) -> tuple[object, ...]:
    name = model.name.casefold()
    if sort == "name":
        return (name,)
    if sort == "date":
        return (-(model.installed_at.timestamp() if model.installed_at else 0), name)
    return (list(_STATES).index(model.condition) * -1, name) if sort == "state" else (-model.bytes, name)


def installed_row(
    model: InstalledModel,
    titles: Mapping[str, str],
    at_work: str | None,
    old: Sequence[str],
    *,
    key: str,
    store: str = "",
) -> InstalledRow:
    """Return the row of a model.

    `at_work` says what a job does with it. `key` is the name that the actions use; `store` is named if there are
    several.
    """
    title = name_of(model.source or model.name, model.model, model.option, model.format, 1, titles)
    icon, state, css = _STATES[model.condition]
    if at_work is not None:
        icon, state, css = "clock", at_work, "soft"
    return InstalledRow(
        name=title.name,
        about=" · ".join(
            part
            for part in (title.about, f"store {store}" if store else "", "old version" if model.name in old else "")
            if part
        ),
        file="" if model.name == title.name else model.name,
        href=f"/models/{quote(model.model)}" if model.model and model.in_catalog else "",
        path=address_of(key),
        size=format_bytes(model.bytes),
        installed=date_of(model.installed_at),
        verified=date_of(model.verified_at),
        placed=programs_named(model.placed_in),
        icon=icon,
        state=state,
        css=css,
        note=f"shares {model.linked_from}" if model.linked_from else "",
        button=None if at_work is not None else _BUTTONS.get(model.condition),
    )


def address_of(name: str) -> str:
    """Return the address of a model, NAME or STORE:NAME; "" for a name that flowhub itself would not give."""
    own_name = name.rpartition(":")[2]
    return "" if name_problem(own_name) else f"/installed/{quote(name, safe='')}"


_PARTIAL_STATES = {
    PartialState.LIVE: "a job works with it",
    PartialState.KEPT: "kept for a retry",
    PartialState.NOBODY: "left over",
    PartialState.ELSEWHERE: "of another program",
}


def _partial_row(partial: Partial) -> PartialRow:
    job = partial.holder.job if partial.holder else None
    return PartialRow(partial.name, format_bytes(partial.leaving.bytes), _PARTIAL_STATES[partial.state], job)


def removal_sentence(removal: Removal) -> str:
    """Return the effects of a removal, for the page that asks."""
    placed = programs_named(removal.placed_in)
    first = f"It is also removed from {placed}, where it was placed. " if placed else ""
    return first + _freed_text(removal)


def _freed_text(removal: Removal) -> str:
    if removal.forgotten:
        return "It was removed by hand already; its entry is forgotten. This frees no space."
    if note := freed_note(removal).removeprefix("; "):
        return f"It has {format_bytes(removal.bytes)}; {note}."
    return f"This frees {format_bytes(removal.freed)}."


# Requests -------------------------------------------------------------------------------------------------------------


def show_installed(call: Call) -> Response:
    session, sort = call.session, call.query("sort") or "size"
    if sort not in SORTS:
        raise UsageInvalid(f"{sort[:40]!r} is not an order.", hint=f"Sort by: {', '.join(SORTS)}.")
    listing, live = list_store(session), session.home.queries.all(live=True)
    view = installed_view(listing, disks_of(session, listing, live), live, titles_or_none(session), sort)
    return render(
        call,
        "installed.html",
        tab="/installed",
        heading="Installed",
        live="installed",
        view=view,
        notice=notice_of(call),
    )


def ask_removal(call: Call) -> Response:
    """Ask on a separate page whether to remove a model, with the bytes that this frees."""
    session, name = call.session, call.path("name")
    _, own_name = session.installed.located(name)
    if own_name not in (session.installed.located(key)[1] for key in session.installed.find_all(name)):
        raise NotFound(f"{name[:200]!r} is not installed.")
    removal = session.installed.plan_removal(name)
    return render(
        call,
        "remove.html",
        tab="/installed",
        heading=f"Remove {own_name}?",
        name=own_name,
        path=address_of(name),
        sentence=removal_sentence(removal),
        frees=format_bytes(removal.freed) if removal.freed else "",
        forgotten=removal.forgotten,
    )


def change_installed(call: Call) -> Response:
    session, name, verb = call.session, call.path("name"), call.form().get("do", [""])[0]
    if verb == "remove":
        forgotten = session.installed.plan_removal(name).forgotten
        session.installed.remove(name)
        return back(call, "/installed", "forgotten" if forgotten else "removed")
    jobs = LibraryJobs(session)
    model = next((one for one in jobs.installed([name]) if name in (one.name, f"{one.store}:{one.name}")), None)
    if model is None or verb not in ("verify", "repair"):
        raise UsageInvalid(f"{verb[:40]!r} is not an action on {name[:200]!r}.")
    numbers = jobs.verify([model]) if verb == "verify" else [jobs.repair(model)]
    session.wake_workers(len(numbers))
    return back(call, "/installed", verb, numbers)


def verify_all(call: Call) -> Response:
    session = call.session
    jobs = LibraryJobs(session)
    session.wake_workers(len(jobs.verify(jobs.installed([]))))
    return back(call, "/installed", "verify-all")


ROUTES: list[BaseRoute] = [
    Route("/installed", endpoint(show_installed), methods=["GET"]),
    Route("/installed", endpoint(verify_all), methods=["POST"]),
    Route("/installed/{name}/remove", endpoint(ask_removal), methods=["GET"]),
    Route("/installed/{name}", endpoint(change_installed), methods=["POST"]),
]
