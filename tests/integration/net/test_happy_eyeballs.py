"""Of several addresses the first that answers is taken, and one that is silent holds no other up (RFC 8305)."""

import errno
import socket
import threading

import pytest
from support.faults import Stall
from support.models import gguf_pattern
from support.origin import Origin
from support.proxies import LoopbackProxy, nowhere
from support.run_fetch import pinned, quick, run
from support.silent_address import black_hole, infos

from flowhub_jobs.errors import NetworkDown
from flowhub_jobs.net import get
from flowhub_jobs.net.happy_eyeballs import interleaved, most_specific, open_connection
from flowhub_jobs.net.reachability import answers
from flowhub_jobs.transfer.http.range_client import RangeClient
from flowhub_jobs.transfer.options import TransferOptions

MODEL = gguf_pattern(300_000, seed=1)
FOR_EVER = TransferOptions(connect_s=1e6, headers_s=1e6, stall_s=1e6)


@pytest.fixture
def resolves(monkeypatch):
    """Has every name lead to these addresses."""
    return lambda *places: monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **more: infos(*places))


def test_the_families_take_turns_and_the_first_of_them_stays_first():
    six, four = socket.AF_INET6, socket.AF_INET
    given = [(six, 1), (six, 2), (six, 3), (four, 4)]
    assert interleaved(given) == [(six, 1), (four, 4), (six, 2), (six, 3)]
    assert interleaved([(four, 1), (six, 2)]) == [(four, 1), (six, 2)]
    assert interleaved([]) == []


def test_the_most_specific_error_is_raised():
    no_route, refused = OSError(errno.ENETUNREACH, "no route"), ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    late = TimeoutError("late")
    assert most_specific([no_route, late, refused]) is refused
    assert most_specific([no_route, late]) is late
    assert most_specific([no_route]) is no_route


def test_a_blocked_name_does_not_lead_to_this_machine(resolves):
    """A DNS filter answers 0.0.0.0, which the system connects to this machine's own servers."""
    with socket.create_server(("0.0.0.0", 0)) as own:
        port = own.getsockname()[1]
        resolves(("0.0.0.0", port))
        with pytest.raises(ConnectionRefusedError, match=r"leads to 0\.0\.0\.0, as a DNS filter"):
            open_connection("h.example", port, None)
        open_connection("0.0.0.0", port, None).close()
        resolves(("0.0.0.0", 1), ("127.0.0.1", port))
        open_connection("h.example", port, None).close()


def test_the_error_of_a_blocked_name_says_that_it_is_blocked(resolves, tmp_path):
    resolves(("0.0.0.0", 1))
    with pytest.raises(NetworkDown, match=r"h\.example cannot be reached: its name leads to .* blocked host"):
        run(pinned("https://h.example/m.gguf", MODEL), tmp_path, options=quick(faults_max=1))


def test_an_address_that_is_silent_does_not_hold_up_the_next(resolves):
    with black_hole() as silent, socket.create_server(("127.0.0.1", 0)) as server:
        resolves(silent, server.getsockname())
        with open_connection("h.example", 1, None) as connected:
            assert connected.getpeername() == server.getsockname()
            assert connected.gettimeout() is None


def test_an_address_that_refuses_or_has_no_route_is_followed_by_the_next(resolves):
    with nowhere() as refuses, socket.create_server(("127.0.0.1", 0)) as server:
        port = int(refuses.rpartition(":")[2])
        resolves(("255.255.255.255", port), ("127.0.0.1", port), server.getsockname())
        with open_connection("h.example", 1, None) as connected:
            assert connected.getpeername() == server.getsockname()
        resolves(("255.255.255.255", port), ("127.0.0.1", port))
        with pytest.raises(ConnectionRefusedError):
            open_connection("h.example", 1, None)


def test_when_all_are_silent_the_time_ends_it(resolves):
    with black_hole() as silent:
        resolves(silent, silent)
        with pytest.raises(TimeoutError):
            open_connection("h.example", 1, 0.1)


def test_a_connection_that_is_made_can_be_given_up(resolves):
    with black_hole() as silent:
        resolves(silent)
        with pytest.raises(ConnectionAbortedError):
            open_connection("h.example", 1, None, ended=lambda: True)


def test_every_client_gets_past_a_silent_address(origin, resolves, tmp_path):
    url = origin.serve("m.gguf", MODEL)
    with black_hole() as silent:
        resolves(silent, ("127.0.0.1", origin.port))
        assert run(pinned(url, MODEL), tmp_path, options=quick(connect_s=1e6)).content() == MODEL.read()
        assert get.get(url, max_bytes=MODEL.size, connect_s=1e6).body == MODEL.read()
        assert answers(("h.example", 1), 1e6)


# A stop ends what is under way ---------------------------------------------------------------------------------------


def asking(url):
    """Begin to ask for `url` in a thread; return the thread, what it met, and the connections."""
    client, met = RangeClient(FOR_EVER), []

    def ask():
        try:
            with client.request(
                url,
                "bytes=0-9999",
                redirected_to=None,
                if_range=None,
                pinned=True,
                size=None,
                on_hub_metadata=lambda hub: None,
            ) as reply:
                while reply.fill(memoryview(bytearray(1000))):
                    pass
        except Exception as error:
            met.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread, met, client


def ends(thread, met, client):
    client.abort()
    thread.join(20)
    alive = thread.is_alive()
    client.close()
    assert not alive
    assert len(met) == 1


def test_a_stop_ends_a_connection_that_is_being_made(resolves):
    with black_hole() as silent:
        resolves(silent)
        ends(*asking("http://h.example/m.gguf"))


def test_a_stop_ends_a_handshake_of_tls():
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = asking(f"https://127.0.0.1:{server.getsockname()[1]}/m.gguf")
        accepted, _ = server.accept()
        with accepted:
            accepted.recv(1)
            ends(*asked)


def test_a_stop_ends_tls_inside_the_tls_to_a_proxy(home, monkeypatch, fresh_trust):
    """The wire knows its streams weakly, and httpcore lets go of the outer one."""
    with Origin(tls=True) as source, LoopbackProxy(tls=source.tls) as proxy:
        monkeypatch.setenv("SSL_CERT_FILE", str(source.ca_file))
        monkeypatch.setenv("ALL_PROXY", f"https://{proxy.place}")
        asked = asking(source.serve("m.gguf", MODEL, faults=[Stall(after=1000)]))
        source.wait_for(lambda: source.sent("m.gguf") == 1000)
        ends(*asked)


def test_a_stop_ends_the_wait_for_a_socks_proxy(home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{server.getsockname()[1]}")
        asked = asking("http://h.example/m.gguf")
        accepted, _ = server.accept()
        with accepted:
            accepted.recv(1)
            ends(*asked)
