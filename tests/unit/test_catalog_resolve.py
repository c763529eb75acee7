"""References resolve to a model and an option, or to the artifact of an address; errors suggest the nearest names."""

import json
from typing import Any

import pytest

from flowhub_jobs.catalogs.resolve import (
    ModelRef,
    artifact_for,
    artifact_for_url,
    find_model,
    is_address,
    parse_reference,
    resolve_option,
)
from flowhub_jobs.catalogs.schema import HubCatalog, parse_catalog
from flowhub_jobs.catalogs.suggest import nearest
from flowhub_jobs.errors import AddressRefused, CatalogMalformed, NotFound, UsageInvalid
from flowhub_jobs.values.artifacts import ArtifactFile
from flowhub_jobs.values.enums import HubFormat


def entry(model: str, name: str, *options: str) -> dict[str, Any]:
    downloads = [{"id": o, "format": "gguf", "url": f"https://h.example/{model}-{o}.gguf"} for o in options]
    return {"id": model, "name": name, "downloads": downloads}


@pytest.fixture
def catalog() -> HubCatalog:
    models = [
        entry("qwen3-8b", "Qwen3 8B", "q4_k_m", "q8_0"),
        entry("qwen3-14b", "Qwen3 14B", "q4_k_m"),
        entry("all-minilm-l6-v2", "all-MiniLM-L6-v2", "safetensors"),
        entry("llama-3-2-1b-instruct", "Llama 3.2 1B Instruct", "q4_k_m"),
    ]
    raw = json.dumps({"apiVersion": "v1", "models": models}).encode()
    return parse_catalog(raw, where="test", error=CatalogMalformed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("qwen3-8b", ModelRef("qwen3-8b", None)),
        ("qwen3-8b@q4_k_m", ModelRef("qwen3-8b", "q4_k_m")),
        ("qwen3-8b:q4_k_m", ModelRef("qwen3-8b", "q4_k_m")),
        (" Qwen3-8B:Q4_K_M ", ModelRef("qwen3-8b", "q4_k_m")),
    ],
)
def test_a_reference_is_a_model_and_maybe_an_option(text: str, expected: ModelRef) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize("text", ["", " ", "@q4", "qwen3-8b@", "a@b@c", "a b", "../x", "/x", "a/b", "-x", "x@../y"])
def test_a_malformed_reference_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageInvalid):
        parse_reference(text)


@pytest.mark.parametrize(
    "text", ["ftp://h/x.gguf", "file:///etc/passwd", "file:/etc/passwd", "file:x", "s3://b/x", "FTP:\\\\h", "data:x"]
)
def test_other_schemes_are_refused(text: str) -> None:
    with pytest.raises(AddressRefused):
        is_address(text)
    with pytest.raises(AddressRefused):
        parse_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        "hf:owner/repo",
        "hf:owner/repo@main:Q4_K_M",
        "hf.co/owner/repo",
        "https://hf.co/owner/repo",
        "https://huggingface.co/owner/repo/tree/main",
        "https://huggingface.co/owner/repo/blob/main/x.gguf",
    ],
)
def test_a_repository_of_the_hub_is_neither_a_model_of_the_catalog_nor_an_address(text: str) -> None:
    with pytest.raises(UsageInvalid, match="is a repository of the Hub"):
        is_address(text)


def test_the_url_of_a_hubs_file_is_an_address() -> None:
    assert is_address("https://huggingface.co/o/r/resolve/main/x.gguf")
    assert is_address("http://127.0.0.1:8000/x.gguf")
    assert not is_address("qwen3-8b:q4_k_m")


def test_the_named_option_is_taken_else_the_first(catalog: HubCatalog) -> None:
    model = find_model(catalog, "qwen3-8b")
    assert resolve_option(model).id == "q4_k_m"
    assert resolve_option(model, "q8_0").id == "q8_0"
    assert artifact_for(catalog, "qwen3-8b").ref == "qwen3-8b@q4_k_m"
    assert artifact_for(catalog, "qwen3-8b:q8_0").name == "qwen3-8b-q8_0.gguf"


@pytest.mark.parametrize(
    ("typo", "suggested"),
    [
        ("qwen3-8", "qwen3-8b"),
        ("qwen", "qwen3-14b"),
        ("minilm", "all-minilm-l6-v2"),
        ("llama3.2-1b-instruct", "llama-3-2-1b-instruct"),
    ],
)
def test_an_unknown_model_comes_with_the_nearest(catalog: HubCatalog, typo: str, suggested: str) -> None:
    with pytest.raises(NotFound) as raised:
        find_model(catalog, typo)
    assert typo in raised.value.message
    assert suggested in (raised.value.hint or "")


@pytest.mark.parametrize("pasted", ["a" * 3000, "a b" * 1000, "a/" * 40 + "b" * 3000])
def test_an_error_repeats_the_beginning_of_what_was_pasted(catalog: HubCatalog, pasted: str) -> None:
    with pytest.raises((NotFound, UsageInvalid)) as raised:
        artifact_for(catalog, pasted)
    assert pasted[:20] in raised.value.message
    assert len(raised.value.message + (raised.value.hint or "")) < 700


def test_a_reference_as_ollama_writes_it_comes_with_the_models_that_have_both_words(catalog: HubCatalog) -> None:
    with pytest.raises(NotFound) as raised:
        artifact_for(catalog, "llama3.2:1b")
    assert (raised.value.hint or "").startswith("Did you mean llama-3-2-1b-instruct?")


@pytest.mark.parametrize("ref", ["ms:o/r", "MS:o/r:Q4_K_M", "modelscope://o/r", "ollama:llama3.2", "oci:ghcr.io/o/m:1"])
def test_the_refusal_of_a_source_says_that_it_is_not_supported_yet(ref: str) -> None:
    with pytest.raises(AddressRefused, match=r"does not support .* yet") as raised:
        parse_reference(ref)
    assert raised.value.exit_status == 2


@pytest.mark.parametrize("ref", ["magnet:?xt=urn:btih:ab", "s3:b/x.gguf", "gs://b/x", "sftp:h/x", "ipfs://x"])
def test_the_refusal_of_another_address_names_its_scheme(ref: str) -> None:
    with pytest.raises(AddressRefused, match=f"uses the scheme {ref.partition(':')[0]}"):
        parse_reference(ref)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("https:/h.example/m.gguf", "'https:/h.example/m.gguf' lacks a slash"),
        ("qwen3-8b@", "'qwen3-8b@' is not a reference"),
        ("@q4_k_m", "'@q4_k_m' is not a reference"),
    ],
)
def test_the_error_of_a_malformed_reference_quotes_it_and_names_the_mistake(ref: str, message: str) -> None:
    with pytest.raises(UsageInvalid, match=message):
        parse_reference(ref)


def test_an_unknown_model_like_no_other_still_has_a_hint(catalog: HubCatalog) -> None:
    with pytest.raises(NotFound) as raised:
        artifact_for(catalog, "zzzzzzzz")
    assert raised.value.hint


def test_an_unknown_option_comes_with_all_options(catalog: HubCatalog) -> None:
    with pytest.raises(NotFound) as raised:
        artifact_for(catalog, "qwen3-8b@q4_k_s")
    assert raised.value.hint == "Its options: q4_k_m, q8_0. Did you mean q4_k_m?"


def test_at_most_five_names_are_suggested_and_each_once() -> None:
    names = {f"qwen-{n}": f"Qwen {n}" for n in range(40)}
    suggestions = nearest("qwen-1", names)
    assert suggestions[0] == "qwen-1"
    assert len(suggestions) == len(set(suggestions)) == 5


def test_an_address_becomes_an_artifact_of_one_file() -> None:
    url = "https://h.example/a/My%20Model.GGUF?download=true"
    artifact = artifact_for_url(url, "AB" * 32)
    assert (artifact.model, artifact.option, artifact.folder, artifact.format) == (None, None, False, HubFormat.GGUF)
    assert (artifact.name, artifact.ref) == ("My Model.GGUF", "https://h.example/a/My%20Model.GGUF")
    assert (artifact.files[0].url, artifact.files[0].sha256, artifact.files[0].size) == (url, "ab" * 32, None)


@pytest.mark.parametrize(
    ("fragment", "pin"),
    [
        ("", None),
        ("readme", None),
        ("md5=" + "ab" * 16, None),
        ("sha256sums", None),
        ("sha256=" + "AB" * 32, "ab" * 32),
        ("SHA-256:" + "ab" * 32, "ab" * 32),
        ("sha256%3D" + "ab" * 32, "ab" * 32),
        ("egg=m&sha256=" + "ab" * 32, "ab" * 32),
    ],
)
def test_a_fragment_is_dropped_from_an_address_and_its_sha256_is_the_pin(fragment, pin) -> None:
    url = "https://h.example/m.gguf?x=1"
    assert artifact_for_url(f"{url}#{fragment}", None).files[0] == ArtifactFile("m.gguf", url, sha256=pin)


@pytest.mark.parametrize("sha256", [None, "ab" * 32])
def test_a_fragment_with_a_damaged_sha256_is_a_usage_error(sha256) -> None:
    with pytest.raises(UsageInvalid, match="not 64 hex digits"):
        artifact_for_url("https://h.example/m.gguf#sha256=abc", sha256)


def test_a_sha256_that_contradicts_the_fragments_is_a_usage_error() -> None:
    url = f"https://h.example/m.gguf#sha256={'ab' * 32}"
    assert artifact_for_url(url, "AB" * 32).files[0].sha256 == "ab" * 32
    with pytest.raises(UsageInvalid, match=f"{'cd' * 32}.*{'ab' * 32}"):
        artifact_for_url(url, "cd" * 32)


def test_the_format_of_an_address_is_unknown_without_a_known_suffix() -> None:
    assert artifact_for_url("https://h.example/weights.bin", None).format is None
    assert artifact_for_url("https://h.example/gguf", None).format is None
    assert artifact_for_url("https://h.example/x.safetensors", None).format is HubFormat.SAFETENSORS


def test_plain_http_to_elsewhere_needs_a_digest() -> None:
    with pytest.raises(AddressRefused):
        artifact_for_url("http://h.example/x.gguf", None)
    assert artifact_for_url("http://h.example/x.gguf", "ab" * 32).name == "x.gguf"
    assert artifact_for_url("http://127.0.0.1:1/x.gguf", None).name == "x.gguf"


@pytest.mark.parametrize("url", ["https://h.example/", "https://h.example/%2e%2e", "https://h.example/a%2Fb"])
def test_an_address_that_ends_in_no_file_name_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageInvalid, match="no usable file name"):
        artifact_for_url(url, None)


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64])
def test_a_malformed_digest_is_a_usage_error(digest: str) -> None:
    with pytest.raises(UsageInvalid, match="not 64 hex digits"):
        artifact_for_url("https://h.example/x.gguf", digest)
