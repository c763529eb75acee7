"""An address on loopback that answers no SYN, as a host behind broken IPv6: its queue of connections is full."""

import contextlib
import socket
from collections.abc import Iterator

Place = tuple[str, int]


@contextlib.contextmanager
def black_hole() -> Iterator[Place]:
    with contextlib.ExitStack() as closing:
        server = closing.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # Linux takes one more than the backlog
            filler = closing.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()


def addrinfo_of(*places: Place) -> list[tuple[object, ...]]:
    """Return what `socket.getaddrinfo` says of a name that has these addresses."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
