"""The file that a SQLite URL names. Without SQLAlchemy, for verbs that must start fast."""

from pathlib import Path
from urllib.parse import unquote

_SQLITE = "sqlite:///"


def sqlite_file(url: str) -> Path | None:
    """Return the file of a URL such as sqlite:////home/me/flowhub.db?timeout=3; None for any other database.

    A relative path starts in the working directory; % begins an escape, as SQLAlchemy reads it.
    """
    path = url.removeprefix(_SQLITE)
    if path == url:
        return None
    name = unquote(path.partition("?")[0])
    return None if name in ("", ":memory:") else Path(name)
