"""The UPDATEs of a run's progress. The statements are built once: building one costs more than running it.

`progressed` is set by new bytes, or by a stage that was never reached before; then a rescue does not count.
"""

from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.newest_migration import HEAD, REVISION
from flowhub_jobs.database.tables import job_files, jobs
from flowhub_jobs.jobs.run_values import FileCounts, Lease, Progress
from flowhub_jobs.jobs.states import STAGE_NUMBER
from flowhub_jobs.values.enums import Stage, State

_WRITTEN = ("bytes_total", "bytes_done", "bytes_fetched", "sources", "rate_bps", "faults", "fruitless_us")
_number = sa.bindparam("stage_number", type_=sa.Integer)
# A parameter may not bear the name of a column that it is only compared with.
_mine = (
    jobs.c.id == sa.bindparam("of_job"),
    jobs.c.lease_token == sa.bindparam("of_token"),
    jobs.c.state == State.RUNNING.value,
)
_stage = sa.bindparam("stage", type_=sa.String)
# A download that other nodes wait for (jobs/nodes_per_file_limit.py) stays one until its first answer is here.
_back = sa.and_(jobs.c.stage == Stage.DOWNLOAD.value, _stage == Stage.RESOLVE.value)
_further = sa.or_(jobs.c.bytes_fetched < sa.bindparam("bytes_fetched"), jobs.c.furthest < _number)
WRITE_JOB = (
    sa.update(jobs)
    .where(*_mine)
    .values(
        {name: sa.bindparam(name) for name in _WRITTEN}
        | {
            "stage": sa.case((_back, jobs.c.stage), else_=_stage),
            "sha256_state": sa.bindparam("sha256_state"),
            "progressed": sa.or_(jobs.c.progressed, _further),
            "furthest": sa.case((jobs.c.furthest < _number, _number), else_=jobs.c.furthest),
        }
    )
)
_seen = ("bytes", "bytes_done", "validator", "sha256", "sha256_state")
WRITE_FILE = (
    sa.update(job_files)
    .where(job_files.c.job_id == sa.bindparam("of_job"), job_files.c.number == sa.bindparam("of_number"))
    .values({name: sa.bindparam(name) for name in _seen})
)

# For PostgreSQL: the same for a job with at most one file, as one message that is a transaction of its own. The file is
# written only with the job's row. It writes nothing to the schema of another version, and does not wait for the disk.
_settings = sa.select(sa.func.set_config("synchronous_commit", "off", True)).cte("settings")
_this_version = sa.literal_column(f"({REVISION})", sa.String)
_counted = sa.select(sa.func.count()).select_from(_settings).scalar_subquery()
_job = WRITE_JOB.where(_this_version == HEAD, _counted == 1).returning(jobs.c.id).cte("job")
_file = (
    sa.update(job_files)
    .where(job_files.c.job_id == _job.c.id, job_files.c.number == sa.bindparam("of_number"))
    .values({name: sa.bindparam(f"file_{name}") for name in _seen})
    .cte("file")
)
WRITE_JOB_IN_ONE_STATEMENT = sa.select(sa.func.count()).select_from(_job)
WRITE_BOTH_IN_ONE_STATEMENT = WRITE_JOB_IN_ONE_STATEMENT.add_cte(_file)


def values_in_one_statement(lease: Lease, progress: Progress) -> dict[str, Any]:
    """Return the parameters of WRITE_JOB_IN_ONE_STATEMENT, and, with a file, of WRITE_BOTH_IN_ONE_STATEMENT."""
    values = job_values(lease, progress)
    for file in progress.files:
        of_file = file_values(lease.job, file)
        values |= {"of_number": of_file["of_number"]} | {f"file_{name}": of_file[name] for name in _seen}
    return values


def job_values(lease: Lease, progress: Progress) -> dict[str, Any]:
    """Return the parameters of WRITE_JOB, which changes no row if the lease is lost."""
    return {
        "of_job": lease.job,
        "of_token": lease.token,
        "stage_number": STAGE_NUMBER[progress.stage],
        "stage": progress.stage,
        "bytes_total": progress.total,
        "bytes_done": progress.done,
        "bytes_fetched": progress.fetched,
        "sources": dict(progress.sources),
        "rate_bps": progress.rate_bps,
        "faults": progress.faults,
        "fruitless_us": round(progress.no_progress_s * 1e6),
        "sha256_state": progress.sha256_state,
    }


def file_values(job: int, file: FileCounts) -> dict[str, Any]:
    """Return the parameters of WRITE_FILE."""
    return {
        "of_job": job,
        "of_number": file.number,
        "bytes": file.bytes,
        "bytes_done": file.done,
        "validator": file.validator,
        "sha256": file.sha256,
        "sha256_state": file.sha256_state,
    }
