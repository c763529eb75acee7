"""Runs all checks in order: the checks that others depend on come first."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.home import opened
from flowhub_jobs.operations.doctor.check import Check, failed_by, ok
from flowhub_jobs.operations.doctor.database_checks import database_checks
from flowhub_jobs.operations.doctor.home_checks import home_checks
from flowhub_jobs.operations.doctor.network_checks import network_checks
from flowhub_jobs.operations.doctor.program_checks import program_checks
from flowhub_jobs.operations.doctor.settings_checks import settings_checks
from flowhub_jobs.operations.doctor.store_checks import named_by_store, store_checks
from flowhub_jobs.operations.doctor.worker_checks import worker_checks
from flowhub_jobs.settings import load_settings


def run_checks(*, online: bool = False, environ: Mapping[str, str] | None = None) -> Iterator[Check]:
    """Yield each check as it ends. `online` also asks the Hub, and the hosts that it names.

    A fault in the settings or in the home fails its check, and ends the run of those that need them.
    """
    yield from program_checks(datetime.now(UTC))
    try:
        settings = load_settings(environ)
    except FlowhubError as error:
        yield failed_by("settings.file", error)
        return
    yield from settings_checks(settings, os.environ if environ is None else environ)
    yield from network_checks(settings, online=online)
    try:
        with opened(settings) as home:
            yield ok("home.open", f"the node is {home.node}")
            yield from home_checks(settings)
            yield from database_checks(home)
            for one in home.each_store():
                yield from named_by_store(one.store.name, store_checks(one))
            yield from worker_checks(home)
    except FlowhubError as error:
        yield failed_by("home.open", error)
