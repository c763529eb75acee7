"""A file that lies where ours would go is taken as it is, if every byte is right and nothing else is there."""

import hashlib
from pathlib import Path

import pytest
from support.job_store import artifact, folder_artifact

from flowhub_jobs.errors import Interrupted
from flowhub_jobs.store.recognize_existing import recognize_existing
from flowhub_jobs.values.artifacts import Artifact, FileDigest

A, B = b"{}", b"weights" * 1000


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def go_on() -> None:
    """Nobody wants it to stop."""


def one_file(content: bytes = B, **about) -> Artifact:
    return artifact(**{"size": len(content), "sha256": sha(content), **about})


def two_files() -> Artifact:
    pins = {"config.json": sha(A), "deep/w.safetensors": sha(B)}
    return folder_artifact(sizes={"config.json": len(A), "deep/w.safetensors": len(B)}, pins=pins)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny-mlx"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_bytes(A)
    (folder / "deep" / "w.safetensors").write_bytes(B)
    return folder


@pytest.mark.parametrize("size", [len(B), None])
def test_a_file_of_the_pinned_digest_is_adopted(tmp_path, size):
    there = tmp_path / "Tiny-Q4.gguf"
    there.write_bytes(B)
    found = recognize_existing(one_file(size=size), there, go_on)
    assert found is not None
    assert (found.name, found.path) == ("Tiny-Q4.gguf", there)
    read = there.stat().st_mtime_ns  # written down with it: what is written into it from now on is seen by its time
    assert found.files == (FileDigest("tiny-q4.gguf", len(B), sha(B), pinned=True, mtime_ns=read),)


@pytest.mark.parametrize(
    "wanted",
    [one_file(sha256=sha(A)), one_file(size=1), one_file(sha256=None), two_files()],
    ids=["another digest", "another size", "no digest", "a folder"],
)
def test_a_file_that_is_not_surely_the_artifact_is_not_adopted(tmp_path, wanted):
    there = tmp_path / "tiny-q4.gguf"
    there.write_bytes(B)
    assert recognize_existing(wanted, there, go_on) is None
    assert there.read_bytes() == B


def test_a_link_is_not_adopted(tmp_path):
    (tmp_path / "real").write_bytes(B)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert recognize_existing(one_file(), tmp_path / "link", go_on) is None


def test_a_folder_with_every_file_right_is_adopted(folder):
    found = recognize_existing(two_files(), folder, go_on)
    assert found is not None
    assert [file.sha256 for file in found.files] == [sha(A), sha(B)]


def test_a_folder_is_not_adopted_for_a_file(folder):
    assert recognize_existing(one_file(), folder, go_on) is None


@pytest.mark.parametrize("change", ["wrong", "missing", "one more", "one more, hidden", "linked", "a linked folder"])
def test_a_folder_that_differs_in_anything_is_not_adopted(folder, tmp_path, change):
    weights = folder / "deep" / "w.safetensors"
    if change == "wrong":
        weights.write_bytes(B[:-1] + b"!")
    if change in ("missing", "linked"):
        weights.rename(tmp_path / "aside")
    if change == "linked":
        weights.symlink_to(tmp_path / "aside")
    if change == "one more":
        (folder / "deep" / "more").write_text("")
    if change == "one more, hidden":
        (folder / ".more").write_text("")
    if change == "a linked folder":
        (folder / "more").symlink_to(tmp_path)
    assert recognize_existing(two_files(), folder, go_on) is None


def test_one_file_without_a_digest_keeps_the_folder_from_being_adopted(folder):
    wanted = folder_artifact(
        sizes={"config.json": len(A), "deep/w.safetensors": len(B)}, pins={"deep/w.safetensors": sha(B)}
    )
    assert recognize_existing(wanted, folder, go_on) is None


def test_hashing_what_is_there_can_be_stopped(tmp_path):
    (tmp_path / "m").write_bytes(B)

    def stop() -> None:
        raise Interrupted("Stopped.")

    with pytest.raises(Interrupted):
        recognize_existing(one_file(), tmp_path / "m", stop)
