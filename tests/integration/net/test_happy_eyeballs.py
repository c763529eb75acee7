"""Happy Eyeballs (RFC 8305): the first address that answers is used, and a silent one does not delay the next."""

import errno
import socket
import threading

import pytest
from support.faults import Stall
from support.models import gguf_pattern
from support.origin import Origin
from support.proxies import LoopbackProxy, refusing_address
from support.run_fetch import pinned_artifact, quick, run_transfer
from support.silent_address import addrinfo_of, black_hole

from flowhub_jobs.errors import NetworkDown
from flowhub_jobs.net import get
from flowhub_jobs.net.happy_eyeballs import interleaved, most_specific, open_connection
from flowhub_jobs.net.reachability import answers
from flowhub_jobs.transfer.http.range_client import RangeClient
from flowhub_jobs.transfer.options import TransferOptions

MODEL = gguf_pattern(300_000, seed=1)
NO_TIMEOUTS = TransferOptions(connect_s=1e6, headers_s=1e6, stall_s=1e6)


@pytest.fixture
def resolve_to(monkeypatch):
    """A function that makes every host name resolve to these addresses."""
    return lambda *places: monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: addrinfo_of(*places))


def test_the_families_take_turns_and_the_first_of_them_stays_first():
    ipv6, ipv4 = socket.AF_INET6, socket.AF_INET
    addresses = [(ipv6, 1), (ipv6, 2), (ipv6, 3), (ipv4, 4)]
    assert interleaved(addresses) == [(ipv6, 1), (ipv4, 4), (ipv6, 2), (ipv6, 3)]
    assert interleaved([(ipv4, 1), (ipv6, 2)]) == [(ipv4, 1), (ipv6, 2)]
    assert interleaved([]) == []


def test_the_most_specific_error_is_raised():
    no_route, refused = OSError(errno.ENETUNREACH, "no route"), ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    late = TimeoutError("late")
    assert most_specific([no_route, late, refused]) is refused
    assert most_specific([no_route, late]) is late
    assert most_specific([no_route]) is no_route


def test_a_blocked_name_does_not_connect_to_this_machine(resolve_to):
    """A DNS filter answers 0.0.0.0, which the system connects to servers of this machine."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        resolve_to(("0.0.0.0", port))
        with pytest.raises(ConnectionRefusedError, match=r"leads to 0\.0\.0\.0, as a DNS filter"):
            open_connection("h.example", port, None)
        open_connection("0.0.0.0", port, None).close()
        resolve_to(("0.0.0.0", 1), ("127.0.0.1", port))
        open_connection("h.example", port, None).close()


def test_the_error_of_a_blocked_name_says_that_it_is_blocked(resolve_to, tmp_path):
    resolve_to(("0.0.0.0", 1))
    with pytest.raises(NetworkDown, match=r"h\.example cannot be reached: its name leads to .* blocked host"):
        run_transfer(pinned_artifact("https://h.example/m.gguf", MODEL), tmp_path, options=quick(faults_max=1))


def test_an_address_that_is_silent_does_not_hold_up_the_next(resolve_to):
    with black_hole() as silent, socket.create_server(("127.0.0.1", 0)) as server:
        resolve_to(silent, server.getsockname())
        with open_connection("h.example", 1, None) as connected:
            assert connected.getpeername() == server.getsockname()
            assert connected.gettimeout() is None


def test_an_address_that_refuses_or_has_no_route_is_followed_by_the_next(resolve_to):
    with refusing_address() as closed_address, socket.create_server(("127.0.0.1", 0)) as server:
        port = int(closed_address.rpartition(":")[2])
        resolve_to(("255.255.255.255", port), ("127.0.0.1", port), server.getsockname())
        with open_connection("h.example", 1, None) as connected:
            assert connected.getpeername() == server.getsockname()
        resolve_to(("255.255.255.255", port), ("127.0.0.1", port))
        with pytest.raises(ConnectionRefusedError):
            open_connection("h.example", 1, None)


def test_if_all_addresses_are_silent_the_attempt_times_out(resolve_to):
    with black_hole() as silent:
        resolve_to(silent, silent)
        with pytest.raises(TimeoutError):
            open_connection("h.example", 1, 0.1)


def test_a_connection_attempt_can_be_given_up(resolve_to):
    with black_hole() as silent:
        resolve_to(silent)
        with pytest.raises(ConnectionAbortedError):
            open_connection("h.example", 1, None, ended=lambda: True)


def test_every_client_gets_past_a_silent_address(origin, resolve_to, tmp_path):
    url = origin.serve("m.gguf", MODEL)
    with black_hole() as silent:
        resolve_to(silent, ("127.0.0.1", origin.port))
        assert (
            run_transfer(pinned_artifact(url, MODEL), tmp_path, options=quick(connect_s=1e6)).content() == MODEL.read()
        )
        assert get.get(url, max_bytes=MODEL.size, connect_s=1e6).body == MODEL.read()
        assert answers(("h.example", 1), 1e6)


# A stop of a running request -----------------------------------------------------------------------------------------


def start_request(url):
    """Request `url` in a thread; return the thread, its errors, and the client."""
    client, errors = RangeClient(NO_TIMEOUTS), []

    def read_response():
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
            errors.append(error)

    thread = threading.Thread(target=read_response, daemon=True)
    thread.start()
    return thread, errors, client


def assert_abort_ends(thread, errors, client):
    """Abort the connections of the client, and check that the request ends with an error."""
    client.abort()
    thread.join(60)
    alive = thread.is_alive()
    client.close()
    assert not alive
    assert len(errors) == 1


def test_a_stop_ends_a_connection_that_is_being_made(resolve_to):
    with black_hole() as silent:
        resolve_to(silent)
        assert_abort_ends(*start_request("http://h.example/m.gguf"))


def test_a_stop_ends_a_handshake_of_tls():
    with socket.create_server(("127.0.0.1", 0)) as server:
        request = start_request(f"https://127.0.0.1:{server.getsockname()[1]}/m.gguf")
        accepted, _ = server.accept()
        with accepted:
            accepted.recv(1)
            assert_abort_ends(*request)


def test_a_stop_ends_tls_inside_the_tls_to_a_proxy(home, monkeypatch, uncached_trust):
    """The wire has weak references to its streams, and httpcore drops the outer one."""
    with Origin(tls=True) as source, LoopbackProxy(tls=source.tls) as proxy:
        monkeypatch.setenv("SSL_CERT_FILE", str(source.ca_file))
        monkeypatch.setenv("ALL_PROXY", f"https://{proxy.address}")
        request = start_request(source.serve("m.gguf", MODEL, faults=[Stall(after=1000)]))
        source.wait_for(lambda: source.sent("m.gguf") == 1000)
        assert_abort_ends(*request)


def test_a_stop_ends_the_wait_for_a_socks_proxy(home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{server.getsockname()[1]}")
        request = start_request("http://h.example/m.gguf")
        accepted, _ = server.accept()
        with accepted:
            accepted.recv(1)
            assert_abort_ends(*request)
