"""The errors of httpx and of the system made ours, at the one border: whose fault, in plain words, without secrets.

Whom httpx trusts is read here too: that fails in the system's words as well.
"""

import functools
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flowhub_jobs.addresses import host_of, scrub
from flowhub_jobs.errors import (
    ConnectionLost,
    FlowhubError,
    HeadersTimeout,
    NetworkDown,
    SourceRefused,
    Stalled,
    TlsUntrusted,
)
from flowhub_jobs.lean_httpx import httpx

_OF_THE_SYSTEM = re.compile(r"\[Errno -?\d+\] |\[SSL[^\]]*\] |\s*\(_ssl\.c:\d+\)")


@functools.cache
def trust() -> ssl.SSLContext:
    """Return whom we trust: SSL_CERT_FILE and SSL_CERT_DIR, else certifi. Read once: it takes 20 ms."""
    try:
        return httpx.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        raise TlsUntrusted(f"The certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error}.") from error


def warm_trust() -> None:
    """Read it beforehand, beside something else. What is wrong with it, the first who asks is told."""
    with suppress(FlowhubError):
        trust()


@contextmanager
def translated(url: str, *, in_body: bool, within: float) -> Iterator[None]:
    """Turn httpx's errors into ours, at the one border. `in_body`: the headers have come; `within`: the clock, in s."""
    host = host_of(url)
    try:
        yield
    except httpx.ReadTimeout as error:
        if in_body:
            raise stalled(host, within) from error
        raise HeadersTimeout(f"{host} accepted the request but did not answer within {within:.3g} s.") from error
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise _unreached(host, error) from error
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
        raise SourceRefused(f"{host} cannot be asked: {scrub(str(error))}.") from error
    except httpx.TransportError as error:
        raise dropped(host, error) from error


def stalled(host: str, seconds: float) -> Stalled:
    return Stalled(f"{host} sent no byte for {seconds:.3g} s.")


def dropped(host: str, error: Exception) -> ConnectionLost:
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
