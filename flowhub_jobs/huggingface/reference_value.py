"""HubRef, a reference to a repository of the Hub: `hf:[datasets/]owner/repo[@revision][:QUANT or /path]`. Pure.

A `/` of a branch's name is written `%2F` in a reference. `refs/pr/N` and `refs/convert/NAME` may keep theirs, as in the
Hub's own URIs (huggingface_hub, `utils/_hf_uris`); a path keeps its slashes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.net.redaction import public_url
from flowhub_jobs.values.enums import RepoKind

_SPECIAL = r"refs/(?:pr/[0-9]+|convert/[^/:@]+)"  # the only revisions of the Hub whose slashes are never escaped
_PARTS = re.compile(
    r"(?P<repo>[^/@:]+(?:/[^/@:]+)?)"
    rf"(?:@(?P<revision>{_SPECIAL}(?=[:/]|$)|[^:]+(?=:[^/:]+$)|[^/:]+))?"
    r"(?::(?P<quant>[^/:]+)|/(?P<path>.+))?",
    re.DOTALL,
)
_SPECIAL_FIRST = re.compile(rf"(?P<revision>{_SPECIAL})(?:/(?P<path>.*))?", re.DOTALL)
_NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")  # huggingface_hub, `REPO_ID`
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TAKEN = re.compile(r",(include|exclude)=")
_PLAIN = re.compile(r"[^\x00-\x20\x7f\\]+")

_KINDS = {"models": RepoKind.MODEL, "datasets": RepoKind.DATASET}
_OTHER_KINDS = {"spaces": "Spaces", "buckets": "buckets", "kernels": "kernels"}
_NO_REPO = {
    "api",
    "models",
    "datasets",
    "docs",
    "collections",
    "papers",
    "blog",
    "settings",
    "organizations",
    "login",
    "join",
}
READINGS_MAX = 4  # other ways to split a revision from a path
_EXAMPLE = "Write hf:owner/repo, hf:owner/repo:Q4_K_M or hf:owner/repo/path/of/a.file, or paste the model's link."


@dataclass(frozen=True, slots=True)
class HubRef:
    """All of a repository, the files of a quant, or the file or folder at a path.

    `include` and `exclude` are globs over the paths of its files.
    """

    repo: str
    revision: str = "main"
    quant: str | None = None
    path: str | None = None
    include: tuple[str, ...] = field(default=())
    exclude: tuple[str, ...] = field(default=())
    kind: RepoKind = RepoKind.MODEL

    @property
    def text(self) -> str:
        """Return the canonical form, which `parse_hub_ref` reads back."""
        kind = "datasets/" if self.kind is RepoKind.DATASET else ""
        revision = "" if self.revision == "main" else f"@{quote(self.revision, safe='')}"
        files = f":{self.quant}" if self.quant else f"/{_quoted(self.path)}" if self.path else ""
        globs = [("include", glob) for glob in self.include] + [("exclude", glob) for glob in self.exclude]
        return f"hf:{kind}{self.repo}{revision}{files}" + "".join(f",{name}={_quoted(glob)}" for name, glob in globs)

    @property
    def title(self) -> str:
        """Return the repository's name with its kind, for use in a sentence."""
        return f"data set {self.repo}" if self.kind is RepoKind.DATASET else f"repository {self.repo}"


def parse_short(text: str, rest: str) -> HubRef:
    """Read `[datasets/]owner/repo[@revision][:QUANT or /path][,include=GLOB…]`; `text` is shown in messages."""
    repo_part, *globs = _TAKEN.split(rest)
    kind, repo_part = split_kind(text, repo_part)
    if repo_part.count("/") > 1 and repo_part.endswith("/"):
        repo_part = repo_part.removesuffix("/")
    parts = _PARTS.fullmatch(repo_part)
    # After a single name, a slash begins the second name: a path of such a repository follows its revision.
    if parts is None or (parts["path"] and "/" not in parts["repo"] and not parts["revision"]):
        raise bad_reference(text, "is not a reference to a repository of the Hub")
    by_word = list(zip(globs[::2], map(unquote, globs[1::2]), strict=True))
    return checked(
        text,
        HubRef(
            parts["repo"],
            unquote(parts["revision"] or "main"),
            parts["quant"],
            unquote(parts["path"].strip("/")) or None if parts["path"] else None,
            tuple(glob for name, glob in by_word if name == "include"),
            tuple(glob for name, glob in by_word if name == "exclude"),
            kind,
        ),
    )


def split_kind(text: str, repo_part: str) -> tuple[RepoKind, str]:
    """Return the kind that the first word names, and the rest. Raises UsageInvalid for unsupported kinds."""
    first, slash, rest = repo_part.partition("/")
    prefix = first.lower()
    if other := _OTHER_KINDS.get(prefix):
        raise UsageInvalid(
            f"{_quoted_public(text)} is of the Hub's {other}; flowhub downloads models and data sets.", hint=_EXAMPLE
        )
    if slash and prefix in _KINDS and (prefix == "datasets" or "/" in rest):
        return _KINDS[prefix], rest
    if first in _NO_REPO:
        raise bad_reference(text, "is a page of the Hub, but not a model's")
    return RepoKind.MODEL, repo_part


def at_revision(parts: list[str]) -> tuple[str, str | None]:
    """Return revision and path of the decoded parts of a link, from the parts after `tree`, `blob` and the like."""
    if special := _SPECIAL_FIRST.fullmatch("/".join(parts)):
        return special["revision"], special["path"] or None
    return (parts[0], "/".join(parts[1:]) or None) if parts else ("main", None)


def other_readings(ref: HubRef) -> Iterator[HubRef]:
    """Yield the readings in which slashes after `@` belong to a branch's name and not to a path.

    `hf:o/r@feature/x` is the file `x` at `feature`, or all of `feature/x`: only the Hub can tell.
    """
    if ref.path is None or ref.revision == "main" or _COMMIT.fullmatch(ref.revision) or "/" in ref.revision:
        return
    parts = ref.path.split("/")
    for count in range(1, min(len(parts), READINGS_MAX) + 1):
        revision = "/".join([ref.revision, *parts[:count]])
        yield replace(ref, revision=revision, path="/".join(parts[count:]) or None)


def checked(text: str, ref: HubRef) -> HubRef:
    """Return `ref`. Raises UsageInvalid if a part of it cannot exist on the Hub."""
    names = ref.repo.split("/")
    if not all(_NAME.fullmatch(name) for name in names) or len(names) > 2:
        raise bad_reference(text, "names no repository of the Hub")
    for part in (ref.revision, ref.quant, ref.path, *ref.include, *ref.exclude):
        if part is not None and not _is_sound(part):
            raise bad_reference(text, f"asks for {part[:60]!a}, which cannot be a branch, a quant or a file")
    return ref


def _is_sound(text: str) -> bool:
    """Return whether it may be part of a URL: a path with spaces may, one with `..` may not."""
    return bool(_PLAIN.fullmatch(text.replace(" ", "_"))) and not {"", ".", ".."} & set(text.rstrip("/").split("/"))


def bad_reference(text: str, why: str) -> UsageInvalid:
    return UsageInvalid(f"{_quoted_public(text)} {why}.", hint=_EXAMPLE)


def _quoted_public(text: str) -> str:
    return repr(public_url(text)[:200])


def _quoted(path: str | None) -> str:
    return quote(path or "", safe="/@:+=()!'~*&$[]?")
