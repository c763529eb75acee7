"""A reference to a repository of the Hub, typed or pasted, means one thing; what is none says how to write one."""

import pytest

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.repos.reference import HubRef, parse_hub

PR = "refs/pr/1"


@pytest.mark.parametrize(
    ("text", "meant"),
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
def test_a_reference_to_a_repository_is_read(text, meant):
    assert parse_hub(text) == meant


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
def test_what_is_no_reference_to_a_repository_is_left_to_others(text):
    assert parse_hub(text) is None


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
    with pytest.raises(UsageInvalid) as caught:
        parse_hub(text)
    assert "hf:owner/repo" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("https://huggingface.co/datasets/o/r", "data sets"),
        ("hf:datasets/o/r", "data sets"),
        ("hf.co/spaces/o/r", "Spaces"),
    ],
)
def test_what_is_no_model_is_refused_by_its_kind(text, kind):
    with pytest.raises(UsageInvalid, match=kind):
        parse_hub(text)


@pytest.mark.parametrize(
    ("text", "meant"),
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
def test_a_link_at_what_stands_in_for_the_hub_counts_too(text, meant):
    assert parse_hub(text, "http://127.0.0.1:5") == meant


def test_an_endpoint_below_a_path_is_taken_off_a_link():
    assert parse_hub("https://mirror.example/hub/o/r/tree/main", "https://mirror.example/hub/") == HubRef("o/r")
    assert parse_hub("https://mirror.example/other/o/tree/main", "https://mirror.example/hub/") is None


@pytest.mark.parametrize(
    "ref",
    [
        HubRef("gpt2"),
        HubRef("o/r", "refs/pr/1", quant="UD-Q4_K_XL"),
        HubRef("o/r", "v1@2:3"),
        HubRef("o/r", path="a b/c%20d/e#f?.gguf"),
        HubRef("o/r", path="x,y/ü.gguf"),
        HubRef("o/r", quant="Q4_0", include=("mmproj*", "a,b.json"), exclude=("*.txt",)),
    ],
)
def test_what_is_written_is_read_back(ref):
    assert parse_hub(ref.text) == ref


def test_the_main_branch_is_not_written():
    assert HubRef("o/r", quant="Q4_K_M").text == "hf:o/r:Q4_K_M"
    assert parse_hub("hf:o/r@main").text == "hf:o/r"


def test_a_secret_in_a_link_is_not_repeated():
    with pytest.raises(UsageInvalid) as caught:
        parse_hub("https://huggingface.co/datasets/o/r?token=hf_abcdefghijklmnopqrst")
    assert "hf_abc" not in caught.value.message
