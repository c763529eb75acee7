"""The examples in docs/deploy: well-formed, with commands that exist, and with the promises of a service kept."""

import re
import shutil
import subprocess

import pytest
import yaml
from lib import manpage
from support.systemd_syntax import unit_lines, values

from flowhub_jobs.cli.help import manual
from flowhub_jobs.service.unit_text import EX_CONFIG, STOP_S
from flowhub_jobs.settings import unknown_variables

DEPLOY = manpage.TOP / "docs" / "deploy"
VERBS = {
    verb["name"]: {name for one in verb["options"] for name in one["names"]} for verb in manual.manual_json()["verbs"]
}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))


def check_command(words):
    assert words[0] in VERBS, words
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert options <= VERBS[words[0]], words


def pods():
    for manifest in MANIFESTS:
        if manifest["kind"] == "Job":
            yield manifest["spec"]["template"]["spec"]
        if manifest["kind"] == "CronJob":
            yield manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def containers():
    return [one for pod in pods() for one in (*pod["initContainers"], *pod["containers"])]


def test_the_nodes_of_compose_have_commands_names_and_disks_of_their_own():
    services = {name: one for name, one in COMPOSE["services"].items() if name != "database"}
    assert len(services) == 4
    for one in services.values():
        check_command(one["command"])
        assert not unknown_variables(one["environment"])
        assert {volume.split(":")[0] for volume in one["volumes"]} <= set(COMPOSE["volumes"])
    homes = [one["volumes"][0] for one in services.values()]
    nodes = [one["command"][-1] for name, one in services.items() if name.startswith("node-")]
    assert len(set(homes)) == 4
    assert nodes == ["node-1", "node-2", "node-3"]


def test_the_containers_of_kubernetes_have_commands_that_exist_and_volumes_of_their_pod():
    assert [one["kind"] for one in MANIFESTS] == ["ConfigMap", "PersistentVolumeClaim", "Job", "CronJob"]
    for pod in pods():
        assert pod["restartPolicy"] == "OnFailure"
        assert pod["terminationGracePeriodSeconds"] >= 5
    for one in containers():
        check_command(one["args"])
        assert not unknown_variables({variable["name"]: "" for variable in one["env"]})


@pytest.mark.parametrize("pod", list(pods()), ids=["Job", "CronJob"])
def test_a_pod_has_the_volumes_that_its_containers_mount(pod):
    there = {volume["name"] for volume in pod["volumes"]}
    mounted = {mount["name"] for one in (*pod["initContainers"], *pod["containers"]) for mount in one["volumeMounts"]}
    assert mounted == there


def test_the_image_runs_a_worker_as_a_user_of_its_own():
    text = (DEPLOY / "Containerfile").read_text()
    lines = re.findall(r"(?m)^([A-Z]+) (.*)$", text)
    assert ("ENTRYPOINT", '["flowhub"]') in lines
    assert ("STOPSIGNAL", "SIGTERM") in lines
    assert ("USER", "flowhub") in lines
    variables = dict(re.findall(r"(FLOWHUB_\w+)=(\S+)", text))
    assert not unknown_variables({name: value for name, value in variables.items() if name != "FLOWHUB"})
    check_command(["worker"])


def test_the_system_unit_stops_and_restarts_as_the_user_unit_does():
    text = (DEPLOY / "flowhub.service").read_text()
    assert {section for section, _, _ in unit_lines(text)} == {"Unit", "Service", "Install"}
    assert values(text, "KillMode") == ["mixed"]
    assert values(text, "TimeoutStopSec") == [str(STOP_S)]
    assert values(text, "RestartPreventExitStatus") == [f"2 {EX_CONFIG}"]
    assert not unknown_variables(dict(one.split("=") for one in values(text, "Environment")))
    check_command(values(text, "ExecStart")[0].split()[1:])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_but_that_flowhub_is_not_installed_there():
    done = subprocess.run(
        ["systemd-analyze", "verify", str(DEPLOY / "flowhub.service")], capture_output=True, text=True, check=False
    )
    wrong = [line for line in done.stderr.splitlines() if "flowhub.service" in line]
    assert [line for line in wrong if "is not executable" not in line] == []


def test_the_man_page_is_as_scripts_reference_writes_it_and_has_every_verb():
    text = manpage.PATH.read_text()
    assert text == manpage.man_page(), "run scripts/reference"
    assert all(rf"\fBflowhub {name.replace('-', chr(92) + '-')}\fR" in text for name in VERBS)


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_groff_reads_the_man_page_without_a_warning():
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", str(manpage.PATH)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
