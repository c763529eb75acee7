"""A source whose file is replaced by other versions, and what identifies them: digests, commits, ETags or nothing."""

import functools
import hashlib
import random
from dataclasses import dataclass
from enum import StrEnum

from flowhub_jobs.pieces.ranges import Range
from flowhub_jobs.transfer.http.response_headers import HubMetadata
from flowhub_jobs.values.artifacts import ArtifactFile, git_sha1
from support.stepped_transfer import Fetcher, WireAnswer

LONGEST = (7 << 20) // 2  # bytes: a few pieces, the last one short


class IdentifiedBy(StrEnum):
    """What binds the bytes of a file to one content, and who says it."""

    PIN = "the catalog pins a sha256"
    SHA256 = "the Hub says a sha256"
    GIT = "the Hub says a git sha1"
    COMMIT = "the Hub says a commit"
    ETAG = "a strong ETag"
    WEAK = "a weak ETag"
    NOTHING = "nothing"

    @property
    def digest(self) -> bool:
        return self in (IdentifiedBy.PIN, IdentifiedBy.SHA256, IdentifiedBy.GIT)

    @property
    def hub(self) -> bool:
        return self in (IdentifiedBy.SHA256, IdentifiedBy.GIT, IdentifiedBy.COMMIT)

    @property
    def has_no_identity(self) -> bool:
        return self in (IdentifiedBy.WEAK, IdentifiedBy.NOTHING)


class AnswerForm(StrEnum):
    """How a range is answered."""

    PART = "206"
    SHORT = "206 of less than was asked"
    UNKNOWN_TOTAL = "206 without the total"
    WHOLE = "200"
    CHUNKED = "200 without a length"


@functools.cache
def _bytes_of(version: int) -> bytes:
    return random.Random(version).randbytes(LONGEST)


@dataclass
class Source:
    """One file; `sizes` are of its versions, in order. `version` is the one that is served now."""

    path: str
    identified_by: IdentifiedBy
    sizes: tuple[int, ...]
    size_known: bool  # to the catalog
    version: int = 0

    def content(self, version: int) -> bytes:
        return _bytes_of(version)[: self.sizes[version]]

    def file(self) -> ArtifactFile:
        """Return what the catalog says of it, which is of its first version."""
        pin = hashlib.sha256(self.content(0)).hexdigest() if self.identified_by is IdentifiedBy.PIN else None
        return ArtifactFile(
            self.path, f"https://h.example/{self.path}", self.sizes[0] if self.size_known else None, pin
        )

    def identity(self, version: int) -> str | None:
        """Return what the journal should call a version."""
        if self.identified_by.has_no_identity:
            return None
        if self.identified_by is IdentifiedBy.ETAG:
            return f'etag:"v{version}"'
        if self.identified_by is IdentifiedBy.COMMIT:
            return f"commit:c{version}/{self.path}"
        if self.identified_by is IdentifiedBy.GIT:
            return f"git:{self._git(version)}"
        return f"sha256:{hashlib.sha256(self.content(version)).hexdigest()}"

    def _git(self, version: int) -> str:
        running = git_sha1(self.sizes[version])
        running.update(self.content(version))
        return running.hexdigest()

    def answer(self, fetcher: Fetcher, style: AnswerForm) -> WireAnswer:
        """Answer a fetcher: from its redirect's target, which never changes, else with the version of now."""
        version = int(fetcher.known.rpartition("/")[2]) if fetcher.known else self.version
        hub = self._hub_metadata(version) if self.identified_by.hub and not fetcher.known else None
        location = f"https://cdn.example/{version}" if self.identified_by.hub else None
        etag = {IdentifiedBy.ETAG: f'"v{version}"', IdentifiedBy.WEAK: f'W/"v{version}"'}.get(self.identified_by)
        if fetcher.if_range is not None and fetcher.if_range != etag:
            style = AnswerForm.WHOLE  # RFC 9110, section 13.1.5
        if not fetcher.ranged and style is not AnswerForm.CHUNKED:
            style = AnswerForm.WHOLE
        status, headers, place = self._head(fetcher.requested, self.sizes[version], style)
        if etag is not None:
            headers["etag"] = etag
        body = memoryview(self.content(version))[place[0] : place[1]]
        return WireAnswer(status, headers, place[0], body, hub, location)

    def _hub_metadata(self, version: int) -> HubMetadata:
        identity = self.identity(version) or ""
        value = identity.partition(":")[2]
        return HubMetadata(
            commit=f"c{version}",
            sha256=value if self.identified_by is IdentifiedBy.SHA256 else None,
            git_sha1=value if self.identified_by is IdentifiedBy.GIT else None,
            size=self.sizes[version],
        )

    @staticmethod
    def _head(asked: Range, size: int, style: AnswerForm) -> tuple[int, dict[str, str], Range]:
        if style is AnswerForm.WHOLE:
            return 200, {"content-length": str(size)}, (0, size)
        if style is AnswerForm.CHUNKED:
            return 200, {}, (0, size)
        start, end = asked[0], min(asked[1], size)
        if start >= end:
            return 416, {"content-range": f"bytes */{size}"}, (start, start)
        if style is AnswerForm.SHORT:
            end -= (end - start) // 3
        total = "*" if style is AnswerForm.UNKNOWN_TOTAL else str(size)
        return 206, {"content-range": f"bytes {start}-{end - 1}/{total}"}, (start, end)
