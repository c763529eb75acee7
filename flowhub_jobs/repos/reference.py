"""References to repositories of the Hub: `hf:owner/repo[@revision][:QUANT or /path]`, and pasted links. Pure.

In a reference and in a link, a `/` of a branch's name is written %2F; a path keeps its slashes.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote

from flowhub_jobs.addresses import HUB, origin, public_url
from flowhub_jobs.errors import AddressRefused, UsageInvalid

_SHORT = re.compile(r"(?:hf|huggingface):(?://)?(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r"(?is)(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)(?::443)?(?:/(?P<rest>.*))?$")
_PARTS = re.compile(
    r"(?P<repo>[^/@:]+(?:/[^/@:]+)?)(?:@(?P<revision>[^/:]+))?(?::(?P<quant>[^/:]+)|/(?P<path>.+))?", re.DOTALL
)
_NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")  # huggingface_hub, `REPO_ID`
_TAKEN = re.compile(r",(include|exclude)=")
_PLAIN = re.compile(r"[^\x00-\x20\x7f\\]+")

_PAGES = {"tree", "blob", "raw", "resolve", "commit"}  # of a repository, by the word behind its name
_OTHER_KINDS = {"datasets": "data sets", "spaces": "Spaces"}
_EXAMPLE = "Write hf:owner/repo, hf:owner/repo:Q4_K_M or hf:owner/repo/path/of/a.file, or paste the model's link."


@dataclass(frozen=True, slots=True)
class HubRef:
    """What was asked for: all of a repository, the files of a quant, or what lies at a path.

    `include` and `exclude` are globs over the paths of its files.
    """

    repo: str
    revision: str = "main"
    quant: str | None = None
    path: str | None = None
    include: tuple[str, ...] = field(default=())
    exclude: tuple[str, ...] = field(default=())

    @property
    def text(self) -> str:
        """Return the one way to write it, which `parse_hub` reads back."""
        at = "" if self.revision == "main" else f"@{quote(self.revision, safe='')}"
        what = f":{self.quant}" if self.quant else f"/{_quoted(self.path)}" if self.path else ""
        globs = [("include", glob) for glob in self.include] + [("exclude", glob) for glob in self.exclude]
        return f"hf:{self.repo}{at}{what}" + "".join(f",{word}={_quoted(glob)}" for word, glob in globs)


def parse_hub(text: str, endpoint: str = HUB) -> HubRef | None:
    """Return what a reference to the Hub asks for; None if it is none, or the URL of a file (`…/resolve/…`).

    Links at `endpoint`, which stands in for the Hub, count too. Raises UsageInvalid.
    """
    text = text.strip()
    if found := _SHORT.fullmatch(text):
        return _short(text, found["rest"])
    if found := _LINK.match(text):
        return _link(text, found["rest"] or "")
    rest = _at_endpoint(text, endpoint)
    return None if rest is None else _link(text, rest)


def _short(text: str, rest: str) -> HubRef:
    """Read `owner/repo[@revision][:QUANT or /path][,include=GLOB…]`."""
    named, *globs = _TAKEN.split(rest)
    found = _PARTS.fullmatch(named)
    # After one name alone a slash begins the second: a path of such a repository stands behind its revision.
    if found is None or (found["path"] and "/" not in found["repo"] and not found["revision"]):
        raise _bad(text, "is no reference to a repository of the Hub")
    _check_kind(text, found["repo"].split("/"))
    by_word = list(zip(globs[::2], map(unquote, globs[1::2]), strict=True))
    return _checked(
        text,
        HubRef(
            found["repo"],
            unquote(found["revision"] or "main"),
            found["quant"],
            unquote(found["path"].strip("/")) or None if found["path"] else None,
            tuple(glob for word, glob in by_word if word == "include"),
            tuple(glob for word, glob in by_word if word == "exclude"),
        ),
    )


def _link(text: str, rest: str) -> HubRef | None:
    """Read the path, query and fragment of a link to a model's page."""
    path, _, query = rest.partition("#")[0].partition("?")
    parts = [unquote(part) for part in path.strip("/").split("/")]
    _check_kind(text, parts)
    words = next((at for at in (2, 1) if len(parts) > at and parts[at] in _PAGES), None)
    if words is None:
        return _short(text, path.strip("/"))
    repo, word, at = "/".join(parts[:words]), parts[words], parts[words + 1 :]
    if word == "resolve" and len(at) > 1 and "://" in text:
        return None
    # Who looks into a file of a folder has its name in the query.
    shown = parse_qs(query).get("show_file_info", [None])[-1]
    return _checked(text, HubRef(repo, at[0] if at else "main", path=shown or "/".join(at[1:]) or None))


def _at_endpoint(text: str, endpoint: str) -> str | None:
    """Return what stands behind the endpoint in a link to one of its pages, else None."""
    base = endpoint.rstrip("/")
    try:
        if not text.lower().startswith(("http://", "https://")) or origin(text) != origin(base):
            return None
    except AddressRefused:
        return None
    rest = text[len(base) :].lstrip("/") if text.startswith(base + "/") else ""
    parts = re.split(r"[?#]", rest)[0].strip("/").split("/")
    # Of another server's addresses only those that look like the Hub's: it may serve plain files beside them.
    is_page = any(part in _PAGES for part in parts[1:3]) or (len(parts) == 2 and "." not in parts[0])
    return rest if is_page and rest else None


def _check_kind(text: str, parts: list[str]) -> None:
    if kind := _OTHER_KINDS.get(parts[0].lower()):
        raise UsageInvalid(f"{_shown(text)} is of the Hub's {kind}; flowhub fetches models.", hint=_EXAMPLE)
    if parts[0] in ("api", "models", "docs", "collections", "papers", "blog", "settings"):
        raise _bad(text, "is a page of the Hub, but not a model's")


def _checked(text: str, ref: HubRef) -> HubRef:
    names = ref.repo.split("/")
    if not all(_NAME.fullmatch(name) for name in names) or len(names) > 2:
        raise _bad(text, "names no repository of the Hub")
    for what in (ref.revision, ref.quant, ref.path, *ref.include, *ref.exclude):
        if what is not None and not _sound(what):
            raise _bad(text, f"asks for {what[:60]!a}, which cannot be a branch, a quant or a file")
    return ref


def _sound(text: str) -> bool:
    """Return whether it may go into an address: a path with spaces may, one that climbs may not."""
    return bool(_PLAIN.fullmatch(text.replace(" ", "_"))) and not {"", ".", ".."} & set(text.rstrip("/").split("/"))


def _bad(text: str, why: str) -> UsageInvalid:
    return UsageInvalid(f"{_shown(text)} {why}.", hint=_EXAMPLE)


def _shown(text: str) -> str:
    return repr(public_url(text)[:200])


def _quoted(path: str | None) -> str:
    return quote(path or "", safe="/@:+=()!'~*&$[]?")
