"""The examples in docs/deploy are well-formed, use commands that exist, and keep the promises of the service."""

import re
import shutil
import subprocess

import pytest
import yaml
from lib import manpage
from support.systemd_syntax import unit_lines, values

from flowhub_jobs.cli.help import help_json
from flowhub_jobs.service.unit_text import EX_CONFIG, STOP_S
from flowhub_jobs.settings import unknown_variables

DEPLOY = manpage.TOP / "docs" / "deploy"
VERBS = {
    verb["name"]: {name for option in verb["options"] for name in option["names"]}
    for verb in help_json.manual_json()["verbs"]
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
    return [container for pod in pods() for container in (*pod["initContainers"], *pod["containers"])]


def test_the_nodes_of_compose_have_commands_names_and_disks_of_their_own():
    services = {name: service for name, service in COMPOSE["services"].items() if name != "database"}
    assert len(services) == 4
    for service in services.values():
        check_command(service["command"])
        assert not unknown_variables(service["environment"])
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(COMPOSE["volumes"])
    homes = [service["volumes"][0] for service in services.values()]
    nodes = [service["command"][-1] for name, service in services.items() if name.startswith("node-")]
    assert len(set(homes)) == 4
    assert nodes == ["node-1", "node-2", "node-3"]


def test_the_containers_of_kubernetes_have_commands_that_exist_and_volumes_of_their_pod():
    assert [manifest["kind"] for manifest in MANIFESTS] == ["ConfigMap", "PersistentVolumeClaim", "Job", "CronJob"]
    for pod in pods():
        assert pod["restartPolicy"] == "OnFailure"
        assert pod["terminationGracePeriodSeconds"] >= 5
    for container in containers():
        check_command(container["args"])
        assert not unknown_variables({variable["name"]: "" for variable in container["env"]})


@pytest.mark.parametrize("pod", list(pods()), ids=["Job", "CronJob"])
def test_a_pod_has_the_volumes_that_its_containers_mount(pod):
    volumes = {volume["name"] for volume in pod["volumes"]}
    pod_containers = (*pod["initContainers"], *pod["containers"])
    mounted = {mount["name"] for container in pod_containers for mount in container["volumeMounts"]}
    assert mounted == volumes


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
    assert not unknown_variables(dict(variable.split("=") for variable in values(text, "Environment")))
    check_command(values(text, "ExecStart")[0].split()[1:])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_complains_only_that_flowhub_is_not_installed():
    process = subprocess.run(
        ["systemd-analyze", "verify", str(DEPLOY / "flowhub.service")], capture_output=True, text=True, check=False
    )
    complaints = [line for line in process.stderr.splitlines() if "flowhub.service" in line]
    assert [line for line in complaints if "is not executable" not in line] == []


def test_the_man_page_is_as_scripts_reference_writes_it_and_has_every_verb():
    text = manpage.PATH.read_text()
    assert text == manpage.man_page(), "run scripts/reference"
    assert all(rf"\fBflowhub {name.replace('-', chr(92) + '-')}\fR" in text for name in VERBS)


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_groff_reads_the_man_page_without_a_warning():
    process = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", str(manpage.PATH)], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")
