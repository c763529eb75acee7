"""Every case by its name, in the order in which they are run."""

from collections.abc import Callable

from lib.bench import cases_fetch, cases_worker
from lib.bench.case_last_byte import last_byte
from lib.bench.case_scale import scale
from lib.bench.context import Context
from lib.bench.figures import Result

CASES: dict[str, Callable[[Context], Result]] = {
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
