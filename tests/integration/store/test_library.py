"""The library: written as a job completes, compared with the files by size and time, joined to the store's files."""

import os

import pytest
import sqlalchemy as sa
from support.job_store import NODE, PIN, JobStore, artifact, file_digests, folder_artifact

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.lazy import Database
from flowhub_jobs.database.tables import artifact_files, artifacts, jobs
from flowhub_jobs.jobs.lease_store import LEASE_S
from flowhub_jobs.jobs.run_values import LeaseLost
from flowhub_jobs.store.install import InstallResult
from flowhub_jobs.store.layout import Store
from flowhub_jobs.store.library import Library
from flowhub_jobs.store.library_fast import Installed
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import HubFormat

NOW = 1_795_000_000_000_000


@pytest.fixture
def library(job_store: JobStore, store: Store) -> Library:
    return Library(Database.of(job_store.engine), NODE, store)


def install(job_store: JobStore, store: Store, wanted: Artifact, name: str | None = None) -> int:
    """Write the artifact's files into the store, and index them for a new job; return the job's number."""
    [job] = job_store.enqueue(f"job-of-{name or wanted.name}")
    path = store.root / (name or wanted.name)
    for file in wanted.files:
        target = path / file.path if wanted.folder else path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x" * (file.size or 0))
    with writing(job_store.engine) as tx:
        Library(Database.of(job_store.engine), NODE, store).record_installed(
            tx, wanted, InstallResult(path.name, path, file_digests(wanted)), job, NOW
        )
    return job


FOLDER = folder_artifact("big", sizes={"config.json": 10, "deep/w.safetensors": 90})


# The index -----------------------------------------------------------------------------------------------------------


def test_an_installed_model_is_listed_with_all_its_fields(job_store, store, library):
    install(job_store, store, artifact("tiny"))
    install(job_store, store, FOLDER)
    folder, file = library.models(lambda model, option: model == "tiny")
    assert (file.name, file.model, file.option, file.format) == ("tiny-q4.gguf", "tiny", "q4", HubFormat.GGUF)
    assert (file.bytes, file.sha256, file.path) == (1000, "ab" * 32, store.root / "tiny-q4.gguf")
    assert file.installed_at == file.verified_at is not None
    assert (folder.name, folder.format, folder.bytes, folder.sha256) == ("big-mlx", HubFormat.MLX, 100, None)
    assert (file.in_catalog, folder.in_catalog) == (True, False)


def test_a_file_that_was_added_by_hand_is_listed_without_a_history(store, library):
    (store.root / "mine.gguf").write_bytes(b"123")
    [model] = library.models(lambda model, option: True)
    assert (model.name, model.bytes, model.format) == ("mine.gguf", 3, HubFormat.GGUF)
    unknown = ("model", "option", "sha256", "installed_at", "verified_at")
    assert [getattr(model, name) for name in unknown] == [None] * len(unknown)
    assert not model.in_catalog


def test_an_indexed_model_that_is_gone_is_not_listed(job_store, store, library):
    install(job_store, store, artifact("tiny"))
    (store.root / "tiny-q4.gguf").unlink()
    assert library.models(lambda model, option: True) == []


def test_a_newer_version_under_the_same_name_replaces_the_older_ones_entry(job_store, store, library):
    install(job_store, store, artifact("tiny", size=1000))
    newer = artifact("tiny", size=2000, sha256="cd" * 32)
    job = install(job_store, store, newer)
    [model] = library.models(lambda model, option: True)
    assert (model.bytes, model.sha256) == (2000, "cd" * 32)
    assert library.unchanged([newer.key]) == {newer.key: Installed("tiny-q4.gguf", job)}
    with reading(job_store.engine) as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(artifacts)).scalar() == 1
        assert tx.execute(sa.select(sa.func.count()).select_from(artifact_files)).scalar() == 1


def test_the_index_is_written_with_the_end_of_the_job_or_not_at_all(job_store, store, library):
    job_store.enqueue("tiny")
    claimed = job_store.claim()
    (store.root / "tiny-q4.gguf").write_bytes(b"x" * 1000)
    placed = InstallResult("tiny-q4.gguf", store.root / "tiny-q4.gguf", file_digests(claimed.artifact))
    job_store.time.advance(LEASE_S + 1)

    def end() -> None:
        with writing(job_store.engine) as tx:
            library.record_installed(tx, claimed.artifact, placed, claimed.lease.job, NOW)
            job_store.owner.complete(tx, claimed.lease, str(placed.path), placed.files, "Installed.")

    with pytest.raises(LeaseLost):
        end()
    assert library.owner("tiny-q4.gguf") is None


def test_an_entry_outlives_its_job(job_store, store, library):
    install(job_store, store, artifact("tiny"))
    with writing(job_store.engine) as tx:
        tx.execute(sa.delete(jobs))
    assert library.unchanged([artifact("tiny").key]) == {artifact("tiny").key: Installed("tiny-q4.gguf", None)}


# Unchanged -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [artifact("tiny"), FOLDER], ids=["file", "folder"])
def test_a_file_that_is_as_it_was_installed_is_unchanged(job_store, store, library, wanted):
    job = install(job_store, store, wanted)
    assert library.unchanged([wanted.key, "0" * 16]) == {wanted.key: Installed(wanted.name, job)}
    assert library.unchanged(["0" * 16]) == {}


@pytest.mark.parametrize("wanted", [artifact("tiny"), FOLDER], ids=["file", "folder"])
@pytest.mark.parametrize("change", ["time", "size", "removed", "folder removed"])
def test_another_size_or_time_of_any_file_means_changed(job_store, store, library, wanted, change):
    install(job_store, store, wanted)
    path = store.root / wanted.name
    file = path / "deep/w.safetensors" if wanted.folder else path
    status = file.stat()
    if change == "size":
        file.write_bytes(b"x" * (status.st_size - 1))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    if change == "time":
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    if change == "removed":
        file.unlink()
    if change == "folder removed":
        path.rename(store.root / "elsewhere")
    assert library.unchanged([wanted.key]) == {}


def test_a_file_in_a_folders_place_means_changed(job_store, store, library):
    install(job_store, store, FOLDER)
    (store.root / "big-mlx").rename(store.root / "elsewhere")
    (store.root / "big-mlx").write_bytes(b"x" * 10)
    assert library.unchanged([FOLDER.key]) == {}


@pytest.mark.parametrize("place", [0, 20_000, -1], ids=["first", "in the middle", "last"])
def test_a_digest_is_found_among_more_than_one_query_can_ask_for(job_store, store, library, place):
    install(job_store, store, artifact("tiny"))
    digests = [f"{number:064x}" for number in range(40_001)]
    digests[place] = PIN
    job_store.limit_variables()
    assert library.by_digest([*digests, PIN]) == [(PIN, store.root / "tiny-q4.gguf")]


# Owners --------------------------------------------------------------------------------------------------------------


def test_the_owner_of_a_name_is_found_whatever_its_case(job_store, store, library):
    install(job_store, store, artifact("tiny"), "Tiny.GGUF")
    assert library.owner("tiny.gguf") == "tiny@q4"
    assert library.owner("other.gguf") is None
    assert library.owners() == {"tiny.gguf": "tiny@q4"}


def test_the_name_of_a_removed_entry_has_no_owner(job_store, store, library):
    install(job_store, store, artifact("tiny"), "Tiny.GGUF")
    library.forget("tiny.gguf")
    assert library.owner("Tiny.GGUF") is None
    with reading(job_store.engine) as tx:
        assert tx.execute(sa.select(artifact_files)).all() == []


def test_the_library_of_another_node_is_separate(job_store, store, library):
    install(job_store, store, artifact("tiny"))
    other = Library(Database.of(job_store.engine), "n-other", store)
    assert other.owner("tiny-q4.gguf") is None
    assert other.unchanged([artifact("tiny").key]) == {}
    other.forget("tiny-q4.gguf")
    assert library.owner("tiny-q4.gguf") == "tiny@q4"


# The store's identity ------------------------------------------------------------------------------------------------


def test_the_stores_identity_is_remembered_with_its_path(job_store, store, library, tmp_path):
    assert library.known_store() is None
    for identity in ("one", "two"):
        library.remember_store(identity, "host", NOW)
        assert library.known_store() == identity
    assert Library(Database.of(job_store.engine), NODE, Store(tmp_path / "other")).known_store() is None
    assert Library(Database.of(job_store.engine), "n-other", store).known_store() is None
