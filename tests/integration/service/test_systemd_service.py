"""`worker install`, `uninstall`, `status` under systemd: the unit, the calls of systemctl, foreign units."""

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import cli_app, lease_store_of, run_command
from support.fake_service_tools import FakeServiceTools
from support.models import gguf, one_file_model
from support.systemd_syntax import command, values

from flowhub_jobs.jobs.run_values import FileCounts, Progress
from flowhub_jobs.service.sd_notify import status_line
from flowhub_jobs.service.unit_text import EX_CONFIG
from flowhub_jobs.values.enums import DigestState, Stage, State
from flowhub_jobs.worker.context import WorkerContext

A = gguf(4096, 1)
SYSTEMCTL = "systemctl --user"


@pytest.fixture
def user_home(home, tmp_path, monkeypatch):
    """Set HOME to an empty folder, as on Linux; return its ~/.config."""
    monkeypatch.setattr("flowhub_jobs.system.MACOS", False)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "me" / ".config"


@pytest.fixture
def session(user_home, tmp_path, monkeypatch):
    session = FakeServiceTools(tmp_path, monkeypatch, "systemctl", "loginctl")
    session.set_answer("loginctl", "show-user", out="Linger=yes\n")
    return session


@pytest.fixture
def unit(user_home):
    return user_home / "systemd" / "user" / "flowhub.service"


@pytest.fixture
def app(home, monkeypatch):
    models = [one_file_model(f"m{number}", f"https://h.example/m{number}.gguf", A) for number in range(5)]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


def no_session(session):
    session.set_answer("systemctl", "show", 1, err="Failed to connect to bus: No medium found\n")


# install -------------------------------------------------------------------------------------------------------------


def test_install_writes_the_unit_then_starts_it_for_now_and_for_every_log_in(cli, session, unit):
    result = cli("worker", "install", "--jobs", 2)
    assert result.status == 0
    assert result.out == f"The worker runs as a service: {unit}\n"
    assert "journalctl --user -u flowhub" in result.err
    [line] = values(unit.read_text(), "ExecStart")
    assert command(line)[-3:] == ["worker", "--jobs", "2"]
    assert session.changing_calls() == [f"{SYSTEMCTL} daemon-reload", f"{SYSTEMCTL} enable --now flowhub.service"]


def test_print_shows_the_unit_alone_on_stdout_and_does_nothing(cli, session, unit, home):
    result = cli("worker", "install", "--print", "--limit-rate", "5M")
    assert result.status == 0
    assert result.out.startswith("# Written by `flowhub worker install`")
    assert result.out.endswith("WantedBy=default.target\n")
    assert "--limit-rate 5M" in result.out
    assert str(unit) in result.err
    assert f"  {SYSTEMCTL} enable --now flowhub.service\n" in result.err
    assert session.changing_calls() == []
    assert not unit.exists()
    assert not home.exists()


def test_what_print_shows_is_what_install_writes_and_runs(cli, session, unit):
    printed = cli("worker", "install", "--print", "--json").json
    installed = cli("worker", "install", "--json").json
    assert (printed["schema"], printed["installed"], installed["installed"]) == ("flowhub/service/1", False, True)
    assert printed["text"] == unit.read_text()
    assert [shlex.join(words) for words in installed["commands"]] == session.changing_calls()
    assert installed["path"] == str(unit)


def test_installing_again_restarts_only_what_has_changed(cli, session, unit):
    cli("worker", "install")
    session.clear_calls()
    cli("worker", "install")
    assert session.changing_calls() == [f"{SYSTEMCTL} daemon-reload", f"{SYSTEMCTL} enable --now flowhub.service"]
    session.clear_calls()
    cli("worker", "install", "--jobs", 5)
    changes = [f"{SYSTEMCTL} {verb}" for verb in ("daemon-reload", "enable flowhub.service", "restart flowhub.service")]
    assert session.changing_calls() == changes
    assert "--jobs 5" in unit.read_text()
    assert [path.name for path in unit.parent.iterdir()] == ["flowhub.service"]


def test_an_absolute_xdg_config_home_is_used(cli, session, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    cli("worker", "install")
    text = (tmp_path / "settings" / "systemd" / "user" / "flowhub.service").read_text()
    assert values(text, "EnvironmentFile") == [f"-{tmp_path}/settings/flowhub/env"]


def test_a_relative_xdg_config_home_is_ignored(cli, session, unit, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "settings")
    cli("worker", "install")
    assert unit.exists()


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_foreign_unit_is_not_replaced(cli, session, unit, verb):
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/my/own flowhub\n")
    result = cli("worker", verb)
    assert result.status == 1
    assert f"rm {unit}" in result.error_text
    assert cli("worker", verb, "--json").error["code"] == "name_taken"
    assert unit.read_text() == "[Service]\nExecStart=/my/own flowhub\n"
    assert session.changing_calls() == []
    assert "flowhub did not write it" in cli("worker", "status").out


def test_a_masked_unit_is_not_changed(cli, session, unit):
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    assert cli("worker", "install", "--json").error["code"] == "name_taken"
    assert unit.is_symlink()


def test_without_a_systemd_session_nothing_is_done_and_the_alternatives_are_named(cli, session, unit):
    no_session(session)
    result = cli("worker", "install")
    assert result.status == 1
    assert "No medium found" in result.error_text
    assert "--drain" in result.err
    assert "--print > flowhub.service" in result.err
    assert cli("worker", "install", "--json").error["code"] == "service_unavailable"
    assert not unit.exists()
    assert session.changing_calls() == []


def test_without_systemd_the_error_says_that_there_is_none(cli, user_home, unit, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = cli("worker", "install")
    assert result.status == 1
    assert "There is no systemd here" in result.error_text
    assert cli("worker", "install", "--print").status == 0
    assert cli("worker", "status").status == 0
    assert not unit.exists()


def test_a_service_that_does_not_start_is_a_failure_with_the_way_to_its_log(cli, session):
    session.set_answer("systemctl", "enable", 1, err="Job for flowhub.service failed.\n")
    result = cli("worker", "install")
    assert result.status == 1
    assert "Job for flowhub.service failed." in result.error_text
    assert "journalctl --user -u flowhub" in result.err
    assert cli("worker", "install", "--json").error["code"] == "service_failed"


def test_a_home_that_cannot_be_opened_is_an_error_before_anything_is_installed(cli, session, unit, home):
    home.write_text("I am a file")
    assert cli("worker", "install", "--json").error["code"] == "home_unusable"
    assert not unit.exists()


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--limit-rate", "x"]])
def test_invalid_options_of_the_worker_are_refused_at_once(cli, session, unit, arguments):
    assert cli("worker", "install", *arguments).status == 2
    assert not unit.exists()


def test_a_token_is_not_written_and_its_place_is_named(cli, session, user_home, unit, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    result = cli("worker", "install")
    assert "HF_TOKEN" in result.err
    assert f"{user_home}/flowhub/env" in result.err
    assert "very_secret" not in result.out + result.err + unit.read_text()


def test_a_file_of_secrets_that_others_can_read_is_named(cli, session, user_home):
    secrets = user_home / "flowhub" / "env"
    secrets.parent.mkdir(parents=True)
    secrets.write_text("HF_TOKEN=hf_x\n")
    secrets.chmod(0o600)
    assert "Others can read" not in cli("worker", "install").err
    secrets.chmod(0o644)
    assert f"chmod 600 {secrets}" in cli("worker", "install").err


@pytest.mark.parametrize(("linger", "hinted"), [("Linger=no\n", True), ("Linger=yes\n", False), ("", False)])
def test_a_hint_says_that_the_service_stops_at_log_out_where_it_does(cli, session, linger, hinted):
    session.set_answer("loginctl", "show-user", out=linger)
    assert ("loginctl enable-linger" in cli("worker", "install").err) == hinted


def test_a_worker_that_runs_by_hand_is_named(cli, session, app):
    context = WorkerContext(app.home, 1)
    try:
        context.leases.register(os.getpid(), 1)
        assert f"process {os.getpid()}" in cli("worker", "install").err
    finally:
        context.close()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here to ask")
def test_systemd_analyze_accepts_the_unit(cli, session, unit, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / '50% of "it\'s" $HOME'))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    cli("worker", "install", "--limit-rate", "5M")
    verification = subprocess.run(["systemd-analyze", "verify", "--user", str(unit)], capture_output=True, text=True)
    assert [line for line in verification.stderr.splitlines() if "flowhub" in line] == []
    assert verification.returncode == 0


# uninstall -----------------------------------------------------------------------------------------------------------


def test_uninstall_stops_the_service_then_removes_the_unit(cli, session, unit):
    cli("worker", "install")
    session.clear_calls()
    result = cli("worker", "uninstall", "--json")
    assert result.json["removed"] is True
    assert session.changing_calls()[:2] == [f"{SYSTEMCTL} disable --now flowhub.service", f"{SYSTEMCTL} daemon-reload"]
    assert not unit.exists()


def test_uninstall_of_nothing_is_no_failure(cli, session):
    result = cli("worker", "uninstall")
    assert (result.status, result.out) == (0, "No service is installed.\n")
    assert session.changing_calls() == []


def test_uninstall_without_a_session_says_what_is_left_to_do(cli, session, unit):
    cli("worker", "install")
    no_session(session)
    result = cli("worker", "uninstall")
    assert result.status == 1
    assert f"rm {unit}" in result.error_text
    assert unit.exists()


def test_a_unit_whose_service_does_not_stop_stays(cli, session, unit):
    cli("worker", "install")
    session.set_answer("systemctl", "disable", 1, err="It is busy.\n")
    assert cli("worker", "uninstall", "--json").error["code"] == "service_failed"
    assert unit.exists()


# status --------------------------------------------------------------------------------------------------------------


def test_status_without_anything_says_so(cli, session, user_home):
    result = cli("worker", "status")
    assert result.status == 0
    assert result.out.splitlines()[0] == "Workers:  none running; 0 queued"
    assert "`flowhub worker install`" in result.out


def test_status_where_there_is_no_systemd_is_no_failure(cli, session, unit):
    cli("worker", "install")
    no_session(session)
    result = cli("worker", "status")
    assert result.status == 0
    assert "systemd does not answer here" in result.out


@pytest.mark.parametrize("by", ["systemd", "hand"])
def test_status_tells_a_service_from_a_worker_by_hand(cli, session, app, by):
    context = WorkerContext(app.home, 2)
    try:
        app.enqueue("m0")
        app.enqueue("m1")
        context.leases.register(os.getpid(), 2)
        running = context.leases.claim()
        file = FileCounts(0, 4096, 1024, None, "etag", DigestState.RUNNING)
        context.leases.progress(running.lease, Progress(Stage.DOWNLOAD, 4096, 1024, 1024, 5_000_000, file.sha256_state))
        cli("worker", "install")
        pid = os.getpid() if by == "systemd" else 1
        state = f"LoadState=loaded\nActiveState=active\nSubState=running\nMainPID={pid}\nStatusText=1 job\n"
        session.set_answer("systemctl", "show", out=state)
        page = cli("worker", "status", "--json").json
        text = cli("worker", "status").out
    finally:
        context.close()
    [worker] = page.pop("workers")
    assert worker.pop("started_at").endswith("Z")
    assert worker.pop("seen_at").endswith("Z")
    assert worker == {
        "worker": context.worker,
        "pid": os.getpid(),
        "slots": 2,
        "running": 1,
        "rate_bps": 5_000_000,
        "by": by,
    }
    service = page.pop("service")
    assert page == {"schema": "flowhub/worker/1", "node": app.home.node, "queued": 1}
    assert (service["installed"], service["state"], service["pid"]) == (True, "active (running)", pid)
    assert service["outlives_log_out"] is True
    assert "1 of 2 slots taken, 5.0 MB/s" in text
    assert "status:   1 job" in text
    assert "journalctl --user -u flowhub" in text


def test_a_worker_that_died_is_not_counted(cli, session, app):
    context = WorkerContext(app.home, 2)
    context.leases.register(os.getpid(), 2)
    context._alive.release()  # as the kernel does, when it dies
    assert cli("worker", "status", "--json").json["workers"] == []


# The worker itself ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [["--jobs", "2"], ["--drain"], ["--node", "n"]])
def test_options_before_the_verb_are_refused_and_not_lost(cli, session, home, option):
    assert cli("worker", *option, "status").status == 2
    assert not home.exists()


def test_an_error_that_no_restart_can_fix_has_its_own_exit_status_under_systemd_alone(app, tmp_path):
    with sqlite3.connect(app.settings.home / "flowhub.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert run_command("worker", "--drain").status == 1
    result = run_command("worker", "--drain", NOTIFY_SOCKET=str(tmp_path / "no-socket"))
    assert result.status == EX_CONFIG
    assert "newer flowhub" in result.error_text


def test_the_status_line_says_what_runs_how_fast_and_what_waits(app):
    queries = app.home.queries
    assert status_line([], 0) == "Idle; the queue is empty"
    assert status_line([], 3) == "Idle; 3 queued"
    for number in range(5):
        app.enqueue(f"m{number}")
    leases = lease_store_of(app)
    first = leases.claim()
    assert status_line(queries.all(state=State.RUNNING), 4) == "1 job, 4 queued; m0 resolve"
    leases.progress(first.lease, Progress(Stage.DOWNLOAD, 4096, 2048, 2048, 2_000_000, DigestState.RUNNING))
    second = leases.claim()
    leases.progress(second.lease, Progress(Stage.DOWNLOAD, 4096, 41, 41, 500_000, DigestState.RUNNING))
    assert status_line(queries.all(state=State.RUNNING), 3) == "2 jobs, 2.5 MB/s, 3 queued; m0 50 %, m1 1 %"
    for _ in range(3):
        leases.claim()
    line = status_line(queries.all(state=State.RUNNING), 0)
    assert line == "5 jobs, 2.5 MB/s, nothing else queued; m0 50 %, m1 1 %, m2 resolve, and 2 more"


def test_the_unit_starts_this_very_installation(cli, session, unit):
    cli("worker", "install")
    [line] = values(unit.read_text(), "ExecStart")
    words = command(line)
    console_script = Path(sys.executable).with_name("flowhub")
    expected = [str(console_script)] if console_script.is_file() else [sys.executable, "-m", "flowhub_jobs.cli.main"]
    assert words == [*expected, "worker"]
