"""Whether a file that came whole is the one that was wanted, and whose word it contradicts if not. Pure."""

from flowhub_jobs.addresses import host_of
from flowhub_jobs.errors import DigestMismatch, FlowhubError
from flowhub_jobs.transfer.files import FileState


def contradiction(state: FileState, digest: str, git: str | None) -> FlowhubError | None:
    """Return DigestMismatch where `digest` (sha256), or `git` (sha1, if that was asked), is not the expected one."""
    expected, came, kind = state.expected, digest, "sha256"
    if expected is None:
        expected, came, kind = (state.git_sha1, git or "", "git sha1") if git else (None, "", "")
    if expected is None or came == expected:
        return None
    host = host_of(state.location or state.file.url)
    pinned = state.file.sha256 is not None or state.file.git_sha1 is not None
    says = (
        f"the source {host} disagrees with {state.said_by}, which pins"
        if pinned
        else f"{host} contradicts the Hub, which says"
    )
    return DigestMismatch(
        f"{state.file.path} is not what it should be: {says} {kind} {expected}; what came has {came}.",
        hint="Nothing was installed. `flowhub retry` fetches it again; if it differs again, the digest is out of date.",
    )
