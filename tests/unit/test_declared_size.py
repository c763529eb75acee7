"""The least size of a complete model file, as its header declares it."""

import json
import struct

import gguf
import numpy as np
import pytest
from support.gguf_files import GgufFile, llama_8b

from flowhub_jobs.formats.declared_size import declared_size, declared_size_by, declared_size_of
from flowhub_jobs.formats.gguf_cursor import MAX_HEADER
from flowhub_jobs.formats.gguf_tensors import BLOCKS, DEFAULT_ALIGNMENT


@pytest.mark.parametrize("endian", [gguf.GGUFEndian.LITTLE, gguf.GGUFEndian.BIG])
@pytest.mark.parametrize("alignment", [None, 8, 64, 4096])
def test_a_whole_gguf_reaches_its_declared_size_to_within_its_last_padding(tmp_path, endian, alignment):
    file = GgufFile(tmp_path / "m.gguf", endian=endian)
    if alignment:
        file.writer.add_custom_alignment(alignment)
    file.writer.add_tensor("output.weight", np.zeros((3, 5), dtype=np.float16))
    size = llama_8b(file).stat().st_size
    assert size - (alignment or DEFAULT_ALIGNMENT) < declared_size_of(file.path) <= size


def test_every_prefix_of_a_gguf_declares_more_than_it_has_and_never_too_much(tmp_path):
    raw = llama_8b(GgufFile(tmp_path / "m.gguf", words=["a", "b"])).read_bytes()
    full_size = declared_size(raw)
    sizes = [declared_size(raw[:count]) for count in range(4, full_size)]
    assert all(count < size <= full_size for count, size in enumerate(sizes, start=4))
    assert sizes == sorted(sizes)


def test_the_blocks_of_each_type_are_those_of_the_formats_own_library():
    library_sizes = {int(kind): block for kind, block in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: library_sizes[kind] for kind in BLOCKS if kind != 9} == {
        kind: BLOCKS[kind] for kind in BLOCKS if kind != 9
    }


def test_an_unknown_type_counts_from_where_its_tensor_begins():
    known_type = header(tensor("a", [64], 0, 0), tensor("b", [64, 2], 2, 256))
    unknown_type = header(tensor("a", [64], 0, 0), tensor("b", [64, 2], 166, 256))
    assert declared_size(known_type) - declared_size(unknown_type) == 2 * 64 // 32 * 18
    assert declared_size(unknown_type) == declared_size(header(tensor("a", [64], 0, 0), tensor("b", [0, 2], 2, 256)))


def test_without_tensors_the_header_is_the_file():
    assert declared_size(header()) == len(header())  # a vocabulary alone, or the first part of a split model


def test_version_1_is_read():
    raw = b"GGUF" + struct.pack("<III", 1, 1, 0) + struct.pack("<I", 1) + b"a" + struct.pack("<IIIQ", 1, 8, 0, 0)
    assert declared_size(raw) == 64 + 8 * 4


def test_an_impossible_alignment_is_ignored():
    raw = header(tensor("a", [8], 0, 0), keys=[text("general.alignment") + struct.pack("<II", 4, 0)])
    assert declared_size(raw) == len(raw) + 32


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GG",
        b"<!DOCTYPE html>" + bytes(200),
        b'{"a": "a text, as JSON"}',
        b"GGUF" + struct.pack("<IQQ", 99, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0) + bytes(64),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 2**63) + bytes(64),
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 10) + b"  {}      ",
    ],
)
def test_a_malformed_header_declares_no_size(raw):
    assert declared_size(raw) is None


def test_tensor_sizes_that_overflow_declare_no_size():
    assert declared_size(header(tensor("a", [2**62, 2**62], 0, 0))) is None
    assert declared_size(header(tensor("a", [1], 0, 2**63))) is None


def test_a_vocabulary_of_a_million_words_is_read(tmp_path):
    words = b"".join(struct.pack("<Q", 8) + b"%08d" % number for number in range(1_000_000))
    vocabulary = text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 1_000_000) + words
    path = tmp_path / "m.gguf"
    path.write_bytes(header(tensor("a", [8], 0, 0), keys=[vocabulary]))
    assert declared_size_of(path) > path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(64))
    assert declared_size_of(path) <= path.stat().st_size


# safetensors ----------------------------------------------------------------------------------------------------------


def safetensors(tensors, data=b"", pad=0):
    head = json.dumps(tensors).encode() + b" " * pad
    return struct.pack("<Q", len(head)) + head + data


def tensor_entry(start, end, dtype="F32"):
    return {"dtype": dtype, "shape": [1], "data_offsets": [start, end]}


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F8_E4M3", "F4", "C64", "a type of tomorrow"])
def test_a_safetensors_ends_with_its_furthest_tensor_whatever_their_types(dtype):
    raw = safetensors(
        {"__metadata__": {"format": "pt"}, "b": tensor_entry(40, 96, dtype), "a": tensor_entry(0, 32)}, bytes(96), pad=7
    )
    assert declared_size(raw) == len(raw)  # with a hole, and not in order
    assert declared_size(raw[:200]) == len(raw)
    assert declared_size(raw + bytes(4096)) == len(raw)


def test_a_safetensors_header_that_is_cut_gives_its_own_length():
    raw = safetensors({f"t{number}": tensor_entry(0, 8) for number in range(100)}, bytes(8))
    assert declared_size(raw[:60]) == len(raw) - 8
    assert declared_size(raw[:9]) == len(raw) - 8
    assert declared_size(raw[:3]) is None


def test_tensor_names_that_look_like_offsets_are_not_read_as_offsets():
    raw = safetensors(
        {'"data_offsets":[0,999]': tensor_entry(0, 8), "__metadata__": {"data_offsets": "[0, 999]"}}, bytes(8)
    )
    assert declared_size(raw) == len(raw)


def test_metadata_alone_is_a_whole_safetensors():
    assert declared_size(safetensors({"__metadata__": {"format": "pt"}})) == len(
        safetensors({"__metadata__": {"format": "pt"}})
    )


def test_a_file_is_read_as_far_as_its_header_goes_and_no_further():
    raw = safetensors({f"t{number}": tensor_entry(0, 8) for number in range(20_000)}, bytes(8))
    requested = []

    def read(count):
        requested.append(count)
        return raw[:count]

    assert declared_size_by(read, first=1024) == len(raw)
    assert len(requested) == 2
    assert declared_size_by(lambda count: raw[: min(count, 5000)]) == len(raw) - 8  # it ends there


def test_an_endless_gguf_header_declares_no_size(tmp_path):
    endless = tmp_path / "endless.gguf"
    with endless.open("wb") as file:  # sparse: it takes no disk
        file.write(header(keys=[text("x") + struct.pack("<IQ", 8, MAX_HEADER)]))
        file.truncate(MAX_HEADER * 2)
    assert declared_size_of(endless) is None


# Headers written by hand --------------------------------------------------------------------------------------------


def header(*tensors, keys=()):
    return b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + b"".join(tensors)


def tensor(name, dimensions, kind, offset):
    lengths = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return text(name) + lengths + struct.pack("<IQ", kind, offset)


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()
