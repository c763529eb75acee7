"""Shares of nodes and the fleet's token, over both databases."""

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import artifact_files, artifacts, nodes
from flowhub_jobs.jobs.node_shares import COPIES_MAX, NodeShares

SHA, OTHER = "ab" * 32, "cd" * 32


def shares_of(job_store, name):
    return NodeShares(job_store.engine, name, job_store.time.clock)


def install(job_store, name, *digests):
    """Put a model with these files into the library of a node."""
    row = {"node": name, "name": "m", "name_key": "m", "artifact_key": "k", "ref": "m@q", "bytes": 1}
    with writing(job_store.engine) as tx:
        [artifact_id] = tx.execute(artifacts.insert().values(**row, installed_at=1, verified_at=1)).inserted_primary_key
        for number, digest in enumerate(digests):
            file = {"path": f"f{number}", "bytes": 1, "sha256": digest, "mtime_ns": 1}
            tx.execute(artifact_files.insert().values(artifact_id=artifact_id, **file))


def share_url(job_store, name):
    with reading(job_store.engine) as tx:
        return tx.execute(sa.select(nodes.c.share_url).where(nodes.c.node == name)).scalar()


def test_a_share_is_withdrawn_by_the_server_that_published_it_alone(job_store):
    shares = shares_of(job_store, "a")
    shares.publish("http://a.example:1", "h", "/store")
    shares.publish("http://a.example:2", "h", "/store")
    shares.withdraw("http://a.example:1")
    assert share_url(job_store, "a") == "http://a.example:2"
    shares.withdraw("http://a.example:2")
    assert share_url(job_store, "a") is None


def test_copies_are_those_of_other_nodes_that_share(job_store):
    for name in ("a", "b", "c"):
        install(job_store, name, SHA, OTHER)
    for name in ("a", "b"):
        shares_of(job_store, name).publish(f"http://{name}.example", "h", "/store")
    copies_of_a = shares_of(job_store, "a").copies([SHA, "ef" * 32], "h-a")
    assert {digest: [copy.node for copy in copies] for digest, copies in copies_of_a.items()} == {SHA: ["b"]}
    assert {copy.node for copy in shares_of(job_store, "c").copies([OTHER], "h-c")[OTHER]} == {"a", "b"}
    assert shares_of(job_store, "c").copies([], "h-c") == {}


def test_of_many_copies_each_node_has_a_few_in_an_order_of_its_own(job_store):
    names = [f"n{number:02}" for number in range(20)]
    for name in names:
        install(job_store, name, SHA)
        shares_of(job_store, name).publish(f"http://{name}.example", "h", "/store")
    orders = {name: [copy.node for copy in shares_of(job_store, name).copies([SHA], "h-x")[SHA]] for name in names}
    assert {len(order) for order in orders.values()} == {COPIES_MAX}
    assert len({order[0] for order in orders.values()}) > 5
    assert not [name for name, order in orders.items() if name in order]


def test_the_token_is_made_once_for_all_nodes_and_replaced_by_a_rotation(job_store):
    token = shares_of(job_store, "a").token()
    assert len(token) >= 32
    assert shares_of(job_store, "b").token() == token
    shares_of(job_store, "b").rotate_token()
    assert shares_of(job_store, "a").token() == shares_of(job_store, "b").token() != token


def test_a_node_that_comes_back_shares_again_and_one_that_stays_away_does_not(job_store):
    shares = shares_of(job_store, "a")
    shares.publish_again("http://a.example:1")
    with reading(job_store.engine) as tx:
        assert tx.execute(sa.select(nodes.c.node)).all() == []
    shares.publish("http://a.example:1", "h", "/store")
    shares.publish_again("http://a.example:2")
    assert share_url(job_store, "a") == "http://a.example:1"
    shares.withdraw("http://a.example:1")
    shares.publish_again("http://a.example:2")
    assert share_url(job_store, "a") == "http://a.example:2"
