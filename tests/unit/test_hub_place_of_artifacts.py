"""Repository, commit and paths of an installed artifact, from its addresses and from the Hub's answers."""

import pytest

from flowhub_jobs.store.hub_origin import hub_origin
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, FileDigest, HubSource
from flowhub_jobs.values.enums import RepoKind

COMMIT, OTHER_COMMIT = "1" * 40, "2" * 40


def artifact(*urls, hub=None, commits=()):
    files = [
        ArtifactFile(f"f{n}", url, commit=commit) for n, (url, commit) in enumerate(zip(urls, commits, strict=True))
    ]
    return Artifact("a@b", "a", "b", None, "a-b", len(urls) > 1, tuple(files), hub)


def url(path="x.gguf", revision="main", repo="o/r"):
    return f"https://huggingface.co/{repo}/resolve/{revision}/{path}"


def origin_of(*urls, hub=None, commits=None):
    installed = artifact(*urls, hub=hub, commits=commits or [None] * len(urls))
    return hub_origin(installed, installed.files)


@pytest.mark.parametrize(
    ("urls", "commits", "commit", "revision"),
    [
        ([url(revision=COMMIT)], [None], COMMIT, "main"),
        ([url()], [COMMIT], COMMIT, "main"),
        ([url(revision="v1.0")], [COMMIT], COMMIT, "v1.0"),
        ([url(revision="refs%2Fpr%2F1")], [COMMIT], COMMIT, "refs/pr/1"),
        ([url(), url("a/y.gguf")], [COMMIT, COMMIT], COMMIT, "main"),
    ],
)
def test_the_commit_is_that_of_the_address_or_of_the_hubs_answer(urls, commits, commit, revision):
    origin = origin_of(*urls, commits=commits)
    assert (origin.kind, origin.repo, origin.commit, origin.revision) == (RepoKind.MODEL, "o/r", commit, revision)


@pytest.mark.parametrize(
    ("urls", "commits"),
    [
        ([url()], [None]),
        ([url(), url("y")], [COMMIT, OTHER_COMMIT]),  # the branch moved between two files
        ([url(), url("y")], [COMMIT, None]),
    ],
)
def test_files_of_no_single_known_commit_have_none(urls, commits):
    origin = origin_of(*urls, commits=commits)
    assert (origin.repo, origin.commit) == ("o/r", None)


@pytest.mark.parametrize("other", [url("y", repo="o/s"), url("y", revision="dev"), "https://elsewhere.example/y"])
def test_files_of_no_single_repository_have_no_origin(other):
    assert origin_of(url(), other, commits=[COMMIT, COMMIT]) is None


def test_a_reference_to_the_hub_knows_its_commit_itself():
    origin = origin_of(url(revision=COMMIT), hub=HubSource("o/r", COMMIT, "dev"))
    assert (origin.commit, origin.revision, origin.paths) == (COMMIT, "dev", ("x.gguf",))


def test_an_artifact_keeps_its_key_and_its_commits_through_json():
    plain = artifact(url(), url("y"), commits=[None, None])
    digests = [FileDigest("f0", 1, "a" * 64, True, commit=COMMIT), FileDigest("f1", 1, "b" * 64, True)]
    with_commits = plain.of_commits(digests)
    assert [file.commit for file in Artifact.from_dict(with_commits.as_dict()).files] == [COMMIT, None]
    assert with_commits.key == plain.key
