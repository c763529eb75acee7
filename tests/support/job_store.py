"""Jobs, leases and library over one real database, without a worker: the writes of a user and two owners."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import SQLITE_LIMIT_VARIABLE_NUMBER
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import open_database, reading, writing
from flowhub_jobs.database.lazy import Database
from flowhub_jobs.database.tables import jobs
from flowhub_jobs.errors import SourceMissing
from flowhub_jobs.jobs.commands import JobCommands
from flowhub_jobs.jobs.controls import SCHEDULE, Controls
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest, EnqueueTerms
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.queries import JobQueries
from flowhub_jobs.jobs.rescue import rescue
from flowhub_jobs.jobs.run_values import Claimed
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, FileDigest
from flowhub_jobs.values.enums import HubFormat, State
from support.fake_clock import FakeClock
from support.new_database import put_new_database
from support.time_zones import local_time_zone

NODE = "n-test"
PIN = "ab" * 32


def artifact(model: str = "tiny", *, option: str = "q4", size: int | None = 1000, sha256: str | None = PIN) -> Artifact:
    """Return an artifact of one file, by default with a pin."""
    name = f"{model}-{option}.gguf"
    file = ArtifactFile(name, f"https://h.example/{name}", size, sha256)
    return Artifact(f"{model}@{option}", model, option, HubFormat.GGUF, name, False, (file,))


def folder_artifact(model: str = "tiny", *, sizes: dict[str, int], pins: dict[str, str] | None = None) -> Artifact:
    """Return a folder artifact of these paths; `pins` are digests by path."""
    files = tuple(
        ArtifactFile(path, f"https://h.example/{path}", size, (pins or {}).get(path)) for path, size in sizes.items()
    )
    return Artifact(f"{model}@mlx", model, "mlx", HubFormat.MLX, f"{model}-mlx", True, files)


def file_digests(artifact: Artifact) -> tuple[FileDigest, ...]:
    """Return the digests that a run reports of these files once they are fetched."""
    return tuple(
        FileDigest(file.path, file.size or 0, file.sha256 or PIN, bool(file.sha256)) for file in artifact.files
    )


class JobStore:
    """Commands, leases and queries of one node over a real database, with a fake clock."""

    def __init__(self, folder: Path, node: str = NODE, url: str | None = None) -> None:
        """`url` is of a PostgreSQL database; without it there is a SQLite file in the folder."""
        self.time = FakeClock()
        self.node = node
        folder.mkdir(exist_ok=True)
        if url is None:
            put_new_database(folder)
        self.url = url or f"sqlite:///{folder / 'flowhub.db'}"
        self.engine = open_database(self.url, lock_folder=folder, node=node)
        self.commands = JobCommands(self.engine, node, self.time.clock)
        self.database = Database.of(self.engine)
        self.queries = JobQueries(self.database, node, self.time.clock)
        self.controls = Controls(self.database, node, self.time.clock)
        self.owner = self.worker("w-1")

    def close(self) -> None:
        self.engine.dispose()

    def limit_variables(self) -> None:
        """Limit SQLite to its default number of bound parameters: some systems build it with a higher limit."""
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "checkout", lambda raw, *_: raw.setlimit(SQLITE_LIMIT_VARIABLE_NUMBER, 32_766))

    def worker(self, name: str) -> LeaseStore:
        return LeaseStore(self.engine, self.node, name, self.time.clock)

    def enqueue(self, *models: str, **terms: Any) -> list[int]:
        """Queue one artifact for each model; return the jobs."""
        requests = [EnqueueRequest(artifact(model), f"/store/{model}", EnqueueTerms(**terms)) for model in models]
        return [answer.job for answer in self.commands.enqueue(requests)]

    def claim(self) -> Claimed:
        claimed = self.owner.claim()
        assert claimed is not None
        return claimed

    def schedule(self, windows: str | None, days: str | None = None, outside: str = "pause") -> None:
        """Set the schedule as a user does; None removes it."""
        schedule = Schedule.parse(windows, days, outside).as_json() if windows else None
        self.controls.set(SCHEDULE, schedule)

    def claim_through_gates(self) -> int | None:
        """Claim as a worker does, obeying the gates; return the job."""
        claimed = self.owner.claim(self.controls.gates())
        return claimed.lease.job if claimed else None

    def complete(self, claimed: Claimed) -> None:
        with writing(self.engine) as tx:
            self.owner.complete(tx, claimed.lease, "/store/there", file_digests(claimed.artifact), "It is installed.")

    def rescue(self, *dead: str) -> list[int]:
        """Rescue jobs whose lease has ended, or whose worker is in `dead`; return them."""
        return list(rescue(self.engine, self.node, self.time.clock, lambda worker: worker in dead))

    def row(self, job: int) -> dict[str, Any]:
        with reading(self.engine) as tx:
            return dict(tx.execute(sa.select(jobs).where(jobs.c.id == job)).mappings().one())

    def state(self, job: int) -> State:
        return State(self.row(job)["state"])

    def set_row(self, job: int, **values: Any) -> None:
        with writing(self.engine) as tx:
            tx.execute(sa.update(jobs).where(jobs.c.id == job).values(**values))

    def job_in(self, state: State, model: str = "tiny") -> int:
        """Queue a job and bring it into this state by regular transitions."""
        [job] = self.enqueue(model)
        if state is State.PAUSED:
            self.commands.pause(job)
        elif state is State.CANCELLED:
            self.commands.cancel(job)
        elif state is not State.QUEUED:
            claimed = self.claim()
            if state is State.COMPLETED:
                self.complete(claimed)
            elif state is State.FAILED:
                self.owner.fail(claimed.lease, SourceMissing("It is gone."))
        return job


@contextlib.contextmanager
def store_in_berlin(folder: Path, url: str | None, at: str) -> Iterator[JobStore]:
    """Make a store on a machine in Berlin at the time `at` (RFC 3339)."""
    with local_time_zone("Europe/Berlin"):
        store = JobStore(folder, url=url)
        store.time.set_to(at)
        yield store
        store.close()
