"""Adoption of a file or folder that is already at the target: only if every byte is right and nothing else is there."""

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


def continue_hashing() -> None:
    """No one has cancelled."""


def single_file(content: bytes = B, **fields) -> Artifact:
    return artifact(**{"size": len(content), "sha256": sha(content), **fields})


def two_file_folder() -> Artifact:
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
    path = tmp_path / "Tiny-Q4.gguf"
    path.write_bytes(B)
    adopted = recognize_existing(single_file(size=size), path, continue_hashing)
    assert adopted is not None
    assert (adopted.name, adopted.path) == ("Tiny-Q4.gguf", path)
    mtime_ns = path.stat().st_mtime_ns  # recorded with the digest: a later write into the file changes it
    assert adopted.files == (FileDigest("tiny-q4.gguf", len(B), sha(B), pinned=True, mtime_ns=mtime_ns),)


@pytest.mark.parametrize(
    "expected_artifact",
    [single_file(sha256=sha(A)), single_file(size=1), single_file(sha256=None), two_file_folder()],
    ids=["another digest", "another size", "no digest", "a folder"],
)
def test_a_file_that_may_not_be_the_artifact_is_not_adopted(tmp_path, expected_artifact):
    path = tmp_path / "tiny-q4.gguf"
    path.write_bytes(B)
    assert recognize_existing(expected_artifact, path, continue_hashing) is None
    assert path.read_bytes() == B


def test_a_link_is_not_adopted(tmp_path):
    (tmp_path / "real").write_bytes(B)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert recognize_existing(single_file(), tmp_path / "link", continue_hashing) is None


def test_a_folder_with_every_file_right_is_adopted(folder):
    adopted = recognize_existing(two_file_folder(), folder, continue_hashing)
    assert adopted is not None
    assert [file.sha256 for file in adopted.files] == [sha(A), sha(B)]


def test_a_folder_is_not_adopted_for_a_file(folder):
    assert recognize_existing(single_file(), folder, continue_hashing) is None


@pytest.mark.parametrize("change", ["wrong", "missing", "added", "added, hidden", "linked", "a linked folder"])
def test_a_folder_that_differs_in_anything_is_not_adopted(folder, tmp_path, change):
    weights = folder / "deep" / "w.safetensors"
    if change == "wrong":
        weights.write_bytes(B[:-1] + b"!")
    if change in ("missing", "linked"):
        weights.rename(tmp_path / "aside")
    if change == "linked":
        weights.symlink_to(tmp_path / "aside")
    if change == "added":
        (folder / "deep" / "added").write_text("")
    if change == "added, hidden":
        (folder / ".added").write_text("")
    if change == "a linked folder":
        (folder / "added").symlink_to(tmp_path)
    assert recognize_existing(two_file_folder(), folder, continue_hashing) is None


def test_one_file_without_a_digest_keeps_the_folder_from_being_adopted(folder):
    expected_artifact = folder_artifact(
        sizes={"config.json": len(A), "deep/w.safetensors": len(B)}, pins={"deep/w.safetensors": sha(B)}
    )
    assert recognize_existing(expected_artifact, folder, continue_hashing) is None


def test_hashing_an_existing_file_can_be_stopped(tmp_path):
    (tmp_path / "m").write_bytes(B)

    def stop() -> None:
        raise Interrupted("Stopped.")

    with pytest.raises(Interrupted):
        recognize_existing(single_file(), tmp_path / "m", stop)
