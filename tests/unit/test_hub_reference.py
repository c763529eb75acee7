"""References to repositories of the Hub, typed or pasted: each has one meaning; an error shows how to write one."""

from dataclasses import replace

import pytest

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.huggingface.reference_parser import hub_file_url, parse_hub_ref
from flowhub_jobs.huggingface.reference_value import HubRef, other_readings
from flowhub_jobs.values.enums import RepoKind

PR = "refs/pr/1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:o/r", HubRef("o/r")),
        ("HF:o/r", HubRef("o/r")),
        ("hf:gpt2", HubRef("gpt2")),
        ("hf:gpt2@v1", HubRef("gpt2", "v1")),
        ("hf:gpt2:Q4_K_M", HubRef("gpt2", quant="Q4_K_M")),
        ("hf:o/r:Q4_K_M", HubRef("o/r", quant="Q4_K_M")),
        ("hf:o/r@v1.0", HubRef("o/r", "v1.0")),
        ("hf:o/r@refs%2Fpr%2F1:Q8_0", HubRef("o/r", PR, quant="Q8_0")),
        ("hf:o/r/sub/m.gguf", HubRef("o/r", path="sub/m.gguf")),
        ("hf:o/r@v1/sub/m.gguf", HubRef("o/r", "v1", path="sub/m.gguf")),
        ("hf:o/r/a%20b.gguf", HubRef("o/r", path="a b.gguf")),
        ("hf:o/r/folder/", HubRef("o/r", path="folder")),
        ("hf://o/r/m.gguf", HubRef("o/r", path="m.gguf")),
        ("huggingface://o/r/sub/m.gguf", HubRef("o/r", path="sub/m.gguf")),
        ("hf:o/r:Q4_0,include=mmproj*,exclude=*.txt", HubRef("o/r", "main", "Q4_0", None, ("mmproj*",), ("*.txt",))),
        ("hf.co/o/r", HubRef("o/r")),
        ("hf.co/o/r:Q4_K_M", HubRef("o/r", quant="Q4_K_M")),
        ("huggingface.co/o/r", HubRef("o/r")),
        ("www.huggingface.co/o/r", HubRef("o/r")),
        ("https://hf.co/o/r", HubRef("o/r")),
        ("https://huggingface.co/gpt2", HubRef("gpt2")),
        ("https://huggingface.co/o/r?not-for-all-audiences=true#usage", HubRef("o/r")),
        ("https://huggingface.co/o/r/", HubRef("o/r")),
        ("https://huggingface.co/o/r/tree/main", HubRef("o/r")),
        ("https://huggingface.co/gpt2/tree/main", HubRef("gpt2")),
        ("https://huggingface.co/o/r/tree/v2/UD-Q4_K_XL", HubRef("o/r", "v2", path="UD-Q4_K_XL")),
        ("https://huggingface.co/o/r/tree/refs%2Fpr%2F1", HubRef("o/r", PR)),
        ("https://huggingface.co/o/r/tree/main?show_file_info=m-Q4_K_M.gguf", HubRef("o/r", path="m-Q4_K_M.gguf")),
        ("https://huggingface.co/o/r/blob/main/a%20b/m.gguf?x=1#L3", HubRef("o/r", path="a b/m.gguf")),
        ("https://huggingface.co/o/r/raw/main/config.json", HubRef("o/r", path="config.json")),
        ("https://huggingface.co/o/r/commit/" + "a" * 40, HubRef("o/r", "a" * 40)),
        ("huggingface.co/o/r/resolve/main/m.gguf", HubRef("o/r", path="m.gguf")),
        ("  hf:o/r  ", HubRef("o/r")),
    ],
)
def test_a_reference_to_a_repository_is_read(text, expected):
    assert parse_hub_ref(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "qwen3-8b",
        "qwen3-8b:q4_k_m",
        "https://huggingface.co/o/r/resolve/main/m.gguf",
        "https://huggingface.co/o/r/resolve/main/m.gguf?download=true",
        "https://example.org/o/r/tree/main",
        "https://huggingface.co.example.org/o/r",
        "https://user:pw@huggingface.co/o/r",
        "http://huggingface.co:8080/o/r",
        "hfo/r",
        "",
    ],
)
def test_another_text_is_no_reference_to_a_repository(text):
    assert parse_hub_ref(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "hf:",
        "hf:/r",
        "hf:o/",
        "hf:o//r",
        "hf:../r",
        "hf:o/..",
        "hf:o/r@",
        "hf:o/r:",
        "hf:o/r@..",
        "hf:o/r@a%2F..%2Fb",
        "hf:o/r/../x",
        "hf:o/r/%2e%2e/x",
        "hf:o/r/a//b",
        "hf:o/r/a%00b",
        "hf:o/r@a%0Ab",
        "hf:o/r/a%5Cb",
        "hf:-o/r",
        "hf:o/r--x",
        "hf:o/r x",
        "hf.co/",
        "https://huggingface.co/models?search=qwen",
        "https://huggingface.co/api/models/o/r",
        "https://huggingface.co/o/r/tree/main/../..",
    ],
)
def test_a_bad_reference_is_refused_with_an_example(text):
    with pytest.raises(UsageInvalid) as raised:
        parse_hub_ref(text)
    assert "hf:owner/repo" in (raised.value.hint or "")


DATASET = HubRef("o/r", kind=RepoKind.DATASET)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:o/r@refs/pr/1:Q8_0", HubRef("o/r", PR, quant="Q8_0")),
        ("hf://o/r@refs/pr/1/sub/m.gguf", HubRef("o/r", PR, path="sub/m.gguf")),
        ("hf:o/r@refs/convert/parquet", HubRef("o/r", "refs/convert/parquet")),
        ("hf:o/r@feature/x:Q8_0", HubRef("o/r", "feature/x", quant="Q8_0")),
        ("hf://models/o/r", HubRef("o/r")),
        ("hf:models/o/r@v1/a.bin", HubRef("o/r", "v1", path="a.bin")),
        ("hf:o/r/", HubRef("o/r")),
        ("hf:o/r:Q8_0/", HubRef("o/r", quant="Q8_0")),
        ("https://huggingface.co/o/r/tree/refs/pr/1/sub", HubRef("o/r", PR, path="sub")),
        ("https://huggingface.co/o/r/tree/refs%2Fpr%2F1/sub/", HubRef("o/r", PR, path="sub")),
        ("https://huggingface.co/o/r/blob/refs/convert/gguf/m.gguf", HubRef("o/r", "refs/convert/gguf", path="m.gguf")),
        ("https://huggingface.co/o/r/tree/fix%231", HubRef("o/r", "fix#1")),
        ("https://huggingface.co/o/r?show_file_info=sub%2Fm.gguf", HubRef("o/r", path="sub/m.gguf")),
        ("https://huggingface.co/o/r/commits/main", HubRef("o/r")),
        ("https://huggingface.co/o/r/commits/v1/m.gguf", HubRef("o/r", "v1", path="m.gguf")),
        ("https://huggingface.co/o/r/edit/main/README.md", HubRef("o/r")),
        ("https://huggingface.co/o/r/blame/v1/config.json#L3", HubRef("o/r", "v1", path="config.json")),
        ("https://huggingface.co/o/r/upload/main", HubRef("o/r")),
        ("https://www.hf.co/o/r/discussions", HubRef("o/r")),
        ("https://huggingface.co/o/r/discussions/3#66f0", HubRef("o/r")),
        ("https://huggingface.co/o/r/discussions/3/files", HubRef("o/r", "refs/pr/3")),
        ("hf:datasets/o/r", DATASET),
        ("hf://datasets/o/r@v1/d/a.parquet", replace(DATASET, revision="v1", path="d/a.parquet")),
        ("hf:datasets/squad", HubRef("squad", kind=RepoKind.DATASET)),
        ("https://huggingface.co/datasets/o/r", DATASET),
        ("https://huggingface.co/datasets/o/r/viewer/default/train?p=2", DATASET),
        ("hf.co/datasets/o/r/blob/main/d/a.parquet", replace(DATASET, path="d/a.parquet")),
    ],
)
def test_every_link_that_the_hubs_pages_have_and_every_form_of_a_revision_is_read(text, expected):
    assert parse_hub_ref(text) == expected


@pytest.mark.parametrize("end", [",", ".", ";", ")", ").", "'", ".git", ".git,", "/"])
@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://huggingface.co/o/r", HubRef("o/r")),
        ("hf.co/o/r.v1", HubRef("o/r.v1")),
        ("https://huggingface.co/datasets/o/r", DATASET),
        ("https://huggingface.co/gpt2", HubRef("gpt2")),
    ],
)
def test_characters_copied_along_with_a_link_to_a_repository_are_left_out(link, end, expected):
    assert parse_hub_ref(link + end) == expected


def test_punctuation_behind_a_link_is_left_out_of_quants_and_branches_but_not_of_file_names():
    assert parse_hub_ref("hf.co/o/r:Q8_0,") == HubRef("o/r", quant="Q8_0")
    assert parse_hub_ref("https://huggingface.co/o/r/tree/main).") == HubRef("o/r")
    assert parse_hub_ref("https://huggingface.co/o/r/blob/main/a.bin,") == HubRef("o/r", path="a.bin,")
    assert parse_hub_ref("https://huggingface.co/o/r/blob/main/a.git") == HubRef("o/r", path="a.git")
    assert parse_hub_ref("hf.co/o/r/notes.") == HubRef("o/r", path="notes.")
    assert parse_hub_ref("hf.co/o/r,include=*.git") == HubRef("o/r", include=("*.git",))


@pytest.mark.parametrize(
    ("text", "kind"),
    [("hf.co/spaces/o/r", "Spaces"), ("hf://buckets/o/b/x.bin", "buckets"), ("hf:kernels/o/r", "kernels")],
)
def test_a_repository_of_another_kind_is_refused_with_its_kind(text, kind):
    with pytest.raises(UsageInvalid, match=kind):
        parse_hub_ref(text)


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/o/r/resolve/main/a%20b.gguf?download=true",
        "https://hf.co/o/r/resolve/refs/pr/1/m.gguf",
        "https://huggingface.co/datasets/o/r/resolve/main/d/a.parquet",
        "https://huggingface.co/buckets/o/b/resolve/a.bin",
        "https://huggingface.co/spaces/o/r/resolve/main/a.bin",
    ],
)
def test_the_url_of_a_file_on_the_hub_is_no_reference_to_a_repository(url):
    assert parse_hub_ref(url) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hf.co/o/r/resolve/main/m.gguf?x=1", "https://huggingface.co/o/r/resolve/main/m.gguf?x=1"),
        ("http://www.huggingface.co/o/r/resolve/main/m.gguf", "https://huggingface.co/o/r/resolve/main/m.gguf"),
        (
            "https://huggingface.co/o/r/resolve/refs/pr/1/d/m.gguf",
            "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/d/m.gguf",
        ),
        ("https://hf.company.example/m.gguf", "https://hf.company.example/m.gguf"),
    ],
)
def test_the_url_of_a_file_is_written_as_the_hub_itself_does(url, expected):
    assert hub_file_url(url) == expected


def test_slashes_behind_a_revision_may_belong_to_its_name():
    ref = parse_hub_ref("hf:o/r@feature/x/m.gguf")
    assert ref is not None
    readings = [(reading.revision, reading.path) for reading in other_readings(ref)]
    assert readings == [("feature/x", "m.gguf"), ("feature/x/m.gguf", None)]
    for plain in ("hf:o/r/a/b", "hf:o/r@refs/pr/1/a", f"hf:o/r@{'a' * 40}/a/b"):
        assert list(other_readings(parse_hub_ref(plain))) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:5/o/r", HubRef("o/r")),
        ("http://127.0.0.1:5/o/r/tree/main", HubRef("o/r")),
        ("http://127.0.0.1:5/o/r/blob/v1/m.gguf", HubRef("o/r", "v1", path="m.gguf")),
        ("http://127.0.0.1:5/o/r/resolve/main/m.gguf", None),
        ("http://127.0.0.1:5/m.gguf", None),
        ("http://127.0.0.1:5/a/b/m.gguf", None),
        ("http://127.0.0.1:6/o/r", None),
        ("http://127.0.0.1:5", None),
    ],
)
def test_a_link_to_another_endpoint_of_the_hub_is_read(text, expected):
    assert parse_hub_ref(text, "http://127.0.0.1:5") == expected


def test_an_endpoint_below_a_path_is_removed_from_a_link():
    assert parse_hub_ref("https://mirror.example/hub/o/r/tree/main", "https://mirror.example/hub/") == HubRef("o/r")
    assert parse_hub_ref("https://mirror.example/other/o/tree/main", "https://mirror.example/hub/") is None


@pytest.mark.parametrize(
    "ref",
    [
        HubRef("gpt2"),
        HubRef("o/r", "refs/pr/1", quant="UD-Q4_K_XL"),
        HubRef("o/r", "v1@2:3"),
        HubRef("o/r", path="a b/c%20d/e#f?.gguf"),
        HubRef("o/r", path="x,y/ü.gguf"),
        HubRef("o/r", quant="Q4_0", include=("mmproj*", "a,b.json"), exclude=("*.txt",)),
        HubRef("o/r", "feature/x", path="d/a.parquet", kind=RepoKind.DATASET),
    ],
)
def test_the_text_of_a_reference_is_read_back(ref):
    assert parse_hub_ref(ref.text) == ref


def test_the_main_branch_is_not_written():
    assert HubRef("o/r", quant="Q4_K_M").text == "hf:o/r:Q4_K_M"
    assert parse_hub_ref("hf:o/r@main").text == "hf:o/r"


def test_a_secret_in_a_link_is_not_repeated():
    with pytest.raises(UsageInvalid) as raised:
        parse_hub_ref("https://huggingface.co/spaces/o/r?token=hf_abcdefghijklmnopqrst")
    assert "hf_abc" not in raised.value.message
