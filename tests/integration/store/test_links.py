"""Links instead of copies into the store: reflink, hardlink or symlink, the first that the disk supports."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.disks import tmpfs_disk

from flowhub_jobs import system
from flowhub_jobs.store.file_hash import UnreadableFile, hash_file, stamp_of
from flowhub_jobs.store.links import LINKS, OWN_BYTES, LinkKind, link, probe_link_kind

BYTES = os.urandom(100_000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.gguf"
    path.write_bytes(BYTES)
    return path


@pytest.fixture
def cloning_disk(tmp_path: Path) -> Iterator[Path]:
    """A btrfs disk, which shares blocks between files."""
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("there is no btrfs here: mkfs.btrfs is missing")
    image, mount_point = tmp_path / "disk.img", tmp_path / "disk"
    mount_point.mkdir()
    with image.open("wb") as file:
        file.truncate(200_000_000)
    subprocess.run(["mkfs.btrfs", "-q", str(image)], check=True)
    mount = subprocess.run(["mount", "-o", "loop", str(image), str(mount_point)], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"there is no btrfs here: {mount.stderr.strip()}")
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", str(mount_point)], check=True)


def test_a_reflink_is_an_independent_file_that_shares_the_bytes(cloning_disk):
    source, target = cloning_disk / "source.gguf", cloning_disk / "target.gguf"
    source.write_bytes(BYTES)
    assert probe_link_kind(source, cloning_disk) is LinkKind.REFLINK
    assert link(source, stamp_of(source), target) is LinkKind.REFLINK
    assert (target.read_bytes(), target.stat().st_ino == source.stat().st_ino) == (BYTES, False)
    with source.open("r+b") as file:
        file.write(b"written into by the other program")
    assert target.read_bytes() == BYTES
    assert sorted(path.name for path in cloning_disk.iterdir()) == ["source.gguf", "target.gguf"]


def test_a_reflink_never_replaces_a_file(cloning_disk):
    source, target = cloning_disk / "source.gguf", cloning_disk / "target.gguf"
    source.write_bytes(BYTES)
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        system.reflink(source, target)
    assert target.read_bytes() == b"mine"


@pytest.mark.skipif(system.MACOS, reason="the call of Linux")
@pytest.mark.parametrize("code", [errno.ENOTTY, errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL])
def test_a_reflink_that_the_disk_does_not_support_leaves_nothing(source, tmp_path, monkeypatch, code):
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(system.fcntl, "ioctl", refuse)
    assert system.reflink(source, tmp_path / "target.gguf") is False
    assert not (tmp_path / "target.gguf").exists()


@pytest.mark.parametrize(
    ("answer", "code", "linked"), [(0, 0, True), (-1, errno.ENOTSUP, False), (-1, errno.EXDEV, False)]
)
def test_on_macos_clonefile_is_called_and_no_link_followed(source, tmp_path, monkeypatch, answer, code, linked):
    """A class replaces the C library: the tests do not run on a Mac."""
    calls = []

    class Library:
        @staticmethod
        def clonefile(*arguments: object) -> int:
            calls.append(arguments)
            return answer

    monkeypatch.setattr(system, "MACOS", True)
    monkeypatch.setattr(system, "_libc", Library)
    monkeypatch.setattr(system.ctypes, "get_errno", lambda: code)
    assert system.reflink(source, tmp_path / "target") is linked
    assert calls == [(os.fsencode(source), os.fsencode(tmp_path / "target"), 1)]


def test_on_macos_a_name_that_is_taken_is_an_error(source, tmp_path, monkeypatch):
    class Library:
        clonefile = staticmethod(lambda *_: -1)

    monkeypatch.setattr(system, "MACOS", True)
    monkeypatch.setattr(system, "_libc", Library)
    monkeypatch.setattr(system.ctypes, "get_errno", lambda: errno.EEXIST)
    with pytest.raises(FileExistsError):
        system.reflink(source, tmp_path / "target")


@pytest.fixture
def no_reflink(monkeypatch):
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)


def test_without_a_reflink_a_hardlink_is_made(source, tmp_path, no_reflink):
    target = tmp_path / "target.gguf"
    assert probe_link_kind(source, tmp_path) is LinkKind.HARDLINK
    assert link(source, stamp_of(source), target) is LinkKind.HARDLINK
    assert target.stat().st_ino == source.stat().st_ino
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.gguf", "target.gguf"]


def test_on_another_disk_a_symlink_is_made_and_never_a_copy(source, tmp_path):
    with tmpfs_disk(tmp_path / "other") as disk:
        target = disk.mount_point / "target.gguf"
        assert probe_link_kind(source, disk.mount_point) is LinkKind.SYMLINK
        assert link(source, stamp_of(source), target) is LinkKind.SYMLINK
        assert target.readlink() == source
        assert target.read_bytes() == BYTES


def test_a_copy_is_made_only_on_request(source, tmp_path):
    with tmpfs_disk(tmp_path / "other") as disk:
        target = disk.mount_point / "target.gguf"
        assert link(source, stamp_of(source), target, OWN_BYTES) is LinkKind.COPY
        assert not target.is_symlink()
        assert target.read_bytes() == BYTES


@pytest.mark.parametrize("kind", [LinkKind.HARDLINK, LinkKind.SYMLINK, LinkKind.COPY])
@pytest.mark.parametrize("longer", [True, False])
def test_a_file_that_was_written_to_since_it_was_read_is_not_linked(source, tmp_path, kind, longer):
    stamp = stamp_of(source)
    with source.open("ab" if longer else "r+b") as file:
        file.write(b"more")
    os.utime(source, ns=(1, 1))
    with pytest.raises(UnreadableFile, match="written to"):
        link(source, stamp, tmp_path / "target.gguf", [kind])
    assert not (tmp_path / "target.gguf").exists()


def test_a_name_that_is_taken_is_never_replaced(source, tmp_path):
    target = tmp_path / "target.gguf"
    target.write_bytes(b"mine")
    for kind in (*LINKS, LinkKind.COPY):
        with pytest.raises(FileExistsError):
            link(source, stamp_of(source), target, [kind])
    assert target.read_bytes() == b"mine"


def test_a_file_that_grows_while_it_is_read_is_refused(source):
    def grow() -> None:
        with source.open("ab") as file:
            file.write(b"more")

    with pytest.raises(UnreadableFile, match="was written to while it was read"):
        hash_file(source, grow)


def test_a_pipe_is_not_read_from(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableFile, match="is not a regular file"):
        hash_file(tmp_path / "pipe", lambda: None)
