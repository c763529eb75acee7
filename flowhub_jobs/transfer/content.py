"""Whether a file's first bytes are of the format that its name promises. Pure.

A log-in page with status 200 is refused at its first kilobyte, not after 40 GB.
"""

from enum import Enum
from pathlib import Path, PurePosixPath

from flowhub_jobs.errors import CutShort, WrongContent
from flowhub_jobs.formats.declared import declared_size_of

GLANCE = 16  # bytes that are enough to judge
_MAY_BE_PAGES = frozenset({"html", "htm", "xhtml", "xml", "svg", "md", "txt", "jinja"})
SAFETENSORS_HEADER_MAX = 100_000_000  # the limit of the format's own reader


class Proof(Enum):
    """What tells, when all of a file is there, whether it is the right one."""

    NOTHING = 0  # its first bytes are all that can be judged
    TYPED = 1  # a digest that the user typed with the address
    PUBLISHED = 2  # a digest that a catalog or the Hub published
    PUBLISHED_WITH_SIZE = 3  # and its size: a page would have another


def check_first_bytes(path: str, head: bytes, proof: Proof = Proof.NOTHING) -> None:
    """Raise WrongContent unless `head`, the first 16 bytes or all of a shorter file, suits the suffix of `path`.

    GGUF: the magic (ggml, docs/gguf.md). safetensors: eight bytes of header length, little-endian, then `{`.
    JSON: something that can begin a JSON text. Other suffixes promise nothing; but a web page is what they name, or
    none of it. A published digest judges better than first bytes: then a page alone is refused, and only where no size
    was published. A typed digest may be that of the wrong file: weights must still look like weights.
    """
    suffix = PurePosixPath(path).suffix.lower().removeprefix(".")
    judge = _JUDGES.get(suffix)
    if proof is Proof.PUBLISHED_WITH_SIZE:
        return
    if proof is Proof.PUBLISHED or (proof is Proof.TYPED and suffix == "json"):
        judge = None
    if judge is None:
        if _is_page(head) and suffix not in _MAY_BE_PAGES:
            promised = suffix if suffix in _JUDGES else "a file of a model"
            raise WrongContent(f"{path} should be {promised}, but what came is a web page.")
    elif not judge(head):
        raise WrongContent(f"{path} should be {suffix}, but what came is {_seen(head)}.")


def check_not_cut_short(path: str, part: Path, size: int, host: str) -> None:
    """Raise CutShort where a model file that `host` sent, `size` bytes in `part`, is longer by its own header."""
    if PurePosixPath(path).suffix.lower() not in (".gguf", ".safetensors"):
        return
    declared = declared_size_of(part)
    if declared is not None and declared > size:
        raise CutShort(f"{path} ends at {size} bytes as {host} has it; by its own header it has at least {declared}.")


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


_JUDGES = {"gguf": _is_gguf, "safetensors": _is_safetensors, "json": _is_json}
