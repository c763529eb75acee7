"""Shares of nodes and the fleet's token, over both databases."""

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import artifact_files, artifacts, nodes
from flowhub_jobs.jobs.node_shares import COPIES_MAX, NodeShares

SHA, OTHER = "ab" * 32, "cd" * 32


def node(rooms, name):
    return NodeShares(rooms.engine, name, rooms.time.clock)


def install(rooms, name, *digests):
    """Put a model with these files into the library of a node."""
    row = {"node": name, "name": "m", "name_key": "m", "artifact_key": "k", "ref": "m@q", "bytes": 1}
    with writing(rooms.engine) as tx:
        [made] = tx.execute(artifacts.insert().values(**row, installed_at=1, verified_at=1)).inserted_primary_key
        for number, digest in enumerate(digests):
            file = {"path": f"f{number}", "bytes": 1, "sha256": digest, "mtime_ns": 1}
            tx.execute(artifact_files.insert().values(artifact_id=made, **file))


def share_url(rooms, name):
    with reading(rooms.engine) as tx:
        return tx.execute(sa.select(nodes.c.share_url).where(nodes.c.node == name)).scalar()


def test_a_share_is_withdrawn_by_the_server_that_published_it_alone(rooms):
    shares = node(rooms, "a")
    shares.publish("http://a.example:1", "h", "/store")
    shares.publish("http://a.example:2", "h", "/store")
    shares.withdraw("http://a.example:1")
    assert share_url(rooms, "a") == "http://a.example:2"
    shares.withdraw("http://a.example:2")
    assert share_url(rooms, "a") is None


def test_copies_are_those_of_other_nodes_that_share(rooms):
    for name in ("a", "b", "c"):
        install(rooms, name, SHA, OTHER)
    for name in ("a", "b"):
        node(rooms, name).publish(f"http://{name}.example", "h", "/store")
    found = node(rooms, "a").copies([SHA, "ef" * 32], "h-a")
    assert {digest: [copy.node for copy in copies] for digest, copies in found.items()} == {SHA: ["b"]}
    assert {copy.node for copy in node(rooms, "c").copies([OTHER], "h-c")[OTHER]} == {"a", "b"}
    assert node(rooms, "c").copies([], "h-c") == {}


def test_of_many_copies_each_node_has_a_few_in_an_order_of_its_own(rooms):
    names = [f"n{number:02}" for number in range(20)]
    for name in names:
        install(rooms, name, SHA)
        node(rooms, name).publish(f"http://{name}.example", "h", "/store")
    orders = {name: [copy.node for copy in node(rooms, name).copies([SHA], "h-x")[SHA]] for name in names}
    assert {len(order) for order in orders.values()} == {COPIES_MAX}
    assert len({order[0] for order in orders.values()}) > 5
    assert not [name for name, order in orders.items() if name in order]


def test_the_token_is_made_once_for_all_nodes_and_replaced_by_a_rotation(rooms):
    token = node(rooms, "a").token()
    assert len(token) >= 32
    assert node(rooms, "b").token() == token
    node(rooms, "b").rotate_token()
    assert node(rooms, "a").token() == node(rooms, "b").token() != token


def test_a_node_that_comes_back_shares_again_and_one_that_stays_away_does_not(rooms):
    shares = node(rooms, "a")
    shares.publish_again("http://a.example:1")
    with reading(rooms.engine) as tx:
        assert tx.execute(sa.select(nodes.c.node)).all() == []
    shares.publish("http://a.example:1", "h", "/store")
    shares.publish_again("http://a.example:2")
    assert share_url(rooms, "a") == "http://a.example:1"
    shares.withdraw("http://a.example:1")
    shares.publish_again("http://a.example:2")
    assert share_url(rooms, "a") == "http://a.example:2"
