"""What is written in a journal is read. What holds for all histories is in properties/test_journal_history.py."""

import copy

import pytest

from flowhub_jobs.pieces.ranges import Ranges
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.partial.journal import FileRecord, Journal, Record, file_entry, load

STATE = "ab" * 8


def record():
    known = FileRecord("files/a", 100, "etag:x", 10, Ranges([(0, 40), (60, 70)]), {1: STATE, 4: STATE}, 40, STATE)
    return Record(files={"a": known}, fetched=123, tag="node/1")


def test_what_is_written_is_read(tmp_path):
    Journal(tmp_path, record()).close()
    assert load(tmp_path) == record()


def test_states_gather_over_commits_and_a_new_beginning_forgets_them(tmp_path):
    log = Journal(tmp_path, record())
    known = copy.deepcopy(record().files["a"])
    log.commit({"files": {"a": file_entry(known, {2: "cd"})}})
    assert load(tmp_path).files["a"].states == {1: STATE, 4: STATE, 2: "cd"}
    log.commit({"begin": {"a": known.begin()}, "files": {"a": file_entry(known, {})}})
    assert load(tmp_path).files["a"].states == {}
    log.close()


def test_clean_holds_only_while_it_is_the_last_word(tmp_path):
    log = Journal(tmp_path, record())
    log.commit({"clean": True})
    assert load(tmp_path).clean
    log.commit({"fetched": 124})
    assert not load(tmp_path).clean
    log.close()


def test_opening_a_journal_is_no_longer_clean(tmp_path):
    """Else a crash of the run that goes on would be taken for the clean end of the one before."""
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


def test_words_behind_a_torn_line_are_not_believed(tmp_path):
    log = Journal(tmp_path, record())
    with (tmp_path / journal.NAME).open("ab") as file:
        file.write(b'00000000 {"fetched":1}\n')
    log.commit({"fetched": 999})
    log.close()
    assert load(tmp_path).fetched == 123


def test_no_journal_and_one_of_another_version_say_nothing(tmp_path):
    assert load(tmp_path) == Record()
    Journal(tmp_path, record()).close()
    journal.append(tmp_path, {"version": journal.VERSION + 1})
    assert load(tmp_path) == Record()


def test_an_intent_to_install_is_read_back_and_outlives_a_rewriting(tmp_path):
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
def test_the_leftover_of_a_rewriting_that_crashed_does_no_harm(tmp_path, left):
    Journal(tmp_path, record()).close()
    (tmp_path / f"{journal.NAME}.new").write_bytes(left)
    Journal(tmp_path, load(tmp_path)).close()
    assert load(tmp_path) == record()


def test_how_often_a_file_started_over_is_kept_with_the_most_bytes_of_the_old_ones(tmp_path):
    known = record()
    known.files["a"].restarts, known.files["a"].most_kept = 3, 90
    log = Journal(tmp_path, record())
    log.commit({"files": {"a": file_entry(known.files["a"], {})}})
    log.close()
    assert (load(tmp_path).files["a"].restarts, load(tmp_path).files["a"].most_kept) == (3, 90)
    Journal(tmp_path, known).close()
    assert load(tmp_path) == known
