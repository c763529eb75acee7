"""Checks of the state at the end. Each yields one line per violation."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job
from lib.chaos.snapshot import Attempt, Snapshot

LATE_S = 2.0  # a cancel may be this late for a job that is about to end
NOTICES_S = 1.0  # a worker without its lease notices the loss within this time
STAYS = {"migrate.lock", "node", "catalog.json", "worker.log", "llms", "workers", "flowhub.db", "queue.db"}
INTENTS_OF_CANCELLED = "SELECT intent FROM jobs WHERE state = 'cancelled' AND intent IS NOT NULL"
LEASES_LEFT = (
    "SELECT id, state FROM jobs WHERE state <> 'running' AND "
    "(lease_token IS NOT NULL OR lease_worker IS NOT NULL OR lease_boot IS NOT NULL OR lease_until IS NOT NULL)"
)
ENDS = {"completed", "failed", "waits", "handed_back", "paused", "cancelled", "rescued"}


def violations(snapshot: Snapshot) -> list[str]:
    """Return all violations."""
    return [complaint for judge in JUDGES for complaint in judge(snapshot)]


def jobs_ended_as_asked(snapshot: Snapshot) -> Iterator[str]:
    refused = snapshot.run.refused
    for job in snapshot.jobs:
        expected = State.CANCELLED if job.id in refused else State.COMPLETED
        if job.state is not expected and not (job.state is State.COMPLETED and _was_too_late(snapshot, job)):
            yield f"job {job.id} ({job.ref}) is {job.state}, not {expected}; said no at {snapshot.refused_at}: {job}"
        if (
            job.state is State.CANCELLED
            and refused.get(job.id) == "purge"
            and (job.bytes_done or _partial(snapshot, job))
        ):
            yield f"job {job.id} ({job.ref}) was purged, and still has {job.bytes_done} bytes, or a partial"


def _was_too_late(snapshot: Snapshot, job: Job) -> bool:
    return job.finished_at is not None and job.finished_at.timestamp() <= snapshot.refused_at + LATE_S


def _partial(snapshot: Snapshot, job: Job) -> bool:
    return snapshot.run.app.partial(str(job.model)).exists()


def files_are_right(snapshot: Snapshot) -> Iterator[str]:
    for model in snapshot.run.models:
        if snapshot.is_installed(model):
            yield from model.faults_in(snapshot.run.app.store)


def store_is_known(snapshot: Snapshot) -> Iterator[str]:
    app = snapshot.run.app
    visible = {path.name for path in app.store.iterdir() if not path.name.startswith(".")}
    known = {str(name) for (name,) in snapshot.run.database.rows("SELECT name FROM artifacts")}
    expected = {model.name for model in snapshot.run.models if snapshot.is_installed(model)}
    # A worker installed it and was killed before it wrote the row; then its job was cancelled.
    intents = [_decoded(intent) for (intent,) in snapshot.run.database.rows(INTENTS_OF_CANCELLED)]
    cut_short = {intent["name"] for intent in intents if isinstance(intent, dict)}
    if known != expected or not expected <= visible <= expected | cut_short:
        yield f"the store has {sorted(visible)}, the library {sorted(known)}, installed were {sorted(expected)}"
    hidden = {path.name for path in app.store.iterdir()} - visible - {".partial", ".store-id"}
    if hidden:
        yield f"in the store are left {sorted(hidden)}"


def _decoded(value: Any) -> Any:
    """Return the value of a JSON column; SQLite returns its text."""
    return json.loads(value) if isinstance(value, str) else value


def partials_wait_for_someone(snapshot: Snapshot) -> Iterator[str]:
    run = snapshot.run
    cancelled = {job.model for job in snapshot.jobs if job.state is State.CANCELLED}
    may_stay = {run.app.partial(model.model).name for model in run.models if model.model in cancelled}
    for name in run.app.leftover_partials():
        if name not in may_stay:
            yield f".partial/{name} is left of jobs that are completed"


def nothing_is_left_over(snapshot: Snapshot) -> Iterator[str]:
    names = {path.name for path in snapshot.home.iterdir()}
    databases = {
        f"{name}{suffix}" for name in ("flowhub.db", "queue.db", "queue.db.damaged") for suffix in ("", "-wal", "-shm")
    }
    if strays := names - STAYS - databases:
        yield f"in the home are left {sorted(strays)}"
    locks = {path.name for path in (snapshot.home / "workers").iterdir()} - {"install"}
    if locks:
        yield f"lock files are left of {len(locks)} workers that are gone: {sorted(locks)[:3]}…"
    if rows := snapshot.run.database.rows("SELECT worker FROM workers"):
        yield f"rows are left of {len(rows)} workers that are gone"


def attempts_do_not_overlap(snapshot: Snapshot) -> Iterator[str]:
    last: dict[int, Attempt] = {}
    for attempt in snapshot.attempts:
        before = last.get(attempt.job)
        if attempt.ended is None or attempt.outcome is None:
            yield f"{attempt} never ended"
        if before is not None and (before.ended is None or before.ended > attempt.began):
            yield f"{attempt} began before {before} had ended"
        last[attempt.job] = attempt
    tokens = [attempt.token for attempt in snapshot.attempts]
    if len(set(tokens)) < len(tokens):
        yield "two attempts have the same token"


def events_tell_of_one_owner(snapshot: Snapshot) -> Iterator[str]:
    """In the order of the events, each attempt begins, then ends, and at most one of a job completes."""
    told: dict[int, list[str]] = {}
    for job, kind in snapshot.run.database.rows("SELECT job_id, kind FROM events ORDER BY id"):
        told.setdefault(int(str(job)), []).append(str(kind))
    for job, kinds in told.items():
        owned = False
        for kind in kinds:
            if kind == "claimed" and owned:
                yield f"job {job} was claimed while it had an owner: {kinds}"
            owned = kind == "claimed" or (owned and kind not in ENDS)
        if owned or kinds.count("completed") > 1:
            yield f"job {job} did not end, or more than once: {kinds}"


def only_owners_ask(snapshot: Snapshot) -> Iterator[str]:
    """Every request came from the job's owner at that time; or from a worker that just lost the job, or just woke."""
    model = {job.id: job.model for job in snapshot.jobs}
    for one in snapshot.asked:
        name = snapshot.names.get(one.token)
        own = [a for a in snapshot.attempts if a.worker == name and model[a.job] == one.model]
        owned = any(
            a.began <= one.at <= (a.ended or one.at) + (NOTICES_S if a.outcome == "rescued" else 0) for a in own
        )
        woken = any(0 <= one.at - at <= NOTICES_S for at in snapshot.let_go[one.token])
        if not owned and not woken:
            yield f"{one.token} ({name}) asked for {one.model} when it did not own its job: {one}, {own}"


def bytes_are_within(snapshot: Snapshot) -> Iterator[str]:
    totals = snapshot.bytes()
    if totals.lost > totals.may_be_lost:
        yield f"{totals.lost:,} bytes were sent and never kept; {totals.may_be_lost:,} may be"
    for model in snapshot.run.models:
        sent, counted, due = snapshot.sent(model), snapshot.counted(model), snapshot.to_fetch(model)
        turned = snapshot.turned(model)  # each flipped byte costs a piece, or the file
        # Bytes of a killed attempt count when its job continues; another job may use those of a cancelled one.
        least = 0 if snapshot.was_ever_cancelled(model) else due
        if not least <= counted <= min(sent, due + turned * model.size):
            yield f"of {model.model} the jobs count {counted:,} bytes; sent {sent:,}, due {due:,}, turned {turned}"


def status_is_consistent(snapshot: Snapshot) -> Iterator[str]:
    listed = _flowhub("status", "--all", "--json")["jobs"]
    if [job["id"] for job in listed] != [job.id for job in snapshot.jobs]:
        yield f"status names {len(listed)} jobs, the rows {len(snapshot.jobs)}"
    for job in listed:
        yield from (f"status of job {job['id']}: {what}: {job}" for what in _contradictions(job))
    listed = {model["name"]: model for model in _flowhub("list", "--json")["models"]}
    for model in snapshot.run.models:
        if snapshot.is_installed(model) and listed.get(model.name, {}).get("bytes") != model.size:
            yield f"list says of {model.name}: {listed.get(model.name)}"


def _contradictions(job: dict[str, Any]) -> Iterator[str]:
    done = job["state"] == "completed"
    if job["stage"] or job["rate_bps"] or job["reason"]:
        yield "it has ended, and has a stage, a rate or a reason"
    if job["finished_at"] is None or not job["created_at"] <= job["finished_at"]:
        yield "its times are in no order"
    if job["error"] is not None:
        yield "it has an error"
    if done and not job["bytes_total"] == job["bytes_done"] == sum(file["bytes"] for file in job["files"]):
        yield "it is completed, and its bytes are not all there"
    if done and (job["sha256_state"] not in ("verified", "unpinned") or job["attempt"] < 1):
        yield "it is completed, and not verified, or by no attempt"


def _flowhub(*arguments: str) -> Any:
    command = [sys.executable, "-m", "flowhub_jobs.cli.main", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def leases_are_clean(snapshot: Snapshot) -> Iterator[str]:
    if rows := snapshot.run.database.rows(LEASES_LEFT):
        yield f"jobs that do not run have a lease: {rows}"


def databases_are_sound(snapshot: Snapshot) -> Iterator[str]:
    yield from snapshot.run.database.faults()


JUDGES: tuple[Callable[[Snapshot], Iterator[str]], ...] = (
    jobs_ended_as_asked,
    files_are_right,
    store_is_known,
    partials_wait_for_someone,
    nothing_is_left_over,
    attempts_do_not_overlap,
    events_tell_of_one_owner,
    only_owners_ask,
    bytes_are_within,
    status_is_consistent,
    leases_are_clean,
    databases_are_sound,
)
