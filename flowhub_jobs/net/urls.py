"""Checks which URLs may be requested, and compares their origins. Pure: no name is resolved.

A URL is split as in RFC 3986, appendix B, which is how httpx splits it too: a check that splits it in another way than
the client would check another host.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from urllib.parse import quote, urljoin

from flowhub_jobs.errors import AddressRefused, RedirectRefused
from flowhub_jobs.fs.names import is_unseen
from flowhub_jobs.net.redaction import short_url

HUB = "https://huggingface.co"
HUB_ORIGIN = f"{HUB}:443"

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LOOPBACK = IPv4Network("127.0.0.0/8")

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^?#]*)(.*)", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::([0-9]{0,5}))?", re.IGNORECASE | re.ASCII)
# A bracket that does not close, holds no IPv6 address (RFC 6874's zones are not taken), or is not at the front.
_BAD_HOST = re.compile(r"\[(?![0-9a-f:.]+\](?::|$))|[^:\[\]]+[\[\]]", re.IGNORECASE | re.ASCII)
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

_HUB_FILE = re.compile(r"(/(?:datasets/)?[^/?#]+(?:/[^/?#]+)?)/resolve/")
_PLAIN = re.compile(r"[!-\[\]-~]*")  # no space, no backslash, nothing invisible

_BLANK = bytes(range(33))
_AUTHORITY_OF = re.compile(rb"(?:[a-z][a-z0-9+.-]*:)?//[^/]*", re.IGNORECASE)
_KEPT = "!#$%&'()*+,/:;=?@[]~"  # RFC 3986: reserved and unreserved characters, and "%" of what is encoded already

_HOST_HINT = "Write the host after the two slashes: https://host/path."
_PORT_HINT = "Correct the port, or leave it out: https://host/path uses 443."
_IPV6_HINT = "Write an IPv6 address whole, in brackets and without a zone: http://[2001:db8::1]:8080/path."
_UNSEEN_HINT = "Take it out, or write it percent-encoded: a space is %20."
_HOST_FORM_HINT = "Write the host as its name, or as four numbers: https://192.0.2.1/path."
_USERINFO_HINT = "Take the user and password out of it; a token belongs into config.toml, under its origin."


@dataclass(frozen=True, slots=True)
class _Address:
    """A URL in parts: `scheme` and `host` in lower case, the host in ASCII and without brackets."""

    scheme: str
    host: str
    port: int
    rest: str

    @property
    def netloc(self) -> str:
        """Return the host, with the port if it is not the scheme's default."""
        return self.bracketed if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{self.bracketed}:{self.port}"

    @property
    def bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def check_address(url: str, *, pinned: bool) -> None:
    """Raise AddressRefused for a URL that may not be requested. `pinned`: the file's sha256 is known in advance."""
    address = _parse(url)
    if address.scheme == "http" and not pinned and not is_loopback(address.host):
        raise _refusal(url, "http to another machine needs a pinned sha256")


def check_redirect(source: str, target: str, *, pinned: bool) -> None:
    """Refuse a redirect from `source` to `target`, both absolute: RedirectRefused says why.

    From https down to http without a pin is refused to loopback too.
    """
    try:
        check_address(target, pinned=pinned)
        downgrade = _parse(source).scheme == "https" and _parse(target).scheme == "http"
    except AddressRefused as error:
        raise RedirectRefused(
            f"{short_url(source)} redirects where flowhub does not follow. {error.text}", host=host_of(source)
        ) from error
    if downgrade and not pinned:
        raise RedirectRefused(
            f"{short_url(source)} redirects to {short_url(target)} and is not followed: that leaves https, "
            "and no pinned sha256 guards the file.",
            host=host_of(source),
        )


def location_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the first Location of raw headers as an address reference, as a browser reads it; "" where there is none.

    WHATWG URL: spaces around it, and tabs in it, are none of it; a backslash before the query is a slash; a space, a
    byte beyond ASCII and what else no address may hold is percent-encoded, but in the host, which may be a name in
    Unicode. The fragment is dropped.
    """
    raw = next((value for name, value in headers if name.lower() == b"location"), b"")
    text = raw.strip(_BLANK).replace(b"\t", b"").partition(b"#")[0]
    front, mark, query = text.partition(b"?")
    front = front.replace(b"\\", b"/")
    head = _AUTHORITY_OF.match(front)
    host = head[0] if head else b""
    try:
        host_text = host.decode()
    except UnicodeDecodeError:
        host_text = quote(host, safe=_KEPT)
    return host_text + quote(front[len(host) :] + mark + query, safe=_KEPT)


def redirect_target(source: str, location: str) -> str:
    """Return the absolute URL of a redirect, not yet checked. Raises RedirectRefused if it is no URL."""
    try:
        return urljoin(source, location)
    except ValueError as error:  # "http://[" and its like
        raise RedirectRefused(
            f"{host_of(source)} redirects to something that is not an address.", host=host_of(source)
        ) from error


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine: 127.0.0.0/8, ::1 or localhost, in their plain forms.

    Not ::ffff:127.0.0.1, 127.1 or 0x7f000001, and no name that happens to resolve there.
    """
    if host.lower() == "localhost":
        return True
    bare = host[1:-1] if re.fullmatch(r"\[.*:.*\]", host) else host
    try:
        return IPv6Address(bare) == IPv6Address(1) if ":" in bare else IPv4Address(bare) in _LOOPBACK
    except ValueError:
        return False


@functools.lru_cache(maxsize=2048)
def origin(url: str) -> str:
    """Return `scheme://host:port`, in lower case and with the default port too. Raises AddressRefused.

    Two URLs have the same origin only if a client connects to the same host for both.
    """
    address = _parse(url)
    return f"{address.scheme}://{address.bracketed}:{address.port}"


@functools.lru_cache(maxsize=2048)
def host_of(url: str) -> str:
    """Return the host for messages, with the port if it is not the scheme's default. It never raises."""
    try:
        return _parse(url).netloc
    except AddressRefused:
        return short_url(url)


def shown_origin(url: str) -> str:
    """Return the origin as people write it: without the port if it is the scheme's default. Raises AddressRefused."""
    address = _parse(url)
    return f"{address.scheme}://{address.netloc}"


def at_endpoint(url: str, endpoint: str) -> str:
    """Return a URL of https://huggingface.co with `endpoint` in place of that; any other URL is returned unchanged.

    `endpoint` may have a path prefix and a slash at its end.
    """
    try:
        at_hub = origin(url) == HUB_ORIGIN
    except AddressRefused:
        return url
    return endpoint.rstrip("/") + _parse(url).rest if at_hub else url


def hub_page(url: str, endpoint: str = HUB) -> str | None:
    """Return the Hub's page of the repository whose file is at `url`, at the Hub or at `endpoint`; else None."""
    base = endpoint.rstrip("/") if url.startswith(endpoint.rstrip("/") + "/") else HUB
    match = _HUB_FILE.match(url.removeprefix(base))
    return f"{HUB}{match[1]}" if match and url.startswith(f"{base}/") else None


@functools.lru_cache(maxsize=2048)  # a transfer uses the same few URLs all the time
def _parse(url: str) -> _Address:
    """Return the URL in parts: scheme, host, port, and no user. Raises AddressRefused."""
    if not _PLAIN.fullmatch(url) and any(c == "\\" or c.isspace() or is_unseen(c) for c in url):
        raise _refusal(url, "it contains a space, a backslash or an invisible character", hint=_UNSEEN_HINT)
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _refusal(url, "it is not of the form https://host/path")
    scheme, authority, path, tail = parts.groups()
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise _refusal(url, f"its scheme is {scheme[:20]}")
    host, port = _host_and_port(url, authority)
    return _Address(scheme, host, port or _DEFAULT_PORTS[scheme], path + tail)


def _host_and_port(url: str, authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise _refusal(url, "it holds a user or a password", hint=_USERINFO_HINT)
    if not authority or authority.startswith(":"):
        raise _refusal(url, "it names no host", hint=_HOST_HINT)
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None and _BAD_HOST.match(authority):
        raise _refusal(url, "its host is not valid", hint=_IPV6_HINT)
    if parts is None or (parts[2] and not 0 < int(parts[2]) < 65536):
        raise _refusal(url, "its port is not a number from 1 to 65535", hint=_PORT_HINT)
    host = _plain_host(parts[1])
    if host is None:
        raise _refusal(url, "its host is written in a form that is not safe to compare", hint=_HOST_FORM_HINT)
    return host, int(parts[2]) if parts[2] else None


def _plain_host(host: str) -> str | None:
    """Return the one form of a host that all clients connect to; None if clients may differ on it."""
    if host.startswith("["):
        return _plain_ipv6(host[1:-1])
    ascii_host = host.lower() if host.isascii() else _ascii_form(host.lower())
    if ascii_host is None or not _HOST.fullmatch(ascii_host):
        return None
    if not _NUMBER.fullmatch(ascii_host.removesuffix(".").rpartition(".")[2]):
        return ascii_host
    # It ends in a number, so the system's resolver reads 127.1 or 0x7f000001 as an IPv4 address; only a.b.c.d is taken.
    try:
        return str(IPv4Address(ascii_host))
    except ValueError:
        return None


def _plain_ipv6(text: str) -> str | None:
    try:
        return str(IPv6Address(text))
    except ValueError:
        return None


def _ascii_form(host: str) -> str | None:
    """Return the xn-- form, where the old IDNA of the standard library and the new one of clients agree on it.

    They agree where nothing was mapped on the way: "ß" is "ss" to the one and a letter to the other.
    """
    try:
        encoded = host.encode("idna")
        return encoded.decode("ascii") if encoded.decode("idna") == host else None
    except UnicodeError:
        return None


def _refusal(url: str, reason: str, *, hint: str | None = None) -> AddressRefused:
    return AddressRefused(f"The address {short_url(url) or '(empty)'} is refused: {reason}.", hint=hint)


def request_origin(url: str, endpoint: str) -> str:
    """Return the origin where a file's URL is requested."""
    return origin(at_endpoint(url, endpoint))


def check_source(url: str, endpoint: str, *, pinned: bool) -> None:
    """Raise AddressRefused if a file may not be requested: by its own URL, or at HF_ENDPOINT."""
    check_address(url, pinned=pinned)
    check_address(at_endpoint(url, endpoint), pinned=pinned)
