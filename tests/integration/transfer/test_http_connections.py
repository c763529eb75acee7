"""Connections are kept and reused; httpcore reads the head of an answer, flowhub its body."""

from collections.abc import Sequence

import pytest
from lib.origin.content import Pattern
from support.faults import NoLength
from support.models import gguf_pattern
from support.origin import Origin
from support.run_fetch import folder_artifact, quick, run_transfer

from flowhub_jobs.errors import NetworkDown
from flowhub_jobs.net import tls_context
from flowhub_jobs.transfer.http.range_client import RangeClient
from flowhub_jobs.transfer.options import TransferOptions

ONE_CONNECTION = quick(connections_per_host=1)
MODEL = gguf_pattern(300_000, seed=1)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def own_origin(request, monkeypatch):
    """An origin over http, and one over https."""
    with Origin(tls=request.param) as origin:
        if request.param:
            monkeypatch.setenv("SSL_CERT_FILE", str(origin.ca_file))
        tls_context.ssl_context.cache_clear()
        yield origin
    tls_context.ssl_context.cache_clear()


@pytest.fixture
def client():
    client = RangeClient(TransferOptions())
    yield client
    client.close()


def read_range(
    client: RangeClient, url: str, start: int, end: int, most: int = 1 << 20, ahead: Sequence[int | None] = ()
) -> bytes:
    """Return a range of the file at `url`, at most `most` bytes; `ahead`: limits of the unread bytes, set in turn."""
    space = memoryview(bytearray(most))
    range_header = f"bytes={start}-{end - 1}"
    with client.request(
        url, range_header, redirected_to=None, if_range=None, pinned=True, size=None, on_hub_metadata=lambda hub: None
    ) as response:
        for size in ahead:
            response.limit_read_ahead(size)
        received = 0
        while received < most and (count := response.fill(space[received:])):
            received += count
    return bytes(space[:received])


def test_a_folder_of_many_files_arrives_over_one_connection(own_origin, tmp_path):
    contents = {f"f{number}.bin": Pattern(10_000 + number, seed=number) for number in range(20)}
    files = {path: own_origin.serve(path, content) for path, content in contents.items()}
    run = run_transfer(folder_artifact(files, contents), tmp_path, options=ONE_CONNECTION)
    assert [file.bytes for file in run.fetched.files] == [content.size for content in contents.values()]
    assert own_origin.made_connections == 1


def test_a_body_that_was_read_to_its_end_leaves_a_reusable_connection(own_origin, client):
    url = own_origin.serve("m.gguf", MODEL)
    assert read_range(client, url, 0, 1000) + read_range(client, url, 1000, MODEL.size) == MODEL.read()
    assert own_origin.made_connections == 1


def test_a_body_that_was_not_read_to_its_end_leaves_no_reusable_connection(own_origin, client):
    url = own_origin.serve("m.gguf", MODEL)
    assert read_range(client, url, 0, MODEL.size, most=500) == MODEL.read()[:500]
    assert read_range(client, url, 0, 10) == MODEL.read()[:10]
    assert own_origin.made_connections == 2


def test_a_kept_connection_that_its_server_has_closed_is_replaced_without_an_error(own_origin, client):
    url = own_origin.serve("m.gguf", MODEL)
    read_range(client, url, 0, 1000)
    own_origin.drop_connections()
    own_origin.wait_for(lambda: own_origin.open_connections == 0)
    assert read_range(client, url, 0, 1000) == MODEL.read()[:1000]
    assert own_origin.made_connections == 2


def test_an_answer_of_unknown_length_is_read_to_its_end(own_origin, client):
    url = own_origin.serve("m.gguf", MODEL, faults=[NoLength(chunked=True)])
    assert read_range(client, url, 0, MODEL.size) == MODEL.read()


def test_no_connection_is_made_after_all_were_cut(own_origin, client):
    url = own_origin.serve("m.gguf", MODEL)
    read_range(client, url, 0, 1000)
    client.abort()
    with pytest.raises(NetworkDown):
        read_range(client, url, 0, 1000)


def test_a_connection_with_a_small_receive_buffer_is_reused_until_the_limit_is_off(own_origin, client):
    """A receive buffer never grows again, which is slow over a long distance."""
    url = own_origin.serve("m.gguf", MODEL)
    read_range(client, url, 0, 1000, ahead=[1 << 16])
    read_range(client, url, 1000, 2000, ahead=[1 << 16])
    assert own_origin.made_connections == 1
    read_range(client, url, 2000, 3000, ahead=[1 << 16, None])
    read_range(client, url, 3000, 4000)
    assert own_origin.made_connections == 2
