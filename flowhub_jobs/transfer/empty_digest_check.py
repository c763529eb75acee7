"""Reports a pinned digest that is by mistake that of an empty file: the source has some bytes."""

from flowhub_jobs.errors import DigestMismatch
from flowhub_jobs.values.artifacts import ArtifactFile

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
EMPTY_GIT_SHA1 = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def check_not_empty_digest(file: ArtifactFile, total: int | None, host: str) -> None:
    """Raise DigestMismatch for a file of some bytes whose pinned digest is that of no bytes, before it is fetched.

    `curl … | sha256sum` prints it after a failed download. `total`: the size by the source, None if it is not known.
    """
    if total and file.sha256 == EMPTY_SHA256:
        raise DigestMismatch(
            f"the pinned sha256 is that of an empty file, and {host} has {total} bytes.",
            hint="The command that computed the digest read nothing: compute it again, or leave it out.",
            host=host,
            path=file.path,
        )
