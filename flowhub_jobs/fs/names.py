"""Checks that names from outside may become names of files. Pure.

The same rules hold on every platform, so that a store can be moved, shared, or mounted from another system.
"""

import re
import unicodedata
from urllib.parse import unquote

MAX_NAME_BYTES = 200  # file systems allow 255; flowhub adds `<model>-<option>-`, `.part`, `.journal`

# macOS takes 1024 bytes for a whole path. Three components of full length fit, and over 300 bytes stay for the store.
MAX_PATH_BYTES = 700

_FORBIDDEN = frozenset('/\\:*?"<>|')

# Controls, format characters (every bidi control is one), surrogates, line and paragraph separators.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Windows opens a device for these, with any extension too: "Naming Files, Paths, and Namespaces", learn.microsoft.com.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}
)


def name_problem(name: str) -> str | None:
    """Return why `name` may not be one component of a path, or None if it may.

    The words finish the sentence "the name 'x' …".
    """
    return (
        _unsafe_character(name) or _unsafe_edge(name) or _device_problem(name) or _length_problem(name, MAX_NAME_BYTES)
    )


def path_problem(path: str) -> str | None:
    """Return why the `/`-separated, relative `path` may not name a file inside an artifact, or None if it may.

    The words finish the sentence "the path 'x' …".
    """
    if path.startswith("/"):
        return "is absolute"
    for component in path.split("/"):
        if component == "..":
            return "climbs out with '..'"
        if problem := name_problem(component):
            return problem if component == path else f"has a component {component!r} that {problem}"
    return _length_problem(path, MAX_PATH_BYTES)


def filename_from_url(url: str) -> str:
    """Return the last segment of the URL's path, percent-decoded once. It may be empty, and it is not checked.

    Bytes that are not UTF-8 become surrogates, which `name_problem` refuses: a replacement character would hide them.
    """
    _, _, after_scheme = re.split(r"[?#]", url, maxsplit=1)[0].partition("://")
    _, _, path = after_scheme.partition("/")
    return unquote(path.rpartition("/")[2], errors="surrogateescape")


def same_name_key(name: str) -> str:
    """Return a key that is equal for two names that some file system considers the same: APFS, NTFS, exFAT.

    Canonical caseless matching (The Unicode Standard, section 3.13, D145), which counts a few more pairs as equal
    than any one file system does: "ß" and "ss".
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def is_unseen(character: str) -> bool:
    """Return whether a character is a control, format or bidi character, a surrogate or a line separator."""
    return unicodedata.category(character) in _UNSEEN_CATEGORIES


def _unsafe_character(name: str) -> str | None:
    for character in name:
        if character in _FORBIDDEN:
            return f"contains '{character}'"
        if is_unseen(character):
            return f"contains the invisible character U+{ord(character):04X}"
    return None


def _unsafe_edge(name: str) -> str | None:
    if not name:
        return "is empty"
    if name[0] == ".":
        return "begins with a dot"
    if name[0] == "~":
        return "begins with '~'"
    if name[0].isspace():
        return "begins with a space"
    if name[-1].isspace():
        return "ends with a space"
    return "ends with a dot" if name[-1] == "." else None


def _device_problem(name: str) -> str | None:
    # Windows cuts at the first dot and drops the spaces before it: "NUL .tar.gz" is NUL.
    stem = name.partition(".")[0].rstrip(" ")
    return f"is a Windows device name ({stem.upper()})" if stem.casefold() in _DEVICES else None


def _length_problem(text: str, limit: int) -> str | None:
    size = len(text.encode())  # no surrogate is left here
    return f"is {size} bytes long; {limit} are allowed" if size > limit else None
