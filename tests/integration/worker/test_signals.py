"""Tests of a second signal and of a late one: the exit status is that of the work, and there is no traceback."""

import os
import signal
import subprocess
import sys

import pytest

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
LATE_SIGNAL = """
import os, sys
from flowhub_jobs.cli.main import main

class Last:  # deleted while Python clears its modules, after it has restored the signals' default handlers
    def __del__(self, kill=os.kill, me=os.getpid()):
        kill(me, {signum})

if {while_python_ends}:
    last = Last()
else:
    import atexit
    atexit.register(os.kill, os.getpid(), {signum})
sys.argv = ["flowhub", "--version"]
main()
"""
TWO_SIGNALS = """
import os, sys
from flowhub_jobs.cli import app, main

def print_error(*_, **__):
    os.kill(os.getpid(), {second})
    print("not reached")

def command():
    os.kill(os.getpid(), {first})

main.print_error, app.command = print_error, command
sys.argv = ["flowhub", "status"]
main.main()
"""


@pytest.mark.parametrize("while_python_ends", [True, False])
@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_that_comes_after_the_work_does_not_pass_for_a_crash(home, signum, while_python_ends):
    result = _run(LATE_SIGNAL.format(signum=int(signum), while_python_ends=while_python_ends))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("flowhub ")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_while_the_first_is_reported_ends_it_at_once(home, first, second):
    result = _run(TWO_SIGNALS.format(first=int(first), second=int(second)))
    assert (result.returncode, result.stdout, result.stderr) == (128 + second, "", "")


def _run(program: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "FLOWHUB_DEBUG"}
    return subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_ctrl_c_before_the_program_listens_ends_it_silently():
    program = "import os, signal, sys; import flowhub_jobs.cli as c; c.main = type('M', (), {'main': staticmethod("
    program += "lambda: os.kill(os.getpid(), signal.SIGINT))}); sys.modules['flowhub_jobs.cli.main'] = c.main;"
    result = subprocess.run(
        [sys.executable, "-c", f"{program} from flowhub_jobs.cli.entry import main; main()"], capture_output=True
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, b"", b"")
