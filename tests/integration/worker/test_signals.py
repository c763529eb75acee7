"""A second signal, and one that comes too late: the exit status says what was done, and there is no traceback."""

import os
import signal
import subprocess
import sys

import pytest

WORDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
LATE = """
import os, sys
from flowhub_jobs.cli.main import main

class Last:  # goes when Python takes its modules apart, after it has given the signals back to the system
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
TWICE = """
import os, sys
from flowhub_jobs.cli import app, main

def with_values(*_, **__):
    os.kill(os.getpid(), {second})
    print("not reached")

def command():
    os.kill(os.getpid(), {first})

main.print_error, app.command = told, command
sys.argv = ["flowhub", "status"]
main.main()
"""


@pytest.mark.parametrize("while_python_ends", [True, False])
@pytest.mark.parametrize("signum", WORDS)
def test_a_signal_that_comes_after_the_work_does_not_pass_for_a_crash(home, signum, while_python_ends):
    said = _run(LATE.format(signum=int(signum), while_python_ends=while_python_ends))
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("flowhub ")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_while_the_first_is_reported_ends_it_at_once(home, first, second):
    said = _run(TWICE.format(first=int(first), second=int(second)))
    assert (said.returncode, said.stdout, said.stderr) == (128 + second, "", "")


def _run(program: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "FLOWHUB_DEBUG"}
    return subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_ctrl_c_before_the_program_listens_ends_it_silently():
    early = "import os, signal, sys; import flowhub_jobs.cli as c; c.main = type('M', (), {'main': staticmethod("
    early += "lambda: os.kill(os.getpid(), signal.SIGINT))}); sys.modules['flowhub_jobs.cli.main'] = c.main;"
    done = subprocess.run(
        [sys.executable, "-c", f"{early} from flowhub_jobs.cli.entry import main; main()"], capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
