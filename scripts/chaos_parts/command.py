"""The command: the rounds, the calm after them, the table, and the verdict."""

import argparse
import contextlib
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from chaos_parts.blows import BLOWS
from chaos_parts.campaign import Campaign, Interrupted, Wrong, campaign
from chaos_parts.evidence import Evidence
from chaos_parts.ground import working_folder
from chaos_parts.judgement import complaints
from chaos_parts.table import table

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(about: str | None) -> NoReturn:
    given = parse_arguments(about or "", sys.argv[1:])
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    again = f"scripts/chaos {given.rounds} --seed {seed}"
    # Ignored until we listen for them: what we start inherits that, and Ctrl-C is for us alone.
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    print(f"{again}: {given.rounds} rounds", flush=True)
    with working_folder(keep=given.keep) as folder:
        try:
            with campaign(folder, seed, keep=given.keep) as under_way:
                listen(under_way)
                print("\n".join(run(under_way, given.rounds)))
            status = 0
        except Wrong as wrong:
            status = 1
            print("\n".join(["", "chaos: WRONG", *(f"  {what}" for what in wrong.args)]), file=sys.stderr)
            print(f"The workers said last:\n{tail(folder)}\nRepeat with: {again} --keep", file=sys.stderr)
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
    parser.add_argument("--seed", type=int, help="which harm, and in which order; else a new one, which is printed")
    parser.add_argument("--keep", action="store_true", help="leave the home and the worker's log behind")
    return parser.parse_args(arguments)


def listen(under_way: Campaign) -> None:
    for number in STOPS:
        signal.signal(number, lambda *_: under_way.stop_asked.set())


def run(under_way: Campaign, rounds: int, *, quiet: bool = False) -> Iterator[str]:
    """Do all rounds, have calm, judge; yield the table's lines. Raises Wrong, Interrupted."""
    for number in range(1, rounds + 1):
        said = under_way.strike(number, BLOWS)
        if not quiet:
            print(said, flush=True)
    under_way.ground.free()
    under_way.say_no()
    under_way.calm()
    evidence = Evidence(under_way)
    if wrong := complaints(evidence):
        raise Wrong(*wrong)
    yield from table(evidence)


def tail(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / "worker.log").read_text(errors="replace")[-3000:]
    return ""
