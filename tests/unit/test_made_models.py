"""The small model files and catalogs that the tests use are well formed."""

import hashlib
import json

from support.models import folder_model, gguf, gguf_pattern, mlx_folder, one_file_model, safetensors, write_catalog


def test_a_generated_gguf_starts_with_the_magic_of_a_gguf():
    file = gguf(10_000, seed=2)
    assert (len(file), file[:8]) == (10_000, b"GGUF\x03\0\0\0")
    assert gguf_pattern(10_000, seed=2).read() == file != gguf(10_000, seed=3)


def test_a_generated_safetensors_has_one_tensor_that_spans_the_rest():
    file = safetensors(10_000)
    length = int.from_bytes(file[:8], "little")
    assert json.loads(file[8 : 8 + length])["weight"]["data_offsets"] == [0, 10_000 - 8 - length]


def test_a_generated_catalog_has_the_contracts_shape(tmp_path):
    single = one_file_model("tiny", "http://127.0.0.1/m.gguf", gguf())
    folder = folder_model("tiny", {path: (f"http://127.0.0.1/{path}", data) for path, data in mlx_folder().items()})
    written = json.loads(write_catalog(tmp_path / "c.json", single, folder).read_text())
    (model,) = written["models"]
    assert (written["apiVersion"], model["id"]) == ("v1", "tiny")
    assert [option["id"] for option in model["downloads"]] == ["q4", "mlx-4bit"]
    assert model["downloads"][0]["sha256"] == hashlib.sha256(gguf()).hexdigest()
    assert [file["path"] for file in model["downloads"][1]["files"]] == sorted(mlx_folder())
