"""Tests of opening a home: the node's name, clear errors for unusable folders, orphaned jobs found by file locks."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.job_store import artifact
from support.python_process import kill, start_python

from flowhub_jobs.database.engine import translated
from flowhub_jobs.errors import DatabaseUnusable, HomeUnusable, SettingInvalid, StoreOffline
from flowhub_jobs.home import opened
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest
from flowhub_jobs.settings import Settings, load_settings
from flowhub_jobs.store.installed_options import installed_options
from flowhub_jobs.store.layout import Store
from flowhub_jobs.values.enums import State


def settings_of(home: Path, **environ: str) -> Settings:
    return load_settings({"FLOWHUB_HOME": str(home), **environ})


# Open ----------------------------------------------------------------------------------------------------------------


def test_a_new_home_gets_its_files_and_folders(tmp_path):
    with opened(settings_of(tmp_path / "deep" / "home")) as home:
        assert home.queries.overview() == []
        assert sorted(path.name for path in home.settings.home.iterdir() if "db-" not in path.name) == [
            "flowhub.db",
            "migrate.lock",
            "node",
            "workers",
        ]


def test_the_node_is_named_once(tmp_path):
    names = set()
    for _ in range(3):
        with opened(settings_of(tmp_path)) as home:
            names.add(home.node)
    assert len(names) == 1
    assert (tmp_path / "node").read_text().strip() in names


def test_a_name_that_another_process_writes_first_is_used(tmp_path, monkeypatch):
    (tmp_path / "node").write_text("n-other\n")
    exists = Path.exists
    # The file is absent when this process checks.
    monkeypatch.setattr(Path, "exists", lambda path: path.name != "node" and exists(path))
    with opened(settings_of(tmp_path)) as home:
        assert home.node == "n-other"
    assert sorted(path.name for path in tmp_path.glob("node*")) == ["node"]


def test_a_name_in_the_settings_takes_precedence_over_the_node_file(tmp_path):
    with opened(settings_of(tmp_path, FLOWHUB_NODE="gpu-01")) as home:
        assert home.node == "gpu-01"
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize("name", ["all", "Any", "a b", "-x", "a/b", "x" * 65, "ö", "a\nb"])
def test_an_invalid_name_of_a_node_is_refused(tmp_path, name):
    with pytest.raises(SettingInvalid), opened(settings_of(tmp_path, FLOWHUB_NODE=name)):
        pass


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"two words\n"])
def test_the_error_of_a_damaged_node_file_names_its_path(tmp_path, content):
    (tmp_path / "node").write_bytes(content)
    with pytest.raises((SettingInvalid, HomeUnusable), match=str(tmp_path / "node")), opened(settings_of(tmp_path)):
        pass


# Unusable ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "deep", "very/deep"])
def test_a_home_that_is_a_file_or_below_one_is_unusable_and_the_file_stays(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    home = tmp_path / "file" / below
    with pytest.raises(HomeUnusable) as raised, opened(settings_of(home)):
        pass
    assert str(home) in raised.value.message
    assert "FLOWHUB_HOME" in (raised.value.hint or "")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """A folder of a user without root's rights. Tests that run as root become user 65534 until the end of the test."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        if os.geteuid() == 0 and hasattr(os, "setresuid"):
            os.chown(folder, 65534, 65534)
            os.setresuid(65534, 65534, 0)
            stack.callback(os.setresuid, 0, 0, 0)
        elif os.geteuid() == 0:
            pytest.skip("root may write everywhere, and this system has no setresuid to change the user")
        yield folder


@pytest.mark.parametrize("used_before", [False, True])
def test_a_read_only_home_is_unusable(unprivileged_folder, used_before):
    home = unprivileged_folder / "home"
    (home / "workers" if used_before else home).mkdir(parents=True)
    home.chmod(0o555)
    with pytest.raises(HomeUnusable, match=str(home)), opened(settings_of(home)):
        pass
    home.chmod(0o755)


def test_a_read_only_database_is_unusable(unprivileged_folder):
    with opened(settings_of(unprivileged_folder)):
        pass
    (unprivileged_folder / "flowhub.db").chmod(0o444)
    for file in unprivileged_folder.glob("flowhub.db-*"):
        file.unlink()
    with (
        pytest.raises((HomeUnusable, DatabaseUnusable), match=r"flowhub\.db"),
        opened(settings_of(unprivileged_folder)) as home,
        translated(home.settings.database_url),
    ):
        home.commands.enqueue([EnqueueRequest(artifact(), "/x")])


def test_the_error_of_a_database_that_is_a_text_file_names_it(tmp_path):
    (tmp_path / "flowhub.db").write_text("Dear diary, " * 1000)
    with pytest.raises(DatabaseUnusable, match=r"flowhub\.db"), opened(settings_of(tmp_path)):
        pass


# The store -----------------------------------------------------------------------------------------------------------


def test_a_store_outside_the_home_that_was_unmounted_is_offline_until_it_is_back(tmp_path):
    mount = tmp_path / "mnt"
    mount.mkdir()
    with opened(settings_of(tmp_path / "home", FLOWHUB_STORE=str(mount))) as home:
        home.open_store()
        mount.rename(tmp_path / "unplugged")
        mount.mkdir()
        with pytest.raises(StoreOffline):
            home.open_store()
        assert list(mount.iterdir()) == []
        mount.rmdir()
        (tmp_path / "unplugged").rename(mount)
        home.open_store()


def test_a_store_in_the_home_that_was_removed_is_made_again(tmp_path):
    with opened(settings_of(tmp_path)) as home:
        home.open_store()
        shutil.rmtree(home.store.root)
        home.open_store()
        assert home.store.identity()


# Orphans -------------------------------------------------------------------------------------------------------------

CLAIM_A_JOB = """
import sys
from pathlib import Path
from flowhub_jobs.home import opened
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.settings import load_settings
from flowhub_jobs.fs.locks import LockFile
with opened(load_settings({"FLOWHUB_HOME": sys.argv[1]})) as home:
    held = LockFile(home.settings.locks / "w-other.lock")
    leases = LeaseStore(home.engine, home.node, "w-other", home.clock)
    leases.register(1, 1)
    print(leases.claim().lease.job, flush=True)
    sys.stdin.read()
"""


def test_the_job_of_a_worker_that_was_killed_is_taken_back_at_once_and_not_before(tmp_path):
    with opened(settings_of(tmp_path)) as home:
        [answer] = home.commands.enqueue([EnqueueRequest(artifact(), "/x")])
        worker = start_python(CLAIM_A_JOB, tmp_path)
        try:
            assert worker.stdout.readline() == f"{answer.job}\n"
            assert home.living_workers() == 1
            assert home.take_back_orphans() == []
        finally:
            kill(worker)
        assert home.living_workers() == 0
        assert home.take_back_orphans() == [answer.job]
        assert home.queries.jobs([answer.job])[0].state is State.QUEUED


@pytest.mark.parametrize("name", ["q?one", "p%41x", "100%", "a#b c;d&e"])
def test_a_home_may_have_any_name(tmp_path, name):
    """Characters with a meaning in the database's URL stay part of the name."""
    home = tmp_path / name
    with opened(load_settings({"FLOWHUB_HOME": str(home)})) as opened_home:
        assert opened_home.queries.all() == []
    assert {"flowhub.db", "node"} <= {path.name for path in home.iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert installed_options(load_settings({"FLOWHUB_HOME": str(home)}).database_url, "n", [Store(home)]) == frozenset()
