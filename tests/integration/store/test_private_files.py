"""Permissions of the files that flowhub makes, and links that it does not write through."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.app import app_of
from support.models import gguf, one_file_model, write_catalog
from support.origin import Origin

from flowhub_jobs.errors import HomeUnusable, StoreUnusable
from flowhub_jobs.home import opened
from flowhub_jobs.settings import load_settings
from flowhub_jobs.store.layout import STORE_ID
from flowhub_jobs.values.enums import State

CONTENT = gguf(5000)
SECRETS = {"X-Amz-Signature": "0a1b2c3d4e", "token": "tok-5f6a7b", "sig": "azure%2Bsig%3D"}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def flowhub(*arguments: str, umask: int) -> None:
    command = [sys.executable, "-m", "flowhub_jobs.cli.main", *arguments]
    process = subprocess.run(command, env=os.environ, umask=umask, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@pytest.fixture
def url(origin: Origin) -> str:
    return origin.serve("/m.gguf", CONTENT)


@pytest.mark.parametrize("umask", [0, 0o022])
def test_only_the_owner_reads_the_home_and_writes_to_the_store(
    home: Path, url: str, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    catalog = write_catalog(home.parent / "catalog.json", one_file_model("m", url, CONTENT))
    monkeypatch.setenv("FLOWHUB_CATALOG", str(catalog))
    flowhub("enqueue", "m", umask=umask)
    flowhub("worker", "--drain", umask=umask)
    for path in (home, home / "workers"):
        assert mode(path) == 0o700, path
    for path in (home / "node", *home.glob("*.db*"), *home.glob("*.lock"), *(home / "workers").iterdir()):
        assert mode(path) == 0o600, path
    store = home / "llms"
    assert {path.name: mode(path) for path in (store, *store.iterdir())} == {
        "llms": 0o755,
        ".partial": 0o755,
        STORE_ID: 0o644,
        "m.gguf": 0o644,
    }


def test_a_home_that_others_could_read_is_closed_to_them(home: Path) -> None:
    with opened(load_settings()):
        pass
    home.chmod(0o755)
    for path in home.glob("*.db*"):
        path.chmod(0o644)
    with opened(load_settings()):
        assert mode(home) == 0o700
        assert {mode(path) for path in home.glob("*.db*")} == {0o600}


@pytest.mark.parametrize("where", ["sticky", "user"])
def test_a_shared_folder_that_is_set_as_the_home_keeps_its_mode(
    home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    home.mkdir()
    home.chmod(0o1777 if where == "sticky" else 0o755)
    if where == "user":
        monkeypatch.setenv("HOME", str(home))
    before = mode(home)
    with opened(load_settings()):
        assert mode(home) == before


# Links ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"mine", None])
def test_the_identity_of_a_store_is_not_written_through_a_link(
    home: Path, tmp_path: Path, content: bytes | None
) -> None:
    target, store = tmp_path / "precious", home / "llms"
    store.mkdir(parents=True)
    (store / STORE_ID).symlink_to(target)
    if content is not None:
        target.write_bytes(content)
    with opened(load_settings()) as opened_home, pytest.raises(StoreUnusable, match="is a symbolic link"):
        opened_home.open_store()
    assert (target.read_bytes() if target.exists() else None) == content


def test_the_folder_of_locks_is_not_written_through_a_link(home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    home.mkdir()
    (home / "workers").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeUnusable, match="is a symbolic link"), opened(load_settings()):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_lock_file_is_not_written_through_a_link(home: Path, tmp_path: Path) -> None:
    with opened(load_settings()):
        pass
    (home / "workers" / "install").unlink()
    (home / "workers" / "install").symlink_to(tmp_path / "new")
    with pytest.raises(HomeUnusable), opened(load_settings()):
        pass
    assert not (tmp_path / "new").exists()


# Signed addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pin", [True, False])
def test_the_signature_of_an_address_is_kept_until_its_job_is_done_and_no_longer(
    home: Path, origin: Origin, url: str, pin: bool
) -> None:
    signed = url + "?" + "&".join(f"{name}={value}" for name, value in SECRETS.items()) + "&id=7"
    with app_of(home, one_file_model("m", signed, CONTENT, pin=pin)) as app:
        job = app.enqueue("m")
        assert set(SECRETS.values()) <= secrets_in(home)
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert origin.requests()[-1].query.endswith("&id=7")
        assert secrets_in(home) == set()
        [entry] = app.home.library.entries()
        stored = app.home.library.artifact(entry.name)
        assert stored is not None
        assert stored.files[0].url.endswith("&id=7")
        assert stored.key == entry.key == app.artifact("m").key
        assert app.enqueue("m") == job, "it is the same artifact"


def test_the_signature_of_an_address_is_kept_for_the_retry_of_a_job_that_failed(home: Path, origin: Origin) -> None:
    signed = origin.url("/m.gguf") + "?sig=azure%2Bsig%3D"
    with app_of(home, one_file_model("m", signed, CONTENT)) as app:
        job = app.enqueue("m")
        app.run_next_job()
        assert app.job(job).state is State.FAILED
        origin.serve("/m.gguf", CONTENT)
        app.session.requeue(job, "retry")
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert origin.requests()[-1].query == "sig=azure%2Bsig%3D"


def secrets_in(home: Path) -> set[str]:
    """Return the secrets that some cell of the database contains."""
    with closing(sqlite3.connect(home / "flowhub.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        cells = [str(cell) for table in tables for row in database.execute(f"SELECT * FROM {table}") for cell in row]
    return {secret for secret in SECRETS.values() if any(secret in cell for cell in cells)}
