"""The `db backup` and `db check` commands."""

import shutil
import sqlite3
import stat
import threading

from support.cli import cli_app
from support.disks import tmpfs_disk
from support.models import gguf, one_file_model
from support.origin import Origin

A = gguf(4096, 1)


def test_a_backup_is_one_private_file_from_which_everything_is_restored(
    cli, home, origin: Origin, monkeypatch, tmp_path
):
    with cli_app(home, monkeypatch, one_file_model("m", origin.serve("/m.gguf", A), A)):
        cli("enqueue", "m")
        cli("worker", "--drain")
        page = cli("db", "backup", tmp_path / "copy.db", "--json").json
        assert page["schema"] == "flowhub/database/1"
        assert (page["jobs"], page["installed"]) == (1, 1)
        assert page["bytes"] == (tmp_path / "copy.db").stat().st_size
        assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
        assert sorted(path.name for path in tmp_path.glob("*copy.db*")) == ["copy.db"]
        jobs, models = cli("status", "--all", "--json").json, cli("list", "--json").json
    for path in home.glob("flowhub.db*"):
        path.unlink()
    shutil.copy(tmp_path / "copy.db", home / "flowhub.db")
    assert cli("status", "--all", "--json").json == jobs
    assert cli("list", "--json").json["models"][0]["verified_at"] == models["models"][0]["verified_at"]


def test_a_backup_replaces_nothing(cli, home, tmp_path):
    (tmp_path / "mine").write_text("mine")
    result = cli("db", "backup", tmp_path / "mine", "--json")
    assert result.error["code"] == "name_taken"
    assert (tmp_path / "mine").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if "mine" in path.name] == ["mine"]


def test_a_backup_onto_a_full_disk_leaves_nothing(cli, home, tmp_path):
    cli("status")
    with tmpfs_disk(tmp_path / "disk", megabytes=1) as disk:
        (disk.mount_point / "other").write_bytes(b"x" * 1_000_000)
        assert cli("db", "backup", disk.mount_point / "copy.db", "--json").error["code"] == "disk_full"
        assert [path.name for path in disk.mount_point.iterdir()] == ["other"]


def test_a_backup_during_writes_is_consistent(cli, home, tmp_path):
    cli("status")
    stop = threading.Event()

    def write() -> None:
        with sqlite3.connect(home / "flowhub.db", isolation_level=None, timeout=30) as file:
            number = 0
            while not stop.is_set():
                file.execute(
                    "INSERT INTO controls (node, name, value, set_at) VALUES (?, 'x', '1', 0)", (f"n{number}",)
                )
                number += 1
        file.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            assert cli("db", "backup", tmp_path / f"copy-{number}.db").status == 0
    finally:
        stop.set()
        writer.join()


def test_check_finds_a_damaged_page_and_a_reference_to_nothing(cli, home):
    assert cli("db", "check").status == 0
    with sqlite3.connect(home / "flowhub.db") as file:
        file.execute("INSERT INTO events (job_id, at, kind, text) VALUES (99, 0, 'x', '')")
    file.close()
    assert cli("db", "check", "--json").error["code"] == "database_damaged"


def test_for_postgresql_the_hint_names_the_servers_own_tools(cli, home, monkeypatch):
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", "postgresql://host.example/name")
    for arguments in (["db", "check"], ["db", "backup"]):
        result = cli(*arguments, "--json")
        assert result.status == 2
        assert "pg_dump" in result.error["hint"]
