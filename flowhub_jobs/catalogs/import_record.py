"""Record of an imported catalog: its name, its source, and the counts of its import."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.fs import names
from flowhub_jobs.net import redaction

BASE = "base"  # the name of the base catalog
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """Source of an imported catalog, and the result of its import. Times are RFC 3339; counts are by reason."""

    source: str  # an absolute path, or a URL
    format: str
    imported_at: str = ""
    checked_at: str = ""
    sha256: str = ""  # of the source's bytes
    kept_sha256: str = ""  # of the file that was made of them
    etag: str = ""
    last_modified: str = ""
    importer: int = 0  # the version of the rules by which it was read
    models: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    remarks: Mapping[str, int] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)  # of models whose own id was taken: the id they got

    @property
    def shown(self) -> str:
        """Return the source as it may be shown: a URL without its query."""
        return redaction.public_url(self.source) if self.is_url else self.source

    @property
    def is_url(self) -> bool:
        return self.source.lower().startswith(("https://", "http://"))


def is_name(name: str) -> bool:
    """Return whether `NAME.json` may be an imported catalog: `NAME.facts.json` is its record."""
    return _NAME.fullmatch(name) is not None and not name.endswith(".facts")


def check_name(name: str) -> str:
    """Return the name, or raise UsageInvalid if it cannot be an imported catalog's."""
    if name == BASE:
        raise UsageInvalid(f"{BASE!r} is the catalog beneath the imported ones.", hint="Give --name another name.")
    if not is_name(name) or names.name_problem(name):
        hint = "Use a-z, 0-9, dot, underscore and hyphen, at most 40; begin with a letter or digit."
        raise UsageInvalid(f"{name[:80]!r} cannot be the name of a catalog.", hint=hint)
    return name


def parse_import_record(value: Any) -> ImportRecord | None:
    """Return the import record in a JSON value, less wrongly typed fields; None without a source or a known format."""
    empty = asdict(ImportRecord("", ""))
    values = {name: value[name] for name in empty if name in value and type(value[name]) is type(empty[name])}
    return ImportRecord(**values) if values.get("source") and values.get("format") in TITLES else None


TITLES = {"lmstudio": "LM Studio", "gpt4all": "GPT4All", "localai": "LocalAI", "flowhub": "flowhub"}
