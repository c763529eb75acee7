"""Gets a small document: one GET with limits on bytes and seconds; it follows redirects itself, without the token.

Models are fetched by `transfer`. This module reads a whole body into memory: a catalog, a response of the Hub's API,
the head of a file.
"""

import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import (
    ConnectionLost,
    FlowhubError,
    RedirectRefused,
    TooLarge,
    TooSlow,
    WrongContent,
    WrongRange,
)
from flowhub_jobs.net.content_range import ImpossibleRange, coding_of, content_range
from flowhub_jobs.net.redirect_cookies import RedirectCookies
from flowhub_jobs.net.token_choice import token_for
from flowhub_jobs.net.urls import (
    HUB,
    at_endpoint,
    check_address,
    check_redirect,
    host_of,
    location_of,
    redirect_target,
)

if TYPE_CHECKING:  # httpx takes long to import: only a request pays for it
    from flowhub_jobs.net.httpx_lean import httpx

READ_S = 20.0  # without a byte
REDIRECTS_MAX = 5
SHOWN_MAX = 64 * 1024  # of the page that comes with an error
NOTHING_CODED = "identity;q=1, *;q=0"  # for a server that compresses although `identity` alone was asked for
_NOTHING: Mapping[str, str] = MappingProxyType({})

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    """A response, in memory. `headers` have lower-case names, `body` is decompressed, `url` is the last redirect's."""

    status: int
    headers: dict[str, str]
    body: bytes
    url: str
    redirects: tuple[dict[str, str], ...] = ()  # the headers of each redirect, in order


def get(
    url: str,
    *,
    max_bytes: int,
    total_s: float = 60.0,
    connect_s: float = 10.0,
    headers: Mapping[str, str] = _NOTHING,
    byte_range: Range | None = None,
    tokens: Mapping[str, str] = _NOTHING,
    endpoint: str = HUB,
    pinned: bool = False,
) -> Document:
    """Return the response to a GET, whatever its status. A URL of the Hub is requested at `endpoint`.

    `max_bytes` limits the decompressed body of a 200 or 206; of any other status only the beginning is kept.
    `total_s` limits everything from the first connection to the last byte. `byte_range` is half-open; the body of a 200
    is cut to it, and no more is read. `tokens` maps an origin (`urls.origin`) to its bearer token. `pinned` allows
    plain http to another machine.

    Raises AddressRefused, RedirectRefused, NetworkDown, TlsUntrusted, ProxyUnusable, ProxySignIn, HeadersTimeout,
    Stalled, ConnectionLost,
    AnswerMalformed, TooSlow (`total_s` is over), TooLarge, WrongRange, WrongContent.
    """
    check_address(url, pinned=pinned)
    url = at_endpoint(url, endpoint)
    check_address(url, pinned=pinned)
    with _with_deadline(total_s, url) as deadline:
        try:
            with _client(connect_s, byte_range, headers) as client:
                return _follow(client, url, deadline, max_bytes, byte_range, tokens)
        except WrongContent as error:
            if not error.about_coding:
                raise
            with _client(connect_s, byte_range, {**headers, "Accept-Encoding": NOTHING_CODED}) as client:
                return _follow(client, url, deadline, max_bytes, byte_range, tokens)


def _follow(
    client: "httpx.Client",
    url: str,
    deadline: "_Deadline",
    max_bytes: int,
    byte_range: Range | None,
    tokens: Mapping[str, str],
) -> Document:
    """Return the response at the end of the redirects."""
    redirects: list[dict[str, str]] = []
    cookies = RedirectCookies()
    for _ in range(REDIRECTS_MAX + 1):
        token = token_for(url, tokens)
        cookie = cookies.header_for(url)
        request_headers = {"Authorization": f"Bearer {token}"} if token else {}
        request_headers |= {"Cookie": cookie} if cookie else {}
        with _open_response(client, url, request_headers, deadline) as response:
            if not response.has_redirect_location:
                body = _body(response, url, max_bytes, byte_range)
                return Document(response.status_code, dict(response.headers), body, url, tuple(redirects))
            redirects.append(dict(response.headers))
            cookies.take(url, response.headers.raw)
            url = _next_hop(url, location_of(response.headers.raw))
    raise RedirectRefused(
        f"{host_of(url)} redirects without end: more than {REDIRECTS_MAX} redirects.", host=host_of(url)
    )


def check_hop(source: str, target: str) -> None:
    """Refuse an unsafe redirect (RedirectRefused). Plain http may stay plain http on its own host."""
    same_host = host_of(source) == host_of(target)
    check_redirect(source, target, pinned=same_host and source.lower().startswith("http://"))


def _next_hop(url: str, location: str) -> str:
    target = redirect_target(url, location)
    check_hop(url, target)
    return target


# The time limit ------------------------------------------------------------------------------------------------------


class _Deadline:
    """Shuts the connection when the time is over. A socket's own time-out would start again with every byte."""

    def __init__(self, seconds: float) -> None:
        self.over, self._socket = False, None
        self.timer = threading.Timer(seconds, self._end)
        self.timer.daemon = True

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Store the socket of each new connection (httpcore's `trace` extension)."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.over:
                self._end()

    def _end(self) -> None:
        self.over = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def _with_deadline(seconds: float, url: str) -> Iterator[_Deadline]:
    deadline = _Deadline(seconds)
    too_slow = TooSlow(f"{host_of(url)} took longer than {seconds:.3g} s.", host=host_of(url))
    deadline.timer.start()
    try:
        yield deadline
    except FlowhubError as error:
        if deadline.over:
            raise too_slow from error
        raise
    finally:
        deadline.timer.cancel()
        deadline.timer.join()
    if deadline.over:  # a body of unknown length ends without an error when its connection is shut
        raise too_slow


# The request ---------------------------------------------------------------------------------------------------------


@contextmanager
def _client(connect_s: float, requested: Range | None, headers: Mapping[str, str]) -> "Iterator[httpx.Client]":
    from flowhub_jobs.net.httpx_lean import httpx
    from flowhub_jobs.net.httpx_transport import EnvironmentTransport

    all_headers = {
        "User-Agent": "flowhub",
        "Accept": "*/*",
        "Accept-Encoding": "identity" if requested else "gzip",
        **headers,
    }
    if requested:
        all_headers["Range"] = f"bytes={requested[0]}-{requested[1] - 1}"
    with httpx.Client(
        transport=EnvironmentTransport(),
        timeout=httpx.Timeout(READ_S, connect=connect_s),
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers=all_headers,
    ) as client:
        yield client


@contextmanager
def _open_response(
    client: "httpx.Client", url: str, headers: Mapping[str, str], deadline: _Deadline
) -> "Iterator[httpx.Response]":
    from flowhub_jobs.net.httpx_errors import convert_httpx_errors, host_header
    from flowhub_jobs.net.httpx_lean import httpx

    with ExitStack() as closing:
        with convert_httpx_errors(url, in_body=False, within=READ_S):
            address = httpx.URL(url)
            sent = host_header(address) | dict(headers)
            request = client.build_request("GET", address, headers=sent, extensions=_extensions(client, deadline))
            response = client.send(request, stream=True)
            closing.callback(response.close)
        with convert_httpx_errors(url, in_body=True, within=READ_S):
            yield response


def _extensions(client: "httpx.Client", deadline: _Deadline) -> dict[str, Any]:
    # These replace the client's own extensions, so its time-outs are repeated here.
    return {"trace": deadline.trace, "timeout": client.timeout.as_dict()}


# The body ------------------------------------------------------------------------------------------------------------


def _body(response: "httpx.Response", url: str, max_bytes: int, requested: Range | None) -> bytes:
    status, host = response.status_code, host_of(url)
    if status == 206 and requested:
        _check_start(response.headers.get("content-range", ""), requested, host)
        return _read_body(response, host, max_bytes, keep=requested[1] - requested[0])
    if status == 200 and requested:
        return _read_body(response, host, max(max_bytes, requested[1]), keep=requested[1])[requested[0] :]
    return _read_body(response, host, max_bytes, keep=None if status in (200, 206) else min(max_bytes, SHOWN_MAX))


def _read_body(response: "httpx.Response", host: str, max_bytes: int, keep: int | None) -> bytes:
    """Return the body, or its first `keep` bytes. Raises TooLarge if it is longer than `max_bytes`."""
    body, unpack = bytearray(), unpacker(response.headers.get("content-encoding", ""), host)
    for chunk in response.iter_raw():
        body += unpack(chunk, max_bytes + 1 - len(body))
        if keep is not None and len(body) >= keep:
            return bytes(body[:keep])
        if len(body) > max_bytes:
            raise TooLarge(f"The response of {host} is larger than {max_bytes / 1e6:.3g} MB.", host=host)
    unpack(b"", 1)  # the end of the body
    return bytes(body)


def _check_start(value: str, requested: Range, host: str) -> None:
    try:
        part = content_range(value)
    except ImpossibleRange:
        part = None
    if part is None or part.start != requested[0]:
        raise WrongRange(f"{host} was asked for bytes {requested[0]}-{requested[1] - 1} and sent others.", host=host)


Unpack = Callable[[bytes, int], bytes]


def unpacker(encoding: str, host: str) -> Unpack:
    """Return a function that decompresses a chunk to at most so many bytes: a small body may expand to gigabytes.

    An empty chunk marks the end of the body.
    """
    coding = coding_of(encoding)
    if coding is None:
        return lambda chunk, most: chunk[:most]
    if coding not in ("gzip", "x-gzip", "deflate"):
        error = WrongContent(f"{host} answers in {coding[:20]!r}, which was not asked for.", host=host)
        error.about_coding = True
        raise error
    stream: zlib._Decompress | None = None

    def unpack(chunk: bytes, most: int) -> bytes:
        nonlocal stream
        if not chunk:
            if stream is not None and not stream.eof:
                raise ConnectionLost(f"{host} ended its answer too early.", host=host)
            return b""
        stream = stream or zlib.decompressobj(wbits=_wbits(coding, chunk[0]))
        try:
            return stream.decompress(chunk, most)
        except zlib.error as error:
            raise WrongContent(f"The response of {host} cannot be decompressed: {error}.", host=host) from error

    return unpack


def _wbits(coding: str, first: int) -> int:
    """Return the format for zlib: deflate is zlib's own, and with some servers raw (RFC 9110, section 8.4.1.2)."""
    if coding != "deflate":
        return 31
    return 15 if first & 0x0F == 8 else -15
