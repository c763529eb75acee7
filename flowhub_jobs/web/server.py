"""The server's process: binds the address, passes the URL to its caller, and serves until it is stopped."""

import errno
import ipaddress
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvicorn
from starlette.types import ASGIApp

from flowhub_jobs.errors import PortUnusable, UsageInvalid
from flowhub_jobs.net.urls import is_loopback
from flowhub_jobs.operations.open_home import Home
from flowhub_jobs.operations.publish_share import keep_published, publish_share, withdraw_share
from flowhub_jobs.web.app import create_app
from flowhub_jobs.web.request_deadline import DeadlineProtocol
from flowhub_jobs.web.sign_in import SHARE_TOKEN_FILE, TOKEN_FILE, open_sign_in
from flowhub_jobs.web.web_context import Manual, WebContext

HOST, PORT = "127.0.0.1", 7811
PORTS = 100  # that are tried after the default one
SHUTDOWN_S = 2  # open event streams are cut after that


@dataclass(frozen=True, slots=True)
class Options:
    """`port` None: 7811, or the next free one; 0: any. `names`: further values of Host, for a proxy in front."""

    host: str = HOST
    port: int | None = None
    share: bool = False
    names: tuple[str, ...] = ()
    share_url: str | None = None  # where other nodes reach the share; None: the address that is listened at


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the server listens. `url` signs in one browser, once; `base` is the server's address without a path."""

    url: str
    base: str
    token_file: Path
    share_token_file: Path | None
    on_network: bool  # other machines reach it
    share_url: str  # where other nodes reach it


def serve(home: Home, options: Options, started: Callable[[Serving], None], manual: Manual = dict) -> None:
    """Serve until SIGINT or SIGTERM; `started` is called when requests are answered. Raises what `prepared` does."""
    with prepared(home, options, manual) as server:
        server.run(started)


@contextmanager
def prepared(home: Home, options: Options, manual: Manual = dict) -> "Iterator[Server]":
    """Yield a server of an open home that listens, and does not answer yet.

    Raises PortUnusable, UsageInvalid for an address that is none, HomeUnusable.
    """
    home.database.watch_file()
    with _bind(options) as listener:
        sign_in = open_sign_in(home.settings.home, share=options.share)
        yield Server(WebContext(home, sign_in, share=options.share, manual=manual), options, listener)


class Server:
    """One server at one socket. `ready` is set when requests are answered."""

    def __init__(self, context: WebContext, options: Options, listener: socket.socket) -> None:
        self._context, port = context, listener.getsockname()[1]
        home, base = context.home.settings.home, f"http://{_authority(_browser_host(options.host), port)}"
        self.serving = Serving(
            url=f"{base}/sign-in?ticket={context.sign_in.new_ticket()}",
            base=base,
            token_file=home / TOKEN_FILE,
            share_token_file=home / SHARE_TOKEN_FILE if options.share else None,
            on_network=not is_loopback(_address(options.host)[1]),
            share_url=options.share_url or f"http://{_authority(_reachable_name(options), port)}",
        )
        self.ready = threading.Event()
        app = create_app(context, _hosts(options, port), port=port, share_is_open=not self.serving.on_network)
        self._listener, self._server = listener, _Uvicorn(_config(app), context.live.close)

    def run(self, started: Callable[[Serving], None] = lambda _serving: None) -> None:
        """Answer requests until `stop`, and in the main thread until SIGINT or SIGTERM."""

        stopped, address = threading.Event(), (self._context.home, self.serving.share_url)
        republisher = threading.Thread(
            target=keep_published, args=(*address, stopped), name="share address", daemon=True
        )

        def announce() -> None:
            if self._context.share:
                publish_share(self._context.home, self.serving.share_url)
                republisher.start()
            self.ready.set()
            started(self.serving)

        self._server.announce = announce
        try:
            self._server.run(sockets=[self._listener])
        finally:
            stopped.set()
            if republisher.ident is not None:
                republisher.join()
            if self._context.share:
                withdraw_share(self._context.home, self.serving.share_url)

    def stop(self) -> None:
        """End `run` soon; thread-safe."""
        self._server.should_exit = True


def _config(app: ASGIApp) -> uvicorn.Config:
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return uvicorn.Config(
        app,
        http=DeadlineProtocol,  # on h11, the strictest of the parsers, whatever else is installed
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


class _Uvicorn(uvicorn.Server):
    announce: Callable[[], None]

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()  # which otherwise last until the time for the shutdown is over
        await super().shutdown(sockets)


@contextmanager
def _bind(options: Options) -> Iterator[socket.socket]:
    """Yield a socket that listens at the address; with no port given, at the first free one."""
    ports = range(PORT, PORT + PORTS) if options.port is None else [options.port]
    family, address = _address(options.host)
    for port in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(1024)
            break
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE and options.port is None:
                continue
            raise _unusable(options.host, port, error) from error
    else:
        raise PortUnusable(
            f"No port of {options.host} from {ports[0]} to {ports[-1]} is free.", hint="Give one with --port."
        )
    with listener:
        yield listener


def _unusable(host: str, port: int, error: OSError) -> PortUnusable:
    if error.errno == errno.EADDRINUSE:
        hint = "Another program, or another `flowhub web`, has it; give another with --port, or 0 for any."
        return PortUnusable(f"Port {port} of {host} is in use.", hint=hint)
    cause = error.strerror or error
    return PortUnusable(f"Cannot listen on {host}, port {port}: {cause}.", hint="Give an address of this machine.")


def _address(host: str) -> tuple[socket.AddressFamily, str]:
    """Return the family and the address that `--host` names. Raises UsageInvalid."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        addresses = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageInvalid(f"{host!r} is not an address of this machine.", hint="Try 127.0.0.1, or 0.0.0.0.") from error
    family, *_, address = addresses[0]
    return family, str(address[0])


def _hosts(options: Options, port: int) -> frozenset[str]:
    """Return the values of Host that this server answers for: its addresses and names, each with its port."""
    names = {options.host}
    address = _address(options.host)[1]
    if is_loopback(address):
        names |= {"127.0.0.1", "localhost", "[::1]"}
    elif ipaddress.ip_address(address).is_unspecified:
        names |= {"127.0.0.1", "localhost", "[::1]", *_own_names(), *_own_addresses()}
    else:
        names |= {address, *_own_names()}
    extra_hosts = {_with_port(name, port) for name in options.names}
    return frozenset(host.lower() for name in names for host in _forms(name, port)) | extra_hosts


def _forms(name: str, port: int) -> Iterable[str]:
    """Return how clients write this name: without the port too, where it is that of http."""
    host = _bracket_ipv6(name)
    return (f"{host}:{port}", host) if port == 80 else (f"{host}:{port}",)


def _with_port(name: str, port: int) -> str:
    """Return NAME or NAME:PORT of --allow-host as a value of Host."""
    has_port = name.rpartition(":")[2].isdigit() and (name.count(":") == 1 or "]:" in name)
    return name.lower() if has_port else f"{_bracket_ipv6(name)}:{port}".lower()


def _own_names() -> set[str]:
    name = socket.gethostname()
    return {name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}


def _own_addresses() -> set[str]:
    families = (socket.AF_INET, socket.AF_INET6)
    addresses = [entry for each in psutil.net_if_addrs().values() for entry in each if entry.family in families]
    return {entry.address.partition("%")[0] for entry in addresses}


def _browser_host(host: str) -> str:
    """Return the address that this machine's browser opens: for all addresses, the loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104, compared, not bound


def _reachable_name(options: Options) -> str:
    """Return the name or address by which other nodes reach this server: for all addresses, this machine's name."""
    is_any = ipaddress.ip_address(_address(options.host)[1]).is_unspecified
    return socket.gethostname() if is_any else options.host


def _authority(host: str, port: int) -> str:
    return f"{_bracket_ipv6(host)}:{port}"


def _bracket_ipv6(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
