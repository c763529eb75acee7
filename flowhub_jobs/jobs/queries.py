"""Reads jobs as values, for every screen and program. No worker is needed."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from flowhub_jobs.database.batches import in_groups
from flowhub_jobs.database.lazy import Database, Row, Snapshot
from flowhub_jobs.jobs.attempts_and_events import History
from flowhub_jobs.jobs.controls import Controls
from flowhub_jobs.jobs.current_holds import CurrentHolds
from flowhub_jobs.jobs.eta import held_sources
from flowhub_jobs.jobs.job_from_row import job_from_row
from flowhub_jobs.jobs.row_decoding import shown_rows
from flowhub_jobs.jobs.shared_select_sql import (
    BRING,
    FILES,
    IS_LIVE,
    LIVE_OF_NODE,
    OF_NODE,
    RUNNING_OF_NODE,
    STILL_TO_START,
    WRITES_TO_STORE,
    live_jobs,
    no_such_job,
)
from flowhub_jobs.jobs.states import Hold
from flowhub_jobs.jobs.unreplaced_failures import unreplaced_failures
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import Reason, State
from flowhub_jobs.values.jobs import ANY_NODE, Event, Job, JobFile

RECENT, RECENT_OTHERS = 20, 5
RECENT_SCANNED = 500  # of the last that ended, to find them among
# A worker that drains does not wait for these: they may hold for hours, and the user knows.
HELD = (Reason.AT, Reason.WINDOW, Reason.STORE_OFFLINE, Reason.DISK, Reason.NETWORK)
_NEED = "(jobs.bytes_total - jobs.bytes_done)"


def _in_state(states: Iterable[State], group: str | None) -> tuple[str, dict[str, Any]]:
    """Return the condition for a node's jobs in these states, of `group` if given, and its values."""
    where, values = f"{OF_NODE} AND jobs.state IN :states", {"states": list(states)}
    if group is None:
        return where, values
    return f'{where} AND jobs."group" = :group', values | {"group": group}


class JobQueries:
    """Reads jobs of one node."""

    def __init__(
        self, database: Database, node: str, clock: Clock, is_dead: Callable[[str], bool | None] = lambda worker: None
    ) -> None:
        """`is_dead(worker)` is True where a worker is known to be gone: then its jobs have no speed."""
        self._database, self._node, self._clock, self._is_dead = database, node, clock, is_dead
        self._controls = Controls(database, node, clock)
        self._holds = CurrentHolds(database, clock)

    def jobs(self, numbers: Sequence[int]) -> list[Job]:
        """Return these jobs in this order. Raises NotFound, naming the first that is not there."""
        with self._database.reading() as snapshot:
            by_number = {job.id: job for job in self._numbered(snapshot, numbers)}
            for number in numbers:
                if number not in by_number:
                    raise no_such_job(snapshot, number)
        return [by_number[number] for number in numbers]

    def known(self, numbers: Sequence[int]) -> list[Job]:
        """Return those of these jobs that are there, by number."""
        with self._database.reading() as snapshot:
            return self._numbered(snapshot, sorted(set(numbers)))

    def overview(self) -> list[Job]:
        """Return all live jobs, the failed ones that need the user, and the last 20 that ended, by number.

        Of those that brought no model (verify, export), only the last 5.
        """
        lately = "finished_at IS NOT NULL ORDER BY finished_at DESC, id DESC LIMIT :most"
        with self._database.reading() as snapshot:
            rows = self._rows(snapshot, f"SELECT id, kind FROM jobs WHERE {OF_NODE} AND {lately}", most=RECENT_SCANNED)  # noqa: S608, fixed text
            brought = [row["id"] for row in rows if row["kind"] in BRING][:RECENT]
            others = [row["id"] for row in rows if row["kind"] not in BRING][:RECENT_OTHERS]
            live = self._numbers(snapshot, LIVE_OF_NODE)
            needed = unreplaced_failures(snapshot, self._node, self._clock.now_us())
            return self._numbered(snapshot, sorted({*brought, *others, *live, *needed}))

    def jobs_that_need_user(self) -> list[int]:
        """Return the failed jobs that no later job replaces, newest first."""
        with self._database.reading() as snapshot:
            return unreplaced_failures(snapshot, self._node, self._clock.now_us())

    def all(
        self, *, state: State | None = None, since: int | None = None, live: bool = False, group: str | None = None
    ) -> list[Job]:
        """Return every job, by number; only those in `state`, of `group`, and created or ended since, if given.

        `since` is microseconds.
        """
        where, values = [OF_NODE], {"state": state, "group": group, "since": since}
        if state is not None:
            where.append("jobs.state = :state")
        if group is not None:
            where.append('jobs."group" = :group')
        if live:
            where.append(IS_LIVE)
        if since is not None:
            where.append("(jobs.created_at >= :since OR jobs.finished_at >= :since)")
        parameters = {name: value for name, value in values.items() if value is not None}
        with self._database.reading() as snapshot:
            return self._load(snapshot, " AND ".join(where), node=self._node, **parameters)

    def in_state(self, states: Iterable[State], group: str | None = None) -> list[int]:
        """Return the jobs in one of these states, of `group` if given, by number."""
        where, values = _in_state(states, group)
        with self._database.reading() as snapshot:
            return self._numbers(snapshot, where, **values)

    def retryable(self, states: Iterable[State], group: str | None = None) -> list[int]:
        """Return the jobs in one of these states that can be queued again together, by number.

        Of several for the same files it is the newest, and none where another job for them is live.
        """
        where, values = _in_state(states, group)
        query = f"SELECT id, artifact_key FROM jobs WHERE {where} ORDER BY id"  # noqa: S608, fixed text
        with self._database.reading() as snapshot:
            newest = {row["artifact_key"]: row["id"] for row in self._rows(snapshot, query, **values)}
            live = {key for _, key in live_jobs(snapshot, [self._node])}
        return sorted(job for key, job in newest.items() if key not in live)

    def waiting_for_any_node(self) -> int:
        """Return how many jobs are queued for any node, which none has taken yet."""
        with self._database.reading() as snapshot:
            query = "SELECT count(*) AS jobs FROM jobs WHERE node = :node AND state = 'queued'"
            return int(snapshot.rows(query, node=ANY_NODE)[0]["jobs"])

    def nodes_of(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return the node of each of these jobs; ANY_NODE where none has taken it."""
        query = "SELECT id, node FROM jobs WHERE id IN :numbers"
        with self._database.reading() as snapshot:
            rows = [row for group in in_groups(numbers) for row in snapshot.rows(query, numbers=group)]
        return {row["id"]: row["node"] for row in rows}

    def state_of(self, numbers: Iterable[int]) -> dict[int, State]:
        query = "SELECT id, state FROM jobs WHERE id IN :numbers"
        with self._database.reading() as snapshot:
            rows = [row for group in in_groups(numbers) for row in snapshot.rows(query, numbers=group)]
        return {row["id"]: State(row["state"]) for row in rows}

    def live_jobs(self) -> dict[str, int]:
        """Return the live job of each artifact key."""
        with self._database.reading() as snapshot:
            return {key: job for (_, key), job in live_jobs(snapshot, [self._node]).items()}

    def live_jobs_of(self, nodes: Collection[str]) -> dict[tuple[str, str], int]:
        """Return the live job of each of these nodes and artifact keys; for ANY_NODE, one of whichever node."""
        with self._database.reading() as snapshot:
            return live_jobs(snapshot, nodes)

    def events(self, job: int) -> list[Event]:
        """Return what happened to a job, oldest first."""
        return History(self._database).events([job])[job]

    def last_attempt(self, job: int) -> int:
        """Return the number of the last attempt that began, given back or not; 0: none did."""
        with self._database.reading() as snapshot:
            [row] = snapshot.rows("SELECT max(attempt) AS last FROM attempts WHERE job_id = :job", job=job)
        return row["last"] or 0

    def wait_text(self, job: int) -> str | None:
        """Return in words why a queued job waits, as its last run left it."""
        with self._database.reading() as snapshot:
            rows = snapshot.rows("SELECT wait_text FROM jobs WHERE id = :job", job=job)
        return rows[0]["wait_text"] if rows else None

    def holds(self, job: int) -> list[Hold]:
        """Return everything that keeps a queued job from starting now, the reason that is shown first."""
        with self._database.reading() as snapshot:
            rows = shown_rows(snapshot, "jobs.id = :job AND jobs.state = 'queued'", job=job)
            return self._holds.of_rows(snapshot, rows)(rows[0]) if rows else []

    def still_to_do(self, given_up: Collection[str] = ()) -> bool:
        """Return whether a worker that drains has to stay: something runs, or is queued and not held for long.

        Jobs of the origins `given_up`, whose hosts could not be reached for too long, do not count.
        A job that waits for other jobs does not count: those jobs keep the worker running, and it counts once they have
        ended. If they are held or paused, it does not count either.
        """
        now_us, queued = self._clock.now_us(), STILL_TO_START
        values = {"held": list[str](HELD)}
        if given_up:
            values["given_up"] = list(given_up)
            queued += " AND (jobs.source_origin IS NULL OR jobs.source_origin NOT IN :given_up)"
        with self._database.reading() as snapshot:
            gates = self._controls.gates_in(snapshot)
            if gates.window_shut(now_us):
                queued += " AND jobs.start_now"
            if gates.cap_reached(now_us):
                queued += " AND jobs.kind <> 'fetch'"
            if self._exists(snapshot, RUNNING_OF_NODE):
                return True
            return not gates.holds(now_us, start_now=True) and self._exists(snapshot, queued, now=now_us, **values)

    def ended_badly(self, since: int) -> bool:
        """Return whether a job of the node has ended since then otherwise than completed."""
        with self._database.reading() as snapshot:
            bad = f"{OF_NODE} AND jobs.finished_at >= :since AND jobs.state <> 'completed'"
            return self._exists(snapshot, bad, since=since)

    def bytes_being_fetched(self, but: int) -> int:
        """Return the bytes that the node's running jobs, except `but`, have yet to put on the disk."""
        return self._bytes_to_come("jobs.state = 'running' AND jobs.id <> :but", but=but)

    def bytes_still_needed(self, stores: Collection[str] | None = None) -> int:
        """Return the bytes that all queued and running jobs of the node have yet to put on the disk.

        Only those of jobs for the named `stores`, if any are named.
        """
        which = "jobs.state IN ('queued', 'running')"
        if stores is None:
            return self._bytes_to_come(which)
        return self._bytes_to_come(f"{which} AND jobs.store IN :stores", stores=list(stores))

    def _bytes_to_come(self, which: str, **values: Any) -> int:
        where = f"{LIVE_OF_NODE} AND {WRITES_TO_STORE} AND {_NEED} > 0 AND {which}"
        query = f"SELECT coalesce(sum({_NEED}), 0) AS needed FROM jobs WHERE {where}"  # noqa: S608, fixed text
        return int(self._database.query(query, node=self._node, **values)[0]["needed"])

    def working_on(self, targets: Iterable[str], moved: str | None = None) -> int | None:
        """Return a running job that writes one of these paths, or moves the artifact with the key `moved`; or None."""
        moves = "jobs.kind = 'move' AND jobs.artifact_key = :moved"
        query = f"SELECT id FROM jobs WHERE {RUNNING_OF_NODE} AND (jobs.target IN :targets OR ({moves})) LIMIT 1"  # noqa: S608, fixed text
        with self._database.reading() as snapshot:
            rows = self._rows(snapshot, query, targets=list(targets), moved=moved or "")
        return rows[0]["id"] if rows else None

    def live_targets(self) -> set[str]:
        """Return the paths that live jobs write, or read."""
        query = f"SELECT target FROM jobs WHERE {LIVE_OF_NODE}"  # noqa: S608, fixed text
        with self._database.reading() as snapshot:
            return {row["target"] for row in self._rows(snapshot, query)}

    def workers(self) -> list[str]:
        with self._database.reading() as snapshot:
            return [row["worker"] for row in self._rows(snapshot, "SELECT worker FROM workers WHERE node = :node")]

    def _rows(self, snapshot: Snapshot, query: str, **values: Any) -> list[Row]:
        return snapshot.rows(query, node=self._node, **values)

    def _numbers(self, snapshot: Snapshot, where: str, **values: Any) -> list[int]:
        rows = self._rows(snapshot, f"SELECT id FROM jobs WHERE {where} ORDER BY id", **values)  # noqa: S608, fixed text
        return [row["id"] for row in rows]

    def _exists(self, snapshot: Snapshot, where: str, **values: Any) -> bool:
        return bool(self._rows(snapshot, f"SELECT id FROM jobs WHERE {where} LIMIT 1", **values))  # noqa: S608, fixed text

    # From rows to values -------------------------------------------------------------------------------------------

    def _numbered(self, snapshot: Snapshot, numbers: Sequence[int]) -> list[Job]:
        loaded = (self._load(snapshot, "jobs.id IN :numbers", numbers=group) for group in in_groups(numbers))
        return [job for group in loaded for job in group]

    def _load(self, snapshot: Snapshot, where: str, **values: Any) -> list[Job]:
        rows = shown_rows(snapshot, where, **values)
        files: dict[int, list[JobFile]] = {row["id"]: [] for row in rows}
        for group in in_groups(files):
            for file in snapshot.rows(FILES, jobs=group):
                job, *fields = file.values()
                files[job].append(JobFile(*fields))
        holds, held = self._holds.of_rows(snapshot, rows), held_sources(snapshot, rows)
        return [
            job_from_row(
                row,
                tuple(files[row["id"]]),
                holds,
                moving=row["state"] == State.RUNNING and self._is_dead(row["lease_worker"]) is not True,
                held=(row["node"], row["source_origin"]) in held,
            )
            for row in rows
        ]
