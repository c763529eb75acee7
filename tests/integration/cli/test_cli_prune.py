"""prune: what nobody needs goes, what a job works with or waits for stays, and it says what each frees."""

import os
import pty
import sys
import threading
from dataclasses import replace

import pytest
from support.cli import cli_app, fail, lease_store_of, run_command, run_due_jobs
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


def keep(app, ref: str, size: int = MIB):
    """Leave a partial of this model, as an attempt does that was cut short."""
    folder = app.partial(ref)
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "part").write_bytes(b"1" * size)
    return folder


def prune(cli, *arguments):
    return [(one["kind"], one["name"]) for one in cli("prune", "-y", "--json", *arguments).json["removed"]]


def test_a_partial_without_a_job_goes_at_once(cli, app):
    left = keep(app, "a")
    dry = cli("prune", "--dry-run", "--json").json
    assert (dry["dry_run"], dry["freed"], len(dry["removed"])) == (True, MIB, 1)
    assert left.exists()
    page = cli("prune", "-y", "--json").json
    assert [(one["kind"], one["freed"]) for one in page["removed"]] == [("partial", MIB)]
    assert app.leftover_partials() == []
    assert cli("prune", "-y").err == "Nothing to remove.\n"


def test_a_hole_in_a_partial_frees_nothing(cli, app):
    folder = keep(app, "a", size=MIB)
    os.truncate(folder / "files" / "part", 100 * MIB)
    assert cli("prune", "--dry-run", "--json").json["freed"] == MIB


@pytest.mark.parametrize("state", ["queued", "paused", "running"])
def test_the_partial_of_a_live_job_never_goes(cli, app, state):
    job, left = app.enqueue("a"), keep(app, "a")
    if state == "paused":
        app.home.commands.pause(job)
    if state == "running":
        assert lease_store_of(app).claim() is not None
    assert prune(cli, "--older-than", "0") == []
    assert left.exists()


@pytest.mark.parametrize("ended", ["failed", "cancelled"])
def test_what_waits_for_retry_goes_only_where_an_age_is_named(cli, app, ended):
    job, left = app.enqueue("a"), keep(app, "a")
    if ended == "failed":
        fail(app, job, SourceMissing("It is gone."))
    else:
        app.home.commands.cancel(job)
    page = cli("prune", "-y", "--json").json
    assert (page["removed"], [one["job"] for one in page["kept"]]) == ([], [job])
    assert "Kept for `flowhub retry`: 1 partial of failed" in cli("prune", "--dry-run").err
    assert prune(cli, "--older-than", "7d") == []
    assert left.exists()
    os.utime(left / "files" / "part", (1, 1))
    for folder in (left / "files", left):
        os.utime(folder, (1, 1))
    assert prune(cli, "--older-than", "7d") == [("kept partial", "a.gguf")]
    assert not left.exists()
    assert app.job(job).bytes_done == 0
    app.home.commands.retry(job)
    run_due_jobs(app)
    assert (app.store / "a.gguf").read_bytes() == A


def test_the_leftover_of_a_removal_goes_and_foreign_files_stay(cli, app):
    folder = app.store / ".partial"
    (folder / "removed-0123abcd").mkdir()
    (folder / "removed-0123abcd" / "w").write_bytes(b"1")
    (folder / "notes.txt").write_text("mine")
    (folder / f"a.gguf.{'0' * 16}.n-other").mkdir()
    assert prune(cli, "--older-than", "0") == [("rest", "removed-0123abcd")]
    assert app.leftover_partials() == [f"a.gguf.{'0' * 16}.n-other", "notes.txt"]


def test_a_repair_that_was_cut_short_leaves_nothing_for_good_and_one_at_work_is_let_alone(cli, app):
    mend = app.store / ".partial" / "mend-0123abcd"
    mend.mkdir()
    (mend / "m.gguf").write_bytes(b"1" * 1000)
    assert prune(cli, "--older-than", "0") == []
    assert cli("list", "--json").json["partials"][0]["state"] == "live"
    for place in (mend / "m.gguf", mend):
        os.utime(place, (1, 1))
    assert prune(cli) == [("rest", "mend-0123abcd")]


def test_an_entry_of_what_was_removed_by_hand_is_forgotten(cli, app):
    app.enqueue("a")
    run_due_jobs(app)
    (app.store / "a.gguf").unlink()
    assert prune(cli, "--partials") == prune(cli, "--old") == []
    assert prune(cli) == [("gone", "a.gguf")]
    assert app.home.library.entries() == []


def test_a_partial_of_a_call_of_download_is_kept_and_while_it_is_locked_untouched(cli, app):
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


def test_a_job_that_was_queued_since_the_look_keeps_its_partial(app):
    left = keep(app, "a")
    [item] = find_removable(app.home, app.session.installed)
    app.enqueue("a")
    with pytest.raises(Busy):
        remove_item(app.home, app.session.installed, item)
    assert left.exists()


def test_a_job_that_failed_since_the_look_keeps_its_partial(app):
    left = keep(app, "a")
    [item] = find_removable(app.home, app.session.installed)
    fail(app, app.enqueue("a"), SourceMissing("It is gone."))
    with pytest.raises(Busy):
        remove_item(app.home, app.session.installed, item)
    assert left.exists()


def test_a_retry_since_the_look_keeps_what_was_kept(app):
    job, left = app.enqueue("a"), keep(app, "a")
    fail(app, job, SourceMissing("It is gone."))
    [item] = find_removable(app.home, app.session.installed)
    app.home.commands.retry(job)
    with pytest.raises(Busy):
        remove_item(app.home, app.session.installed, item)
    assert left.exists()


def test_two_prunes_at_once_end_well(app):
    for ref in "abcd":
        keep(app, ref)
    said = []
    threads = [threading.Thread(target=lambda: said.append(run_command("prune", "-y", "--json"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.status for one in said] == [0, 0]
    assert app.leftover_partials() == []


def test_jobs_that_begin_while_prune_runs_end_with_all_their_bytes(app):
    for ref in "abcd":
        keep(app, ref)
    pruning = threading.Thread(target=lambda: run_command("prune", "-y"))
    pruning.start()
    jobs = [app.enqueue(ref) for ref in "abcd"]
    run_due_jobs(app)
    pruning.join()
    assert app.drain() == 0
    assert {app.job(job).state for job in jobs} == {"completed"}
    assert all((app.store / f"{ref}.gguf").read_bytes() == A for ref in "abcd")


def test_what_a_prune_that_was_cut_short_left_goes_with_the_next(cli, app, monkeypatch):
    left = keep(app, "a")
    [item] = find_removable(app.home, app.session.installed)

    class PowerCut(BaseException):
        pass

    def cut(aside):
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr("flowhub_jobs.operations.library.cleanup.delete_trash", cut)
        with pytest.raises(PowerCut):
            remove_item(app.home, app.session.installed, item)
    assert not left.exists()
    assert journal.load(left).files == {}
    [(kind, name)] = prune(cli)
    assert (kind, name[:8]) == ("rest", "removed-")
    assert app.leftover_partials() == []


# The question --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--partials",)])
def test_without_a_terminal_only_a_dry_run_or_yes_works(app, arguments):
    keep(app, "a")
    said = run_command("prune", *arguments)
    assert (said.status, said.out) == (2, "")
    assert run_command("prune", "--dry-run").status == 0
    assert len(app.leftover_partials()) == 1


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_prune_asks_on_a_terminal(app, answer, left):
    keep(app, "a")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "flowhub_jobs.cli.main", "prune"])
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(terminal, 1000)
    assert b"no job uses it" in seen
    os.write(terminal, answer.encode())
    _, ended = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(ended) == 0
    assert len(app.leftover_partials()) == left


@pytest.mark.parametrize("bad", ["yesterday", "-3d", ""])
def test_an_age_that_is_none_is_a_usage_error(cli, app, bad):
    assert cli("prune", "-y", f"--older-than={bad}", "--json").error["code"] == "usage"


def test_what_is_kept_is_chosen_by_its_age_alone(app):
    keep(app, "a")
    [item] = find_removable(app.home, app.session.installed)
    kept = replace(item, kind=Removable.KEPT, age_s=100)
    assert chosen([kept], list(Removable), None) == []
    assert chosen([kept], list(Removable), 101) == []
    assert chosen([kept], list(Removable), 100) == [kept]
    assert chosen([kept], [Removable.OLD], 0) == []
    assert chosen([item], list(Removable), None) == [item]
