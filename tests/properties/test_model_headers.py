"""Properties of the readers of model headers: any bytes end in ModelMetadata, NeedMore or HeaderUnreadable."""

import json
import struct

from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.formats.declared_size import declared_size
from flowhub_jobs.formats.gguf import read_gguf
from flowhub_jobs.formats.metadata import HeaderUnreadable, ModelMetadata, NeedMore
from flowhub_jobs.formats.safetensors import read_safetensors
from flowhub_jobs.formats.transformers_config import read_config

KEYS = ["general.architecture", "general.file_type", "a.block_count", "a.attention.head_count", "split.count"]
KEYS += ["a.attention.head_count_kv", "a.attention.sliding_window_pattern", "a.context_length", "tokenizer.ggml.tokens"]
NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 300)


def check_outcome(read, raw):
    result = outcome(read, raw)
    if isinstance(result, NeedMore):
        assert result.bytes_wanted > len(raw)
    elif isinstance(result, HeaderUnreadable):
        assert str(result)
    else:
        assert isinstance(result, ModelMetadata)
        assert result.kv_heads is None or result.kv_heads >= 0


def outcome(read, raw):
    try:
        return read(raw)
    except (HeaderUnreadable, NeedMore) as end:
        return end


def gguf_string(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


@st.composite
def values(draw, depth=0):
    kind = draw(st.integers(0, 13))
    if kind == 8:
        return kind, gguf_string(draw(st.text(max_size=5) | st.just("a")))
    if kind == 9 and depth < 6:
        inner, raw = draw(values(depth + 1))
        count = draw(st.integers(0, 5))
        return kind, struct.pack("<IQ", inner, draw(st.just(count) | NUMBERS)) + raw * count
    return kind, draw(st.binary(max_size=8))


@st.composite
def files(draw):
    pairs = draw(st.lists(st.tuples(st.sampled_from(KEYS) | st.text(max_size=8), values()), max_size=8))
    body = b"".join(gguf_string(key) + struct.pack("<I", kind) + raw for key, (kind, raw) in pairs)
    order = draw(st.sampled_from("<>"))
    count = draw(st.just(len(pairs)) | NUMBERS)
    return b"GGUF" + struct.pack(f"{order}IQQ", draw(st.integers(1, 4)), 0, count) + body + draw(st.binary(max_size=40))


@given(st.binary(max_size=300))
def test_any_bytes_have_an_outcome(raw):
    check_outcome(read_gguf, raw)
    check_outcome(read_gguf, b"GGUF\x03\0\0\0" + raw)
    check_outcome(read_safetensors, raw)
    check_outcome(read_safetensors, struct.pack("<Q", len(raw)) + raw)
    check_outcome(read_config, raw)


@given(files())
def test_a_nearly_valid_gguf_has_an_outcome(raw):
    check_outcome(read_gguf, raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(10**15),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
TENSOR = st.fixed_dictionaries(
    {
        "dtype": JSON | st.sampled_from(["F32", "U8"]),
        "shape": JSON | st.lists(st.integers(0, 9)),
        "data_offsets": JSON | st.lists(st.integers(0, 99), min_size=2, max_size=2),
    }
)
FIELDS = ["num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_size", "head_dim", "layer_types"]
FIELDS += ["sliding_window", "sliding_window_pattern", "quantization", "text_config", "model_type", "torch_dtype"]


@given(st.dictionaries(st.text(max_size=6) | st.just("__metadata__"), JSON | TENSOR, max_size=4))
def test_a_nearly_valid_safetensors_has_an_outcome(tensors):
    raw = json.dumps(tensors).encode()
    check_outcome(read_safetensors, struct.pack("<Q", len(raw)) + raw)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.integers(0, 64)))
def test_a_nearly_valid_config_has_an_outcome(fields):
    check_outcome(read_config, json.dumps(fields).encode())
    check_outcome(read_config, json.dumps({"text_config": fields}).encode())


# The declared size ---------------------------------------------------------------------------------------------------


@given(files() | st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_have_a_declared_size_or_none_and_more_of_them_never_have_a_smaller_one(raw, count):
    part, whole = declared_size(raw[:count]), declared_size(raw)
    assert part is None or part >= 0
    if part is not None and whole is not None:
        assert part <= whole


@given(
    st.lists(st.tuples(st.integers(0, 60), st.lists(st.integers(0, 2**40), max_size=5), NUMBERS), max_size=5),
    st.sampled_from("<>"),
    st.integers(1, 3),
)
def test_any_tensors_have_an_end_or_none(tensors, order, version):
    count_format = "I" if version == 1 else "Q"
    head = struct.pack(f"{order}I{count_format}{count_format}", version, len(tensors), 0)
    body = b"".join(
        struct.pack(f"{order}{count_format}", 1) + b"t" + struct.pack(f"{order}I", len(lengths))
        + b"".join(struct.pack(f"{order}{count_format}", length % 2**32) for length in lengths)
        + struct.pack(f"{order}IQ", kind, offset)
        for kind, lengths, offset in tensors
    )  # fmt: skip
    size = declared_size(b"GGUF" + head + body)
    assert size is None or size >= len(head) + 4
