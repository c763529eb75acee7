"""The bench's nginx on loopback: the same files over http and over TLS, with a self-made certificate."""

import contextlib
import grp
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lib.bench.processes import BenchFailed
from lib.processes import stopped_after

READY_S = 10
# Measured: a worker per core is not slower than one worker for a client with one connection, and faster for one with
# four. TLS reads the file with `output_buffers`; large ones are faster than nginx's default of 32 KiB.
CONFIG = """\
daemon off;
{user}
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    log_format ends '$msec $body_bytes_sent $status';
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 60;
    keepalive_requests 100000;
    output_buffers 2 512k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    root {root};
    server {{ listen 127.0.0.1:{plain}; }}
    server {{ listen 127.0.0.1:{logged}; access_log {folder}/ends.log ends; }}
    server {{
        listen 127.0.0.1:{tls} ssl;
        server_name localhost;
        ssl_certificate {folder}/site.pem;
        ssl_certificate_key {folder}/site.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:bench:1m;
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """The addresses of a running nginx. `logged` writes a line to `ends` for each answer: end time, bytes, status."""

    plain: str
    tls: str
    logged: str
    plain_port: int
    ca: Path
    ends: Path


@contextlib.contextmanager
def serving(root: Path, folder: Path) -> Iterator[Nginx]:
    """Serve the files under `root` while the block runs; nginx writes to `folder`. Raises BenchFailed."""
    folder.mkdir()
    make_certificate(folder)
    plain, logged, tls = free_ports(3)
    # As root, nginx would change to an unprivileged user, which may not read a temporary folder.
    user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, root=root, user=user, plain=plain, logged=logged, tls=tls))
    log = folder / "error.log"
    with log.open("wb") as said:
        command = ["nginx", "-p", str(folder), "-e", str(log), "-c", str(config)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=said, start_new_session=True)
    with stopped_after(process):
        _wait_until_it_listens(process, tls, log)
        addresses = (f"http://127.0.0.1:{plain}", f"https://localhost:{tls}", f"http://127.0.0.1:{logged}")
        yield Nginx(*addresses, plain, folder / "ca.pem", folder / "ends.log")


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise BenchFailed(f"nginx does not serve: {log.read_text(errors='replace').strip()}")


def free_ports(count: int) -> list[int]:
    """Return free ports of 127.0.0.1; all are bound until all are known."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]


def make_certificate(folder: Path) -> None:
    """Make a CA and a certificate of localhost that it signed: ca.pem, site.pem, site.key."""
    (folder / "site.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    ca_ext = ["-addext", "keyUsage=critical,keyCertSign"]
    _openssl(folder, "req", "-x509", *key, *ca_ext, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench CA")
    _openssl(folder, "req", *key, "-keyout", "site.key", "-out", "site.csr", "-subj", "/CN=localhost")
    signed_by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "site.ext"]
    _openssl(folder, "x509", "-req", "-in", "site.csr", *signed_by, "-out", "site.pem", "-days", "2")


def _openssl(folder: Path, *arguments: str) -> None:
    result = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchFailed(f"`openssl {' '.join(arguments)}` failed: {result.stderr.strip()}")
