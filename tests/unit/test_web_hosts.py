"""The values of the Host header that a server accepts, by the address that it listens on."""

import pytest

from flowhub_jobs.web.server import Options, _hosts


def test_a_loopback_server_answers_for_the_loopbacks_names_at_its_port():
    assert _hosts(Options("127.0.0.1"), 7811) == {"127.0.0.1:7811", "localhost:7811", "[::1]:7811"}
    assert "127.0.0.5:7811" in _hosts(Options("127.0.0.5"), 7811)


def test_port_80_may_be_left_out():
    assert {"localhost", "localhost:80"} <= _hosts(Options("127.0.0.1"), 80)
    assert "localhost" not in _hosts(Options("127.0.0.1"), 7811)


def test_a_server_at_all_addresses_answers_for_those_of_this_machine():
    hosts = _hosts(Options("0.0.0.0"), 7811)
    assert {"127.0.0.1:7811", "localhost:7811"} <= hosts
    assert "evil.example:7811" not in hosts


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Models.Example", "models.example:7811"),
        ("models.example:443", "models.example:443"),
        ("2001:db8::1", "[2001:db8::1]:7811"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443"),
    ],
)
def test_a_further_name_is_accepted_with_its_port_or_the_servers(name, host):
    assert host in _hosts(Options("127.0.0.1", names=(name,)), 7811)
