"""A response whose body is still to come. flowhub reads a body of known length, httpcore any other."""

import contextlib

from flowhub_jobs.errors import ConnectionLost
from flowhub_jobs.net.httpx_errors import convert_httpx_errors, dropped, stalled
from flowhub_jobs.net.httpx_lean import httpx
from flowhub_jobs.net.status_errors import Headers
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.http.content_decoding import Decoder
from flowhub_jobs.transfer.http.response_headers import HubMetadata, body_length, stays_open
from flowhub_jobs.transfer.http.socket_stream import HttpStream

SMALL_BODY = 64 * 1024  # of a redirect: read and dropped, so that the connection can be kept
DROP_S = 1.0


class RangeResponse:
    """A 200 or 206 whose body is still to come, or a 416 that names the size of the file, from `url`.

    `hub` is the metadata of the Hub's redirect. `needed_cookie`: a redirect had set a cookie, which was sent to `url`;
    without it `url` may not answer.
    """

    def __init__(
        self,
        response: httpx.Response,
        headers: Headers,
        url: str,
        hub: HubMetadata | None,
        stall_s: float,
        needed_cookie: bool = False,
    ) -> None:
        self.needed_cookie = needed_cookie
        self.status, self.headers, self.url, self.hub = response.status_code, headers, url, hub
        self._stall_s, self._rest = stall_s, memoryview(b"")
        self._decoder: Decoder | None = None
        self._network_stream = response.extensions.get("network_stream")
        self._stream = _http_stream(response, headers)
        self._chunks = iter(()) if self._stream else response.iter_raw()
        response.request.extensions["timeout"]["read"] = stall_s  # the next read is of the body: another time-out

    def decode(self, coding: str, size: int | None) -> None:
        """Let `fill` decode the body from `coding`, to `size` bytes (None: unknown)."""
        self._decoder = Decoder(coding, host_of(self.url), size)

    def limit_read_ahead(self, size: int | None) -> None:
        """Let at most about `size` bytes wait unread in the system; None: no limit."""
        if self._stream is not None:
            self._stream.limit_read_ahead(size)

    def abort(self) -> None:
        """Shut the connection; the thread that reads gets ConnectionLost."""
        if self._stream is not None:
            self._stream.shut()

    def fill(self, view: memoryview) -> int:
        """Put the next bytes of the file into `view`; return the count, 0 at the end. Raises ConnectionLost, Stalled.

        If the body is decoded, it also raises what `Decoder.fill` raises.
        """
        return self._fill(view) if self._decoder is None else self._decoder.fill(view, self._fill)

    @property
    def cut_off(self) -> bool:
        """Whether the connection ended without the end of its TLS: a body without a length may be incomplete."""
        return bool(getattr(self._network_stream, "cut_off", False))

    def _fill(self, view: memoryview) -> int:
        """Put the next bytes of the body, not decoded, into `view`."""
        if self._stream is None:
            return self._fill_from_chunks(view)
        try:
            count = self._stream.fill(view, self._stall_s)
        except TimeoutError as error:
            raise stalled(host_of(self.url), self._stall_s) from error
        except OSError as error:
            raise dropped(host_of(self.url), error) from error
        if not count and self._stream.left:
            raise ConnectionLost(
                f"{host_of(self.url)} dropped the connection, {self._stream.left} bytes too early.",
                host=host_of(self.url),
            )
        return count

    def _fill_from_chunks(self, view: memoryview) -> int:
        """The same for a body of unknown length: httpcore alone knows how it ends."""
        with convert_httpx_errors(self.url, in_body=True, within=self._stall_s):
            self._rest = self._rest or memoryview(next(self._chunks, b""))
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _http_stream(response: httpx.Response, headers: Headers) -> HttpStream | None:
    """Return the response's stream, set to the body, if the length is known (RFC 9112, section 6.3)."""
    stream = response.extensions.get("network_stream")
    if not isinstance(stream, HttpStream):
        return None
    length = body_length(headers)
    if length is None:
        return None
    stream.begin_body(length, keepable=stays_open(response.http_version, headers))
    return stream


def drop_body(response: httpx.Response, headers: Headers) -> None:
    """Read the few bytes of a redirect's body, so that its connection can be kept, and close the response."""
    stream, length = _http_stream(response, headers), body_length(headers)
    if stream is not None and length is not None and 0 < length <= SMALL_BODY:
        space = memoryview(bytearray(length))
        with contextlib.suppress(OSError):
            while space and (count := stream.fill(space, DROP_S)):
                space = space[count:]
    response.close()
