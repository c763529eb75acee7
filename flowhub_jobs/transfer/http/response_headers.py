"""Parses the headers of a response to a range request. Pure: status and headers in, values or an error out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from flowhub_jobs.errors import WrongRange
from flowhub_jobs.net.content_range import LARGEST, ContentRange, ImpossibleRange, coding_of, content_range
from flowhub_jobs.net.retry_after import http_date
from flowhub_jobs.net.status_errors import Headers, unsatisfied_total
from flowhub_jobs.pieces.ranges import Range
from flowhub_jobs.transfer.http.content_decoding import DECODED

_DIGITS = re.compile(r"[0-9]+")  # str.isdigit and \d also take digits that are none to int()
_UNQUOTED = re.compile(r"[\w.:+=~-]{6,}", re.ASCII)  # of an entity tag
_HEX64, _HEX40 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")

DATE_STRONG_S = 1.0  # RFC 9110, section 8.8.2.2; it was 60 s in RFC 7232


@dataclass(frozen=True, slots=True)
class BodyRange:
    """The part of the file that a response's body contains: bytes `start` to `end` (half-open) of `total`.

    None: unknown. `whole`: the body is all of the file. `end` is `start` if a 416 says that the file ends before the
    requested range: there is no body. `modified` is Last-Modified if that is a strong validator, followed by a weak
    ETag, which may tell more. `coding`: the body must be decoded; the number of decoded bytes is not known. `page`: its
    media type, if that is one of web pages and error texts.
    """

    start: int
    end: int | None
    total: int | None
    whole: bool
    etag: str | None  # strong only
    modified: str | None = None
    coding: str | None = None
    page: str | None = None


@dataclass(frozen=True, slots=True)
class HubMetadata:
    """The metadata of a file in the Hub's resolve response (header names: huggingface_hub, `file_download`)."""

    commit: str | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    size: int | None = None


def folded(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; repeated ones are joined by a comma (RFC 9110, section 5.3).

    httpx has a mapping for this, which searches and decodes all of them at each look-up.
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


def parse_body_range(
    status: int,
    headers: Headers,
    requested: Range,
    host: str,
    *,
    ranged: bool = True,
    path: str = "",
    size: int | None = None,
) -> BodyRange:
    """Return which bytes the body of a 200, 203, 206 or 416 contains.

    Raises WrongRange unless the first requested byte is one of them. `ranged`: the request had a Range header. `path`
    and `size` (bytes, if known) are the file's. A server may send less than was requested (RFC 9110, section 15.3.7),
    or more. Content-Range says what the body is, whatever the status (modelscope_hub #50: 200).
    """
    tags = {"etag": strong_etag(headers), "modified": strong_date(headers)}
    if coding := _coding(status, headers, path, size, ranged=ranged):
        _check_decodable(coding, status, headers, host, ranged=ranged)
        return BodyRange(0, None, None, whole=True, coding=coding, **tags)
    if status == 416:
        return BodyRange(requested[0], requested[0], unsatisfied_total(headers), whole=False, **tags)
    if headers.get("content-type", "").lower().startswith("multipart/byteranges"):
        raise WrongRange(f"{host} answered one range with a multipart body.", host=host)
    length, part = body_length(headers), _part(headers, host)
    if _is_whole(status, part, length, ranged=ranged):
        length = _number(headers.get("content-length"))
        return BodyRange(0, length, length, whole=True, page=_page_type(headers), **tags)
    if part is None:
        value = _printable(headers.get("content-range"))
        raise WrongRange(f"{host} sent a part of the file without saying which (Content-Range: {value}).", host=host)
    end = _end_of(part, length, host)
    if not part.start <= requested[0] < end:
        raise WrongRange(
            f"flowhub requested bytes {_span(*requested)}, and {host} sent {_span(part.start, end)}.", host=host
        )
    return BodyRange(part.start, end, part.total, whole=False, **tags)


def _coding(status: int, headers: Headers, path: str, size: int | None, *, ranged: bool) -> str | None:
    """Return the coding of a body, None if the body is the file as it is stored.

    It is if the whole body is as long as the file, or empty: a store that keeps files compressed names their coding
    (S3, GCS).
    """
    length = body_length(headers)
    as_stored = _is_plain_whole(status, headers, ranged=ranged) and length is not None and length in (0, size)
    return None if as_stored else coding_of(headers.get("content-encoding", ""), path)


def _check_decodable(coding: str, status: int, headers: Headers, host: str, *, ranged: bool) -> None:
    """Raise WrongRange unless a body in `coding` is all of a file: a range of a coded body is no part of the file."""
    if coding in DECODED and _is_plain_whole(status, headers, ranged=ranged):
        return
    error = WrongRange(f"{host} answered in {coding}, although flowhub requested plain bytes.", host=host)
    error.coded, error.about_coding = coding in DECODED, coding not in DECODED
    raise error


def _is_plain_whole(status: int, headers: Headers, *, ranged: bool) -> bool:
    """Return whether the whole file was requested, and nothing says that the response is a part."""
    return not ranged and status in (200, 203) and "content-range" not in headers


def _is_whole(status: int, part: ContentRange | None, length: int | None, *, ranged: bool) -> bool:
    """Return whether a body is all of the file: by its status, unless it is as long as Content-Range says."""
    if part is None:
        return status != 206 or not ranged
    if status == 206 or part.start == 0:
        return False  # a body that begins at the first byte is used as far as Content-Range says
    return length is not None and length == part.total


def _page_type(headers: Headers) -> str | None:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type if media_type == "text/html" or media_type.endswith(("/xml", "+xml", "/json", "+json")) else None


def _end_of(part: ContentRange, length: int | None, host: str) -> int:
    """Return where a part ends, by Content-Range, else by the body's length. Raises WrongRange if they differ."""
    if part.end is None:
        end = part.total if length is None else part.start + length
        if end is None or not part.start < end <= (part.total or end):
            raise WrongRange(
                f"{host} announced bytes {part.start}- of {part.total} in a body of {length} bytes.", host=host
            )
        return end
    if length is not None and length not in (part.end - part.start, part.total if part.start == 0 else -1):
        raise WrongRange(
            f"{host} announced bytes {_span(part.start, part.end)} in a body of {length} bytes.", host=host
        )
    return part.end


def _part(headers: Headers, host: str) -> ContentRange | None:
    text = headers.get("content-range")
    try:
        return content_range(text)
    except ImpossibleRange as error:
        raise WrongRange(f"{host} sent an impossible range (Content-Range: {_printable(text)}).", host=host) from error


def _span(start: int, end: int) -> str:
    return f"{start}-{end - 1 if end < LARGEST else ''}"


def _printable(text: str | None) -> str:
    return "none" if text is None else ascii(text[:80])[1:-1]


def tells_end(status: int, headers: Headers) -> bool:
    """Return whether a 416 names the size of the file: an empty file has no range that could be answered."""
    return status == 416 and unsatisfied_total(headers) is not None


def strong_etag(headers: Headers) -> str | None:
    """Return the strong entity tag with its quotes; a weak one never goes into If-Range (RFC 9110, section 13.1.5).

    Some stores leave out the quotes (Azure Blob without x-ms-version): that identifies a version, too.
    """
    tag = headers.get("etag", "").strip()
    is_valid = tag.isascii() and tag.isprintable() and 2 < len(tag) < 1024  # it goes back in If-Range
    is_strong = is_valid and ((tag[0] == '"' and tag[-1] == '"') or _UNQUOTED.fullmatch(tag))
    return tag if is_strong else None


def strong_date(headers: Headers, now: datetime | None = None) -> str | None:
    """Return Last-Modified, followed by a weak ETag if there is one; None if the date is no strong validator.

    RFC 9110, section 8.8.2.2: a date is strong if it is at least one second before the response's Date, or before `now`
    if there is none: then the second in which the file was written is over.
    """
    value = headers.get("last-modified", "").strip()
    modified = http_date(value)
    sent = http_date(headers.get("date", "")) or now or datetime.now(UTC)
    is_valid = value.isascii() and value.isprintable() and len(value) < 64  # it goes back in If-Range
    if modified is None or not is_valid or (sent - modified).total_seconds() < DATE_STRONG_S:
        return None
    weak = "" if strong_etag(headers) else headers.get("etag", "").strip()[:200]
    return f"{value} ETag {weak}" if weak else value


def parse_hub_metadata(headers: Headers) -> HubMetadata | None:
    """Return the Hub's metadata of the file, or None if the response is not the Hub's."""
    commit = headers.get("x-repo-commit")
    linked = headers.get("x-linked-etag")
    if commit is None and linked is None:
        return None
    tag = (linked or headers.get("etag", "")).strip().removeprefix("W/").strip('"').lower()
    return HubMetadata(
        commit=commit,
        sha256=tag if _HEX64.fullmatch(tag) else None,
        git_sha1=tag if _HEX40.fullmatch(tag) else None,
        size=_number(headers.get("x-linked-size")),
    )


def body_length(headers: Headers) -> int | None:
    """Return the length of a body, None if it is not known (RFC 9112, section 6.3)."""
    return None if "transfer-encoding" in headers else _number(headers.get("content-length"))


def stays_open(http_version: str, headers: Headers) -> bool:
    """Return whether the connection serves another request after this response (RFC 9112, section 9.3)."""
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    return http_version == "HTTP/1.1" and "close" not in options


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if _DIGITS.fullmatch(text) and len(text) < 20 and int(text) < LARGEST else None
