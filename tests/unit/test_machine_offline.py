"""Whose fault it is that nothing answers, and where a connection would be made."""

import errno
import socket

import httpx
import pytest

from flowhub_jobs.errors import NetworkDown
from flowhub_jobs.net import reachability
from flowhub_jobs.net.reachability import local_network_fault


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
    assert local_network_fault(wrapped(OSError(code, "no way")))


def test_a_look_up_that_fails_for_now_is_this_machines_fault():
    assert local_network_fault(wrapped(socket.gaierror(socket.EAI_AGAIN, "Temporary failure")))


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(errno.ECONNREFUSED, "no"), ConnectionResetError(), TimeoutError()]
)
def test_a_host_that_refuses_or_is_silent_is_at_fault_itself(error):
    assert local_network_fault(wrapped(error)) is None


@pytest.mark.parametrize("way_out", [True, False])
def test_a_name_that_does_not_exist_is_at_fault_where_names_can_be_looked_up_at_all(monkeypatch, way_out):
    monkeypatch.setattr(reachability, "_has_route", lambda: way_out)
    assert (local_network_fault(wrapped(socket.gaierror(socket.EAI_NONAME, "not known"))) is None) is way_out
