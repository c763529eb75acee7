"""Links to the Hub's pages, as the address bar and the copy buttons have them. Pure.

The words behind a repository's name: hub-docs, and huggingface_hub, `utils/_hf_uris` (tree, blob, raw, resolve, blame).
"""

import re
from urllib.parse import parse_qs, quote, unquote

from flowhub_jobs.errors import AddressRefused
from flowhub_jobs.huggingface.reference import HubRef, at_revision, checked, parse_short, split_kind
from flowhub_jobs.net.urls import HUB, origin

_LINK = re.compile(r"(?is)(?P<scheme>https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)(?::443)?(?:/(?P<rest>.*))?$")
_AT_REVISION = {"tree", "blob", "raw", "resolve", "blame", "commit", "commits", "edit", "delete", "upload", "new"}
_ABOUT_ALL = {"discussions", "settings", "viewer"}  # pages that are about a repository, not about a file of it
_PAGES = _AT_REVISION | _ABOUT_ALL
_SPECIAL = re.compile(r"/resolve/(refs/(?:pr/[0-9]+|convert/[^/?#]+))/")
_PUNCTUATION = ".,;:!)]}'\""  # that of the sentence from which a link was copied
_PULL_REQUEST = re.compile(r"discussions/([0-9]+)/files")


def parse_link(text: str, endpoint: str) -> HubRef | None:
    """Return what a link to a page asks for; None if it is no such link, or the URL of a file. Raises UsageInvalid."""
    rest = _rest(text, endpoint)
    return None if rest is None or _file_parts(text, rest) else _read(text, rest)


def hub_file_url(url: str) -> str:
    """Return the URL of a file on the Hub as the Hub itself writes it; another URL comes back as it is.

    Its other host names only redirect to it, and there no token of the Hub's is sent.
    """
    found = _LINK.match(url)
    if not found or not found["scheme"]:
        return url
    return f"{HUB}/" + _SPECIAL.sub(lambda at: f"/resolve/{quote(at[1], safe='')}/", found["rest"] or "", count=1)


def _rest(text: str, endpoint: str) -> str | None:
    """Return what stands behind the host of a link to the Hub, or to what stands in for it."""
    if found := _LINK.match(text):
        return found["rest"] or ""
    return _at_endpoint(text, endpoint)


def _file_parts(text: str, rest: str) -> list[str] | None:
    """Return the parts of the path if the link is a file's URL (`…/resolve/…`, with a scheme)."""
    parts = _path(rest)
    at = next((at for at in (1, 2, 3) if len(parts) > at + 1 and parts[at] == "resolve"), None)
    fewest = 1 if parts[0] == "buckets" else 2  # a bucket has no revisions
    return parts if "://" in text and at is not None and len(parts) > at + fewest else None


def _path(rest: str) -> list[str]:
    return [unquote(part) for part in re.split(r"[?#]", rest, maxsplit=1)[0].strip("/").split("/")]


def _read(text: str, rest: str) -> HubRef:
    path, _, query = rest.partition("#")[0].partition("?")
    kind, named = split_kind(text, path.strip("/"))
    parts = [unquote(part) for part in named.split("/")]
    # A file that is looked into on the page of its folder is named in the query.
    shown = parse_qs(query).get("show_file_info", [None])[-1]
    words = next((at for at in (2, 1) if len(parts) > at and parts[at] in _PAGES), None)
    if words is None and shown is None:
        named = _without_copied_end(named)
        return parse_short(text, f"datasets/{named}" if kind == "dataset" else named)
    words = len(parts) if words is None else words
    revision, at_path = _behind(parts[words:])
    return checked(text, HubRef("/".join(parts[:words]), revision, path=shown or at_path, kind=kind))


def _without_copied_end(named: str) -> str:
    """Return `owner/repo[:QUANT]` without a sentence's punctuation and git's suffix, in which none of them ends.

    What has a path behind it comes back as it is: a file's name may end in anything.
    """
    bare = named.rstrip(_PUNCTUATION)
    return named if bare.count("/") > 1 or "," in bare else bare.removesuffix(".git")


def _behind(parts: list[str]) -> tuple[str, str | None]:
    """Return revision and path of what stands behind a repository's name."""
    if not parts or parts[0] in _ABOUT_ALL:
        request = _PULL_REQUEST.fullmatch("/".join(parts))
        return (f"refs/pr/{request[1]}" if request else "main"), None
    revision, path = at_revision(parts[1:])
    revision = revision if path else revision.rstrip(_PUNCTUATION)
    # The card is edited from the repository's page: that is the link of the whole.
    is_card = parts[0] == "edit" and path == "README.md"
    return revision, None if is_card or parts[0] in ("upload", "new", "commit") else path


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
    own = parts[1:] if parts[0] == "datasets" else parts
    # Of another server's addresses only those that look like the Hub's: it may serve plain files as well.
    is_page = any(part in _PAGES for part in own[1:3]) or (len(own) == 2 and "." not in own[0])
    return rest if is_page and rest else None
