"""The probe of a machine: the real one, and folders in the layout of the kernel's control groups."""

import json
import sys

import psutil
import pytest

from flowhub_jobs.device.cgroup import MemoryLimit, memory_limit
from flowhub_jobs.device.gpu import Gpu, read_amd, read_gpus, read_nvidia
from flowhub_jobs.device.probe import probe, read_cpu, read_disk, read_memory

GIB = 2**30


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.fixture
def write_groups_file(tmp_path):
    """A function that writes the control groups of this process to a file, and returns its path."""
    path = tmp_path / "self-cgroup"

    def write_groups(text):
        path.write_text(text)
        return path

    return write_groups


def test_the_probe_of_this_machine_fits_into_json(tmp_path):
    device = probe(tmp_path)
    assert device.platform == {"linux": "linux", "darwin": "macos"}[sys.platform]
    assert 0 < device.ram_total_bytes <= psutil.virtual_memory().total
    assert 0 < device.ram_available_bytes <= device.ram_total_bytes
    assert device.ram_source in {"system", "cgroup"}
    assert 0 < device.disk_free_bytes <= device.disk_total_bytes
    assert device.cores >= 1
    assert device.unified_memory == device.apple_silicon
    assert json.loads(json.dumps(device.as_dict()))["ram_total_bytes"] == device.ram_total_bytes
    assert device.found["ram_total_bytes"]
    assert device.found["disk_total_bytes"] == "statvfs of the store's folder"


def test_without_a_store_no_disk_is_measured():
    device = probe()
    assert (device.disk_total_bytes, device.disk_free_bytes) == (None, None)


def test_a_store_that_is_not_there_yet_is_measured_where_it_will_be(tmp_path):
    assert read_disk(tmp_path / "not" / "there" / "yet")[0] == read_disk(tmp_path)[0]


def test_a_store_below_a_file_or_a_dangling_link_is_measured_too(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert read_disk(tmp_path / "file" / "store")[0] == read_disk(tmp_path)[0]
    assert read_disk(tmp_path / "link" / "store")[0] == read_disk(tmp_path)[0]


def test_a_path_that_is_on_no_disk_is_unknown(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert read_disk(tmp_path / "loop") == (None, None)


def test_version_2_leaves_the_limit_less_the_memory_that_cannot_be_reclaimed(tmp_path, write_groups_file):
    write(
        tmp_path / "cg" / "app",
        memory__max=4 * GIB,
        memory__current=3 * GIB,
        memory__stat=f"anon {GIB}\ninactive_file {2 * GIB}\nactive_file 5",
    )
    assert memory_limit(tmp_path / "cg", write_groups_file("0::/app\n")) == MemoryLimit(4 * GIB, 3 * GIB)


def test_version_1_is_read_from_its_own_files(tmp_path, write_groups_file):
    write(
        tmp_path / "cg" / "memory" / "docker" / "abc",
        memory__limit_in_bytes=2 * GIB,
        memory__usage_in_bytes=GIB,
        memory__stat="inactive_file 7\ntotal_inactive_file 4096",
    )
    groups = write_groups_file("5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n")
    assert memory_limit(tmp_path / "cg", groups) == MemoryLimit(2 * GIB, GIB + 4096)


def test_a_limit_of_a_group_above_binds_too(tmp_path, write_groups_file):
    write(tmp_path / "cg" / "slice" / "app", memory__max=8 * GIB, memory__current=GIB)
    write(tmp_path / "cg" / "slice", memory__max=2 * GIB, memory__current=GIB)
    assert memory_limit(tmp_path / "cg", write_groups_file("0::/slice/app\n")) == MemoryLimit(2 * GIB, GIB)


@pytest.mark.parametrize("path", ["/docker/not-seen-from-inside", "/../../outside"])
def test_a_container_that_sees_its_group_as_the_root_is_limited_by_it(tmp_path, write_groups_file, path):
    write(tmp_path / "cg", memory__max=GIB, memory__current=4096)
    write(tmp_path, memory__max=5)
    assert memory_limit(tmp_path / "cg", write_groups_file(f"0::{path}\n")) == MemoryLimit(GIB, GIB - 4096)


def test_a_limit_whose_use_cannot_be_read_leaves_an_unknown_rest(tmp_path, write_groups_file):
    write(tmp_path / "cg" / "app", memory__max=GIB)
    assert memory_limit(tmp_path / "cg", write_groups_file("0::/app\n")) == MemoryLimit(GIB, None)


def test_more_used_than_allowed_leaves_nothing_and_not_less(tmp_path, write_groups_file):
    write(tmp_path / "cg" / "app", memory__max=GIB, memory__current=GIB + 1)
    assert memory_limit(tmp_path / "cg", write_groups_file("0::/app\n")) == MemoryLimit(GIB, 0)


@pytest.mark.parametrize("text", ["", "0::/app\n", "nonsense\n", "::\n0::\n"])
def test_without_a_limit_or_a_readable_group_there_is_no_limit(tmp_path, write_groups_file, text):
    write(tmp_path / "cg" / "app", memory__max="max", memory__current=GIB)
    assert memory_limit(tmp_path / "cg", write_groups_file(text)) is None


def test_a_system_without_control_groups_has_no_limit(tmp_path):
    assert memory_limit(tmp_path / "none", tmp_path / "none") is None


def test_memory_is_the_containers_where_that_is_less(tmp_path, write_groups_file):
    write(tmp_path / "cg" / "app", memory__max=64 * 2**20, memory__current=2**20)
    memory = read_memory(tmp_path / "cg", write_groups_file("0::/app\n"))
    assert (memory.total_bytes, memory.available_bytes, memory.source) == (64 * 2**20, 63 * 2**20, "cgroup")
    assert memory.found == "cgroup v2 memory.max"


def test_memory_is_the_systems_where_the_limit_is_larger_than_any_memory(tmp_path, write_groups_file):
    write(tmp_path / "cg" / "memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=4096)
    memory = read_memory(tmp_path / "cg", write_groups_file("4:memory:/\n"))
    assert (memory.total_bytes, memory.source) == (psutil.virtual_memory().total, "system")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /proc/cpuinfo")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 7B13\n\nmodel name\t: other\n", "AMD EPYC 7B13"),
        ("processor\t: 0\nCPU part\t: 0xd0c\n", None),
        ("model name\t:\n", None),
    ],
)
def test_the_processors_name_is_shown_where_the_system_knows_it(tmp_path, text, name):
    (tmp_path / "cpuinfo").write_text(text)
    assert read_cpu(tmp_path / "cpuinfo") == name
    assert read_cpu(tmp_path / "none") is None


# GPUs ----------------------------------------------------------------------------------------------------------------


def amd_card(root, name, **files):
    write(root / "sys/class/drm" / name / "device", **({"vendor": "0x1002"} | files))


def test_a_card_of_amd_is_read_from_the_kernels_files(tmp_path):
    amd_card(
        tmp_path,
        "card1",
        mem_info_vram_total=24 * GIB,
        mem_info_vram_used=GIB,
        product_name="Radeon RX 7900 XTX",
    )
    assert read_amd(tmp_path) == ((Gpu("Radeon RX 7900 XTX", "amd", 24 * GIB, 23 * GIB, "sysfs"),), ())


def test_memory_that_a_card_shares_with_the_machine_is_shown_and_not_counted(tmp_path):
    amd_card(tmp_path, "card0", mem_info_vram_total=GIB // 2, mem_info_vram_used=0, mem_info_gtt_total=8 * GIB)
    [gpu], [note] = read_amd(tmp_path)
    assert gpu.vram_total_bytes == GIB // 2
    assert note == "card0 may also use 8.0 GiB of the machine's memory: not counted as its own."


def test_other_devices_than_cards_of_amd_are_ignored(tmp_path):
    amd_card(tmp_path, "card0", vendor="0x8086", mem_info_vram_total=GIB)
    amd_card(tmp_path, "card1")
    amd_card(tmp_path, "card2", mem_info_vram_total="lots")
    amd_card(tmp_path, "card3-HDMI-A-1", mem_info_vram_total=GIB)
    amd_card(tmp_path, "renderD128", mem_info_vram_total=GIB)
    assert read_gpus(tmp_path) == ((), ())


def test_a_card_of_unknown_use_has_unknown_free_memory(tmp_path):
    amd_card(tmp_path, "card0", mem_info_vram_total=GIB)
    assert read_amd(tmp_path)[0][0].vram_free_bytes is None


@pytest.fixture
def driver(tmp_path):
    """The root of a machine with NVIDIA's driver."""
    write(tmp_path / "proc/driver/nvidia", version="NVRM")
    return tmp_path


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A function that makes a module `pynvml` of a text importable."""

    def write_module(text):
        (tmp_path / "lib").mkdir()
        (tmp_path / "lib/pynvml.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path / "lib")
        monkeypatch.delitem(sys.modules, "pynvml", raising=False)

    yield write_module
    sys.modules.pop("pynvml", None)


NVML = """
class NVMLError(Exception): pass
class Memory: total, free = 24 * 2**30, 23 * 2**30
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(place): return place
def nvmlDeviceGetName(handle): return [b"NVIDIA L4", "GB10"][handle]
def nvmlDeviceGetMemoryInfo(handle):
    if handle: raise NVMLError("Not Supported")
    return Memory
"""


def test_nvidias_cards_are_read_through_its_library(driver, library):
    library(NVML)
    known, shared = Gpu("NVIDIA L4", "nvidia", 24 * GIB, 23 * GIB, "nvml"), Gpu("GB10", "nvidia", None, None, "nvml")
    assert read_nvidia(driver) == ((known, shared), ())


@pytest.mark.parametrize("fault", ["raise ValueError('driver/library version mismatch')", "1 / 0"])
def test_a_driver_that_does_not_answer_is_reported_and_no_gpu(driver, library, fault):
    library(NVML.replace("def nvmlInit(): pass", f"def nvmlInit(): {fault}"))
    gpus, [note] = read_gpus(driver)
    assert gpus == ()
    assert note.startswith("NVIDIA's driver did not answer (")


def test_a_missing_library_is_reported_where_there_is_a_driver(driver, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_gpus(driver) == (
        (),
        ("nvidia-ml-py is not installed: NVIDIA GPUs were not looked for (pip install 'flowhub[gpu]').",),
    )


def test_without_a_driver_nothing_is_loaded_and_nothing_reported(tmp_path, library):
    library("raise RuntimeError('loaded')")
    assert read_nvidia(tmp_path) == ((), ())
