"""What an answer's headers say. Pure: status and headers in, values or an error out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from flowhub_jobs.errors import WrongRange
from flowhub_jobs.pieces.ranges import Range
from flowhub_jobs.refusal import Headers, unsatisfied_total

_CONTENT_RANGE = re.compile(r"bytes\s+([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]+")  # str.isdigit and \d also take digits that are none to int()
_HEX64, _HEX40 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")

LARGEST = 1 << 60  # bytes; a larger size is no size, and does not fit a database


@dataclass(frozen=True, slots=True)
class Answer:
    """What a body is: the bytes from `start` to `end` of a file of `total`; None is unknown. `whole`: a 200.

    `end` is `start` where a 416 tells that the file ends earlier than what was asked: there is no body.
    """

    start: int
    end: int | None
    total: int | None
    whole: bool
    etag: str | None  # strong only


@dataclass(frozen=True, slots=True)
class HubWord:
    """What the Hub's resolve answer says of a file (header names: huggingface_hub, `file_download`)."""

    commit: str | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    size: int | None = None


def folded(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by their names in lower case; one that came twice is a list, as RFC 9110, section 5.3 joins it.

    httpx has a mapping for this, which looks through all of them, and decodes each, whenever one is asked for.
    """
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = _text(name).lower(), _text(value)
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def read_answer(status: int, headers: Headers, asked: Range, host: str) -> Answer:
    """Return what the body of a 200, 206 or 416 is; raise WrongRange unless it is the whole or begins where we asked.

    A server may send less than was asked (RFC 9110, section 15.3.7), never other bytes or more.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise WrongRange(f"{host} answered in {encoding} though plain bytes were asked for.")
    if status == 416:
        return Answer(asked[0], asked[0], unsatisfied_total(headers), whole=False, etag=strong_etag(headers))
    length = _number(headers.get("content-length"))
    if status == 200:
        return Answer(0, length, length, whole=True, etag=strong_etag(headers))
    if headers.get("content-type", "").lower().startswith("multipart/byteranges"):
        raise WrongRange(f"{host} answered one range with a multipart body.")
    start, end, total = _content_range(headers.get("content-range"), host)
    if start != asked[0] or not start < end <= asked[1]:
        raise WrongRange(f"{host} was asked for bytes {asked[0]}-{asked[1] - 1} and sent {start}-{end - 1}.")
    if length is not None and length != end - start:
        raise WrongRange(f"{host} announced bytes {start}-{end - 1} in a body of {length} bytes.")
    return Answer(start, end, total, whole=False, etag=strong_etag(headers))


def _content_range(text: str | None, host: str) -> tuple[int, int, int | None]:
    found = _CONTENT_RANGE.fullmatch((text or "").strip())
    if not found:
        raise WrongRange(f"{host} sent a part of the file without saying which (Content-Range: {_shown(text)}).")
    start, last, total = int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3])
    if last < start or last >= LARGEST or (total is not None and not last < total < LARGEST):
        raise WrongRange(f"{host} sent an impossible range (Content-Range: {_shown(text)}).")
    return start, last + 1, total


def _shown(text: str | None) -> str:
    return "none" if text is None else ascii(text[:80])[1:-1]


def tells_end(status: int, headers: Headers) -> bool:
    """Return whether a 416 tells where the file ends: an empty file has no range that could be answered."""
    return status == 416 and unsatisfied_total(headers) is not None


def strong_etag(headers: Headers) -> str | None:
    """Return the strong entity tag with its quotes; a weak one never goes into If-Range (RFC 9110, section 13.1.5)."""
    tag = headers.get("etag", "").strip()
    sound = tag.isascii() and tag.isprintable() and 2 < len(tag) < 1024  # it goes back in If-Range
    return tag if sound and tag[0] == '"' and tag[-1] == '"' else None


def hub_word(headers: Headers) -> HubWord | None:
    """Return what the Hub says of the file, or None if the answer is not the Hub's."""
    commit = headers.get("x-repo-commit")
    linked = headers.get("x-linked-etag")
    if commit is None and linked is None:
        return None
    tag = (linked or headers.get("etag", "")).strip().removeprefix("W/").strip('"').lower()
    return HubWord(
        commit=commit,
        sha256=tag if _HEX64.fullmatch(tag) else None,
        git_sha1=tag if _HEX40.fullmatch(tag) else None,
        size=_number(headers.get("x-linked-size")),
    )


def body_length(headers: Headers) -> int | None:
    """Return the bytes of a body whose length is told, None where it ends otherwise (RFC 9112, section 6.3)."""
    return None if "transfer-encoding" in headers else _number(headers.get("content-length"))


def stays_open(http_version: str, headers: Headers) -> bool:
    """Return whether the connection serves another request after this answer (RFC 9112, section 9.3)."""
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    return http_version == "HTTP/1.1" and "close" not in options


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if _DIGITS.fullmatch(text) and len(text) < 20 and int(text) < LARGEST else None
