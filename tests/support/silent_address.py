"""An address on loopback that answers no SYN, as a host behind broken IPv6: its accept queue is full."""

import contextlib
import socket
from collections.abc import Iterator

Address = tuple[str, int]


@contextlib.contextmanager
def black_hole() -> Iterator[Address]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # Linux takes one more than the backlog
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()


def addrinfo_of(*addresses: Address) -> list[tuple[object, ...]]:
    """Return the result of `socket.getaddrinfo` for a name with these addresses."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
