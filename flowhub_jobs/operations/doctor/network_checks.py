"""Checks of the network: proxies and certificates; with --online also the Hub, its token, and the hosts it names."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from flowhub_jobs.errors import FlowhubError, ProxyUnusable
from flowhub_jobs.net.get import Document, get
from flowhub_jobs.net.proxies import proxy_for
from flowhub_jobs.net.reachability import host_and_port
from flowhub_jobs.net.tls_context import ssl_context
from flowhub_jobs.net.urls import host_of, is_loopback
from flowhub_jobs.operations.doctor.check import Check, fail, failed_by, guarded, ok, skip, warn
from flowhub_jobs.settings import Settings

_NOT_ASKED = "not checked; add --online"
_HOSTS_AT_ONCE = 8
_LISTS = ("lfsDomains", "cdnDomains")  # of /.well-known/meta.json
_HOSTS_MAX = 100


def network_checks(settings: Settings, *, online: bool) -> Iterator[Check]:
    """Yield the checks of the network. Without `online` nothing is sent."""
    yield from guarded([("network.proxy", lambda: _proxy(settings)), ("network.certificates", _certificates)])
    if not online:
        yield skip("network.hub", _NOT_ASKED)
        return
    hosts: list[str] = []
    yield from guarded([("network.hub", lambda: _hub(settings, hosts)), ("network.token", lambda: _token(settings))])
    yield from _each_host(settings, hosts)


def _proxy(settings: Settings) -> Check:
    name, host = "network.proxy", host_of(settings.hf_endpoint)
    scheme, bare, port = host_and_port(settings.hf_endpoint)
    proxy = proxy_for(scheme, bare, int(port))  # ProxyUnusable names the variable
    return ok(name, f"requests to {host} go {f'through {proxy}' if proxy else 'directly'}")


def _certificates() -> Check:
    count = len(ssl_context().get_ca_certs())
    return ok("network.certificates", f"{count} authorities are trusted" if count else "read from SSL_CERT_DIR")


def _hub(settings: Settings, hosts: list[str]) -> Check:
    """Ask the Hub for its list of hosts, which are added to `hosts`."""
    name, host = "network.hub", host_of(settings.hf_endpoint)
    answer = _request(settings, "/.well-known/meta.json")
    if answer.status >= 500:
        return fail(name, f"{host} answers {answer.status}.", "The Hub has a fault; workers try again by themselves.")
    hosts += _listed_hosts(answer)
    if not hosts:
        return warn(name, f"{host} answers, and lists no hosts (status {answer.status}): a mirror, or a proxy's page.")
    return ok(name, f"{host} answers, and names {len(hosts)} hosts")


def _listed_hosts(answer: Document) -> list[str]:
    if answer.status != 200:
        return []
    try:
        page = json.loads(answer.body)
        listed = [name for key in _LISTS for name in page.get(key, [])]
    except (ValueError, AttributeError, TypeError):
        return []
    # A pattern, such as *.hf.co, is for the lists of firewalls.
    return list(dict.fromkeys(name for name in listed if isinstance(name, str) and "*" not in name))[:_HOSTS_MAX]


def _token(settings: Settings) -> Check:
    name, host = "network.token", host_of(settings.hf_endpoint)
    if not settings.hf_token:
        return skip(name, "no token of the Hub is set")
    answer = _request(settings, "/api/whoami-v2")
    if answer.status == 200:
        return ok(name, f"{host} accepts the token")
    if answer.status in (401, 403):
        return fail(name, f"{host} refuses the token ({answer.status}).", "Make a new one, and set it as HF_TOKEN.")
    return warn(name, f"{host} does not say whether the token is accepted: it answers {answer.status}.")


def _request(settings: Settings, path: str) -> Document:
    tokens = settings.tokens_by_origin
    endpoint = settings.hf_endpoint
    return get(endpoint + path, max_bytes=1 << 20, total_s=15.0, tokens=tokens, endpoint=endpoint)


def _each_host(settings: Settings, hosts: Sequence[str]) -> Iterator[Check]:
    """Yield a check for each host: whether it answers at all, through the same proxy and certificates."""
    with ThreadPoolExecutor(_HOSTS_AT_ONCE) as pool:
        yield from pool.map(lambda host: _host(host, settings.connect_timeout_s), hosts)


def _host(address: str, connect_s: float) -> Check:
    url = address if "://" in address else f"{_scheme(address)}://{address}"
    name = f"network.host.{address.partition('://')[2] or address}"
    try:
        answer = get(f"{url.rstrip('/')}/", max_bytes=1 << 16, total_s=15.0, connect_s=connect_s)
    except ProxyUnusable as error:
        return failed_by(name, error)
    except FlowhubError as error:
        return fail(name, error.message, error.hint or "Allow this host in the firewall or proxy: files come from it.")
    return ok(name, f"answers ({answer.status})")


def _scheme(address: str) -> str:
    return "http" if is_loopback(address.rpartition(":")[0] or address) else "https"
