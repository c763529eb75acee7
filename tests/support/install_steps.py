"""The calls at which failpoints kill a run, by package, and the steps of an installation (CALL:WHEN)."""

PIPELINE, INSTALL = "flowhub_jobs.worker.pipeline", "flowhub_jobs.store.install"
LEASES, LIBRARY = "flowhub_jobs.jobs.lease_store:LeaseStore", "flowhub_jobs.store.library:Library"

INSTALLATION = [
    f"{INSTALL}:stage:before",
    f"{INSTALL}:stage:after",
    f"{LEASES}.record_intent:after",
    f"{INSTALL}:rename_new:before",
    f"{INSTALL}:rename_new:after",
    f"{PIPELINE}:remove_partial:amid",
    f"{LIBRARY}.record_installed:before",
    f"{LIBRARY}.record_installed:after",
    f"{LEASES}.complete:after",
]
