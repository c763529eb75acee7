"""Ranges: ignored, shifted, too long, too short, of another total, unnamed, capped, in several parts, refused (416)."""

import pytest
from support.engine import Running, kept_in, run, stopped_after, unpinned
from support.fault_files import HALF, MIB, MODEL, host_of, sought
from support.faults import (
    CappedRange,
    Hold,
    IgnoreRange,
    LongRange,
    Multipart,
    NoContentRange,
    NoEtag,
    NoTotal,
    Reset,
    ShiftedRange,
    ShortRange,
    Status,
    WeakEtag,
    WrongTotal,
)
from support.models import gguf_pattern
from support.origin import Since

from flowhub_jobs.errors import SizeMismatch, WrongRange

# What may be believed ------------------------------------------------------------------------------------------------

LAWFUL = {
    "a range ignored on the first request": [IgnoreRange().once()],
    "a range always ignored": [IgnoreRange()],
    "a range capped by the server": [CappedRange(most=400_000)],
    "a range one byte too short": [ShortRange().once()],
    "every range one byte too short": [ShortRange()],
    "a total that nobody tells": [NoTotal()],
}


@pytest.mark.parametrize("faults", LAWFUL.values(), ids=LAWFUL)
def test_an_answer_that_is_less_or_more_than_was_asked_is_used_and_costs_nothing(origin, way, pin, faults):
    way.arrives_at_no_cost(sought(origin, pin, *faults), MODEL, origin)


VALIDATORS = {"with a strong ETag": [], "with a weak ETag": [WeakEtag()], "without an ETag": [NoEtag()]}


@pytest.mark.parametrize("validators", VALIDATORS.values(), ids=VALIDATORS)
def test_a_range_ignored_on_a_later_request_is_gone_on_with(origin, way, pin, validators):
    way.arrives(sought(origin, pin, *validators, Reset(after=HALF).once(), IgnoreRange().nth(2)), MODEL)
    assert origin.sent("m.gguf") == MODEL.size + HALF, "all of it came once more, in one answer"


def test_a_range_ignored_on_a_resume_is_gone_on_with(origin, tmp_path):
    artifact = sought(origin, True)
    partial = stopped_after(HALF, artifact, tmp_path, origin)
    origin.break_with(IgnoreRange(), path="/m.gguf")
    since = Since(origin)
    assert run(artifact, partial).content() == MODEL.read()
    assert since.bytes == MODEL.size


# What is not believed ------------------------------------------------------------------------------------------------

LIES = {
    "a range shifted to the back": ShiftedRange(),
    "a range shifted to the front": ShiftedRange(by=-1).from_byte(1),
    "a range too long": LongRange(by=1000),
    "another total": WrongTotal(),
    "a 206 without Content-Range": NoContentRange(),
    "a multipart/byteranges answer": Multipart(),
}


@pytest.mark.parametrize("fault", LIES.values(), ids=LIES)
def test_an_answer_that_is_not_what_was_asked_is_not_written(origin, way, fault):
    """The front is capped, so that there is a middle to be wrong about, too. What was not written came for nothing."""
    way.arrives(sought(origin, False, CappedRange(most=MIB).once(), fault.once()), MODEL)
    assert origin.sent("m.gguf") <= 2 * MODEL.size


ENDLESS_LIES = {
    "every range shifted": (ShiftedRange(), f"was asked for bytes 0-{MODEL.size - 1} and sent 1-"),
    "no Content-Range ever": (NoContentRange(), "without saying which (Content-Range: none)"),
    "every answer multipart/byteranges": (Multipart(), "with a multipart body"),
}


@pytest.mark.parametrize(("fault", "says"), ENDLESS_LIES.values(), ids=ENDLESS_LIES)
def test_a_host_that_never_answers_as_asked_is_given_up_after_ten_tries(origin, way, fault, says):
    way.fails(sought(origin, True, fault), WrongRange, f"m.gguf: {host_of(origin)} ", says)
    assert len(origin.requests()) == 10


@pytest.mark.parametrize("fault", LIES.values(), ids=LIES)
def test_nothing_is_kept_of_an_answer_that_was_not_asked(origin, tmp_path, fault):
    with pytest.raises((WrongRange, SizeMismatch)):
        run(sought(origin, True, CappedRange(most=MIB).once(), fault.from_byte(MIB), Status(416).covering(0)), tmp_path)
    assert kept_in(tmp_path) == 0


def test_every_range_too_long_ends_with_what_was_asked_and_what_came(origin, way):
    """Of a file of which nothing is known the first 16 MiB are asked."""
    large = gguf_pattern(17 * MIB)
    artifact = unpinned(origin.serve("m.gguf", large, faults=[LongRange(by=1000)]))
    way.fails(artifact, WrongRange, f"m.gguf: {host_of(origin)} was asked for bytes 0-16777215 and sent 0-16778215")
    assert len(origin.requests()) == 10


def test_another_total_than_the_catalogs_says_both_sizes(origin, way):
    error = way.fails(
        sought(origin, True, WrongTotal()), SizeMismatch, "m.gguf", host_of(origin), MODEL.size, MODEL.size + 1
    )
    assert not error["retryable"]
    assert len(origin.requests()) == 1


def test_another_total_in_every_answer_is_found_out_at_the_end(origin, way):
    """No catalog knows better: the byte that is not there is asked for, until it is clear that it will not come."""
    way.fails(sought(origin, False, WrongTotal()), WrongRange, "m.gguf", f"{host_of(origin)} sends it in parts")


def test_a_host_with_neither_versions_nor_whole_answers_is_given_up(origin, way):
    """Parts that nothing binds together are never put together, and not asked for without end."""
    parts = sought(origin, False, NoEtag(), CappedRange(most=MIB))
    way.fails(parts, WrongRange, "m.gguf", f"{host_of(origin)} sends it in parts")


# 416 -----------------------------------------------------------------------------------------------------------------


def test_a_416_without_a_size_is_tried_again(origin, way, pin):
    way.arrives_at_no_cost(sought(origin, pin, Status(416).once()), MODEL, origin)


def test_a_416_without_a_size_for_ever_is_given_up_after_ten_tries(origin, way):
    way.fails(sought(origin, True, Status(416)), WrongRange, f"m.gguf: {host_of(origin)} ", "ends before")
    assert len(origin.requests()) == 10


def test_a_416_that_contradicts_the_catalog_says_both_sizes(origin, way):
    artifact = sought(origin, True, Status(416, {"Content-Range": "bytes */777"}))
    way.fails(
        artifact, SizeMismatch, "m.gguf", f"the catalog says {MODEL.size} bytes", f"{host_of(origin)} has 777 bytes"
    )


def test_a_416_that_lies_about_a_file_that_goes_on_is_given_up(origin, way):
    artifact = sought(origin, True, Status(416, {"Content-Range": f"bytes */{MODEL.size}"}))
    way.fails(artifact, WrongRange, f"m.gguf: {host_of(origin)} says that it ends at byte {MODEL.size}, not 0")
    assert len(origin.requests()) == 10


def test_a_file_whose_total_nobody_tells_ends_where_the_source_says_416(origin, tmp_path):
    got = run(sought(origin, False, NoTotal(), CappedRange(most=MIB), NoTotal()), tmp_path)
    assert got.content() == MODEL.read()
    assert origin.begins() == [0, MIB, 2 * MIB, 3 * MIB, 4 * MIB, MODEL.size]
    assert origin.sent("m.gguf") == MODEL.size


def test_a_416_with_the_partial_complete_ends_it_with_nothing_fetched(origin, tmp_path):
    """All of it had come, but nobody had told the size: the 416 does."""
    artifact = sought(origin, False, NoTotal(), Hold().nth(2))
    with Running(artifact, tmp_path) as running:
        origin.wait_for(lambda: kept_in(tmp_path) == MODEL.size and len(origin.requests()) == 2)
        running.stop()
    origin.break_with(path="/m.gguf")
    since = Since(origin)
    got = run(artifact, tmp_path)
    assert got.content() == MODEL.read()
    assert since.bytes == 0
    assert [one.status for one in origin.requests()][2:] == [416]


def test_a_host_that_says_416_to_all_is_not_asked_where_the_partial_is_complete(origin, tmp_path):
    artifact = sought(origin, True)
    run(artifact, tmp_path)
    origin.break_with(Status(416), path="/m.gguf")
    assert run(artifact, tmp_path).content() == MODEL.read()
    assert len(origin.requests()) == 1
