"""Types of a catalog's fields, each with its check and the message of a failed one."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from flowhub_jobs.fs import names
from flowhub_jobs.values.enums import HubFormat, Offload
from flowhub_jobs.values.sha256_text import parse_sha256

_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_API_VERSION = re.compile(r"v1(\.[0-9]+)*")
_LARGEST = 10**16  # bytes; sums of them fit a database's column


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("must be of a-z, 0-9, dot, underscore and hyphen, and begin with a letter or digit")
    return text


def _sha256(text: str) -> str:
    digest = parse_sha256(text)
    if digest is None:
        raise ValueError("is not 64 hex digits")
    return digest


def _git_sha1(text: str) -> str:
    digest = text.strip().lower().removeprefix("sha1:")
    if not _SHA1.fullmatch(digest):
        raise ValueError("is not 40 hex digits")
    return digest


def _printable(text: str) -> str:
    # These texts are shown on terminals: an escape sequence in one could rewrite what the person sees,
    # and a lone surrogate cannot be printed at all.
    if match := _UNPRINTABLE.search(text):
        raise ValueError(f"holds the character U+{ord(match[0]):04X}, which no text needs")
    return text


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def _web_page(text: str) -> str:
    # A page links to it; `javascript:` must not get that far.
    if not text.startswith(("https://", "http://")):
        raise ValueError("must begin with https:// or http://")
    return text


def _filename(name: str) -> str:
    if problem := names.name_problem(name):
        raise ValueError(problem)
    return name


def _path(path: str) -> str:
    if problem := names.path_problem(path):
        raise ValueError(problem)
    return path


def _as_int(number: object) -> object:
    """Return a float without a fraction as an int: pandas writes 60000.0, and 6e4 is the same number in JSON."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _api_version(text: str) -> str:
    if not _API_VERSION.fullmatch(text):
        raise ValueError(f"is {text[:40]!r}; this flowhub reads version v1")
    return text


Id = Annotated[str, AfterValidator(_id)]
Text = Annotated[str, AfterValidator(_printable)]
Title = Annotated[str, AfterValidator(_printable), AfterValidator(_not_empty)]
Sha256Field = Annotated[str, AfterValidator(_sha256)]
GitSha1 = Annotated[str, AfterValidator(_git_sha1)]
FileBytes = Annotated[
    int, BeforeValidator(_as_int), Field(ge=0, le=_LARGEST)
]  # a file of 0 bytes is real inside a folder (`__init__.py`)
Whole = Annotated[int, BeforeValidator(_as_int), Field(gt=0, le=_LARGEST)]
ModelBytes = Whole  # but no model is empty, and unknown is absent, not 0
Gigabytes = Annotated[float, Field(gt=0)]
# Strict mode would refuse a JSON list for a tuple and a JSON string for an enum.
Words = Annotated[tuple[Text, ...], Strict(False)]
FormatField = Annotated[HubFormat, Strict(False)]
OffloadWord = Annotated[Offload, Strict(False)]
FileName = Annotated[str, AfterValidator(_filename)]
FilePath = Annotated[str, AfterValidator(_path)]
WebPage = Annotated[Text, AfterValidator(_web_page)]
ApiVersion = Annotated[str, AfterValidator(_api_version)]
