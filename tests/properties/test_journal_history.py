"""What a journal says was said before the crash: cut or damaged anywhere, it tells a prefix and nothing else."""

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
BEGINNINGS = st.builds(
    FileRecord,
    part=st.sampled_from(["files/x", "files.1/x"]),
    size=st.none() | st.integers(0, 1 << 59),
    identity=st.none() | st.text(max_size=8),
    piece=st.sampled_from([0, 10]),
).map(FileRecord.begin)


@st.composite
def commits(draw, begun):
    """Draw one commit, as the committer says it: new files are begun before they are spoken of."""
    paths = draw(st.lists(st.sampled_from(PATHS), unique=True))
    begin = {path: draw(BEGINNINGS) for path in paths if path not in begun or draw(st.booleans())}
    files = {}
    for path in paths:
        frontier, state = draw(FRONTIERS)
        spoken = FileRecord("", kept=draw(RANGES), frontier=frontier, frontier_state=state)
        files[path] = file_entry(spoken, draw(NEW_STATES))
    begun |= set(paths)
    return {"fetched": draw(st.integers(0, 1000)), "begin": begin, "files": files}


@st.composite
def histories(draw):
    """Draw what is said to a journal, in order: a dict is committed; "anew" writes it anew; "open" is another run."""
    begun: set[str] = set()
    others = st.sampled_from([{"clean": True}, {"install": {"name": "m.gguf"}}, "anew", "open"])
    return [draw(commits(begun) | others) for _ in range(draw(st.integers(0, 6)))]


@contextmanager
def some_folder():
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def say(folder, history):
    """Say a history to a real journal; return what it told after each word, the first before any."""
    log = Journal(folder, Record(tag="job", fetched=7))
    told = [load(folder)]
    for word in history:
        if isinstance(word, dict):
            log.commit(word)
        elif word == "anew":
            log.rewrite(load(folder))
        else:
            log.close()
            log = Journal(folder, load(folder))
        told.append(load(folder))
    log.close()
    return told


def believed(history):
    """Return what a reader should believe after a history; the clean word is the last or none."""
    record = Record(tag="job", fetched=7)
    for word in history:
        record.clean = isinstance(word, dict) and word.get("clean", False)
        if isinstance(word, dict):
            record.fetched = word.get("fetched", record.fetched)
            record.install = word.get("install", record.install)
            record.files |= {path: FileRecord(**begun) for path, begun in word.get("begin", {}).items()}
            for path, change in word.get("files", {}).items():
                known = record.files[path]
                known.kept = Ranges(change["kept"])
                known.states |= change["states"]
                known.frontier, known.frontier_state = change["frontier"], change["state"]
    return record


def read(text):
    """Return what these bytes tell where a journal should lie."""
    with some_folder() as folder:
        (folder / journal.NAME).write_bytes(text)
        return load(folder)


@examples(40)
@given(histories())
def test_written_lines_survive_any_rewriting_and_reopening(history):
    with some_folder() as folder:
        told = say(folder, history)
    for number, record in enumerate(told):
        assert record == believed(history[:number])


@examples(40)
@given(histories(), st.data())
def test_a_journal_cut_at_any_byte_has_a_prefix_of_what_was_written(history, data):
    with some_folder() as folder:
        told = say(folder, history)
        text = (folder / journal.NAME).read_bytes()
    cut = data.draw(st.integers(0, len(text)))
    lines = text[: cut + 1].count(b"\n")  # a line that lacks but its end is whole, too
    gone = text[cut + 1 :].count(b"\n")
    assert read(text[:cut]) == (told[len(told) - 1 - gone] if lines else Record())


@examples(40)
@given(histories(), st.data())
def test_a_journal_with_one_wrong_byte_tells_no_more_than_a_prefix(history, data):
    with some_folder() as folder:
        told = [Record(), *say(folder, history)]
        text = bytearray((folder / journal.NAME).read_bytes())
    text[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.integers(1, 255))
    assert read(bytes(text)) in told


@examples(40)
@given(histories(), st.binary(max_size=40), st.data())
def test_junk_in_the_middle_ends_the_log_where_it_begins(history, junk, data):
    with some_folder() as folder:
        told = say(folder, history)
        lines = (folder / journal.NAME).read_bytes().splitlines(keepends=True)
    place = data.draw(st.integers(0, len(lines)))
    text = b"".join(lines[:place]) + b"!" + junk + b"".join(lines[place:])
    assert read(text) == (told[len(told) - 1 - len(lines) + place] if place else Record())


@given(st.binary(max_size=200) | st.text('0123456789abcdef {}"\n', max_size=60).map(str.encode))
@example(b"\0" * 4096)
@example(b"\n\n\n")
def test_junk_where_a_journal_should_lie_tells_nothing(text):
    assert read(text) == Record()
