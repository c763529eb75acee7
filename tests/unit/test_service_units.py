"""Service files: their directives, the variables that they copy from the environment, and no secret in them."""

import plistlib
import sys
from pathlib import Path

import pytest
from support.systemd_syntax import unit_lines

from flowhub_jobs.errors import SettingInvalid
from flowhub_jobs.service.program import Program, program, this_flowhub
from flowhub_jobs.service.unit_text import EX_CONFIG, MARK, WATCHDOG_S, plist_text, unit_text

ENV = Path("/home/u/.config/flowhub/env")
LOG = Path("/home/u/.flow-studio/worker.log")
PLAIN = Program(("/opt/flowhub/bin/flowhub", "worker", "--jobs", "2"), {"FLOWHUB_HOME": "/data/flow"})

SETTINGS = ("home", "store", "catalog", "database_url", "node", "jobs")


def build(environ: dict[str, str], **options: object) -> Program:
    return program(["/opt/bin/no-such-flowhub"], environ, SETTINGS, **{"jobs": None, "rate": None, **options})


# systemd -------------------------------------------------------------------------------------------------------------


def test_the_unit_has_the_directives_of_an_unattended_worker():
    unit = {(section, key): value for section, key, value in unit_lines(unit_text(PLAIN, ENV))}
    assert unit[("Service", "ExecStart")] == "/opt/flowhub/bin/flowhub worker --jobs 2"
    assert unit[("Service", "Environment")] == "FLOWHUB_HOME=/data/flow"
    assert unit[("Service", "EnvironmentFile")] == "-/home/u/.config/flowhub/env"
    expected = {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": str(WATCHDOG_S),
        "Restart": "on-failure",
        "RestartPreventExitStatus": f"2 {EX_CONFIG}",
        "KillSignal": "SIGTERM",
        "Nice": "10",
        "IOSchedulingClass": "idle",
    }
    assert {key: unit["Service", key] for key in expected} == expected
    assert {"RestartSec", "TimeoutStopSec", "TimeoutStartSec"} <= {key for _, key in unit}
    assert unit["Install", "WantedBy"] == "default.target"


def test_a_full_disk_for_hours_does_not_use_up_the_restarts():
    assert ("Unit", "StartLimitIntervalSec", "0") in unit_lines(unit_text(PLAIN, ENV))


def test_both_files_have_the_mark_that_identifies_them():
    assert MARK in unit_text(PLAIN, ENV).splitlines()[0]
    assert MARK in plist_text(PLAIN, LOG)


# launchd -------------------------------------------------------------------------------------------------------------


def test_the_agent_restarts_after_a_failure_and_runs_in_the_background():
    agent = plistlib.loads(plist_text(PLAIN, LOG).encode())
    assert agent["ProgramArguments"] == list(PLAIN.words)
    assert agent["EnvironmentVariables"] == PLAIN.environment
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert (agent["ProcessType"], agent["LowPriorityIO"], agent["Nice"]) == ("Background", True, 10)
    assert agent["StandardOutPath"] == agent["StandardErrorPath"] == str(LOG)


# The environment -----------------------------------------------------------------------------------------------------


def test_the_variables_of_flowhub_and_the_network_are_copied_and_no_others():
    environ = {
        "FLOWHUB_HOME": "/data/flow",
        "FLOWHUB_JOBS": "2",
        "FLOWHUB_DEBUG": "1",
        "HF_ENDPOINT": "https://hub.example",
        "https_proxy": "http://proxy.example:3128",
        "NO_PROXY": "localhost",
        "HOME": "/home/u",
        "EDITOR": "vi",
    }
    copied = {name: value for name, value in environ.items() if name not in ("HOME", "EDITOR", "FLOWHUB_DEBUG")}
    assert build(environ).environment == copied


def test_a_token_is_never_copied_and_is_named():
    service = build({"HF_TOKEN": "hf_very_secret", "FLOWHUB_HF_TOKEN": "hf_very_secret"})
    assert service.left_out == ("HF_TOKEN",)
    assert "very_secret" not in unit_text(service, ENV) + plist_text(service, LOG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("https_proxy", "http://me:secret@proxy.example:3128"),
        ("ALL_PROXY", "me:secret@proxy.example:3128"),
        ("FLOWHUB_DATABASE_URL", "postgresql+psycopg://me:secret@db.example/flowhub"),
        ("FLOWHUB_CATALOG", "https://h.example/catalog.json?signature=secret"),
        ("HF_ENDPOINT", "https://me:secret@[broken"),
    ],
)
def test_a_url_with_a_password_is_never_copied_and_is_named(name, value):
    service = build({name: value})
    assert (service.environment, service.left_out) == ({}, (name,))


@pytest.mark.parametrize("value", ["/mnt/a@b/models", "/mnt/50%?x=1"])
def test_a_path_is_no_secret_whatever_it_contains(value):
    assert build({"FLOWHUB_STORE": value}).environment == {"FLOWHUB_STORE": value}


def test_a_relative_path_is_resolved_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/u")
    environ = {"FLOWHUB_STORE": "llms", "FLOWHUB_HOME": "~/flow", "FLOWHUB_CATALOG": "c.json"}
    expected = {
        "FLOWHUB_STORE": tmp_path / "llms",
        "FLOWHUB_HOME": "/home/u/flow",
        "FLOWHUB_CATALOG": tmp_path / "c.json",
    }
    assert build(environ).environment == {name: str(path) for name, path in expected.items()}


def test_the_options_of_install_are_passed_to_the_worker():
    assert build({}, jobs=2, rate="5M").words[-5:] == ("worker", "--jobs", "2", "--limit-rate", "5M")
    assert build({}).words[-1] == "worker"


@pytest.mark.parametrize("character", ["\n", "\x7f", "\udcff", "\uffff"])
def test_a_value_that_no_service_file_can_hold_is_refused(character):
    with pytest.raises(SettingInvalid, match="FLOWHUB_STORE"):
        build({"FLOWHUB_STORE": f"/a{character}b"})


def test_this_flowhub_is_the_one_that_was_started(tmp_path):
    script = tmp_path / "flowhub"
    script.write_text("")
    assert this_flowhub([str(script)]) == [str(script)]


def test_a_flowhub_that_was_started_as_a_module_is_found_too():
    words = this_flowhub(["/nowhere/flowhub_jobs/cli/main.py"])
    assert Path(words[0]).is_absolute()
    assert words in ([str(Path(sys.executable).with_name("flowhub"))], [sys.executable, "-m", "flowhub_jobs.cli.main"])
