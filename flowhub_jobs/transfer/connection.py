"""Asks an origin for a range: redirects by hand, tokens kept home, httpx's errors and bad statuses made ours."""

import contextlib
import functools
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from flowhub_jobs.transfer.headers import HubWord, body_length, hub_word, stays_open, tells_end
from flowhub_jobs.transfer.plan import Range
from flowhub_jobs.transfer.refusal import refusal
from flowhub_jobs.transfer.stream import Stream
from flowhub_jobs.transfer.terms import Terms
from flowhub_jobs.transfer.wire import Wire

REDIRECTS_MAX = 10
_OF_THE_SYSTEM = re.compile(r"\[Errno -?\d+\] |\[SSL[^\]]*\] |\s*\(_ssl\.c:\d+\)")
AGENT = "flowhub"
SMALL_BODY = 64 * 1024  # of a redirect: read and dropped, so that the connection can be kept
DROP_S = 1.0


class Reply:
    """An answer of 200 or 206 whose body is still to come, or a 416 that tells the end, from `url`.

    `hub` is what the Hub said on the way.
    """

    def __init__(self, response: httpx.Response, url: str, hub: HubWord | None, stall_s: float) -> None:
        self.response, self.url, self.hub = response, url, hub
        self._stall_s, self._rest = stall_s, memoryview(b"")
        self._stream = _our_stream(response)
        self._chunks = iter(()) if self._stream else response.iter_raw()
        response.request.extensions["timeout"]["read"] = stall_s  # the next read is of the body: another clock

    def narrow(self, size: int) -> None:
        """Let no more than about `size` bytes come ahead of us."""
        if self._stream is not None:
            self._stream.narrow(size)

    def fill(self, view: memoryview) -> int:
        """Put the next bytes of the body into `view`; return how many, 0 at its end. Raises ConnectionLost, Stalled."""
        if self._stream is None:
            return self._fill_from_chunks(view)
        try:
            count = self._stream.fill(view, self._stall_s)
        except TimeoutError as error:
            raise _stalled(host_of(self.url), self._stall_s) from error
        except OSError as error:
            raise _dropped(host_of(self.url), error) from error
        if not count and self._stream.left:
            raise ConnectionLost(f"{host_of(self.url)} dropped the connection, {self._stream.left} bytes too early.")
        return count

    def _fill_from_chunks(self, view: memoryview) -> int:
        """The same, of a body whose length nobody told: httpcore alone knows how it ends."""
        with translated(self.url, in_body=True, within=self._stall_s):
            self._rest = self._rest or memoryview(next(self._chunks, b""))
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _our_stream(response: httpx.Response) -> Stream | None:
    """Return the stream of the answer, set to its body, where its length is told (RFC 9112, section 6.3)."""
    stream = response.extensions.get("network_stream")
    if not isinstance(stream, Stream):
        return None
    length = body_length(response.headers)
    if length is None:
        stream.unframed()
        return None
    stream.body(length, keepable=stays_open(response.http_version, response.headers))
    return stream


class Web:
    """The connections of one transfer: kept alive, and cut all at once."""

    def __init__(self, terms: Terms) -> None:
        self._terms, self._wire = terms, Wire()
        self._client = httpx.Client(
            verify=_trust(),
            timeout=httpx.Timeout(None, connect=terms.connect_s, read=terms.headers_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),  # the wire keeps them
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
            yield Reply(response, place, hub, self._terms.stall_s)
        finally:
            with translated(place, in_body=True, within=self._terms.stall_s):
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
            _drop_body(response)
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
        request = self._client.build_request("GET", url, headers=own)
        try:
            return self._over_the_wire(request, anew=False)
        except _StaleConnection:
            return self._over_the_wire(request, anew=True)

    def _over_the_wire(self, request: httpx.Request, *, anew: bool) -> httpx.Response:
        url = str(request.url)
        seconds = self._terms.connect_s + self._terms.headers_s
        with self._wire.calling(seconds, tls=request.url.scheme == "https", anew=anew) as call:
            try:
                with translated(url, in_body=False, within=self._terms.headers_s):
                    return self._client.send(request, stream=True)
            except ConnectionLost as error:
                if call.reused:
                    raise _StaleConnection from error
                raise

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
        self._wire.close()


class _StaleConnection(Exception):
    """A connection that was kept had been closed by its server: that is no fault of the source's."""


def _drop_body(response: httpx.Response) -> None:
    """Read the few bytes that come with a redirect, so that its connection serves again, and close the answer."""
    stream, length = _our_stream(response), body_length(response.headers)
    if stream is not None and length is not None and 0 < length <= SMALL_BODY:
        space = memoryview(bytearray(length))
        with contextlib.suppress(OSError):
            while space and (count := stream.fill(space, DROP_S)):
                space = space[count:]
    response.close()


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
def translated(url: str, *, in_body: bool, within: float) -> Iterator[None]:
    """Turn httpx's errors into ours, at the one border. `in_body`: the headers have come; `within`: the clock, in s."""
    host = host_of(url)
    try:
        yield
    except httpx.ReadTimeout as error:
        if in_body:
            raise _stalled(host, within) from error
        raise HeadersTimeout(f"{host} accepted the request but did not answer within {within:.3g} s.") from error
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise _unreached(host, error) from error
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
        raise SourceRefused(f"{host} cannot be asked: {scrub(str(error))}.") from error
    except httpx.TransportError as error:
        raise _dropped(host, error) from error


def _stalled(host: str, seconds: float) -> Stalled:
    return Stalled(f"{host} sent no byte for {seconds:.3g} s.")


def _dropped(host: str, error: Exception) -> ConnectionLost:
    return ConnectionLost(f"{host} dropped the connection ({_plain(error) or type(error).__name__}).")


def _plain(error: Exception) -> str:
    """Return what the system says, without its own numbers and places."""
    return scrub(_OF_THE_SYSTEM.sub("", str(error))).strip()


def _unreached(host: str, error: Exception) -> FlowhubError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TlsUntrusted(f"{host} shows a certificate that is not trusted: {cause.verify_message}.")
        if isinstance(cause, ssl.SSLError):
            return ConnectionLost(f"{host} does not speak TLS as it should: {cause.reason or cause}.")
        cause = cause.__cause__ or cause.__context__
    why = _plain(error) or "no answer"
    return NetworkDown(f"{host} cannot be reached: {why}.")
