"""The cases of a worker: resume after a stop or a kill, memory, the rate limit."""

import shutil
import signal
import time
from dataclasses import dataclass

from lib.bench.context import Context
from lib.bench.figures import GIB, MIB, Claim, Result, Run, size_in_words
from lib.bench.home import BenchHome, bytes_read, end, model_of
from lib.bench.networks import CountingOrigin, sent_over_time
from lib.bench.processes import measured
from lib.bench.smoothness import window_deviation, worst_to_best

UNTIL = 0.95
FIRST_PART_S = 12  # duration of the part before the stop: slow enough to stop at the right byte
MORE_S = 1.0
IN_FLIGHT = 64 * MIB
MEMORY_AIM = 150 * MIB
RATE = 20_000_000
DEVIATION_AIM = 0.05
SEND_BUFFER = 64 << 10


def resume(context: Context) -> Result:
    """A job stopped by SIGTERM at 95 % of 4 GiB, and the time until a new worker has verified it."""
    outcome = _stopped_and_resumed(context, signal.SIGTERM)
    # The digest reads bytes that came out of order once, just after they were written; kept bytes never.
    read_again = outcome.read > outcome.size - outcome.kept + IN_FLIGHT
    nothing_again = outcome.fetched_twice == 0 and outcome.sent_twice <= IN_FLIGHT and not read_again
    met = outcome.took_s <= outcome.alone_s + MORE_S and nothing_again
    return outcome.result(
        "resume after a clean stop", f"the rest alone + {MORE_S:g} s, nothing fetched or read again", met
    )


def resume_kill(context: Context) -> Result:
    """The same after SIGKILL."""
    outcome = _stopped_and_resumed(context, signal.SIGKILL)
    met = outcome.sent_twice <= IN_FLIGHT and outcome.read <= outcome.size + IN_FLIGHT
    aim = f"at most {size_in_words(IN_FLIGHT)} fetched again, the prefix read once"
    return outcome.result("resume after SIGKILL", aim, met)


@dataclass(frozen=True)
class Resumed:
    """`alone_s` is curl's time for the missing bytes; `read` are the bytes that the new worker read from files."""

    kept: int
    size: int
    took_s: float
    alone_s: float
    fetched_twice: int
    sent_twice: int
    read: int

    def result(self, work: str, aim: str, met: bool) -> Result:
        lines = (
            f"kept at the stop: {self.kept / self.size:.1%} of {size_in_words(self.size)}",
            f"from the worker's start to the final name: {self.took_s:.2f} s; curl for the rest: {self.alone_s:.2f} s",
            f"fetched twice: {self.fetched_twice / MIB:.1f} MiB as flowhub counts; the origin sent"
            f" {self.sent_twice / MIB:.1f} MiB more than the file, what was in the sockets at the stop with it",
            f"read from files by the new worker, its own modules too: {self.read / MIB:.0f} MiB",
        )
        reached = f"{self.took_s:.2f} s ({self.alone_s:.2f} s alone), {self.fetched_twice / MIB:.1f} MiB fetched again"
        return Result(lines=lines, claims=(Claim(work, aim, f"{reached}, {self.read / MIB:.0f} MiB read", met),))


def _stopped_and_resumed(context: Context, signum: signal.Signals) -> Resumed:
    file = context.files.one("resume.bin", context.scaled(4 * GIB))
    with CountingOrigin(context.files.root) as origin:
        place = BenchHome(context, origin.address, [file])
        place.ask("enqueue", model_of(file))
        origin.limit(total_bps=file.size * UNTIL / FIRST_PART_S)
        with place.worker() as first:
            place.wait_for(first, lambda: origin.sent() >= file.size * UNTIL, "the most of the file")
            end(first, signum)
        origin.limit()
        kept_bytes = int(place.job()["bytes_done"])
        sent = origin.sent()
        alone = _alone(context, f"{origin.address}/{file.path}", kept_bytes)
        sent_for_that = origin.sent() - sent
        name = place.store / file.name
        began = time.monotonic()
        with place.worker() as second:
            place.wait_for(second, name.exists, "the final name")
            took = time.monotonic() - began
            read = bytes_read(second) or 0
            place.wait_for(second, lambda: place.job()["state"] == "completed", "the end of the job")
        twice = place.job()["bytes_fetched"] - file.size
        sent_twice = origin.sent() - sent_for_that - file.size
    shutil.rmtree(place.home)
    return Resumed(kept_bytes, file.size, took, alone.wall_s, twice, sent_twice, read)


def _alone(context: Context, url: str, start: int) -> Run:
    """Return the measurement of a fetch of the bytes from `start` on."""
    folder = context.folder / "alone"
    folder.mkdir(exist_ok=True)
    return measured(["curl", "-q", "-sS", "-f", "-r", f"{start}-", "-o", "rest", url], folder, context.runner.environ)


def memory(context: Context) -> Result:
    """The peak of a worker's resident memory with four jobs of 1 GiB at once."""
    files = [context.files.one(f"job{number}.bin", context.scaled(GIB), seed=number) for number in range(1, 5)]
    place = BenchHome(context, context.nginx.plain, files)
    place.ask("enqueue", *map(model_of, files))
    run = place.drained("--jobs", "4")
    shutil.rmtree(place.home)
    reached = f"{run.peak_bytes / MIB:.0f} MiB"
    claim = Claim("memory, 4 jobs at once", "under 150 MiB resident", reached, run.peak_bytes < MEMORY_AIM)
    took = f"in {run.wall_s:.1f} s and {run.cpu_s:.1f} s of CPU"
    return Result(
        lines=(f"4 jobs of {size_in_words(files[0].size)} {took}: {reached} resident at most",), claims=(claim,)
    )


def limit_rate(context: Context) -> Result:
    """The deviation of a worker from --limit-rate 20M over ten seconds, and its smoothness, measured at the origin."""
    seconds = 24.0 if context.scale >= 1 else 12.0
    file = context.files.one("limited.bin", int(RATE * (seconds + 10)))
    with CountingOrigin(context.files.root, send_buffer=SEND_BUFFER) as origin:
        place = BenchHome(context, origin.address, [file])
        place.ask("enqueue", model_of(file))
        with place.worker("--limit-rate", "20M") as worker:
            # The first seconds are not counted: the sockets' buffers fill at once with bytes that were not received.
            place.wait_for(worker, lambda: origin.sent() > RATE, "the first second's bytes")
            samples = sent_over_time(origin, seconds)
            end(worker, signal.SIGTERM)
    shutil.rmtree(place.home)
    deviation, smooth = window_deviation(samples, RATE, 10.0), worst_to_best(samples, 0.5)
    lines = (f"over 10 s: {deviation:+.1%} at worst; most to least in half a second: {smooth:.2f}",)
    said = f"{deviation:+.1%} at worst, half seconds {smooth:.2f} apart"
    return Result(
        lines=lines, claims=(Claim("limit of 20 MB/s", "within 5 % over 10 s", said, abs(deviation) <= DEVIATION_AIM),)
    )
