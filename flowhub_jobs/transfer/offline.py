"""Whose fault it is that nothing answers: the host's, or this machine's, which is offline."""

import contextlib
import errno
import socket

_NO_WAY = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)
_NOWHERE = ("192.0.2.1", 9)  # of TEST-NET-1 (RFC 5737): nobody is there, but there is a way out, or none


def machines_fault(error: BaseException) -> OSError | None:
    """Return what the system says if an error may be this machine's own: no name is looked up, no way leads out.

    A host that refuses, or is silent, is a fault of the host's. So is a name that does not exist; but without a way
    out some systems say that of every name.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return cause if cause.errno == socket.EAI_AGAIN or not _has_way_out() else None
        if isinstance(cause, OSError) and cause.errno in _NO_WAY:
            return cause
        cause = cause.__cause__ or cause.__context__  # httpcore breaks the chain of causes
    return None


def _has_way_out() -> bool:
    """Return whether the system knows a way out. Nothing is sent: to connect a UDP socket is to look for a route."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        return probe.connect_ex(_NOWHERE) not in _NO_WAY
