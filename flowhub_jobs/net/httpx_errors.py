"""Converts the errors of httpx and of sockets into flowhub's: the cause, without secrets."""

import errno
import os
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from flowhub_jobs.errors import (
    AnswerMalformed,
    ConnectionLost,
    FlowhubError,
    HeadersTimeout,
    NetworkDown,
    ProxySignIn,
    ProxyUnreachable,
    SourceError,
    SourceRefused,
    Stalled,
    TlsUntrusted,
)
from flowhub_jobs.fs.disk_errors import too_many_files
from flowhub_jobs.net.httpx_lean import httpx
from flowhub_jobs.net.proxies import Proxy
from flowhub_jobs.net.proxy_auth_schemes import UNSUPPORTED_HINT, unsupported_schemes
from flowhub_jobs.net.redaction import scrub
from flowhub_jobs.net.tls_context import CERTIFICATE_VARIABLES
from flowhub_jobs.net.urls import host_of

# h11's messages for a connection that ended before the response did; its other messages are about malformed responses.
_ENDED = re.compile(r"Server disconnected|peer closed connection|can't handle event type ConnectionClosed")
_QUOTED_BYTES = re.compile(r"""(?:bytearray\()?b(?P<quote>["'])(?P<text>.*?)((?P=quote)\)?)?$""", re.DOTALL)
_DETAIL_MAX = 120  # characters
_OF_THE_SYSTEM = re.compile(r"\[Errno -?\d+\] |\[SSL[^\]]*\] |\s*\(_ssl\.c:\d+\)")
# The numbers of OpenSSL's verification errors (x509_vfy.h); Python names none of them.
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64


@contextmanager
def convert_httpx_errors(url: str, *, in_body: bool, within: float) -> Iterator[None]:
    """Convert httpx's errors into flowhub's. `in_body`: the headers have come; `within`: the time-out, in seconds."""
    host = host_of(url)
    try:
        yield
    except httpx.ReadTimeout as error:
        if in_body:
            raise stalled(host, within) from error
        raise HeadersTimeout(
            f"{host} accepted the request but did not answer within {within:.3g} s.", host=host
        ) from error
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise _connection_error(host, error) from error
    # UnicodeError: a name "xn--…" that IDNA 2008 does not decode, as that of an emoji domain.
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError) as error:
        raise SourceRefused(f"flowhub cannot send a request to {host}: {scrub(str(error))}.", host=host) from error
    except httpx.RemoteProtocolError as error:
        raise (dropped if _ENDED.match(str(error)) else malformed)(host, error) from error
    except httpx.TransportError as error:
        raise dropped(host, error) from error


def host_header(url: httpx.URL) -> dict[str, str]:
    """Return the Host header. httpx makes one only of a name that IDNA 2008 decodes (encode/httpx, URL.host)."""
    return {"Host": url.netloc.decode("ascii")}


def stalled(host: str, seconds: float) -> Stalled:
    return Stalled(f"{host} sent no byte for {seconds:.3g} s.", host=host)


def dropped(host: str, error: Exception) -> ConnectionLost:
    return ConnectionLost(f"{host} dropped the connection ({_plain(error) or type(error).__name__}).", host=host)


def malformed(host: str, error: Exception, *, subject: str = "") -> AnswerMalformed:
    """`subject` stands in the text for the host, where a proxy may be at fault."""
    detail = _QUOTED_BYTES.sub(r"'\g<text>'", _plain(error))
    if len(detail) > _DETAIL_MAX:
        detail = f"{detail[:_DETAIL_MAX]}…"
    return AnswerMalformed(f"{subject or host} sent an answer that is not valid HTTP ({detail}).", host=host)


def _plain(error: Exception) -> str:
    """Return the system's message without its numbers and source lines."""
    return scrub(_OF_THE_SYSTEM.sub("", str(error))).strip()


def _connection_error(host: str, error: Exception, *, subject: str = "") -> FlowhubError:
    if _is_one_too_many(error):
        return too_many_files(f"No connection to {host} can be opened")
    tls, subject = _tls_error(error), subject or host
    if isinstance(tls, ssl.SSLCertVerificationError):
        return untrusted(host, tls, subject=subject)
    if tls is not None:
        return ConnectionLost(f"{subject} does not speak TLS as it should: {tls.reason or tls}.", host=host)
    return NetworkDown(f"{subject} cannot be reached: {_plain(error) or 'no answer'}.", host=host)


def _is_one_too_many(error: BaseException | None) -> bool:
    """Return whether a socket could not be made because this process has too many files open."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False


def _tls_error(error: Exception) -> ssl.SSLError | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__  # httpcore breaks the chain of causes
    return None


def untrusted(host: str, error: ssl.SSLCertVerificationError, *, subject: str = "") -> TlsUntrusted:
    """Return the error of a refused certificate, with the cause that the user can check."""
    text = f"{subject or host} shows a certificate that is not trusted: {error.verify_message.rstrip('.')}."
    if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
        hint = "If that date is wrong, set this machine's clock; else its host must renew the certificate."
        text = f"{text} This machine's date is {date.today().isoformat()}."
        return TlsUntrusted(text, hint=hint, host=host)
    if error.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        hint = "If this network requires a sign-in, as in a hotel: open any page in a browser. A worker then continues."
        return TlsUntrusted(text, hint=hint, host=host)
    variable = next((name for name in CERTIFICATE_VARIABLES if os.environ.get(name)), None)
    if variable is not None:
        only = f"Only the certificates of {variable} ({os.environ[variable]}) are trusted"
        return TlsUntrusted(text, hint=f"{only}: add the CA of this network or host to them (PEM).", host=host)
    return TlsUntrusted(text, host=host)


# Through a proxy -----------------------------------------------------------------------------------------------------


@contextmanager
def through_proxy(url: str, proxy: Proxy, challenges: Sequence[str] = ()) -> Iterator[None]:
    """Convert httpx's errors of a request through a proxy, up to the response's head; the new errors name the proxy.

    `challenges` gets the values of Proxy-Authenticate while the request runs.
    """
    host = host_of(url)
    try:
        yield
    except httpx.ProxyError as error:
        raise proxy_refused(url, proxy, _plain(error), challenges) from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if _tls_error(error) is not None:
            subject = f"{host}, or the proxy {proxy}," if proxy.scheme == "https" else host
            raise _connection_error(host, error, subject=subject) from error
        reason = _plain(error) or "no answer"
        raise ProxyUnreachable(
            f"{host} cannot be reached: the proxy {proxy} does not answer: {reason}.", host=host
        ) from error
    except httpx.ReadTimeout as error:
        raise HeadersTimeout(f"{host} did not answer in time through the proxy {proxy}.", host=host) from error
    except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
        if isinstance(error, httpx.RemoteProtocolError) and not _ENDED.match(str(error)):
            raise malformed(host, error, subject=f"{host}, or the proxy {proxy},") from error
        reason = _plain(error) or type(error).__name__
        raise ConnectionLost(f"{host}: the proxy {proxy} dropped the connection ({reason}).", host=host) from error


def proxy_refused(url: str, proxy: Proxy, answer: str, challenges: Sequence[str] = ()) -> SourceError:
    """Return the error of a proxy's own refusal. `answer` begins with its status."""
    if answer.startswith("407"):
        if schemes := unsupported_schemes(challenges):
            text = f"The proxy {proxy} requires a sign-in by {schemes} (407); flowhub speaks Basic only."
            return ProxySignIn(text, hint=UNSUPPORTED_HINT)
        if proxy.credentials:
            text = f"The proxy {proxy} refuses the user and password that {proxy.variable} gives (407)."
        else:
            text = f"The proxy {proxy} requires a user and a password, and {proxy.variable} has none (407)."
        return ProxySignIn(text)
    # Another refusal may pass: a gateway that does not reach the host (502 to 504), or rules that apply by day only.
    forbidden = answer.startswith(("401", "403", "451"))
    hint = (
        "The proxy's rules refuse this host: ask its administrator, or name the host in NO_PROXY{for_the_worker_too}."
    )
    return ProxyUnreachable(
        f"{host_of(url)} cannot be reached: the proxy {proxy} answers {answer}.",
        hint=hint if forbidden else None,
        host=host_of(url),
    )
