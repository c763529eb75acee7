"""Repairs the head of a response so that h11 can read it: it tolerates what other clients tolerate. Pure.

h11 refuses a response for one malformed line of its head; curl, browsers and requests ignore that line.
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


def readable_head(head: bytes) -> bytes:
    """Return a complete head, with its empty line, as h11 reads it; the same object if it is well-formed.

    RFC 9112: white space between a field's name and its colon is removed (section 5.1). RFC 9110, section 5.5: NUL and
    CR in a value become spaces. A line that is no field is dropped, with the lines that continue it.
    """
    if _WELL_FORMED.fullmatch(head):
        return head
    first, *lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
    readable = [_status_line(first), *_fields(lines)]
    if readable == [first, *lines[:-2]]:  # the last two are the empty line and what follows it
        return head
    return b"\r\n".join([*readable, b"", b""])


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
