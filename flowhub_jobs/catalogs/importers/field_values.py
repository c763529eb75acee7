"""Parsers of single values in catalogs of other formats: names, sizes, digests, labels. Pure; unknown is None."""

import html
import re
import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

from flowhub_jobs.fs.names import is_unseen
from flowhub_jobs.values.sha256_text import parse_sha256

ID_MAX = 100
TITLE_MAX = 200
TEXT_MAX = 4000

_NOT_OF_AN_ID = re.compile(r"[^a-z0-9._]+")
_HEX = re.compile(r"[0-9a-fA-F]+")
_QUANT = re.compile(
    r"(?<![A-Za-z0-9])("
    r"(?:UD-)?(?:I?Q[1-8]_(?:K_)?(?:XXS|XS|XXL|XL|NL|[SMLP])|Q[1-8]_K|Q[4-8]_[01](?:_[48]_[48])?|TQ[12]_0)"
    r"|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32|FP32"
    r")(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_PARAMETERS = re.compile(
    r"(?<![A-Za-z0-9.])((?:[0-9]{1,2}x)?[0-9]{1,4}(?:\.[0-9]{1,3})?)\s*(b|m|billion|million)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_PART = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})$")
_ENDS = re.compile(r"[.!?:;,]$")


def slug(text: str) -> str:
    """Return an id of at most 100 characters: lower case, accents dropped, what no id holds made one hyphen."""
    ascii_text = unicodedata.normalize("NFKD", text[: 4 * ID_MAX]).encode("ascii", "ignore").decode().lower()
    return _NOT_OF_AN_ID.sub("-", ascii_text).strip("-._")[:ID_MAX].rstrip("-._") or "model"


class Ids:
    """The ids in use, and for each the number for its next duplicate, so that many equal names cost no search each."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._numbers: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._taken

    def free(self, name: str) -> str:
        """Return `name`, or the first of `name-2`, `name-3` … that is not taken."""
        number, candidate = self._numbers.get(name, 2), name
        while candidate in self._taken:
            self._numbers[name] = number
            candidate, number = f"{name}-{number}", number + 1
        return candidate

    def take(self, name: str) -> None:
        self._taken.add(name)


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; none for any other value."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


# Texts ---------------------------------------------------------------------------------------------------------------


def title(value: Any) -> str | None:
    """Return a text of one line, at most 200 characters; None for an empty text or any other value."""
    return " ".join(_plain(value).split())[:TITLE_MAX].rstrip() or None


def prose(value: Any) -> str | None:
    """Return a text of paragraphs, at most 4000 characters."""
    lines = (" ".join(line.split()) for line in _plain(value).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()[:TEXT_MAX].rstrip() or None


def words(value: Any, most: int = 40) -> list[str]:
    """Return the texts of a list, each once and of one line."""
    titles = [title(one) for one in value[: 4 * most]] if isinstance(value, list) else []
    return list(dict.fromkeys(text for text in titles if text))[:most]


def _plain(value: Any) -> str:
    """Return a text without control sequences and invisible characters; line ends stay."""
    if not isinstance(value, str):
        return ""
    text = value[: 8 * TEXT_MAX].replace("\t", " ").replace("\r\n", "\n").replace("\r", "\n")
    if text.isprintable():
        return text
    return "".join(one for one in text if one == "\n" or not is_unseen(one))


class _Items(HTMLParser):
    """Collects the texts of an HTML fragment: one a block (`li`, `p`, `br` …)."""

    _BLOCKS = frozenset({"li", "p", "br", "ul", "ol", "div", "tr", "h1", "h2", "h3", "h4"})
    _SILENT = frozenset({"script", "style"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.items = [""]
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.silent += tag in self._SILENT
        if tag in self._BLOCKS:
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in self._SILENT and self.silent > 0
        if tag in self._BLOCKS:
            self.items.append("")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.items[-1] += data


def html_items(value: Any) -> list[str]:
    """Return the items and paragraphs of an HTML text, without markup."""
    if not isinstance(value, str):
        return []
    reader = _Items()
    reader.feed(value[: 8 * TEXT_MAX])
    reader.close()
    return words([html.unescape(item) for item in reader.items], most=100)


def sentences(items: list[str]) -> str | None:
    """Return items as running text: each ends with a full stop."""
    return prose(" ".join(item if _ENDS.search(item) else f"{item}." for item in items))


# Figures -------------------------------------------------------------------------------------------------------------


def size(value: Any) -> int | None:
    """Return bytes, from a number or its digits; None for 0, which some catalogs write for unknown."""
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        value = int(value)
    is_size = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 10**16
    return value if is_size else None


def figure(value: Any) -> float | None:
    """Return a number above 0, from a number or its text."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < 1e6 else None


def sha256(value: Any) -> str | None:
    """Return a digest in lower case if it is a sha256, however written. An md5 (32 digits) never passes as one."""
    return parse_sha256(value) if isinstance(value, str) else None


def is_md5(value: Any) -> bool:
    return isinstance(value, str) and len(value.strip()) == 32 and _HEX.fullmatch(value.strip()) is not None


def parameters(value: Any) -> str | None:
    """Return "7B", "1.5B", "137M", "8x7B", from "7B", "8 billion", or a name that says it; the largest of several."""
    counts = (
        [_counted(*match.groups()) for match in _PARAMETERS.finditer(value[:400])] if isinstance(value, str) else []
    )
    return max(counts)[1] if counts else None


def _counted(number: str, unit: str) -> tuple[float, str]:
    experts, _, size = number.lower().rpartition("x")
    unit = unit[0].upper()
    worth = float(size) * (float(experts) if experts else 1) * (1000 if unit == "B" else 1)
    return worth, f"{number.lower()}{unit}"


# File names ----------------------------------------------------------------------------------------------------------


def quantization(text: Any) -> str | None:
    """Return the label that a file's name (or a field) holds, in capitals: Q4_K_M, IQ4_XS, F16; the last of several."""
    labels = _QUANT.findall(text[:400]) if isinstance(text, str) else []
    return labels[-1].upper().removeprefix("UD-").replace("FP16", "F16").replace("FP32", "F32") if labels else None


def stem(name: str) -> str:
    return name.rpartition(".")[0] if "." in name else name


def suffix(name: str) -> str:
    """Return the text after the last dot, in lower case."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def part_of(name: str) -> tuple[str, int, int] | None:
    """Return (base, number, count) of a part of a split file, `base-00001-of-00003.gguf`."""
    match = _PART.match(stem(name))
    return (match[1], int(match[2]), int(match[3])) if match else None
