"""Texts about the states of a job, and about each transition."""

from flowhub_jobs.values.enums import State

STATES = {
    State.QUEUED: "Waits: for a worker, or for what `flowhub status JOB` names as its reason.",
    State.RUNNING: "A worker downloads, verifies or installs it.",
    State.PAUSED: "Stopped by `flowhub pause`; its partial download is kept until `flowhub resume`.",
    State.COMPLETED: "Verified and installed.",
    State.FAILED: "Ended with an error; `flowhub status JOB` shows it and what to do.",
    State.CANCELLED: "Ended by `flowhub cancel`; its partial download is kept unless --purge was given.",
}
MOVED_BY = {
    (State.QUEUED, State.RUNNING): "a worker that claims it",
    (State.RUNNING, State.COMPLETED): "its worker",
    (State.RUNNING, State.FAILED): "its worker",
    (State.RUNNING, State.QUEUED): "its worker (a wait, a stop), or another one after its worker died",
    (State.RUNNING, State.PAUSED): "its worker, after `flowhub pause`",
    (State.RUNNING, State.CANCELLED): "its worker, after `flowhub cancel`",
    (State.QUEUED, State.PAUSED): "`flowhub pause`",
    (State.QUEUED, State.CANCELLED): "`flowhub cancel`",
    (State.PAUSED, State.QUEUED): "`flowhub resume`, `flowhub start`",
    (State.PAUSED, State.CANCELLED): "`flowhub cancel`",
    (State.FAILED, State.QUEUED): "`flowhub retry`",
    (State.CANCELLED, State.QUEUED): "`flowhub retry`",
}
