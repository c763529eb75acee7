"""Parses text that people type or paste: text files, lines of lists, tokens. `sha256_text` parses a sha256. Pure.

Every place that takes such a text reads it here: settings, options, list files, catalogs, token files.
"""

import codecs
import re
from collections.abc import Mapping

from flowhub_jobs.fs.names import is_unseen

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Spaces of word processors and web pages (category Zs), and how notes and lists of programs decorate a line.
_OTHER_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_BULLET = re.compile(r"(?:[-*+\u2022]|[0-9]{1,4}[.)])\s+(?:\[[ xX]\]\s+)?(?=\S)")
_LINK = re.compile(r"\[[^\[\]]*\]\(<?(\S+?)>?(?:\s+\"[^\"]*\")?\)")
_QUOTES = ("''", '""', "\u201c\u201d", "\u2018\u2019", "``", "<>")


def decode_text(raw: bytes) -> str:
    """Return the text of a file, without a byte order mark: UTF-8, or UTF-16 and UTF-32 with one (Notepad, PowerShell).

    Raises UnicodeDecodeError.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding)
    if raw[1:2] == b"\0" and raw[:1] != b"\0":  # ASCII text in UTF-16 whose mark was lost on the way
        return raw.decode("utf-16-le")
    return raw.decode("utf-16-be" if raw[:1] == b"\0" and raw[1:2] not in (b"", b"\0") else "utf-8")


def undecorated(line: str) -> str:
    """Return a line of a list without what notes, Markdown and lists of programs put around it.

    That is a bullet or a number before it, a comma after it, and a Markdown link around the address.
    """
    bare = _OTHER_SPACES.sub(" ", line).strip()
    if bare.startswith("#"):
        return bare
    bare = _LINK.sub(r"\1", _BULLET.sub("", bare, count=1) if _BULLET.match(bare) else bare, count=1)
    return bare.rstrip(",;").rstrip()


def parse_token(text: str) -> str:
    """Return a token without copied decoration: white space, quotes, `Bearer`, a header's name.

    `docker run --env-file` keeps the quotes of its file. The result may still be no token.
    """
    bare = unquoted(text)
    bare = re.sub(r"(?i)^authorization\s*:\s*", "", bare)
    return unquoted(re.sub(r"(?i)^bearer\s+", "", bare))


def unquoted(text: str) -> str:
    """Return a text without white space, a byte order mark and quotes around it."""
    bare = text.strip().strip("\ufeff\u200b").strip()
    while len(bare) > 1 and bare[0] + bare[-1] in _QUOTES:
        bare = bare[1:-1].strip()
    return bare


def token_note(environ: Mapping[str, str]) -> str | None:
    """Return a sentence if something was removed from HF_TOKEN: other programs read the variable as it is."""
    typed = (environ.get("HF_TOKEN") or "").strip()
    token = parse_token(typed)
    if typed == token:
        return None
    before, _, after = typed.partition(token) if token else (typed, "", "")
    unseen = next((c for c in before + after if is_unseen(c) and not c.isspace()), None)
    removed = (
        "quotes around the token, or a word before it"
        if unseen is None
        else f"invisible characters (U+{ord(unseen):04X})"
    )
    return f"HF_TOKEN has {removed}: they were left out."
