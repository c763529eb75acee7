"""The choice of a repository's files: those that make up the requested model, and no others."""

from urllib.parse import quote

import pytest

from flowhub_jobs.errors import NotFound, SourceRefused, UsageInvalid
from flowhub_jobs.huggingface.pick import Picked, pick
from flowhub_jobs.huggingface.quants import quant_of
from flowhub_jobs.huggingface.reference_parser import parse_hub_ref
from flowhub_jobs.huggingface.repository_variants import variants_of
from flowhub_jobs.huggingface.responses import RepoFile, RepoInfo
from flowhub_jobs.values.artifacts import Artifact, HubSource
from flowhub_jobs.values.enums import HubFormat, RepoKind

COMMIT = "c" * 40
GGUFS = ("m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-BF16.gguf", "README.md", ".gitattributes")
SPLIT = tuple(f"UD-Q4_K_XL/m-UD-Q4_K_XL-0000{n}-of-00003.gguf" for n in (3, 1, 2))
MLX = ("config.json", "tokenizer.model", "merges.txt", "chat_template.jinja", "model.safetensors", "README.md", "a.png")


def files(*paths: str) -> list[RepoFile]:
    return [
        RepoFile(path, 10 + number, sha256="ab" * 32)
        if path.endswith(("gguf", "safetensors"))
        else RepoFile(path, 1, None, "cd" * 20)
        for number, path in enumerate(paths)
    ]


def pick_files(ref: str, *paths: str, **about: object) -> Picked:
    parsed_ref = parse_hub_ref(ref)
    assert parsed_ref is not None
    return pick(RepoInfo(parsed_ref.repo, COMMIT, **about), files(*paths), parsed_ref)  # type: ignore[arg-type]


def pick_artifact(ref: str, *paths: str, **about: object) -> Artifact:
    return pick_files(ref, *paths, **about).artifact


def picked_paths(ref: str, *paths: str) -> list[str]:
    return [
        file.url.removeprefix(f"https://huggingface.co/o/r/resolve/{COMMIT}/")
        for file in pick_artifact(ref, *paths).files
    ]


# Quants --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"),
        ("qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("gemma-3-27b-it-IQ4_XS.gguf", "IQ4_XS"),
        ("x-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("x.i1-IQ2_XXS.gguf", "IQ2_XXS"),
        ("mistral-7b.Q5_0.gguf", "Q5_0"),
        ("x-Q4_0_4_8.gguf", "Q4_0_4_8"),
        ("x-Q6_K_L.gguf", "Q6_K_L"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("x-fp16.gguf", "F16"),
        ("x-BF16.gguf", "BF16"),
        ("x-TQ1_0.gguf", "TQ1_0"),
        ("Q8_0/x-00001-of-00002.gguf", "Q8_0"),
        ("UD-Q2_K_XL/x-Q8_0.gguf", "Q8_0"),
        ("gemma-3-4b-it-qat-q4_0.gguf", "Q4_0"),
        ("x-UD-TQ1_0.gguf", "UD-TQ1_0"),
        ("x-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("x-MXFP4_MOE_BF16.gguf", "MXFP4_MOE_BF16"),
        ("x-smol-IQ4_KSS.gguf", "IQ4_KSS"),
        ("x-IQ2_KT.gguf", "IQ2_KT"),
        ("x-IQ4_NL_R4.gguf", "IQ4_NL_R4"),
        ("x-Q8_K_R8.gguf", "Q8_K_R8"),
        ("x-Q4_K_M_v2.gguf", "Q4_K_M"),
        ("x_Q8_0_it.gguf", "Q8_0"),
        ("Qwen3-30B-A3B.gguf", None),
        ("faq16x.gguf", None),
    ],
)
def test_a_quant_is_recognized_by_the_name_of_the_file_or_of_its_folder(path, label):
    assert quant_of(path) == label


def test_a_single_gguf_is_one_file_under_its_bare_name():
    artifact = pick_artifact("hf:o/r:q8_0", "sub/m-Q8_0.gguf", *GGUFS[1:])
    assert (artifact.model, artifact.option, artifact.format, artifact.folder) == (None, None, HubFormat.GGUF, False)
    assert (artifact.ref, artifact.name, [file.path for file in artifact.files]) == (
        "hf:o/r:Q8_0",
        "m-Q8_0.gguf",
        ["m-Q8_0.gguf"],
    )
    assert artifact.files[0].url == f"https://huggingface.co/o/r/resolve/{COMMIT}/sub/m-Q8_0.gguf"
    assert (artifact.files[0].size, artifact.files[0].sha256) == (10, "ab" * 32)
    assert artifact.hub == HubSource("o/r", COMMIT, "main", "Q8_0")


def test_where_no_quant_is_named_the_preferred_one_is_picked_and_noted():
    picked = pick_files("hf:o/r", *GGUFS)
    assert picked.artifact.ref == "hf:o/r:Q4_K_M"
    assert picked.notes == ("No quant was named: Q4_K_M is taken. There are also Q8_0, BF16.",)
    assert pick_artifact("hf:o/r", "m-Q8_0.gguf", "m-IQ4_XS.gguf", "m-Q2_K.gguf").ref == "hf:o/r:IQ4_XS"


def test_a_lone_gguf_needs_no_quant_in_its_name():
    picked = pick_files("hf:o/r", "model.gguf", "README.md")
    assert (picked.artifact.ref, picked.artifact.name, picked.notes) == ("hf:o/r/model.gguf", "model.gguf", ())


def test_an_unknown_quant_comes_with_the_available_ones():
    with pytest.raises(NotFound, match="has no Q5_K_M") as raised:
        pick_files("hf:o/r:Q5_K_M", *GGUFS)
    assert raised.value.hint == "It has: Q4_K_M, Q8_0, BF16."
    with pytest.raises(NotFound) as raised:
        pick_files("hf:o/r:Q5_K_M", *MLX)
    assert "no GGUF files" in (raised.value.hint or "")


def test_the_short_name_of_a_dynamic_quant_is_enough():
    assert pick_artifact("hf:o/r:Q4_K_XL", *SPLIT).ref == "hf:o/r:UD-Q4_K_XL"


@pytest.mark.parametrize(
    ("quant", "path"),
    [
        ("Q4_K", "m-Q4_K_M.gguf"),
        ("Q4_K_M", "m-Q4_K_S.gguf"),
        ("Q4_K_M", "m-UD-Q4_K_M.gguf"),
        ("UD-Q4_K_XL", "m-Q4_K_XL.gguf"),
        ("IQ4", "m-IQ4_KSS.gguf"),
        ("IQ4_KS", "m-IQ4_KSS.gguf"),
        ("F16", "m-BF16.gguf"),
        ("F16", "m-MXFP4_MOE_F16.gguf"),
        ("MXFP4", "m-MXFP4_MOE.gguf"),
        ("TQ1_0", "m-TQ2_0.gguf"),
        ("Q8_0", "m.Q8_0.gguf.part1of2"),
    ],
)
def test_a_label_means_that_quant_alone(quant, path):
    with pytest.raises(NotFound):
        pick_files(f"hf:o/r:{quant}", path, "other-Q2_K.gguf")


@pytest.mark.parametrize("word", ["m-Q8_0.gguf", "M-Q8_0.GGUF", "Q8_0-00001-of-00002", "m-Q8_0-00001-of-00002.gguf"])
def test_a_files_name_behind_the_colon_means_its_model(word):
    split = ("m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf")
    paths = split if "of-00002.gguf" in word else ("m-Q8_0.gguf",)
    assert pick_artifact(f"hf:o/r:{word}", *paths, "m-Q4_K_M.gguf").ref == "hf:o/r:Q8_0"


def test_latest_is_the_preferred_quant():
    assert pick_artifact("hf:o/r:latest", *GGUFS).ref == "hf:o/r:Q4_K_M"


def test_the_note_on_a_split_model_counts_its_parts():
    assert pick_files("hf:o/r:UD-Q4_K_XL", *SPLIT).notes == ("UD-Q4_K_XL is in 3 parts.",)
    with pytest.raises(NotFound) as raised:
        pick_files("hf:o/r:Q2_K", *SPLIT, *GGUFS)
    assert raised.value.hint == "It has: Q4_K_M, UD-Q4_K_XL (in 3 parts), Q8_0, BF16."


CUT = ("m.Q6_K.gguf.part2of2", "m.Q6_K.gguf.part1of2")


def test_a_file_in_pieces_is_never_a_quant_but_can_be_picked_as_a_whole():
    with pytest.raises(NotFound, match="Q6_K only in 2 pieces that must be joined") as raised:
        pick_files("hf:o/r:Q6_K", *CUT, "m.Q2_K.gguf")
    assert "hf:o/r/m.Q6_K.gguf.part1of2" in (raised.value.hint or "")
    picked = pick_files("hf:o/r/m.Q6_K.gguf.part1of2", *CUT, "m.Q2_K.gguf")
    assert [file.path for file in picked.artifact.files] == ["m.Q6_K.gguf.part1of2", "m.Q6_K.gguf.part2of2"]
    assert "Join them" in picked.notes[0]


def test_the_parts_of_a_split_model_are_in_one_folder():
    artifact = pick_artifact("hf:o/r:UD-Q4_K_XL", *GGUFS, *SPLIT)
    assert (artifact.name, artifact.folder) == ("r-UD-Q4_K_XL", True)
    assert [file.path for file in artifact.files] == [f"m-UD-Q4_K_XL-0000{n}-of-00003.gguf" for n in (1, 2, 3)]


def test_a_model_with_a_missing_part_is_reported_and_not_preferred():
    with pytest.raises(NotFound, match="only 2 of the 3 parts of UD-Q4_K_XL"):
        pick_files("hf:o/r:UD-Q4_K_XL", *SPLIT[:2])
    parts = ("m-Q4_K_M-00001-of-00002.gguf", "m-Q2_K.gguf")
    assert pick_artifact("hf:o/r", *parts).ref == "hf:o/r:Q2_K"


def test_a_part_named_by_its_path_brings_the_others():
    picked = pick_files(f"hf:o/r/{SPLIT[0]}", *SPLIT, *GGUFS)
    assert len(picked.artifact.files) == 3
    assert "all of them are taken" in picked.notes[0]


def test_two_models_of_one_quant_are_named_by_path():
    with pytest.raises(UsageInvalid, match="2 models of o/r are Q4_K_M") as raised:
        pick_files("hf:o/r:Q4_K_M", "a-Q4_K_M.gguf", "b/b-Q4_K_M.gguf")
    assert raised.value.hint == "Name one: hf:o/r/a-Q4_K_M.gguf, hf:o/r/b/b-Q4_K_M.gguf."
    assert picked_paths("hf:o/r/b/b-Q4_K_M.gguf", "a-Q4_K_M.gguf", "b/b-Q4_K_M.gguf") == ["b/b-Q4_K_M.gguf"]


# Companions ----------------------------------------------------------------------------------------------------------


def test_a_companion_is_suggested_and_never_picked_as_the_model():
    picked = pick_files("hf:o/r", "mmproj-m-BF16.gguf", "mmproj-m-F16.gguf", "m-Q4_K_M.gguf", "imatrix.gguf")
    assert picked.artifact.name == "m-Q4_K_M.gguf"
    assert picked.notes == (
        "It has a companion for images or sound: add --include mmproj-m-F16.gguf to download that too.",
    )


def test_a_requested_companion_is_in_one_folder_with_its_model():
    picked = pick_files("hf:o/r:Q4_K_M,include=mmproj*F16*", "x/mmproj-F16.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf")
    assert [file.path for file in picked.artifact.files] == ["m-Q4_K_M.gguf", "mmproj-F16.gguf"]
    assert (picked.artifact.name, picked.artifact.folder, picked.notes) == ("r-Q4_K_M", True, ())
    assert picked.artifact.ref == "hf:o/r:Q4_K_M,include=mmproj*F16*"
    assert picked.artifact.hub.include == ("mmproj*F16*",)


# A whole model -------------------------------------------------------------------------------------------------------


def test_a_model_in_a_folder_is_its_settings_its_tokenizer_and_its_weights():
    duplicates = ("pytorch_model.bin", "model.onnx", "onnx/config.json", "flax_model.msgpack", "original/params.json")
    artifact = pick_artifact("hf:o/r", *MLX, *duplicates, ".gitattributes")
    assert [file.path for file in artifact.files] == list(MLX[:5])
    assert (artifact.ref, artifact.name, artifact.folder, artifact.format) == (
        "hf:o/r",
        "r",
        True,
        HubFormat.SAFETENSORS,
    )
    assert artifact.files[0].git_sha1 == "cd" * 20


@pytest.mark.parametrize(
    ("ref", "about"), [("hf:mlx-community/r", {}), ("hf:o/r", {"tags": ("mlx",)}), ("hf:o/r", {"library": "mlx"})]
)
def test_an_mlx_model_is_recognized_by_its_owner_its_tags_or_its_library(ref, about):
    assert pick_artifact(ref, *MLX, **about).format is HubFormat.MLX


def test_weights_that_are_present_twice_are_picked_once():
    assert "consolidated.safetensors" not in picked_paths("hf:o/r", *MLX, "consolidated.safetensors")
    assert "consolidated.safetensors" in picked_paths("hf:o/r", "consolidated.safetensors", "params.json")


def test_globs_add_and_remove_files_and_make_another_reference():
    artifact = pick_artifact(
        "hf:o/r,include=README.md,include=onnx/,exclude=*.TXT", *MLX, "onnx/a.onnx", "onnx/b/c.onnx"
    )
    paths = [file.path for file in artifact.files]
    assert {"README.md", "onnx/a.onnx", "onnx/b/c.onnx"} <= set(paths)
    assert "merges.txt" not in paths
    assert artifact.ref == "hf:o/r,include=README.md,include=onnx/,exclude=*.TXT"


def test_globs_choose_the_only_files_of_a_data_set():
    picked = pick_files("hf:datasets/o/r,include=*.parquet", "README.md", "a.parquet", "b.csv", kind=RepoKind.DATASET)
    assert [file.path for file in picked.artifact.files] == ["a.parquet"]


def test_a_repository_of_both_formats_gives_its_folder_when_ggufs_are_excluded():
    assert pick_artifact("hf:o/r,exclude=*.gguf", *GGUFS, *MLX).format is HubFormat.SAFETENSORS


def test_a_glob_that_matches_nothing_is_an_error():
    with pytest.raises(NotFound, match="matches --include 'x\\*'"):
        pick_files("hf:o/r,include=x*", *MLX)
    with pytest.raises(NotFound):
        pick_files("hf:o/r,exclude=*", *MLX)


def test_a_repository_of_other_files_is_a_folder_of_all_that_is_not_hidden():
    picked = pick_files("hf:o/r", "unet/model.onnx", "README.md", ".gitattributes", "a/.cache/x")
    assert [file.path for file in picked.artifact.files] == ["unet/model.onnx", "README.md"]
    assert (picked.artifact.format, picked.artifact.folder, picked.artifact.name) == (None, True, "r")
    assert picked.notes == ("It holds neither GGUF nor safetensors files: all its 2 files are taken.",)


def test_a_data_set_is_a_folder_of_all_its_files_whatever_they_are():
    artifact = pick_artifact(
        "hf:datasets/o/r", "config.json", "data/a.safetensors", "m-Q4_K_M.gguf", kind=RepoKind.DATASET
    )
    assert [file.path for file in artifact.files] == ["config.json", "data/a.safetensors", "m-Q4_K_M.gguf"]
    assert (artifact.ref, artifact.format, artifact.hub.kind) == ("hf:datasets/o/r", None, RepoKind.DATASET)
    assert artifact.files[0].url == f"https://huggingface.co/datasets/o/r/resolve/{COMMIT}/config.json"
    single = pick_artifact("hf:datasets/o/r/data/a.parquet", "data/a.parquet", "b", kind=RepoKind.DATASET)
    assert (single.name, single.folder, single.format) == ("a.parquet", False, None)


@pytest.mark.parametrize("paths", [(), (".gitattributes",)])
def test_a_repository_without_files_is_an_error(paths):
    with pytest.raises(NotFound, match=r"is empty|holds no files"):
        pick_files("hf:o/r", *paths)


# A path --------------------------------------------------------------------------------------------------------------


def test_a_path_is_one_file_or_a_folder():
    assert pick_artifact("hf:o/r/config.json", *MLX).name == "config.json"
    artifact = pick_artifact("hf:o/r/4bit", "4bit/config.json", "4bit/a/model.safetensors", "8bit/model.safetensors")
    assert (artifact.name, [file.path for file in artifact.files]) == ("r-4bit", ["config.json", "a/model.safetensors"])
    assert pick_artifact("hf:o/r/UD-Q4_K_XL", *SPLIT, *GGUFS).ref == "hf:o/r/UD-Q4_K_XL"


def test_a_path_that_is_not_there_comes_with_the_nearest():
    with pytest.raises(NotFound) as raised:
        pick_files("hf:o/r/confg.json", *MLX)
    assert raised.value.hint == "Did you mean config.json?"


def test_the_address_of_a_file_is_percent_encoded():
    assert picked_paths("hf:o/r/a%20b%231.json", "a b#1.json") == ["a%20b%231.json"]


# Names that may not be used ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        ("hf:o/r", "../x.safetensors"),
        ("hf:o/r", "/etc/x.json"),
        ("hf:o/r", "con.json"),
        ("hf:o/r", "a\u202eb.json"),
        ("hf:o/r,include=*.bin", "a:b.bin"),
        ("hf:o/r/4bit", "4bit/../x.json"),
        ("hf:o/r/.gitattributes", ".gitattributes"),
    ],
)
def test_a_wanted_file_with_a_dangerous_name_refuses_the_repository_by_that_name(ref, path):
    with pytest.raises(SourceRefused) as raised:
        pick_files(ref, *MLX, "4bit/model.safetensors", "x.bin", path)
    assert ascii(path)[1:-1] in raised.value.message
    assert raised.value.exit_status == 5


def test_a_dangerous_name_among_parts_of_the_quant_is_refused():
    with pytest.raises(SourceRefused):
        pick_files("hf:o/r:Q4_K_M", *GGUFS, "../m-Q4_K_M.gguf")
    picked = pick_files("hf:o/r:Q8_0", *GGUFS, "../m-Q4_K_M.gguf", "../README.md")
    assert picked.notes == ("Left out, as their names may not be used: 2 ('../m-Q4_K_M.gguf').",)


def test_the_error_of_a_quant_under_an_unusable_name_names_the_file():
    with pytest.raises(NotFound) as raised:
        pick_files("hf:o/r:Q4_K_M", "what?-Q4_K_M.gguf")
    assert "Left out, as their names may not be used: 1 ('what?-Q4_K_M.gguf')." in (raised.value.hint or "")


def test_a_name_that_cannot_be_used_matters_only_where_its_file_is_wanted():
    unusable_name = "My Model #1 (v+2) 100%?.txt"
    assert pick_artifact("hf:o/r", *MLX, unusable_name).folder
    assert pick_artifact("hf:o/r:Q8_0", *GGUFS, unusable_name, "x?-Q4_K_M.gguf").name == "m-Q8_0.gguf"
    assert pick_artifact("hf:o/r/sub", "sub/m-Q8_0.gguf", f"sub/{unusable_name}").name == "m-Q8_0.gguf"
    with pytest.raises(SourceRefused):
        pick_files(f"hf:o/r/{quote(unusable_name)}", *MLX, unusable_name)
    with pytest.raises(SourceRefused):
        pick_files("hf:o/r", "a.onnx", unusable_name)


def test_names_that_differ_only_in_case_are_refused():
    with pytest.raises(SourceRefused, match=r"'config.json' and 'Config.json'.* differ only in case") as raised:
        pick_files("hf:o/r", *MLX, "Config.json")
    assert "--exclude" in raised.value.hint


def test_a_repository_with_the_name_of_a_device_gets_another_folder_name():
    assert pick_artifact("hf:o/con", *MLX).name == f"o-con-{COMMIT[:12]}"


# Notes and listings --------------------------------------------------------------------------------------------------


def test_the_note_on_a_gated_repository_says_so():
    assert "accept its terms at https://huggingface.co/o/r" in pick_files("hf:o/r", *MLX, gated=True).notes[0]


def test_all_variants_of_a_repository_are_listed_the_preferred_first():
    names = (*GGUFS, *SPLIT, "a-Q2_K.gguf", "b-Q2_K.gguf", "m-Q3_K_M-00001-of-00002.gguf")
    parsed_ref = parse_hub_ref("hf:o/r")
    assert parsed_ref is not None
    variants, notes = variants_of(RepoInfo("o/r", COMMIT), files(*names), parsed_ref)
    assert [variant.ref for variant in variants] == [
        "hf:o/r:Q4_K_M",
        "hf:o/r:UD-Q4_K_XL",
        "hf:o/r:Q8_0",
        "hf:o/r/a-Q2_K.gguf",
        "hf:o/r/b-Q2_K.gguf",
        "hf:o/r:BF16",
    ]
    assert notes == ()
    assert variants_of(RepoInfo("o/r", COMMIT), files(".x"), parsed_ref)[1]
