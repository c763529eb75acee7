"""The shipped catalog: it is sound, and equal to what its builder makes from the table of facts."""

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from flowhub_jobs.catalogs.resolve import artifact_for
from flowhub_jobs.catalogs.schema import HubCatalog, parse_catalog
from flowhub_jobs.errors import CatalogMalformed
from flowhub_jobs.values.enums import HubFormat

TOP = Path(__file__).resolve().parents[2]
SHIPPED = TOP / "hub_catalog.json"
COMMIT_URL = re.compile(r"https://huggingface\.co/[^/]+/[^/]+/resolve/[0-9a-f]{40}/.+")

MINILM = {
    "1_Pooling/config.json": 190,
    "config.json": 612,
    "config_sentence_transformers.json": 116,
    "model.safetensors": 90868376,
    "modules.json": 349,
    "sentence_bert_config.json": 53,
    "special_tokens_map.json": 112,
    "tokenizer.json": 466247,
    "tokenizer_config.json": 350,
    "vocab.txt": 231508,
}


@pytest.fixture(scope="module")
def catalog() -> HubCatalog:
    return parse_catalog(SHIPPED.read_bytes(), where="shipped", error=CatalogMalformed)


def test_it_has_many_models_in_all_formats_and_several_variants(catalog: HubCatalog) -> None:
    assert len(catalog.models) >= 80
    formats = Counter(option.format for model in catalog.models for option in model.downloads)
    assert set(formats) == set(HubFormat)
    assert sum(len(model.downloads) > 1 for model in catalog.models) >= 20
    assert all(model.description and model.tags and model.hardware for model in catalog.models)


def test_every_file_has_a_size_and_nearly_every_one_a_digest(catalog: HubCatalog) -> None:
    files = [
        file for m in catalog.models for o in m.downloads for file in artifact_for(catalog, f"{m.id}@{o.id}").files
    ]
    assert all(file.size for file in files)
    assert all(file.sha256 for file in files if file.path.endswith((".gguf", ".safetensors")))


def test_addresses_are_pinned_to_a_commit_if_the_facts_have_one(catalog: HubCatalog) -> None:
    facts = (TOP / "scripts" / "lib" / "catalog" / "facts.csv").read_text()
    text = SHIPPED.read_text()
    urls = re.findall(r'"url": "([^"]+)"', text)
    commits = set(re.findall(r"\b[0-9a-f]{40}\b", facts))
    assert commits == {commit for commit in commits if f"/resolve/{commit}/" in text}
    assert sum(bool(COMMIT_URL.fullmatch(url)) for url in urls) > len(urls) / 2


def test_a_split_gguf_is_a_folder_of_all_its_parts(catalog: HubCatalog) -> None:
    artifact = artifact_for(catalog, "qwen3-coder-next")
    assert artifact.folder
    assert [file.path for file in artifact.files] == [
        f"Qwen3-Coder-Next-Q4_K_M-0000{n}-of-00004.gguf" for n in range(1, 5)
    ]


def test_a_vision_model_includes_its_projector(catalog: HubCatalog) -> None:
    artifact = artifact_for(catalog, "qwen3-vl-4b-instruct")
    assert artifact.folder
    assert any(file.path.startswith("mmproj") for file in artifact.files)


def test_one_model_offers_all_three_formats(catalog: HubCatalog) -> None:
    model = next(model for model in catalog.models if model.id == "qwen2-5-0-5b-instruct")
    assert model.downloads[0].id == "q4_k_m"
    assert {"q4_k_m", "mlx-4bit", "safetensors"} <= {option.id for option in model.downloads}


def test_the_demos_model_is_the_ten_published_files(catalog: HubCatalog) -> None:
    artifact = artifact_for(catalog, "all-minilm-l6-v2@safetensors")
    assert {file.path: file.size for file in artifact.files} == MINILM
    assert all(file.sha256 for file in artifact.files)
    assert all("/resolve/1110a243fdf4706b3f48f1d95db1a4f5529b4d41/" in file.url for file in artifact.files)


def test_mlx_alone_is_for_macos(catalog: HubCatalog) -> None:
    for model in catalog.models:
        only_mlx = all(option.format is HubFormat.MLX for option in model.downloads)
        assert model.hardware is not None
        assert (model.hardware.platforms == ("macos",)) == only_mlx


def test_released_versions_have_a_day_a_note_and_a_source(catalog: HubCatalog) -> None:
    released = {model.id: model.versions for model in catalog.models if model.versions}
    table = (TOP / "scripts" / "lib" / "catalog" / "releases.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert {row["model"] for row in rows} == set(released)
    assert len(released) >= 59
    assert all(row["source"].startswith("https://") for row in rows)
    for versions in released.values():
        assert all(version.notes and date.fromisoformat(version.released_at or "") for version in versions)


def test_no_unknown_value_is_written_as_zero_null_or_empty() -> None:
    def values(node: object) -> list[object]:
        if isinstance(node, dict):
            return [value for child in node.values() for value in values(child)]
        if isinstance(node, list):
            return [value for child in node for value in values(child)] or [None]
        return [node]

    assert not [value for value in values(json.loads(SHIPPED.read_text())) if value in (None, "", 0)]


def test_the_builder_makes_the_same_bytes_again(tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    command = [sys.executable, str(TOP / "scripts" / "build-catalog"), "--output", str(again)]
    subprocess.run(command, check=True, capture_output=True)
    assert again.read_bytes() == SHIPPED.read_bytes()
