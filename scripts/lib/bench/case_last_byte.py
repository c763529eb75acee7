"""The time from the last byte to the final name, measured from outside."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

from lib.bench.competitors import PARTS, FetchSpec, option_of
from lib.bench.context import Context
from lib.bench.figures import GIB, MIB, Claim, Result, size_in_words
from lib.bench.processes import BenchFailed
from lib.processes import stopped_after

POLL_S = 0.001
AIM_S = 0.2
ROUNDS = 3
AT_MOST_S = 900


def last_byte(context: Context) -> Result:
    """The time from the last byte that nginx sent to the final name, for 256 MiB and for 4 GiB."""
    rounds = min(ROUNDS, context.runner.rounds)
    lines, claims = [], []
    for size in (context.scaled(256 * MIB), context.scaled(4 * GIB)):
        spec = context.spec(context.nginx.logged, size)
        took = [_once(context, spec) for _ in range(rounds)]
        reached = f"{median(took):.3f} s (worst {max(took):.3f} s)"
        lines.append(f"{size_in_words(size)}: {reached}")
        claims.append(
            Claim(f"last byte to final name, {size_in_words(size)}", "under 0.2 s", reached, median(took) < AIM_S)
        )
    return Result(lines=tuple(lines), claims=tuple(claims))


def _once(context: Context, spec: FetchSpec) -> float:
    context.nginx.ends.write_bytes(b"")  # nginx appends
    place = context.folder / "run"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    option = spec.notes / "option.json"
    option.write_text(json.dumps(option_of(spec.base, spec.files)))
    command = [spec.python, PARTS / "program_flowhub.py", option]
    process = subprocess.Popen(
        command, cwd=place, env=context.runner.environ, stdin=subprocess.DEVNULL, start_new_session=True
    )
    with stopped_after(process):
        named = _named_at(process, place / spec.one.name)
        if process.wait():
            raise BenchFailed("flowhub failed; what it said stands above")
    return named - last_end(context.nginx.ends.read_text(), spec.size)


def _named_at(process: "subprocess.Popen[bytes]", name: Path) -> float:
    """Return the time, in seconds since 1970, at which the name first existed."""
    end = time.time() + AT_MOST_S
    while not name.exists():
        if process.poll() is not None or time.time() > end:
            raise BenchFailed(f"{name.name} was never there")
        time.sleep(POLL_S)
    return time.time()


def last_end(log: str, size: int) -> float:
    """Return when the last answer ended (s since 1970), by lines of time, body bytes and status."""
    lines = [line.split() for line in log.splitlines()]
    if sum(int(sent) for _, sent, _ in lines) < size:
        raise BenchFailed("nginx has not written down every answer")
    return max(float(when) for when, _, _ in lines)
