"""A sha256 is read in every form that people and tools write, and no other text is read as one."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.values.sha256_text import parse_sha256

RAW = hashlib.sha256(b"weights").digest()
HEX = RAW.hex()
BASE64 = base64.b64encode(RAW).decode()


@pytest.mark.parametrize(
    "text",
    [
        HEX,
        HEX.upper(),
        f"  {HEX}\r\n",
        f"sha256:{HEX}",
        f"SHA256:{HEX.upper()}",
        f"sha256-{HEX}",
        f"sha256={HEX}",
        f"sha-256: {HEX}",
        f'"{HEX}"',
        f"'sha256:{HEX}'",
        f"\ufeff{HEX}",
        f"{HEX}  model.gguf",
        f"{HEX} *a model.gguf",
        f"\\{HEX}  a\\nb.gguf",
        f"SHA256 (model.gguf) = {HEX}",
        f"SHA2-256(model.gguf)= {HEX}".replace("SHA2-", "SHA-"),
        f"sha256-{BASE64}",
        "sha256-" + base64.urlsafe_b64encode(RAW).decode().rstrip("="),
        RAW.hex(" "),
        RAW.hex(":").upper(),
        f"SHA256 Fingerprint={RAW.hex(':').upper()}",
        f"0x{HEX}",
        f"sha-256=:{BASE64}:",
    ],
)
def test_every_usual_form_is_read(text):
    assert parse_sha256(text) == HEX


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX[:-1],
        HEX + "0",
        HEX[:32],
        HEX[:40],
        HEX * 2,
        f"md5:{HEX[:32]}",
        f"sha512:{HEX * 2}",
        f"sha1:{HEX[:40]}",
        "g" * 64,
        "\u0660" * 64,
        f"{HEX}model.gguf",
        f"sha256-{BASE64[:-5]}",
        BASE64,
    ],
)
def test_no_other_text_is_read_as_a_sha256(text):
    assert parse_sha256(text) is None


@given(st.text(max_size=200))
def test_any_text_is_a_digest_or_none(text):
    digest = parse_sha256(text)
    assert digest is None or (len(digest) == 64 and set(digest) <= set("0123456789abcdef"))
