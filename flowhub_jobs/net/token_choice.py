"""Chooses the token of a request: only the origin's own, and only where no other machine on the way can read it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.net.proxies import proxy_for
from flowhub_jobs.net.urls import is_loopback, origin

SIGN_IN = 4  # exit status of errors about sign-in and licence


def token_for(url: str, tokens: Mapping[str, str]) -> str | None:
    """Return the token to send with a request for `url`; None if its origin has none, or it must be withheld.

    `tokens` maps an origin (`urls.origin`) to its token. A pinned sha256 protects the file, but not the token.
    """
    token = tokens.get(origin(url))
    return token if token and _is_private(url) else None


def _is_private(url: str) -> bool:
    """Return whether a request for `url` is encrypted or stays on this machine, also where a proxy is used."""
    parts = urlsplit(origin(url))
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    if not is_loopback(f"[{host}]" if ":" in host else host):
        return False
    proxy = proxy_for(parts.scheme, host, parts.port or 80)
    return proxy is None or is_loopback(proxy.host)


def with_withheld_token(error: FlowhubError, url: str, tokens: Mapping[str, str]) -> FlowhubError:
    """Return the error of a refused request; if a token was withheld, its hint says so."""
    if error.exit_status == SIGN_IN and tokens.get(origin(url)) and token_for(url, tokens) is None:
        target = origin(url)
        error.hint = (
            f"The token for {target} was not sent: over plain http, others could read it. Use an https address."
        )
    return error
