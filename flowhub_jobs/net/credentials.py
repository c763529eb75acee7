"""Decides whether a token may be sent: to its own origin only, and never readable on the way."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.net.proxies import proxy_for
from flowhub_jobs.net.urls import is_loopback, origin

SIGN_IN = 4  # the exit status of sign-in and licence


def token_for(url: str, tokens: Mapping[str, str]) -> str | None:
    """Return the token that goes with a request for `url`; None where its origin has none, or it has to be withheld.

    `tokens` maps an origin (`addresses.origin`) to its token. That a file's sha256 is pinned protects the file alone.
    """
    token = tokens.get(origin(url))
    return token if token and _is_private(url) else None


def _is_private(url: str) -> bool:
    """Return whether a request for `url` is encrypted, or does not leave this machine: also not by way of a proxy."""
    parts = urlsplit(origin(url))
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    if not is_loopback(f"[{host}]" if ":" in host else host):
        return False
    proxy = proxy_for(parts.scheme, host, parts.port or 80)
    return proxy is None or is_loopback(proxy.host)


def with_withheld_token(error: FlowhubError, url: str, tokens: Mapping[str, str]) -> FlowhubError:
    """Return the error of a refused request; its hint says so if a token that is known was withheld."""
    if error.exit_status == SIGN_IN and tokens.get(origin(url)) and token_for(url, tokens) is None:
        place = origin(url)
        error.hint = f"The token for {place} was not sent: over plain http, others could read it. Use an https address."
    return error
