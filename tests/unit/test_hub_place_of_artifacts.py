"""Repository, commit and paths of an installed artifact, by its addresses and by what the Hub said."""

import pytest

from flowhub_jobs.store.hub_origin import hub_origin
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, FileDigest, HubSource
from flowhub_jobs.values.enums import RepoKind

ONE, TWO = "1" * 40, "2" * 40


def artifact(*urls, hub=None, commits=()):
    files = [
        ArtifactFile(f"f{n}", url, commit=commit) for n, (url, commit) in enumerate(zip(urls, commits, strict=True))
    ]
    return Artifact("a@b", "a", "b", None, "a-b", len(urls) > 1, tuple(files), hub)


def url(path="x.gguf", revision="main", repo="o/r"):
    return f"https://huggingface.co/{repo}/resolve/{revision}/{path}"


def found(*urls, hub=None, commits=None):
    whole = artifact(*urls, hub=hub, commits=commits or [None] * len(urls))
    return hub_origin(whole, whole.files)


@pytest.mark.parametrize(
    ("urls", "commits", "commit", "revision"),
    [
        ([url(revision=ONE)], [None], ONE, "main"),
        ([url()], [ONE], ONE, "main"),
        ([url(revision="v1.0")], [ONE], ONE, "v1.0"),
        ([url(revision="refs%2Fpr%2F1")], [ONE], ONE, "refs/pr/1"),
        ([url(), url("a/y.gguf")], [ONE, ONE], ONE, "main"),
    ],
)
def test_the_commit_is_the_addresss_or_the_one_that_the_hub_said(urls, commits, commit, revision):
    origin = found(*urls, commits=commits)
    assert (origin.kind, origin.repo, origin.commit, origin.revision) == (RepoKind.MODEL, "o/r", commit, revision)


@pytest.mark.parametrize(
    ("urls", "commits"),
    [
        ([url()], [None]),
        ([url(), url("y")], [ONE, TWO]),  # the branch moved between two files
        ([url(), url("y")], [ONE, None]),
    ],
)
def test_files_of_no_single_known_commit_are_of_none(urls, commits):
    origin = found(*urls, commits=commits)
    assert (origin.repo, origin.commit) == ("o/r", None)


@pytest.mark.parametrize("other", [url("y", repo="o/s"), url("y", revision="dev"), "https://elsewhere.example/y"])
def test_files_of_no_single_repository_are_of_none(other):
    assert found(url(), other, commits=[ONE, ONE]) is None


def test_a_reference_to_the_hub_knows_its_commit_itself():
    origin = found(url(revision=ONE), hub=HubSource("o/r", ONE, "dev"))
    assert (origin.commit, origin.revision, origin.paths) == (ONE, "dev", ("x.gguf",))


def test_an_artifact_keeps_its_key_and_its_commits_through_json():
    plain = artifact(url(), url("y"), commits=[None, None])
    digests = [FileDigest("f0", 1, "a" * 64, True, commit=ONE), FileDigest("f1", 1, "b" * 64, True)]
    known = plain.of_commits(digests)
    assert [file.commit for file in Artifact.from_dict(known.as_dict()).files] == [ONE, None]
    assert known.key == plain.key
