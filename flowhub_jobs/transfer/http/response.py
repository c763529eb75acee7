"""An answer whose body is still to come, and how it is read: by us where its length is told, else by httpcore."""

import contextlib

from flowhub_jobs.errors import ConnectionLost
from flowhub_jobs.net.httpx_errors import dropped, stalled, translated
from flowhub_jobs.net.httpx_lean import httpx
from flowhub_jobs.net.status_errors import Headers
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.http.decoding import Decoder
from flowhub_jobs.transfer.http.headers import HubMetadata, body_length, stays_open
from flowhub_jobs.transfer.http.stream import HttpStream

SMALL_BODY = 64 * 1024  # of a redirect: read and dropped, so that the connection can be kept
DROP_S = 1.0


class RangeResponse:
    """An answer of 200 or 206 whose body is still to come, or a 416 that tells the end, from `url`.

    `hub` is what the Hub said on the way. `needed_cookie`: a redirect had set a cookie, which was sent to `url`, and
    without which `url` may not answer.
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
        self._stream = _our_stream(response, headers)
        self._chunks = iter(()) if self._stream else response.iter_raw()
        response.request.extensions["timeout"]["read"] = stall_s  # the next read is of the body: another clock

    def decode(self, coding: str, size: int | None) -> None:
        """Let `fill` decode the body from `coding`, to `size` bytes; None: their number is unknown."""
        self._decoder = Decoder(coding, host_of(self.url), size)

    def narrow(self, size: int | None) -> None:
        """Let no more than about `size` bytes come ahead of us; None: as many as can."""
        if self._stream is not None:
            self._stream.narrow(size)

    def cut(self) -> None:
        """End the connection under the thread that reads; it gets ConnectionLost."""
        if self._stream is not None:
            self._stream.shut()

    def fill(self, view: memoryview) -> int:
        """Put the next bytes of the file into `view`; return how many, 0 at the end. Raises ConnectionLost, Stalled.

        Of a body that is decoded, also what `Decoder.fill` raises.
        """
        return self._fill(view) if self._decoder is None else self._decoder.fill(view, self._fill)

    def _fill(self, view: memoryview) -> int:
        """The same, of the body as it comes."""
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
        """The same, of a body whose length nobody told: httpcore alone knows how it ends."""
        with translated(self.url, in_body=True, within=self._stall_s):
            self._rest = self._rest or memoryview(next(self._chunks, b""))
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _our_stream(response: httpx.Response, headers: Headers) -> HttpStream | None:
    """Return the stream of the answer, set to its body, where its length is told (RFC 9112, section 6.3)."""
    stream = response.extensions.get("network_stream")
    if not isinstance(stream, HttpStream):
        return None
    length = body_length(headers)
    if length is None:
        stream.unframed()
        return None
    stream.body(length, keepable=stays_open(response.http_version, headers))
    return stream


def drop_body(response: httpx.Response, headers: Headers) -> None:
    """Read the few bytes that come with a redirect, so that its connection serves again, and close the answer."""
    stream, length = _our_stream(response, headers), body_length(headers)
    if stream is not None and length is not None and 0 < length <= SMALL_BODY:
        space = memoryview(bytearray(length))
        with contextlib.suppress(OSError):
            while space and (count := stream.fill(space, DROP_S)):
                space = space[count:]
    response.close()
