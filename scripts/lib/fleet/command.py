"""The command: its options, the runs, and the table."""

import argparse
import os
import sys
from typing import NoReturn

from lib.bench.figures import MIB
from lib.bench.machine import cpu_model
from lib.chaos.environment import environment
from lib.fleet.figures import table
from lib.fleet.run import RunFailed, Wanted, measured


def main(about: str | None) -> NoReturn:
    asked = parse_arguments(about or "", sys.argv[1:])
    wanted = Wanted(
        nodes=asked.nodes,
        files=asked.files,
        size=int(asked.size * MIB),
        rate_bps=asked.rate * 1e6 if asked.rate else None,
        share=not asked.no_share,
    )
    with environment():
        try:
            runs = [measured(wanted, finished) for finished in asked.finished]
        except RunFailed as failed:
            sys.exit(f"fleet: a job failed: {failed}")
    print(f"{describe(wanted)} {machine()}\n\n{table(runs)}")
    sys.exit(0 if all(run.correct for run in runs) else 1)


def parse_arguments(about: str, arguments: list[str]) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="fleet", description=about, formatter_class=form)
    parser.add_argument("--nodes", type=int, default=20, help="how many (default 20)")
    parser.add_argument("--files", type=int, default=4, help="how many each node installs (default 4)")
    parser.add_argument("--size", type=float, default=64, metavar="MIB", help="of each file (default 64)")
    parser.add_argument("--rate", type=float, default=100, metavar="MB", help="of the origin, a second; 0: no limit")
    parser.add_argument("--no-share", action="store_true", help="the nodes do not share their stores")
    parser.add_argument("--finished", type=int, nargs="+", default=[0], metavar="N", help="finished jobs before a run")
    return parser.parse_args(arguments)


def describe(wanted: Wanted) -> str:
    rate = f" that sends {wanted.rate_bps / 1e6:g} MB/s" if wanted.rate_bps else ""
    shares = "each with a share" if wanted.share else "without shares"
    return (
        f"{wanted.nodes} nodes on one machine, {shares}; {wanted.files} files of {wanted.size / MIB:g} MiB; "
        f"one origin{rate}; one PostgreSQL server."
    )


def machine() -> str:
    return f"Machine: {cpu_model()}, {os.cpu_count()} cores."
