"""Files of an entry in another format: an allowed address, a name that stays in the store, a digest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flowhub_jobs.catalogs.importers import field_values
from flowhub_jobs.catalogs.importers.import_result import Entry, EntrySkipped, Notes, Remark, SkipReason
from flowhub_jobs.catalogs.validation_errors import shown
from flowhub_jobs.errors import AddressRefused
from flowhub_jobs.fs import names
from flowhub_jobs.net import redaction, urls

FORMATS = {"gguf": "gguf", "safetensors": "safetensors"}
_HUB = re.compile(r"(?:huggingface://|hf://|(?:https://)?hf\.co/(?!.*/resolve/))([^/]+/[^/]+)/(.+)", re.IGNORECASE)
_GITHUB = re.compile(r"(?:github:|github://)([^/]+/[^/]+)/(.+)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """One file that can be imported. `path` is its place in its own catalog, `name` the last segment of that."""

    path: str
    name: str
    url: str
    size: int | None
    sha256: str | None

    @property
    def format(self) -> str | None:
        return FORMATS.get(field_values.suffix(self.name))

    def facts(self) -> Entry:
        """Return size and digest as far as they are known, in the catalog's words."""
        facts = {"sizeBytes": self.size, "sha256": self.sha256}
        return {name: value for name, value in facts.items() if value is not None}


def foreign_file(path: Any, url: Any, *, size: Any, digest: Any, notes: Notes) -> ForeignFile:
    """Return the file, or raise EntrySkipped. A digest that is no sha256 gets a remark; the file is then unpinned."""
    file_url = address(url)
    path = path if isinstance(path, str) and path else names.filename_from_url(file_url)
    pin = field_values.sha256(digest)
    try:
        urls.check_address(file_url, pinned=pin is not None)
    except AddressRefused as refused:
        plain_http = file_url.lower().startswith("http://") and pin is None
        reason = SkipReason.HTTP if plain_http else SkipReason.ADDRESS
        raise EntrySkipped(reason, redaction.public_url(file_url)[:200]) from refused
    file = ForeignFile(path, confined(path), file_url, field_values.size(size), pin)
    if pin is None:
        notes.remarks.append((Remark.MD5 if field_values.is_md5(digest) else Remark.NO_DIGEST, file.name))
    return file


def confined(path: str) -> str:
    """Return the last segment of a path that stays in the store, or raise EntrySkipped."""
    segments = path.split("/")
    if path.startswith(("/", "\\", "~")) or ".." in re.split(r"[/\\]", path) or re.match(r"[A-Za-z]:[/\\]", path):
        raise EntrySkipped(SkipReason.LEAVES, shown(path))
    for segment in segments:
        if problem := names.name_problem(segment):
            raise EntrySkipped(SkipReason.BAD_NAME, f"{shown(path)} {problem}")
    return segments[-1]


def address(stated: Any) -> str:
    """Return an http(s) address: `huggingface://owner/repo/path[@revision]` and `github:` are expanded."""
    text: str = stated.strip() if isinstance(stated, str) else ""
    if not text:
        raise EntrySkipped(SkipReason.NO_ADDRESS)
    if match := _HUB.fullmatch(text):
        return _at("https://huggingface.co", f"{match[1]}/resolve", match[2])
    if match := _GITHUB.fullmatch(text):
        return _at("https://raw.githubusercontent.com", match[1], match[2])
    if text.lower().startswith(("https://", "http://")):
        return text
    scheme = _SCHEME.match(text)
    raise EntrySkipped(SkipReason.SCHEME if scheme else SkipReason.ADDRESS, redaction.public_url(text)[:200])


def _at(host: str, repository: str, file: str) -> str:
    """Return the address of `path[@revision]` in a repository."""
    path, _, revision = file.partition("@")
    return f"{host}/{repository}/{quote(revision or 'main', safe='')}/{quote(path)}"


# Options -------------------------------------------------------------------------------------------------------------


def label_of(name: str, stated: Any, notes: Notes) -> str | None:
    """Return the quantization of a file: its name outranks the field, which may be a copy."""
    from_name, from_field = field_values.quantization(name), field_values.quantization(stated)
    if from_name and from_field and from_name != from_field:
        notes.remarks.append((Remark.QUANT, name))
    return from_name or from_field


def one_file(file: ForeignFile, label: str | None) -> Entry:
    """Return an option of one file; EntrySkipped if it is no model."""
    if file.format is None:
        raise EntrySkipped(SkipReason.NO_MODEL, shown(file.name))
    option: Entry = {"id": option_id(label, file.format), "format": file.format}
    option |= {"quantization": label} if label else {}
    return option | {"filename": file.name, "url": file.url} | file.facts()


def folder(main: ForeignFile, files: Sequence[ForeignFile], label: str | None, *, id_suffix: str = "") -> Entry:
    """Return an option of several files, of the format of its main one; `id_suffix` ends the option's id."""
    if main.format is None:
        raise EntrySkipped(SkipReason.NO_MODEL, shown(main.name))
    option: Entry = {"id": option_id(label, main.format) + id_suffix, "format": main.format}
    option |= {"quantization": label} if label else {}
    paths = _paths(files)
    return option | {
        "files": [{"path": path, "url": file.url} | file.facts() for path, file in zip(paths, files, strict=True)]
    }


def option_id(label: str | None, form: str) -> str:
    return label.lower() if label else form


def _paths(files: Sequence[ForeignFile]) -> list[str]:
    """Return the paths of the files in their folder: flat, or as in their catalog where names are equal."""
    flat = [file.name for file in files]
    if len({names.same_name_key(name) for name in flat}) == len(flat):
        return flat
    return [file.path for file in files]


def different_ids(options: list[Entry]) -> list[Entry]:
    """Return the options with ids of their own: a second `q4_k_m` becomes `q4_k_m-2`."""
    ids = field_values.Ids()
    for option in options:
        option["id"] = ids.free(option["id"])
        ids.take(option["id"])
    return options
