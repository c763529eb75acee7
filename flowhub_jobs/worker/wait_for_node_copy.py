"""Makes a run wait while the allowed number of other nodes download its file, to copy it from one of them."""

import platform
import threading
import time

from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import NewEvent
from flowhub_jobs.worker.context import Run, WorkerContext

WAIT_MAX_S = 3600.0  # then the file is downloaded, whatever the other nodes do: one of them may be very slow
POLL_MIN_S, POLL_MAX_S = 1.5, 5.0


def wait_for_other_nodes(context: WorkerContext, run: Run, artifact: Artifact) -> None:
    """Return when this node may download an artifact. Raises Cancelled, LeaseLost.

    The largest file with a known digest decides; without one, no other node's copy can be used.
    """
    pinned = [file for file in artifact.files if file.sha256 is not None]
    if not pinned:
        return
    sha256 = max(pinned, key=lambda file: file.size or 0).sha256
    assert sha256 is not None, "it is pinned"
    stopped, began, logged = threading.Event(), time.monotonic(), False
    run.cancel.on_stop(stopped.set)
    while (node := context.download_limit.begin_or_find_downloader(run.lease, sha256, platform.node())) is not None:
        waited = time.monotonic() - began
        if waited > WAIT_MAX_S:
            return
        if not logged:
            logged = True
            text = f"Waits to copy the file from node {node}, so that fewer nodes download it from its origin."
            context.leases.record_event(run.lease, NewEvent(EventKind.MIRROR, text))
        stopped.wait(min(POLL_MAX_S, POLL_MIN_S + waited / 2))
        run.cancel.check()
