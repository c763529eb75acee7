"""The workers of this node, and the service that runs one of them."""

from typing import TYPE_CHECKING

from flowhub_jobs.home import Home
from flowhub_jobs.settings import Settings
from flowhub_jobs.system import MACOS

if TYPE_CHECKING:
    from flowhub_jobs.jobs.worker_rows import WorkerStatus
    from flowhub_jobs.service.service_base import Service, ServiceState


def living_workers(home: Home) -> "list[WorkerStatus]":
    """Return the workers that are running, the oldest first."""
    from flowhub_jobs.jobs.worker_rows import living_workers as living

    return living(home.engine, home.node, home.is_dead)


def service_of(settings: Settings) -> "Service":
    """Return the service under the service manager of this system."""
    if MACOS:
        from flowhub_jobs.service.launchctl import Launchd

        return Launchd(settings.home / "worker.log")
    from flowhub_jobs.service.systemctl import Systemd

    return Systemd()


def started_by(worker: "WorkerStatus", service: "ServiceState") -> str:
    """Return "systemd" or "launchd" for a worker that runs as the service, else "hand"."""
    return service.kind if worker.pid == service.pid else "hand"
