"""Checks of workers, the service, the library and the catalog."""

from collections.abc import Iterator

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.home import Home
from flowhub_jobs.operations.catalogs.active import catalog_in_force
from flowhub_jobs.operations.doctor.check import Check, guarded, ok, skip, warn
from flowhub_jobs.operations.workers_and_service import living_workers, service_of
from flowhub_jobs.store.library_check import has_its_files
from flowhub_jobs.units import counted
from flowhub_jobs.values.enums import State


def worker_checks(home: Home) -> Iterator[Check]:
    """Yield the checks of workers, service, library and catalog."""
    return guarded(
        [
            ("worker.running", lambda: _running(home)),
            ("worker.service", lambda: _service(home)),
            ("library.files", lambda: _library(home)),
            ("catalog.read", lambda: _catalog(home)),
        ],
        home.settings.database_url,
    )


def _running(home: Home) -> Check:
    name, queued = "worker.running", len(home.queries.in_state([State.QUEUED]))
    workers, waiting = living_workers(home), counted(queued, "job is", "jobs are")
    if workers:
        slots = counted(sum(worker.slots for worker in workers), "slot", "slots")
        return ok(name, f"{counted(len(workers), 'worker', 'workers')} with {slots}; {waiting} queued")
    if queued:
        return warn(name, f"{waiting} queued, and no worker runs.", "`flowhub worker` starts one.")
    return ok(name, "no worker runs, and nothing is queued")


def _service(home: Home) -> Check:
    name = "worker.service"
    try:
        service = service_of(home.settings)
        service.check()
        state = service.read_state()
    except FlowhubError as error:
        return skip(name, error.message)
    if not state.installed:
        return skip(name, "not installed; `flowhub worker install` runs a worker at login")
    if state.pid is None:
        return warn(name, f"The service {state.name} is {state.state or 'not running'}.", f"`{state.logs}` shows why.")
    return ok(name, f"{state.name} ({state.kind}) is {state.state}")


def _library(home: Home) -> Check:
    """Compare names, sizes and times in each store; `verify` compares the bytes."""
    name = "library.files"
    online = [each for each in home.each_store() if not each.store_is_away()]  # store.folder fails for the others
    entries = [(each.store.root, entry) for each in online for entry in each.entries.entries_here()]
    changed = [entry.name for root, entry in entries if not has_its_files(entry, root / entry.name)]
    if changed:
        examples = ", ".join(changed[:3]) + (" …" if len(changed) > 3 else "")
        return warn(
            name,
            f"Missing or incomplete, {len(changed)} of {len(entries)} installed: {examples}",
            "`flowhub verify` shows which files; `flowhub verify --repair` downloads them again.",
        )
    models = counted(len(entries), "installed model has its", "installed models have their")
    return ok(name, f"{models} files; `flowhub verify` checks the bytes")


def _catalog(home: Home) -> Check:
    loaded = catalog_in_force(home.settings)
    if loaded.warning:
        return warn("catalog.read", loaded.warning)
    return ok("catalog.read", counted(len(loaded.catalog.models), "model", "models"))
