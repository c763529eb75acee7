"""The Hub-shaped origin of `scripts/hub_origin.py` for tests: filled by `add`, and its two ports can be made faulty."""

from pathlib import Path

from hub_origin import Cdn, Front, HubOrigin
from hub_shelf import HubFile, cdn_path, commit_of
from origin_content import Content

from support.faults import Fault, FaultyServer

__all__ = ["Hub", "HubFile", "commit_of"]


class FaultyFront(FaultyServer, Front):
    """The hub's port; `break_with` takes the path of a resolve URL, or none for all."""


class FaultyCdn(FaultyServer, Cdn):
    """The CDN's port; its paths are those of `Hub.cdn_path`."""


class Hub(HubOrigin):
    """An empty Hub; the arguments are those of HubOrigin. Doors can be changed at any time: `hub.doors.gated.add`."""

    front_class = FaultyFront
    cdn_class = FaultyCdn

    def add(
        self, repo: str, path: str, content: bytes | Path | Content, *, revision: str = "main", lfs: bool = True
    ) -> str:
        """Put a file into a repo, in place of what was there, and return its resolve URL."""
        self.shelf.files[repo, revision, path] = HubFile(content, lfs=lfs)
        return self.url(repo, path, revision)

    def cdn_path(self, repo: str, path: str, revision: str = "main") -> str:
        return cdn_path(repo, self.shelf.files[repo, revision, path])

    def break_cdn(self, *faults: Fault, path: str | None = None) -> None:
        server = self.cdn
        assert isinstance(server, FaultyCdn)
        server.break_with(*faults, path=path)

    def break_front(self, *faults: Fault, path: str | None = None) -> None:
        server = self.front
        assert isinstance(server, FaultyFront)
        server.break_with(*faults, path=path)
