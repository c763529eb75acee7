"""Properties of the journal: cut or damaged at any byte, it reads as a prefix of what was written."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from support.examples import examples

from flowhub_jobs.pieces.ranges import Ranges
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.partial.journal import FileRecord, Journal, Record, file_entry, load

PATHS = ("a.gguf", "sub/b.json")
STATES = st.text("0123456789abcdef", min_size=2, max_size=4)
RANGES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=4).map(Ranges)
FRONTIERS = st.tuples(st.integers(0, 50), st.none() | STATES)
NEW_STATES = st.dictionaries(st.integers(1, 5), STATES, max_size=3)
NEW_FILES = st.builds(
    FileRecord,
    part=st.sampled_from(["files/x", "files.1/x"]),
    size=st.none() | st.integers(0, 1 << 59),
    identity=st.none() | st.text(max_size=8),
    piece=st.sampled_from([0, 10]),
).map(FileRecord.begin)


@st.composite
def commits(draw, known_paths):
    """Draw one commit in the committer's form: a file has an entry in `begin` before or with its first state."""
    paths = draw(st.lists(st.sampled_from(PATHS), unique=True))
    begin = {path: draw(NEW_FILES) for path in paths if path not in known_paths or draw(st.booleans())}
    files = {}
    for path in paths:
        frontier, state = draw(FRONTIERS)
        entry = FileRecord("", kept=draw(RANGES), frontier=frontier, frontier_state=state)
        files[path] = file_entry(entry, draw(NEW_STATES))
    known_paths |= set(paths)
    return {"fetched": draw(st.integers(0, 1000)), "begin": begin, "files": files}


@st.composite
def histories(draw):
    """Draw the operations on a journal, in order: a dict is a commit, "reopen" begins another run."""
    known_paths: set[str] = set()
    others = st.sampled_from([{"clean": True}, {"install": {"name": "m.gguf"}}, "rewrite", "reopen"])
    return [draw(commits(known_paths) | others) for _ in range(draw(st.integers(0, 6)))]


@contextmanager
def temporary_folder():
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def write_history(folder, history):
    """Carry out a history on a real journal; return its record before the first operation and after each."""
    log = Journal(folder, Record(tag="job", fetched=7))
    records = [load(folder)]
    for operation in history:
        if isinstance(operation, dict):
            log.commit(operation)
        elif operation == "rewrite":
            log.rewrite(load(folder))
        else:
            log.close()
            log = Journal(folder, load(folder))
        records.append(load(folder))
    log.close()
    return records


def expected_record(history):
    """Return the record that a reader should get after a history; only the last commit can mark it as clean."""
    record = Record(tag="job", fetched=7)
    for operation in history:
        record.clean = isinstance(operation, dict) and operation.get("clean", False)
        if isinstance(operation, dict):
            record.fetched = operation.get("fetched", record.fetched)
            record.install = operation.get("install", record.install)
            record.files |= {path: FileRecord(**fields) for path, fields in operation.get("begin", {}).items()}
            for path, change in operation.get("files", {}).items():
                known = record.files[path]
                known.kept = Ranges(change["kept"])
                known.states |= change["states"]
                known.frontier, known.frontier_state = change["frontier"], change["state"]
    return record


def load_bytes(content):
    """Return the record that these bytes give as the file of a journal."""
    with temporary_folder() as folder:
        (folder / journal.NAME).write_bytes(content)
        return load(folder)


@examples(40)
@given(histories())
def test_written_lines_survive_any_rewrite_and_reopening(history):
    with temporary_folder() as folder:
        records = write_history(folder, history)
    for number, record in enumerate(records):
        assert record == expected_record(history[:number])


@examples(40)
@given(histories(), st.data())
def test_a_journal_cut_at_any_byte_reads_as_a_prefix_of_what_was_written(history, data):
    with temporary_folder() as folder:
        records = write_history(folder, history)
        content = (folder / journal.NAME).read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    lines = content[: cut + 1].count(b"\n")  # a line that lacks only its newline counts as complete
    lost = content[cut + 1 :].count(b"\n")
    assert load_bytes(content[:cut]) == (records[len(records) - 1 - lost] if lines else Record())


@examples(40)
@given(histories(), st.data())
def test_a_journal_with_one_wrong_byte_reads_as_a_prefix(history, data):
    with temporary_folder() as folder:
        records = [Record(), *write_history(folder, history)]
        content = bytearray((folder / journal.NAME).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    assert load_bytes(bytes(content)) in records


@examples(40)
@given(histories(), st.binary(max_size=40), st.data())
def test_a_journal_with_junk_in_the_middle_ends_where_the_junk_begins(history, junk, data):
    with temporary_folder() as folder:
        records = write_history(folder, history)
        lines = (folder / journal.NAME).read_bytes().splitlines(keepends=True)
    position = data.draw(st.integers(0, len(lines)))
    content = b"".join(lines[:position]) + b"!" + junk + b"".join(lines[position:])
    assert load_bytes(content) == (records[len(records) - 1 - len(lines) + position] if position else Record())


@given(st.binary(max_size=200) | st.text('0123456789abcdef {}"\n', max_size=60).map(str.encode))
@example(b"\0" * 4096)
@example(b"\n\n\n")
def test_junk_in_place_of_a_journal_is_an_empty_record(content):
    assert load_bytes(content) == Record()
