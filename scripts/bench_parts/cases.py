"""Every case by its name, in the order in which they are run."""

from collections.abc import Callable

from bench_parts import cases_fetch, cases_worker
from bench_parts.case_last_byte import last_byte
from bench_parts.case_scale import scale
from bench_parts.course import Course
from bench_parts.figures import Result

CASES: dict[str, Callable[[Course], Result]] = {
    "plain": cases_fetch.plain,
    "tls": cases_fetch.tls,
    "slow-connections": cases_fetch.slow_connections,
    "far": cases_fetch.far,
    "slow-edges": cases_fetch.slow_edges,
    "crowd": cases_fetch.crowd,
    "small-files": cases_fetch.small_files,
    "last-byte": last_byte,
    "resume": cases_worker.resume,
    "resume-kill": cases_worker.resume_kill,
    "memory": cases_worker.memory,
    "limit-rate": cases_worker.limit_rate,
    "scale": scale,
}
