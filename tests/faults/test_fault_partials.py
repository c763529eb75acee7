"""Partials: of another version, cut short, too long, empty, without a journal; a journal without a partial."""

import json
import os
import zlib

import pytest
from support.fault_files import HALF, MIB, MODEL
from support.origin import TrafficMeter
from support.run_fetch import crash_after, journaled_bytes, part_path, pinned_artifact, run_transfer, stop_after

from flowhub_jobs.pieces import resumable_sha256
from flowhub_jobs.transfer.partial import journal


@pytest.fixture
def model(origin):
    return pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)


def cut_short(partial):
    os.truncate(part_path(partial), MIB + 100)


def of_zero_length(partial):
    os.truncate(part_path(partial), 0)


def too_long(partial):
    with part_path(partial).open("ab") as file:
        file.write(b"x" * (MODEL.size + 5000))


def without_partial(partial):
    part_path(partial).unlink()


def without_journal(partial):
    (partial / journal.NAME).unlink()


def with_an_empty_journal(partial):
    os.truncate(partial / journal.NAME, 0)


def with_garbage_for_a_journal(partial):
    (partial / journal.NAME).write_bytes(os.urandom(5000))


def with_a_folder_in_its_place(partial):
    part_path(partial).unlink()
    part_path(partial).mkdir()


def of_another_version(partial):
    """Write the journal of a newer flowhub."""
    path = partial / journal.NAME
    lines = [json.loads(line.partition(b" ")[2]) for line in path.read_bytes().splitlines()]
    rewrite(path, [line | ({"version": 10_000} if "version" in line else {}) for line in lines])


def rewrite(path, entries):
    bodies = [json.dumps(entry).encode() for entry in entries]
    path.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(body), body) for body in bodies))


DAMAGES = {
    cut_short: MODEL.size - MIB - 100,
    of_zero_length: MODEL.size,
    too_long: MODEL.size - HALF,
    without_partial: MODEL.size,
    without_journal: MODEL.size,
    with_an_empty_journal: MODEL.size,
    with_garbage_for_a_journal: MODEL.size,
    with_a_folder_in_its_place: MODEL.size,
    of_another_version: MODEL.size,
}


@pytest.mark.parametrize("end", [stop_after, crash_after], ids=["stopped", "crashed"])
@pytest.mark.parametrize(("damage", "again"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
def test_a_partial_continues_with_what_is_left_of_it(origin, model, tmp_path, damage, again, end):
    partial = end(HALF, model, tmp_path / "p", origin)
    damage(partial)
    traffic = TrafficMeter(origin)
    assert run_transfer(model, partial).content() == MODEL.read()
    assert traffic.bytes == again


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__ for damage in DAMAGES])
def test_a_partial_without_saved_digests_continues_with_what_is_left_of_it(
    origin, model, tmp_path, damage, monkeypatch
):
    """Where the state of a digest cannot be saved, the bytes on disk are hashed again, and not fetched again."""
    monkeypatch.setattr(resumable_sha256, "_library", lambda: None)
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    damage(partial)
    traffic = TrafficMeter(origin)
    assert run_transfer(model, partial).content() == MODEL.read()
    assert traffic.bytes == DAMAGES[damage]


def test_a_journal_whose_last_line_is_torn_continues_from_the_line_before(origin, model, tmp_path):
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    path = partial / journal.NAME
    os.truncate(path, path.stat().st_size - 20)
    traffic, kept = TrafficMeter(origin), journaled_bytes(partial)
    assert run_transfer(model, partial).content() == MODEL.read()
    assert traffic.bytes == MODEL.size - kept


def test_a_line_of_the_journal_with_a_flipped_byte_and_all_later_lines_are_ignored(origin, model, tmp_path):
    """The journal claims the whole file; half of it is on disk."""
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    path = partial / journal.NAME
    first, *lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"".join(line.replace(b'"kept":[[0,', b'"kept":[[1,') for line in lines))
    assert journaled_bytes(partial) == 0
    traffic = TrafficMeter(origin)
    assert run_transfer(model, partial).content() == MODEL.read()
    assert traffic.bytes == MODEL.size


def test_a_journal_that_claims_bytes_that_never_came_is_found_out(origin, model, tmp_path):
    """Only a disk that reports false syncs leaves such a partial: zeros instead of synced bytes."""
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    with part_path(partial).open("r+b") as file:
        file.seek(MIB)
        file.write(bytes(HALF - MIB))
    traffic = TrafficMeter(origin)
    result = run_transfer(model, partial)
    assert result.content() == MODEL.read()
    assert traffic.bytes == MODEL.size - MIB
    assert set(result.note_kinds) == {"piece_again"}


def test_a_link_in_the_place_of_a_partial_is_not_followed(origin, model, tmp_path):
    partial = stop_after(HALF, model, tmp_path / "p", origin)
    outside = tmp_path / "outside"
    part_path(partial).rename(outside)
    (partial / "files" / "m.gguf").symlink_to(outside)
    before = outside.read_bytes()
    assert run_transfer(model, partial).content() == MODEL.read()
    assert outside.read_bytes() == before
