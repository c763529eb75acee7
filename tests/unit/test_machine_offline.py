"""Connection errors: a fault of this machine's network, or of the host."""

import errno
import socket

import httpx
import pytest

from flowhub_jobs.errors import NetworkDown
from flowhub_jobs.net import reachability
from flowhub_jobs.net.reachability import local_network_fault


def network_down(cause: OSError) -> NetworkDown:
    """Return an error as a transfer raises it, with the system's error as the cause of its cause."""
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
def test_no_route_is_this_machines_fault(code):
    assert local_network_fault(network_down(OSError(code, "no way")))


def test_a_temporary_lookup_failure_is_this_machines_fault():
    assert local_network_fault(network_down(socket.gaierror(socket.EAI_AGAIN, "Temporary failure")))


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(errno.ECONNREFUSED, "no"), ConnectionResetError(), TimeoutError()]
)
def test_a_host_that_refuses_or_is_silent_is_at_fault_itself(error):
    assert local_network_fault(network_down(error)) is None


@pytest.mark.parametrize("has_route", [True, False])
def test_an_unknown_name_is_the_hosts_fault_if_this_machine_has_a_route(monkeypatch, has_route):
    monkeypatch.setattr(reachability, "_has_route", lambda: has_route)
    assert (local_network_fault(network_down(socket.gaierror(socket.EAI_NONAME, "not known"))) is None) is has_route
