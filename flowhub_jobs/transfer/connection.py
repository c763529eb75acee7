"""Asks an origin for a range: redirects by hand, tokens kept home, httpx's errors and bad statuses made ours."""

import functools
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urljoin

import httpx

from flowhub_jobs.addresses import at_endpoint, check_redirect, host_of, origin, scrub
from flowhub_jobs.errors import (
    ConnectionLost,
    FlowhubError,
    HeadersTimeout,
    NetworkDown,
    RedirectRefused,
    SourceRefused,
    Stalled,
    TlsUntrusted,
)
from flowhub_jobs.transfer.headers import HubWord, hub_word, tells_end
from flowhub_jobs.transfer.plan import Range
from flowhub_jobs.transfer.refusal import refusal
from flowhub_jobs.transfer.terms import Terms
from flowhub_jobs.transfer.wire import Wire

REDIRECTS_MAX = 10
AGENT = "flowhub"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of 200 or 206 whose body is still to come, or a 416 that tells the end, from `url`.

    `hub` is what the Hub said on the way.
    """

    response: httpx.Response
    url: str
    hub: HubWord | None

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes. Raises ConnectionLost, Stalled."""
        with translated(self.url, in_body=True):
            yield from self.response.iter_raw()


class Web:
    """The connections of one transfer: kept alive, and cut all at once."""

    def __init__(self, terms: Terms) -> None:
        self._terms, self._wire = terms, Wire()
        self._client = httpx.Client(
            verify=_trust(),
            timeout=httpx.Timeout(None, connect=terms.connect_s, read=terms.headers_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none is kept: one of the Hub's is not a CDN's
            headers={"User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
        )
        # httpx has no public way to give its pools a network backend (encode/httpx discussion 2938).
        for transport in (self._client._transport, *self._client._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                transport._pool._network_backend = self._wire

    @contextmanager
    def ask(
        self,
        url: str,
        asked: Range,
        *,
        known: str | None,
        if_range: str | None,
        pinned: bool,
        heard: Callable[[HubWord], None],
    ) -> Iterator[Reply]:
        """Ask for a range of `url`, or of `known`, where an earlier redirect led; yield the answer.

        `heard` is told what the Hub says of the file before its redirect is followed; it may raise.

        Raises the errors of `refusal`, NetworkDown, TlsUntrusted, HeadersTimeout, ConnectionLost, RedirectRefused.
        """
        start = at_endpoint(url, self._terms.hub_endpoint)
        headers = {"Range": f"bytes={asked[0]}-{asked[1] - 1}"}
        if if_range is not None:
            headers["If-Range"] = if_range
        response, place, hub = self._follow(known or start, headers, pinned, heard)
        try:
            if response.status_code not in (200, 206) and not tells_end(response.status_code, response.headers):
                raise self._refused(response, place, fresh=known is None, home=origin(place) == origin(start))
            # The next read is of the body, which has another clock.
            response.request.extensions["timeout"]["read"] = self._terms.stall_s
            yield Reply(response, place, hub)
        finally:
            with translated(place, in_body=True):
                response.close()

    def _follow(
        self, url: str, headers: dict[str, str], pinned: bool, heard: Callable[[HubWord], None]
    ) -> tuple[httpx.Response, str, HubWord | None]:
        hub: HubWord | None = None
        for _ in range(REDIRECTS_MAX):
            response = self._send(url, headers)
            hub = hub or hub_word(response.headers)
            if not response.has_redirect_location:
                return response, url, hub
            response.close()
            target = _target(url, response.headers["location"])
            if hub is not None:
                heard(hub)
            check_redirect(url, target, pinned=pinned or (hub is not None and hub.sha256 is not None))
            url = target
        raise RedirectRefused(f"{host_of(url)} redirects without end ({REDIRECTS_MAX} times).")

    def _send(self, url: str, headers: dict[str, str]) -> httpx.Response:
        token = self._terms.tokens.get(origin(url))
        # Made anew for each hop: a token goes to the exact origin it belongs to, never along with a redirect.
        own = headers | ({"Authorization": f"Bearer {token}"} if token else {})
        self._wire.head_until(time.monotonic() + self._terms.connect_s + self._terms.headers_s)
        try:
            with translated(url, in_body=False):
                return self._client.send(self._client.build_request("GET", url, headers=own), stream=True)
        finally:
            self._wire.head_until(None)

    def _refused(self, response: httpx.Response, url: str, *, fresh: bool, home: bool) -> FlowhubError:
        return refusal(
            response.status_code,
            response.headers,
            host=host_of(url),
            fresh=fresh,
            home=home,
            had_token=origin(url) in self._terms.tokens,
            now=datetime.now(UTC),
            secrets=self._terms.tokens.values(),
        )

    def cut(self) -> None:
        """End every connection now; whoever reads gets ConnectionLost."""
        self._wire.cut()

    def close(self) -> None:
        self._client.close()


def _target(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:  # "http://[" and its like
        raise RedirectRefused(f"{host_of(url)} redirects to what is no address.") from error


@functools.cache
def _trust() -> ssl.SSLContext:
    """Return whom we trust: SSL_CERT_FILE and SSL_CERT_DIR, else certifi. Read once: it takes 20 ms."""
    try:
        return httpx.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        raise TlsUntrusted(f"The certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error}.") from error


@contextmanager
def translated(url: str, *, in_body: bool) -> Iterator[None]:
    """Turn httpx's errors into ours, at the one border. `in_body`: the headers have come."""
    host = host_of(url)
    try:
        yield
    except httpx.ReadTimeout as error:
        if in_body:
            raise Stalled(f"{host} sent no byte for too long.") from error
        raise HeadersTimeout(f"{host} accepted the request but did not answer in time.") from error
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise _unreached(host, error) from error
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
        raise SourceRefused(f"{host} cannot be asked: {scrub(str(error))}.") from error
    except httpx.TransportError as error:
        raise ConnectionLost(f"{host} dropped the connection ({scrub(str(error)) or type(error).__name__}).") from error


def _unreached(host: str, error: Exception) -> FlowhubError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TlsUntrusted(f"{host} shows a certificate that is not trusted: {cause.verify_message}.")
        if isinstance(cause, ssl.SSLError):
            return ConnectionLost(f"{host} does not speak TLS as it should: {cause.reason or cause}.")
        cause = cause.__cause__ or cause.__context__
    why = scrub(str(error)) or "no answer"
    return NetworkDown(f"{host} cannot be reached: {why}.")
