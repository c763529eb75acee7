"""Finds the proxy for a URL: reads the environment's variables as curl, Go and Python read them.

httpx reads them too, but raises for entries of NO_PROXY that others accept (`fe80::/10`, `[::1]`), for schemes that it
does not know, and when a client is made: then even a URL that needs no proxy cannot be requested.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote_to_bytes

from flowhub_jobs.errors import ProxyUnusable
from flowhub_jobs.system import system_proxy

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080}
# GNOME's settings write socks://. Names are always resolved by the proxy, as with socks5h.
_SCHEMES = {"http": "http", "https": "https", "socks5": "socks5", "socks5h": "socks5", "socks": "socks5"}
_VALUE = re.compile(r"(?:([a-z][a-z0-9+.-]*)://)?(.*)", re.IGNORECASE | re.DOTALL)
_HOST_PORT = re.compile(r"(\[[0-9a-f:.%]+\]|[^:\[\]\s]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_ENTRY_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})")
_HINT = "Write it as http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, or unset it{for_the_worker_too}."


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that names it. `scheme` is http, https or socks5; `host` has no brackets."""

    scheme: str
    host: str
    port: int
    variable: str
    credentials: tuple[bytes, bytes] | None = field(default=None, repr=False)  # user and password, decoded

    @property
    def netloc(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """Return the proxy as messages name it, without user and password."""
        return f"{self.netloc} ({self.variable})"


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy for requests to `scheme://host:port`, or None; `host` is without brackets.

    Lower-case variables come before upper-case ones, and one that is set to nothing counts as unset. HTTP_PROXY in
    upper case is ignored where REQUEST_METHOD is set: there a client's `Proxy:` header fills it (httpoxy.com).

    Raises ProxyUnusable, which names the variable, if the proxy that the address needs is none that can be used.
    """
    variables = dict(os.environ if environ is None else environ)
    setting = _variable(f"{scheme}_proxy", variables) or _variable("all_proxy", variables)
    if setting is None:
        setting = system_proxy(scheme, host) if environ is None else None
    if setting is None or bypasses(_value("no_proxy", variables), scheme, host, port):
        return None
    return parse_proxy(*setting)


def _variable(name: str, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """Return a variable's name as it is set, and its value; None if it is not set, or to nothing."""
    for spelling in (name, name.upper()):
        if spelling in variables and not (spelling == "HTTP_PROXY" and "REQUEST_METHOD" in variables):
            value = variables[spelling].strip().strip("\"'").strip()  # `docker run --env-file` keeps quotes
            return (spelling, value) if value else None
    return None


def _value(name: str, variables: Mapping[str, str]) -> str:
    value = _variable(name, variables)
    return value[1] if value else ""


def parse_proxy(variable: str, value: str) -> Proxy:
    """Return the proxy that a variable's value names. Raises ProxyUnusable, which never shows a password."""
    scheme_text, rest = _VALUE.fullmatch(value.strip()).groups()  # type: ignore[union-attr]  # it matches any text
    scheme = _SCHEMES.get((scheme_text or "http").lower())
    if scheme is None:
        text = f"{variable} names a proxy of the scheme {scheme_text}, which flowhub cannot speak."
        raise ProxyUnusable(text, hint=_HINT)
    login, _, host_port = rest.rpartition("@")  # the last one: a password may hold "@" and "/" itself
    parts = _HOST_PORT.fullmatch(re.split(r"[/?#]", host_port, maxsplit=1)[0])
    if parts is None or not host_port.isprintable() or not 0 < int(parts[2] or 1) < 65536:
        raise ProxyUnusable(f"{variable} is not the address of a proxy.", hint=_HINT)
    host, port = parts[1].strip("[]"), int(parts[2] or DEFAULT_PORTS[scheme])
    return Proxy(scheme, host, port, variable, _credentials(login))


def _credentials(login: str) -> tuple[bytes, bytes] | None:
    user, _, password = login.partition(":")
    return (unquote_to_bytes(user), unquote_to_bytes(password)) if login else None


# NO_PROXY ------------------------------------------------------------------------------------------------------------


def bypasses(no_proxy: str, scheme: str, host: str, port: int) -> bool:
    """Return whether NO_PROXY exempts `host`. An entry that cannot be read exempts nothing.

    Entries are separated by commas or spaces, or by `;` or `|` as on Windows and in Java. `*` is every host;
    `example.com`, `.example.com` and `*.example.com` are that domain and what is below it (curl's CURLOPT_NOPROXY); any
    other `*` stands for any characters (`10.*`), and `<local>` for names without a dot; addresses may be IPv4 or IPv6,
    in brackets or not, with a prefix length (10.0.0.0/8); a port restricts an entry to that port (Go's httpproxy), as
    `https://` does to the scheme. No name is looked up.
    """
    return any(_exempts(entry, scheme, host, port) for entry in re.split(r"[,;|\s]+", no_proxy) if entry)


def _exempts(entry: str, scheme: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    entry_scheme, separator, rest = entry.rpartition("://")
    if separator and entry_scheme.lower() not in (scheme, "all"):
        return False
    pattern, entry_port = _without_port(rest.rstrip("/"))
    return entry_port in (None, port) and _names(pattern, host)


def _without_port(entry: str) -> tuple[str, int | None]:
    match = _ENTRY_PORT.fullmatch(entry)  # an IPv6 address without brackets has more than one colon
    return (match[1], int(match[2])) if match else (entry, None)


def _names(pattern: str, host: str) -> bool:
    """Return whether an entry of NO_PROXY, without its port, is the host, its domain or its network."""
    if pattern.lower() == "<local>":
        return "." not in host and ":" not in host
    if "*" in pattern.removeprefix("*."):
        return fnmatchcase(_domain(host), pattern.strip(".").lower().replace("[", "[[]"))
    address = _address(host)
    if address is not None:
        try:
            return address in ip_network(pattern.replace("[", "").replace("]", "").partition("%")[0], strict=False)
        except ValueError:
            return False
    domain = _domain(pattern.removeprefix("*"))
    name = _domain(host)
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _domain(name: str) -> str:
    """Return a name in the one form that names are compared in: lower case, ASCII, no dot at either end."""
    bare = name.strip(".").lower()
    try:
        return bare if bare.isascii() else bare.encode("idna").decode("ascii")
    except UnicodeError:
        return bare
