"""Credentials by which nodes of one database read each other's shared files. Pure.

A credential is for one file and some hours, and is made with the fleet's token, which never leaves the database: over
plain http others can read a credential, and it gives them no more than the file that they can read there anyway.
"""

import hashlib
import hmac
import re

VALID_S = 86_400
SKEW_S = 3600  # by which two machines' clocks may differ
_CREDENTIAL = re.compile(r"flowhub1\.([0-9]{1,12})\.([A-Za-z0-9._-]{1,64})\.([0-9a-f]{64})")


def make_credential(token: str, node: str, sha256: str, now_s: float) -> str:
    """Return the credential of a node for the file with this digest."""
    until = str(int(now_s) + VALID_S)
    return f"flowhub1.{until}.{node}.{_signature(token, until, node, sha256)}"


def reader_of(token: str, credential: str, sha256: str, now_s: float) -> str | None:
    """Return the node that a credential was made for; None if it is of another token or file, or is over."""
    parts = _CREDENTIAL.fullmatch(credential)
    if parts is None:
        return None
    until, node, signature = parts.groups()
    right = hmac.compare_digest(signature, _signature(token, until, node, sha256))
    return node if right and now_s < int(until) <= now_s + VALID_S + SKEW_S else None


def _signature(token: str, until: str, node: str, sha256: str) -> str:
    return hmac.new(token.encode(), f"{until}.{node}.{sha256}".encode(), hashlib.sha256).hexdigest()
