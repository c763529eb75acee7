"""PostgreSQL as the database: its URL, connections, migrations, transactions and errors."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from support.app import app_of
from support.models import gguf_pattern, one_file_model
from support.pooler import TransactionPooler
from support.postgres import Server

from flowhub_jobs.database.engine import migrations_folder, open_database, querying, reading, writing, writing_own_rows
from flowhub_jobs.database.newest_migration import HEAD
from flowhub_jobs.database.postgresql import (
    PREPARE_AFTER,
    connection_settings,
    connector,
    is_outage,
    outage_text,
    shown_place,
    to_flowhub_error,
)
from flowhub_jobs.database.postgresql_facts import Blocker, blockers
from flowhub_jobs.database.tables import jobs, metadata, nodes
from flowhub_jobs.errors import DatabaseNewer, DatabaseUnusable, ExtraMissing, SettingInvalid
from flowhub_jobs.store.layout import Store
from flowhub_jobs.store.library import Library
from flowhub_jobs.values.enums import State


@pytest.fixture
def empty(postgres: Server) -> Iterator[str]:
    """A database without tables."""
    name = postgres.create()
    yield name
    postgres.drop(name)


def alembic(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["connection"] = connection
    return config


# The URL -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgresql://", "postgresql+psycopg://", "postgres://"])
def test_each_way_to_write_the_url_opens_the_same_database(postgres, postgres_url, scheme, tmp_path):
    engine = open_database(postgres_url.replace("postgresql://", scheme), lock_folder=tmp_path)
    with reading(engine) as tx:
        assert postgres_url.endswith(tx.exec_driver_sql("SELECT current_database()").scalar())
    engine.dispose()


def test_libpq_reads_the_url_with_several_hosts_and_a_password_in_percent_signs():
    settings = connection_settings("postgresql+psycopg://me:p%40ss@a:1,b:2/flow?target_session_attrs=read-write")
    assert settings["host"] == "a,b"
    assert settings["port"] == "1,2"
    assert settings["password"] == "p@ss"
    assert settings["target_session_attrs"] == "read-write"


def test_a_shown_url_has_no_password():
    url = "postgresql://me:s3cret@h.example:5433/flow"
    assert shown_place(url) == "postgresql://h.example:5433/flow"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@a.example:1,b.example:2/flow", "postgresql://a.example:1,b.example:2/flow"),
        ("postgresql://a.example,b.example/flow?port=7", "postgresql://a.example:7,b.example:7/flow"),
        ("postgresql://a.example,b.example/flow", "postgresql://a.example,b.example/flow"),
    ],
)
def test_each_of_several_hosts_is_shown_with_its_port(url, shown):
    assert shown_place(url) == shown


def test_of_several_hosts_each_failure_is_named_once():
    reasons = ("Connection refused", "session is read-only")
    failures = [f'connection to server at "127.0.0.1", port {n} failed: {reason}' for n, reason in enumerate(reasons)]
    lines = [f"- host: '127.0.0.1', port: '{n}', hostaddr: '127.0.0.1': {text}" for n, text in enumerate(failures)]
    text = "\n".join([failures[-1], "Multiple connection attempts failed. All failures were:", *lines])
    error = to_flowhub_error("postgresql://h/flow", psycopg.OperationalError(text))
    assert error.message == f"The database postgresql://h/flow does not answer: {failures[0]}; {failures[1]}."
    assert "promote the standby" in error.hint


def test_a_malformed_url_is_refused_with_its_setting_and_without_its_password(tmp_path):
    with pytest.raises(SettingInvalid, match="FLOWHUB_DATABASE_URL") as raised:
        open_database("postgresql://me:s3cret%ZZ@h/flow", lock_folder=tmp_path)
    assert "s3cret" not in f"{raised.value.message} {raised.value.hint}"


def test_without_the_driver_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ExtraMissing) as raised:
        open_database("postgresql://h/flow", lock_folder=tmp_path)
    assert "flowhub[postgres]" in (raised.value.hint or "")


# Connections ---------------------------------------------------------------------------------------------------------


def test_connections_that_the_server_has_ended_are_replaced_before_their_next_use(postgres, postgres_url, tmp_path):
    engine = open_database(postgres_url, lock_folder=tmp_path)
    for transaction in (querying, reading, writing, writing_own_rows):
        with transaction(engine) as tx:
            before = tx.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        assert postgres.terminate_all(postgres_url.rpartition("/")[2]) > 0
        with transaction(engine) as tx:
            assert tx.exec_driver_sql("SELECT pg_backend_pid()").scalar() != before
    engine.dispose()


def test_one_query_is_one_message_and_no_transaction(postgres_url, tmp_path):
    engine = open_database(postgres_url, lock_folder=tmp_path)
    query = "SELECT now(), pg_current_xact_id_if_assigned()"
    with querying(engine) as tx:
        (first, _), (second, number) = (tx.exec_driver_sql(query).one() for _ in range(2))
        assert (first < second, number) == (True, None)  # a transaction's `now()` is that of its first query
    with reading(engine) as tx:
        assert tx.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
    engine.dispose()


@pytest.mark.parametrize("pooled_sessions", [False, True])
def test_a_process_that_is_stopped_while_it_writes_loses_its_session(postgres_url, tmp_path, pooled_sessions):
    engine = open_database(postgres_url, lock_folder=tmp_path, pooled_sessions=pooled_sessions)
    for transaction in (writing, writing_own_rows):
        with transaction(engine) as tx:
            assert tx.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "20s"
            assert tx.exec_driver_sql("SHOW lock_timeout").scalar() == "30s"
    engine.dispose()


# The schema ----------------------------------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(empty, postgres, tmp_path):
    engine = open_database(postgres.url(empty), lock_folder=tmp_path)
    with writing(engine) as tx:
        command.check(alembic(tx))
        names = set(sa.inspect(tx).get_table_names())
    assert names > {*metadata.tables, "alembic_version", "wakeup_task"}
    engine.dispose()


def test_the_tables_of_the_wakeups_are_those_that_huey_makes(postgres_url, empty, postgres):
    from huey import PostgresHuey

    own = postgres_url.rpartition("/")[2]
    huey = PostgresHuey("x", dsn=postgres.url(empty), table_prefix="wakeup")
    huey.storage.close()
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
        "WHERE table_name LIKE 'wakeup%' ORDER BY 1, 2"
    )
    indices = "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'wakeup%' ORDER BY 1"
    assert postgres.sql(columns, database=own) == postgres.sql(columns, database=empty) != []
    assert postgres.sql(indices, database=own) == postgres.sql(indices, database=empty) != []


def test_all_migrations_can_be_taken_back(empty, postgres, tmp_path):
    engine = open_database(postgres.url(empty), lock_folder=tmp_path)
    with writing(engine) as tx:
        command.downgrade(alembic(tx), "base")
    with reading(engine) as tx:
        assert sa.inspect(tx).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_several_nodes_that_start_at_once_on_an_empty_database_migrate_it_once(empty, postgres, tmp_path):
    """The lock is in the database: the folder of each is on another machine."""
    barrier = threading.Barrier(6)

    def start(number: int) -> str:
        folder = tmp_path / str(number)
        folder.mkdir()
        barrier.wait()
        engine = open_database(postgres.url(empty), lock_folder=folder, node=f"n-{number}")
        with reading(engine) as tx:
            versions = tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        engine.dispose()
        return ",".join(versions)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(start, range(6))) == {HEAD}


def test_the_database_of_a_newer_flowhub_is_refused(empty, postgres, tmp_path):
    open_database(postgres.url(empty), lock_folder=tmp_path).dispose()
    postgres.sql("UPDATE alembic_version SET version_num = '9999'", database=empty)
    with pytest.raises(DatabaseNewer, match=rf"9999.*{HEAD}"):
        open_database(postgres.url(empty), lock_folder=tmp_path)


def test_a_database_of_another_program_is_refused_and_not_touched(empty, postgres, tmp_path):
    postgres.sql("CREATE TABLE jobs (what text)", database=empty)
    with pytest.raises(DatabaseUnusable):
        open_database(postgres.url(empty), lock_folder=tmp_path)
    assert postgres.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=empty) == [("jobs",)]


# Transactions --------------------------------------------------------------------------------------------------------


def test_writers_of_one_node_exclude_each_other_and_those_of_another_do_not(postgres_url, tmp_path):
    first, same_node, other_node = (
        open_database(postgres_url, lock_folder=tmp_path, node=node) for node in ("a", "a", "b")
    )
    began, ended = threading.Event(), threading.Event()

    def write(engine: sa.Engine) -> None:
        began.set()
        with writing(engine) as tx:
            tx.execute(sa.select(1))
        ended.set()

    with ThreadPoolExecutor(1) as pool:
        with writing(first):
            write(other_node)
            ended.clear()
            writing_same = pool.submit(write, same_node)
            began.wait()
            assert not ended.wait(0.2)
        writing_same.result()
    for engine in (first, same_node, other_node):
        engine.dispose()


def test_a_reader_sees_one_state_of_the_database(job_store_on_postgresql):
    job_store = job_store_on_postgresql
    [job] = job_store.enqueue("a")
    with reading(job_store.engine) as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(jobs)).scalar() == 1
        job_store.enqueue("b")
        assert tx.execute(sa.select(sa.func.count()).select_from(jobs)).scalar() == 1
    assert job_store.row(job)["state"] == "queued"


def test_a_name_that_postgresql_cannot_hold_is_not_installed(job_store_on_postgresql, tmp_path):
    job_store = job_store_on_postgresql
    assert Library(job_store.database, job_store.node, Store(tmp_path / "llms")).named("a\0b") is None


def test_a_run_needs_one_connection_of_the_pool_at_a_time(home, origin, postgres_url, monkeypatch):
    """Two threads that each hold one and need another would wait for each other."""
    monkeypatch.setattr("flowhub_jobs.database.postgresql.POOL_SIZE", 1)
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    content = gguf_pattern(100_000, 1)
    with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as app:
        job = app.enqueue("m")
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert [model.model for model in app.session.installed.models()] == ["m"]


def test_a_node_is_seen_at_the_databases_time_whatever_its_own_clock_says(job_store_on_postgresql, tmp_path):
    job_store = job_store_on_postgresql
    now = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
    with reading(job_store.engine) as tx:
        before = tx.exec_driver_sql(now).scalar()
    Library(job_store.database, job_store.node, Store(tmp_path / "llms")).remember_store("s" * 32, "host", 7)
    with reading(job_store.engine) as tx:
        seen_at = tx.execute(sa.select(nodes.c.seen_at)).scalar()
        assert before < seen_at < tx.exec_driver_sql(now).scalar()


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda url: url.rpartition("/")[0] + "/nosuch", '"nosuch" does not exist'),
        (lambda url: url.replace("flowhub@", "nosuch@"), '"nosuch" does not exist'),
        (lambda url: "postgresql://127.0.0.1:1/flow", "refused"),
    ],
    ids=["database", "user", "server"],
)
def test_the_error_of_an_unreachable_database_has_address_reason_and_hint(postgres_url, tmp_path, change, reason):
    with pytest.raises(DatabaseUnusable, match=r"postgresql://127\.0\.0\.1:") as raised:
        open_database(change(postgres_url), lock_folder=tmp_path)
    assert reason in raised.value.message
    assert "FLOWHUB_DATABASE_URL" in (raised.value.hint or "")


def test_a_read_only_server_is_named_as_such(postgres_url, empty, postgres, tmp_path):
    postgres.sql(f"ALTER DATABASE {empty} SET default_transaction_read_only = on")
    with pytest.raises(DatabaseUnusable) as raised:
        open_database(postgres.url(empty), lock_folder=tmp_path)
    assert "target_session_attrs" in (raised.value.hint or "")


def idle_until_ended(engine: sa.Engine, server: Server) -> None:
    with writing(engine) as tx:
        pid = tx.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        tx.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '10ms'")
        while server.sql("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid):
            pass
        tx.exec_driver_sql("SELECT 1")


def test_a_session_that_the_server_ended_since_it_was_idle_is_an_outage_and_the_next_one_works(
    postgres, postgres_url, tmp_path
):
    """Such as the session of a worker that was suspended in a transaction: its jobs wait and do not fail."""
    engine = open_database(postgres_url, lock_folder=tmp_path)
    with pytest.raises(sa.exc.DBAPIError) as raised:
        idle_until_ended(engine, postgres)
    assert is_outage(raised.value)
    with writing(engine) as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar() == 1
    engine.dispose()


def test_a_session_of_a_server_that_became_read_only_is_not_used_again(postgres, postgres_url, tmp_path):
    """With several hosts in the URL the next session is with the new primary."""
    engine = open_database(postgres_url, lock_folder=tmp_path)
    with writing(engine) as tx:
        before = tx.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        tx.exec_driver_sql("SET SESSION default_transaction_read_only = on")
    with pytest.raises(sa.exc.DBAPIError) as raised, writing(engine) as tx:
        tx.exec_driver_sql("DELETE FROM controls")
    assert is_outage(raised.value)
    assert outage_text(raised.value) == "is read-only"
    with writing(engine) as tx:
        tx.exec_driver_sql("DELETE FROM controls")
        assert tx.exec_driver_sql("SELECT pg_backend_pid()").scalar() != before
    engine.dispose()


def test_behind_a_pooler_no_statement_is_prepared(postgres_url):
    with TransactionPooler(postgres_url) as pooler:
        for url, threshold in ((postgres_url, PREPARE_AFTER), (pooler.url, None)):
            with contextlib.closing(connector(url)()) as connection:
                assert connection.prepare_threshold == threshold


def test_a_session_that_keeps_another_waiting_is_found(postgres_url, tmp_path):
    holder, waiter = (open_database(postgres_url, lock_folder=tmp_path, node="a") for _ in range(2))
    watcher = open_database(postgres_url, lock_folder=tmp_path, node="b")

    def write() -> None:
        with writing(waiter):
            pass

    assert blockers(watcher, 0) == []
    with ThreadPoolExecutor(1) as pool, writing(holder) as tx:
        pid = tx.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        waiting = pool.submit(write)
        while not (blocking := blockers(watcher, 0)):
            assert not waiting.done()
        assert blocking == [Blocker(pid, "flowhub", 1)]
    waiting.result()
    for engine in (holder, waiter, watcher):
        engine.dispose()
