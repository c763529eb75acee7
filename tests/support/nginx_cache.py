"""A real nginx on loopback that caches what an origin serves: a mirror."""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIG = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=models:1m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_cache models;
            proxy_cache_valid 200 206 1h;
            {slices}
            proxy_cache_lock on;
            proxy_pass {origin};
        }}
    }}
}}
"""


SLICES = """
            slice 1m;
            proxy_cache_key $uri$is_args$args$slice_range;
            proxy_set_header Range $slice_range;
"""
PATIENCE_S = 30.0


@contextmanager
def nginx_cache(folder: Path, origin: str, *, sliced: bool = False) -> Iterator[str]:
    """Yield the address of an nginx that caches what `origin` serves; `sliced`: in pieces of 1 MiB."""
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx")
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:  # nginx does not accept port 0
        port = probe.getsockname()[1]
    # As root, nginx would change to an unprivileged user, which may not write to a temporary folder.
    user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if os.geteuid() == 0 else ""
    config, log = folder / "nginx.conf", folder / "error.log"
    config.write_text(
        CONFIG.format(folder=folder, user=user, port=port, origin=origin, slices=SLICES if sliced else "")
    )
    process = subprocess.Popen(["nginx", "-p", str(folder), "-e", str(log), "-c", str(config)])
    try:
        _wait_until_it_listens(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            pause.wait(0.02)
        else:
            return
    raise AssertionError(f"nginx does not serve: {log.read_text()}")
