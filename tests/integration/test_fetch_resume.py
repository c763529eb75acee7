"""What was kept is not fetched again, whatever ended the run before; and two versions never mix in one file."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from origin_content import Bytes
from support.engine import (
    Run,
    Running,
    crashed_after,
    folder_of,
    held_after,
    kept_in,
    one_file,
    part_in,
    pinned,
    quick,
    run,
    stopped_after,
    unpinned,
)
from support.faults import CappedRange, EarlyClose, Hold, IgnoreRange, NoEtag, Stall, WeakEtag
from support.models import gguf, gguf_pattern

from flowhub_jobs.errors import ConnectionLost, DigestMismatch, FlowhubError, SizeMismatch
from flowhub_jobs.jobs.leases import LeaseLost
from flowhub_jobs.records import ArtifactFile
from flowhub_jobs.transfer import board, committer, digest, hasher, journal
from flowhub_jobs.transfer import fetch as fetch_room
from flowhub_jobs.transfer.fetch import Past
from flowhub_jobs.transfer.journal import Journal
from flowhub_jobs.transfer.partial import PartFile
from flowhub_jobs.transfer.terms import Control, Stopped

MIB = 1 << 20
MODEL = gguf_pattern(4 * MIB + 12345, seed=1)
OTHER = gguf_pattern(MODEL.size, seed=2)
SHORTER = gguf_pattern(3 * MIB, seed=3)
HALF = 2 * MIB + 500_000
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quick_commits(monkeypatch):
    """The journal is told every 20 ms, so that nobody waits for half a second to pass."""
    monkeypatch.setattr(committer, "PERIOD_S", 0.02)


@pytest.fixture
def model(origin):
    return pinned(origin.serve("m.gguf", MODEL), MODEL)


def asked(origin):
    """Return where the requests for the model began, in order."""
    return [int(one.range.removeprefix("bytes=").split("-")[0]) for one in origin.requests("m.gguf")]


class Fetched:
    """What an origin sent since this was made."""

    def __init__(self, origin, path="m.gguf"):
        self.origin, self.path, self.before = origin, path, origin.sent(path)

    @property
    def bytes(self):
        return self.origin.sent(self.path) - self.before


class ReadAgain:
    """How many of the bytes that the run before had kept the hasher read from the disk."""

    def __init__(self, monkeypatch):
        self.bytes = 0
        read = hasher._read_full

        def counted(part, view, offset):
            self.bytes += max(0, min(HALF, offset + len(view)) - offset)
            read(part, view, offset)

        monkeypatch.setattr(hasher, "_read_full", counted)


# After a stop --------------------------------------------------------------------------------------------------------


def test_after_a_stop_nothing_is_fetched_or_read_again(origin, model, tmp_path, monkeypatch):
    partial = stopped_after(HALF, model, tmp_path, origin)
    since, read = Fetched(origin), ReadAgain(monkeypatch)
    got = run(model, partial)
    assert got.content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF
    assert asked(origin) == [0, HALF]
    assert read.bytes == 0


def test_a_stop_is_told_from_a_crash(origin, model, tmp_path):
    assert not journal.load(crashed_after(HALF, model, tmp_path / "a", origin)).clean
    assert journal.load(stopped_after(HALF, model, tmp_path / "b", origin)).clean


def test_many_stops_cost_nothing(origin, model, tmp_path):
    for at in (MIB - 7, HALF, 3 * MIB):
        hold = Hold(after=at - kept_in(tmp_path))
        origin.break_with(hold, path="/m.gguf")
        with Running(model, tmp_path) as running:
            origin.wait_for(lambda at=at: kept_in(tmp_path) == at)
            running.stop()
    origin.break_with(path="/m.gguf")
    assert run(model, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_a_stop_is_obeyed_while_the_origin_stalls_and_keeps_what_came(origin, model, tmp_path):
    """No clock of the transfer's would end this wait within the test."""
    origin.break_with(Stall(after=HALF), path="/m.gguf")
    with Running(model, tmp_path, terms=quick(stall_s=600)) as running:
        origin.wait_for(lambda: origin.sent("m.gguf") == HALF and kept_in(tmp_path) == HALF)
        running.run.control.stop("pause")
        with pytest.raises(Stopped) as word:
            running.end()
    assert word.value.why == "pause"
    names = {thread.name for thread in threading.enumerate()}
    assert not {"hasher", "committer", "fetcher-0"} & names, "nobody is left behind"
    assert kept_in(tmp_path) == HALF
    assert journal.load(tmp_path).clean


def test_a_stop_keeps_what_had_not_been_committed_yet(origin, model, tmp_path, monkeypatch):
    monkeypatch.setattr(committer, "PERIOD_S", 3600)
    monkeypatch.setattr(fetch_room, "WATCH_S", 0.01)
    origin.break_with(Stall(after=HALF), path="/m.gguf")
    with Running(model, tmp_path) as running:
        part = tmp_path / "files" / "m.gguf"
        origin.wait_for(lambda: part.exists() and part.stat().st_size == HALF)
        running.run.wait_to_see(2)
        assert kept_in(tmp_path) == 0
        running.stop()
    assert kept_in(tmp_path) == HALF


def test_a_run_that_is_stopped_before_it_begins_asks_nothing(origin, model, tmp_path):
    control = Control()
    control.stop("cancel")
    with pytest.raises(Stopped):
        run(model, tmp_path, control=control)
    assert origin.requests() == []


# After a crash -------------------------------------------------------------------------------------------------------


def test_after_a_crash_only_what_the_journal_lacks_is_fetched(origin, model, tmp_path, monkeypatch):
    partial = crashed_after(HALF, model, tmp_path / "p", origin)
    since, read = Fetched(origin), ReadAgain(monkeypatch)
    got = run(model, partial)
    assert got.content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF
    assert read.bytes == HALF, "what lies there is read once, to see that it still is what came"
    assert got.notes == []


def test_a_process_that_is_killed_again_and_again_fetches_only_what_was_not_yet_committed(origin, tmp_path):
    """Real processes, SIGKILL, counted at the origin: each run begins where the journal of the last one ends."""
    large = gguf_pattern(16 * MIB, seed=4)
    artifact = pinned(origin.serve("m.gguf", large), large)
    origin.limit(total_bps=8e6)
    path = os.pathsep.join(str(place) for place in (ROOT, ROOT / "tests", ROOT / "scripts"))
    command = [sys.executable, "-m", "support.engine", json.dumps(artifact.as_dict()), str(tmp_path)]
    ends = [0]
    for _ in range(2):
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
        origin.wait_for(lambda: kept_in(tmp_path) >= ends[-1] + MIB)
        process.kill()
        process.wait()
        ends.append(kept_in(tmp_path))
    origin.wait_for(lambda: origin.open_connections == 0)
    origin.limit()
    since = Fetched(origin)
    assert run(artifact, tmp_path).content() == large.read()
    assert since.bytes == large.size - ends[-1]
    assert asked(origin) == ends


def test_bytes_over_the_wire_are_counted_through_a_crash_by_the_job_they_belong_to(origin, model, tmp_path):
    partial = crashed_after(HALF, model, tmp_path / "p", origin)
    other = shutil.copytree(partial, tmp_path / "other")
    assert run(model, partial, past=Past("job", fetched=100)).fetched.bytes_fetched == MODEL.size
    assert run(model, other, past=Past("another")).fetched.bytes_fetched == MODEL.size - HALF


@pytest.mark.parametrize("at", [5, MIB + 5, HALF - 5], ids=["first piece", "second piece", "begun piece"])
def test_a_byte_that_turned_on_the_disk_in_a_crash_costs_its_piece_and_no_other(origin, model, tmp_path, at):
    partial = crashed_after(HALF, model, tmp_path / "p", origin)
    flip(part_in(partial), at)
    since = Fetched(origin)
    got = run(model, partial)
    piece = min((at // MIB + 1) * MIB, HALF) - at // MIB * MIB
    assert got.content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF + piece
    assert got.note_kinds == ["healed"]
    assert "are not what was received" in got.notes[0][1]


def test_two_pieces_that_turned_cost_two(origin, model, tmp_path):
    partial = crashed_after(HALF, model, tmp_path / "p", origin)
    flip(part_in(partial), 5)
    flip(part_in(partial), 2 * MIB + 5)
    since = Fetched(origin)
    got = run(model, partial)
    assert got.content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF + MIB + 500_000


def test_a_finished_file_that_turned_on_the_disk_before_it_had_its_name_is_healed(origin, tmp_path):
    """The catalog knows no digest; what came over the wire is what is wanted, and the states in the journal know it."""
    artifact = unpinned(origin.serve("m.gguf", MODEL))
    run(artifact, tmp_path)
    flip(part_in(tmp_path), 3 * MIB)
    got = run(artifact, tmp_path)
    assert got.content() == MODEL.read()
    assert got.note_kinds == ["healed"]


def test_a_finished_file_of_the_hub_is_still_held_against_the_hubs_digest(hub, tmp_path, monkeypatch):
    """Also where nothing has to be asked any more, and no state of the digest was saved."""
    monkeypatch.setattr(digest, "_library", lambda: None)
    hub.add("org/model", "m.gguf", MODEL)
    artifact = unpinned("https://huggingface.co/org/model/resolve/main/m.gguf")
    run(artifact, tmp_path, terms=quick(hub_endpoint=hub.endpoint))
    flip(part_in(tmp_path), 3 * MIB)
    got = run(artifact, tmp_path, terms=quick(hub_endpoint=hub.endpoint))
    assert got.content() == MODEL.read()
    assert got.fetched.files[0].pinned


def test_a_stop_does_not_wait_until_every_piece_was_checked_and_the_next_run_checks_them(origin, model, tmp_path):
    partial = crashed_after(HALF, model, tmp_path / "p", origin)
    flip(part_in(partial), 5)
    control = Control()
    control.stop("pause")
    with pytest.raises(Stopped):
        run(model, partial, control=control)
    assert not journal.load(partial).clean
    got = run(model, partial)
    assert got.content() == MODEL.read()
    assert got.note_kinds == ["healed"]


def test_where_a_digest_cannot_be_saved_the_prefix_is_hashed_again_and_not_fetched(
    origin, model, tmp_path, monkeypatch
):
    monkeypatch.setattr(digest, "_library", lambda: None)
    partial = crashed_after(HALF, model, tmp_path / "p", origin)
    since = Fetched(origin)
    assert run(model, partial).content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF


def flip(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0xFF]))


# Partials and journals that do not fit -------------------------------------------------------------------------------


def cut_short(partial):
    os.truncate(part_in(partial), MIB + 100)


def of_zero_length(partial):
    os.truncate(part_in(partial), 0)


def too_long(partial):
    with part_in(partial).open("ab") as file:
        file.write(b"x" * (MODEL.size + 5000))


def without_partial(partial):
    part_in(partial).unlink()


def without_journal(partial):
    (partial / journal.NAME).unlink()


def with_an_empty_journal(partial):
    os.truncate(partial / journal.NAME, 0)


def with_a_torn_last_line(partial):
    path = partial / journal.NAME
    os.truncate(path, path.stat().st_size - 20)


def with_garbage_for_a_journal(partial):
    (partial / journal.NAME).write_bytes(os.urandom(5000))


def with_a_folder_in_its_place(partial):
    part_in(partial).unlink()
    part_in(partial).mkdir()


DAMAGES = {
    cut_short: MODEL.size - MIB - 100,
    of_zero_length: MODEL.size,
    too_long: MODEL.size - HALF,
    without_partial: MODEL.size,
    without_journal: MODEL.size,
    with_an_empty_journal: MODEL.size,
    with_garbage_for_a_journal: MODEL.size,
    with_a_folder_in_its_place: MODEL.size,
}


@pytest.mark.parametrize("end", [stopped_after, crashed_after])
@pytest.mark.parametrize(("damage", "again"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
def test_a_partial_goes_on_with_what_is_left_of_it(origin, model, tmp_path, damage, again, end):
    partial = end(HALF, model, tmp_path / "p", origin)
    damage(partial)
    since = Fetched(origin)
    assert run(model, partial).content() == MODEL.read()
    assert since.bytes == again


def test_a_journal_whose_last_line_is_torn_goes_on_from_the_line_before(origin, model, tmp_path):
    partial = crashed_after(HALF, model, tmp_path / "p", origin)
    with_a_torn_last_line(partial)
    since, kept = Fetched(origin), kept_in(partial)
    assert run(model, partial).content() == MODEL.read()
    assert since.bytes == MODEL.size - kept


def test_a_link_in_the_place_of_a_partial_is_not_followed(origin, model, tmp_path):
    partial = stopped_after(HALF, model, tmp_path / "p", origin)
    outside = tmp_path / "outside"
    part_in(partial).rename(outside)
    (partial / "files" / "m.gguf").symlink_to(outside)
    before = outside.read_bytes()
    assert run(model, partial).content() == MODEL.read()
    assert outside.read_bytes() == before


def test_starting_over_makes_a_new_file(origin, model, tmp_path):
    """A late writer of the old one reaches nothing that anyone reads."""
    partial = stopped_after(HALF, model, tmp_path / "p", origin)
    changed = pinned(origin.serve("m.gguf", OTHER), OTHER)
    with part_in(partial).open("r+b") as late:
        got = run(changed, partial)
        late.write(b"late" * 1000)
        late.flush()
        assert got.content() == OTHER.read()


def test_a_journal_that_was_written_anew_in_mid_run_says_the_same(origin, model, tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "COMPACT_BYTES", 1000)
    origin.limit(total_bps=20e6)
    partial = crashed_after(HALF, model, tmp_path / "p", origin)
    since = Fetched(origin)
    got = run(model, partial)
    assert got.content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF
    assert got.notes == []


# What is on the disk -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anew", [False, True], ids=["appended", "written anew"])
def test_the_journal_never_says_more_than_what_was_synced_before(origin, model, tmp_path, monkeypatch, anew):
    """While a sync runs, more comes; the journal must not speak of that yet. One connection writes in order."""
    synced, told = [0], []
    sync, commit, rewrite = PartFile.sync, Journal.commit, Journal.rewrite

    def slow_sync(part):
        size = part.size
        sync(part)
        origin.wait_for(lambda: part.size > size or size == MODEL.size)
        synced.append(size)

    def then_compare(write):
        def written(log, said):
            write(log, said)
            told.append((kept_in(tmp_path), synced[-1]))

        return written

    monkeypatch.setattr(PartFile, "sync", slow_sync)
    monkeypatch.setattr(Journal, "commit", then_compare(commit))
    monkeypatch.setattr(Journal, "rewrite", then_compare(rewrite))
    monkeypatch.setattr(Journal, "is_long", anew)
    origin.limit(total_bps=10e6)
    run(model, tmp_path, terms=quick(connections_per_host=1))
    assert len(told) > 3
    assert all(said <= there for said, there in told)
    assert told[-1] == (MODEL.size, MODEL.size)


def test_no_more_than_64_mib_wait_to_be_synced():
    class Room(threading.Condition):
        """Whoever waits for room gets it; that it was waited for is counted."""

        waits = 0

        def wait(self, timeout=None):
            self.waits += 1
            full.unsynced = 0
            return True

    assert committer.UNSYNCED_MAX == 64 * MIB
    full = SimpleNamespace(changed=Room(), files=[], over=False, unsynced=64 * MIB - 9)
    gate = committer.Committer(full, None, "job", Control())
    gate.admit(9)
    assert full.changed.waits == 0
    gate.admit(10)
    assert full.changed.waits == 1


# A folder ------------------------------------------------------------------------------------------------------------


def test_files_of_a_folder_that_are_there_are_not_fetched_again(origin, tmp_path):
    contents = {f"sub/{number}.gguf": Bytes(gguf(50_000, seed=number)) for number in range(5)}
    urls = {path: origin.serve(path, content) for path, content in contents.items()}
    last = "sub/4.gguf"
    origin.break_with(Stall(after=20_000), path=f"/{last}")
    artifact = folder_of(urls, contents)
    with Running(artifact, tmp_path) as running:
        origin.wait_for(lambda: kept_in(tmp_path) == 220_000)
        running.stop()
    origin.break_with(path=f"/{last}")
    got = run(artifact, tmp_path)
    assert [got.content(number) for number in range(5)] == [content.data for content in contents.values()]
    assert origin.sent() == 250_000


# Another file behind the address -------------------------------------------------------------------------------------

VALIDATORS = {"strong": [], "weak": [WeakEtag()], "none": [NoEtag()]}


@pytest.mark.parametrize("new", [OTHER, SHORTER], ids=["same size", "other size"])
@pytest.mark.parametrize("validator", VALIDATORS)
@pytest.mark.parametrize("end", [stopped_after, crashed_after])
def test_an_unpinned_file_that_was_replaced_between_two_runs_is_the_new_one(origin, tmp_path, new, validator, end):
    artifact = unpinned(origin.serve("m.gguf", MODEL, faults=VALIDATORS[validator]))
    if validator == "strong":
        partial = end(HALF, artifact, tmp_path / "p", origin)
    else:
        partial = ended_without_a_validator(artifact, tmp_path / "p", origin, validator)
    origin.serve("m.gguf", new, faults=VALIDATORS[validator])
    assert run(artifact, partial).content() == new.read()


def ended_without_a_validator(artifact, folder, origin, validator):
    origin.break_with(*VALIDATORS[validator], Hold(after=HALF).once(), path="/m.gguf")
    with Running(artifact, folder) as running:
        origin.wait_for(lambda: kept_in(folder) == HALF)
        running.stop()
    return folder


@pytest.mark.parametrize("validator", VALIDATORS)
def test_a_pinned_file_that_was_replaced_by_one_of_its_size_is_never_taken(origin, tmp_path, validator):
    artifact = pinned(origin.serve("m.gguf", MODEL), MODEL)
    partial = stopped_after(HALF, artifact, tmp_path, origin)
    origin.serve("m.gguf", OTHER, faults=VALIDATORS[validator])
    with pytest.raises(DigestMismatch):
        run(artifact, partial)


@pytest.mark.parametrize("validator", VALIDATORS)
def test_a_pinned_file_that_was_replaced_by_one_of_another_size_says_both_sizes(origin, tmp_path, validator):
    artifact = pinned(origin.serve("m.gguf", MODEL), MODEL)
    partial = stopped_after(HALF, artifact, tmp_path, origin)
    origin.serve("m.gguf", SHORTER, faults=VALIDATORS[validator])
    with pytest.raises(SizeMismatch, match=f"{MODEL.size} bytes.*{SHORTER.size} bytes"):
        run(artifact, partial)


def test_a_pinned_file_that_is_now_shorter_than_what_is_kept_says_both_sizes(origin, tmp_path):
    artifact = pinned(origin.serve("m.gguf", MODEL), MODEL)
    partial = stopped_after(HALF, artifact, tmp_path, origin)
    small = gguf_pattern(MIB)
    origin.serve("m.gguf", small)
    with pytest.raises(SizeMismatch, match=f"{MODEL.size} bytes.*{small.size} bytes"):
        run(artifact, partial)


def test_a_catalog_that_pins_the_new_version_gets_the_new_version(origin, model, tmp_path):
    partial = stopped_after(HALF, model, tmp_path, origin)
    artifact, since = pinned(origin.serve("m.gguf", OTHER), OTHER), Fetched(origin)
    got = run(artifact, partial)
    assert got.content() == OTHER.read()
    assert since.bytes == OTHER.size
    assert got.notes == [], "it was known beforehand"


def test_a_pinned_file_goes_on_from_another_address(origin, model, tmp_path):
    """The digest binds the bytes, not the name: any mirror may go on."""
    partial = stopped_after(HALF, model, tmp_path, origin)
    mirror = pinned(origin.serve("mirror/other-name.gguf", MODEL, etag='"mirror"'), MODEL)
    assert run(mirror, partial).content() == MODEL.read()
    assert origin.sent("mirror/other-name.gguf") == MODEL.size - HALF


@pytest.mark.parametrize("new", [OTHER, SHORTER], ids=["same size", "other size"])
@pytest.mark.parametrize("validator", VALIDATORS)
def test_an_unpinned_file_that_is_replaced_between_two_requests_is_the_new_one(origin, tmp_path, new, validator):
    faults = VALIDATORS[validator]
    artifact = unpinned(origin.serve("m.gguf", MODEL, faults=faults))
    origin.break_with(*faults, Hold(after=HALF), path="/m.gguf")
    with Running(artifact, tmp_path) as running:
        origin.wait_for(lambda: kept_in(tmp_path) == HALF)
        origin.serve("m.gguf", new, faults=faults)
        origin.drop_connections()
        got = running.end()
    assert got.content() == new.read()


def test_a_pinned_size_with_a_replaced_file_of_that_size_is_the_new_one(origin, tmp_path):
    artifact = one_file(ArtifactFile("m.gguf", origin.serve("m.gguf", MODEL), MODEL.size))
    partial = crashed_after(HALF, artifact, tmp_path / "p", origin)
    origin.serve("m.gguf", OTHER)
    assert run(artifact, partial).content() == OTHER.read()


def test_an_unpinned_file_that_was_not_replaced_goes_on(origin, tmp_path):
    artifact = unpinned(origin.serve("m.gguf", MODEL))
    partial = crashed_after(HALF, artifact, tmp_path / "p", origin)
    since = Fetched(origin)
    assert run(artifact, partial).content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF
    assert origin.requests("m.gguf")[-1].headers["if-range"] == MODEL.etag


def test_a_file_of_the_hub_that_was_replaced_between_two_runs_is_the_new_one(hub, tmp_path):
    hub.add("org/model", "m.gguf", MODEL)
    artifact = unpinned("https://huggingface.co/org/model/resolve/main/m.gguf")
    hub.break_cdn(Hold(after=HALF))
    with Running(artifact, tmp_path, terms=quick(hub_endpoint=hub.endpoint)) as running:
        hub.cdn.wait_for(lambda: kept_in(tmp_path) == HALF)
        running.stop()
    hub.break_cdn()
    hub.add("org/model", "m.gguf", OTHER)
    assert run(artifact, tmp_path, terms=quick(hub_endpoint=hub.endpoint)).content() == OTHER.read()


def test_a_whole_answer_to_a_resume_is_gone_on_with_where_it_is_the_same_file(origin, model, tmp_path):
    partial = stopped_after(HALF, model, tmp_path, origin)
    origin.break_with(IgnoreRange(), path="/m.gguf")
    since = Fetched(origin)
    assert run(model, partial).content() == MODEL.read()
    assert since.bytes == MODEL.size


# A lease that is lost ------------------------------------------------------------------------------------------------


class Lease:
    """Says whether the run may write; `lose` ends that."""

    def __init__(self):
        self.lost = False

    def check(self):
        if self.lost:
            raise LeaseLost(7)


def everything_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_whose_lease_is_lost_writes_nothing_more(origin, model, tmp_path):
    lease = Lease()
    with held_after(HALF, model, tmp_path, origin, control=Control(lease.check)) as running:
        lease.lost = True
        before = everything_in(tmp_path)
        running.hold.set()
        with pytest.raises(LeaseLost):
            running.end()
    assert everything_in(tmp_path) == before


def test_a_run_whose_lease_is_lost_says_no_last_words_when_it_is_stopped(origin, model, tmp_path):
    lease = Lease()
    with held_after(HALF, model, tmp_path, origin, control=Control(lease.check)) as running:
        lease.lost = True
        before = everything_in(tmp_path)
        running.stop()
    assert everything_in(tmp_path) == before
    assert not journal.load(tmp_path).clean


def test_a_run_whose_lease_is_lost_does_not_commit_what_it_had_written(origin, model, tmp_path, monkeypatch):
    monkeypatch.setattr(committer, "PERIOD_S", 3600)
    monkeypatch.setattr(fetch_room, "WATCH_S", 0.01)
    lease = Lease()
    origin.break_with(Stall(after=HALF), path="/m.gguf")
    with Running(model, tmp_path, control=Control(lease.check)) as running:
        part = tmp_path / "files" / "m.gguf"
        origin.wait_for(lambda: part.exists() and part.stat().st_size == HALF)
        running.run.wait_to_see(2)
        lease.lost = True
        running.stop()
    assert kept_in(tmp_path) == 0


# Errors --------------------------------------------------------------------------------------------------------------


def test_what_came_before_an_error_is_kept_for_a_retry(origin, model, tmp_path):
    origin.break_with(EarlyClose(after=HALF).once(), EarlyClose().from_byte(1), path="/m.gguf")
    with pytest.raises(ConnectionLost):
        run(model, tmp_path, terms=quick(faults_max=3))
    assert kept_in(tmp_path) == HALF
    origin.break_with(path="/m.gguf")
    assert run(model, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_a_full_disk_ends_the_run_at_once_and_keeps_what_is_there(origin, model, tmp_path, monkeypatch):
    """No disk is filled for this: the write of one byte too many says so, as a full one does."""
    import errno

    write = os.pwrite

    def full(fd, data, offset):
        if offset + len(data) > HALF:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(FlowhubError) as caught:
        run(model, tmp_path)
    assert caught.value.code == "disk_full"
    assert len(origin.requests()) == 1
    monkeypatch.setattr(os, "pwrite", write)
    since, kept = Fetched(origin), kept_in(tmp_path)
    assert 0 < kept <= HALF
    assert run(model, tmp_path).content() == MODEL.read()
    assert since.bytes == MODEL.size - kept


def test_faults_of_earlier_attempts_count(origin, model, tmp_path):
    origin.break_with(EarlyClose(), path="/m.gguf")
    with pytest.raises(ConnectionLost):
        run(model, tmp_path, past=Past("job", faults=9))
    assert len(origin.requests()) == 1


def test_small_answers_leave_no_more_in_memory_than_they_should(origin, model, tmp_path, monkeypatch):
    """Bytes that the hasher has no room for in memory are read from the disk, where they lie already."""
    monkeypatch.setattr(board, "HANDED_MAX", 100_000)
    origin.break_with(CappedRange(most=300_000), path="/m.gguf")
    assert Run(model, tmp_path).go().content() == MODEL.read()
