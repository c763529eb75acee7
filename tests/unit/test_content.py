"""The check of a file's first bytes against the format that its name promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import gguf, mlx_folder, safetensors

from flowhub_jobs.errors import WrongContent
from flowhub_jobs.transfer.first_bytes_check import HEAD_BYTES, Proof, check_first_bytes

PAGE = b"<!DOCTYPE html>\n<html>"


def test_real_files_pass():
    check_first_bytes("m.gguf", gguf()[:HEAD_BYTES])
    check_first_bytes("m.GGUF", b"FUGG" + bytes(12))  # big-endian
    check_first_bytes("a/m.safetensors", safetensors()[:HEAD_BYTES])
    for path, content in mlx_folder().items():
        check_first_bytes(path, content[:HEAD_BYTES])


@pytest.mark.parametrize("path", ["m.gguf", "sub/m.safetensors", "config.json", "M.GGUF"])
@pytest.mark.parametrize("head", [PAGE, b"  \n<html>"])
def test_a_web_page_is_refused_for_every_known_format(path, head):
    with pytest.raises(WrongContent, match="a web page") as raised:
        check_first_bytes(path, head[:HEAD_BYTES])
    assert raised.value.message.startswith(f"{path}: expected {path.lower().rsplit('.', 1)[1]}")
    assert raised.value.retryable
    assert not raised.value.transient, "it is retried ten times, not for a day"


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("m.gguf", b""),
        ("m.gguf", b"GGU"),
        ("m.gguf", b"GGML" + bytes(12)),
        ("m.safetensors", b"GGUF" + bytes(12)),
        ("m.safetensors", bytes(16)),
        ("m.safetensors", (1).to_bytes(8, "little") + b"{}"),
        ("m.safetensors", (100_000_001).to_bytes(8, "little") + b'{"a"'),
        ("m.safetensors", (120).to_bytes(8, "little") + b"["),
        ("m.safetensors", (120).to_bytes(8, "little")),
        ("c.json", b"\x00\x01"),
        ("c.json", b"Not found"),
    ],
)
def test_content_of_another_format_is_refused_with_its_beginning(path, head):
    with pytest.raises(WrongContent, match=r"something else|an empty file"):
        check_first_bytes(path, head)


@pytest.mark.parametrize("head", [b"", b"  ", b"{}", b"[1]", b'"x"', b"-1", b"null", b"true", b"\xef\xbb\xbf {}"])
def test_any_beginning_of_a_json_text_passes(head):
    check_first_bytes("c.json", head)


@given(st.binary(max_size=HEAD_BYTES).filter(lambda head: b"<" not in head and b"version https:" not in head))
def test_files_of_other_names_may_hold_anything_but_a_web_page_or_a_pointer(head):
    for path in ("README.md", "tokenizer.model", "gguf", "merges.txt"):
        check_first_bytes(path, head)


@pytest.mark.parametrize("path", ["m.bin", "model", "weights.npz", "tokenizer.model"])
@pytest.mark.parametrize("page", [b"<!DOCTYPE html>", b"\n <html lang=en", b"\xef\xbb\xbf<!doctype HTM"])
def test_a_web_page_is_refused_as_a_models_file_of_any_format(path, page):
    with pytest.raises(WrongContent, match="a web page"):
        check_first_bytes(path, page)


@pytest.mark.parametrize("path", ["README.md", "chat_template.jinja", "notes.html", "tokenizer.model"])
def test_a_file_that_may_begin_like_a_page_passes(path):
    check_first_bytes(path, b"<div align=cent" if path == "tokenizer.model" else b"<!DOCTYPE html>")


POINTER = b"version https://git-lfs.github.com/spec/v1\n"


@pytest.mark.parametrize("proof", [Proof.NOTHING, Proof.TYPED])
@pytest.mark.parametrize("path", ["m.bin", "m.onnx", "a.tar.gz", "tokenizer.model", "model", "m.gguf"])
def test_a_git_lfs_pointer_is_refused_with_a_hint_at_the_files_address(path, proof):
    with pytest.raises(WrongContent, match=f"{path}: expected .*, but what came is a Git LFS pointer") as raised:
        check_first_bytes(path, POINTER[:HEAD_BYTES], proof)
    assert "/resolve/" in raised.value.hint


@pytest.mark.parametrize("path", ["README.md", "lfs.py", "notes.txt"])
def test_a_text_may_begin_like_a_git_lfs_pointer(path):
    check_first_bytes(path, POINTER[:HEAD_BYTES])


ERRORS = [
    b'{"error":"Invali',
    b"[\n",
    b"<?xml version='1",
    b"<Error><Code>Acc",
    b'\xef\xbb\xbf{"a',
    '{"é'.encode()[:-1],
]


@pytest.mark.parametrize("path", ["m.bin", "m.pt", "m.onnx", "m.zip", "a.tar.gz", "m.npz", "m.PARQUET", "a.png"])
@pytest.mark.parametrize("head", ERRORS)
def test_json_and_markup_are_refused_as_archives_and_weights(path, head):
    with pytest.raises(WrongContent, match=r"in JSON|XML|a web page"):
        check_first_bytes(path, head)


@pytest.mark.parametrize(
    "head", [b"{\x80\x02}q\x00", b"[\x00\x00\x80?", b"<\x00\x00\x00", b"PK\x03\x04", b"\x80\x02", b"", b"lmgg"]
)
def test_binary_weights_that_begin_like_text_pass(head):
    check_first_bytes("m.bin", head)


@pytest.mark.parametrize("proof", [Proof.PUBLISHED, Proof.PUBLISHED_WITH_SIZE])
@pytest.mark.parametrize("head", [POINTER[:HEAD_BYTES], b'{"error":"Invali'])
@pytest.mark.parametrize("path", ["m.bin", "m.zip", "model"])
def test_a_file_with_a_published_digest_is_not_judged_by_its_first_bytes(path, head, proof):
    check_first_bytes(path, head, proof)
