"""Cookies of one chain of redirects: they go back to the origin that set them, and are dropped at the end.

Some hosts redirect an address to itself until the cookie that comes with the redirect is sent along (a cookie wall).
"""

import re
from collections.abc import Iterable

from flowhub_jobs.net.urls import origin

# Not http.cookiejar: it keeps cookies by domain, and sends them to other hosts of that domain. Not http.cookies either:
# SimpleCookie drops a cookie that has an attribute it does not know, such as Partitioned (python/cpython#112713).
_PAIR = re.compile(r"(?P<name>[!-:<>-~]+)=(?P<value>[ -:<-~]*)")
_PAIR_MAX = 4096  # bytes, as in browsers (RFC 6265, section 6.1)


class RedirectCookies:
    """The cookies that the origins of one chain have set. The attributes Path and Domain are ignored."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, str]] = {}  # by origin, then by name

    def take(self, url: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Store the cookies of a redirect from `url`, by its raw headers (RFC 6265, section 5.2)."""
        for name, text in headers:
            if name.lower() == b"set-cookie":
                self._set(origin(url), text.decode("latin-1"))

    def _set(self, source: str, text: str) -> None:
        pair, *attributes = (part.strip() for part in text.split(";"))
        match = _PAIR.fullmatch(pair)
        if match is None or len(pair) > _PAIR_MAX:
            return
        names = {attribute.partition("=")[0].strip().lower() for attribute in attributes}
        if "secure" in names and not source.startswith("https:"):
            return
        values = self._values.setdefault(source, {})
        if any(_has_ended(attribute) for attribute in attributes):
            values.pop(match["name"].strip(), None)
        else:
            values[match["name"].strip()] = match["value"].strip()

    def header_for(self, url: str) -> str | None:
        """Return the Cookie header of a request for `url`, None for none."""
        values = self._values.get(origin(url)) if self._values else None
        return "; ".join(f"{name}={value}" for name, value in values.items()) if values else None


def _has_ended(attribute: str) -> bool:
    """Return whether an attribute is a Max-Age of 0 or less, by which a server removes a cookie."""
    return re.fullmatch(r"max-age\s*=\s*(0|-[0-9]+)", attribute, re.IGNORECASE) is not None
