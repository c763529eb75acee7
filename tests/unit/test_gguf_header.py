"""A GGUF's header, written by the format's own library, is read from its first bytes; a hostile header is refused."""

import struct

import gguf
import pytest
from support.gguf_files import WORDS, GgufFile, llama_8b

from flowhub_jobs.formats.gguf import read_gguf
from flowhub_jobs.formats.gguf_cursor import MAX_HEADER
from flowhub_jobs.formats.gguf_version import MAX_KEYS
from flowhub_jobs.formats.metadata import HeaderUnreadable, ModelMetadata, NeedMore
from flowhub_jobs.formats.read_metadata import read_metadata

LLAMA = ModelMetadata(
    architecture="llama",
    context_length=131_072,
    layers=32,
    heads=32,
    kv_heads=32 * 8,
    embedding_length=4096,
    key_length=128,
    value_length=128,
    quantization="Q4_K_M",
)


@pytest.fixture
def new_file(tmp_path):
    return lambda kind="llama", **more: GgufFile(tmp_path / "m.gguf", kind, **more)


def test_the_metadata_of_a_real_file_is_read(new_file):
    assert read_metadata(llama_8b(new_file())) == LLAMA


def test_the_first_kilobyte_is_enough_where_the_vocabulary_comes_last(new_file):
    raw = llama_8b(new_file()).read_bytes()
    assert len(raw) > 400_000
    assert read_gguf(raw[:1024]) == LLAMA


def test_every_prefix_of_a_file_asks_for_more_bytes_or_has_all_metadata(new_file):
    raw = llama_8b(new_file(words=["a", "b"])).read_bytes()
    outcomes = [outcome(raw[:count]) for count in range(len(raw))]
    enough = [count for count, result in enumerate(outcomes) if isinstance(result, ModelMetadata)]
    assert {outcomes[count] for count in enough} == {LLAMA}
    assert enough == list(range(enough[0], len(raw)))  # every longer prefix is enough, too
    assert all(count < needed.bytes_wanted <= enough[0] for count, needed in enumerate(outcomes[: enough[0]]))


def outcome(raw):
    try:
        return read_gguf(raw)
    except NeedMore as needed:
        return needed


def test_keys_behind_the_vocabulary_are_reached_where_they_are_needed(tmp_path):
    writer = GgufFile(tmp_path / "late.gguf")
    writer.writer.add_token_list(WORDS)
    raw = llama_8b(writer).read_bytes()
    with pytest.raises(NeedMore):
        read_gguf(raw[:4096])
    assert read_gguf(raw) == LLAMA
    assert read_metadata(writer.path) == LLAMA


def test_a_file_of_the_other_byte_order_is_read(new_file):
    assert read_metadata(llama_8b(new_file(endian=gguf.GGUFEndian.BIG))) == LLAMA


def test_version_2_is_laid_out_alike_and_version_1_counts_in_32_bits(new_file):
    raw = bytearray(llama_8b(new_file()).read_bytes())
    raw[4:8] = struct.pack("<I", 2)
    assert read_gguf(bytes(raw)) == LLAMA
    first = b"GGUF" + struct.pack("<III", 1, 0, 2) + pair_1("general.architecture", 8, text_1("llama"))
    metadata = read_gguf(first + pair_1("llama.block_count", 4, struct.pack("<I", 32)))
    assert (metadata.architecture, metadata.layers) == ("llama", 32)


def test_an_unknown_version_is_refused_by_its_number():
    with pytest.raises(HeaderUnreadable, match="version 99"):
        read_gguf(b"GGUF" + struct.pack("<IQQ", 99, 0, 0))


def text_1(value):
    return struct.pack("<I", len(value)) + value.encode()


def pair_1(key, kind, raw):
    return text_1(key) + struct.pack("<I", kind) + raw


def test_heads_that_differ_by_layer_are_summed(new_file):
    metadata = read_metadata(new_file("lfm2").with_values(block_count=4, head_count_kv=[0, 8, 0, 8]).write())
    assert (metadata.layers, metadata.kv_heads) == (4, 16)


def test_without_a_count_of_its_own_each_head_has_keys_and_values(new_file):
    assert read_metadata(new_file().with_values().write()).kv_heads == 32 * 32


def test_lengths_in_the_file_come_before_derived_ones(new_file):
    metadata = read_metadata(new_file("qwen3").with_values(head_count_kv=8, key_length=192, value_length=64).write())
    assert (metadata.key_length, metadata.value_length) == (192, 64)


def test_an_encoder_has_no_cache(new_file):
    assert read_metadata(new_file("bert").with_values(causal_attention=False).write()).kv_heads == 0


@pytest.mark.parametrize(
    ("kind", "pattern", "windowed"),
    [("gemma3", None, 20), ("gemma2", None, 12), ("phi3", None, None), ("olmo2", 4, 18), ("x", [True, False] * 12, 12)],
)
def test_windowed_layers_come_from_the_file_or_its_architecture(new_file, kind, pattern, windowed):
    file = new_file(kind).with_values(block_count=24, head_count_kv=4, sliding_window=1024)
    if isinstance(pattern, list):
        file.writer.add_array(f"{kind}.attention.sliding_window_pattern", pattern)
    elif pattern:
        file.writer.add_uint32(f"{kind}.attention.sliding_window_pattern", pattern)
    metadata = read_metadata(file.write())
    assert (metadata.sliding_window, metadata.windowed_layers) == (1024, windowed)


def test_only_every_fourth_layer_of_this_hybrid_keeps_keys_and_values(new_file):
    file = new_file("qwen3next").with_values(block_count=48, head_count_kv=2)
    file.writer.add_uint32("qwen3next.full_attention_interval", 4)
    assert read_metadata(file.write()).kv_heads == 12 * 2


def test_a_part_of_a_split_model_has_the_number_of_parts(new_file):
    file = new_file().with_values(head_count_kv=8)
    file.writer.add_uint16("split.count", 3)
    assert read_metadata(file.write()).parts == 3


def test_a_projector_an_adapter_and_a_vocabulary_alone_are_read(new_file):
    projector = new_file("clip")
    projector.writer.add_bool("clip.has_vision_encoder", True)
    assert read_metadata(projector.write()).architecture == "clip"
    adapter = new_file("llama")
    adapter.writer.add_type("adapter")
    adapter.writer.add_array("adapter.tags", ["a", "b"])
    metadata = read_metadata(adapter.write())
    assert (metadata.architecture, metadata.layers, metadata.kv_heads) == ("llama", None, None)
    vocabulary = header(pair("general.architecture", 8, text("llama")), pair("tokenizer.ggml.model", 8, text("gpt2")))
    assert read_gguf(vocabulary).architecture == "llama"


def test_arrays_of_arrays_are_skipped():
    nested = struct.pack("<IQ", 9, 2) + (struct.pack("<IQ", 4, 2) + bytes(8)) * 2
    metadata = read_gguf(header(pair("x", 9, nested), pair("general.architecture", 8, text("llama"))))
    assert metadata.architecture == "llama"


def test_figures_of_a_wrong_kind_or_beyond_reason_are_unknown(new_file):
    file = new_file().with_values(block_count=None, head_count_kv=None)
    file.writer.add_string("llama.block_count", "many")
    file.writer.add_uint64("llama.attention.key_length", 2**63)
    metadata = read_metadata(file.write())
    assert (metadata.layers, metadata.kv_heads, metadata.heads, metadata.key_length) == (None, None, 32, 128)


# Headers written by hand, as no library writes them -------------------------------------------------------------------


def header(*pairs, count=None):
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs) if count is None else count) + b"".join(pairs)


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def pair(key, kind, raw):
    return text(key) + struct.pack("<I", kind) + raw


NESTED = b"".join(struct.pack("<IQ", 9, 1) for _ in range(200_000))
HOSTILE = {
    "no GGUF": (b"<!DOCTYPE html><html>", "does not begin with GGUF"),
    "too many keys": (header(count=MAX_KEYS + 1), "keys"),
    "a key of a gigabyte": (header(struct.pack("<Q", 2**30), count=1), "a key claims"),
    "a key of 2^64 bytes": (header(struct.pack("<Q", 2**64 - 1), count=1), "a key claims"),
    "a text of 2^63 bytes": (header(pair("x", 8, struct.pack("<Q", 2**63))), "longer than"),
    "an architecture of a megabyte": (header(pair("general.architecture", 8, text("a" * 2**20))), "claims to be"),
    "an unknown type": (header(pair("x", 77, b"")), "unknown type 77"),
    "an unknown type of a key that is read": (header(pair("split.count", 77, b"")), "unknown type 77"),
    "an array of an unknown type": (header(pair("x", 9, struct.pack("<IQ", 13, 5) + bytes(64))), "unknown type 13"),
    "an array of 2^64 numbers": (header(pair("x", 9, struct.pack("<IQ", 4, 2**64 - 1))), "longer than"),
    "an array of 2^64 texts": (header(pair("x", 9, struct.pack("<IQ", 8, 2**64 - 1))), "an array of"),
    "heads of 2^64 layers": (header(pair("a.attention.head_count_kv", 9, struct.pack("<IQ", 4, 2**60))), "longer than"),
    "arrays in arrays": (header(pair("x", 9, NESTED)), "nested"),
}


@pytest.mark.parametrize(("raw", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_refused_with_a_plain_reason(raw, why):
    with pytest.raises(HeaderUnreadable, match=why):
        read_gguf(raw)


def test_a_file_that_ends_inside_its_header_is_refused(tmp_path):
    (tmp_path / "cut.gguf").write_bytes(header(count=5))
    with pytest.raises(HeaderUnreadable, match="ends inside its own header"):
        read_metadata(tmp_path / "cut.gguf")


def test_a_header_that_claims_to_be_endless_is_refused(tmp_path):
    endless = tmp_path / "endless.gguf"
    with endless.open("wb") as file:  # sparse: it takes no disk
        file.write(header(pair("x", 8, struct.pack("<Q", MAX_HEADER - 50)), count=2))
        file.truncate(MAX_HEADER * 2)
    with pytest.raises(HeaderUnreadable, match="longer than 64 MiB"):
        read_metadata(endless)


def test_a_header_without_keys_has_no_metadata():
    assert read_gguf(header()) == ModelMetadata()
