"""The rules of a catalog that span several fields, over plain values. Pure.

Each yields (field, why): the field to look at, or None for the entry as a whole. The schema raises the first; the
inspection of a catalog lists them all, also where other fields of the entry are faulty.
"""

from collections.abc import Iterable, Iterator, Sequence

from flowhub_jobs.errors import AddressRefused
from flowhub_jobs.fs import names
from flowhub_jobs.net import urls

MAX_OPTIONS = 1000  # of one model; the largest repositories have some 60 variants
MAX_FILES = 10_000  # of one option
Broken = Iterator[tuple[str | None, str]]


def source(url: str | None, has_files: bool) -> Broken:
    """An option has either one file, at `url`, or a folder of `files`."""
    if (url is None) != has_files:
        yield None, "must have either `url` or `files`" + (", not both" if has_files else "")


def address(url: str, *, pinned: bool) -> Broken:
    """The address of a file is allowed."""
    try:
        urls.check_address(url, pinned=pinned)
    except AddressRefused as refused:
        why = refused.message.removesuffix(".")
        yield "url", why[:1].lower() + why[1:]


def derived_filename(filename: str | None, url: str) -> Broken:
    """Without a `filename`, the address ends in one."""
    if filename is None and (problem := names.name_problem(names.filename_from_url(url))):
        yield "url", f"ends in no usable file name (it {problem}); add a `filename`"


def folder(paths: Sequence[str]) -> Broken:
    """The files of a folder have different paths, and none is also a folder."""
    if not paths:
        yield "files", "is empty: list the files of the folder"
    keys = [names.same_name_key(path) for path in paths]
    yield from no_duplicates(keys, "files", " (case does not count)")
    folders = {key[:at] for key in keys for at, char in enumerate(key) if char == "/"}
    for key in sorted(folders & set(keys))[:1]:
        yield "files", f"has {key!r} both as a file and as a folder"


def folder_name(model: str, option: str) -> Broken:
    """The folder of an option, `<model>-<option>`, has a usable name."""
    if problem := names.name_problem(f"{model}-{option}"):
        yield "downloads", f"option {option!r} gives no usable folder name: {problem}"


def options(ids: Sequence[str]) -> Broken:
    """A model has one option at least, each with its own id."""
    if not ids:
        yield "downloads", "is empty: a model has one option at least"
    yield from no_duplicates(ids, "downloads")


def no_duplicates(keys: Iterable[str], field: str, remark: str = "") -> Broken:
    """Each key occurs once."""
    seen: set[str] = set()
    reported: set[str] = set()
    for key in keys:
        if key in seen and key not in reported:
            reported.add(key)
            yield field, f"has {key!r} twice{remark}"
        seen.add(key)
