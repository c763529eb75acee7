"""Requests a range: follows redirects itself, sends a token to its own origin only, converts errors and statuses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from flowhub_jobs.errors import AnswerMalformed, ConnectionLost, FlowhubError, MirrorUnfit, RedirectRefused
from flowhub_jobs.net.httpx_errors import convert_httpx_errors, host_header
from flowhub_jobs.net.httpx_lean import httpx
from flowhub_jobs.net.httpx_transport import EnvironmentTransport
from flowhub_jobs.net.redaction import is_signed
from flowhub_jobs.net.redirect_cookies import RedirectCookies
from flowhub_jobs.net.status_errors import Headers, status_error
from flowhub_jobs.net.token_choice import token_for, with_withheld_token
from flowhub_jobs.net.urls import at_endpoint, check_redirect, host_of, hub_page, location_of, origin, redirect_target
from flowhub_jobs.transfer.http.connections import HttpBackend
from flowhub_jobs.transfer.http.content_decoding import ACCEPTED
from flowhub_jobs.transfer.http.response import RangeResponse, drop_body
from flowhub_jobs.transfer.http.response_headers import HubMetadata, folded, parse_hub_metadata, tells_end
from flowhub_jobs.transfer.mirror_choice import Address
from flowhub_jobs.transfer.options import TransferOptions

REDIRECTS = (300, 301, 302, 303, 307, 308)
REDIRECTS_MAX = 10
ANSWERED = (200, 203, 206)  # 203: what a proxy made of a 200 (RFC 9110, section 15.3.4)
HEADERS = {"User-Agent": "flowhub", "Accept": "*/*"}


class RangeClient:
    """Sends the range requests of one transfer over its HttpBackend, which keeps the connections."""

    def __init__(self, options: TransferOptions, note_received: Callable[[int], None] = lambda size: None) -> None:
        """`note_received` counts the bytes of all answers, their heads included."""
        self._options, self._backend = options, HttpBackend(note_received)
        # Requests go to the transport directly: the additional work of a client (a cookie jar, the sign-in of an
        # address, a prepared redirect) is not wanted here, and costs as much as the request itself for a small file.
        self._transport = EnvironmentTransport(
            self._backend.network_backend,
            httpx.Limits(max_connections=None, max_keepalive_connections=0),  # the backend keeps them
        )
        self._timeout = httpx.Timeout(None, connect=options.connect_s, read=options.headers_s).as_dict()

    @contextmanager
    def request(
        self,
        url: str,
        range_header: str | None,
        *,
        redirected_to: str | None,
        if_range: str | None,
        pinned: bool,
        size: int | None,
        on_hub_metadata: Callable[[HubMetadata], None],
        new_connection: bool = False,
        mirror: Address | None = None,
        accept_encoding: str = ACCEPTED[0],
    ) -> Iterator[RangeResponse]:
        """Request `url`, or `redirected_to`, where an earlier redirect led; yield the response.

        `size` is the file's in bytes, if it is known. `on_hub_metadata` gets the Hub's metadata of the file before its
        redirect is followed; it may raise. `new_connection`: use no kept connection. `mirror`: the address is a
        mirror's: no token of the user goes there, and few may redirect to another origin.

        Raises the errors of `status_error`, NetworkDown, TlsUntrusted, HeadersTimeout, ConnectionLost,
        AnswerMalformed, RedirectRefused, MirrorUnfit.
        """
        start = at_endpoint(url, self._options.hub_endpoint)
        optional = {"Range": range_header, "If-Range": if_range if range_header else None}
        request_headers = HEADERS | {name: value for name, value in optional.items() if value is not None}
        request_headers["Accept-Encoding"] = accept_encoding
        cookies = RedirectCookies()
        first = redirected_to or start
        context = _RequestContext(request_headers, pinned, on_hub_metadata, new_connection, cookies, mirror)
        response, headers, final_url, hub = self._follow(first, context)
        try:
            if response.status_code not in ANSWERED and not tells_end(response.status_code, headers):
                # The target of an earlier redirect may be a signed address that has expired, at the same host too.
                from_first_url = redirected_to is None
                same_origin = from_first_url and origin(final_url) == origin(start)
                size = hub.size if hub is not None and hub.size is not None else size
                raise self._status_error(
                    response.status_code,
                    headers,
                    final_url,
                    from_first_url=from_first_url,
                    same_origin=same_origin,
                    size=size,
                )
            needed_cookie = bool(cookies.header_for(final_url))
            yield RangeResponse(response, headers, final_url, hub, self._options.stall_s, needed_cookie=needed_cookie)
        finally:
            with convert_httpx_errors(final_url, in_body=True, within=self._options.stall_s):
                response.close()

    def _follow(self, url: str, context: "_RequestContext") -> tuple[httpx.Response, Headers, str, HubMetadata | None]:
        """Return the response at the end of the redirects, its headers, its URL, and the Hub's metadata."""
        hub: HubMetadata | None = None
        for _ in range(REDIRECTS_MAX):
            response = self._send(url, context)
            headers = folded(response.headers.raw)
            hub = hub or parse_hub_metadata(headers)
            location = location_of(response.headers.raw) if response.status_code in REDIRECTS else ""
            if not location:
                return response, headers, url, hub
            drop_body(response, headers)
            context.cookies.take(url, response.headers.raw)
            target = redirect_target(url, location)
            if context.mirror is not None and not context.mirror.may_redirect and origin(target) != origin(url):
                raise MirrorUnfit(f"{host_of(url)} redirects to {host_of(target)}.", host=host_of(url))
            if hub is not None:
                context.on_hub_metadata(hub)
            check_redirect(url, target, pinned=context.pinned or (hub is not None and hub.sha256 is not None))
            url = target
        host = host_of(url)
        raise RedirectRefused(f"{host} redirects without end ({REDIRECTS_MAX} times).", host=host)

    def _send(self, url: str, context: "_RequestContext") -> httpx.Response:
        token = token_for(url, self._options.tokens) if context.mirror is None else context.mirror.credential
        # Chosen again for each hop: a token goes to the exact origin it belongs to, never along with a redirect.
        sent_headers = context.headers | ({"Authorization": f"Bearer {token}"} if token else {})
        cookie = context.cookies.header_for(url)
        sent_headers |= {"Cookie": cookie} if cookie else {}
        with convert_httpx_errors(url, in_body=False, within=self._options.headers_s):
            address = httpx.URL(url)
            headers = host_header(address) | sent_headers
            request = httpx.Request("GET", address, headers=headers, extensions={"timeout": self._timeout.copy()})
        try:
            return self._send_once(request, new_connection=context.new_connection)
        except _StaleConnection:
            return self._send_once(request, new_connection=True)

    def _send_once(self, request: httpx.Request, *, new_connection: bool) -> httpx.Response:
        """Return the response's head. Raises _StaleConnection where a kept connection fails before a new one is tried.

        Between two requests a server may close a kept connection at any time, also while the request is on its way:
        that is no fault of the source.
        """
        url = str(request.url)
        seconds = self._options.connect_s + self._options.headers_s
        tls = request.url.scheme == "https"
        with self._backend.request(seconds, tls=tls, new_connection=new_connection) as used:
            try:
                with convert_httpx_errors(url, in_body=False, within=self._options.headers_s):
                    response = self._transport.handle_request(request)
                    response.request = request
                    return response
            except (ConnectionLost, AnswerMalformed) as error:  # the second: the rest of an earlier response
                if used.reused:
                    raise _StaleConnection from error
                raise

    def _status_error(
        self, status: int, headers: Headers, url: str, *, from_first_url: bool, same_origin: bool, size: int | None
    ) -> FlowhubError:
        """`from_first_url`: no remembered redirect was used; `same_origin`: `url` is at the first URL's origin, too."""
        hub_endpoint, tokens = self._options.hub_endpoint, self._options.tokens
        error = status_error(
            status,
            headers,
            host=host_of(url),
            fresh=from_first_url,
            home=same_origin,
            had_token=token_for(url, tokens) is not None,
            now=datetime.now(UTC),
            secrets=tokens.values(),
            token_of=None if origin(url) == origin(hub_endpoint) else origin(url),
            size=size,
            page=hub_page(url, hub_endpoint),
            signed=same_origin and is_signed(url),
        )
        return with_withheld_token(error, url, tokens)

    def drop_idle(self) -> None:
        """Close the idle connections."""
        self._backend.drop_idle()

    def abort(self) -> None:
        """Shut every connection now; a thread that reads gets ConnectionLost."""
        self._backend.abort()

    def close(self) -> None:
        self._transport.close()
        self._backend.close()


@dataclass(frozen=True, slots=True)
class _RequestContext:
    """How a request and its redirects are sent. Few mirrors may redirect to another origin."""

    headers: dict[str, str]
    pinned: bool
    on_hub_metadata: Callable[[HubMetadata], None]
    new_connection: bool
    cookies: RedirectCookies
    mirror: Address | None


class _StaleConnection(Exception):
    """The server had closed a kept connection: that is no fault of the source."""
