"""httpx's transport for all of flowhub: it uses the environment's proxies and Happy Eyeballs, and converts errors.

Every client of the package is made with an `EnvironmentTransport`. httpx's own reading of the environment is off: it
fails when a client is made, with errors of its own, even if the client's requests need no proxy.
"""

import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpcore
from httpcore._backends.sync import SyncStream  # httpcore has no public way to make a stream of a socket

from flowhub_jobs.errors import ProxyUnusable
from flowhub_jobs.net.framing_repair import ResponseFraming
from flowhub_jobs.net.happy_eyeballs import open_connection
from flowhub_jobs.net.httpx_errors import proxy_refused, through_proxy
from flowhub_jobs.net.httpx_lean import httpx
from flowhub_jobs.net.proxies import Proxy, proxy_for
from flowhub_jobs.net.socks import check_installed, open_through
from flowhub_jobs.net.tls_context import ssl_context

Backend = Callable[[Proxy | None], httpcore.NetworkBackend]  # made for a SOCKS proxy, or for direct connections
Route = tuple[str, str, int]  # scheme, host, port


class TolerantStream(SyncStream):
    """httpcore's own stream, whose responses h11 can read (`framing_repair`)."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._framing = ResponseFraming()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._framing.begin()
        super().write(buffer, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        receive = super().read
        return self._framing.read(lambda: receive(max_bytes, timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = super().start_tls(ssl_context, server_hostname, timeout)
        return TolerantStream(stream._sock) if type(stream) is SyncStream else stream  # the other is of TLS in TLS


class TcpBackend(httpcore.NetworkBackend):
    """Opens connections, directly or through a SOCKS proxy."""

    def __init__(self, socks: Proxy | None = None) -> None:
        self._socks = socks

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            return TolerantStream(open_socket(self._socks, host, port, timeout))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(error) from error
        except OSError as error:
            raise httpcore.ConnectError(error) from error


def open_socket(
    socks: Proxy | None, host: str, port: int, timeout_s: float | None, ended: Callable[[], bool] = lambda: False
) -> socket.socket:
    """Return a socket connected to `host`, through the SOCKS proxy if one is given. Raises as the two functions do."""
    if socks is None:
        return open_connection(host, port, timeout_s, ended)
    return open_through(socks, host, port, timeout_s, ended)


class EnvironmentTransport(httpx.BaseTransport):
    """Sends each request as the environment says: directly, or through a proxy. Not thread-safe."""

    def __init__(self, backend: Backend = TcpBackend, limits: httpx.Limits | None = None) -> None:
        self._backend, self._limits = backend, limits or httpx.Limits()
        self._routes: dict[Route, Proxy | None] = {}
        self._transports: dict[tuple[str, Proxy | None], httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request. Raises httpx's errors of a direct connection, and flowhub's own of a proxy."""
        url = request.url
        host, port = url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
        proxy = self._proxy_for(url.scheme, host, port)
        transport = self._transport(url.scheme, proxy)
        if proxy is None:
            return transport.handle_request(request)
        challenges = _trace_challenges(request)
        with through_proxy(str(url), proxy, challenges):
            response = transport.handle_request(request)
        if response.status_code == 407:  # for a forwarded request; for a tunnel, httpx raises
            response.close()
            raise proxy_refused(str(url), proxy, "407", challenges)
        return response

    def _proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        route = (scheme, host, port)
        if route not in self._routes:
            self._routes[route] = proxy_for(scheme, host, port)
        return self._routes[route]

    def _transport(self, scheme: str, proxy: Proxy | None) -> httpx.HTTPTransport:
        if (scheme, proxy) not in self._transports:
            self._transports[scheme, proxy] = self._make(scheme, proxy)
        return self._transports[scheme, proxy]

    def _make(self, scheme: str, proxy: Proxy | None) -> httpx.HTTPTransport:
        # A connection without TLS needs no certificates: unreadable ones must not make it fail.
        verify = ssl_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        socks = proxy if proxy is not None and proxy.scheme == "socks5" else None
        if socks is not None:
            check_installed(socks)
        httpx_proxy = _httpx_proxy(proxy) if proxy is not None and socks is None else None
        transport = httpx.HTTPTransport(verify=verify, trust_env=False, limits=self._limits, proxy=httpx_proxy)
        # httpx has no public way to give its pools a network backend (encode/httpx discussion 2938).
        transport._pool._network_backend = self._backend(socks)
        return transport

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()


def _trace_challenges(request: httpx.Request) -> list[str]:
    """Return a list that gets the values of Proxy-Authenticate: httpx's error of a tunnel has no headers."""
    challenges: list[str] = []
    earlier = request.extensions.get("trace")

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(".receive_response_headers.complete"):
            _, _, _, headers = info["return_value"]
            challenges[:] = httpx.Headers(headers).get_list("proxy-authenticate")
        if earlier is not None:
            earlier(event, info)

    request.extensions = request.extensions | {"trace": trace}
    return challenges


def _httpx_proxy(proxy: Proxy) -> httpx.Proxy:
    try:
        httpx_proxy = httpx.Proxy(
            f"{proxy.scheme}://{proxy.netloc}", ssl_context=ssl_context() if proxy.scheme == "https" else None
        )
    except httpx.InvalidURL as error:
        raise ProxyUnusable(f"{proxy.variable} is not the address of a proxy.") from error
    if proxy.credentials:  # as bytes: httpx would encode them again
        httpx_proxy.headers["Proxy-Authorization"] = _basic(*proxy.credentials)
    return httpx_proxy


def _basic(user: bytes, password: bytes) -> str:
    return f"Basic {b64encode(user + b':' + password).decode('ascii')}"
