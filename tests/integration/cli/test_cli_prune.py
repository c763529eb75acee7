"""The `prune` command: it removes unused files, keeps the files of jobs, and prints what each removal frees."""

import os
import pty
import sys
import threading
from dataclasses import replace

import pytest
from support.cli import cli_app, fail_next_job, lease_store_of, run_command, run_due_jobs
from support.models import gguf, one_file_model

from flowhub_jobs.errors import Busy, SourceMissing
from flowhub_jobs.fs.locks import LockFile
from flowhub_jobs.operations.library.cleanup import Removable, chosen, find_removable, remove_item
from flowhub_jobs.transfer.partial import journal

A = gguf(4096, 1)
MIB = 1 << 20


@pytest.fixture
def app(home, origin, monkeypatch):
    models = [one_file_model(name, origin.serve(f"/{name}.gguf", A), A) for name in "abcd"]
    with cli_app(home, monkeypatch, *models) as app:
        app.home.open_store()
        yield app


def make_partial(app, ref: str, size: int = MIB):
    """Make a partial of this model, as an interrupted attempt leaves it."""
    folder = app.partial(ref)
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "part").write_bytes(b"1" * size)
    return folder


def prune(cli, *arguments):
    return [(item["kind"], item["name"]) for item in cli("prune", "-y", "--json", *arguments).json["removed"]]


def test_a_partial_without_a_job_is_removed(cli, app):
    partial = make_partial(app, "a")
    plan = cli("prune", "--dry-run", "--json").json
    assert (plan["dry_run"], plan["freed"], len(plan["removed"])) == (True, MIB, 1)
    assert partial.exists()
    page = cli("prune", "-y", "--json").json
    assert [(item["kind"], item["freed"]) for item in page["removed"]] == [("partial", MIB)]
    assert app.leftover_partials() == []
    assert cli("prune", "-y").err == "Nothing to remove.\n"


def test_a_hole_in_a_partial_frees_nothing(cli, app):
    folder = make_partial(app, "a", size=MIB)
    os.truncate(folder / "files" / "part", 100 * MIB)
    assert cli("prune", "--dry-run", "--json").json["freed"] == MIB


@pytest.mark.parametrize("state", ["queued", "paused", "running"])
def test_the_partial_of_a_live_job_is_never_removed(cli, app, state):
    job, partial = app.enqueue("a"), make_partial(app, "a")
    if state == "paused":
        app.home.commands.pause(job)
    if state == "running":
        assert lease_store_of(app).claim() is not None
    assert prune(cli, "--older-than", "0") == []
    assert partial.exists()


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_the_partial_of_an_ended_job_is_removed_only_with_an_age(cli, app, state):
    job, partial = app.enqueue("a"), make_partial(app, "a")
    if state == "failed":
        fail_next_job(app, job, SourceMissing("It is gone."))
    else:
        app.home.commands.cancel(job)
    page = cli("prune", "-y", "--json").json
    assert (page["removed"], [item["job"] for item in page["kept"]]) == ([], [job])
    assert "Kept for `flowhub retry`: 1 partial of failed" in cli("prune", "--dry-run").err
    assert prune(cli, "--older-than", "7d") == []
    assert partial.exists()
    os.utime(partial / "files" / "part", (1, 1))
    for folder in (partial / "files", partial):
        os.utime(folder, (1, 1))
    assert prune(cli, "--older-than", "7d") == [("kept partial", "a.gguf")]
    assert not partial.exists()
    assert app.job(job).bytes_done == 0
    app.home.commands.retry(job)
    run_due_jobs(app)
    assert (app.store / "a.gguf").read_bytes() == A


def test_the_leftover_of_a_removal_is_removed_and_foreign_files_stay(cli, app):
    folder = app.store / ".partial"
    (folder / "removed-0123abcd").mkdir()
    (folder / "removed-0123abcd" / "w").write_bytes(b"1")
    (folder / "notes.txt").write_text("mine")
    (folder / f"a.gguf.{'0' * 16}.n-other").mkdir()
    assert prune(cli, "--older-than", "0") == [("rest", "removed-0123abcd")]
    assert app.leftover_partials() == [f"a.gguf.{'0' * 16}.n-other", "notes.txt"]


def test_the_folder_of_an_interrupted_repair_is_removed_and_that_of_a_running_one_stays(cli, app):
    repair_folder = app.store / ".partial" / "mend-0123abcd"
    repair_folder.mkdir()
    (repair_folder / "m.gguf").write_bytes(b"1" * 1000)
    assert prune(cli, "--older-than", "0") == []
    assert cli("list", "--json").json["partials"][0]["state"] == "live"
    for path in (repair_folder / "m.gguf", repair_folder):
        os.utime(path, (1, 1))
    assert prune(cli) == [("rest", "mend-0123abcd")]


def test_the_library_entry_of_a_model_that_was_deleted_by_hand_is_removed(cli, app):
    app.enqueue("a")
    run_due_jobs(app)
    (app.store / "a.gguf").unlink()
    assert prune(cli, "--partials") == prune(cli, "--old") == []
    assert prune(cli) == [("gone", "a.gguf")]
    assert app.home.library.entries() == []


def test_the_partial_of_a_download_call_is_removed_only_with_an_age_and_unlocked(cli, app):
    partial = app.home.store.partial_of(app.artifact("a"), "download")
    partial.mkdir()
    assert prune(cli) == []
    lock = LockFile(partial / "lock")
    try:
        assert prune(cli, "--older-than", "0") == []
    finally:
        lock.release()
    assert prune(cli, "--older-than", "0") == [("kept partial", "a.gguf")]


# Races ---------------------------------------------------------------------------------------------------------------


def test_a_job_that_was_queued_since_the_listing_keeps_its_partial(app):
    partial = make_partial(app, "a")
    [item] = find_removable(app.home, app.session.installed)
    app.enqueue("a")
    with pytest.raises(Busy):
        remove_item(app.home, app.session.installed, item)
    assert partial.exists()


def test_a_job_that_failed_since_the_listing_keeps_its_partial(app):
    partial = make_partial(app, "a")
    [item] = find_removable(app.home, app.session.installed)
    fail_next_job(app, app.enqueue("a"), SourceMissing("It is gone."))
    with pytest.raises(Busy):
        remove_item(app.home, app.session.installed, item)
    assert partial.exists()


def test_a_retry_since_the_listing_keeps_the_partial(app):
    job, partial = app.enqueue("a"), make_partial(app, "a")
    fail_next_job(app, job, SourceMissing("It is gone."))
    [item] = find_removable(app.home, app.session.installed)
    app.home.commands.retry(job)
    with pytest.raises(Busy):
        remove_item(app.home, app.session.installed, item)
    assert partial.exists()


def test_two_concurrent_prunes_succeed(app):
    for ref in "abcd":
        make_partial(app, ref)
    results = []
    threads = [threading.Thread(target=lambda: results.append(run_command("prune", "-y", "--json"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.status for result in results] == [0, 0]
    assert app.leftover_partials() == []


def test_jobs_that_start_during_a_prune_complete_with_all_their_bytes(app):
    for ref in "abcd":
        make_partial(app, ref)
    pruning = threading.Thread(target=lambda: run_command("prune", "-y"))
    pruning.start()
    jobs = [app.enqueue(ref) for ref in "abcd"]
    run_due_jobs(app)
    pruning.join()
    assert app.drain() == 0
    assert {app.job(job).state for job in jobs} == {"completed"}
    assert all((app.store / f"{ref}.gguf").read_bytes() == A for ref in "abcd")


def test_the_rest_of_an_interrupted_prune_is_removed_by_the_next(cli, app, monkeypatch):
    partial = make_partial(app, "a")
    [item] = find_removable(app.home, app.session.installed)

    class PowerLoss(BaseException):
        pass

    def lose_power(aside):
        raise PowerLoss

    with monkeypatch.context() as patch:
        patch.setattr("flowhub_jobs.operations.library.cleanup.delete_trash", lose_power)
        with pytest.raises(PowerLoss):
            remove_item(app.home, app.session.installed, item)
    assert not partial.exists()
    assert journal.load(partial).files == {}
    [(kind, name)] = prune(cli)
    assert (kind, name[:8]) == ("rest", "removed-")
    assert app.leftover_partials() == []


# The question --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--partials",)])
def test_without_a_terminal_only_a_dry_run_or_yes_works(app, arguments):
    make_partial(app, "a")
    result = run_command("prune", *arguments)
    assert (result.status, result.out) == (2, "")
    assert run_command("prune", "--dry-run").status == 0
    assert len(app.leftover_partials()) == 1


@pytest.mark.parametrize(("answer", "remaining"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_prune_asks_on_a_terminal(app, answer, remaining):
    make_partial(app, "a")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "flowhub_jobs.cli.main", "prune"])
    printed = b""
    while b"[y/N]" not in printed:
        printed += os.read(terminal, 1000)
    assert b"no job uses it" in printed
    os.write(terminal, answer.encode())
    _, wait_status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(wait_status) == 0
    assert len(app.leftover_partials()) == remaining


@pytest.mark.parametrize("age", ["yesterday", "-3d", ""])
def test_an_invalid_age_is_a_usage_error(cli, app, age):
    assert cli("prune", "-y", f"--older-than={age}", "--json").error["code"] == "usage"


def test_a_kept_partial_is_chosen_only_by_its_age(app):
    make_partial(app, "a")
    [item] = find_removable(app.home, app.session.installed)
    kept_partial = replace(item, kind=Removable.KEPT, age_s=100)
    assert chosen([kept_partial], list(Removable), None) == []
    assert chosen([kept_partial], list(Removable), 101) == []
    assert chosen([kept_partial], list(Removable), 100) == [kept_partial]
    assert chosen([kept_partial], [Removable.OLD], 0) == []
    assert chosen([item], list(Removable), None) == [item]
