"""Lists the files of ModelScope's repositories, and gives the address of a file by its sha256.

Paths and JSON as modelscope_hub 0.5 uses them (`_legacy_api.py`). The bytes of a model may have another commit and
another branch there than at the Hub: only the digest tells that a file is the same.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from flowhub_jobs.errors import MirrorUnfit
from flowhub_jobs.net.get import Document, get
from flowhub_jobs.net.status_errors import status_error
from flowhub_jobs.net.urls import host_of

ENDPOINT = "https://modelscope.cn"
BRANCH = "master"  # the default branch; the Hub's `main` does not exist there
LISTING_MAX = 16_000_000  # bytes; the server ends a listing after 3,000 files
LISTING_S = 20.0
TRIES = 3  # now and then a listing is refused (403) that is not refused the next time
CONNECTIONS_MAX = 8  # with sixteen connections the site was seen to send nothing

_HUB_FILE = re.compile(r"/(?P<repo>[^/?#]+/[^/?#]+)/resolve/[^/?#]+/(?P<path>[^?#]+)")


def repository_and_path(rest: str) -> tuple[str, str] | None:
    """Return `OWNER/NAME` and the path of a model's file from what follows the host of a Hub's resolve URL."""
    match = _HUB_FILE.match(rest)
    if match is None or match["repo"].startswith(("datasets/", "spaces/")):
        return None
    return unquote(match["repo"]), unquote(match["path"])


@dataclass(slots=True)
class RepositoryFiles:
    """The listings of repositories at `endpoint`, each requested once. Thread-safe."""

    endpoint: str = ENDPOINT
    connect_s: float = 10.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _listings: dict[str, Mapping[str, str] | MirrorUnfit] = field(default_factory=dict, repr=False)

    def url_of(self, repo: str, path: str, sha256: str) -> str:
        """Return the URL of the file with this sha256: at `path`, or at another path of the repository.

        Raises MirrorUnfit if the repository does not exist, or has no such file; the errors of `get` and
        `status_error`.
        """
        with self._lock:  # all files of a repository wait for its one listing
            digests = self._digests(repo)
        if digests.get(path) != sha256:
            matching = (other for other, digest in digests.items() if digest == sha256)
            path = next(matching, "")
        if not path:
            host = host_of(self.endpoint)
            raise MirrorUnfit(f"{host} has no file of this sha256 in {repo}.", host=host)
        return f"{self.endpoint}/api/v1/models/{quote(repo)}/repo?Revision={BRANCH}&FilePath={quote_plus(path)}"

    def _digests(self, repo: str) -> Mapping[str, str]:
        """Return the sha256 of each file by path."""
        listing = self._listings.get(repo)
        if listing is None:
            try:
                listing = self._request(repo)
            except MirrorUnfit as error:
                listing = error
            self._listings[repo] = listing
        if isinstance(listing, MirrorUnfit):
            raise MirrorUnfit(listing.message, host=listing.host)
        return listing

    def _request(self, repo: str) -> Mapping[str, str]:
        # `Recursive` with a capital, and `True` too: written otherwise, the server ignores it.
        url = f"{self.endpoint}/api/v1/models/{quote(repo)}/repo/files?Revision={BRANCH}&Recursive=True"
        host = host_of(url)
        answer = self._get(url)
        for _ in range(TRIES - 1):
            if answer.status != 403:
                break
            answer = self._get(url)
        if answer.status in (401, 403, 404):
            raise MirrorUnfit(f"{host} has no repository {repo} that all may read (status {answer.status}).", host=host)
        if answer.status != 200:
            raise status_error(
                answer.status, answer.headers, host=host, fresh=True, home=True, had_token=False, now=datetime.now(UTC)
            )
        return dict(_files_in(answer.body, repo, host))

    def _get(self, url: str) -> Document:
        # The files' digests are known: a plain http endpoint can only lead to bytes that are refused.
        return get(url, max_bytes=LISTING_MAX, total_s=LISTING_S, connect_s=self.connect_s, pinned=True)


def _files_in(body: bytes, repo: str, host: str) -> Iterator[tuple[str, str]]:
    """Yield path and sha256 of each file of a listing. An error may come with status 200, and `Success` false."""
    try:
        answer: Any = json.loads(body)
        if answer["Success"] is not True:
            raise MirrorUnfit(f"{host} has no repository {repo} (code {str(answer.get('Code'))[:20]}).", host=host)
        for file in answer["Data"]["Files"] or ():
            if isinstance(file.get("Sha256"), str) and isinstance(file.get("Path"), str) and file["Sha256"]:
                yield file["Path"], file["Sha256"].lower()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MirrorUnfit(f"{host} did not return a list of files.", host=host) from None
