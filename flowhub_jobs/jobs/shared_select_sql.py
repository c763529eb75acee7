"""Plain SQL that several readers of jobs share: conditions on rows of `jobs`, and the error for a job that is missing.

It runs through `database/lazy.py`, so that a command that only reads does not import SQLAlchemy.
"""

from collections.abc import Collection

from flowhub_jobs.database.job_conditions import LIVE
from flowhub_jobs.database.lazy import Snapshot
from flowhub_jobs.errors import FlowhubError, NotFound
from flowhub_jobs.values.enums import JobKind
from flowhub_jobs.values.jobs import ANY_NODE

BRING = (JobKind.FETCH, JobKind.IMPORT)  # they bring a model to the node
WRITE = (*BRING, JobKind.MOVE)  # they write a model into a store
IS_LIVE = f"jobs.{LIVE}"
OF_NODE = "jobs.node = :node"
LIVE_OF_NODE = f"{OF_NODE} AND {IS_LIVE}"
# Jobs that a worker of the node may claim as far as their time goes: those of the node, and those for any node.
DUE_JOBS = (
    f"SELECT 1 FROM jobs WHERE jobs.node IN ('{ANY_NODE}', :node) AND {IS_LIVE} AND jobs.state = 'queued' "  # noqa: S608, fixed text
    "AND (jobs.not_before IS NULL OR jobs.not_before <= :now)"
)
RUNNING_OF_NODE = f"{LIVE_OF_NODE} AND jobs.state = 'running'"
# Jobs of the other kinds need no room in the store.
WRITES_TO_STORE = "jobs.kind IN ('fetch', 'import', 'move')"
# Which live jobs a row of `jobs` waits for, by the query that this becomes a part of.
STILL_TO_END = (
    "SELECT 1 FROM job_after JOIN jobs AS earlier ON earlier.id = job_after.after_id "  # noqa: S608, fixed text
    f"WHERE job_after.job_id = jobs.id AND earlier.{LIVE}"
)
ENDED_ALL_EARLIER = f"NOT EXISTS ({STILL_TO_END})"
# A row that waits for a job that another node runs or will run.
WAITS_FOR_ANOTHER_NODE = f"EXISTS ({STILL_TO_END} AND earlier.node <> :node AND earlier.state <> 'paused')"
# For the first of these rows a worker that drains has to stay. `held` are the reasons that may hold for hours.
STILL_TO_START = (
    f"{LIVE_OF_NODE} AND jobs.state = 'queued' "
    "AND (jobs.wait_reason IS NULL OR NOT (jobs.wait_reason IN :held AND jobs.not_before > :now)) "
    f"AND ({ENDED_ALL_EARLIER} OR {WAITS_FOR_ANOTHER_NODE})"
)
# Of jobs with these numbers: their files, and the live jobs that they wait for.
FILES = "SELECT job_id, path, bytes, bytes_done, sha256 FROM job_files WHERE job_id IN :jobs ORDER BY job_id, number"
EARLIER = (
    "SELECT job_after.job_id, earlier.id, earlier.state FROM job_after "  # noqa: S608, fixed text
    f"JOIN jobs AS earlier ON earlier.id = job_after.after_id WHERE job_after.job_id IN :jobs AND earlier.{LIVE}"
)


def live_jobs(snapshot: Snapshot, nodes: Collection[str]) -> dict[tuple[str, str], int]:
    """Return the live job of each of these nodes and artifact keys; for ANY_NODE, one of whichever node."""
    if not nodes:
        return {}
    if ANY_NODE in nodes:  # one that waits for any node first: it is the very same request
        query = f"SELECT node, artifact_key, id FROM jobs WHERE {IS_LIVE} ORDER BY node = '{ANY_NODE}', id DESC"  # noqa: S608, fixed text
        rows = snapshot.rows(query)
        of_any_node = {(ANY_NODE, row["artifact_key"]): row["id"] for row in rows}
        return of_any_node | {(row["node"], row["artifact_key"]): row["id"] for row in rows}
    query = f"SELECT node, artifact_key, id FROM jobs WHERE node IN :nodes AND {IS_LIVE}"  # noqa: S608, fixed text
    rows = snapshot.rows(query, nodes=sorted(set(nodes)))
    return {(row["node"], row["artifact_key"]): row["id"] for row in rows}


def no_such_job(snapshot: Snapshot, job: int) -> FlowhubError:
    [row] = snapshot.rows("SELECT max(id) AS last FROM jobs")
    last = row["last"]
    hint = f"The last job is {last}; `flowhub status --all` lists every one." if last else "No job was queued yet."
    return NotFound(f"There is no job {job}.", hint=hint)
