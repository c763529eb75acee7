"""The tab Machine: last night's report, all nodes, subscriptions, this machine, its workers, the reserve."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs import __version__
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.library.usage import StoreState, store_states
from flowhub_jobs.operations.needs_texts import folded, problem, remedy
from flowhub_jobs.operations.queue_view import titles_or_none
from flowhub_jobs.operations.recovery_texts import recovered_sentence
from flowhub_jobs.operations.report import LAST_NIGHT, read_report, report_begins
from flowhub_jobs.operations.result_types import (
    CONTAINER_RESERVE,
    GPU_RESERVE,
    SYSTEM_RESERVE,
    CompletedJob,
    Device,
    Gpu,
    Report,
    ServiceState,
    WorkerStatus,
)
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.speed_history import SpeedHistory, speed_history
from flowhub_jobs.operations.subscriptions.follow import all_subscriptions
from flowhub_jobs.operations.workers_and_service import living_workers, service_of, started_by
from flowhub_jobs.units import format_bytes, format_duration, format_rate
from flowhub_jobs.web.call import Call, endpoint
from flowhub_jobs.web.pages.form_results import notice_of
from flowhub_jobs.web.pages.frame import back, render
from flowhub_jobs.web.pages.naming import name_of_job
from flowhub_jobs.web.pages.node_rows import node_rows, read_fleet, sum_of
from flowhub_jobs.web.pages.subscription_rows import subscription_rows
from flowhub_jobs.web.pages.svg_geometry import Line, sparkline
from flowhub_jobs.web.pages.text import NO_VALUE, capital, day_or_time

COMPLETED_SHOWN = 40
EVERY_S = 5  # a worker's heartbeat makes no event
CHART_WIDTH, CHART_HEIGHT = 960, 140
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Figure:
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class CompletedRow:
    id: int
    name: str
    about: str
    size: str
    at: str
    speed: str


@dataclass(frozen=True, slots=True)
class NeedLine:
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class SpeedView:
    """`data` is JSON for chart.js: begin (seconds since 1970), step (seconds), rates (bytes a second)."""

    sentence: str
    line: Line | None
    data: str


@dataclass(frozen=True, slots=True)
class NightView:
    since: str
    figures: tuple[Figure, ...]
    completed: tuple[CompletedRow, ...]
    more: int
    recovered: tuple[str, ...]
    needs: tuple[NeedLine, ...]
    speed: SpeedView | None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """`how`: the file or the call that it was read from."""

    what: str
    value: str
    how: str


@dataclass(frozen=True, slots=True)
class WorkerRow:
    title: str
    facts: tuple[Figure, ...]


# Last night -----------------------------------------------------------------------------------------------------------


def night_view(report: Report, titles: Mapping[str, str], history: SpeedHistory) -> NightView:
    totals, count = report.totals, len(report.completed)
    figures = [
        Figure("Completed", f"{count} model{'' if count == 1 else 's'}"),
        Figure("Downloaded", format_bytes(totals.fetched)),
        Figure("Average", format_rate(totals.rate_bps) if totals.rate_bps else NO_VALUE),
        Figure("Downloaded twice", format_bytes(totals.twice)),
        Figure("Unfinished", str(len(report.unfinished))),
        Figure("Need you", str(len(report.needs))),
    ]
    return NightView(
        since=f"since {report.since.astimezone():%a %H:%M}",
        figures=tuple(figures),
        completed=tuple(_completed_row(job, titles, report.until) for job in report.completed[:COMPLETED_SHOWN]),
        more=max(0, count - COMPLETED_SHOWN),
        recovered=tuple(f"{recovered_sentence(recovery)}." for recovery in report.recoveries),
        needs=tuple(NeedLine(problem(group), remedy(group)) for group in folded(report.needs)),
        speed=speed_view(history, report.until),
    )


def speed_view(history: SpeedHistory, now: datetime) -> SpeedView | None:
    """Return the chart of the speed, and a sentence that describes it; None where nothing was received."""
    if history.fastest is None:
        return None
    at, rate = history.fastest
    busy = format_duration(history.busy_s)
    # The chart is lower than the fastest minute where one step is the average of several.
    steps = f" Each step is the average of {format_duration(history.step_s)}." if history.step_s > 60 else ""
    samples = [(history.span_s - n * history.step_s, speed) for n, speed in enumerate(history.rates)]
    data = {"begin": int(history.begin.timestamp()), "step": history.step_s, "rates": [*map(round, history.rates)]}
    return SpeedView(
        sentence=f"Fastest minute {format_rate(rate)} at {day_or_time(at, now)}; downloads ran for {busy}.{steps}",
        line=sparkline(samples, history.span_s, width=CHART_WIDTH, height=CHART_HEIGHT),
        data=json.dumps(data, separators=(",", ":")),
    )


def _completed_row(completed: CompletedJob, titles: Mapping[str, str], now: datetime) -> CompletedRow:
    job, title = completed.job, name_of_job(completed.job, titles)
    fast = format_rate(completed.rate_bps) if completed.rate_bps else ""
    return CompletedRow(
        id=job.id,
        name=title.name,
        about=title.about,
        size=format_bytes(job.bytes_total or 0),
        at=day_or_time(job.finished_at or job.created_at, now),
        speed=fast if job.bytes_fetched else "already present",
    )


# The machine ----------------------------------------------------------------------------------------------------------


def device_rows(machine: Device, stores: Sequence[StoreState]) -> list[DeviceRow]:
    methods, total, free = machine.found, machine.disk_total_bytes, machine.disk_free_bytes
    limit = ", the container's limit" if machine.ram_source == "cgroup" else ""
    memory = f"{_gib(machine.ram_total_bytes)}{limit}, {_gib(machine.ram_available_bytes)} available"
    room = f"{format_bytes(free)} free of {format_bytes(total)}" if total is not None and free is not None else UNKNOWN
    rows = [
        DeviceRow("System", f"{machine.platform or UNKNOWN} on {machine.architecture or UNKNOWN}", "the system itself"),
        DeviceRow("Processor", f"{machine.cpu or UNKNOWN}, {machine.cores or UNKNOWN} cores", ""),
        DeviceRow("Memory", memory, methods.get("ram_total_bytes", "")),
        *(DeviceRow("GPU", _gpu(gpu), methods.get("gpus", "")) for gpu in machine.gpus),
    ]
    if machine.unified_memory:
        rows.append(DeviceRow("Metal", f"may use {_gib(machine.metal_bytes)} of it", methods.get("metal_bytes", "")))
    elif not machine.gpus:
        rows.append(DeviceRow("GPU", "none found", ""))
    method = methods.get("disk_total_bytes", "")
    if len(stores) == 1:
        return [*rows, DeviceRow("Store", f"{stores[0].path}: {room}", method)]
    return [*rows, *(DeviceRow(f"Store {one.name}", _room_of(one), method if one.online else "") for one in stores)]


def _room_of(store: StoreState) -> str:
    return f"{store.path}: " + (f"{format_bytes(store.free or 0)} free" if store.online else "its disk is not mounted")


def _gpu(gpu: Gpu) -> str:
    return f"{gpu.name or gpu.vendor or UNKNOWN}, {_gib(gpu.vram_total_bytes)}, {_gib(gpu.vram_free_bytes)} free"


def _gib(count: int | None) -> str:
    return UNKNOWN if count is None else f"{count / 2**30:.1f} GiB"


def worker_rows(workers: Sequence[WorkerStatus], service: ServiceState | None, now: datetime) -> list[WorkerRow]:
    rows = []
    for worker in workers:
        by = started_by(worker, service) if service else "hand"
        age = format_duration((now - worker.started_at).total_seconds())
        facts = [
            Figure("Since", f"{day_or_time(worker.started_at, now)}, for {age}"),
            Figure("Heartbeat", f"{format_duration((now - worker.seen_at).total_seconds())} ago"),
            Figure("Slots", f"{worker.running} of {worker.slots} taken"),
            Figure("Speed", format_rate(worker.rate_bps)),
            Figure("Started by", "hand" if by == "hand" else f"{by}, as a service"),
        ]
        rows.append(WorkerRow(f"Process {worker.pid}", tuple(facts)))
    return rows


def service_lines(service: ServiceState | None) -> list[str]:
    """Return the state of the worker's service, in sentences."""
    if service is None or not service.installed:
        return ["No service is installed. `flowhub worker install` starts a worker at every login."]
    state = service.state or f"but {service.kind} does not answer here"
    lines = [f"Service {service.name}: {state}.", f"Its log: `{service.logs}`."]
    return [*lines[:1], f"{capital(service.status)}.", *lines[1:]] if service.status else lines


# Requests -------------------------------------------------------------------------------------------------------------


def show_machine(call: Call) -> Response:
    session, now = call.session, datetime.now(UTC)
    home, device = session.home, session.device
    service = _service(call)
    report = read_report(home, report_begins(LAST_NIGHT, now.astimezone()))
    workers = living_workers(home)
    nodes, counts = read_fleet(session)
    return render(
        call,
        "machine.html",
        tab="/machine",
        heading="Machine",
        summary=f"{device.hostname or UNKNOWN}, node {home.node}",
        night=night_view(report, titles_or_none(session), speed_history(session, report.since, report.until)),
        every_s=EVERY_S,
        nodes=node_rows(nodes, counts, home.node, now),
        nodes_sum=sum_of(nodes, counts),
        followed=subscription_rows(all_subscriptions(session), now),
        device=device_rows(device, store_states(session)),
        device_notes=device.notes,
        workers=worker_rows(workers, service, now),
        service=service_lines(service),
        reserve=reserve_figures(device, _disk_reserves(session)),
        version=__version__,
        notice=notice_of(call),
    )


def _service(call: Call) -> ServiceState | None:
    try:
        return service_of(call.session.home.settings).read_state()
    except FlowhubError:
        return None


def reserve_figures(device: Device, disks: Mapping[str, int]) -> list[Figure]:
    """Return what is kept back for other programs; badges and disk checks count without it.

    `disks` has the bytes of each store's disk by the store's name.
    """
    system = CONTAINER_RESERVE if device.ram_source == "cgroup" else SYSTEM_RESERVE
    gpu = [Figure("GPU memory", f"{_gib(GPU_RESERVE)} of each")] if device.gpus else []
    labels = {name: "Disk" if len(disks) == 1 else f"Disk of the store {name}" for name in disks}
    reserved = [Figure(labels[name], format_bytes(count)) for name, count in disks.items()]
    return [*reserved, Figure("Memory", _gib(system)), *gpu]


def _disk_reserves(session: Session) -> dict[str, int]:
    return {store_session.store.name: _disk_reserve(store_session) for store_session in session.each_store()}


def _disk_reserve(session: Session) -> int:
    try:
        return session.disk_reserve
    except OSError:  # the disk is away
        return session.settings.limits_of_store(session.store.name)[0]


def refresh_machine(call: Call) -> Response:
    """Read the machine's memory, GPUs and disk again."""
    call.context.forget_device()
    return back(call, "/machine", "looked")


ROUTES: list[BaseRoute] = [
    Route("/machine", endpoint(show_machine), methods=["GET"]),
    Route("/machine", endpoint(refresh_machine), methods=["POST"]),
]
