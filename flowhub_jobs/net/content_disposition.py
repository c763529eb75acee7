"""The file name that a server suggests by a Content-Disposition header (RFC 6266). Pure; the name is not confined.

`filename*` (RFC 8187) goes before `filename`. The latter is read as servers write it: quoted or bare, in raw UTF-8, in
percent-encoding, or as RFC 2047 words (Outlook, older PHP frameworks).
"""

import re
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote, unquote_to_bytes

HEADER_MAX = 8192  # characters
_PARAMETER = re.compile(r';\s*(?P<name>[\w!#$%&\'*+.^`|~-]+)\s*=\s*(?P<value>"(?:\\.|[^"\\])*"|[^;]*)', re.ASCII)
_EXTENDED = re.compile(r"(?P<charset>[\w.:-]*)'[^']*'(?P<text>.*)", re.ASCII | re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?[\w*-]+\?[bq]\?[^?]*\?=", re.IGNORECASE | re.ASCII)
_PERCENT = re.compile(r"(?:%[0-9a-f]{2})+", re.IGNORECASE)


def suggested_name(header: str) -> str | None:
    """Return the last component of the suggested name, or None if there is none."""
    if len(header) > HEADER_MAX:
        return None
    # Nginx modules and S3 buckets are known to write the parameters alone, without a type before them.
    text = header if re.match(r"\s*[\w-]+\s*(;|$)", header) else f"attachment;{header}"
    parameters: dict[str, str] = {}
    for part in _PARAMETER.finditer(text):
        parameters.setdefault(part["name"].lower(), part["value"].strip())
    name = _decode_extended(parameters.get("filename*", "")) or _plain_value(parameters.get("filename", ""))
    # Some send a whole path; RFC 6266, section 4.3: only its last segment is a name.
    return re.split(r"[/\\]", name)[-1].strip() or None if name else None


def _decode_extended(value: str) -> str | None:
    """Return the text of `UTF-8'en'a%20b`; None where it cannot be read, so that `filename` is taken."""
    parts = _EXTENDED.fullmatch(_unquote(value))
    if parts is None:
        return None
    try:
        return unquote_to_bytes(parts["text"]).decode(parts["charset"] or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return None


def _plain_value(value: str) -> str:
    text = _unquote(value)
    if _ENCODED_WORD.search(text):
        try:
            return str(make_header(decode_header(text)))
        except (HeaderParseError, UnicodeDecodeError, LookupError, ValueError):
            return text
    with suppress(UnicodeEncodeError, UnicodeDecodeError):  # raw UTF-8 that was read as Latin-1 on its way
        text = text.encode("latin-1").decode()
    return unquote(text) if _PERCENT.search(text) else text


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        # Only what must be escaped: some send `C:\models\a.gguf`, and browsers keep its backslashes (RFC 6266, D).
        return re.sub(r'\\(["\\])', r"\1", value[1:-1])
    return value.strip("\"'")
