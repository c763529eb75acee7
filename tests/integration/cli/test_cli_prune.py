"""prune: what nobody needs goes, what a job works with or waits for stays, and it says what each frees."""

import os
import pty
import sys
import threading
from dataclasses import replace

import pytest
from support.cli import cli_app, fail, owner, process, work
from support.models import gguf, one_file_model

from flowhub_jobs.errors import Busy, SourceMissing
from flowhub_jobs.fs.locks import LockFile
from flowhub_jobs.operations.library.cleanup import Removable, chosen, find_removable, remove_item
from flowhub_jobs.transfer.partial import journal

A = gguf(4096, 1)
MIB = 1 << 20


@pytest.fixture
def shop(home, origin, monkeypatch):
    models = [one_file_model(name, origin.serve(f"/{name}.gguf", A), A) for name in "abcd"]
    with cli_app(home, monkeypatch, *models) as shop:
        shop.home.open_store()
        yield shop


def keep(shop, ref: str, size: int = MIB):
    """Leave a partial of this model, as an attempt does that was cut short."""
    folder = shop.partial(ref)
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "part").write_bytes(b"1" * size)
    return folder


def prune(cli, *arguments):
    return [(one["kind"], one["name"]) for one in cli("prune", "-y", "--json", *arguments).page["removed"]]


def test_a_partial_without_a_job_goes_at_once(cli, shop):
    left = keep(shop, "a")
    dry = cli("prune", "--dry-run", "--json").page
    assert (dry["dry_run"], dry["freed"], len(dry["removed"])) == (True, MIB, 1)
    assert left.exists()
    page = cli("prune", "-y", "--json").page
    assert [(one["kind"], one["freed"]) for one in page["removed"]] == [("partial", MIB)]
    assert shop.left_over() == []
    assert cli("prune", "-y").err == "Nothing to remove.\n"


def test_a_hole_in_a_partial_frees_nothing(cli, shop):
    folder = keep(shop, "a", size=MIB)
    os.truncate(folder / "files" / "part", 100 * MIB)
    assert cli("prune", "--dry-run", "--json").page["freed"] == MIB


@pytest.mark.parametrize("state", ["queued", "paused", "running"])
def test_the_partial_of_a_live_job_never_goes(cli, shop, state):
    job, left = shop.enqueue("a"), keep(shop, "a")
    if state == "paused":
        shop.home.commands.pause(job)
    if state == "running":
        assert owner(shop).claim() is not None
    assert prune(cli, "--older-than", "0") == []
    assert left.exists()


@pytest.mark.parametrize("ended", ["failed", "cancelled"])
def test_what_waits_for_retry_goes_only_where_an_age_is_named(cli, shop, ended):
    job, left = shop.enqueue("a"), keep(shop, "a")
    if ended == "failed":
        fail(shop, job, SourceMissing("It is gone."))
    else:
        shop.home.commands.cancel(job)
    page = cli("prune", "-y", "--json").page
    assert (page["removed"], [one["job"] for one in page["kept"]]) == ([], [job])
    assert "Kept for `flowhub retry`: 1 partial of failed" in cli("prune", "--dry-run").err
    assert prune(cli, "--older-than", "7d") == []
    assert left.exists()
    os.utime(left / "files" / "part", (1, 1))
    for folder in (left / "files", left):
        os.utime(folder, (1, 1))
    assert prune(cli, "--older-than", "7d") == [("kept partial", "a.gguf")]
    assert not left.exists()
    assert shop.job(job).bytes_done == 0
    shop.home.commands.retry(job)
    work(shop)
    assert (shop.store / "a.gguf").read_bytes() == A


def test_the_leftover_of_a_removal_goes_and_foreign_files_stay(cli, shop):
    folder = shop.store / ".partial"
    (folder / "removed-0123abcd").mkdir()
    (folder / "removed-0123abcd" / "w").write_bytes(b"1")
    (folder / "notes.txt").write_text("mine")
    (folder / f"a.gguf.{'0' * 16}.n-other").mkdir()
    assert prune(cli, "--older-than", "0") == [("rest", "removed-0123abcd")]
    assert shop.left_over() == [f"a.gguf.{'0' * 16}.n-other", "notes.txt"]


def test_a_repair_that_was_cut_short_leaves_nothing_for_good_and_one_at_work_is_let_alone(cli, shop):
    mend = shop.store / ".partial" / "mend-0123abcd"
    mend.mkdir()
    (mend / "m.gguf").write_bytes(b"1" * 1000)
    assert prune(cli, "--older-than", "0") == []
    assert cli("list", "--json").page["partials"][0]["state"] == "live"
    for place in (mend / "m.gguf", mend):
        os.utime(place, (1, 1))
    assert prune(cli) == [("rest", "mend-0123abcd")]


def test_an_entry_of_what_was_removed_by_hand_is_forgotten(cli, shop):
    shop.enqueue("a")
    work(shop)
    (shop.store / "a.gguf").unlink()
    assert prune(cli, "--partials") == prune(cli, "--old") == []
    assert prune(cli) == [("gone", "a.gguf")]
    assert shop.home.library.entries() == []


def test_a_partial_of_a_call_of_download_is_kept_and_while_it_is_locked_untouched(cli, shop):
    partial = shop.home.store.partial_of(shop.artifact("a"), "download")
    partial.mkdir()
    assert prune(cli) == []
    lock = LockFile(partial / "lock")
    try:
        assert prune(cli, "--older-than", "0") == []
    finally:
        lock.release()
    assert prune(cli, "--older-than", "0") == [("kept partial", "a.gguf")]


# Races ---------------------------------------------------------------------------------------------------------------


def test_a_job_that_was_queued_since_the_look_keeps_its_partial(shop):
    left = keep(shop, "a")
    [item] = find_removable(shop.home, shop.session.installed)
    shop.enqueue("a")
    with pytest.raises(Busy):
        remove_item(shop.home, shop.session.installed, item)
    assert left.exists()


def test_a_job_that_failed_since_the_look_keeps_its_partial(shop):
    left = keep(shop, "a")
    [item] = find_removable(shop.home, shop.session.installed)
    fail(shop, shop.enqueue("a"), SourceMissing("It is gone."))
    with pytest.raises(Busy):
        remove_item(shop.home, shop.session.installed, item)
    assert left.exists()


def test_a_retry_since_the_look_keeps_what_was_kept(shop):
    job, left = shop.enqueue("a"), keep(shop, "a")
    fail(shop, job, SourceMissing("It is gone."))
    [item] = find_removable(shop.home, shop.session.installed)
    shop.home.commands.retry(job)
    with pytest.raises(Busy):
        remove_item(shop.home, shop.session.installed, item)
    assert left.exists()


def test_two_prunes_at_once_end_well(shop):
    for ref in "abcd":
        keep(shop, ref)
    said = []
    threads = [threading.Thread(target=lambda: said.append(process("prune", "-y", "--json"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.status for one in said] == [0, 0]
    assert shop.left_over() == []


def test_jobs_that_begin_while_prune_runs_end_with_all_their_bytes(shop):
    for ref in "abcd":
        keep(shop, ref)
    pruning = threading.Thread(target=lambda: process("prune", "-y"))
    pruning.start()
    jobs = [shop.enqueue(ref) for ref in "abcd"]
    work(shop)
    pruning.join()
    assert shop.drain() == 0
    assert {shop.job(job).state for job in jobs} == {"completed"}
    assert all((shop.store / f"{ref}.gguf").read_bytes() == A for ref in "abcd")


def test_what_a_prune_that_was_cut_short_left_goes_with_the_next(cli, shop, monkeypatch):
    left = keep(shop, "a")
    [item] = find_removable(shop.home, shop.session.installed)

    class PowerCut(BaseException):
        pass

    def cut(aside):
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr("flowhub_jobs.operations.library.cleanup.delete_trash", cut)
        with pytest.raises(PowerCut):
            remove_item(shop.home, shop.session.installed, item)
    assert not left.exists()
    assert journal.load(left).files == {}
    [(kind, name)] = prune(cli)
    assert (kind, name[:8]) == ("rest", "removed-")
    assert shop.left_over() == []


# The question --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--partials",)])
def test_without_a_terminal_only_a_dry_run_or_yes_works(shop, arguments):
    keep(shop, "a")
    said = process("prune", *arguments)
    assert (said.status, said.out) == (2, "")
    assert process("prune", "--dry-run").status == 0
    assert len(shop.left_over()) == 1


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_prune_asks_on_a_terminal(shop, answer, left):
    keep(shop, "a")
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
    assert len(shop.left_over()) == left


@pytest.mark.parametrize("bad", ["yesterday", "-3d", ""])
def test_an_age_that_is_none_is_a_usage_error(cli, shop, bad):
    assert cli("prune", "-y", f"--older-than={bad}", "--json").error["code"] == "usage"


def test_what_is_kept_is_chosen_by_its_age_alone(shop):
    keep(shop, "a")
    [item] = find_removable(shop.home, shop.session.installed)
    kept = replace(item, kind=Removable.KEPT, age_s=100)
    assert chosen([kept], list(Removable), None) == []
    assert chosen([kept], list(Removable), 101) == []
    assert chosen([kept], list(Removable), 100) == [kept]
    assert chosen([kept], [Removable.OLD], 0) == []
    assert chosen([item], list(Removable), None) == [item]
