"""Rows that cannot be decoded: such a job fails alone, with its own code; all others run, and the screens show all."""

import contextlib
import json
import sqlite3

import pytest
from support.app import app_of
from support.cli import run_command
from support.models import gguf, one_file_model

from flowhub_jobs.database.stored_json import StoredJson
from flowhub_jobs.database.tables import jobs
from flowhub_jobs.jobs.row_decoding import TYPES
from flowhub_jobs.values.enums import State

CONTENT = gguf(50_000, 1)
OTHER = gguf(60_000, 2)
ARTIFACT_WITH_NEW_KEYS = "json_set(artifact, '$.blake3', 'ab', '$.files[0].mirror', 'x')"
DAMAGES = {
    "cut JSON": "artifact = substr(artifact, 1, 40)",
    "JSON of another type": "artifact = '[]'",
    "a file without its URL": "artifact = json_remove(artifact, '$.files[0].url')",
    "no files": "artifact = json_set(artifact, '$.files', json('[]'))",
    "a size that is text": "artifact = json_set(artifact, '$.files[0].size', 'much')",
    "a NULL in JSON": "artifact = 'null'",
    "an unknown kind": "kind = 'compress'",
    "an unknown state": "state = 'sleeping'",
    "an unknown digest state": "sha256_state = 'blake3'",
    "text in a number": "bytes_total = 'many'",
    "text in a time": "not_before = 'tomorrow'",
    "a BLOB in a text": "target = x'00ff'",
    "a time beyond the calendar": "created_at = 9e18",
    "an error that is no object": "error = '7'",
    "a task that is cut": "kind = 'verify', task = '{\"pla'",
    "no task": "kind = 'verify', task = NULL",
}
HARMLESS_CHANGES = {
    "one more key": f"artifact = {ARTIFACT_WITH_NEW_KEYS}",
    "a format of a newer version": "format = 'onnx', artifact = json_set(artifact, '$.format', 'onnx')",
    "text that is no UTF-8": "wait_text = cast(x'ff41' as text), model = cast(x'fe42' as text)",
    "a damaged intent": "intent = '{\"name\": 3'",
}


@pytest.fixture
def app(home, origin):
    first = one_file_model("first", origin.serve("/first.gguf", CONTENT), CONTENT)
    second = one_file_model("second", origin.serve("/second.gguf", OTHER), OTHER)
    with app_of(home, first, second) as app:
        yield app


def set_columns(app, job, assignment):
    with contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database:
        database.execute(f"UPDATE jobs SET {assignment} WHERE id = ?", (job,))
        database.commit()


def read_status(app):
    result = run_command("status", "--json")
    assert (result.status, result.err) == (0, "")
    return {job["id"]: job for job in json.loads(result.out)["jobs"]}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_row_fails_with_its_own_code_and_the_other_job_completes(app, damage):
    bad, good = app.enqueue("first"), app.enqueue("second")
    set_columns(app, bad, DAMAGES[damage])
    assert good in read_status(app)
    assert app.drain() == 10
    statuses = read_status(app)
    assert (statuses[good]["state"], statuses[bad]["state"]) == ("completed", "failed")
    error = statuses[bad]["error"]
    assert error["code"] == "job_unreadable"
    assert error["message"].startswith(f"Job {bad} cannot be read: ")
    assert "`flowhub enqueue" in error["hint"]
    assert not error["retryable"]
    assert "Traceback" not in app.log()
    assert run_command("status", bad).status == 0
    assert run_command("report").status == 0


@pytest.mark.parametrize("change", HARMLESS_CHANGES)
def test_what_a_newer_version_added_does_not_keep_a_job_from_completing(app, change):
    job = app.enqueue("first")
    set_columns(app, job, HARMLESS_CHANGES[change])
    assert app.drain() == 0
    assert app.job(job).state is State.COMPLETED
    assert run_command("list").status == 0


def test_a_job_that_failed_as_unreadable_can_be_queued_again(app):
    bad = app.enqueue("first")
    set_columns(app, bad, DAMAGES["cut JSON"])
    assert app.drain() == 10
    again = app.enqueue("first")
    assert again != bad
    assert app.drain() == 0
    assert app.job(again).state is State.COMPLETED


@pytest.mark.parametrize("damage", ["lease_until = NULL", "lease_token = NULL", "lease_until = 'later'"])
def test_a_running_row_with_a_damaged_lease_is_taken_back_or_failed(app, damage):
    job = app.enqueue("first")
    set_columns(app, job, f"state = 'running', lease_worker = 'n-x', lease_token = 't', lease_until = 1e12, {damage}")
    app.drain()
    assert app.job(job).state in (State.COMPLETED, State.FAILED)
    assert "Traceback" not in app.log()


@pytest.mark.parametrize(
    "damage", ["artifact = '{'", "damage = '{'", "format = 'onnx'", "artifact = json_set(artifact, '$.more', 1)"]
)
def test_a_damaged_row_of_the_library_does_not_hide_the_others(app, damage):
    for ref in ("first", "second"):
        app.enqueue(ref)
    assert app.drain() == 0
    with contextlib.closing(sqlite3.connect(app.path / "flowhub.db")) as database:
        database.execute(f"UPDATE artifacts SET {damage} WHERE model = 'first'")
        database.commit()
    for verb in (["list", "--json"], ["du"], ["path", "first"], ["verify", "--fast"], ["prune", "--dry-run"]):
        result = run_command(*verb)
        assert result.status == 0, (verb, result.err)


def test_every_column_is_checked_for_the_type_that_its_table_gives_it():
    """The screens read rows without SQLAlchemy's table: a new column must be added to both."""
    table_types = {
        column.name: {column.type.python_type} | ({type(None)} if column.nullable else set())
        for column in jobs.columns
        if not isinstance(column.type, StoredJson)
    }
    assert {name: set(types) - {int} if float in types else set(types) for name, types in TYPES.items()} == table_types
