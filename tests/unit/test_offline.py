"""Whose fault it is that nothing answers, and where a connection would be made."""

import errno
import socket
import threading

import httpx
import pytest

from flowhub_jobs.errors import NetworkDown
from flowhub_jobs.transfer import offline
from flowhub_jobs.transfer.offline import answers, any_answers, machines_fault, place_of


def wrapped(cause: OSError) -> NetworkDown:
    """Return an error as a transfer raises it: the system's is behind two others."""
    try:
        try:
            try:
                raise cause
            except OSError as error:
                raise httpx.ConnectError("no") from error
        except httpx.ConnectError as error:
            raise NetworkDown("h.example cannot be reached.") from error
    except NetworkDown as error:
        return error


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN])
def test_no_way_out_is_this_machines_fault(code):
    assert machines_fault(wrapped(OSError(code, "no way")))


def test_a_look_up_that_fails_for_now_is_this_machines_fault():
    assert machines_fault(wrapped(socket.gaierror(socket.EAI_AGAIN, "Temporary failure")))


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(errno.ECONNREFUSED, "no"), ConnectionResetError(), TimeoutError()]
)
def test_a_host_that_refuses_or_is_silent_is_at_fault_itself(error):
    assert machines_fault(wrapped(error)) is None


@pytest.mark.parametrize("way_out", [True, False])
def test_a_name_that_does_not_exist_is_at_fault_where_names_can_be_looked_up_at_all(monkeypatch, way_out):
    monkeypatch.setattr(offline, "_has_way_out", lambda: way_out)
    assert (machines_fault(wrapped(socket.gaierror(socket.EAI_NONAME, "not known"))) is None) is way_out


@pytest.fixture
def proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch.setenv


def test_a_place_is_the_host_or_the_proxy_before_it_and_never_this_machine(proxies):
    assert place_of("https://h.example/m.gguf") == ("h.example", 443)
    assert place_of("http://[2001:db8::1]:8080/m") == ("2001:db8::1", 8080)
    assert place_of("http://127.0.0.1:9/m") is None
    assert place_of("http://localhost/m") is None
    proxies("https_proxy", "http://user:secret@proxy.example:3128")
    proxies("no_proxy", "near.example")
    assert place_of("https://h.example/m.gguf") == ("proxy.example", 3128)
    assert place_of("https://near.example/m.gguf") == ("near.example", 443)
    assert place_of("http://h.example/m.gguf") == ("h.example", 80)


def test_who_accepts_answers_and_so_does_who_refuses():
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()
        assert answers(place, 5)
    assert answers(place, 5)


def test_one_that_answers_is_enough_and_one_that_hangs_is_not_waited_for(monkeypatch):
    over = threading.Event()

    def asked(place, connect_s):
        return place[0] == "here" or over.wait(30)

    monkeypatch.setattr(offline, "answers", asked)
    assert any_answers([("hangs", 1), ("here", 1)], 30)
    assert not any_answers([("hangs", 1)], 0.01)
    assert not any_answers([], 30)
    over.set()
