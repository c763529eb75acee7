"""The `doctor` command: each check runs on the real thing that it checks."""

import json
import os
import sqlite3
from datetime import UTC, datetime

import pytest
from support.cli import cli_app, run_command
from support.disks import tmpfs_disk
from support.models import gguf, one_file_model
from support.origin import Origin
from support.pooler import TransactionPooler

from flowhub_jobs import __version__
from flowhub_jobs.database.postgresql_facts import Blocker, ServerHealth
from flowhub_jobs.jobs.node_rows import NodeStatus
from flowhub_jobs.operations.doctor import database_checks, program_checks
from flowhub_jobs.operations.doctor.check import Status

A = gguf(4096, 1)


def checks(result) -> dict[str, dict]:
    assert list(result.json) == ["schema", "checks"]
    assert result.json["schema"] == "flowhub/doctor/1"
    assert all(list(check) == ["name", "status", "message", "hint"] for check in result.json["checks"])
    return {check["name"]: check for check in result.json["checks"]}


def failed_checks(result) -> set[str]:
    return {name for name, check in checks(result).items() if check["status"] == "fail"}


def test_an_empty_home_passes_every_check(cli, home):
    result = cli("doctor", "--json")
    assert result.status == 0
    by_name = checks(result)
    assert {check["status"] for check in by_name.values()} <= {"ok", "skip", "warn"}
    for name in ("settings.file", "home.folder", "database.schema", "database.queue", "store.rename", "catalog.read"):
        assert by_name[name]["status"] == "ok", by_name[name]
    assert len(by_name) == len(result.json["checks"])  # each name once


def test_the_screen_has_a_line_for_each_check_and_fits_80_columns(home):
    result = run_command("doctor", COLUMNS="80", FLOWHUB_HOME=str(home))
    assert result.status == 0
    assert "store.rename" in result.out
    assert "No check failed" in result.err or "checks passed" in result.err


def test_nothing_is_left_in_the_store(cli, home):
    cli("doctor")
    assert os.listdir(home / "llms" / ".partial") == []


def test_nothing_is_sent_without_online(cli, home, origin: Origin, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", origin.url(""))
    by_name = checks(cli("doctor", "--json"))
    assert by_name["network.hub"]["status"] == "skip"
    assert origin.requests() == []


# Settings and home ---------------------------------------------------------------------------------------------------


def test_an_invalid_setting_fails_and_the_program_is_checked_anyway(cli, home):
    home.mkdir()
    (home / "config.toml").write_text("jobs = 'many'\n")
    result = cli("doctor", "--json")
    assert result.status == 1
    assert failed_checks(result) == {"settings.file"}
    assert checks(result)["program.version"]["status"] == "ok"


def test_tokens_that_others_can_read_fail(cli, home):
    home.mkdir()
    (home / "config.toml").write_text('[tokens]\n"https://host.example" = "secret-token"\n')
    (home / "config.toml").chmod(0o644)
    result = cli("doctor", "--json")
    assert failed_checks(result) == {"settings.file"}
    assert "secret-token" not in json.dumps(result.json)
    (home / "config.toml").chmod(0o600)
    assert cli("doctor", "--json").status == 0


def test_a_misspelt_variable_warns_with_the_right_name(cli, home, monkeypatch):
    monkeypatch.setenv("FLOWHUB_STROE", "/models")
    check = checks(cli("doctor", "--json"))["settings.variables"]
    assert check["status"] == "warn"
    assert "FLOWHUB_STORE" in check["message"]


def test_a_home_that_is_a_file_fails(cli, home):
    home.write_text("")
    result = cli("doctor", "--json")
    assert result.status == 1
    assert failed_checks(result) == {"home.open"}


# Database ------------------------------------------------------------------------------------------------------------


def test_a_database_of_a_newer_flowhub_fails(cli, home):
    cli("status")
    with sqlite3.connect(home / "flowhub.db") as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
    file.close()
    result = cli("doctor", "--json")
    assert failed_checks(result) == {"home.open"}
    assert "newer" in checks(result)["home.open"]["message"]


def test_a_damaged_database_fails(cli, home):
    cli("status")
    path = home / "flowhub.db"
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root_page = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0]
        page_size = file.execute("PRAGMA page_size").fetchone()[0]
    file.close()
    with path.open("r+b") as file:
        file.seek((root_page - 1) * page_size)
        file.write(b"\xff" * page_size)
    result = cli("doctor", "--json")
    assert result.status == 1
    assert failed_checks(result) & {"database.whole", "home.open"}


def test_a_postgresql_database_is_checked_with_its_server(cli, home, postgres, postgres_url, monkeypatch):
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    result = cli("doctor", "--json")
    assert result.status == 0
    by_name = checks(result)
    for name in ("version", "role", "connections", "clock", "locks", "listen", "nodes"):
        assert by_name[f"database.{name}"]["status"] == "ok", by_name[f"database.{name}"]


def test_a_pooler_that_passes_no_notification_is_a_warning(cli, home, postgres_url, monkeypatch):
    with TransactionPooler(postgres_url) as pooler:
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", pooler.url)
        check = checks(cli("doctor", "--json"))["database.listen"]
        assert (check["status"], "FLOWHUB_DATABASE_LISTEN" in check["hint"]) == ("warn", True)
        monkeypatch.setenv("FLOWHUB_DATABASE_LISTEN", "false")
        assert checks(cli("doctor", "--json"))["database.listen"]["status"] == "skip"


def test_a_read_only_server_fails(cli, home, postgres, postgres_url, monkeypatch):
    database = postgres_url.rpartition("/")[2].partition("?")[0]
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    assert cli("doctor").status == 0
    postgres.sql(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    try:
        assert "database.role" in failed_checks(cli("doctor", "--json"))
    finally:
        postgres.sql(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')


def node(name: str, version: str, *, alive: bool = True) -> NodeStatus:
    state = "alive" if alive else "gone"
    return NodeStatus(name, "h", state, datetime(2026, 11, 30, tzinfo=UTC), 1, 3, "/s", None, None, (), None, version)


SOUND = ServerHealth("16.4", 160004, False, False, 10, 100, 0)


@pytest.mark.parametrize(
    ("check", "status"),
    [
        (database_checks.version(SOUND), Status.OK),
        (database_checks.version(ServerHealth("9.6", 90600, False, False, 10, 100, 0)), Status.FAIL),
        (database_checks.role(ServerHealth("16.4", 160004, True, False, 10, 100, 0)), Status.FAIL),
        (database_checks.connections(SOUND), Status.OK),
        (database_checks.connections(ServerHealth("16.4", 160004, False, False, 97, 100, 0)), Status.WARN),
        (database_checks.clock_skew(4_000_000), Status.OK),
        (database_checks.clock_skew(-60_000_000), Status.WARN),
        (database_checks.locks([]), Status.OK),
        (database_checks.locks([Blocker(7, "psql", 2)]), Status.WARN),
        (database_checks.versions("n-1", [node("n-1", __version__), node("n-2", __version__)]), Status.OK),
        (database_checks.versions("n-1", [node("n-1", __version__), node("n-2", "99.0.0")]), Status.WARN),
        (database_checks.versions("n-1", [node("n-2", "99.0.0", alive=False)]), Status.OK),
        (program_checks.clock(datetime(2002, 1, 1, tzinfo=UTC)), Status.WARN),
        (program_checks.clock(datetime(2027, 1, 1, tzinfo=UTC)), Status.OK),
        (program_checks.open_files(12), Status.WARN),
        (program_checks.open_files(1024), Status.OK),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_value_and_its_status(check, status):
    assert check.status is status
    assert (check.hint is None) == (status is Status.OK)


# Store and library ---------------------------------------------------------------------------------------------------


def test_an_offline_store_fails_and_its_other_checks_are_left_out(cli, home, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / "disk" / "models"))
    assert cli("doctor").status == 0
    (tmp_path / "disk" / "models").rename(tmp_path / "unplugged")
    (tmp_path / "disk" / "models").mkdir()
    result = cli("doctor", "--json")
    assert failed_checks(result) == {"store.folder"}
    assert "store.rename" not in checks(result)


def test_a_full_disk_warns(cli, home, tmp_path, monkeypatch):
    with tmpfs_disk(tmp_path / "disk", megabytes=8) as disk:
        monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point / "models"))
        assert checks(cli("doctor", "--json"))["store.space"]["status"] == "ok"
        (disk.mount_point / "other").write_bytes(b"x" * 8_200_000)
        assert checks(cli("doctor", "--json"))["store.space"]["status"] == "warn"


def test_a_model_whose_file_was_removed_warns_and_names_it(cli, home, origin: Origin, monkeypatch):
    with cli_app(home, monkeypatch, one_file_model("m", origin.serve("/m.gguf", A), A)):
        cli("enqueue", "m")
        assert checks(cli("doctor", "--json"))["worker.running"]["status"] == "warn"
        assert cli("worker", "--drain").status == 0
        assert checks(cli("doctor", "--json"))["library.files"]["status"] == "ok"
        (home / "llms" / "m.gguf").write_bytes(A[:100])
        check = checks(cli("doctor", "--json"))["library.files"]
        assert check["status"] == "warn"
        assert "m.gguf" in check["message"]


# Network -------------------------------------------------------------------------------------------------------------


def test_an_unsupported_proxy_fails_and_the_message_names_the_variable(cli, home, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "gopher://proxy.example")
    result = cli("doctor", "--json")
    assert failed_checks(result) == {"network.proxy"}
    assert "HTTPS_PROXY" in checks(result)["network.proxy"]["message"]


def test_missing_certificates_fail(cli, home, tmp_path, monkeypatch, uncached_trust):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert failed_checks(cli("doctor", "--json")) == {"network.certificates"}


def test_online_checks_the_hub_the_token_and_each_host_that_the_hub_names(cli, home, origin: Origin, monkeypatch):
    with Origin() as file_host:
        hosts = {"lfsDomains": ["*.example", file_host.url("").removeprefix("http://").rstrip("/")], "cdnDomains": []}
        origin.serve("/.well-known/meta.json", json.dumps(hosts).encode())
        origin.serve("/api/whoami-v2", b"{}")
        monkeypatch.setenv("HF_ENDPOINT", origin.url("").rstrip("/"))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        result = cli("doctor", "--online", "--json")
        by_name = checks(result)
        assert result.status == 0, failed_checks(result)
        assert by_name["network.hub"]["status"] == by_name["network.token"]["status"] == "ok"
        assert [name for name in by_name if name.startswith("network.host.")] == [
            f"network.host.{hosts['lfsDomains'][1]}"
        ]
        assert len(file_host.requests()) == 1
        assert all(
            "authorization" not in {name.lower() for name in request.headers} for request in file_host.requests()
        )
    by_name = checks(cli("doctor", "--online", "--json"))  # that host is gone
    assert by_name[f"network.host.{hosts['lfsDomains'][1]}"]["status"] == "fail"


def test_online_a_token_that_the_hub_refuses_fails(cli, home, hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    result = cli("doctor", "--online", "--json")
    assert "network.hub" in checks(result)
    assert "hf_old" not in json.dumps(result.json)
