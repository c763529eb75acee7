"""The command: its options, the runs, and the table."""

import argparse
import os
import sys
from typing import NoReturn

from lib.bench.figures import MIB, markdown
from lib.bench.machine import cpu_model
from lib.chaos.environment import environment
from lib.fleet.figures import table, verdicts
from lib.fleet.run import RunFailed, Wanted, measured
from lib.fleet.simulation import Network, Simulation


def main(about: str | None) -> NoReturn:
    arguments = parse_arguments(about or "", sys.argv[1:])
    if arguments.simulate:
        print(simulated(Network(arguments.nodes or 1000, arguments.files, 40e9, 10e9 / 8, 1e9 / 8)))
        sys.exit(0)
    wanted = Wanted(
        nodes=arguments.nodes or 20,
        files=arguments.files,
        size=int(arguments.size * MIB),
        rate_bps=arguments.rate * 1e6 if arguments.rate else None,
        share=not arguments.no_share,
        node_bps=arguments.node_rate * 1e6 if arguments.node_rate else None,
    )
    with environment():
        try:
            runs = [measured(wanted, finished) for finished in arguments.finished]
        except RunFailed as failed:
            sys.exit(f"fleet: a job failed: {failed}")
    print(f"{describe(wanted)} {machine()}\n\n{table(runs)}\n\n{verdicts(runs)}")
    sys.exit(0 if all(run.correct for run in runs) else 1)


def parse_arguments(about: str, arguments: list[str]) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="fleet", description=about, formatter_class=form)
    parser.add_argument("--nodes", type=int, help="how many (default 20; 1000 with --simulate)")
    parser.add_argument("--files", type=int, default=4, help="how many each node installs (default 4)")
    parser.add_argument("--size", type=float, default=64, metavar="MIB", help="of each file (default 64)")
    parser.add_argument("--rate", type=float, default=100, metavar="MB", help="of the origin, a second; 0: no limit")
    parser.add_argument(
        "--node-rate", type=float, default=16, metavar="MB", help="of each node, a second (default 16); 0: no limit"
    )
    parser.add_argument("--no-share", action="store_true", help="the nodes do not share their stores")
    parser.add_argument("--finished", type=int, nargs="+", default=[0], metavar="N", help="finished jobs before a run")
    parser.add_argument("--simulate", action="store_true", help="in virtual time: files of 40 GB, no process")
    return parser.parse_args(arguments)


def simulated(network: Network) -> str:
    """Return the table of both simulations."""
    rows = []
    for name, share in (("each from the origin", False), ("with shares", True)):
        outcome = Simulation(network, share).run()
        ratio = outcome.origin_bytes / (network.files * network.size)
        rows.append((name, f"{outcome.seconds / 3600:.1f}", f"{outcome.origin_bytes / 1e12:.2f}", f"{ratio:.1f}"))
    about = (
        f"{network.nodes:,} nodes with {network.node_bps * 8 / 1e9:g} Gbit/s each way, {network.files} files of "
        f"{network.size / 1e9:g} GB, an origin with {network.origin_bps * 8 / 1e9:g} Gbit/s; in virtual time."
    )
    head = ("download", "hours", "TB of the origin", "times the files' sizes")
    return f"{about}\n\n{markdown(head, rows)}"


def describe(wanted: Wanted) -> str:
    rate = f" that sends {wanted.rate_bps / 1e6:g} MB/s" if wanted.rate_bps else ""
    shares = "each with a share" if wanted.share else "without shares"
    each = f"; each node downloads {wanted.node_bps / 1e6:g} MB/s at most" if wanted.node_bps else ""
    return (
        f"{wanted.nodes} nodes on one machine, {shares}{each}; {wanted.files} files of {wanted.size / MIB:g} MiB; "
        f"one origin{rate}; one PostgreSQL server."
    )


def machine() -> str:
    return f"Machine: {cpu_model()}, {os.cpu_count()} cores."
