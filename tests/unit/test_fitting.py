"""The needs of an artifact, from all that is known about it, and the choice of the best variant."""

import pytest

from flowhub_jobs.device.fit import Verdict
from flowhub_jobs.errors import DoesNotFit
from flowhub_jobs.operations.search.model_needs import Variant, best_fit, parse_parameters, weights_of
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import Fit, HubFormat, platform_of


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0.5B", 500_000_000),
        ("22.7M", 22_700_000),
        ("8 billion", 8 * 10**9),
        ("137 million", 137 * 10**6),
        ("8x7B", 56 * 10**9),
        ("8 x 22b", 176 * 10**9),
        ("30B-A3B", 30 * 10**9),
        ("1.6T", 16 * 10**11),
        ("", None),
        (None, None),
        ("large", None),
        ("7", None),
        ("0B", None),
        ("7 bananas", None),
    ],
)
def test_a_count_of_parameters_is_read_as_catalogs_write_it(text, count):
    assert parse_parameters(text) == count


@pytest.mark.parametrize(
    ("word", "platform"),
    [("Linux", "linux"), ("darwin", "macos"), ("Mac OS X", "macos"), ("Win64", "windows"), ("Amiga", "amiga")],
)
def test_a_platform_is_recognized_by_every_usual_name(word, platform):
    assert platform_of(word) == platform


def artifact(*files, option="q4", kind=HubFormat.GGUF):
    artifact_files = tuple(ArtifactFile(path, f"https://h.example/{path}", size) for path, size in files)
    return Artifact(f"m@{option}", "m", option, kind, "m", len(artifact_files) > 1, artifact_files)


def test_the_weights_are_the_models_own_files():
    assert weights_of(artifact(("m-00001-of-2.gguf", 5), ("m-00002-of-2.gguf", 4), ("mmproj-m.gguf", 3))) == 9
    assert weights_of(artifact(("config.json", 1), ("model.safetensors", 7), ("tokenizer.json", 2))) == 7
    assert weights_of(artifact(("mmproj-alone.gguf", 3))) == 3
    assert weights_of(artifact(("model.onnx", 3), ("vocab.txt", 1))) == 4
    assert weights_of(artifact(("a.gguf", 3), ("b.gguf", None))) is None


def variant(option, fit, weights, kind=HubFormat.GGUF):
    return Variant(artifact(("m.gguf", weights), option=option, kind=kind), Verdict(fit, "so", weights_bytes=weights))


def best_option(*variants):
    best, why = best_fit(variants)
    return best.artifact.option, why


def test_the_largest_of_those_that_fit_is_the_best():
    smaller = [variant("q4", Fit.FITS, 4), variant("q6", Fit.FITS, 6), variant("q8", Fit.TIGHT, 8)]
    assert best_option(*smaller, variant("f16", Fit.TOO_BIG, 16)) == ("q6", "the largest of 2 that fit: so")


@pytest.mark.parametrize(
    ("fits", "best"),
    [
        ([Fit.SLOW, Fit.TIGHT, Fit.TOO_BIG], "b"),
        ([Fit.SLOW, Fit.TOO_BIG, Fit.UNKNOWN], "a"),
        ([Fit.WRONG_PLATFORM, Fit.TOO_BIG, Fit.UNKNOWN], "c"),
        ([Fit.TIGHT, Fit.FITS, Fit.SLOW], "b"),
    ],
)
def test_fits_comes_before_tight_before_slow_before_unknown(fits, best):
    assert best_option(*(variant(name, fit, 5) for name, fit in zip("abc", fits, strict=True)))[0] == best


def test_another_format_than_the_first_is_chosen_only_where_it_fits_better():
    gguf, other = variant("q4", Fit.FITS, 4), variant("bf16", Fit.FITS, 16, HubFormat.SAFETENSORS)
    assert best_option(gguf, other)[0] == "q4"
    assert best_option(variant("q4", Fit.SLOW, 4), other) == ("bf16", "the best fit of 2: so")


def test_where_nothing_is_known_the_first_variant_is_chosen():
    assert best_option(variant("q4", Fit.UNKNOWN, 4), variant("q8", Fit.UNKNOWN, 8)) == (
        "q4",
        "the first variant that may fit; none is known to fit: so",
    )


def test_an_only_variant_is_called_so():
    assert best_option(variant("q4", Fit.SLOW, 4)) == ("q4", "the only variant: so")


def test_where_nothing_runs_the_error_has_the_reason_of_the_smallest():
    with pytest.raises(DoesNotFit, match=r"No variant of m runs here\. m@q2: so\."):
        best_fit([variant("q4", Fit.TOO_BIG, 4), variant("q2", Fit.TOO_BIG, 2)])
