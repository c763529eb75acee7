"""A worker with some harm done to it, for the tests of this folder. It runs `flowhub` in this process.

HARM is `die:MODULE:NAME:before` or `die:MODULE:NAME:after`: SIGKILL to itself at that call, in the rooms under test;
or `lease:SECONDS`: leases of that length, so that a test need not wait thirty seconds for one to end.
"""

import importlib
import os
import signal
import sys
from typing import Any


def die_at(module_name: str, name: str, when: str) -> None:
    holder: Any = importlib.import_module(module_name)
    *path, last = name.split(".")
    for part in path:
        holder = getattr(holder, part)
    real = getattr(holder, last)

    def fatal(*arguments: Any, **options: Any) -> Any:
        if when == "after":
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(holder, last, fatal)


def short_leases(seconds: float) -> None:
    from flowhub_jobs.jobs import leases
    from flowhub_jobs.worker import heartbeat

    leases.LEASE_S, heartbeat.RENEW_S = seconds, seconds / 3


harm, _, details = os.environ["HARM"].partition(":")
if harm == "die":
    die_at(*details.split(":"))
elif harm == "lease":
    short_leases(float(details))

from flowhub_jobs.cli.main import main  # noqa: E402

sys.argv[0] = "flowhub"
main()
