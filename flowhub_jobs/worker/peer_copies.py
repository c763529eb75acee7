"""Finds copies of an artifact's files in other nodes' stores; they are used before any other address."""

import platform
from collections.abc import Mapping

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.node_shares import NodeShares
from flowhub_jobs.transfer.mirror_choice import Address
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.share_credential import make_credential


def peer_copies(home: Home, artifact: Artifact) -> Mapping[str, tuple[Address, ...]]:
    """Return the addresses of copies by sha256; a file without a known digest has none."""
    shares = NodeShares(home.engine, home.node, home.clock)
    digests = {file.sha256 for file in artifact.files if file.sha256 is not None}
    copies = shares.copies(digests, platform.node())
    if not copies:
        return {}
    token, now_s = shares.token(), home.clock.now_us() / 1e6
    return {
        sha256: tuple(
            Address(
                f"{copy.share_url}/blobs/{sha256}", copy.share_url, make_credential(token, home.node, sha256, now_s)
            )
            for copy in copies_of_file
        )
        for sha256, copies_of_file in copies.items()
    }
