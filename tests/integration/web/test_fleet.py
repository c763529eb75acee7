"""Nodes of one database take files from each other's shares: by digest, with a credential, and a few at a time."""

import hashlib
import platform
import time
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
import sqlalchemy as sa
from support.app import App
from support.cli import cli_app, run_due_jobs
from support.faults import CloseBeforeHeaders
from support.models import gguf, one_file_model
from support.web import web_server

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import nodes
from flowhub_jobs.home import opened
from flowhub_jobs.jobs.node_shares import NodeShares
from flowhub_jobs.operations import publish_share
from flowhub_jobs.operations.schemas.jobs import job_json
from flowhub_jobs.settings import load_settings
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.share_credential import make_credential
from flowhub_jobs.web.share_admission import READING_S, ReaderLimiter

A = gguf((2 << 20) + 77, 1)
DIGEST = hashlib.sha256(A).hexdigest()
BLOB = f"/blobs/{DIGEST}"


@pytest.fixture
def first(home, tmp_path, origin, monkeypatch):
    """A node that has the model `a`; its database is that of all nodes."""
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", f"sqlite:///{tmp_path / 'fleet.db'}")
    monkeypatch.setenv("FLOWHUB_LOOK_ELSEWHERE", "false")
    monkeypatch.setenv("FLOWHUB_NODE", "first")
    with cli_app(home, monkeypatch, one_file_model("a", origin.serve("a.gguf", A), A)) as app:
        app.enqueue("a")
        run_due_jobs(app)
        yield app


@pytest.fixture
def second(first, tmp_path, origin, monkeypatch):
    """Another node of the database, with a home and a store of its own, and nothing in it."""
    with another_node(tmp_path, origin, monkeypatch, "second") as app:
        yield app


@contextmanager
def another_node(tmp_path, origin, monkeypatch, name):
    with monkeypatch.context() as patch:
        patch.setenv("FLOWHUB_NODE", name)
        patch.setenv("FLOWHUB_HOME", str(tmp_path / name))
        app = App(tmp_path / name, one_file_model("a", origin.url("a.gguf"), A))
    try:
        yield app
    finally:
        app.close()


def shares_of(app):
    return NodeShares(app.home.engine, app.home.node, app.home.clock)


def share(app, url, hostname=None):
    """Have a node share at an address, as a machine of that name."""
    shares_of(app).publish(url, platform.node(), "/store")
    if hostname is not None:
        with writing(app.home.engine) as tx:
            tx.execute(sa.update(nodes).where(nodes.c.node == app.home.node).values(hostname=hostname))


def fetch_a(app):
    number = app.enqueue("a")
    app.run_next_job()
    return app.job(number)


def by_origin(job):
    return {source["origin"]: source["bytes"] for source in job_json(job)["sources"]}


def credential_of(app, node="second", digest=DIGEST, now_s=None):
    return make_credential(shares_of(app).token(), node, digest, time.time() if now_s is None else now_s)


def bearer(credential):
    return {"Authorization": f"Bearer {credential}"}


# Taking --------------------------------------------------------------------------------------------------------------


def test_a_node_takes_a_file_from_the_node_that_shares_it_and_the_origin_is_not_asked(first, second, origin):
    sent = origin.sent("a.gguf")
    with web_server(first.settings, share=True) as web:
        job = fetch_a(second)
        assert job.state is State.COMPLETED
        assert by_origin(job) == {web.serving.share_url: len(A)}
    assert origin.sent("a.gguf") == sent
    assert (second.store / "a.gguf").read_bytes() == A


def test_a_share_of_a_node_that_was_removed_and_is_back_is_asked_again(first, second, monkeypatch):
    monkeypatch.setattr(publish_share, "REPUBLISH_S", 0.05)
    with web_server(first.settings, share=True) as web:
        shares_of(first).withdraw(web.serving.share_url)
        first.until(lambda: shares_of(second).copies([DIGEST], platform.node()), "the share is published again")
    assert shares_of(second).copies([DIGEST], platform.node()) == {}


def test_a_share_that_has_ended_is_not_asked(first, second, origin):
    with web_server(first.settings, share=True):
        assert shares_of(second).copies([DIGEST], platform.node())
    assert shares_of(second).copies([DIGEST], platform.node()) == {}
    assert by_origin(fetch_a(second)) == {origin.address: len(A)}


def test_a_share_that_was_killed_costs_a_job_nothing(first, second, origin):
    share(first, "http://127.0.0.1:9")
    job = fetch_a(second)
    assert (job.state, job.attempt, by_origin(job)) == (State.COMPLETED, 1, {origin.address: len(A)})


def test_a_share_whose_file_was_changed_by_hand_is_passed_over(first, second, origin):
    with web_server(first.settings, share=True):
        (first.store / "a.gguf").write_bytes(A[:-1] + b"x")
        assert by_origin(fetch_a(second)) == {origin.address: len(A)}


def test_a_node_does_not_take_from_itself_nor_from_the_loopback_of_another_machine(first, second):
    share(first, "http://127.0.0.1:7811", "h-first")
    assert shares_of(first).copies([DIGEST], "h-first") == {}
    assert shares_of(second).copies([DIGEST], "h-second") == {}
    assert [copy.node for copy in shares_of(second).copies([DIGEST], "h-first")[DIGEST]] == ["first"]


def test_the_copy_on_the_same_machine_comes_first(first, second, tmp_path, origin, monkeypatch):
    fetch_a(second)
    with another_node(tmp_path, origin, monkeypatch, "third") as third:
        share(first, "http://a.example:7811", "h-first")
        share(second, "http://b.example:7811", "h-second")
        for host, nearest in (("h-first", "first"), ("h-second", "second")):
            found = shares_of(third).copies([DIGEST], host)[DIGEST]
            assert found[0].node == nearest
            assert {copy.node for copy in found} == {"first", "second"}


# Credentials ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def network(first):
    """A share at an address that is not the loopback's: it demands a credential. It has no other client."""
    with web_server(first.settings, share=True, host="0.0.0.0", names=("localhost",)) as web:
        yield web


def test_a_credential_reads_its_own_file_and_nothing_else(first, network):
    own = network.client(headers=bearer(credential_of(first)))
    assert own.get(BLOB).content == A
    assert own.head(BLOB).headers["content-length"] == str(len(A))
    assert own.get(BLOB, headers={"Range": "bytes=5-9"}).content == A[5:10]
    for path in ("/catalog.json", "/api/models", "/api/v1/jobs", f"/blobs/{'0' * 64}", f"/blobs/x{DIGEST}"):
        assert own.get(path).status_code == 401
    assert own.post(BLOB).status_code in (401, 405)


def test_without_a_credential_or_with_an_old_or_false_one_nothing_is_read(first, network):
    old, wrong = credential_of(first, now_s=time.time() - 2 * 86_400), credential_of(first, digest="0" * 64)
    future = credential_of(first, now_s=time.time() + 9 * 86_400)
    renamed = credential_of(first).replace("second", "third")
    for given in (old, wrong, future, renamed, "flowhub1.", shares_of(first).token()):
        assert network.client(headers=bearer(given)).get(BLOB).status_code == 401
    assert network.anonymous.get(BLOB).status_code == 401


def test_a_rotated_token_ends_the_credentials_of_the_old_one(first, network, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.web.share_admission.KNOWN_S", 0.0)
    old = credential_of(first)
    shares_of(first).rotate_token()
    assert network.client(headers=bearer(old)).get(BLOB).status_code == 401
    assert network.client(headers=bearer(credential_of(first))).get(BLOB).status_code == 200


def test_the_fleets_token_is_one_and_is_in_no_json(first, second, cli):
    token = shares_of(first).token()
    assert shares_of(second).token() == token
    for verb in (("status",), ("doctor",), ("list",), ("schedule", "show"), ("help",)):
        assert token not in cli(*verb, "--json").out


def test_the_token_never_crosses_the_network(first, second, origin):
    """A server in the middle sees a credential for the file alone."""
    origin.serve(BLOB, A)
    share(first, origin.address)
    assert by_origin(fetch_a(second)) == {origin.address: len(A)}
    [asked] = {request.headers["authorization"] for request in origin.requests(BLOB)}
    assert asked.startswith("Bearer flowhub1.")
    assert shares_of(first).token() not in asked


def test_a_rotation_says_so_and_does_not_show_the_token(first, cli):
    token = shares_of(first).token()
    said = cli("nodes", "rotate-token", "--json")
    assert said.json == {"schema": "flowhub/token-rotated/1", "rotated": True}
    assert shares_of(first).token() != token
    assert "replaced" in cli("nodes", "rotate-token").out


# A few at a time -----------------------------------------------------------------------------------------------------


@pytest.fixture
def long_places(monkeypatch):
    """A node keeps its place for a minute after its last answer."""
    monkeypatch.setattr("flowhub_jobs.web.share_admission.READING_S", 60.0)


def test_a_share_gives_to_two_nodes_at_a_time_and_tells_a_third_when_to_ask_again(first, network, long_places):
    given = {node: network.client(headers=bearer(credential_of(first, node))) for node in ("b", "c", "d")}
    assert [given[node].get(BLOB).status_code for node in ("b", "c", "b", "d")] == [200, 200, 200, 503]
    assert given["d"].get(BLOB).headers["retry-after"] == "1"


def test_a_place_is_free_again_when_a_node_asks_for_nothing_more():
    now = [100.0]
    readers = ReaderLimiter(1, lambda: now[0])
    assert (readers.admit("b"), readers.admit("b"), readers.admit("c")) == (True, True, False)
    readers.leave("b")
    now[0] += 60 * READING_S
    assert not readers.admit("c")  # one answer is still sent
    readers.leave("b")
    now[0] += READING_S / 2
    assert not readers.admit("c")
    now[0] += READING_S
    assert readers.admit("c")


def test_an_answer_that_ends_gives_its_place_back(first, network, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.web.share_admission.READING_S", 0.0)
    given = {node: network.client(headers=bearer(credential_of(first, node))) for node in ("b", "c", "d")}
    for _ in range(2):
        assert [client.get(BLOB).content == A for client in given.values()] == [True, True, True]


def test_a_node_that_finds_no_place_waits_for_one_and_does_not_ask_the_origin(first, second, origin, monkeypatch):
    refused, sent = [], origin.sent("a.gguf")

    def refuse_twice(readers, reader):
        refused.append(reader)
        return len(refused) > 2 and admit(readers, reader)

    admit = ReaderLimiter.admit
    monkeypatch.setattr(ReaderLimiter, "admit", refuse_twice)
    with web_server(first.settings, share=True) as web:
        job = fetch_a(second)
    assert (job.state, by_origin(job)) == (State.COMPLETED, {web.serving.share_url: len(A)})
    assert (origin.sent("a.gguf"), len(refused)) == (sent, 3)


def test_a_node_that_finds_no_place_for_long_takes_the_file_from_elsewhere(
    first, second, origin, long_places, monkeypatch
):
    monkeypatch.setattr("flowhub_jobs.transfer.mirror_choice.COPY_WAIT_S", 0.0)
    with web_server(replace(first.settings, share_readers=1), share=True) as web:
        assert httpx.get(f"{web.serving.base}{BLOB}", trust_env=False).status_code == 200
        job = fetch_a(second)
    assert (job.state, by_origin(job)) == (State.COMPLETED, {origin.address: len(A)})


def test_a_node_serves_a_file_as_soon_as_it_is_installed(first, second, tmp_path, origin, monkeypatch):
    """The file spreads: the third node takes it from the second, when the first is gone."""
    with web_server(second.settings, share=True) as web:
        fetch_a(second)
        origin.break_with(CloseBeforeHeaders(), path="/a.gguf")
        with another_node(tmp_path, origin, monkeypatch, "third") as third:
            assert by_origin(fetch_a(third)) == {web.serving.share_url: len(A)}


def test_a_file_is_served_although_the_library_was_read_before_it_was_installed(first, network, origin, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.web.share_index.RECENT_S", 3600.0)
    other = gguf(5000, 2)
    digest = hashlib.sha256(other).hexdigest()
    client = network.client(headers=bearer(credential_of(first, digest=digest)))
    assert network.client(headers=bearer(credential_of(first))).get(BLOB).content == A
    assert client.get(f"/blobs/{digest}").status_code == 404
    first.set_models(one_file_model("b", origin.serve("b.gguf", other), other))
    first.enqueue("b")
    first.run_next_job()
    assert client.get(f"/blobs/{digest}").content == other


def test_the_share_is_published_and_withdrawn(first):
    def share_url():
        with opened(load_settings()) as home, home.database.reading() as snapshot:
            return [row["share_url"] for row in snapshot.rows("SELECT share_url FROM nodes WHERE node = 'first'")]

    with web_server(first.settings, share=True) as web:
        assert share_url() == [web.serving.share_url]
    assert share_url() == [None]
    with web_server(first.settings, share=True, share_url="https://models.example"):
        assert share_url() == ["https://models.example"]
    with web_server(first.settings):
        assert share_url() == [None]
