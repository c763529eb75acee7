"""A source whose file is replaced by other versions. A digest, a commit, an ETag or nothing identifies them."""

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
    """The identification of a version of a file, and who supplies it."""

    PIN = "the catalog pins a sha256"
    SHA256 = "the Hub says a sha256"
    GIT_SHA1 = "the Hub says a git sha1"
    COMMIT = "the Hub says a commit"
    ETAG = "a strong ETag"
    WEAK_ETAG = "a weak ETag"
    NOTHING = "nothing"

    @property
    def has_digest(self) -> bool:
        return self in (IdentifiedBy.PIN, IdentifiedBy.SHA256, IdentifiedBy.GIT_SHA1)

    @property
    def is_hub(self) -> bool:
        return self in (IdentifiedBy.SHA256, IdentifiedBy.GIT_SHA1, IdentifiedBy.COMMIT)

    @property
    def has_no_identity(self) -> bool:
        return self in (IdentifiedBy.WEAK_ETAG, IdentifiedBy.NOTHING)


class AnswerForm(StrEnum):
    """The form of the answer to a range."""

    PART = "206"
    SHORT = "206 with less than requested"
    UNKNOWN_TOTAL = "206 without the total"
    WHOLE = "200"
    CHUNKED = "200 without a length"


@functools.cache
def _bytes_of(version: int) -> bytes:
    return random.Random(version).randbytes(LONGEST)


@dataclass
class Source:
    """One file. `sizes` are the sizes of its versions, in order; `version` is the current one."""

    path: str
    identified_by: IdentifiedBy
    sizes: tuple[int, ...]
    size_known: bool  # to the catalog
    version: int = 0

    def content(self, version: int) -> bytes:
        return _bytes_of(version)[: self.sizes[version]]

    def file(self) -> ArtifactFile:
        """Return the catalog's entry, which describes the first version."""
        pin = hashlib.sha256(self.content(0)).hexdigest() if self.identified_by is IdentifiedBy.PIN else None
        return ArtifactFile(
            self.path, f"https://h.example/{self.path}", self.sizes[0] if self.size_known else None, pin
        )

    def identity(self, version: int) -> str | None:
        """Return the identity of a version as the journal records it."""
        if self.identified_by.has_no_identity:
            return None
        if self.identified_by is IdentifiedBy.ETAG:
            return f'etag:"v{version}"'
        if self.identified_by is IdentifiedBy.COMMIT:
            return f"commit:c{version}/{self.path}"
        if self.identified_by is IdentifiedBy.GIT_SHA1:
            return f"git:{self._git(version)}"
        return f"sha256:{hashlib.sha256(self.content(version)).hexdigest()}"

    def _git(self, version: int) -> str:
        digest = git_sha1(self.sizes[version])
        digest.update(self.content(version))
        return digest.hexdigest()

    def answer(self, fetcher: Fetcher, form: AnswerForm) -> WireAnswer:
        """Answer a fetcher with the version of its known redirect, which never changes, or the current one."""
        version = int(fetcher.known.rpartition("/")[2]) if fetcher.known else self.version
        hub = self._hub_metadata(version) if self.identified_by.is_hub and not fetcher.known else None
        location = f"https://cdn.example/{version}" if self.identified_by.is_hub else None
        etag = {IdentifiedBy.ETAG: f'"v{version}"', IdentifiedBy.WEAK_ETAG: f'W/"v{version}"'}.get(self.identified_by)
        if fetcher.if_range is not None and fetcher.if_range != etag:
            form = AnswerForm.WHOLE  # RFC 9110, section 13.1.5
        if not fetcher.ranged and form is not AnswerForm.CHUNKED:
            form = AnswerForm.WHOLE
        status, headers, span = self._answer_head(fetcher.requested, self.sizes[version], form)
        if etag is not None:
            headers["etag"] = etag
        body = memoryview(self.content(version))[span[0] : span[1]]
        return WireAnswer(status, headers, span[0], body, hub, location)

    def _hub_metadata(self, version: int) -> HubMetadata:
        identity = self.identity(version) or ""
        value = identity.partition(":")[2]
        return HubMetadata(
            commit=f"c{version}",
            sha256=value if self.identified_by is IdentifiedBy.SHA256 else None,
            git_sha1=value if self.identified_by is IdentifiedBy.GIT_SHA1 else None,
            size=self.sizes[version],
        )

    @staticmethod
    def _answer_head(requested: Range, size: int, form: AnswerForm) -> tuple[int, dict[str, str], Range]:
        if form is AnswerForm.WHOLE:
            return 200, {"content-length": str(size)}, (0, size)
        if form is AnswerForm.CHUNKED:
            return 200, {}, (0, size)
        start, end = requested[0], min(requested[1], size)
        if start >= end:
            return 416, {"content-range": f"bytes */{size}"}, (start, start)
        if form is AnswerForm.SHORT:
            end -= (end - start) // 3
        total = "*" if form is AnswerForm.UNKNOWN_TOTAL else str(size)
        return 206, {"content-range": f"bytes {start}-{end - 1}/{total}"}, (start, end)
