"""Repairs the head of a response so that h11 can read it: it tolerates what other clients tolerate. Pure.

h11 refuses a response for one malformed line of its head; curl, browsers and requests ignore that line. It also knows
no Transfer-Encoding but one `chunked`, and no Content-Length but digits.
"""

import re

_STATUS_LINE = re.compile(rb"HTTP/[0-9]\.[0-9] [0-9]{3}(?: [^\x00\r\f\v]*)?")
# Also without a version, in small letters, and as SHOUTcast writes it (ICY).
_TOLERATED_STATUS_LINE = re.compile(
    rb"(?:HTTP(?:/(?P<version>1\.[01])|[/0-9.]*)|ICY)[ \t]+(?P<status>[0-9]{3})(?![0-9]).*", re.IGNORECASE | re.DOTALL
)
_FIELD = re.compile(rb"(?P<name>[-!#$%&'*+.^_`|~0-9a-zA-Z]+)[ \t]*:(?P<value>.*)", re.DOTALL)
_NOT_IN_VALUE = re.compile(rb"[\x00\r\f\v]")
# Nearly every head is well-formed. One match costs a fifth of parsing by line, which counts for small files.
_WELL_FORMED = re.compile(
    rb"HTTP/[0-9]\.[0-9] [0-9]{3}(?: [^\x00\r\n\f\v]*)?\r?\n"
    rb"(?:[-!#$%&'*+.^_`|~0-9a-zA-Z]+:[^\x00\r\n\f\v]*\r?\n)*"
    rb"\r?\n"
)
# A well-formed head in which a length or a transfer coding needs a look (`_framed`).
_PLAIN_LENGTH = re.compile(rb"[ \t]*[0-9]+[ \t]*(?:,[ \t]*[0-9]+[ \t]*)*")
_ODD = re.compile(
    rb"^(?:transfer-encoding:(?![ \t]*chunked[ \t]*\r?$)|content-length:(?![ \t]*[0-9]+[ \t]*\r?$))",
    re.IGNORECASE | re.MULTILINE,
)
_TRANSFER_ENCODING = re.compile(rb"^transfer-encoding:", re.IGNORECASE | re.MULTILINE)
_CONTENT_LENGTH = re.compile(rb"^content-length:", re.IGNORECASE | re.MULTILINE)


def readable_head(head: bytes) -> bytes:
    """Return a complete head, with its empty line, as h11 reads it; the same object if it is well-formed.

    RFC 9112: white space between a field's name and its colon is removed (section 5.1). RFC 9110, section 5.5: NUL and
    CR in a value become spaces. A line that is no field is dropped, with the lines that continue it.
    """
    if _WELL_FORMED.fullmatch(head) and not _is_framed_oddly(head):
        return head
    first, *lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
    readable = [_status_line(first), *_with_one_framing(_fields(lines))]
    if readable == [first, *lines[:-2]]:  # the last two are the empty line and what follows it
        return head
    return b"\r\n".join([*readable, b"", b""])


def _is_framed_oddly(head: bytes) -> bool:
    """Return whether h11 would not read where the body ends, or read it otherwise than RFC 9112 says."""
    codings = len(_TRANSFER_ENCODING.findall(head))
    return codings > 1 or (codings == 1 and _CONTENT_LENGTH.search(head) is not None) or _ODD.search(head) is not None


def _with_one_framing(fields: list[bytes]) -> list[bytes]:
    """Return the fields with one `Transfer-Encoding: chunked`, or with a Content-Length in digits, or with neither.

    `chunked, chunked` and `identity, chunked` are chunked once, as clients read them (h11 #113); any other coding is
    left for h11 to refuse. Transfer-Encoding overrides Content-Length (RFC 9112, section 6.3). A length that is no
    number is none: the body ends with the connection. `+5` is 5.
    """
    by_name: dict[bytes, list[bytes]] = {}
    for field in fields:
        name, _, value = field.partition(b":")
        by_name.setdefault(name.lower(), []).append(value)
    codings = {
        coding.strip().lower() for value in by_name.get(b"transfer-encoding", []) for coding in value.split(b",")
    }
    codings -= {b"identity", b""}
    unknown = bool(codings - {b"chunked"})
    remaining = [field for field in fields if unknown or not field.lower().startswith(b"transfer-encoding:")]
    if codings:
        remaining = [field for field in remaining if not field.lower().startswith(b"content-length:")]
        return remaining if unknown else [*remaining, b"Transfer-Encoding: chunked"]
    return [field for field in map(_length, remaining) if field is not None]


def _length(field: bytes) -> bytes | None:
    """Return a field, None for a Content-Length that is no number. A sign before the number is dropped."""
    name, _, value = field.partition(b":")
    if name.lower() != b"content-length" or _PLAIN_LENGTH.fullmatch(value):
        return field
    number = value.strip().removeprefix(b"+")
    return name + b": " + number if _PLAIN_LENGTH.fullmatch(number) else None


def _status_line(line: bytes) -> bytes:
    match = None if _STATUS_LINE.fullmatch(line) else _TOLERATED_STATUS_LINE.fullmatch(line)
    return b"HTTP/%s %s" % (match["version"] or b"1.0", match["status"]) if match else line


def _fields(lines: list[bytes]) -> list[bytes]:
    fields: list[bytes] = []
    dropped = True  # there is no field yet that could be continued
    for line in lines:
        if line.startswith((b" ", b"\t")):
            field = None if dropped else _NOT_IN_VALUE.sub(b" ", line)
        elif line:
            field = _field(line)
            dropped = field is None
        else:
            field = None
        if field is not None:
            fields.append(field)
    return fields


def _field(line: bytes) -> bytes | None:
    """Return a line with a name and a value as h11 reads it, None for any other."""
    match = _FIELD.fullmatch(line)
    return match["name"] + b":" + _NOT_IN_VALUE.sub(b" ", match["value"]) if match else None
