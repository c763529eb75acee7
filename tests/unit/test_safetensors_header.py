"""The safetensors header and config.json: the real ones of all-MiniLM-L6-v2, and hostile ones."""

import json
import struct
from pathlib import Path

import pytest

from flowhub_jobs.formats.metadata import HeaderUnreadable, ModelMetadata, NeedMore
from flowhub_jobs.formats.read_metadata import read_metadata
from flowhub_jobs.formats.safetensors import read_safetensors
from flowhub_jobs.formats.transformers_config import read_config

DATA = Path(__file__).parents[1] / "data"
HEAD = (DATA / "all-MiniLM-L6-v2.safetensors.head").read_bytes()  # the first 11,416 bytes of 90,868,376
CONFIG = (DATA / "all-MiniLM-L6-v2.config.json").read_bytes()


def test_the_real_header_has_parameters_bytes_and_type():
    metadata = read_safetensors(HEAD)
    # The model's card says 22.7M: 384 numbers for each of 30,522 words, 512 positions and 2 types, and 6 layers.
    assert (metadata.parameters, metadata.quantization) == (22_713_216, "F32")
    assert metadata.weights_bytes == 90_868_376 - len(HEAD) == 22_713_216 * 4 + 512 * 8


def test_a_part_of_the_header_asks_for_exactly_the_bytes_that_are_needed():
    for count, bytes_wanted in ((0, 8), (7, 8), (8, len(HEAD)), (len(HEAD) - 1, len(HEAD))):
        with pytest.raises(NeedMore) as raised:
            read_safetensors(HEAD[:count])
        assert raised.value.bytes_wanted == bytes_wanted


def test_the_real_folder_gives_the_values_of_both_files(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(HEAD)
    (tmp_path / "config.json").write_bytes(CONFIG)
    assert read_metadata(tmp_path) == ModelMetadata(
        architecture="bert",
        parameters=22_713_216,
        context_length=512,
        layers=6,
        heads=12,
        kv_heads=0,
        embedding_length=384,
        key_length=32,
        value_length=32,
        quantization="F32",
        weights_bytes=90_856_960,
    )


def head(tensors):
    raw = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return struct.pack("<Q", len(raw)) + raw


def tensor(dtype="BF16", shape=(4, 8), offsets=(0, 64)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_the_parts_of_a_split_model_are_summed(tmp_path):
    for part in ("model-00001-of-00002", "model-00002-of-00002"):
        (tmp_path / f"{part}.safetensors").write_bytes(head({"__metadata__": {"format": "pt"}, "w": tensor()}))
    metadata = read_metadata(tmp_path)
    assert (metadata.parameters, metadata.weights_bytes, metadata.parts, metadata.quantization) == (64, 128, 2, "BF16")


def test_a_value_that_one_file_of_a_folder_lacks_is_unknown_and_the_others_are_known(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xef\xbb\xbf" + CONFIG)
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(HEAD)
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(struct.pack("<Q", 2**60))
    metadata = read_metadata(tmp_path)
    assert (metadata.architecture, metadata.parts) == ("bert", 2)
    assert (metadata.parameters, metadata.weights_bytes) == (None, None)
    (tmp_path / "config.json").write_bytes(b"// not JSON")
    assert read_metadata(tmp_path).parts == 2
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"")
    with pytest.raises(HeaderUnreadable, match="none of its headers"):
        read_metadata(tmp_path)


@pytest.mark.parametrize(
    "dtype", ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "BF16", "F64", "C64", "BOOL", "I4"]
)
def test_every_type_keeps_its_name(dtype):
    metadata = read_safetensors(head({"__metadata__": {"format": "pt"}, "w": tensor(dtype)}))
    assert (metadata.weights_bytes, metadata.quantization) == (64, dtype)


def test_metadata_alone_has_no_weights():
    assert read_safetensors(head({"__metadata__": {"format": "mlx"}})).quantization is None


def test_the_number_of_parameters_in_packed_weights_is_unknown():
    packed = {"w": tensor("U32", (1024,), (0, 4096)), "scales": tensor("BF16", (64,), (4096, 4224))}
    metadata = read_safetensors(head(packed))
    assert (metadata.parameters, metadata.weights_bytes, metadata.quantization) == (None, 4224, "U32")


HOSTILE = {
    "a page": (b"<!DOCTYPE html><html><body>", "claims to be"),
    "2^64 bytes": (b"\xff" * 16, "claims to be"),
    "no bytes": (struct.pack("<Q", 0), "claims to be"),
    "no JSON": (head(b"not json at all"), "not JSON"),
    "not UTF-8": (head(b'{"\xff": 1}'), "not JSON"),
    "nested without end": (head(b"[" * 100_000), "not JSON"),
    "a number of 5,000 digits": (head(b'{"w": ' + b"9" * 5000 + b"}"), "not JSON"),
    "a list": (head([]), "not a JSON object"),
    "a tensor twice": (head(b'{"w": {}, "w": {}}'), "a key twice"),
    "a tensor that is a number": (head({"w": 1}), "not described"),
    "no type": (head({"w": tensor(dtype=None)}), "no type"),
    "no shape": (head({"w": tensor() | {"shape": "x"}}), "no shape"),
    "a negative shape": (head({"w": tensor(shape=(-1,))}), "no shape"),
    "true as a length": (head({"w": tensor(shape=(True,))}), "no shape"),
    "a shape of a thousand": (head({"w": tensor(shape=(1,) * 1000)}), "no shape"),
    "too many parameters": (head({"w": tensor(shape=(10**15,) * 3)}), "more than"),
    "an end before the start": (head({"w": tensor(offsets=(64, 0))}), "no place"),
    "one offset": (head({"w": tensor(offsets=(64,))}), "no place"),
}


@pytest.mark.parametrize(("raw", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_refused_with_a_plain_reason(raw, reason):
    with pytest.raises(HeaderUnreadable, match=reason):
        read_safetensors(raw)


# config.json ---------------------------------------------------------------------------------------------------------


def config(**values):
    usual = {"model_type": "llama", "num_hidden_layers": 24, "num_attention_heads": 32, "hidden_size": 4096}
    return read_config(json.dumps(usual | values).encode())


def test_a_usual_config_has_heads_and_lengths():
    metadata = config(num_key_value_heads=8, max_position_embeddings=8192, torch_dtype="bfloat16")
    assert (metadata.kv_heads, metadata.key_length, metadata.value_length) == (24 * 8, 128, 128)
    assert (metadata.context_length, metadata.quantization) == (8192, "BF16")
    assert config().kv_heads == 24 * 32
    assert config(head_dim=64).key_length == 64


def test_a_vision_model_has_its_language_model_in_text_config():
    inner = {"num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256}
    metadata = read_config(json.dumps({"model_type": "gemma3", "text_config": inner}).encode())
    assert (metadata.architecture, metadata.layers, metadata.kv_heads, metadata.key_length) == ("gemma3", 26, 104, 256)


@pytest.mark.parametrize(
    ("values", "window", "windowed"),
    [
        ({"sliding_window": 4096}, 4096, None),
        ({"sliding_window": 4096, "use_sliding_window": False}, None, None),
        ({"sliding_window": 512, "sliding_window_pattern": 6}, 512, 20),
        ({"sliding_window": 128, "model_type": "gpt_oss"}, 128, 12),
        ({"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention", "full_attention"]}, 64, 1),
        ({"sliding_window": None}, None, None),
    ],
)
def test_windows_come_from_the_file_or_the_architecture_or_are_left_out(values, window, windowed):
    metadata = config(**values)
    assert (metadata.sliding_window, metadata.windowed_layers) == (window, windowed)


def test_layers_without_a_kv_cache_are_not_counted():
    kinds = ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 6
    assert config(num_key_value_heads=2, layer_types=kinds).kv_heads == 6 * 2


def test_deepseeks_lengths_are_summed():
    metadata = config(qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128)
    assert (metadata.key_length, metadata.value_length) == (192, 128)


def test_packed_weights_are_named_by_their_bits():
    assert config(quantization={"group_size": 64, "bits": 4}).quantization == "4bit"
    assert config(quantization_config={"quant_method": "awq", "bits": 8}).quantization == "8bit"


def test_figures_of_a_wrong_type_are_unknown():
    metadata = config(num_hidden_layers="24", hidden_size=-1, num_attention_heads=None, max_position_embeddings=1e9)
    assert metadata == ModelMetadata(architecture="llama")
    assert config(num_attention_heads=0).key_length is None
    assert config(layer_types=[1, 2], quantization="4", torch_dtype=4).layers == 24


@pytest.mark.parametrize("raw", [b"", b"[]", b"<html>", b'{"a": 1, "a": 2}', b'{"a":' * 100_000])
def test_a_file_that_is_no_config_is_refused(raw):
    with pytest.raises(HeaderUnreadable):
        read_config(raw)
