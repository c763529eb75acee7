"""Checks of the store: makes a small file there, and does with it the steps of an installation."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from flowhub_jobs.file_systems import traits_of
from flowhub_jobs.fs.atomic_write import write_whole
from flowhub_jobs.fs.locks import NO_LOCKS, demand_locks
from flowhub_jobs.home import Home
from flowhub_jobs.operations.doctor.check import Check, Status, fail, guarded, ok, warn
from flowhub_jobs.store.layout import PARTIAL
from flowhub_jobs.store.space import room_text
from flowhub_jobs.system import reflink, rename_new, sync_path
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.store_settings import DEFAULT_STORE

_INODES_MIN = 1000


def store_checks(home: Home) -> Iterator[Check]:
    """Yield the checks of the store. Nothing else is tried in one that is offline, or cannot be written."""
    root, url = home.store.root, home.settings.database_url
    folder_checks = list(guarded([("store.folder", lambda: _folder(home))], url))
    yield from folder_checks
    if folder_checks[0].status is Status.FAIL:
        return
    with ExitStack() as stack:
        folder = root / PARTIAL / f"doctor-{secrets.token_hex(4)}"
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield from guarded(
            [
                ("store.rename", lambda: _rename(folder)),
                ("store.links", lambda: _links(folder)),
                ("store.locks", lambda: _locks(folder)),
                ("store.names", lambda: _names(folder)),
                ("store.file_system", lambda: _file_system(root)),
                ("store.space", lambda: _space(home)),
                ("store.inodes", lambda: _inodes(root)),
            ],
            url,
        )


def named_by_store(store: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Yield the checks of a store; those of another than the default one have its name in theirs:
    `store.space.fast`."""
    for check in checks:
        yield check if store == DEFAULT_STORE else replace(check, name=f"{check.name}.{store}")


def _folder(home: Home) -> Check:
    home.open_store()
    return ok("store.folder", f"{home.store.root} is there and can be written")


def _rename(folder: Path) -> Check:
    """Write, sync and rename a file, and try to rename a second one over it."""
    name = "store.rename"
    folder.mkdir(exist_ok=True)
    first, second, target = folder / "first", folder / "second", folder / "target"
    write_whole(first, b"flowhub")
    write_whole(second, b"another")
    rename_new(first, target)
    sync_path(folder)
    try:
        rename_new(second, target)
    except FileExistsError:
        return ok(name, "a file is renamed in one step, and never over another")
    return fail(
        name,
        "A rename replaces a file that is there already, so two programs could overwrite each other's models.",
        "Set FLOWHUB_STORE to a folder on another file system.",
    )


def _links(folder: Path) -> Check:
    name, source = "store.links", folder / "source"
    write_whole(source, b"flowhub")
    kinds = [
        *(["reflinks"] if reflink(source, folder / "clone") else []),
        *(["hard links"] if _succeeds(lambda: os.link(source, folder / "hard")) else []),
        *(["symbolic links"] if _succeeds(lambda: os.symlink(source, folder / "soft")) else []),
    ]
    if "reflinks" in kinds or "hard links" in kinds:
        return ok(name, f"has {' and '.join(kinds)}")
    return warn(
        name,
        "Neither reflinks nor hard links: models of other programs cannot share their bytes with the store.",
        "Only a store on another file system changes this; downloads work.",
    )


def _succeeds(make: Callable[[], None]) -> bool:
    try:
        make()
    except OSError:
        return False
    return True


def _locks(folder: Path) -> Check:
    name = "store.locks"
    try:
        demand_locks(folder / "lock")
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return warn(
            name,
            "The file system has no file locks: two machines that use this store cannot see each other's partials.",
            "Let one machine alone write into this store.",
        )
    return ok(name, "file locks work")


def _names(folder: Path) -> Check:
    """Find out whether names that differ in case are one file; flowhub treats them as one everywhere."""
    (folder / "Case").touch()
    return ok("store.names", f"names are case-{'insensitive' if (folder / 'case').exists() else 'sensitive'}")


def _file_system(root: Path) -> Check:
    traits = traits_of(root)
    lacks = [
        *([] if traits.numbers_stay else ["inode numbers may change"]),
        *([] if traits.times_stay else ["times are rounded or shift"]),
    ]
    kind = "may be used by several machines" if traits.shared else "a local disk"
    return ok("store.file_system", "; ".join([kind, *lacks]))


def _space(home: Home) -> Check:
    name = "store.space"
    room = home.room()
    needed = home.bytes_promised()
    free = room_text(room, "The store's disk")
    if needed > room.usable:
        return warn(
            name,
            f"{free}; queued jobs still need {format_bytes(needed)}.",
            "`flowhub prune --to-fit` frees as much; `flowhub du` shows what takes the space.",
        )
    if room.usable <= 0:
        return warn(name, f"{free}: no job can start.", "`flowhub du` shows what takes the space.")
    return ok(name, f"{free}; queued jobs need {format_bytes(needed)}" if needed else free)


def _inodes(root: Path) -> Check:
    name, disk = "store.inodes", os.statvfs(root)
    if disk.f_files and disk.f_favail < _INODES_MIN:
        return warn(name, f"{disk.f_favail:,} inodes are left.", "Remove files on this disk, small ones too.")
    return ok(name, f"{disk.f_favail:,} left" if disk.f_files else "the file system does not count them")
