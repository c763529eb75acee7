"""Parses YAML from its events into text, lists and objects: no Python object is constructed, and sizes are limited.

A value is a str, None, a list or a dict. Numbers, dates and tags stay text, because only the reader of a field knows
its type; but for the fields that the caller names as numbers.
Anchors are shared, not copied, and merge keys (https://yaml.org/type/merge.html) are honoured.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

import yaml

DEPTH_MAX = 50
BYTES_MAX = 30_000_000  # about twelve times LocalAI's index
WRITTEN_OUT_MAX = 200_000_000  # characters, if every alias and every merge were written out
_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE_TAG = "tag:yaml.org,2002:merge"
_TOO_DEEP = "nests lists or objects too deeply to be a catalog"
_EACH = 8  # characters that any value takes at least, with its indent and its dash


class NotYaml(ValueError):
    """The text is not YAML that can be read; the message says why."""


class _Merge:
    """The key `<<`; a quoted "<<" is a key like others."""


class _Open:
    """A list or an object that is still open; `size` is its length written out."""

    __slots__ = ("anchor", "items", "key", "kind", "merges", "size")

    def __init__(self, kind: type[list[Any]] | type[dict[str, Any]], anchor: str | None) -> None:
        self.kind, self.anchor = kind, anchor
        self.items: Any = kind()
        self.key: Any = _Open  # no key is waiting for its value
        self.merges: list[tuple[Any, int]] = []
        self.size = _EACH


def read_yaml(raw: bytes, *, numbers: Collection[str] = ()) -> Any:
    """Return the one document in `raw`. Raises NotYaml: no YAML, several documents, too deep, or a bomb.

    `numbers` are the fields whose value is a number where it is written as one, without quotes.
    """
    if len(raw) > BYTES_MAX:
        raise NotYaml(f"is {len(raw) // 1_000_000} MB of YAML; flowhub reads at most {BYTES_MAX // 1_000_000} MB")
    try:
        return _Builder(numbers).build(_events(raw))
    except yaml.YAMLError as fault:
        # libyaml's scanner, which reads ahead of its events, has its own depth limit since PyYAML 6.0.4.
        raise NotYaml(_TOO_DEEP if "nesting depth" in str(fault) else f"is not YAML: {_fault_text(fault)}") from None


def _events(raw: bytes) -> Iterator[Any]:
    """Return the parser's events: from libyaml where it is there, which is about ten times as fast."""
    return iter(yaml.parse(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _fault_text(fault: yaml.YAMLError) -> str:
    mark = getattr(fault, "problem_mark", None)
    problem = getattr(fault, "problem", None) or getattr(fault, "reason", None) or "its characters cannot be read"
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{problem}{where}"


class _Builder:
    """Puts values together, event by event. It does not recurse: a file cannot choose how deep Python's stack goes."""

    def __init__(self, numbers: Collection[str]) -> None:
        self.numbers = numbers
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}  # the value, and its length written out
        self.result: Any = None
        self.documents = 0

    def build(self, events: Iterator[Any]) -> Any:
        # The classes of events are exact: a dict is quicker than a row of isinstance.
        act = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.SequenceStartEvent: lambda event: self._begin(list, event),
            yaml.MappingStartEvent: lambda event: self._begin(dict, event),
            yaml.SequenceEndEvent: self._end,
            yaml.MappingEndEvent: self._end,
            yaml.DocumentStartEvent: self._document,
        }
        for event in events:
            if (do := act.get(type(event))) is not None:
                do(event)
        return self.result

    def _document(self, _event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise NotYaml("holds several YAML documents; a catalog is one")

    def _scalar(self, event: Any) -> None:
        value = event.value
        is_plain = event.tag is None and event.style in (None, "")  # not quoted, no block, no tag
        if self._is_key() and (event.tag == _MERGE_TAG or (is_plain and value == "<<")):
            self.open[-1].key = _Merge
        else:
            self._put(self._plain(value) if is_plain else value, _EACH + len(value), event.anchor)

    def _plain(self, text: str) -> Any:
        """Return the value of a scalar without quotes."""
        if text in _NULLS:
            return None
        if self.open and self.open[-1].key in self.numbers and _NUMBER.fullmatch(text):
            return float(text) if "." in text else int(text)
        return text

    def _is_key(self) -> bool:
        return bool(self.open) and self.open[-1].kind is dict and self.open[-1].key is _Open

    def _alias(self, event: Any) -> None:
        if any(one.anchor == event.anchor for one in self.open):
            raise NotYaml(f"has a value that holds itself (*{event.anchor[:40]})")
        if event.anchor not in self.anchors:
            raise NotYaml(f"names an anchor that it does not have (*{event.anchor[:40]})")
        self._put(*self.anchors[event.anchor], None)

    def _begin(self, kind: Any, event: Any) -> None:
        if len(self.open) >= DEPTH_MAX:
            raise NotYaml(_TOO_DEEP)
        self.open.append(_Open(kind, event.anchor))

    def _end(self, _event: Any) -> None:
        done = self.open.pop()
        for merged, size in done.merges:
            self._grow(done, size)
            done.items = _merged(done.items, merged)
        self._put(done.items, done.size, done.anchor)

    def _put(self, value: Any, size: int, anchor: str | None) -> None:
        """Put a finished value where it belongs: under its key, into its list, or at the top."""
        if anchor is not None:
            self.anchors[anchor] = (value, size)
        if not self.open:
            self.result = value
            return
        parent = self.open[-1]
        if parent.kind is list:
            parent.items.append(value)
        elif parent.key is _Open:
            parent.key = value if isinstance(value, str) else None
        elif parent.key is _Merge:
            parent.merges.append((value, size))
            parent.key = _Open
            return  # it is counted where it is merged
        else:
            if parent.key is not None:  # a list, an object or null as a key names no field
                parent.items[parent.key] = value
            parent.key = _Open
        self._grow(parent, size)

    def _grow(self, parent: _Open, size: int) -> None:
        parent.size += size
        if parent.size > WRITTEN_OUT_MAX:
            million = WRITTEN_OUT_MAX // 1_000_000
            raise NotYaml(f"grows beyond {million} million characters when its aliases are followed: it may be a bomb")


def _merged(own: dict[str, Any], merged: Any) -> dict[str, Any]:
    """Return `own` with the missing keys: from an object, or from the first of a list of objects that has them."""
    sources = merged if isinstance(merged, list) else [merged]
    if not all(isinstance(source, dict) for source in sources):
        raise NotYaml("has a merge key (<<) whose value is not an object")
    lacking: dict[str, Any] = {}
    for source in reversed(sources):
        lacking |= source
    return lacking | own
