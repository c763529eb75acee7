"""The limit of nodes that download one file at a time, over both databases."""

import pytest
import sqlalchemy as sa
from support.job_store import PIN, artifact

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import artifact_files, artifacts, jobs, workers
from flowhub_jobs.jobs.commands import JobCommands
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.node_shares import NodeShares
from flowhub_jobs.jobs.nodes_per_file_limit import NodeDownloadLimit
from flowhub_jobs.jobs.run_values import LeaseLost, Progress
from flowhub_jobs.values.enums import DigestState, Stage


class Node:
    """A node with a running job for the file; by default it shares its store."""

    def __init__(self, job_store, name, *, shares=True):
        self.engine, self.name, clock = job_store.engine, name, job_store.time.clock
        if shares:
            NodeShares(self.engine, name, clock).publish(f"http://{name}.example", name, "/store")
        JobCommands(self.engine, name, clock).enqueue([EnqueueRequest(artifact(), "/store/tiny")])
        self.leases = LeaseStore(self.engine, name, f"w-{name}", clock)
        self.leases.register(1, 3)
        self.lease = self.leases.claim().lease
        self.limit = NodeDownloadLimit(self.engine, name, clock, 2)

    def begin(self):
        """Take a place at the origin and return None, or return the node whose copy to wait for."""
        return self.limit.begin_or_find_downloader(self.lease, PIN, self.name)

    def install(self):
        row = {"node": self.name, "name": "m", "name_key": "m", "artifact_key": "k", "ref": "m@q", "bytes": 1}
        file = {"path": "f", "bytes": 1, "sha256": PIN, "mtime_ns": 1}
        with writing(self.engine) as tx:
            [artifact_id] = tx.execute(
                artifacts.insert().values(**row, installed_at=1, verified_at=1)
            ).inserted_primary_key
            tx.execute(artifact_files.insert().values(artifact_id=artifact_id, **file))
        self.end()

    def end(self):
        with writing(self.engine) as tx:
            tx.execute(sa.update(jobs).where(jobs.c.id == self.lease.job).values(state="completed", stage=None))


@pytest.fixture
def fleet(job_store):
    return [Node(job_store, name) for name in "abcdef"]


def test_one_node_downloads_from_the_origin_and_the_others_wait_for_its_copy(fleet):
    assert [node.begin() for node in fleet] == [None, "a", "a", "a", "a", "a"]


def test_a_download_that_has_no_answer_yet_keeps_its_place(fleet):
    a, b, *_ = fleet
    assert a.begin() is None
    a.leases.progress(a.lease, Progress(Stage.RESOLVE, 1, 0, 0, None, DigestState.PENDING))
    assert b.begin() == "a"


def test_each_copy_serves_two_nodes_and_each_of_these_is_a_copy_afterwards(fleet):
    a, b, c, *rest = fleet
    assert a.begin() is None
    a.install()
    assert [node.begin() for node in (b, c, *rest)] == [None, None, "a", "a", "a"]
    b.install()
    c.install()
    assert [node.begin() for node in rest] == [None, None, None]


def test_the_next_node_downloads_if_the_first_one_ended_without_the_file(fleet):
    a, b, c, *_ = fleet
    assert a.begin() is None
    a.end()
    assert [b.begin(), c.begin()] == [None, "b"]


def test_the_next_node_downloads_if_the_worker_of_the_first_one_is_gone(fleet):
    a, b, *_ = fleet
    assert a.begin() is None
    with writing(a.engine) as tx:
        tx.execute(sa.update(workers).where(workers.c.node == "a").values(seen_at=1))
    assert b.begin() is None


def test_no_node_waits_for_one_that_does_not_share(job_store):
    a, b, c = Node(job_store, "a", shares=False), Node(job_store, "b"), Node(job_store, "c")
    assert [a.begin(), b.begin(), c.begin()] == [None, None, "b"]


def test_a_run_without_its_lease_takes_no_place(fleet):
    fleet[1].end()
    with pytest.raises(LeaseLost):
        fleet[1].begin()


def test_of_nodes_that_make_the_fleets_token_at_once_all_have_one(job_store):
    first, second = (NodeShares(job_store.engine, name, job_store.time.clock) for name in "ab")
    token = first.token()
    assert second._new_token(replace=False) == token  # it had read that there is none
    second.rotate_token()
    assert first.token() == second.token() != token
