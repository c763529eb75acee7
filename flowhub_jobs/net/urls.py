"""Checks which URLs may be requested, and which part of them may be shown. Pure: no name is resolved.

A URL is split as in RFC 3986, appendix B, which is how httpx splits it too: a check that splits it in another way than
the client would check another host.
"""

import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from urllib.parse import quote, unquote, urljoin

from flowhub_jobs.errors import AddressRefused, RedirectRefused
from flowhub_jobs.fs.names import is_unseen

HUB = "https://huggingface.co"
HUB_ORIGIN = f"{HUB}:443"

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LOOPBACK = IPv4Network("127.0.0.0/8")
_MAX_SHOWN = 200  # characters of an address in a message

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^?#]*)(.*)", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::([0-9]{0,5}))?", re.IGNORECASE | re.ASCII)
# A bracket that does not close, holds no IPv6 address (RFC 6874's zones are not taken), or is not at the front.
_BAD_HOST = re.compile(r"\[(?![0-9a-f:.]+\](?::|$))|[^:\[\]]+[\[\]]", re.IGNORECASE | re.ASCII)
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

_HUB_FILE = re.compile(r"(/(?:datasets/)?[^/?#]+(?:/[^/?#]+)?)/resolve/")
_PLAIN = re.compile(r"[!-\[\]-~]*")  # no space, no backslash, nothing invisible
_ANY_TEXT = re.compile(r"((?:[a-z][a-z0-9+.-]*:)?[/\\]*)([^/\\?#]*)([^?#]*)", re.IGNORECASE | re.ASCII)
_SHOWN_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:[0-9]{0,5})?", re.ASCII)
_URL_IN_TEXT = re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://[^\s\"<>]+", re.IGNORECASE | re.ASCII)
_QUERY_IN_TEXT = re.compile(r"\?[^\s\"<>?]*=[^\s\"<>]*")  # of a URL that was printed without its host
_CREDENTIALS_IN_TEXT = re.compile(r"(authorization(?:[\"']\s*,|[\"']?\s*[:=]))[^\r\n]*", re.IGNORECASE)
_BEARER_IN_TEXT = re.compile(r"\b(bearer)\s+\S+", re.IGNORECASE)
_HUB_TOKEN = re.compile(r"hf_[A-Za-z0-9]{16,}|(?<![A-Za-z0-9_-])hf_[\w-]+", re.ASCII)

_BLANK = bytes(range(33))
_AUTHORITY_OF = re.compile(rb"(?:[a-z][a-z0-9+.-]*:)?//[^/]*", re.IGNORECASE)
_KEPT = "!#$%&'()*+,/:;=?@[]~"  # RFC 3986: reserved and unreserved characters, and "%" of what is encoded already

_QUERY_PAIR = re.compile(r"([^=&;#]+)=([^&;#]+)")
_FORGOTTEN = re.compile(r"~[0-9a-f]{8}")
# What signs an address or signs in: AWS, Google, CloudFront and Azure (X-Amz-Signature, X-Goog-Credential, Key-Pair-Id,
# sig), and what sites call their tokens.
_SECRET_NAME = re.compile(
    r"(?:^|[-_.])(?:sig|sign|signature|token|key|apikey|secret|password|passwd|pwd|pass|auth|authorization|credentials?"
    r"|policy|jwt|hmac|session|ticket|key-pair-id)(?:$|[-_.])|(?:token|signature|password|secret|apikey)$",
    re.IGNORECASE,
)
_SIGNATURE_NAME = re.compile(r"(?:x-amz-|x-goog-)?(?:sig|sign|signature)", re.IGNORECASE)

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
        raise _refused(url, "http to another machine needs a pinned sha256")


def check_redirect(source: str, target: str, *, pinned: bool) -> None:
    """Refuse a redirect from `source` to `target`, both absolute: RedirectRefused says why.

    From https down to http without a pin is refused to loopback too.
    """
    try:
        check_address(target, pinned=pinned)
        downgrade = _parse(source).scheme == "https" and _parse(target).scheme == "http"
    except AddressRefused as error:
        raise RedirectRefused(
            f"{_shown(source)} redirects where flowhub does not follow. {error.text}", host=host_of(source)
        ) from error
    if downgrade and not pinned:
        raise RedirectRefused(
            f"{_shown(source)} redirects to {_shown(target)} and is not followed: that leaves https, "
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
        shown = host.decode()
    except UnicodeDecodeError:
        shown = quote(host, safe=_KEPT)
    return shown + quote(front[len(host) :] + mark + query, safe=_KEPT)


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
        return _shown(url)


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


def public_url(url: str) -> str:
    """Return the part of a URL that may be shown or logged: no user, query, fragment, token or invisible character.

    It accepts any text and never raises.
    """
    parts = _ANY_TEXT.match(url)
    if parts is None:  # it matches the empty text too
        return ""
    scheme, authority, path = parts.groups()
    if "@" in authority:  # up to the last one, as a password may hold "@" and "/" itself
        authority, slash, path = (authority + path).rpartition("@")[2].partition("/")
        path = slash + path
    if not _SHOWN_HOST.fullmatch(authority):
        # The text after the colon is no port. It may be a password, cut short by its own "/", "?" or "#".
        authority, path = f"{authority.partition(':')[0]}:…", ""
    return _visible(_HUB_TOKEN.sub("hf_…", scheme + authority + path))


def without_secrets(url: str) -> str:
    """Return a URL with a short digest in place of each value of its query that looks like a secret.

    The result still identifies the file, and gives no access to it. A second call changes nothing.
    """
    beginning, mark, query = url.partition("?")
    return beginning + mark + _QUERY_PAIR.sub(_forgotten, query) if mark else url


def is_signed(url: str) -> bool:
    """Return whether the query of a URL signs it: such an address expires (AWS, Google, CloudFront, Azure)."""
    return any(_SIGNATURE_NAME.fullmatch(unquote(name)) for name, _ in _QUERY_PAIR.findall(url.partition("?")[2]))


def _forgotten(pair: re.Match[str]) -> str:
    name, value = pair.groups()
    if _FORGOTTEN.fullmatch(value) or not (_SECRET_NAME.search(unquote(name)) or _HUB_TOKEN.search(value)):
        return pair[0]
    return f"{name}=~{hashlib.sha256(value.encode()).hexdigest()[:8]}"


def scrub(text: str) -> str:
    """Return a foreign text without secrets: user and query of every URL, credentials, tokens of the Hub."""
    text = _CREDENTIALS_IN_TEXT.sub(r"\1 …", text)
    text = _BEARER_IN_TEXT.sub(r"\1 …", text)
    text = _URL_IN_TEXT.sub(_scrubbed_url, text)
    text = _QUERY_IN_TEXT.sub("?…", text)
    return _HUB_TOKEN.sub("hf_…", text)


def driver_words(error: Exception) -> str:
    """Return the message of a database's driver. SQLAlchemy adds the statement and a link to it."""
    return scrub(str(getattr(error, "orig", None) or error))


def _scrubbed_url(match: re.Match[str]) -> str:
    url = match[0]
    kept = public_url(url)
    # Give back the quote or bracket that closes the address in the text.
    tail = url[len(url.rstrip("'`)].,;")) :]
    return f"{kept}?…{tail}" if "?" in url or "#" in url else kept


@functools.lru_cache(maxsize=2048)  # a transfer uses the same few URLs all the time
def _parse(url: str) -> _Address:
    """Return the URL in parts: scheme, host, port, and no user. Raises AddressRefused."""
    if not _PLAIN.fullmatch(url) and any(c == "\\" or c.isspace() or is_unseen(c) for c in url):
        raise _refused(url, "it contains a space, a backslash or an invisible character", hint=_UNSEEN_HINT)
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _refused(url, "it is not of the form https://host/path")
    scheme, authority, path, tail = parts.groups()
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise _refused(url, f"its scheme is {scheme[:20]}")
    host, port = _host_and_port(url, authority)
    return _Address(scheme, host, port or _DEFAULT_PORTS[scheme], path + tail)


def _host_and_port(url: str, authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise _refused(url, "it holds a user or a password", hint=_USERINFO_HINT)
    if not authority or authority.startswith(":"):
        raise _refused(url, "it names no host", hint=_HOST_HINT)
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None and _BAD_HOST.match(authority):
        raise _refused(url, "its host is not valid", hint=_IPV6_HINT)
    if parts is None or (parts[2] and not 0 < int(parts[2]) < 65536):
        raise _refused(url, "its port is not a number from 1 to 65535", hint=_PORT_HINT)
    host = _plain_host(parts[1])
    if host is None:
        raise _refused(url, "its host is written in a form that is not safe to compare", hint=_HOST_FORM_HINT)
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


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):04X}}}" for c in text)


def _shown(url: str) -> str:
    shown = public_url(url)
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"


def _refused(url: str, why: str, *, hint: str | None = None) -> AddressRefused:
    return AddressRefused(f"The address {_shown(url) or '(empty)'} is refused: {why}.", hint=hint)


def request_origin(url: str, endpoint: str) -> str:
    """Return the origin where a file's URL is requested."""
    return origin(at_endpoint(url, endpoint))


def check_source(url: str, endpoint: str, *, pinned: bool) -> None:
    """Raise AddressRefused if a file may not be requested: by its own URL, or at HF_ENDPOINT."""
    check_address(url, pinned=pinned)
    check_address(at_endpoint(url, endpoint), pinned=pinned)
