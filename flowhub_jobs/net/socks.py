"""Connects to a host through a SOCKS5 proxy (RFC 1928, RFC 1929).

httpcore's own SOCKS connection reads without a time-out, takes the result of one read for a whole message, and fails
with an assertion at a malformed reply. The messages are made by socksio, which the extra `socks` installs.
"""

import importlib.util
import socket
import time
from collections.abc import Callable

from flowhub_jobs.errors import ProxySignIn, ProxyUnreachable, ProxyUnusable
from flowhub_jobs.net.happy_eyeballs import open_connection
from flowhub_jobs.net.proxies import Proxy

TICK_S = 0.1
_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time-out on the way",
    7: "it does not connect for others",
    8: "it does not know that kind of address",
}
_ADDRESS_BYTES = {1: 4, 4: 16}  # of IPv4 and IPv6; a name is preceded by its length


def check_installed(proxy: Proxy) -> None:
    """Raise ProxyUnusable, with the command that helps, if the package for SOCKS is not installed."""
    if importlib.util.find_spec("socksio") is None:
        text = f"{proxy.variable} names the SOCKS proxy {proxy.netloc}, and support for SOCKS is not installed."
        hint = "Install it with `pip install 'flowhub[socks]'`, then retry; or use an http:// proxy."
        raise ProxyUnusable(text, hint=hint)


def open_through(
    proxy: Proxy, host: str, port: int, timeout_s: float | None, ended: Callable[[], bool] = lambda: False
) -> socket.socket:
    """Return a blocking socket that the proxy has connected to `host`; the proxy resolves the name.

    Raises OSError if the proxy is not reached, ProxyUnreachable if it does not connect to the host, ProxySignIn.
    """
    check_installed(proxy)
    until = time.monotonic() + (timeout_s if timeout_s is not None else 3600.0)
    sock = open_connection(proxy.host, proxy.port, timeout_s, ended)
    try:
        sock.settimeout(TICK_S)
        _Handshake(sock, proxy, until, ended).run(host, port)
        sock.setblocking(True)
    except BaseException:
        sock.close()
        raise
    return sock


class _Handshake:
    def __init__(self, sock: socket.socket, proxy: Proxy, until: float, ended: Callable[[], bool]) -> None:
        self._sock, self._proxy, self._until, self._ended = sock, proxy, until, ended

    def run(self, host: str, port: int) -> None:
        from socksio.socks5 import SOCKS5Command, SOCKS5CommandRequest

        self._sign_in()
        request = SOCKS5CommandRequest.from_address(SOCKS5Command.CONNECT, (host, port))
        self._sock.sendall(request.dumps())
        version, reply, _, kind = self._take(4)
        if version != 5 or reply:
            reason = _REPLIES.get(reply, f"reply {reply}") if version == 5 else "it does not speak SOCKS5"
            raise ProxyUnreachable(f"{host} cannot be reached: the proxy {self._proxy} says: {reason}.", host=host)
        length = _ADDRESS_BYTES.get(kind) or self._take(1)[0]
        self._take(length + 2)  # the proxy's own address: not needed

    def _sign_in(self) -> None:
        """Negotiate the sign-in. Both methods are offered: a proxy may need none although a password is set."""
        from socksio.socks5 import SOCKS5AuthMethod, SOCKS5AuthMethodsRequest, SOCKS5UsernamePasswordRequest

        methods = [SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if self._proxy.credentials:
            methods.append(SOCKS5AuthMethod.USERNAME_PASSWORD)
        self._sock.sendall(SOCKS5AuthMethodsRequest(methods).dumps())
        version, method = self._take(2)
        if version != 5:
            raise ProxyUnreachable(f"The proxy {self._proxy} does not speak SOCKS5.")
        if method == 0xFF:
            refusal = "refuses every way to sign in" if self._proxy.credentials else "requires a user and a password"
            raise ProxySignIn(f"The proxy {self._proxy} {refusal}.")
        if method == 2 and self._proxy.credentials:
            user, password = self._proxy.credentials
            self._sock.sendall(SOCKS5UsernamePasswordRequest(user[:255], password[:255]).dumps())
            if self._take(2)[1]:
                raise ProxySignIn(f"The proxy {self._proxy} refuses the user and password of {self._proxy.variable}.")
        elif method:
            raise ProxyUnreachable(f"The proxy {self._proxy} requires a way to sign in that was not offered.")

    def _take(self, count: int) -> bytes:
        """Return exactly `count` bytes: a message may come in any number of parts."""
        data = b""
        while len(data) < count:
            if self._ended():
                raise ConnectionAbortedError("the connection was given up")
            try:
                chunk = self._sock.recv(count - len(data))
            except TimeoutError:
                if time.monotonic() >= self._until:
                    raise TimeoutError("the proxy did not answer in time") from None
                continue
            if not chunk:
                raise ConnectionResetError("the proxy closed the connection")
            data += chunk
        return data
