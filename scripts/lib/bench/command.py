"""The command: parses the options, prepares the machine, runs the cases one by one, and prints their results."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from lib.bench.cases import CASES
from lib.bench.context import Context
from lib.bench.figures import GIB, MIB, Result, claims_table, rows_table
from lib.bench.files import FileSet
from lib.bench.machine import about_machine, filesystem_of, versions
from lib.bench.nginx import serving
from lib.bench.processes import BenchFailed
from lib.bench.runs import Runner
from lib.env import TOP, NoEnvironment, own_python

DEFAULT_SIZE = 2 * GIB
UNITS = {"K": 1 << 10, "M": MIB, "G": GIB}
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> NoReturn:
    given = parse_arguments(sys.argv[1:])
    if given.list:
        print(listed())
        sys.exit(0)
    for number in STOPS:
        signal.signal(number, stop)
    try:
        run(given)
    except (BenchFailed, NoEnvironment, OSError) as error:
        sys.exit(f"\nbench: failed: {error}")
    sys.exit(0)


def stop(signum: int, _frame: FrameType | None) -> NoReturn:
    """Exit through every `finally`; a second signal must not interrupt that."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    print("\nbench: stopped; so is all that it started", file=sys.stderr)
    sys.exit(128 + signum)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare flowhub with other programs and with this machine's limit.")
    parser.add_argument("--only", nargs="+", choices=list(CASES), metavar="CASE", help="these cases alone")
    parser.add_argument("--list", action="store_true", help="say which cases there are, and end")
    parser.add_argument("--size", type=size, default=DEFAULT_SIZE, help="of the large file (2G); others follow it")
    parser.add_argument("--small-files", type=int, default=1000, metavar="N", help="of 256 KiB (1000)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each program runs (5)")
    parser.add_argument("--quick", action="store_true", help="256 MiB, 100 small files, one round: does it work?")
    parser.add_argument("--dir", type=Path, help="where to work: the disk that is measured (the temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every single run there")
    parser.add_argument("--with-hf", action="store_true", help="install huggingface_hub into .venv-bench-hf, for `hf`")
    parser.add_argument("--python", type=Path, help="a Python with flowhub's packages, instead of .venv-bench")
    given = parser.parse_args(arguments)
    if given.quick:
        given.size, given.rounds, given.small_files = 256 * MIB, 1, 100
    return given


def size(text: str) -> int:
    """Return the bytes of "512M", "2G" (binary) or a plain number."""
    unit = UNITS.get(text[-1:].upper())
    return int(text[:-1]) * unit if unit else int(text)


def listed() -> str:
    width = max(map(len, CASES))
    return "\n".join(f"{name:{width}}  {first_line(case.__doc__)}" for name, case in CASES.items())


def first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


# One run ------------------------------------------------------------------------------------------------------------


def run(given: argparse.Namespace) -> None:
    for tool in ("nginx", "openssl", "curl"):
        if not shutil.which(tool):
            raise BenchFailed(f"{tool} is missing (on Debian and Ubuntu: `apt-get install nginx-light openssl curl`)")
    python = python_with_flowhub(given.python)
    hf = python_with_hf() if given.with_hf else None
    with working_folder(given.dir) as folder:
        about = about_machine(folder, min(512 * MIB, given.size))
        tools = versions(python, hf)
        print("\n".join(f"{what}: {said}" for what, said in about.items()))
        print("versions: " + ", ".join(f"{name} {version}" for name, version in tools.items()), flush=True)
        results = run_cases(given, folder, python, hf)
    print("\n## Summary\n")
    print(claims_table([claim for result in results.values() for claim in result.claims]))
    print(f"\nnoise: {noise(results)}; load after: {' '.join(f'{load:.2f}' for load in os.getloadavg())}")
    if given.json:
        raw = {"machine": about, "versions": tools, "cases": {name: asdict(result) for name, result in results.items()}}
        given.json.write_text(json.dumps(raw, indent=1))


def run_cases(given: argparse.Namespace, folder: Path, python: Path, hf: Path | None) -> dict[str, Result]:
    root = folder / "served"
    root.mkdir()
    results = {}
    with serving(root, folder / "nginx") as nginx:
        runner = Runner(folder, environ_for(folder / "home"), given.rounds)
        scale = given.size / DEFAULT_SIZE
        context = Context(folder, python, hf, nginx, FileSet(root), runner, given.size, scale, given.small_files)
        context.warm_up()
        for name in given.only or CASES:
            print(f"\n## {name}: {first_line(CASES[name].__doc__)}\n", flush=True)
            results[name] = CASES[name](context)
            show(results[name])
    return results


def show(result: Result) -> None:
    print()
    if result.rows:
        print(rows_table(result.rows) + "\n")
    for line in result.lines:
        print(f"- {line}")
    sys.stdout.flush()


def noise(results: dict[str, Result]) -> str:
    """Return the largest spread of the runs of one program, of all rows."""
    spreads = sorted(row.spread for result in results.values() for row in result.rows)
    if not any(spreads):
        return "unknown, as no program was run more than once"
    usual = spreads[len(spreads) // 2]
    return (
        f"a program's slowest run took {usual:.0%} more than its fastest (median of all rows; worst {spreads[-1]:.0%})"
    )


# What it stands on --------------------------------------------------------------------------------------------------


def python_with_flowhub(given: Path | None) -> Path:
    return Path(given).absolute() if given else own_python(".venv-bench", ["--editable", "."], [TOP / "pyproject.toml"])


def python_with_hf() -> Path:
    return own_python(".venv-bench-hf", ["huggingface_hub"], []).with_name("hf")


@contextlib.contextmanager
def working_folder(given: Path | None) -> Iterator[Path]:
    """Make a folder to work in, and remove it after the block; it is on a disk unless --dir names another place."""
    place = given or Path(tempfile.gettempdir())
    if given is None and filesystem_of(place) == "tmpfs":
        place = Path("/var/tmp")
    with tempfile.TemporaryDirectory(prefix="flowhub-bench-", dir=place) as folder:
        yield Path(folder)


def environ_for(home: Path) -> dict[str, Any]:
    """Return the environment of all programs, without the caller's proxies, tokens and settings.

    It also lacks PYTHONDONTWRITEBYTECODE, with which each run of flowhub would compile its modules again.
    """
    prefixes = ("FLOWHUB_", "HF_", "SSL_CERT_", "PYTHONDONTWRITEBYTECODE")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(prefixes) and not name.lower().endswith("_proxy")
    }
    return {**environment, "FLOWHUB_HOME": str(home), "FLOWHUB_LOOK_ELSEWHERE": "off", "PYTHONPATH": str(TOP)}
