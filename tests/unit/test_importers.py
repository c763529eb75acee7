"""Foreign catalogs are converted to flowhub's schema; refused entries are named and counted by reason."""

import json
from pathlib import Path

import pytest
from support.localai_index import gallery_index

from flowhub_jobs.catalogs.importers.detect import read_catalog
from flowhub_jobs.catalogs.importers.field_values import Ids
from flowhub_jobs.catalogs.schema import parse_catalog
from flowhub_jobs.errors import CatalogMalformed

DATA = Path(__file__).parents[1] / "data" / "catalogs"
HUB = "https://huggingface.co"


def import_sample(name):
    raw = (DATA / name).read_bytes()
    imported = read_catalog(raw, where=f"catalog {name}", error=CatalogMalformed)
    # All that was imported can be read back as a catalog of flowhub.
    body = json.dumps({"apiVersion": "v1", "models": imported.models}).encode()
    parse_catalog(body, where="the imported catalog", error=CatalogMalformed)
    return imported


def by_id(imported):
    return {model["id"]: model for model in imported.models}


@pytest.fixture(scope="module")
def lmstudio():
    return import_sample("lmstudio.json")


@pytest.fixture(scope="module")
def gpt4all():
    return import_sample("gpt4all.json")


@pytest.fixture(scope="module")
def localai():
    return import_sample("localai.yaml")


# LM Studio -----------------------------------------------------------------------------------------------------------


def test_an_lm_studio_model_keeps_its_files_with_their_sizes_digests_and_addresses(lmstudio):
    model = by_id(lmstudio)["zephyr-7b"]
    assert (lmstudio.format, lmstudio.refused) == ("lmstudio", {})
    assert (model["name"], model["publisher"], model["family"]) == ("Zephyr 7B β", "Hugging Face H4", "mistral")
    assert (model["parameters"], model["tags"], model["versions"]) == ("7B", ["chat"], [{"releasedAt": "2023-10-26"}])
    assert model["homepage"] == f"{HUB}/HuggingFaceH4/zephyr-7b-beta"
    assert "license" not in model
    assert "contextLength" not in model
    assert model["downloads"][0] == {
        "id": "q4_k_s",
        "format": "gguf",
        "quantization": "Q4_K_S",
        "filename": "zephyr-7b-beta.Q4_K_S.gguf",
        "url": f"{HUB}/TheBloke/zephyr-7B-beta-GGUF/resolve/main/zephyr-7b-beta.Q4_K_S.gguf",
        "sizeBytes": 4140373696,
        "sha256": "cafa0b85b2efc15ca33023f3b87f8d0c44ddcace16b3fb608280e0eb8f425cb1",
    }
    assert [option["id"] for option in model["downloads"]] == ["q4_k_s", "q6_k"]


def test_where_label_and_file_name_disagree_the_file_name_counts_and_is_remarked(lmstudio):
    [option] = by_id(lmstudio)["llama-3-8b-instruct"]["downloads"]
    assert (option["id"], option["quantization"]) == ("q4_k_m", "Q4_K_M")
    assert lmstudio.remarks == {"quantization taken from the file's name": ["Meta-Llama-3-8B-Instruct-Q4_K_M.gguf"]}


def test_a_label_in_small_letters_is_the_same_label(lmstudio):
    [option] = by_id(lmstudio)["hermes-2-pro-mistral-7b"]["downloads"]
    assert (option["id"], option["quantization"]) == ("q4_0", "Q4_0")


# GPT4All -------------------------------------------------------------------------------------------------------------


def test_an_md5_never_passes_as_a_sha256_and_the_entry_is_taken_unpinned(gpt4all):
    [option] = by_id(gpt4all)["reasoner-v1"]["downloads"]
    assert "sha256" not in option
    assert option["sizeBytes"] == 4431390720
    assert "a54c08a7b90e4029a8c2ab5b5dc936aa" not in json.dumps(gpt4all.models)
    assert "qwen2.5-coder-7b-instruct-q4_0.gguf" in gpt4all.remarks["unpinned: md5 only"]


def test_a_sha256_of_gpt4all_is_a_pin(gpt4all):
    [option] = by_id(gpt4all)["deepseek-r1-distill-qwen-1.5b"]["downloads"]
    assert option["sha256"] == "b3af887d0a015b39fab2395e4faf682c1a81a6a3fd09a43f0d4292f7d94bf4d0"
    assert option["filename"] not in gpt4all.remarks["unpinned: md5 only"]


def test_html_becomes_plain_text_and_gives_the_licence_and_the_tags(gpt4all):
    model = by_id(gpt4all)["reasoner-v1"]
    assert model["description"].startswith("Based on Qwen2.5-Coder 7B. Uses built-in javascript code interpreter. ")
    assert "<" not in model["description"]
    assert (model["license"], model["tags"]) == ("Apache License Version 2.0", ["reasoning"])
    assert (model["parameters"], model["family"]) == ("8B", "qwen2")


def test_ram_in_gb_becomes_gib(gpt4all):
    assert by_id(gpt4all)["reasoner-v1"]["hardware"] == {"minRamGb": 7.45}


def test_a_model_that_its_own_catalog_withdrew_is_not_offered(gpt4all):
    assert gpt4all.refused == {
        "withdrawn by its own catalog": ["MPT Chat (in version 2.7.3)", "SBert (in version 2.7.4)"]
    }
    assert by_id(gpt4all)["mpt-chat"]["downloads"][0]["filename"] == "mpt-7b-chat.gguf4.Q4_0.gguf"


def test_an_embedding_model_is_tagged_as_one(gpt4all):
    model = by_id(gpt4all)["nomic-embed-text-v1.5"]
    assert (model["tags"], model["parameters"], model["downloads"][0]["id"]) == (["embedding"], "137M", "f16")


# LocalAI -------------------------------------------------------------------------------------------------------------


def test_a_hub_address_of_localai_becomes_an_https_url(localai):
    model = by_id(localai)["phi-4"]
    assert model["downloads"] == [
        {
            "id": "q4_k_m",
            "format": "gguf",
            "quantization": "Q4_K_M",
            "filename": "phi-4-Q4_K_M.gguf",
            "url": f"{HUB}/bartowski/phi-4-GGUF/resolve/main/phi-4-Q4_K_M.gguf",
            "sha256": "009aba717c09d4a35890c7d35eb59d54e1dba884c7c526e7197d9c13ab5911d9",
        }
    ]
    assert (model["license"], model["publisher"], model["homepage"]) == ("mit", "microsoft", f"{HUB}/microsoft/phi-4")
    assert "contextLength" not in model  # LocalAI's setting for running it is not the model's limit


def test_a_merge_key_gives_an_entry_what_it_lacks(localai):
    model = by_id(localai)["localai-functioncall-phi-4-v0.3"]
    assert (model["license"], model["tags"]) == ("mit", ["llm", "gguf", "phi"])
    [option] = model["downloads"]
    assert option["filename"] == "localai-functioncall-phi-4-v0.3-q4_k_m.gguf"


def test_a_vision_model_is_offered_alone_and_as_a_folder_with_its_projector(localai):
    model = by_id(localai)["qwen3-vl-30b-a3b-instruct"]
    alone, both = model["downloads"]
    assert (model["name"], model["parameters"]) == ("qwen3-vl:30b/A3B Instruct", "30B")
    assert (alone["id"], alone["filename"]) == ("q4_k_m", "Qwen3-VL-30B-A3B-Instruct-Q4_K_M.gguf")
    assert alone["url"].endswith("/resolve/main/sub/Qwen3-VL-30B-A3B-Instruct-Q4_K_M.gguf")
    assert both["id"] == "q4_k_m-mmproj"
    assert [file["path"] for file in both["files"]] == [alone["filename"], "mmproj-F16.gguf"]
    assert "sha256" not in both["files"][1]
    assert localai.remarks == {"unpinned: no sha256": ["mmproj-F16.gguf", "vae.safetensors"]}


def test_the_parts_of_a_split_file_are_one_folder_in_their_order(localai):
    [option] = by_id(localai)["big-split"]["downloads"]
    assert (option["id"], option["quantization"]) == ("q2_k_xl", "Q2_K_XL")
    assert [file["path"] for file in option["files"]] == [f"big-UD-Q2_K_XL-0000{n}-of-00002.gguf" for n in (1, 2)]


def test_files_that_belong_together_are_one_folder_that_keeps_equal_names_apart(localai):
    [option] = by_id(localai)["flux-like"]["downloads"]
    paths = [file["path"] for file in option["files"]]
    assert paths == ["flux/flux1-dev-Q2_K.gguf", "flux/vae/config.json", "flux/text/config.json"]


def test_the_name_on_the_disk_is_the_catalogs_own_and_a_revision_is_kept(localai):
    [option] = by_id(localai)["vae-only"]["downloads"]
    assert (option["filename"], option["format"]) == ("vae.safetensors", "safetensors")
    assert option["url"] == f"{HUB}/o/wan/resolve/v1.0/split/vae-renamed.safetensors"


def test_refused_entries_are_named_by_reason(localai):
    assert {reason: [entry.partition(" ")[0] for entry in named] for reason, named in localai.refused.items()} == {
        "parts of a split file missing": ["half-split"],
        "not a GGUF or safetensors file": ["voice"],
        "configuration only, no files": ["template"],
        "unknown scheme": ["from-a-registry"],
        "no sha256 and plain http": ["plain-http"],
        "name would leave the store": ["climber"],
    }
    assert localai.entries == 12


def test_an_index_of_localais_size_is_imported_completely():
    imported = read_catalog(gallery_index(), where="the index", error=CatalogMalformed)
    assert (len(imported.models), imported.refused) == (1709, {})
    assert {model["license"] for model in imported.models} == {"apache-2.0"}  # those that merge it have it, too


# flowhub's own format ------------------------------------------------------------------------------------------------


def test_one_bad_entry_of_a_flowhub_catalog_does_not_exclude_the_others():
    good = {"id": "a", "name": "A", "junk": [1], "downloads": [{"id": "q", "format": "gguf", "url": f"{HUB}/a.gguf"}]}
    bad = {"id": "b", "name": "B", "downloads": [{"id": "q", "format": "gguf", "url": "ftp://h/b.gguf"}]}
    raw = json.dumps({"apiVersion": "v1", "models": [good, bad, good | {"id": "c"}]}).encode()
    imported = read_catalog(raw, where="c", error=CatalogMalformed)
    assert [model["id"] for model in imported.models] == ["a", "c"]
    assert "junk" not in imported.models[0]
    [refusal] = imported.refused["against the catalog's rules"]
    assert refusal.startswith("B (option")
    assert '"url"' in refusal


class CountedName(str):
    """A name that counts how often it is formatted together with a number."""

    count = 0

    def __format__(self, spec: str) -> str:
        CountedName.count += 1
        return str(self)


def test_equal_names_are_numbered_without_counting_again_from_one():
    ids = Ids(["x-3"])
    taken = [name for name in (ids.free(CountedName("x")) for _ in range(1000)) if ids.take(name) is None]
    assert taken[:4] == ["x", "x-2", "x-4", "x-5"]
    assert len(set(taken)) == 1000
    assert CountedName.count < 3000


def test_a_name_that_was_free_but_not_taken_stays_free():
    ids = Ids(["x"])
    assert [ids.free("x"), ids.free("x")] == ["x-2", "x-2"]
