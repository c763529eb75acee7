"""Reads a sha256 in the forms in which people, tools and hosts write it. Pure."""

import base64
import binascii
import re
from urllib.parse import unquote

_HEX = r"([0-9a-fA-F]{64})"
_BYTES = r"((?:[0-9a-f]{2}[ :]){31}[0-9a-f]{2})"  # certutil and OpenSSL's fingerprints
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?:sha-?256\s*[:=-]\s*|0x)?{_HEX}",  # bare; GitHub and OCI: sha256:HEX; Ollama: sha256-HEX; pip: sha256=HEX
        rf"\\?{_HEX} [ *].+",  # a line of sha256sum; a backslash before it where the file's name is escaped
        rf"sha-?256 ?\(.+\) ?= ?{_HEX}",  # a line of `shasum --tag`, BSD's and OpenSSL's sha256
        rf"(?:sha-?256(?: fingerprint)?\s*[:=]\s*)?{_BYTES}",
    )
)
# https://www.w3.org/TR/sri/; also RFC 9530's Repr-Digest, sha-256=:BASE64:
_BASE64 = re.compile(r"sha-?256(?:-|=:|=)([A-Za-z0-9+/_-]{43})=?:?", re.IGNORECASE)
_NAMED = re.compile(r"sha-?256[=:-]", re.IGNORECASE)
_QUOTES = "\"'`\u201c\u201d"


def parse_sha256(text: str) -> str | None:
    """Return the 64 lower-case hex digits of a sha256, or None where `text` is none.

    Digests of other algorithms are none: an md5 has 32 digits, git's sha1 40, sha512 128.
    """
    trimmed = text.strip().lstrip("\ufeff").strip(_QUOTES).strip()
    for form in _FORMS:
        if match := form.fullmatch(trimmed):
            return match[1].lower().replace(" ", "").replace(":", "")
    if match := _BASE64.fullmatch(trimmed):
        return _unpacked(match[1])
    return None


def sha256_in_fragment(fragment: str) -> str | None:
    """Return the sha256 in a URL's fragment, unparsed; None if it has none.

    pip's style: `#sha256=HEX`, also among others (`#egg=name&sha256=HEX`). `sha256:HEX` and `sha256-HEX` count, too.
    """
    return next((part for part in unquote(fragment).split("&") if _NAMED.match(part)), None)


def _unpacked(text: str) -> str | None:
    try:
        raw = base64.b64decode(f"{text}=", b"-_" if "-" in text or "_" in text else None, validate=True)
    except binascii.Error:
        return None
    return raw.hex() if len(raw) == 32 else None
