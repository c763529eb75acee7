"""The shared models, read again when the library has changed, and periodically: files may be changed by hand."""

import threading
import time
from dataclasses import dataclass

from flowhub_jobs.operations.changes import library_version
from flowhub_jobs.operations.models_to_share import (
    RepoId,
    SharedFile,
    SharedModel,
    SharedRepo,
    shared_models,
    shared_repos,
)
from flowhub_jobs.operations.session import Session

MAX_AGE_S = 10.0
RECENT_S = 1.0


@dataclass(frozen=True, slots=True)
class Shared:
    """The models, the newest first, their repositories, and their files by sha256."""

    models: list[SharedModel]
    repos: dict[RepoId, SharedRepo]
    by_digest: dict[str, SharedFile]


class ShareIndex:
    """Caches which models are shared. Thread-safe."""

    def __init__(self) -> None:
        self._cached: tuple[int, float, Shared] | None = None
        self._compared_at = float("-inf")  # when the library was last found unchanged
        self._lock = threading.Lock()

    def read(self, session: Session) -> Shared:
        version, now = library_version(session.home), time.monotonic()
        with self._lock:
            if self._cached is None or self._cached[0] != version or now - self._cached[1] > MAX_AGE_S:
                models = shared_models(session)
                by_digest = {file.sha256: file for model in models for file in model.files}
                self._cached = version, now, Shared(models, shared_repos(models), by_digest)
            self._compared_at = now
            return self._cached[2]

    def file(self, session: Session, sha256: str) -> SharedFile | None:
        """Return a file by its digest; None if it is not shared.

        A file takes many requests: they read the library once a second. A digest that is not known is looked up in
        the library as it is now.
        """
        with self._lock:
            recent = self._cached is not None and time.monotonic() - self._compared_at < RECENT_S
            file = self._cached[2].by_digest.get(sha256) if self._cached is not None and recent else None
        return file or self.read(session).by_digest.get(sha256)
