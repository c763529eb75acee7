"""Asks an origin for a range: redirects by hand, tokens kept home, httpx's errors and bad statuses made ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from flowhub_jobs.errors import AnswerMalformed, ConnectionLost, FlowhubError, RedirectRefused
from flowhub_jobs.net.credentials import token_for, with_withheld_token
from flowhub_jobs.net.httpx_errors import host_header, translated
from flowhub_jobs.net.httpx_lean import httpx
from flowhub_jobs.net.httpx_transport import EnvironmentTransport
from flowhub_jobs.net.status_errors import Headers, refusal
from flowhub_jobs.net.urls import at_endpoint, check_redirect, host_of, hub_page, location_of, origin, redirect_target
from flowhub_jobs.transfer.http.backend import HttpBackend
from flowhub_jobs.transfer.http.headers import HubMetadata, folded, parse_hub_metadata, tells_end
from flowhub_jobs.transfer.http.redirect_cookies import RedirectCookies
from flowhub_jobs.transfer.http.response import RangeResponse, drop_body
from flowhub_jobs.transfer.options import TransferOptions

REDIRECTS, REDIRECTS_MAX = (300, 301, 302, 303, 307, 308), 10
ANSWERED = (200, 203, 206)  # 203: what a proxy made of a 200 (RFC 9110, section 15.3.4)
HEADERS = {"User-Agent": "flowhub", "Accept": "*/*", "Accept-Encoding": "identity"}


class RangeClient:
    """The connections of one transfer: kept alive, and cut all at once."""

    def __init__(self, terms: TransferOptions) -> None:
        self._terms, self._wire = terms, HttpBackend()
        # Requests go to the transport at once: what a client does in addition (a cookie jar, the sign-in of an
        # address, a redirect made ready) is not wanted here, and for small files costs as much as the request itself.
        self._transport = EnvironmentTransport(
            self._wire.backend,
            httpx.Limits(max_connections=None, max_keepalive_connections=0),  # the wire keeps them
        )
        self._timeout = httpx.Timeout(None, connect=terms.connect_s, read=terms.headers_s).as_dict()

    @contextmanager
    def ask(
        self,
        url: str,
        wanted: str | None,
        *,
        known: str | None,
        if_range: str | None,
        pinned: bool,
        size: int | None,
        heard: Callable[[HubMetadata], None],
        fresh: bool = False,
    ) -> Iterator[RangeResponse]:
        """Ask for `url`, or for `known`, where an earlier redirect led; yield the answer.

        `wanted` is the Range header, None for none; `size` the file's in bytes, where it is known. `heard` is told
        what the Hub says of the file before its redirect is followed; it may raise. `fresh`: no connection is
        used that was kept.

        Raises the errors of `refusal`, NetworkDown, TlsUntrusted, HeadersTimeout, ConnectionLost,
        AnswerMalformed, RedirectRefused.
        """
        start = at_endpoint(url, self._terms.hub_endpoint)
        named = {"Range": wanted, "If-Range": if_range if wanted else None}
        wish = HEADERS | {name: value for name, value in named.items() if value is not None}
        cookies = RedirectCookies()
        response, headers, place, hub = self._follow(known or start, wish, pinned, heard, fresh, cookies)
        try:
            if response.status_code not in ANSWERED and not tells_end(response.status_code, headers):
                at_home = origin(place) == origin(start)
                size = hub.size if hub is not None and hub.size is not None else size
                raise self._refused(response.status_code, headers, place, fresh=known is None, home=at_home, size=size)
            yield RangeResponse(
                response, headers, place, hub, self._terms.stall_s, needed_cookie=bool(cookies.header_for(place))
            )
        finally:
            with translated(place, in_body=True, within=self._terms.stall_s):
                response.close()

    def _follow(
        self,
        url: str,
        wish: dict[str, str],
        pinned: bool,
        heard: Callable[[HubMetadata], None],
        fresh: bool,
        cookies: RedirectCookies,
    ) -> tuple[httpx.Response, Headers, str, HubMetadata | None]:
        hub: HubMetadata | None = None
        for _ in range(REDIRECTS_MAX):
            response = self._send(url, wish, fresh, cookies.header_for(url))
            headers = folded(response.headers.raw)
            hub = hub or parse_hub_metadata(headers)
            location = location_of(response.headers.raw) if response.status_code in REDIRECTS else ""
            if not location:
                return response, headers, url, hub
            drop_body(response, headers)
            cookies.take(url, response.headers.raw)
            target = redirect_target(url, location)
            if hub is not None:
                heard(hub)
            check_redirect(url, target, pinned=pinned or (hub is not None and hub.sha256 is not None))
            url = target
        raise RedirectRefused(f"{host_of(url)} redirects without end ({REDIRECTS_MAX} times).", host=host_of(url))

    def _send(self, url: str, wish: dict[str, str], fresh: bool, cookie: str | None) -> httpx.Response:
        token = token_for(url, self._terms.tokens)
        # Made anew for each hop: a token goes to the exact origin it belongs to, never along with a redirect.
        own = wish | ({"Authorization": f"Bearer {token}"} if token else {})
        own |= {"Cookie": cookie} if cookie else {}
        with translated(url, in_body=False, within=self._terms.headers_s):
            address = httpx.URL(url)
            sent = host_header(address) | own
            request = httpx.Request("GET", address, headers=sent, extensions={"timeout": self._timeout.copy()})
        try:
            return self._over_the_wire(request, anew=fresh)
        except _StaleConnection:
            return self._over_the_wire(request, anew=True)

    def _over_the_wire(self, request: httpx.Request, *, anew: bool) -> httpx.Response:
        url = str(request.url)
        seconds = self._terms.connect_s + self._terms.headers_s
        with self._wire.calling(seconds, tls=request.url.scheme == "https", anew=anew) as call:
            try:
                with translated(url, in_body=False, within=self._terms.headers_s):
                    response = self._transport.handle_request(request)
                    response.request = request
                    return response
            except (ConnectionLost, AnswerMalformed) as error:  # the second: what is left of an earlier answer
                if call.reused:
                    raise _StaleConnection from error
                raise

    def _refused(
        self, status: int, headers: Headers, url: str, *, fresh: bool, home: bool, size: int | None
    ) -> FlowhubError:
        error = refusal(
            status,
            headers,
            host=host_of(url),
            fresh=fresh,
            home=home,
            had_token=token_for(url, self._terms.tokens) is not None,
            now=datetime.now(UTC),
            secrets=self._terms.tokens.values(),
            token_of=None if origin(url) == origin(self._terms.hub_endpoint) else origin(url),
            size=size,
            page=hub_page(url, self._terms.hub_endpoint),
        )
        return with_withheld_token(error, url, self._terms.tokens)

    def drop_idle(self) -> None:
        """Close the connections that are kept for later requests."""
        self._wire.drop_idle()

    def cut(self) -> None:
        """End every connection now; whoever reads gets ConnectionLost."""
        self._wire.cut()

    def close(self) -> None:
        self._transport.close()
        self._wire.close()


class _StaleConnection(Exception):
    """A connection that was kept had been closed by its server: that is no fault of the source's."""
