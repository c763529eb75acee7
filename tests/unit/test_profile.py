"""Profiles of machines: files with the output of another machine's `flowhub device --json`, in full or in part."""

import json
import os
from dataclasses import replace

import pytest

from flowhub_jobs.device.device_values import Device
from flowhub_jobs.device.gpu import Gpu
from flowhub_jobs.device.probe import probe
from flowhub_jobs.device.profile_reader import MAX_BYTES, read_profile
from flowhub_jobs.errors import UsageInvalid

SERVER = Device(
    hostname="gpu-01",
    platform="linux",
    architecture="x86_64",
    cores=64,
    ram_total_bytes=2**37,
    ram_source="system",
    disk_free_bytes=10**12,
    gpus=(Gpu("NVIDIA L4", "nvidia", 24 * 2**30, 23 * 2**30, "nvml"), Gpu("NVIDIA L4", "nvidia")),
)


@pytest.fixture
def profile(tmp_path):
    def write(content):
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        (tmp_path / "machine.json").write_bytes(raw)
        return tmp_path / "machine.json"

    return write


def test_what_device_prints_is_read_back(profile):
    assert read_profile(profile({"schema": "flowhub/device/1", "device": SERVER.as_dict()})) == SERVER
    assert read_profile(profile(SERVER.as_dict())) == SERVER
    this_machine = probe()
    assert read_profile(profile(this_machine.as_dict())) == replace(this_machine, notes=())


def test_a_field_that_is_missing_or_null_is_unknown(profile):
    assert read_profile(profile({"ram_total_bytes": 5})) == Device(ram_total_bytes=5)
    assert read_profile(profile({"platform": "macos", "gpus": None, "cpu": None})) == Device(platform="macos")


def test_fields_of_a_later_version_are_ignored(profile):
    assert read_profile(profile({"cores": 4, "gpus": [{"name": "x", "tensor": 9}], "npu": {"tops": 40}})) == Device(
        cores=4, gpus=(Gpu("x"),)
    )


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        ({"ram_total_bytes": "8 GB"}, '`ram_total_bytes` must be a whole number, not below 0; it is "8 GB"'),
        ({"ram_total_bytes": -1}, "`ram_total_bytes` must be"),
        ({"ram_total_bytes": 2**80}, "`ram_total_bytes` must be"),
        ({"ram_total_bytes": True}, "`ram_total_bytes` must be"),
        ({"platform": 3}, "`platform` must be a string; it is 3"),
        ({"platform": "linux", "unified_memory": "yes"}, "`unified_memory` must be true or false"),
        ({"gpus": {"name": "x"}}, "`gpus` must be a list of objects"),
        ({"gpus": ["RTX 4090"]}, "`gpus` must be a list of objects"),
        ({"gpus": [{}, {"vram_total_bytes": 1.5}]}, "`gpus[1].vram_total_bytes` must be a whole number"),
        ({"cores": [4], "platform": "linux"}, "`cores` must be"),
    ],
)
def test_a_field_of_a_wrong_type_is_named(profile, machine, message):
    with pytest.raises(UsageInvalid) as raised:
        read_profile(profile(machine))
    assert message in raised.value.message
    assert "machine.json" in raised.value.message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b" " * (MAX_BYTES + 1), "it has more than 1,048,576 bytes"),
        ({}, "does not describe a machine"),
        ({"models": []}, "does not describe a machine"),
        ({"schema": "flowhub/jobs/1", "jobs": []}, "its schema is 'flowhub/jobs/1'"),
        ({"schema": "flowhub/device/1", "device": [1]}, "not the profile of a machine"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(profile, content, reason):
    with pytest.raises(UsageInvalid) as raised:
        read_profile(profile(content))
    assert reason in raised.value.message
    assert "flowhub device --json" in raised.value.hint


def test_a_missing_profile_is_named(tmp_path):
    with pytest.raises(UsageInvalid, match=r"none\.json cannot be read: No such file"):
        read_profile(tmp_path / "none.json")
    with pytest.raises(UsageInvalid, match="cannot be read"):
        read_profile(tmp_path)


def test_a_pipe_is_no_profile_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageInvalid, match="pipe cannot be read: it is not a regular file"):
        read_profile(tmp_path / "pipe")
