"""Fit of models on machines: five machines and a dozen models computed by hand, then each rule and its precedence."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.device.device_values import Device
from flowhub_jobs.device.fit import GB, GIB, fit
from flowhub_jobs.device.gpu import Gpu
from flowhub_jobs.device.need import ModelNeeds, cache_by_rule
from flowhub_jobs.formats.metadata import ModelMetadata
from flowhub_jobs.values.enums import Fit, HubFormat, Offload

# The machines, with the memory that each has for models (all GiB) ----------------------------------------------------

LINUX = Device(platform="linux", architecture="x86_64", ram_source="system", disk_free_bytes=500 * GB)


def card(name: str = "RTX 4090", size: float = 24, free: float | None = None) -> Gpu:
    return Gpu(name, "nvidia", int(size * GIB), int((size if free is None else free) * GIB), "nvml")


# 8 in all, 1.5 for the system: 6.5 left. More than nine tenths of it, 5.85, is tight.
LAPTOP = replace(LINUX, ram_total_bytes=8 * GIB)
# 16 in all; Metal takes two thirds, 10.667, tight above 9.6. Beyond that the CPU runs it: up to 16 - 1.5 = 14.5.
APPLE = replace(LAPTOP, platform="macos", architecture="arm64", ram_total_bytes=16 * GIB, unified_memory=True)
# One GPU: 24 - 0.75 = 23.25, tight above 20.925. With the memory's 32 - 1.5 = 30.5: 53.75.
GPU_24 = replace(LINUX, ram_total_bytes=32 * GIB, gpus=(card(),))
# A limit of 4; only 0.25 is kept free, since the system runs outside of it: 3.75, tight above 3.375.
CONTAINER = replace(LINUX, ram_total_bytes=4 * GIB, ram_source="cgroup")
# Two GPUs: 2 x 24 - 2 x 0.75 = 46.5, tight above 41.85. With the memory's 128 - 1.5 = 126.5: 173.
SERVER = replace(LINUX, ram_total_bytes=128 * GIB, gpus=(card(), card()))
MACHINES = (LAPTOP, APPLE, GPU_24, CONTAINER, SERVER)

# The models: bytes of the files as published; layers x key-value heads x (128 + 128) numbers x 2 bytes a token ------


def shape(layers: int, heads: int, length: int = 128, trained: int = 131_072) -> ModelMetadata:
    return ModelMetadata(
        layers=layers, kv_heads=layers * heads, key_length=length, value_length=length, context_length=trained
    )


def gguf(weights: int, metadata: ModelMetadata, context: int | None = None) -> ModelNeeds:
    return ModelNeeds(weights_bytes=weights, format=HubFormat.GGUF, metadata=metadata, context=context)


LLAMA_3B, LLAMA_8B, LLAMA_70B = shape(28, 8), shape(32, 8), shape(80, 8)
QWEN_14B, QWEN_32B = shape(40, 8), shape(64, 8)

TABLE = {
    # 0.458 + 24 x 2 x 128 x 2 = 12 KiB a token x 4,096 = 0.047, + 0.5 = 1.005
    "Qwen2.5 0.5B Q4_K_M": (gguf(491_400_032, shape(24, 2, 64)), "fits fits fits fits fits"),
    # 1.881 + 28 x 8 x 256 x 2 = 112 KiB a token x 4,096 = 0.4375, + 0.5 = 2.818
    "Llama 3.2 3B Q4_K_M": (gguf(2_019_377_696, LLAMA_3B), "fits fits fits fits fits"),
    # 2.462 + 0.4375 + 0.5 = 3.400: of the container's 3.75 less than a tenth is left
    "Llama 3.2 3B Q6_K": (gguf(2_643_853_856, LLAMA_3B), "fits fits fits tight fits"),
    # 4.583 + 32 x 8 x 256 x 2 = 128 KiB a token x 4,096 = 0.5, + 0.5 = 5.583
    "Llama 3.1 8B Q4_K_M": (gguf(4_920_739_232, LLAMA_8B), "fits fits fits too_big fits"),
    # 4.583 + 128 KiB x 8,192 = 1, + 0.5 = 6.083: of the laptop's 6.5 less than a tenth is left
    "Llama 3.1 8B Q4_K_M, 8,192 tokens": (gguf(4_920_739_232, LLAMA_8B, 8192), "tight fits fits too_big fits"),
    # 8.384 + 40 x 8 x 256 x 2 = 160 KiB a token x 4,096 = 0.625, + 0.5 = 9.509
    "Qwen3 14B Q4_K_M": (gguf(9_001_752_960, QWEN_14B), "too_big fits fits too_big fits"),
    # 8.384 + 160 KiB x 16,384 = 2.5, + 0.5 = 11.384: more than Metal's 10.667, less than 14.5
    "Qwen3 14B Q4_K_M, 16,384 tokens": (gguf(9_001_752_960, QWEN_14B, 16_384), "too_big slow fits too_big fits"),
    # 18.402 + 64 x 8 x 256 x 2 = 256 KiB a token x 4,096 = 1, + 0.5 = 19.902
    "Qwen3 32B Q4_K_M": (gguf(19_759_000_000, QWEN_32B), "too_big too_big fits too_big fits"),
    # 18.402 + 256 KiB x 16,384 = 4, + 0.5 = 22.902: of the GPU's 23.25 less than a tenth is left
    "Qwen3 32B Q4_K_M, 16,384 tokens": (gguf(19_759_000_000, QWEN_32B, 16_384), "too_big too_big tight too_big fits"),
    # 39.600 + 80 x 8 x 256 x 2 = 320 KiB a token x 4,096 = 1.25, + 0.5 = 41.350
    "Llama 3.3 70B Q4_K_M": (gguf(42_520_395_584, LLAMA_70B), "too_big too_big slow too_big fits"),
    # 39.600 + 320 KiB x 8,192 = 2.5, + 0.5 = 42.600: of the two GPUs' 46.5 less than a tenth is left
    "Llama 3.3 70B Q4_K_M, 8,192 tokens": (gguf(42_520_395_584, LLAMA_70B, 8192), "too_big too_big slow too_big tight"),
    # 4.300 + 36 x 8 x 256 x 2 = 144 KiB a token x 4,096 = 0.5625, + 0.5 = 5.363: of 10.667
    "Qwen3 8B MLX 4bit": (
        replace(gguf(4_617_000_000, shape(36, 8)), format=HubFormat.MLX),
        "wrong_platform fits wrong_platform wrong_platform wrong_platform",
    ),
}


@pytest.mark.parametrize(("needs", "fits"), TABLE.values(), ids=TABLE.keys())
def test_the_table_computed_by_hand(needs, fits):
    assert " ".join(fit(needs, machine).fit.name.lower() for machine in MACHINES) == fits


LLAMA_8B_Q4 = TABLE["Llama 3.1 8B Q4_K_M"][0]
SUM = "4.58 GiB weights + 0.5 GiB context (4,096 tokens) + 0.5 GiB overhead = 5.58 GiB"


@pytest.mark.parametrize(
    ("needs", "machine", "why"),
    [
        (LLAMA_8B_Q4, LAPTOP, f"{SUM}; this machine has 8 GiB, less 1.5 GiB in reserve"),
        (LLAMA_8B_Q4, APPLE, f"{SUM}; Metal may use 10.66 of this machine's 16 GiB"),
        (LLAMA_8B_Q4, GPU_24, f"{SUM}; the GPU has 24 GiB, less 0.75 GiB in reserve"),
        (LLAMA_8B_Q4, CONTAINER, f"{SUM}; this container has 4 GiB, less 0.25 GiB in reserve"),
        (LLAMA_8B_Q4, SERVER, f"{SUM}; the 2 GPUs have 48 GiB, less 1.5 GiB in reserve"),
        (
            TABLE["Llama 3.3 70B Q4_K_M"][0],
            GPU_24,
            "39.6 GiB weights + 1.25 GiB context (4,096 tokens) + 0.5 GiB overhead = 41.35 GiB; the GPU has 24 GiB, "
            "less 0.75 GiB in reserve, the other 18.11 GiB would be in the memory, which is slower",
        ),
        (
            replace(LLAMA_8B_Q4, weights_bytes=100 * GIB),
            GPU_24,
            "100 GiB weights + 0.5 GiB context (4,096 tokens) + 0.5 GiB overhead = 101 GiB; this machine and the GPU "
            "have 56 GiB, less 2.25 GiB in reserve",
        ),
        (
            TABLE["Llama 3.1 8B Q4_K_M, 8,192 tokens"][0],
            LAPTOP,
            "4.58 GiB weights + 1 GiB context (8,192 tokens) + 0.5 GiB overhead = 6.08 GiB; this machine has 8 GiB, "
            "less 1.5 GiB in reserve, which leaves 0.41 GiB",
        ),
    ],
)
def test_the_sentence_has_the_arithmetic(needs, machine, why):
    assert fit(needs, machine).why == why


def test_the_numbers_of_a_verdict_are_those_of_its_sentence():
    document = fit(LLAMA_8B_Q4, GPU_24).as_dict()
    assert document.pop("why").startswith(SUM)
    assert document == {
        "fit": "fits",
        "need_bytes": 4_920_739_232 + GIB,
        "have_bytes": int(23.25 * GIB),
        "weights_bytes": 4_920_739_232,
        "context_bytes": GIB // 2,
        "overhead_bytes": GIB // 2,
        "context": 4096,
        "basis": "header",
    }


# The context's share -------------------------------------------------------------------------------------------------


def test_a_model_that_was_trained_for_less_is_counted_with_less():
    small = gguf(GIB, shape(32, 8, trained=2048))
    assert (fit(small, LAPTOP).context, fit(small, LAPTOP).context_bytes) == (2048, GIB // 4)


def test_a_context_beyond_the_trained_one_is_counted_and_reported():
    verdict = fit(gguf(GIB, shape(32, 8, trained=2048), 4096), LAPTOP)
    assert verdict.context_bytes == GIB // 2
    assert "(4,096 tokens, trained for 2,048)" in verdict.why


def test_a_windowed_layer_keeps_its_window_and_a_batch():
    # As Gemma 3, of 6 layers 5 have a window of 1,024: 5 x (1,024 + 512) + 1 x 8,192 = 15,872 tokens of 1 KiB x 4.
    metadata = ModelMetadata(
        layers=6, kv_heads=6 * 4, key_length=256, value_length=256, sliding_window=1024, windowed_layers=5
    )  # fmt: skip
    assert fit(gguf(GIB, metadata, 8192), LAPTOP).context_bytes == 15_872 * 4 * 512 * 2
    assert fit(gguf(GIB, replace(metadata, windowed_layers=None), 8192), LAPTOP).context_bytes == 6 * 8192 * 4 * 512 * 2


def test_an_encoder_needs_no_memory_for_its_context():
    assert fit(gguf(GIB, ModelMetadata(kv_heads=0)), LAPTOP).context_bytes == 0


# KiB a token by their own headers: layers x key-and-value heads x (key + value length) x 2 bytes.
PER_TOKEN = {
    "Qwen2.5 0.5B": (0.494, 24 * 2 * 128 * 2),
    "Llama 3.2 1B": (1.24, 16 * 8 * 128 * 2),
    "Llama 3.2 3B": (3.21, 28 * 8 * 256 * 2),
    "Qwen3 4B": (4.02, 36 * 8 * 256 * 2),
    "Mistral 7B": (7.25, 32 * 8 * 256 * 2),
    "Llama 3.1 8B": (8.03, 32 * 8 * 256 * 2),
    "Qwen3 8B": (8.19, 36 * 8 * 256 * 2),
    "Phi-4 14B": (14.7, 40 * 10 * 256 * 2),
    "Qwen2.5 32B": (32.8, 64 * 8 * 256 * 2),
    "Llama 3.3 70B": (70.6, 80 * 8 * 256 * 2),
}


@pytest.mark.parametrize(("billions", "per_token"), PER_TOKEN.values(), ids=PER_TOKEN.keys())
def test_the_rule_from_the_parameters_is_not_below_what_headers_say(billions, per_token):
    estimate = cache_by_rule(int(billions * 10**9), 1)
    assert per_token <= estimate <= 5 * per_token


def test_without_a_header_the_rule_is_used_and_named():
    verdict = fit(ModelNeeds(weights_bytes=4 * GIB, parameters=4 * 10**9), LAPTOP)
    assert (verdict.context_bytes, verdict.basis) == (4096 * 144 * 1024, "parameters")
    assert "0.56 GiB context (4,096 tokens, by its parameters)" in verdict.why


def test_a_header_with_too_few_fields_leaves_it_to_the_rule():
    header = ModelMetadata(layers=32, parameters=4 * 10**9)
    assert fit(ModelNeeds(weights_bytes=4 * GIB, metadata=header), LAPTOP).basis == "parameters"


# GPU and memory ------------------------------------------------------------------------------------------------------


def test_a_model_that_may_not_use_a_gpu_counts_the_memory_alone():
    assert fit(replace(LLAMA_8B_Q4, offload=Offload.NONE), replace(GPU_24, ram_total_bytes=4 * GIB)).fit is Fit.TOO_BIG
    assert "this machine has 32 GiB" in fit(replace(LLAMA_8B_Q4, offload=Offload.NONE), GPU_24).why


def test_a_gpu_whose_memory_is_in_use_is_tight():
    verdict = fit(LLAMA_8B_Q4, replace(GPU_24, gpus=(card(free=2),)))
    assert verdict.fit is Fit.TIGHT
    assert verdict.why.endswith("less 0.75 GiB in reserve, and only 2 GiB of it are free now")


def test_memory_that_is_in_use_now_decides_nothing():
    assert fit(LLAMA_8B_Q4, replace(LAPTOP, ram_available_bytes=1)).fit is Fit.FITS


def test_the_small_share_that_a_processors_own_graphics_claims_is_not_counted():
    assert fit(LLAMA_8B_Q4, replace(LAPTOP, gpus=(card(size=0.5),))).why == fit(LLAMA_8B_Q4, LAPTOP).why


def test_a_limit_that_the_user_set_for_metal_is_obeyed():
    needs = TABLE["Qwen3 14B Q4_K_M, 16,384 tokens"][0]
    assert fit(needs, replace(APPLE, metal_bytes=14 * GIB)).fit is Fit.FITS


def test_metal_takes_three_quarters_of_a_large_memory():
    assert "Metal may use 27 of this machine's 36 GiB" in fit(LLAMA_8B_Q4, replace(APPLE, ram_total_bytes=36 * GIB)).why
    assert (
        "Metal may use 21.33 of this machine's 32 GiB" in fit(LLAMA_8B_Q4, replace(APPLE, ram_total_bytes=32 * GIB)).why
    )


# The catalog's own figures -------------------------------------------------------------------------------------------


def test_less_than_the_catalogs_minimum_is_too_big_though_the_sum_would_fit():
    verdict = fit(replace(LLAMA_8B_Q4, min_ram_gib=16), LAPTOP)
    assert (verdict.fit, verdict.why) == (Fit.TOO_BIG, "the catalog asks for 16 GiB of memory, this machine has 8 GiB")


def test_memory_and_gpu_count_together_for_the_catalogs_figures():
    needs = replace(LLAMA_8B_Q4, min_ram_gib=40, recommended_ram_gib=56)
    assert fit(needs, GPU_24).fit is Fit.FITS
    verdict = fit(replace(needs, recommended_ram_gib=60), GPU_24)
    assert verdict.why == "the catalog recommends 60 GiB of memory, this machine and the GPU have 56 GiB"


def test_memory_that_is_just_short_is_not_rounded_up_to_what_is_asked():
    short = replace(LAPTOP, ram_total_bytes=16 * GIB - 1)
    assert fit(replace(LLAMA_8B_Q4, min_ram_gib=16), short).why.endswith("this machine has 15.9 GiB")


@pytest.mark.parametrize("minimum", [4, None])
def test_less_than_the_catalog_recommends_is_tight_at_best(minimum):
    verdict = fit(replace(LLAMA_8B_Q4, min_ram_gib=minimum, recommended_ram_gib=12), LAPTOP)
    assert verdict.fit is Fit.TIGHT
    assert verdict.why.startswith("the catalog recommends 12 GiB of memory")


def test_where_the_sum_cannot_be_made_the_catalogs_figures_decide():
    verdict = fit(ModelNeeds(weights_bytes=4 * GIB, min_ram_gib=5, recommended_ram_gib=8), LAPTOP)
    assert (verdict.fit, verdict.basis, verdict.need_bytes) == (Fit.FITS, "catalog", None)
    assert verdict.why == "the catalog asks for 5 GiB of memory, this machine has 8 GiB"


def test_weights_that_alone_are_more_than_the_gpu_has_are_slow_whatever_the_catalog_says():
    assert fit(ModelNeeds(weights_bytes=30 * GIB, min_ram_gib=30, recommended_ram_gib=40), GPU_24).fit is Fit.SLOW


# Unknown figures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needs", "machine", "missing"),
    [
        (
            ModelNeeds(weights_bytes=GIB),
            LAPTOP,
            "the memory for its context is unknown: neither a header nor its parameters",
        ),
        (replace(LLAMA_8B_Q4, weights_bytes=None), LAPTOP, "its size is not known"),
        (ModelNeeds(weights_bytes=GIB, recommended_ram_gib=24), LAPTOP, "states no minimum"),
        (LLAMA_8B_Q4, replace(LAPTOP, ram_total_bytes=None), "this machine's memory is not known"),
        (LLAMA_8B_Q4, replace(LAPTOP, disk_free_bytes=None), "the free space of the store's disk is not known"),
        (LLAMA_8B_Q4, replace(LAPTOP, gpus=(Gpu("GB10", "nvidia"),)), "the memory of GB10 is not known"),
        (
            replace(LLAMA_8B_Q4, platforms=("linux",)),
            replace(LAPTOP, platform=None),
            "the kind of machine is not known",
        ),
        (
            replace(LLAMA_8B_Q4, format=HubFormat.MLX),
            replace(APPLE, architecture=None),
            "the kind of machine is not known",
        ),
    ],
)
def test_a_figure_that_is_missing_is_named(needs, machine, missing):
    verdict = fit(needs, machine)
    assert verdict.fit is Fit.UNKNOWN
    assert missing in verdict.why


def test_a_model_on_the_gpu_needs_no_other_memory():
    assert fit(LLAMA_8B_Q4, replace(GPU_24, ram_total_bytes=None)).fit is Fit.FITS
    needs = replace(LLAMA_8B_Q4, min_ram_gib=4, recommended_ram_gib=8)
    assert fit(needs, replace(GPU_24, ram_total_bytes=None)).fit is Fit.FITS


def test_a_model_that_is_certainly_too_big_is_not_unknown():
    assert fit(ModelNeeds(weights_bytes=100 * GIB), LAPTOP).fit is Fit.TOO_BIG
    assert fit(ModelNeeds(min_ram_gib=64), LAPTOP).fit is Fit.TOO_BIG
    assert fit(ModelNeeds(platforms=("macos",)), LAPTOP).fit is Fit.WRONG_PLATFORM


# The platform and the disk -------------------------------------------------------------------------------------------


def test_a_platform_that_is_not_listed_is_wrong():
    verdict = fit(replace(LLAMA_8B_Q4, platforms=("macos", "windows")), LAPTOP)
    assert (verdict.fit, verdict.why) == (
        Fit.WRONG_PLATFORM,
        "made for macos, windows, this machine is linux on x86_64",
    )


@pytest.mark.parametrize("platforms", [None, ()])
def test_unknown_platforms_exclude_none(platforms):
    assert fit(replace(LLAMA_8B_Q4, platforms=platforms), LAPTOP).fit is Fit.FITS


@pytest.mark.parametrize("machine", [LAPTOP, replace(APPLE, architecture="x86_64"), GPU_24])
def test_mlx_runs_on_apple_silicon_alone(machine):
    verdict = fit(replace(LLAMA_8B_Q4, format=HubFormat.MLX), machine)
    assert verdict.fit is Fit.WRONG_PLATFORM
    assert verdict.why.startswith("MLX needs Apple silicon, this machine is ")


def test_a_size_beyond_the_free_disk_is_too_big_and_says_that_it_is_the_disk():
    verdict = fit(LLAMA_8B_Q4, replace(LAPTOP, disk_free_bytes=4 * GB))
    assert (verdict.fit, verdict.why) == (Fit.TOO_BIG, "needs 4.9 GB of disk, the store's disk has 4.0 GB free")


def test_the_disk_reserve_does_not_count_as_free():
    verdict = fit(LLAMA_8B_Q4, replace(LAPTOP, disk_free_bytes=5 * GB), reserve_bytes=GB)
    assert verdict.fit is Fit.TOO_BIG
    assert verdict.why.endswith("the store's disk has 4.0 GB free besides the 1.0 GB kept in reserve")


def test_an_installed_model_needs_no_more_disk():
    assert fit(LLAMA_8B_Q4, replace(LAPTOP, disk_free_bytes=0), installed=True).fit is Fit.FITS


def test_all_files_count_on_the_disk_and_the_weights_in_memory():
    needs = replace(LLAMA_8B_Q4, disk_bytes=8 * GB)
    assert fit(needs, replace(LAPTOP, disk_free_bytes=6 * GB)).fit is Fit.TOO_BIG
    assert fit(needs, LAPTOP).weights_bytes == 4_920_739_232


def test_two_figures_that_read_the_same_are_shown_in_bytes():
    verdict = fit(replace(LLAMA_8B_Q4, disk_bytes=5_240_000_000), replace(LAPTOP, disk_free_bytes=5_210_000_000))
    assert verdict.why == "needs 5,240,000,000 bytes of disk, the store's disk has 5,210,000,000 free"


def test_the_catalogs_disk_figure_stands_in_for_an_unknown_size():
    needs = ModelNeeds(min_ram_gib=4, disk_gb=120)
    assert fit(needs, replace(LAPTOP, disk_free_bytes=100 * GB)).fit is Fit.TOO_BIG
    assert fit(needs, LAPTOP).fit is Fit.FITS


# Properties ----------------------------------------------------------------------------------------------------------

FIGURES = st.none() | st.floats(min_value=0, max_value=4096)
SIZES = st.none() | st.integers(min_value=0, max_value=10**15)
NEEDS = st.builds(
    ModelNeeds,
    weights_bytes=SIZES,
    metadata=st.none() | st.just(LLAMA_8B) | st.just(ModelMetadata()),
    parameters=st.none() | st.integers(1, 10**13),
    context=st.none() | st.integers(1, 10**7),
    offload=st.none() | st.sampled_from(Offload),
    min_ram_gib=FIGURES,
    recommended_ram_gib=FIGURES,
    disk_gb=FIGURES,
)
GPUS = st.lists(st.builds(Gpu, st.just("x"), st.just("amd"), SIZES, SIZES), max_size=3).map(tuple)
DEVICES = st.builds(
    Device,
    platform=st.sampled_from(["linux", "macos"]),
    architecture=st.sampled_from(["x86_64", "arm64"]),
    ram_total_bytes=SIZES,
    ram_source=st.sampled_from(["system", "cgroup"]),
    disk_free_bytes=SIZES,
    gpus=GPUS,
)
WORST_FIRST = [Fit.TOO_BIG, Fit.SLOW, Fit.TIGHT, Fit.FITS]


def at_least(before: Fit, after: Fit) -> bool:
    both_ranked = before in WORST_FIRST and after in WORST_FIRST
    return not both_ranked or WORST_FIRST.index(before) <= WORST_FIRST.index(after)


@given(NEEDS, DEVICES, st.integers(0, 10**15), st.booleans())
def test_every_verdict_has_its_reason_and_sums_that_add_up(needs, device, reserve, installed):
    verdict = fit(needs, device, reserve_bytes=reserve, installed=installed)
    assert verdict.why
    assert not verdict.why.endswith(".")
    if verdict.need_bytes is not None:
        assert verdict.need_bytes == verdict.weights_bytes + verdict.context_bytes + verdict.overhead_bytes


@given(NEEDS, DEVICES, st.integers(0, 10**15))
def test_more_memory_and_disk_never_fit_worse(needs, device, more):
    ram, free = device.ram_total_bytes, device.disk_free_bytes
    larger = replace(device, ram_total_bytes=ram and ram + more, disk_free_bytes=free and free + more)
    assert at_least(fit(needs, device).fit, fit(needs, larger).fit)


@given(NEEDS, DEVICES, st.integers(1, 10**7))
def test_more_context_never_fits_better(needs, device, more):
    longer = replace(needs, context=fit(needs, device).context + more)
    assert at_least(fit(longer, device).fit, fit(needs, device).fit)


def test_a_reserve_never_makes_the_memory_negative():
    verdict = fit(LLAMA_8B_Q4, replace(LAPTOP, ram_total_bytes=0))
    assert (verdict.fit, verdict.have_bytes) == (Fit.TOO_BIG, 0)
    assert math.isfinite(verdict.need_bytes)
