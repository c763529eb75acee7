"""Finds the failed jobs that still need the user: no later job has replaced them."""

from flowhub_jobs.database.lazy import Snapshot

FAILURE_RELEVANT_US = 14 * 86_400_000_000  # microseconds; a failure that was left alone for longer needs no one
AT_MOST = 200
_UNREPLACED = """
    SELECT jobs.id FROM jobs WHERE jobs.node = :node AND jobs.state = 'failed' AND jobs.finished_at >= :since
    AND NOT EXISTS (
        SELECT 1 FROM jobs AS later WHERE later.node = :node AND later.ref = jobs.ref AND later.id > jobs.id
        AND later.state <> 'cancelled'
        AND (later.kind = jobs.kind OR (jobs.kind = 'verify' AND later.kind = 'fetch'))
    )
    ORDER BY jobs.id DESC LIMIT :at_most
"""


def unreplaced_failures(snapshot: Snapshot, node: str, now_us: int) -> list[int]:
    """Return the failed jobs of the last two weeks that no later job has replaced, newest first.

    A later job for the same reference replaces a failed one, unless it was cancelled. A new download also replaces a
    failed verification.
    """
    rows = snapshot.rows(_UNREPLACED, node=node, since=now_us - FAILURE_RELEVANT_US, at_most=AT_MOST)
    return [row["id"] for row in rows]
