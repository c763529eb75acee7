"""Plain SQL that several readers of jobs share: conditions on rows of `jobs`, and the error for a job that is missing.

It runs through `database/handle.py`, so that a command that only reads does not import SQLAlchemy.
"""

from flowhub_jobs.database.conditions import LIVE
from flowhub_jobs.database.handle import Snapshot
from flowhub_jobs.errors import FlowhubError, NotFound
from flowhub_jobs.kinds import JobKind

BRING = (JobKind.FETCH, JobKind.IMPORT)  # a model comes into the store by them
IS_LIVE = f"jobs.{LIVE}"
# What a job of another kind has yet to do takes no room in the store.
WRITES_TO_STORE = "jobs.kind IN ('fetch', 'import')"
# Which live jobs a row of `jobs` waits for, by the query that this becomes a part of.
STILL_TO_END = (
    "SELECT 1 FROM job_after JOIN jobs AS earlier ON earlier.id = job_after.after_id "  # noqa: S608, ours
    f"WHERE job_after.job_id = jobs.id AND earlier.{LIVE}"
)
ENDED_ALL_EARLIER = f"NOT EXISTS ({STILL_TO_END})"


def no_such_job(snapshot: Snapshot, job: int) -> FlowhubError:
    [row] = snapshot.rows("SELECT max(id) AS last FROM jobs")
    last = row["last"]
    hint = f"The last job is {last}; `flowhub status --all` lists every one." if last else "No job was queued yet."
    return NotFound(f"There is no job {job}.", hint=hint)
