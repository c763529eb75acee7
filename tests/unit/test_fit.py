"""Will it run here? Each verdict, its reason in words, and which of two reasons wins."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.device.fit import GB, GIB, Needs, disk_verdict, fit
from flowhub_jobs.device.probe import Device
from flowhub_jobs.records import Fit, HubFormat

LINUX = Device(
    hostname="box",
    platform="linux",
    architecture="x86_64",
    cpu=None,
    cores=8,
    ram_total_bytes=int(15.65 * GIB),
    ram_available_bytes=int(9 * GIB),
    ram_source="system",
    disk_total_bytes=500 * GB,
    disk_free_bytes=100 * GB,
    unified_memory=False,
)
MAC = replace(LINUX, platform="macos", architecture="arm64", unified_memory=True)
NEEDS = Needs(min_ram_gib=8, recommended_ram_gib=12, disk_gb=5, platforms=("linux", "macos"))


def test_enough_of_everything_fits():
    verdict = fit(NEEDS, 5 * GB, HubFormat.GGUF, LINUX)
    assert verdict.fit == Fit.FITS
    assert verdict.why == "needs 8 GiB of memory, this machine has 15.6 GiB"


def test_exactly_enough_fits():
    exact = replace(LINUX, ram_total_bytes=12 * GIB, disk_free_bytes=6 * GB)
    assert fit(NEEDS, 5 * GB, HubFormat.GGUF, exact, reserve_bytes=GB).fit == Fit.FITS


def test_less_memory_than_the_minimum_is_too_big():
    verdict = fit(replace(NEEDS, min_ram_gib=16), 5 * GB, HubFormat.GGUF, LINUX)
    assert verdict.fit == Fit.TOO_BIG
    assert verdict.why == "needs 16 GiB of memory, this machine has 15.6 GiB"


def test_memory_that_is_just_short_is_not_rounded_up_to_what_is_needed():
    short = replace(LINUX, ram_total_bytes=16 * GIB - 1)
    verdict = fit(replace(NEEDS, min_ram_gib=16), 5 * GB, HubFormat.GGUF, short)
    assert verdict.why == "needs 16 GiB of memory, this machine has 15.9 GiB"


def test_less_memory_than_is_recommended_is_tight():
    verdict = fit(replace(NEEDS, recommended_ram_gib=24), 5 * GB, HubFormat.GGUF, LINUX)
    assert verdict.fit == Fit.TIGHT
    assert verdict.why == "24 GiB of memory are recommended, this machine has 15.6 GiB"


def test_the_limit_of_a_container_is_called_so():
    small = replace(LINUX, ram_total_bytes=4 * GIB, ram_source="cgroup")
    assert fit(NEEDS, 5 * GB, None, small).why == "needs 8 GiB of memory, this container has 4 GiB"


def test_a_size_beyond_the_free_disk_is_too_big_and_says_that_it_is_the_disk():
    verdict = fit(NEEDS, 120 * GB, HubFormat.GGUF, LINUX)
    assert verdict.fit == Fit.TOO_BIG
    assert verdict.why == "needs 120.0 GB of disk, the store's disk has 100.0 GB free"


def test_the_reserve_is_not_there_to_be_used():
    verdict = fit(NEEDS, 95 * GB, HubFormat.GGUF, LINUX, reserve_bytes=10 * GB)
    assert verdict.fit == Fit.TOO_BIG
    assert verdict.why == "needs 95.0 GB of disk, the store's disk has 90.0 GB free beside the 10.0 GB kept in reserve"


def test_two_figures_that_read_the_same_are_said_in_bytes():
    verdict = disk_verdict(5_240_000_000, 5_210_000_000)
    assert verdict.fit == Fit.TOO_BIG
    assert verdict.why == "needs 5,240,000,000 bytes of disk, the store's disk has 5,210,000,000 free"


def test_a_full_disk_has_nothing_free_and_not_less():
    assert (
        disk_verdict(1, 0, GB).why
        == "needs 1 B of disk, the store's disk has 0 B free beside the 1.0 GB kept in reserve"
    )


def test_the_catalogs_disk_figure_stands_in_for_an_unknown_size():
    assert fit(replace(NEEDS, disk_gb=120), None, None, LINUX).fit == Fit.TOO_BIG
    assert fit(replace(NEEDS, disk_gb=120), 5 * GB, None, LINUX).fit == Fit.FITS


def test_a_platform_that_is_not_listed_is_wrong():
    verdict = fit(replace(NEEDS, platforms=("macos", "windows")), 5 * GB, HubFormat.GGUF, LINUX)
    assert verdict.fit == Fit.WRONG_PLATFORM
    assert verdict.why == "made for macos, windows, this machine is linux on x86_64"


@pytest.mark.parametrize("platforms", [None, ()])
def test_platforms_that_are_not_said_exclude_none(platforms):
    assert fit(replace(NEEDS, platforms=platforms), 5 * GB, HubFormat.GGUF, LINUX).fit == Fit.FITS


@pytest.mark.parametrize("device", [LINUX, replace(MAC, architecture="x86_64"), replace(LINUX, architecture="arm64")])
def test_mlx_runs_on_apple_silicon_alone(device):
    verdict = fit(NEEDS, 5 * GB, HubFormat.MLX, device)
    assert verdict.fit == Fit.WRONG_PLATFORM
    assert verdict.why.startswith("MLX needs Apple silicon, this machine is ")
    assert fit(NEEDS, 5 * GB, HubFormat.MLX, MAC).fit == Fit.FITS


@pytest.mark.parametrize(
    ("needs", "size", "device", "named"),
    [
        (Needs(), 5 * GB, LINUX, "the catalog does not say how much memory it needs"),
        (Needs(min_ram_gib=8), None, LINUX, "its size is not known"),
        (NEEDS, 5 * GB, replace(LINUX, ram_total_bytes=None), "this machine's memory could not be read"),
        (NEEDS, 5 * GB, replace(LINUX, disk_free_bytes=None), "the free space of the store's disk could not be read"),
        (Needs(recommended_ram_gib=24), 5 * GB, LINUX, "the minimum is not said"),
    ],
)
def test_a_figure_that_is_missing_is_named(needs, size, device, named):
    verdict = fit(needs, size, HubFormat.GGUF, device)
    assert verdict.fit == Fit.UNKNOWN
    assert named in verdict.why


@pytest.mark.parametrize("needs", [Needs(min_ram_gib=8), Needs(recommended_ram_gib=12)])
def test_one_memory_figure_is_enough_where_it_decides(needs):
    assert fit(needs, 5 * GB, None, LINUX).fit == Fit.FITS


def test_what_is_certainly_too_big_is_not_unknown():
    assert fit(Needs(), 120 * GB, None, LINUX).fit == Fit.TOO_BIG
    assert fit(Needs(min_ram_gib=64), None, None, LINUX).fit == Fit.TOO_BIG
    assert fit(Needs(platforms=("macos",)), None, None, LINUX).fit == Fit.WRONG_PLATFORM


def test_what_is_tight_but_for_a_missing_figure_is_unknown():
    assert fit(Needs(min_ram_gib=8, recommended_ram_gib=24), None, None, LINUX).fit == Fit.UNKNOWN


FIGURES = st.none() | st.floats(min_value=0, max_value=4096)
SIZES = st.none() | st.integers(min_value=0, max_value=10**15)


@given(least=FIGURES, wanted=FIGURES, size=SIZES, ram=SIZES, free=SIZES, more=st.integers(0, 10**15))
def test_a_larger_machine_never_fits_worse(least, wanted, size, ram, free, more):
    order = [Fit.TOO_BIG, Fit.TIGHT, Fit.FITS]
    small = replace(LINUX, ram_total_bytes=ram, disk_free_bytes=free)
    large = replace(LINUX, ram_total_bytes=ram and ram + more, disk_free_bytes=free and free + more)
    needs = Needs(min_ram_gib=least, recommended_ram_gib=wanted)
    before, after = fit(needs, size, None, small), fit(needs, size, None, large)
    assert before.why
    if before.fit != Fit.UNKNOWN and after.fit != Fit.UNKNOWN:
        assert order.index(before.fit) <= order.index(after.fit)
