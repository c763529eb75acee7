"""The worker as an agent of launchd: the file that is written and the calls of launchctl, which a test answers."""

import os
import plistlib
from pathlib import Path

import pytest
from support.fake_service_tools import FakeServiceTools

from flowhub_jobs.errors import NameTaken, ServiceFailed, ServiceUnavailable
from flowhub_jobs.service.launchctl import TRIES, Launchd
from flowhub_jobs.service.program import Program

PROGRAM = Program(("/opt/bin/flowhub", "worker"), {"FLOWHUB_HOME": "/data"}, ("HF_TOKEN",))
GUI = f"gui/{os.getuid()}"
PRINTED = """\
gui/501/flowhub.worker = {
\tactive count = 1
\tpath = /Users/me/Library/LaunchAgents/flowhub.worker.plist
\tstate = running

\tprogram = /opt/bin/flowhub
\tpid = 4711
\tsubmitted jobs = {
\t\tstate = waiting
\t}
}
"""


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    return FakeServiceTools(tmp_path, monkeypatch, "launchctl")


@pytest.fixture
def agent(session, tmp_path):
    return Launchd(tmp_path / "worker.log", pause=lambda seconds: None)


def test_install_writes_the_agent_and_loads_it_in_place_of_the_one_before(agent, session, tmp_path):
    session.set_answer("launchctl", "bootout", 3, err="Boot-out failed: 3: No such process\n")
    agent.install(agent.text(PROGRAM))
    assert agent.path == tmp_path / "me" / "Library" / "LaunchAgents" / "flowhub.worker.plist"
    assert plistlib.loads(agent.path.read_bytes())["ProgramArguments"] == ["/opt/bin/flowhub", "worker"]
    assert session.changing_calls() == [
        f"launchctl bootout {GUI}/flowhub.worker",
        f"launchctl enable {GUI}/flowhub.worker",
        f"launchctl bootstrap {GUI} {agent.path}",
    ]


def test_install_waits_for_an_agent_that_is_still_unloading(agent, session):
    session.set_answer("launchctl", "bootstrap", 5, 5, 0, err="Bootstrap failed: 5: Input/output error\n")
    agent.install(agent.text(PROGRAM))
    assert sum("bootstrap" in line for line in session.changing_calls()) == 3


def test_an_agent_that_never_loads_is_an_error(agent, session):
    session.set_answer("launchctl", "bootstrap", 5, err="Bootstrap failed: 5: Input/output error\n")
    with pytest.raises(ServiceFailed, match="Input/output error"):
        agent.install(agent.text(PROGRAM))
    assert sum("bootstrap" in line for line in session.changing_calls()) == TRIES


def test_without_a_log_in_at_the_screen_nothing_is_done(agent, session):
    session.set_answer("launchctl", "print", 125, err="Domain does not support specified action\n")
    with pytest.raises(ServiceUnavailable, match="does not support"):
        agent.install(agent.text(PROGRAM))
    assert not agent.path.exists()
    assert session.changing_calls() == []


def test_a_foreign_agent_is_not_replaced(agent, session):
    agent.path.parent.mkdir(parents=True)
    agent.path.write_text("<plist/>")
    with pytest.raises(NameTaken):
        agent.install(agent.text(PROGRAM))
    with pytest.raises(NameTaken):
        agent.uninstall()
    assert agent.path.read_text() == "<plist/>"
    assert session.changing_calls() == []


def test_uninstall_unloads_the_agent_and_removes_its_file(agent, session):
    agent.install(agent.text(PROGRAM))
    session.clear_calls()
    assert agent.uninstall() is True
    assert agent.uninstall() is False
    assert session.changing_calls() == [f"launchctl bootout {GUI}/flowhub.worker"]
    assert not agent.path.exists()


def test_the_look_reads_the_services_own_state_and_process(agent, session):
    agent.install(agent.text(PROGRAM))
    session.set_answer("launchctl", "print", out=PRINTED)
    look = agent.read_state()
    assert (look.kind, look.installed, look.state, look.pid) == ("launchd", True, "running", 4711)
    assert look.logs.startswith("tail ")


def test_the_look_at_an_agent_that_is_not_installed_knows_nothing(agent, session):
    session.set_answer("launchctl", "print", 113, err="Could not find service\n")
    look = agent.read_state()
    assert (look.installed, look.state, look.pid) == (False, None, None)


def test_a_hint_names_the_place_of_a_token(agent, session):
    [hint] = agent.hints(PROGRAM)
    assert "HF_TOKEN" in hint
    assert "config.toml" in hint
    assert agent.hints(Program(PROGRAM.words, {})) == []


def test_on_macos_the_verbs_act_on_launchd(home, session, monkeypatch, cli):
    monkeypatch.setattr("flowhub_jobs.operations.workers_and_service.MACOS", True)
    page = cli("worker", "install", "--print", "--json").json
    assert page["kind"] == "launchd"
    assert plistlib.loads(page["text"].encode())["StandardOutPath"] == str(Path(home) / "worker.log")
