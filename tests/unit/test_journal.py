"""A journal is read back as it was written. properties/test_journal_history.py tests arbitrary histories."""

import copy

import pytest

from flowhub_jobs.pieces.ranges import Ranges
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.partial.journal import FileRecord, Journal, Record, file_entry, load

STATE = "ab" * 8


def record():
    entry = FileRecord("files/a", 100, "etag:x", 10, Ranges([(0, 40), (60, 70)]), {1: STATE, 4: STATE}, 40, STATE)
    return Record(files={"a": entry}, fetched=123, tag="node/1")


def test_a_written_journal_is_read_back(tmp_path):
    Journal(tmp_path, record()).close()
    assert load(tmp_path) == record()


def test_states_accumulate_over_commits_until_a_new_beginning(tmp_path):
    log = Journal(tmp_path, record())
    entry = copy.deepcopy(record().files["a"])
    log.commit({"files": {"a": file_entry(entry, {2: "cd"})}})
    assert load(tmp_path).files["a"].states == {1: STATE, 4: STATE, 2: "cd"}
    log.commit({"begin": {"a": entry.begin()}, "files": {"a": file_entry(entry, {})}})
    assert load(tmp_path).files["a"].states == {}
    log.close()


def test_clean_holds_only_while_it_is_the_last_entry(tmp_path):
    log = Journal(tmp_path, record())
    log.commit({"clean": True})
    assert load(tmp_path).clean
    log.commit({"fetched": 124})
    assert not load(tmp_path).clean
    log.close()


def test_opening_a_journal_is_no_longer_clean(tmp_path):
    """Otherwise a crash of the resumed run would look like the clean end of the previous one."""
    log = Journal(tmp_path, record())
    log.commit({"clean": True})
    log.close()
    Journal(tmp_path, load(tmp_path)).close()
    assert not load(tmp_path).clean


def test_the_lines_of_a_late_writer_are_never_read(tmp_path):
    late = Journal(tmp_path, record())
    new = Journal(tmp_path, record())
    late.commit({"fetched": 999})
    new.commit({"fetched": 200})
    assert load(tmp_path).fetched == 200
    late.close()
    new.close()


def test_lines_behind_a_torn_line_are_not_read(tmp_path):
    log = Journal(tmp_path, record())
    with (tmp_path / journal.NAME).open("ab") as file:
        file.write(b'00000000 {"fetched":1}\n')
    log.commit({"fetched": 999})
    log.close()
    assert load(tmp_path).fetched == 123


def test_no_journal_and_one_of_another_version_are_read_as_an_empty_one(tmp_path):
    assert load(tmp_path) == Record()
    Journal(tmp_path, record()).close()
    journal.append(tmp_path, {"version": journal.VERSION + 1})
    assert load(tmp_path) == Record()


def test_an_intent_to_install_is_read_back_and_survives_a_rewrite(tmp_path):
    Journal(tmp_path, record()).close()
    journal.append(tmp_path, {"install": {"name": "m.gguf"}})
    assert load(tmp_path).install == {"name": "m.gguf"}
    Journal(tmp_path, load(tmp_path)).close()
    assert load(tmp_path).install == {"name": "m.gguf"}


def test_a_long_journal_has_the_same_content_when_it_is_rewritten(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "COMPACT_BYTES", 1000)
    log = Journal(tmp_path, record())
    while not log.is_long:
        log.commit({"fetched": 500})
    before, size = load(tmp_path), (tmp_path / journal.NAME).stat().st_size
    log.rewrite(before)
    assert not log.is_long
    assert load(tmp_path) == before
    assert (tmp_path / journal.NAME).stat().st_size < size
    log.close()


@pytest.mark.parametrize("left", [b"", b"half of something"])
def test_the_leftover_of_a_rewrite_that_crashed_does_no_harm(tmp_path, left):
    Journal(tmp_path, record()).close()
    (tmp_path / f"{journal.NAME}.new").write_bytes(left)
    Journal(tmp_path, load(tmp_path)).close()
    assert load(tmp_path) == record()


def test_the_count_of_restarts_and_the_most_bytes_kept_before_them_are_recorded(tmp_path):
    expected = record()
    expected.files["a"].restarts, expected.files["a"].most_kept = 3, 90
    log = Journal(tmp_path, record())
    log.commit({"files": {"a": file_entry(expected.files["a"], {})}})
    log.close()
    assert (load(tmp_path).files["a"].restarts, load(tmp_path).files["a"].most_kept) == (3, 90)
    Journal(tmp_path, expected).close()
    assert load(tmp_path) == expected
