"""Whether a file's first bytes are of the format that its name promises. Pure.

A log-in page with status 200 is refused at its first kilobyte, not after 40 GB.
"""

from pathlib import PurePosixPath

from flowhub_jobs.errors import WrongContent

GLANCE = 16  # bytes that are enough to judge
_MAY_BE_PAGES = frozenset({"html", "htm", "xhtml", "xml", "svg", "md", "txt", "jinja"})
SAFETENSORS_HEADER_MAX = 100_000_000  # the limit of the format's own reader


def check_first_bytes(path: str, head: bytes) -> None:
    """Raise WrongContent unless `head`, the first 16 bytes or all of a shorter file, suits the suffix of `path`.

    GGUF: the magic (ggml, docs/gguf.md). safetensors: eight bytes of header length, little-endian, then `{`.
    JSON: something that can begin a JSON text. Other suffixes promise nothing; but a web page is what they name, or
    none of it.
    """
    suffix = PurePosixPath(path).suffix.lower().removeprefix(".")
    judge = {"gguf": _is_gguf, "safetensors": _is_safetensors, "json": _is_json}.get(suffix)
    if judge is None:
        if _is_page(head) and suffix not in _MAY_BE_PAGES:
            raise WrongContent(f"{path} should be a file of a model, but what came is a web page.")
    elif not judge(head):
        raise WrongContent(f"{path} should be {suffix}, but what came is {_seen(head)}.")


def _seen(head: bytes) -> str:
    """Return what first bytes are, in words."""
    if not head:
        return "an empty file"
    if head.lstrip()[:1] == b"<":
        return "a web page"
    return f"something else (it begins with {ascii(head[:8])[1:]})"


def _is_page(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype", b"<html"))


def _is_gguf(head: bytes) -> bool:
    return head[:4] in (b"GGUF", b"FUGG")  # the second: big-endian files


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 8 and 2 <= length <= SAFETENSORS_HEADER_MAX and head[8:9] == b"{"


def _is_json(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return not text or text[:1] in b'{["-0123456789tfn'
