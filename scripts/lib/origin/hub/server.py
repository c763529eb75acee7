"""A Hub-shaped origin on loopback. It needs nothing but Python.

Two ports, as with the real Hub: the hub itself answers resolve URLs, and large files are on a CDN behind a signed
address that expires.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlencode

from lib.origin.answer import Answer, Request, content_answer, text_answer
from lib.origin.flow import Bucket
from lib.origin.hub.api import INFO, TREE, Facts, info_answer, models_answer, tree_answer
from lib.origin.hub.repositories import Access, HubFile, Key, Refusal, Repositories, cdn_path, commit_of
from lib.origin.server import OriginServer

RESOLVE = re.compile(r"/(?P<repo>(?:datasets/)?[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
SMALL = re.compile(
    r"/api/resolve-cache/models/(?P<repo>(?:datasets/)?[^/]+(?:/[^/]+)?)/(?P<revision>[0-9a-f]{40})/(?P<path>.+)"
)


class Front(OriginServer):
    """The port of the hub itself: it describes files, redirects to large ones, and serves small ones."""

    hub: "HubOrigin"

    def answer(self, request: Request) -> Answer:
        for shape, answer in ((RESOLVE, self._resolve), (SMALL, self._small)):
            if match := shape.fullmatch(request.path):
                return self._found(request, answer, *(unquote(part) for part in match.groups()))
        if request.path == "/api/models":
            return models_answer(self.hub.repositories, self.hub.facts, request, self.address)
        for shape in (TREE, INFO):
            if match := shape.fullmatch(request.path):
                return self._listed(request, shape is TREE, *(part and unquote(part) for part in match.groups()))
        return text_answer(404, "Not Found")

    def _listed(self, request: Request, tree: bool, repo: str, revision: str | None) -> Answer:
        hub = self.hub
        exists = hub.repositories.has_repo(repo) or repo in hub.facts.about
        bearer = request.headers.get("authorization")
        if moved := hub.facts.moved(request, repo):
            return moved
        if refusal := hub.facts.refusal(repo) or hub.access.refusal(repo, exists, bearer, listing=True):
            return refusal.answer()
        if tree:
            return tree_answer(hub.repositories, hub.facts, repo, revision, request, self.address)
        return info_answer(
            hub.repositories, hub.facts, repo, revision, request, repo in hub.access.gated | hub.access.unaccepted
        )

    def _found(self, request: Request, answer: Any, repo: str, revision: str, path: str) -> Answer:
        repositories = self.hub.repositories
        if moved := self.hub.facts.moved(request, repo):
            return moved
        refusal = self.hub.facts.refusal(repo) or self.hub.access.refusal(
            repo, repositories.has_repo(repo), request.headers.get("authorization")
        )
        file_or_error = refusal or repositories.find(repo, revision, path)
        if isinstance(file_or_error, Refusal):
            return file_or_error.answer()
        response: Answer = answer(request, file_or_error, repo, repositories.branch(repo, revision), path)
        return response.with_headers(X_Repo_Commit=commit_of(repo, repositories.branch(repo, revision) or revision))

    def _resolve(self, request: Request, file: HubFile, repo: str, revision: str, path: str) -> Answer:
        if not file.lfs:
            target = f"/api/resolve-cache/models/{repo}/{commit_of(repo, revision)}/{quote(path)}"
            target += f"?{quote(request.path, safe='')}=&etag=%22{file.oid}%22"
            moved = text_answer(307, f"Temporary Redirect. Redirecting to {target}", Location=target)
            return moved.with_headers(ETag=f'"{file.oid}"', Accept_Ranges="bytes")
        target = self.hub.cdn.signed(cdn_path(repo, file))
        moved = text_answer(302, f"Found. Redirecting to {target}", Location=target)
        api, xet = f"{self.address}/api/models/{repo}/xet-read-token/{commit_of(repo, revision)}", xet_hash(file)
        links = f'<{api}>; rel="xet-auth", <{self.address}/v1/reconstructions/{xet}>; rel="xet-reconstruction-info"'
        linked, limit = f'"{file.digest}"', '"resolvers";r=2999;t=290'
        moved = moved.with_headers(X_Linked_ETag=linked, X_Linked_Size=str(file.content.size), Accept_Ranges="bytes")
        return moved.with_headers(X_Xet_Hash=xet, Link=links, RateLimit=limit)

    def _small(self, request: Request, file: HubFile, repo: str, revision: str, path: str) -> Answer:
        return content_answer(request, file.content, f'"{file.oid}"', {"Content-Type": "text/plain"})


class Cdn(OriginServer):
    """The port of the large files: a valid signature is enough, without a sign-in."""

    hub: "HubOrigin"
    _secret = secrets.token_bytes(16)

    def signed(self, path: str) -> str:
        """Return an address of this path that is valid for the hub's `expires_s`."""
        expires = str(int(time.time() + self.hub.expires_s))
        query = {"Expires": expires, "Signature": self._signature(path, expires), "Key-Pair-Id": "K0"}
        return f"{self.address}{path}?{urlencode(query)}"

    def forget_signatures(self) -> None:
        self._secret = secrets.token_bytes(16)

    def answer(self, request: Request) -> Answer:
        if not self._honoured(request):
            return text_answer(403, "<Error><Code>AccessDenied</Code></Error>", "application/xml")
        repositories = self.hub.repositories.files.items()
        file = next(
            (file for (repo, _, _), file in repositories if file.lfs and cdn_path(repo, file) == request.path), None
        )
        if file is None:
            return text_answer(404, "<Error><Code>NoSuchKey</Code></Error>", "application/xml")
        if self.hub.plain_max is not None and file.content.size > self.hub.plain_max:
            return text_answer(400, "Bad Request")
        return content_answer(request, file.content, f'"{xet_hash(file)}"', {})

    def _honoured(self, request: Request) -> bool:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        expires = query.get("Expires", "0")
        right = hmac.compare_digest(query.get("Signature", ""), self._signature(request.path, expires))
        return right and time.time() < int(expires)

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._secret, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()


def xet_hash(file: HubFile) -> str:
    """Return 64 hex digits that look like a sha256 and are none, as in the ETags of the CDN."""
    return hashlib.sha256(f"xet:{file.digest}".encode()).hexdigest()


class HubOrigin:
    """Both ports, with one rate limit. `front` and `cdn` are OriginServers with their own counts.

    `expires_s` is the validity of a signed address; `expire_links` ends all at once. `facts` describe its repos, and
    can be changed at any time, as `access` can.
    """

    front_class: type[Front] = Front
    cdn_class: type[Cdn] = Cdn

    def __init__(
        self,
        files: Mapping[Key, HubFile],
        *,
        rate_bps: float | None = None,
        expires_s: float = 3600,
        gated: Collection[str] = (),
        unaccepted: Collection[str] = (),
        private: Collection[str] = (),
        token: str | None = None,
    ) -> None:
        self.repositories = Repositories(files)
        self.access = Access(token, set(gated), set(unaccepted), set(private))
        self.facts = Facts()
        self.expires_s = expires_s
        self.plain_max: int | None = None  # bytes; of a larger file the CDN answers 400 (huggingface_hub #4330)
        self.total = Bucket(rate_bps)
        self.front = self.front_class(total=self.total)
        self.cdn = self.cdn_class(total=self.total)
        self.front.hub = self.cdn.hub = self

    @property
    def endpoint(self) -> str:
        """Return the value for HF_ENDPOINT."""
        return self.front.address

    def url(self, repo: str, path: str, revision: str = "main") -> str:
        return f"{self.endpoint}/{repo}/resolve/{quote(revision, safe='')}/{quote(path)}"

    def sent(self, repo: str | None = None, path: str | None = None) -> int:
        """Return body bytes sent of one file (all revisions), of one repo, or of everything, redirects included."""
        if repo is None:
            return self.front.sent() + self.cdn.sent()
        places = {
            place for key, file in self.repositories.files.items() for place in self._places(key, file, repo, path)
        }
        return sum(server.sent(place) for server, place in places)

    def _places(self, key: Key, file: HubFile, repo: str, path: str | None) -> Iterator[tuple[OriginServer, str]]:
        if key[0] != repo or path not in (None, key[2]):
            return
        if file.lfs:
            yield self.cdn, cdn_path(repo, file)
        else:
            yield self.front, f"/api/resolve-cache/models/{repo}/{commit_of(repo, key[1])}/{quote(key[2])}"

    @property
    def leaked_tokens(self) -> list[str]:
        """Return all Authorization headers that reached the CDN; there should be none."""
        headers = (request.headers.get("authorization") for request in self.cdn.requests())
        return [value for value in headers if value is not None]

    def limit(self, *, total_bps: float | None = None) -> None:
        self.total.set_rate(total_bps)

    def expire_links(self) -> None:
        """Invalidate all signed addresses so far."""
        self.cdn.forget_signatures()

    def close(self) -> None:
        self.front.close()
        self.cdn.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
