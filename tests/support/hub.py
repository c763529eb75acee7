"""The Hub-shaped origin of scripts/lib/origin/hub for tests: `add` fills it, and both its ports can inject faults."""

from pathlib import Path

from lib.origin.content import Content
from lib.origin.hub.repositories import HubFile, cdn_path, commit_of
from lib.origin.hub.server import Cdn, Front, HubOrigin

from support.faults import Fault, FaultyServer

__all__ = ["Hub", "HubFile", "commit_of"]


class FaultyFront(FaultyServer, Front):
    """The hub's port; `break_with` takes the path of a resolve URL, or none for all."""


class FaultyCdn(FaultyServer, Cdn):
    """The CDN's port; its paths are those of `Hub.cdn_path`."""


class Hub(HubOrigin):
    """An empty Hub; the arguments are those of HubOrigin. Access can be changed at any time: `hub.access.gated.add`."""

    front_class = FaultyFront
    cdn_class = FaultyCdn

    def add(
        self, repo: str, path: str, content: bytes | Path | Content, *, revision: str = "main", lfs: bool = True
    ) -> str:
        """Put a file into a repo, replacing any at that path, and return its resolve URL."""
        self.repositories.files[repo, revision, path] = HubFile(content, lfs=lfs)
        return self.url(repo, path, revision)

    def cdn_path(self, repo: str, path: str, revision: str = "main") -> str:
        return cdn_path(repo, self.repositories.files[repo, revision, path])

    def break_cdn(self, *faults: Fault, path: str | None = None) -> None:
        server = self.cdn
        assert isinstance(server, FaultyCdn)
        server.break_with(*faults, path=path)

    def break_front(self, *faults: Fault, path: str | None = None) -> None:
        server = self.front
        assert isinstance(server, FaultyFront)
        server.break_with(*faults, path=path)
