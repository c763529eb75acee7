"""Pieces, answers, stops and crashes in any order: no gap, no overlap, no byte of another version, none unverified."""

import hashlib
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.examples import examples
from support.replaced_source import LONGEST, Source, Style, Tells
from support.stepped_transfer import Fetcher, SteppedTransfer

from flowhub_jobs.errors import DigestMismatch
from flowhub_jobs.pieces.ranges import MIB, Ranges
from flowhub_jobs.transfer.file_state import FileState
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import HubFormat

pytestmark = pytest.mark.timeout(600)  # where it fails, the shortest story is looked for, up to five minutes

VERSIONS = 6
SIZES = st.sampled_from([LONGEST, 2 * MIB + 77, MIB + 1, MIB, MIB - 1, 1, 0])
PORTIONS = st.sampled_from([1, 70_000, 300_000, MIB, LONGEST])
WHICH = st.integers(0, 15)


@st.composite
def sources(draw, path):
    tells, size_known = draw(st.sampled_from([Tells.ETAG, *Tells])), draw(st.booleans())
    first = draw(SIZES)
    alike = size_known or tells is Tells.PIN or draw(st.booleans())
    sizes = (first, *(first if alike else draw(SIZES) for _ in range(VERSIONS - 1)))
    return Source(path, tells, sizes, size_known)


class Fetching(RuleBasedStateMachine):
    """Fetchers, a hasher, a committer and a source, in any order that Hypothesis finds.

    Beside the transfer it keeps which bytes on the disk came wrong, and what was kept before each step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name) / "partial"
        self.lies: dict[str, Ranges] = {}  # bytes of a part that are not what its source has
        self.before: dict[str, tuple[str, Ranges]] = {}  # the part and what was kept of it
        self.excused: set[str] = set()  # files of which kept bytes may go in this step
        self.unsteady: set[str] = set()  # files that may be begun anew
        self.flips = 0

    @initialize(data=st.data(), folder=st.booleans(), connections=st.integers(1, 8))
    def begin(self, data: st.DataObject, folder: bool, connections: int) -> None:
        paths = ("m.bin", "sub/n.json") if folder else ("m.bin",)
        self.connections = connections
        self.sources = {path: data.draw(sources(path)) for path in paths}
        files = tuple(source.file() for source in self.sources.values())
        self.artifact = Artifact("m@q", "m", "q", HubFormat.MLX, "m", folder, files)
        self.unsteady = {path for path, source in self.sources.items() if source.tells.keyless}
        self._open()

    def _open(self) -> None:
        self.run = SteppedTransfer(self.artifact, self.folder)
        self.run.transfer.connections = self.connections

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self._end_well()
            self.run.stop()
        self.place.cleanup()

    # What fetchers do

    def _pick(self, which: int, *, asked: bool, bound: bool = False) -> Fetcher | None:
        fits = [one for one in self.run.fetchers if (one.answer is not None) == asked and one.bound == bound]
        return fits[which % len(fits)] if fits else None

    @rule()
    def take(self) -> None:
        if not self.run.transfer.ended and len(self.run.fetchers) < self.connections:
            self.run.take()

    @rule(which=WHICH, style=st.sampled_from(Style))
    def answer(self, which: int, style: Style) -> None:
        fetcher = self._pick(which, asked=False)
        if fetcher is not None:
            fetcher.answer = self._source(fetcher).answer(fetcher, style)

    @rule(which=WHICH)
    def bind(self, which: int) -> None:
        fetcher = self._pick(which, asked=True)
        if fetcher is not None:
            assert fetcher.answer is not None
            if fetcher.answer.status == 200:  # it begins from the front; what lies behind its task comes anew
                self.excused.add(fetcher.task.state.file.path)
            self.run.bind(fetcher)

    @rule(which=WHICH, count=PORTIONS)
    def deliver(self, which: int, count: int) -> None:
        fetcher = self._pick(which, asked=True, bound=True)
        if fetcher is not None:
            kept = self.run.deliver(fetcher, count)
            if kept is not None:
                self._lies(fetcher.task.state.record.part).remove(*kept)

    @precondition(lambda self: self.flips < 3)
    @rule(which=WHICH, count=PORTIONS, flip=st.integers(0, LONGEST))
    def deliver_wrong(self, which: int, count: int, flip: int) -> None:
        """One byte is flipped on the wire, where a digest can tell."""
        fetcher = self._pick(which, asked=True, bound=True)
        if fetcher is not None and self._source(fetcher).tells.digest:
            kept = self.run.deliver(fetcher, count, flip)
            if kept is not None:
                self._lies(fetcher.task.state.record.part).add(*kept)
                self.unsteady.add(fetcher.task.state.file.path)
                self.flips += 1

    @rule(which=WHICH, styles=st.lists(st.sampled_from(Style), min_size=1, max_size=3), count=PORTIONS)
    def fetch_on(self, which: int, styles: list[Style], count: int) -> None:
        """A few good connections, one after the other: each step alone is drawn too rarely to come far."""
        for style in styles:
            self.take()
            self.answer(which, style)
            self.bind(which)
            self.deliver(which, count)

    @precondition(lambda self: self.run.fetchers)
    @rule(which=WHICH)
    def drop(self, which: int) -> None:
        self.run.drop(self.run.fetchers[which % len(self.run.fetchers)])

    def _source(self, fetcher: Fetcher) -> Source:
        return self.sources[fetcher.task.state.file.path]

    def _lies(self, part: str) -> Ranges:
        return self.lies.setdefault(part, Ranges())

    @rule(seconds=st.sampled_from([0.1, 1, 3, 60]))
    def advance(self, seconds: float) -> None:
        """Time passes: who has brought little for so long shares what it has with the next that has nothing to do."""
        self.run.now += seconds

    # What the others do

    @rule()
    def hash(self) -> None:
        self.run.hash()

    @rule()
    def commit(self) -> None:
        """What the journal says is on the disk when it says so; what is written anew later is the same again."""
        self.run.committer.commit()
        for known in journal.load(self.folder).files.values():
            if known.kept.total:
                durable = self.run.disk.durable_bytes(self.folder / known.part)
                assert all(not list(durable.gaps(start, end)) for start, end in known.kept)

    @rule(path=st.sampled_from(["m.bin", "sub/n.json"]))
    def replace(self, path: str) -> None:
        """The source has another version from now on; not of what the catalog pins."""
        source = self.sources.get(path)
        if source is not None and source.tells is not Tells.PIN and source.version + 1 < VERSIONS:
            source.version += 1
            self.unsteady.add(path)

    @precondition(lambda self: len(self.run.fetchers) + 2 <= self.connections)
    @rule(which=WHICH, style=st.sampled_from(Style), first=PORTIONS | st.none())
    def replace_between(self, which: int, style: Style, first: int | None) -> None:
        """One was answered by the old version when another is answered by the new one."""
        self.take()
        self.answer(which, Style.PART)
        self.bind(which)
        if first is not None:
            self.deliver(which, first)
        self.take()
        for path in self.sources:
            self.replace(path)
        self.answer(which, style)
        self.bind(which)

    @rule(hashed=st.booleans())
    def stop(self, hashed: bool) -> None:
        if hashed:
            self.run.hash()
        self.commit()
        self.run.stop()
        self._reopen()

    @rule(lost=st.sampled_from(["nothing", "all", "ends"]), torn=st.booleans())
    def crash(self, lost: str, torn: bool) -> None:
        """The power fails: of what was not synced nobody knows what is left."""
        self.run.crash(lost)
        if torn:
            with (self.folder / journal.NAME).open("ab") as file:
                file.write(b'1234abcd {"fetched":9')
        self._reopen()

    @rule(at=st.integers(0, LONGEST))
    def crash_and_rot(self, at: int) -> None:
        """A byte that was hashed already is another one when the machine comes up again."""
        self.run.crash("nothing")
        for path, known in journal.load(self.folder).files.items():
            if known.frontier and not self.sources[path].tells.keyless:
                with (self.folder / known.part).open("r+b") as file:
                    file.seek(at % known.frontier)
                    byte = file.read(1)[0]
                    file.seek(at % known.frontier)
                    file.write(bytes([byte ^ 0x55]))
                self._lies(known.part).add(at % known.frontier, at % known.frontier + 1)
                self.unsteady.add(path)
        self._reopen()

    def _reopen(self) -> None:
        said = journal.load(self.folder).files
        self.before = {path: (known.part, known.kept.copy()) for path, known in said.items()}
        self._open()

    # What holds after each of these

    @invariant()
    def no_two_fetch_the_same_bytes_and_nobody_what_is_kept(self) -> None:
        for state in self.run.transfer.files:
            places = sorted((task.at, task.end) for task in state.tasks)
            assert all(left[1] <= right[0] for left, right in pairwise(places))
            for task in state.tasks:
                bound = task.at if not task.accepted else task.end
                assert all(end <= task.at or start >= bound for start, end in state.record.kept)

    @invariant()
    def what_is_kept_is_one_version_as_it_lies_on_the_disk(self) -> None:
        for state in self.run.transfer.files:
            kept = list(state.record.kept)
            if kept:
                assert any(self._is(state, version) for version in self._versions(state))

    def _versions(self, state: FileState) -> list[int]:
        source, identity = self.sources[state.file.path], state.record.identity
        everyone = range(source.version + 1)
        return [one for one in everyone if identity is None or source.identity(one) == identity]

    def _is(self, state: FileState, version: int) -> bool:
        content, lies = self.sources[state.file.path].content(version), self._lies(state.record.part)
        sure = [part for start, end in state.record.kept for part in lies.gaps(start, end)]
        return all(self.run.on_disk(state, start, end) == content[start:end] for start, end in sure)

    @invariant()
    def nothing_that_was_kept_goes_but_for_a_reason(self) -> None:
        for state in self.run.transfer.files:
            path, record = state.file.path, state.record
            part, kept = self.before.get(path, (record.part, Ranges()))
            if record.part != part:
                assert path in self.unsteady or not kept.total
                self.lies[record.part] = Ranges()
            elif path not in self.excused and path not in self.unsteady:
                assert all(not list(record.kept.gaps(start, end)) for start, end in kept)
            self.before[path] = (record.part, record.kept.copy())
        self.excused.clear()

    @invariant()
    def what_is_verified_is_whole_and_lies_so_on_the_disk(self) -> None:
        for state in self.run.transfer.files:
            if state.digest.verified is not None:
                assert state.disk.part is not None
                there = state.disk.part.path.read_bytes()
                source = self.sources[state.file.path]
                assert state.digest.verified.sha256 == hashlib.sha256(there).hexdigest()
                assert state.digest.verified.bytes == len(there)
                assert state.digest.verified.pinned == source.tells.digest or not there  # nobody is asked for nothing
                assert any(there == source.content(version) for version in self._versions(state))

    @invariant()
    def only_a_digest_that_differs_twice_ends_it(self) -> None:
        assert self.run.transfer.error is None or (isinstance(self.run.transfer.error, DigestMismatch) and self.flips)

    # The end

    def _end_well(self) -> None:
        """From here on the source is honest and steady: every file must come to its end, by itself."""
        for _ in range(60):  # answers; a file has a few ranges, and is begun anew a few times
            if self.run.transfer.ended:
                self.stop(hashed=False)
            self.run.hash()
            if self.run.transfer.done:
                break
            if not self.run.fetchers:
                self.run.take()
            self.answer(0, Style.PART)
            self.bind(0)
            self.deliver(0, LONGEST)
        assert self.run.transfer.done
        self.what_is_verified_is_whole_and_lies_so_on_the_disk()
        self.what_is_kept_is_one_version_as_it_lies_on_the_disk()


TestPiecesInAnyOrder = Fetching.TestCase
TestPiecesInAnyOrder.settings = examples(50, stateful_step_count=40)


def transfer_of(sizes: tuple[int, ...]) -> Fetching:
    """A transfer over one connection, of a file that has a strong ETag and no size."""
    fetching = Fetching()
    fetching.connections, fetching.sources = 1, {"m.bin": Source("m.bin", Tells.ETAG, sizes, False)}
    files = (fetching.sources["m.bin"].file(),)
    fetching.artifact = Artifact("m@q", "m", "q", HubFormat.MLX, "m", False, files)
    fetching._open()
    return fetching


def test_a_file_that_is_replaced_by_an_empty_one_ends_as_the_empty_one():
    fetching = transfer_of((LONGEST, 0))
    fetching.fetch_on(count=1, styles=[Style.TOTAL_UNSAID], which=0)
    fetching.replace("m.bin")
    fetching.teardown()  # every file comes to its end, and is one version


def test_a_gap_in_a_file_of_unknown_size_is_fetched_without_the_kept_bytes_after_it():
    fetching = transfer_of((LONGEST,))
    fetching.fetch_on(count=2, styles=[Style.TOTAL_UNSAID], which=0)
    [state] = fetching.run.transfer.files
    state.record.kept.remove(0, 1)
    fetching.run.drop(fetching.run.fetchers[0])
    fetching.take()
    assert [(task.at, task.end) for task in state.tasks] == [(0, 1)]
    fetching.teardown()
