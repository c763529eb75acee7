"""The texts of a service: what stands in them, what goes along of the environment, and that no secret does."""

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


def made(environ: dict[str, str], **terms: object) -> Program:
    return program(["/opt/bin/no-such-flowhub"], environ, SETTINGS, **{"jobs": None, "rate": None, **terms})


# systemd -------------------------------------------------------------------------------------------------------------


def test_the_unit_says_what_a_person_expects_of_a_worker_that_runs_alone():
    said = {(section, key): value for section, key, value in unit_lines(unit_text(PLAIN, ENV))}
    assert said[("Service", "ExecStart")] == "/opt/flowhub/bin/flowhub worker --jobs 2"
    assert said[("Service", "Environment")] == "FLOWHUB_HOME=/data/flow"
    assert said[("Service", "EnvironmentFile")] == "-/home/u/.config/flowhub/env"
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
    assert {key: said["Service", key] for key in expected} == expected
    assert {"RestartSec", "TimeoutStopSec", "TimeoutStartSec"} <= {key for _, key in said}
    assert said["Install", "WantedBy"] == "default.target"


def test_a_disk_that_is_full_for_hours_does_not_use_up_the_restarts():
    assert ("Unit", "StartLimitIntervalSec", "0") in unit_lines(unit_text(PLAIN, ENV))


def test_both_texts_bear_the_mark_by_which_they_are_known_again():
    assert MARK in unit_text(PLAIN, ENV).splitlines()[0]
    assert MARK in plist_text(PLAIN, LOG)


# launchd -------------------------------------------------------------------------------------------------------------


def test_the_agent_comes_back_after_a_failure_and_stays_in_the_background():
    said = plistlib.loads(plist_text(PLAIN, LOG).encode())
    assert said["ProgramArguments"] == list(PLAIN.words)
    assert said["EnvironmentVariables"] == PLAIN.environment
    assert said["KeepAlive"] == {"SuccessfulExit": False}
    assert (said["ProcessType"], said["LowPriorityIO"], said["Nice"]) == ("Background", True, 10)
    assert said["StandardOutPath"] == said["StandardErrorPath"] == str(LOG)


# What goes along -----------------------------------------------------------------------------------------------------


def test_what_is_set_for_flowhub_now_goes_along_and_nothing_else():
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
    kept = {name: value for name, value in environ.items() if name not in ("HOME", "EDITOR", "FLOWHUB_DEBUG")}
    assert made(environ).environment == kept


def test_a_token_never_goes_along_and_is_named():
    found = made({"HF_TOKEN": "hf_very_secret", "FLOWHUB_HF_TOKEN": "hf_very_secret"})
    assert found.left_out == ("HF_TOKEN",)
    assert "very_secret" not in unit_text(found, ENV) + plist_text(found, LOG)


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
def test_a_url_with_a_password_never_goes_along_and_is_named(name, value):
    found = made({name: value})
    assert (found.environment, found.left_out) == ({}, (name,))


@pytest.mark.parametrize("value", ["/mnt/a@b/models", "/mnt/50%?x=1"])
def test_a_path_is_no_secret_whatever_it_holds(value):
    assert made({"FLOWHUB_STORE": value}).environment == {"FLOWHUB_STORE": value}


def test_a_relative_path_means_what_it_means_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/u")
    environ = {"FLOWHUB_STORE": "llms", "FLOWHUB_HOME": "~/flow", "FLOWHUB_CATALOG": "c.json"}
    expected = {
        "FLOWHUB_STORE": tmp_path / "llms",
        "FLOWHUB_HOME": "/home/u/flow",
        "FLOWHUB_CATALOG": tmp_path / "c.json",
    }
    assert made(environ).environment == {name: str(path) for name, path in expected.items()}


def test_the_options_of_install_become_those_of_the_worker():
    assert made({}, jobs=2, rate="5M").words[-5:] == ("worker", "--jobs", "2", "--limit-rate", "5M")
    assert made({}).words[-1] == "worker"


@pytest.mark.parametrize("one", ["\n", "\x7f", "\udcff", "\uffff"])
def test_a_value_that_no_service_file_can_hold_is_refused(one):
    with pytest.raises(SettingInvalid, match="FLOWHUB_STORE"):
        made({"FLOWHUB_STORE": f"/a{one}b"})


def test_this_flowhub_is_the_one_that_was_called(tmp_path):
    script = tmp_path / "flowhub"
    script.write_text("")
    assert this_flowhub([str(script)]) == [str(script)]


def test_a_flowhub_that_was_called_as_a_module_is_found_all_the_same():
    words = this_flowhub(["/nowhere/flowhub_jobs/cli/main.py"])
    assert Path(words[0]).is_absolute()
    assert words in ([str(Path(sys.executable).with_name("flowhub"))], [sys.executable, "-m", "flowhub_jobs.cli.main"])
