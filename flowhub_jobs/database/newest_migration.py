"""Id of the newest migration, so that a command need not import Alembic. A test compares it with migrations/."""

from typing import TypeGuard

HEAD = "0013"
REVISION = "SELECT version_num FROM alembic_version"  # of the schema, in any database


def is_revision(text: str) -> bool:
    """Return whether a schema's version is written as flowhub's are."""
    return len(text) == len(HEAD) and text.isdecimal()


def is_newer(revision: object) -> TypeGuard[str]:
    """Return whether a schema is one of a later flowhub."""
    return isinstance(revision, str) and is_revision(revision) and revision > HEAD
