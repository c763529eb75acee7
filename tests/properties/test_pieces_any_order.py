"""Properties of a transfer in any order of steps: no gap, no overlap, one version of the file, every byte verified."""

import hashlib
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.examples import examples
from support.replaced_source import LONGEST, AnswerForm, IdentifiedBy, Source
from support.stepped_transfer import Fetcher, SteppedTransfer

from flowhub_jobs.errors import DigestMismatch
from flowhub_jobs.pieces.ranges import MIB, Ranges
from flowhub_jobs.transfer.file_state import FileState
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import HubFormat

pytestmark = pytest.mark.timeout(600)  # after a failure, Hypothesis shrinks the example for up to five minutes

VERSIONS = 6
SIZES = st.sampled_from([LONGEST, 2 * MIB + 77, MIB + 1, MIB, MIB - 1, 1, 0])
PORTIONS = st.sampled_from([1, 70_000, 300_000, MIB, LONGEST])
INDEX = st.integers(0, 15)


@st.composite
def sources(draw, path):
    identified_by, size_known = draw(st.sampled_from([IdentifiedBy.ETAG, *IdentifiedBy])), draw(st.booleans())
    first = draw(SIZES)
    same_size = size_known or identified_by is IdentifiedBy.PIN or draw(st.booleans())
    sizes = (first, *(first if same_size else draw(SIZES) for _ in range(VERSIONS - 1)))
    return Source(path, identified_by, sizes, size_known)


class TransferMachine(RuleBasedStateMachine):
    """Fetchers, a hasher, a committer and a source, in any order that Hypothesis finds.

    It also records which bytes on the disk are wrong, and what was kept before each step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.temporary_folder = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary_folder.name) / "partial"
        self.wrong_bytes: dict[str, Ranges] = {}  # by part: bytes that differ from the source's
        self.previous: dict[str, tuple[str, Ranges]] = {}  # by path: the part, and its kept bytes
        self.may_lose_bytes: set[str] = set()  # files that may lose kept bytes in this step
        self.may_restart: set[str] = set()  # files that may be started over
        self.flips = 0

    @initialize(data=st.data(), folder=st.booleans(), connections=st.integers(1, 8))
    def begin(self, data: st.DataObject, folder: bool, connections: int) -> None:
        paths = ("m.bin", "sub/n.json") if folder else ("m.bin",)
        self.connections = connections
        self.sources = {path: data.draw(sources(path)) for path in paths}
        files = tuple(source.file() for source in self.sources.values())
        self.artifact = Artifact("m@q", "m", "q", HubFormat.MLX, "m", folder, files)
        self.may_restart = {path for path, source in self.sources.items() if source.identified_by.has_no_identity}
        self._open()

    def _open(self) -> None:
        self.run = SteppedTransfer(self.artifact, self.folder)
        self.run.transfer.connections = self.connections

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self._finish()
            self.run.stop()
        self.temporary_folder.cleanup()

    # Fetchers

    def _pick(self, index: int, *, answered: bool, bound: bool = False) -> Fetcher | None:
        candidates = [it for it in self.run.fetchers if (it.answer is not None) == answered and it.accepted == bound]
        return candidates[index % len(candidates)] if candidates else None

    @rule()
    def start_fetcher(self) -> None:
        if not self.run.transfer.ended and len(self.run.fetchers) < self.connections:
            self.run.start_fetcher()

    @rule(index=INDEX, style=st.sampled_from(AnswerForm))
    def answer(self, index: int, style: AnswerForm) -> None:
        fetcher = self._pick(index, answered=False)
        if fetcher is not None:
            fetcher.answer = self._source(fetcher).answer(fetcher, style)

    @rule(index=INDEX)
    def bind(self, index: int) -> None:
        fetcher = self._pick(index, answered=True)
        if fetcher is not None:
            assert fetcher.answer is not None
            if fetcher.answer.status == 200:  # it starts at byte 0, so bytes after the task are received again
                self.may_lose_bytes.add(fetcher.task.state.file.path)
            self.run.accept_answer(fetcher)

    @rule(index=INDEX, count=PORTIONS)
    def deliver(self, index: int, count: int) -> None:
        fetcher = self._pick(index, answered=True, bound=True)
        if fetcher is not None:
            kept = self.run.deliver(fetcher, count)
            if kept is not None:
                self._wrong_bytes(fetcher.task.state.record.part).remove(*kept)

    @precondition(lambda self: self.flips < 3)
    @rule(index=INDEX, count=PORTIONS, flip=st.integers(0, LONGEST))
    def deliver_wrong(self, index: int, count: int, flip: int) -> None:
        """Deliver with one byte flipped on the wire, if the source has a digest that detects it."""
        fetcher = self._pick(index, answered=True, bound=True)
        if fetcher is not None and self._source(fetcher).identified_by.has_digest:
            kept = self.run.deliver(fetcher, count, flip)
            if kept is not None:
                self._wrong_bytes(fetcher.task.state.record.part).add(*kept)
                self.may_restart.add(fetcher.task.state.file.path)
                self.flips += 1

    @rule(index=INDEX, styles=st.lists(st.sampled_from(AnswerForm), min_size=1, max_size=3), count=PORTIONS)
    def fetch_more(self, index: int, styles: list[AnswerForm], count: int) -> None:
        """Run some good connections in sequence: single steps are drawn too rarely to get far."""
        for style in styles:
            self.start_fetcher()
            self.answer(index, style)
            self.bind(index)
            self.deliver(index, count)

    @precondition(lambda self: self.run.fetchers)
    @rule(index=INDEX)
    def drop(self, index: int) -> None:
        self.run.drop(self.run.fetchers[index % len(self.run.fetchers)])

    def _source(self, fetcher: Fetcher) -> Source:
        return self.sources[fetcher.task.state.file.path]

    def _wrong_bytes(self, part: str) -> Ranges:
        return self.wrong_bytes.setdefault(part, Ranges())

    @rule(seconds=st.sampled_from([0.1, 1, 3, 60]))
    def advance(self, seconds: float) -> None:
        """Let time pass: a fetcher that received little in it shares its range with the next idle one."""
        self.run.now += seconds

    # Hasher, committer, source and machine

    @rule()
    def hash(self) -> None:
        self.run.hash()

    @rule()
    def commit(self) -> None:
        """Commit; assert that every byte that the journal claims is durable."""
        self.run.committer.commit()
        for known in journal.load(self.folder).files.values():
            if known.kept.total:
                durable = self.run.disk.durable_bytes(self.folder / known.part)
                assert all(not list(durable.gaps(start, end)) for start, end in known.kept)

    @rule(path=st.sampled_from(["m.bin", "sub/n.json"]))
    def replace(self, path: str) -> None:
        """Make the source serve its next version, unless the catalog pins the file."""
        source = self.sources.get(path)
        if source is not None and source.identified_by is not IdentifiedBy.PIN and source.version + 1 < VERSIONS:
            source.version += 1
            self.may_restart.add(path)

    @precondition(lambda self: len(self.run.fetchers) + 2 <= self.connections)
    @rule(index=INDEX, style=st.sampled_from(AnswerForm), first=PORTIONS | st.none())
    def replace_between(self, index: int, style: AnswerForm, first: int | None) -> None:
        """Answer one fetcher with the old version and the next with the new one."""
        self.start_fetcher()
        self.answer(index, AnswerForm.PART)
        self.bind(index)
        if first is not None:
            self.deliver(index, first)
        self.start_fetcher()
        for path in self.sources:
            self.replace(path)
        self.answer(index, style)
        self.bind(index)

    @rule(hashed=st.booleans())
    def stop(self, hashed: bool) -> None:
        if hashed:
            self.run.hash()
        self.commit()
        self.run.stop()
        self._reopen()

    @rule(lost=st.sampled_from(["nothing", "all", "ends"]), torn=st.booleans())
    def crash(self, lost: str, torn: bool) -> None:
        """Cut the power: an unsynced byte may be lost or not."""
        self.run.crash(lost)
        if torn:
            with (self.folder / journal.NAME).open("ab") as file:
                file.write(b'1234abcd {"fetched":9')
        self._reopen()

    @rule(at=st.integers(0, LONGEST))
    def crash_and_flip_a_byte(self, at: int) -> None:
        """Cut the power, and flip a byte that was already hashed."""
        self.run.crash("nothing")
        for path, known in journal.load(self.folder).files.items():
            if known.frontier and not self.sources[path].identified_by.has_no_identity:
                with (self.folder / known.part).open("r+b") as file:
                    file.seek(at % known.frontier)
                    byte = file.read(1)[0]
                    file.seek(at % known.frontier)
                    file.write(bytes([byte ^ 0x55]))
                self._wrong_bytes(known.part).add(at % known.frontier, at % known.frontier + 1)
                self.may_restart.add(path)
        self._reopen()

    def _reopen(self) -> None:
        files_of_journal = journal.load(self.folder).files
        self.previous = {path: (known.part, known.kept.copy()) for path, known in files_of_journal.items()}
        self._open()

    # Invariants after each step

    @invariant()
    def no_byte_is_fetched_by_two_or_after_it_is_kept(self) -> None:
        for state in self.run.transfer.files:
            spans = sorted((task.written_to, task.end) for task in state.tasks)
            assert all(left[1] <= right[0] for left, right in pairwise(spans))
            for task in state.tasks:
                unwritten_end = task.written_to if not task.accepted else task.end
                assert all(end <= task.written_to or start >= unwritten_end for start, end in state.record.kept)

    @invariant()
    def kept_bytes_are_of_one_version_and_on_the_disk(self) -> None:
        for state in self.run.transfer.files:
            kept = list(state.record.kept)
            if kept:
                assert any(self._matches(state, version) for version in self._versions(state))

    def _versions(self, state: FileState) -> list[int]:
        source, identity = self.sources[state.file.path], state.record.identity
        versions = range(source.version + 1)
        return [version for version in versions if identity is None or source.identity(version) == identity]

    def _matches(self, state: FileState, version: int) -> bool:
        content, wrong_bytes = self.sources[state.file.path].content(version), self._wrong_bytes(state.record.part)
        unflipped = [part for start, end in state.record.kept for part in wrong_bytes.gaps(start, end)]
        return all(self.run.on_disk(state, start, end) == content[start:end] for start, end in unflipped)

    @invariant()
    def kept_bytes_are_dropped_only_for_a_reason(self) -> None:
        for state in self.run.transfer.files:
            path, record = state.file.path, state.record
            part, kept = self.previous.get(path, (record.part, Ranges()))
            if record.part != part:
                assert path in self.may_restart or not kept.total
                self.wrong_bytes[record.part] = Ranges()
            elif path not in self.may_lose_bytes and path not in self.may_restart:
                assert all(not list(record.kept.gaps(start, end)) for start, end in kept)
            self.previous[path] = (record.part, record.kept.copy())
        self.may_lose_bytes.clear()

    @invariant()
    def a_verified_file_is_complete_on_the_disk(self) -> None:
        for state in self.run.transfer.files:
            if state.digest.verified is not None:
                assert state.disk.part is not None
                file_content = state.disk.part.path.read_bytes()
                source = self.sources[state.file.path]
                assert state.digest.verified.sha256 == hashlib.sha256(file_content).hexdigest()
                assert state.digest.verified.bytes == len(file_content)
                # An empty file is not requested, so no source has told its digest.
                assert state.digest.verified.pinned == source.identified_by.has_digest or not file_content
                assert any(file_content == source.content(version) for version in self._versions(state))

    @invariant()
    def only_a_repeated_digest_mismatch_fails_the_transfer(self) -> None:
        assert self.run.transfer.error is None or (isinstance(self.run.transfer.error, DigestMismatch) and self.flips)

    # The end

    def _finish(self) -> None:
        """Assert that with an honest source, which no longer changes, every file completes."""
        for _ in range(60):  # answers; a file has a few ranges, and may be started over a few times
            if self.run.transfer.ended:
                self.stop(hashed=False)
            self.run.hash()
            if self.run.transfer.done:
                break
            if not self.run.fetchers:
                self.run.start_fetcher()
            self.answer(0, AnswerForm.PART)
            self.bind(0)
            self.deliver(0, LONGEST)
        assert self.run.transfer.done
        self.a_verified_file_is_complete_on_the_disk()
        self.kept_bytes_are_of_one_version_and_on_the_disk()


TestPiecesInAnyOrder = TransferMachine.TestCase
TestPiecesInAnyOrder.settings = examples(50, stateful_step_count=40)


def transfer_of(sizes: tuple[int, ...]) -> TransferMachine:
    """Return a transfer over one connection, of a file with a strong ETag and no known size."""
    machine = TransferMachine()
    machine.connections, machine.sources = 1, {"m.bin": Source("m.bin", IdentifiedBy.ETAG, sizes, False)}
    files = (machine.sources["m.bin"].file(),)
    machine.artifact = Artifact("m@q", "m", "q", HubFormat.MLX, "m", False, files)
    machine._open()
    return machine


def test_a_file_that_is_replaced_by_an_empty_one_ends_empty():
    machine = transfer_of((LONGEST, 0))
    machine.fetch_more(count=1, styles=[AnswerForm.UNKNOWN_TOTAL], index=0)
    machine.replace("m.bin")
    machine.teardown()  # asserts that the file completes, and is of one version


def test_a_gap_in_a_file_of_unknown_size_is_fetched_without_the_kept_bytes_after_it():
    machine = transfer_of((LONGEST,))
    machine.fetch_more(count=2, styles=[AnswerForm.UNKNOWN_TOTAL], index=0)
    [state] = machine.run.transfer.files
    state.record.kept.remove(0, 1)
    machine.run.drop(machine.run.fetchers[0])
    machine.start_fetcher()
    assert [(task.written_to, task.end) for task in state.tasks] == [(0, 1)]
    machine.teardown()
