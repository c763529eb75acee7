"""The `web` command: its output, its port, its end at a signal, and its error without its packages."""

import contextlib
import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import urllib.request

import pytest
from support.cli import run_command, start_command


@pytest.fixture
def free_port():
    """A free port below those that the kernel gives to connections, so that none of them takes it before its use."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def get_json(url, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=60) as response:
        return json.load(response)


def test_it_prints_the_url_to_open_as_its_only_line(home, free_port):
    with start_command("web", "--no-open", "--port", free_port) as web:
        line = web.stdout.readline()
        assert line.startswith(f"http://127.0.0.1:{free_port}/sign-in?ticket=")
        web.send_signal(signal.SIGTERM)
        out, err = web.communicate(timeout=60)
    assert out == ""
    assert web.returncode == 143
    assert "Traceback" not in err


def test_the_json_has_the_address_of_the_api(home, free_port):
    with start_command("web", "--json", "--port", free_port) as web:
        page = json.loads(web.stdout.readline())
        assert page["schema"] == "flowhub/web/1"
        assert page["api"] == f"http://127.0.0.1:{free_port}/api/v1"
        assert page["url"].startswith(f"http://127.0.0.1:{free_port}/")
        assert page["token_file"] == str(home / "web.token")
        assert stat.S_IMODE((home / "web.token").stat().st_mode) == 0o600
        token = (home / "web.token").read_text().strip()
        assert get_json(f"{page['api']}/jobs", token) == {"schema": "flowhub/jobs/1", "jobs": []}
        web.send_signal(signal.SIGINT)
        web.communicate(timeout=60)
    assert web.returncode == 130


def test_the_token_stays_from_one_start_to_the_next(home):
    tokens = []
    for _ in range(2):
        with start_command("web", "--json", "--port", "0") as web:
            tokens.append((home / "web.token").read_text() if web.stdout.readline() else None)
    assert tokens[0] == tokens[1]


def test_a_port_that_is_taken_is_an_error(home, free_port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        result = run_command("web", "--json", "--port", free_port)
    assert result.error["code"] == "port_unusable"
    assert str(free_port) in result.error["message"]


def test_without_a_port_the_next_free_one_is_taken(home):
    with start_command("web", "--json") as first, start_command("web", "--json") as second:
        ports = [json.loads(web.stdout.readline())["api"].split(":")[2] for web in (first, second)]
    assert ports[0] != ports[1]


@pytest.mark.parametrize("host", ["no such host", "203.0.113.7", "x" * 300])
def test_an_address_of_another_machine_is_an_error(home, host):
    result = run_command("web", "--host", host, "--port", "0")
    assert result.status in (1, 2)
    assert result.error_text


def test_without_its_packages_it_says_what_to_install(home):
    program = "import sys; sys.modules['starlette'] = None; from flowhub_jobs.cli.entry import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", program, "web", "--json"], capture_output=True, text=True, env=os.environ, timeout=60
    )
    error = json.loads(process.stderr)["error"]
    assert (process.returncode, error["code"]) == (1, "extra_missing")
    assert "pip install 'flowhub[web]'" in error["hint"]


def test_other_verbs_do_not_import_the_web(home):
    program = "import sys; from flowhub_jobs.cli.main import run; run(['--help']); run(['status', '--json']); "
    program += "print([name for name in sys.modules if name.startswith(('starlette', 'uvicorn', 'flowhub_jobs.web'))])"
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, timeout=60
    )
    assert process.stdout.splitlines()[-1] == "[]"


def test_an_address_of_the_network_is_printed_with_the_token_that_reads_the_share(home):
    with start_command("web", "--no-open", "--port", "0", "--host", "0.0.0.0", "--share") as web:
        assert web.stdout.readline().startswith("http://127.0.0.1:")
        assert "nothing is encrypted" in web.stderr.readline()
        assert str(home / "share.token") in web.stderr.readline()
