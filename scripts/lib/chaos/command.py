"""The command: runs the rounds and the calm after them, prints the table, and returns the verdict."""

import argparse
import contextlib
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from lib.chaos.checks import violations
from lib.chaos.disk import working_folder
from lib.chaos.faults import faults_of
from lib.chaos.run import WORKERS, Interrupted, Run, Wanted, Wrong, started_run
from lib.chaos.snapshot import Snapshot
from lib.chaos.table import table

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(about: str | None) -> NoReturn:
    given = parse_arguments(about or "", sys.argv[1:])
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    wanted = Wanted(seed, given.workers, given.database)
    repeat_command = (
        f"scripts/chaos {given.rounds} --workers {wanted.workers} --database {wanted.database} --seed {seed}"
    )
    # Ignored at first: child processes inherit this, so that only this process handles Ctrl-C.
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    print(f"{repeat_command}: {given.rounds} rounds", flush=True)
    with working_folder(keep=given.keep) as folder:
        try:
            with started_run(folder, wanted, keep=given.keep) as run:
                listen(run)
                print("\n".join(run_rounds(run, given.rounds)))
            status = 0
        except Wrong as wrong:
            status = 1
            print("\n".join(["", "chaos: WRONG", *(f"  {what}" for what in wrong.args)]), file=sys.stderr)
            print(f"Last lines of the workers:\n{tail(folder)}\nRepeat with: {repeat_command} --keep", file=sys.stderr)
        except Interrupted:
            status = 130
            print("\nchaos: stopped; so is all that it started", file=sys.stderr)
        if given.keep:
            print(f"kept: {folder}")
    sys.exit(status)


def parse_arguments(about: str, arguments: list[str]) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="chaos", description=about, formatter_class=form)
    parser.add_argument("rounds", type=int, metavar="N", help="how many rounds, of a second or two each")
    parser.add_argument("--seed", type=int, help="which faults, and in which order; else a new one, which is printed")
    parser.add_argument("--workers", type=int, default=WORKERS, metavar="N", help=f"how many (default {WORKERS})")
    databases = ("sqlite", "postgresql")
    parser.add_argument("--database", choices=databases, default="sqlite", help="postgresql: a server of the run's own")
    parser.add_argument("--keep", action="store_true", help="leave the home and the worker's log behind")
    return parser.parse_args(arguments)


def listen(run: Run) -> None:
    for number in STOPS:
        signal.signal(number, lambda *_: run.stop_asked.set())


def run_rounds(run: Run, rounds: int, *, quiet: bool = False) -> Iterator[str]:
    """Run all rounds and the calm, check the state, and yield the table's lines. Raises Wrong, Interrupted."""
    for number in range(1, rounds + 1):
        description = run.inject_fault(number, faults_of(run))
        if not quiet:
            print(description, flush=True)
    run.disk.free()
    run.cancel_for_good()
    run.calm()
    snapshot = Snapshot(run)
    if wrong := violations(snapshot):
        raise Wrong(*wrong)
    yield from table(snapshot)


def tail(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / "worker.log").read_text(errors="replace")[-3000:]
    return ""
