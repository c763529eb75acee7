"""How long it takes from the last byte to the final name, seen from outside."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

from bench_parts.course import Course
from bench_parts.figures import GIB, MIB, Claim, Result, size_in_words
from bench_parts.processes import BenchFailed
from bench_parts.rivals import PARTS, Errand, option_of
from own_processes import stopped_after

POLL_S = 0.001
AIM_S = 0.2
ROUNDS = 3
AT_MOST_S = 900


def last_byte(course: Course) -> Result:
    """From the last byte that nginx sent to the final name, of 256 MiB and of 4 GiB."""
    rounds = min(ROUNDS, course.track.rounds)
    lines, claims = [], []
    for size in (course.scaled(256 * MIB), course.scaled(4 * GIB)):
        errand = course.errand(course.nginx.logged, size)
        took = [_once(course, errand) for _ in range(rounds)]
        reached = f"{median(took):.3f} s (worst {max(took):.3f} s)"
        lines.append(f"{size_in_words(size)}: {reached}")
        claims.append(
            Claim(f"last byte to final name, {size_in_words(size)}", "under 0.2 s", reached, median(took) < AIM_S)
        )
    return Result(lines=tuple(lines), claims=tuple(claims))


def _once(course: Course, errand: Errand) -> float:
    course.nginx.ends.write_bytes(b"")  # nginx appends
    place = course.folder / "run"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    option = errand.notes / "option.json"
    option.write_text(json.dumps(option_of(errand.base, errand.files)))
    command = [errand.python, PARTS / "program_us.py", option]
    process = subprocess.Popen(
        command, cwd=place, env=course.track.environ, stdin=subprocess.DEVNULL, start_new_session=True
    )
    with stopped_after(process):
        named = _named_at(process, place / errand.one.name)
        if process.wait():
            raise BenchFailed("flowhub failed; what it said stands above")
    return named - last_end(course.nginx.ends.read_text(), errand.size)


def _named_at(process: "subprocess.Popen[bytes]", name: Path) -> float:
    """Return the time, in seconds since 1970, at which the name was first seen."""
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
