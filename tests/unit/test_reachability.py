"""Reachability: the endpoint of a connection, and whether a server answers there."""

import socket
import threading

import pytest

from flowhub_jobs.net import reachability
from flowhub_jobs.net.reachability import answers, any_answers, remote_endpoint


@pytest.fixture
def proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch.setenv


def test_an_endpoint_is_the_host_or_its_proxy_and_never_this_machine(proxies):
    assert remote_endpoint("https://h.example/m.gguf") == ("h.example", 443)
    assert remote_endpoint("http://[2001:db8::1]:8080/m") == ("2001:db8::1", 8080)
    assert remote_endpoint("http://127.0.0.1:9/m") is None
    assert remote_endpoint("http://localhost/m") is None
    proxies("https_proxy", "http://user:secret@proxy.example:3128")
    proxies("no_proxy", "near.example")
    assert remote_endpoint("https://h.example/m.gguf") == ("proxy.example", 3128)
    assert remote_endpoint("https://near.example/m.gguf") == ("near.example", 443)
    assert remote_endpoint("http://h.example/m.gguf") == ("h.example", 80)


def test_an_accepted_and_a_refused_connection_are_both_an_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = server.getsockname()
        assert answers(endpoint, 30)
    assert answers(endpoint, 30)


def test_one_answer_is_enough_and_a_host_that_hangs_is_not_waited_for(monkeypatch):
    released = threading.Event()

    def answers(endpoint, connect_s):
        return endpoint[0] == "here" or released.wait(30)

    monkeypatch.setattr(reachability, "answers", answers)
    assert any_answers([("hangs", 1), ("here", 1)], 30)
    assert not any_answers([("hangs", 1)], 0.01)
    assert not any_answers([], 30)
    released.set()
