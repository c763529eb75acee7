"""Comparison of an installed model with the catalog's artifact: by digests, sizes, sets of files and commits."""

from dataclasses import replace

import pytest

from flowhub_jobs.operations.library.outdated import differs
from flowhub_jobs.store.library_check import EntryFile, LibraryEntry, old_versions
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import HubFormat

A, B = "aa" * 32, "bb" * 32
GIT_A, GIT_B = "a" * 40, "b" * 40


def artifact(*files: ArtifactFile, folder: bool = False) -> Artifact:
    return Artifact("m@q4", "m", "q4", HubFormat.GGUF, "m.gguf", folder, files)


def file(path: str = "m.gguf", *, size: int | None = 10, commit: str = "main", **pins: str) -> ArtifactFile:
    return ArtifactFile(path, f"https://huggingface.co/o/r/resolve/{commit}/{path}", size, **pins)


def entry(name: str = "m.gguf", installed_at: int = 1, **files: str) -> LibraryEntry:
    files_by_path = {path: EntryFile(10, 1, digest) for path, digest in (files or {name: A}).items()}
    return LibraryEntry(
        name, "k" * 16, "m@q4", "m", "q4", HubFormat.GGUF, 10, A, None, None, installed_at, 1, files_by_path
    )


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (file(sha256=A), False),
        (file(sha256=B), True),
        (file(sha256=A, size=None), False),
        (file("renamed.gguf", sha256=A), False),
        (file(size=11), True),
        (file(), None),
        (file(size=None), None),
    ],
    ids=["same", "another digest", "no size", "another name", "another size", "no digest", "neither"],
)
def test_a_single_file_is_compared_by_digest_and_else_by_size(current, expected):
    assert differs(entry(), None, artifact(current)) is expected


@pytest.mark.parametrize(("current", "expected"), [(GIT_A, False), (GIT_B, True)])
def test_a_git_digest_is_compared_with_the_one_of_the_job(current, expected):
    previous = artifact(file(git_sha1=GIT_A))
    assert differs(entry(), previous, artifact(file(git_sha1=current))) is expected
    assert differs(entry(), None, artifact(file(git_sha1=current))) is None


@pytest.mark.parametrize(("current", "expected"), [(GIT_A, False), (GIT_B, True), ("main", None)])
def test_without_any_digest_the_commit_decides(current, expected):
    previous = artifact(file(commit=GIT_A))
    assert differs(entry(), previous, artifact(file(commit=current))) is expected


def test_another_commit_with_the_same_bytes_is_no_difference():
    assert differs(entry(), artifact(file(commit=GIT_A, sha256=A)), artifact(file(commit=GIT_B, sha256=A))) is False


def test_a_folder_differs_by_any_file_and_by_the_set_of_them():
    installed = entry("m-q4", w=A, c=B)
    same = (file("w", sha256=A), file("c", sha256=B))
    assert differs(installed, None, artifact(*same, folder=True)) is False
    without_digest = (file("w", sha256=A), file("c"))
    assert differs(installed, None, artifact(*without_digest, folder=True)) is False
    assert differs(installed, None, artifact(file("w", sha256=A), file("c", sha256=A), folder=True)) is True
    assert differs(installed, None, artifact(same[0], folder=True)) is True
    assert differs(installed, None, artifact(*same, file("new"), folder=True)) is True
    assert differs(installed, None, artifact(file(sha256=A))) is True  # a file in place of a folder


def test_of_two_names_of_one_model_the_one_installed_last_is_current():
    old, new = entry("old.gguf", 1), entry("new.gguf", 2, **{"new.gguf": B})
    assert old_versions([new, old]) == {"old.gguf": new}
    assert old_versions([entry("one.gguf", 1, **{"one.gguf": A}), entry("two.gguf", 2, **{"two.gguf": A})]) == {}
    other = replace(new, ref="n@q4", model="n")
    assert old_versions([other, old]) == {}
