"""Parser of references to the Hub: `hf:owner/repo…`, and links as the address bar and the copy buttons give them. Pure.

Path words of a link (tree, blob, raw, resolve, blame): hub-docs, and huggingface_hub, `utils/_hf_uris`.
"""

import re
from urllib.parse import parse_qs, quote, unquote

from flowhub_jobs.errors import AddressRefused
from flowhub_jobs.huggingface.reference_value import HubRef, at_revision, checked, parse_short, split_kind
from flowhub_jobs.net.urls import HUB, origin

_LINK = re.compile(r"(?is)(?P<scheme>https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)(?::443)?(?:/(?P<rest>.*))?$")
_AT_REVISION = {"tree", "blob", "raw", "resolve", "blame", "commit", "commits", "edit", "delete", "upload", "new"}
_ABOUT_ALL = {"discussions", "settings", "viewer"}  # pages about a repository, not about one of its files
_PAGES = _AT_REVISION | _ABOUT_ALL
_SHORT = re.compile(r"(?:hf|huggingface):(?://)?(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_OWNER = re.compile(
    r"(?:hf|huggingface):(?://)?(?!datasets/|models/|spaces/)(?P<owner>[A-Z0-9_](?:[A-Z0-9._-]{0,94}[A-Z0-9_])?)/",
    re.IGNORECASE | re.ASCII,
)
_SPECIAL = re.compile(r"/resolve/(refs/(?:pr/[0-9]+|convert/[^/?#]+))/")
_PUNCTUATION = ".,;:!)]}'\""  # of the sentence that a link was copied from
_PULL_REQUEST = re.compile(r"discussions/([0-9]+)/files")


def parse_hub_ref(text: str, endpoint: str = HUB) -> HubRef | None:
    """Return the meaning of a reference to the Hub; None if it is none, or the URL of a file (`…/resolve/…`).

    Links at `endpoint`, which stands in for the Hub, count too. Raises UsageInvalid.
    """
    text = text.strip()
    if short := _SHORT.fullmatch(text):
        return parse_short(text, short["rest"])
    return parse_link(text, endpoint)


def parse_owner(text: str) -> str | None:
    """Return the owner's name of `hf:owner/`, all of whose models are meant; None for any other text."""
    match = _OWNER.fullmatch(text.strip())
    return match["owner"] if match else None


def parse_link(text: str, endpoint: str) -> HubRef | None:
    """Return the meaning of a link to a page; None if it is no such link, or the URL of a file. Raises UsageInvalid."""
    rest = _after_host(text, endpoint)
    return None if rest is None or _file_parts(text, rest) else _parse_link(text, rest)


def hub_file_url(url: str) -> str:
    """Return the URL of a file on the Hub as the Hub itself writes it; another URL is returned unchanged.

    The Hub's other host names only redirect to it, and its token is not sent to them.
    """
    link = _LINK.match(url)
    if not link or not link["scheme"]:
        return url
    return f"{HUB}/" + _SPECIAL.sub(lambda at: f"/resolve/{quote(at[1], safe='')}/", link["rest"] or "", count=1)


def _after_host(text: str, endpoint: str) -> str | None:
    """Return the text after the host of a link to the Hub, or to `endpoint`; None for any other text."""
    if link := _LINK.match(text):
        return link["rest"] or ""
    return _at_endpoint(text, endpoint)


def _file_parts(text: str, rest: str) -> list[str] | None:
    """Return the parts of the path if the link is a file's URL (`…/resolve/…`, with a scheme)."""
    parts = _path(rest)
    at = next((at for at in (1, 2, 3) if len(parts) > at + 1 and parts[at] == "resolve"), None)
    fewest = 1 if parts[0] == "buckets" else 2  # a bucket has no revisions
    return parts if "://" in text and at is not None and len(parts) > at + fewest else None


def _path(rest: str) -> list[str]:
    return [unquote(part) for part in re.split(r"[?#]", rest, maxsplit=1)[0].strip("/").split("/")]


def _parse_link(text: str, rest: str) -> HubRef:
    path, _, query = rest.partition("#")[0].partition("?")
    kind, path_of_repo = split_kind(text, path.strip("/"))
    parts = [unquote(part) for part in path_of_repo.split("/")]
    # The query names a file that is shown on the page of its folder.
    previewed = parse_qs(query).get("show_file_info", [None])[-1]
    name_length = next((at for at in (2, 1) if len(parts) > at and parts[at] in _PAGES), None)
    if name_length is None and previewed is None:
        path_of_repo = _without_copied_end(path_of_repo)
        return parse_short(text, f"datasets/{path_of_repo}" if kind == "dataset" else path_of_repo)
    name_length = len(parts) if name_length is None else name_length
    revision, at_path = _revision_and_path(parts[name_length:])
    return checked(text, HubRef("/".join(parts[:name_length]), revision, path=previewed or at_path, kind=kind))


def _without_copied_end(reference: str) -> str:
    """Return `owner/repo[:QUANT]` without trailing punctuation of a sentence and without git's suffix.

    A reference with a path is returned unchanged: a file's name may end in anything.
    """
    trimmed = reference.rstrip(_PUNCTUATION)
    return reference if trimmed.count("/") > 1 or "," in trimmed else trimmed.removesuffix(".git")


def _revision_and_path(parts: list[str]) -> tuple[str, str | None]:
    """Return revision and path, from the parts after the repository's name."""
    if not parts or parts[0] in _ABOUT_ALL:
        request = _PULL_REQUEST.fullmatch("/".join(parts))
        return (f"refs/pr/{request[1]}" if request else "main"), None
    revision, path = at_revision(parts[1:])
    revision = revision if path else revision.rstrip(_PUNCTUATION)
    # The link to edit the model card is on the repository's page: it means the whole repository.
    is_card = parts[0] == "edit" and path == "README.md"
    return revision, None if is_card or parts[0] in ("upload", "new", "commit") else path


def _at_endpoint(text: str, endpoint: str) -> str | None:
    """Return the text after the endpoint in a link to one of its pages, else None."""
    base = endpoint.rstrip("/")
    try:
        if not text.lower().startswith(("http://", "https://")) or origin(text) != origin(base):
            return None
    except AddressRefused:
        return None
    rest = text[len(base) :].lstrip("/") if text.startswith(base + "/") else ""
    parts = re.split(r"[?#]", rest)[0].strip("/").split("/")
    repo_parts = parts[1:] if parts[0] == "datasets" else parts
    # Another server may serve plain files too: only addresses that look like the Hub's pages count.
    is_page = any(part in _PAGES for part in repo_parts[1:3]) or (len(repo_parts) == 2 and "." not in repo_parts[0])
    return rest if is_page and rest else None
