"""Checks that a file's first bytes are of the format that its name promises.

A log-in page with status 200 is refused at its first kilobyte, not after 40 GB.
"""

import codecs
from enum import Enum
from pathlib import Path, PurePosixPath

from flowhub_jobs.errors import CutShort, WrongContent
from flowhub_jobs.formats.declared_size import declared_size_of

HEAD_BYTES = 16  # enough to recognise a format
_MAY_BE_PAGES = frozenset({"html", "htm", "xhtml", "xml", "svg", "md", "txt", "jinja"})
# May begin like a Git LFS pointer: a text about pointers.
_MAY_BE_TEXT = _MAY_BE_PAGES | {
    *("rst", "adoc", "log", "csv", "tsv", "jsonl", "ndjson", "yaml", "yml", "toml", "ini", "cfg", "conf"),
    *("py", "js", "ts", "c", "h", "cc", "cpp", "rs", "go", "sh", "patch", "diff", "tex", "srt", "vtt"),
}
# Their first bytes are a magic number, a pickle's opcode, a protobuf's tag or plain numbers: never JSON or markup.
_NEVER_TEXT = {
    *("bin", "pt", "pth", "ckpt", "pkl", "onnx", "tflite", "npz", "npy", "h5", "hdf5", "keras", "parquet", "arrow"),
    *("zip", "whl", "jar", "gz", "tgz", "zst", "xz", "txz", "bz2", "tbz2", "lz4", "7z", "rar"),
    *("png", "jpg", "jpeg", "gif", "webp", "pdf", "wav", "flac", "mp3", "mp4"),
}
_POINTER_HINT = (
    "That is what Git stores in place of the file. Use the address that downloads the file itself: on a Hub with "
    "/resolve/ in place of /raw/, at GitHub one of media.githubusercontent.com."
)
SAFETENSORS_HEADER_MAX = 100_000_000  # the limit of the format's own reader


class Proof(Enum):
    """The evidence that a complete file is the right one."""

    NOTHING = 0  # only its first bytes can be checked
    TYPED = 1  # a digest that the user typed with the address
    PUBLISHED = 2  # a digest that a catalog or the Hub published
    PUBLISHED_WITH_SIZE = 3  # and its size: a page would have another


def check_first_bytes(path: str, head: bytes, proof: Proof = Proof.NOTHING) -> None:
    """Raise WrongContent unless `head`, the first 16 bytes or all of a shorter file, suits the suffix of `path`.

    GGUF: the magic (ggml, docs/gguf.md). safetensors: eight bytes of header length, little-endian, then `{`.
    JSON: something that can begin a JSON text. Archives, images and the other formats of weights: no JSON or markup,
    which is how a server words an error. Other suffixes promise nothing, but a web page or a Git LFS pointer must have
    the suffix of a text. A published digest is a better check than first bytes: then only a page is refused, and only
    if no size was published. A typed digest may be that of the wrong file: weights must still look like weights.
    """
    suffix = PurePosixPath(path).suffix.lower().removeprefix(".")
    if proof is Proof.PUBLISHED_WITH_SIZE or not _is_wrong(suffix, head, proof):
        return
    promised = suffix if suffix in _JUDGES or suffix in _NEVER_TEXT else "a file of a model"
    hint = _POINTER_HINT if _is_pointer(head) else None
    raise WrongContent(f"expected {promised}, but what came is {_describe(head)}.", hint=hint, path=path)


def _is_wrong(suffix: str, head: bytes, proof: Proof) -> bool:
    """Return whether first bytes cannot be those of a file of this suffix, unless `proof` is a better check."""
    judge = _JUDGES.get(suffix)
    if judge is not None and (proof is Proof.NOTHING or (proof is Proof.TYPED and suffix != "json")):
        return not judge(head)
    if _is_page(head) and suffix not in _MAY_BE_PAGES:
        return True
    if proof is not Proof.PUBLISHED and judge is None and _is_pointer(head) and suffix not in _MAY_BE_TEXT:
        return True
    return proof is Proof.NOTHING and suffix in _NEVER_TEXT and _is_json_or_markup(head)


def is_never_text(path: str) -> bool:
    """Return whether the suffix of `path` is that of a format which is no text: no server sends such a file as HTML."""
    suffix = PurePosixPath(path).suffix.lower().removeprefix(".")
    return suffix in _NEVER_TEXT or (suffix in _JUDGES and suffix != "json")


def check_not_cut_short(path: str, part: Path, size: int, host: str) -> None:
    """Raise CutShort if a model file that `host` sent, `size` bytes in `part`, is longer by its own header."""
    if PurePosixPath(path).suffix.lower() not in (".gguf", ".safetensors"):
        return
    declared = declared_size_of(part)
    if declared is not None and declared > size:
        raise CutShort(
            f"the file ends at {size} bytes as {host} has it; by its own header it has at least {declared}.",
            host=host,
            path=path,
        )


def _describe(head: bytes) -> str:
    """Describe first bytes in a few words."""
    if not head:
        return "an empty file"
    if _is_pointer(head):
        return "a Git LFS pointer"
    text = _without_mark(head)
    if text[:1] == b"<":
        return "XML" if text.startswith(b"<?xml") else "a web page"
    if _is_json_or_markup(head):
        return f"a text in JSON (it begins with {ascii(head)[1:]})"
    return f"something else (it begins with {ascii(head[:8])[1:]})"


def _without_mark(head: bytes) -> bytes:
    """Return a text's first bytes without the byte order mark and spaces before it."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()


def _is_page(head: bytes) -> bool:
    return _without_mark(head).lower().startswith((b"<!doctype", b"<html"))


def _is_pointer(head: bytes) -> bool:
    """Return whether a Git LFS pointer begins so (git-lfs, docs/spec.md): with the address of its version."""
    return head.startswith(b"version https://")


def _is_json_or_markup(head: bytes) -> bool:
    text = _without_mark(head)
    return text[:1] in (b"{", b"[", b"<") and _is_text(text)


def _is_text(head: bytes) -> bool:
    """Return whether it is printable UTF-8; the last character may be cut in two."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\r\n" for character in text)


def _is_gguf(head: bytes) -> bool:
    return head[:4] in (b"GGUF", b"FUGG")  # the second: big-endian files


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 8 and 2 <= length <= SAFETENSORS_HEADER_MAX and head[8:9] == b"{"


def _is_json(head: bytes) -> bool:
    text = _without_mark(head)
    return not text or text[:1] in b'{["-0123456789tfn'


_JUDGES = {"gguf": _is_gguf, "safetensors": _is_safetensors, "json": _is_json}
