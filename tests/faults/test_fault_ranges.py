"""Ranges: ignored, shifted, too long, too short, with a wrong total, without Content-Range, capped, multipart, 416."""

import pytest
from support.fault_files import HALF, MIB, MODEL, host_of, serve_model
from support.faults import (
    AlwaysParts,
    CappedRange,
    CustomContentRange,
    DropsRange,
    FalseContentEncoding,
    Hold,
    IgnoreRange,
    LongRange,
    Multipart,
    NoContentRange,
    NoEtag,
    NoLength,
    NoTotal,
    PartAs200,
    RefusesRanges,
    Reset,
    SecondByteOnly,
    ShiftedRange,
    ShortRange,
    Status,
    WeakEtag,
    WrongTotal,
)
from support.models import gguf_pattern
from support.origin import TrafficMeter
from support.range_faults import any_range, begins_in_the_middle, ends_past_the_file, has_end, is_long
from support.run_fetch import (
    BackgroundRun,
    journaled_bytes,
    pinned_artifact,
    run_transfer,
    stop_after,
    unpinned_artifact,
)

from flowhub_jobs.errors import SizeMismatch, WrongRange

# What may be believed ------------------------------------------------------------------------------------------------

LAWFUL = {
    "a range capped by the server": [CappedRange(most=400_000)],
    "a range one byte too short": [ShortRange().once()],
    "every range one byte too short": [ShortRange()],
    "an unknown total": [NoTotal()],
    "every range one byte too long": [LongRange(by=1000)],
    "a range that begins a byte early": [ShiftedRange(by=-1).from_byte(1)],
    "status 200 for a part": [PartAs200()],
    "bytes=A-B/T": [CustomContentRange("bytes={a}-{b}/{t}")],
    "bytes: A-B/T": [CustomContentRange("bytes: {a}-{b}/{t}")],
    "A-B/T without a unit": [CustomContentRange("{a}-{b}/{t}")],
    "Bytes  A - B / T": [CustomContentRange("Bytes  {a} - {b} / {t}")],
    "bytes A-B without a total": [CustomContentRange("bytes {a}-{b}")],
    "bytes A-/T without an end": [CustomContentRange("bytes {a}-/{t}")],
    "Content-Range twice": [CustomContentRange("bytes {a}-{b}/{t}, bytes {a}-{b}/{t}")],
    "Content-Encoding: identity": [FalseContentEncoding("Identity")],
    "Content-Encoding: none": [FalseContentEncoding("none")],
    "Content-Encoding: binary": [FalseContentEncoding("binary")],
    "Content-Encoding: utf-8": [FalseContentEncoding("utf-8")],
    "Content-Encoding: identity, aws-chunked": [FalseContentEncoding("identity, aws-chunked")],
    "Content-Encoding without a value": [FalseContentEncoding("")],
}


@pytest.mark.parametrize("faults", LAWFUL.values(), ids=LAWFUL)
def test_an_answer_that_is_less_or_more_than_was_asked_is_used_and_costs_nothing(origin, downloader, pin, faults):
    downloader.assert_succeeds_without_refetch(serve_model(origin, pin, *faults), MODEL, origin)


IGNORED = {"on the first request": [IgnoreRange().once()], "always": [IgnoreRange()]}


@pytest.mark.parametrize("faults", IGNORED.values(), ids=IGNORED)
def test_a_range_ignored_is_answered_with_the_whole_file(origin, downloader, pin, faults):
    """A short 200 to a range may be a part: without another size, the whole file is requested to be sure."""
    downloader.assert_succeeds(serve_model(origin, pin, *faults), MODEL)
    assert len(origin.requests()) == (1 if pin else 2)


VALIDATORS = {"with a strong ETag": [], "with a weak ETag": [WeakEtag()], "without an ETag": [NoEtag()]}


@pytest.mark.parametrize("validators", VALIDATORS.values(), ids=VALIDATORS)
def test_a_transfer_whose_later_range_is_ignored_continues(origin, downloader, pin, validators):
    downloader.assert_succeeds(
        serve_model(origin, pin, *validators, Reset(after=HALF).once(), IgnoreRange().nth(2)), MODEL
    )
    if pin or validators:
        assert origin.sent("m.gguf") == MODEL.size + HALF, "all of it came once more, in one answer"
    else:
        assert origin.range_starts() == [0, HALF, HALF], (
            "the whole was the answer to If-Range, and left for the range alone"
        )
        assert [request.headers.get("if-range") for request in origin.requests()] == [None, MODEL.etag, None]


def test_a_resume_whose_range_is_ignored_continues(origin, tmp_path):
    artifact = serve_model(origin, True)
    partial = stop_after(HALF, artifact, tmp_path, origin)
    origin.break_with(IgnoreRange(), path="/m.gguf")
    traffic = TrafficMeter(origin)
    assert run_transfer(artifact, partial).content() == MODEL.read()
    assert traffic.bytes == MODEL.size


# A server that answers another form of range ------------------------------------------------------------------------

FORMS = {
    "a range that ends behind the file is 416": [RefusesRanges(416, ends_past_the_file)],
    "a range that ends behind the file is 416, with the size": [RefusesRanges(416, ends_past_the_file, size=True)],
    "a range that ends behind the file is 400": [RefusesRanges(400, ends_past_the_file)],
    "a range with an end is 400": [RefusesRanges(400, has_end)],
    "a range with an end is 416": [RefusesRanges(416, has_end)],
    "every range is 416": [RefusesRanges(416, any_range)],
    "every range is 400": [RefusesRanges(400, any_range)],
    "every range is 403": [RefusesRanges(403, any_range)],
    "every range is 405": [RefusesRanges(405, any_range)],
    "every range is 412": [RefusesRanges(412, any_range)],
    "every range is 501": [RefusesRanges(501, any_range)],
    "every range is 500": [RefusesRanges(500, any_range)],
    "every range is 503": [RefusesRanges(503, any_range)],
    "the connection is closed for every range": [DropsRange()],
    "a 206 without Content-Range": [NoContentRange()],
    "every range shifted": [ShiftedRange()],
    "every answer to a range is multipart/byteranges": [Multipart()],
    "a part that ends behind the end of the file": [CustomContentRange("bytes {a}-99999999/*"), NoLength()],
    "a Content-Range in another unit": [CustomContentRange("items {a}-{b}/{t}")],
    "a Content-Range of letters": [CustomContentRange("all of it")],
    "a Content-Range that is impossible": [CustomContentRange("bytes {b}-{a}/1")],
}


@pytest.mark.parametrize("faults", FORMS.values(), ids=FORMS)
def test_a_range_that_a_server_rejects_is_requested_in_another_form(origin, downloader, pin, faults):
    downloader.assert_succeeds(serve_model(origin, pin, *faults), MODEL)
    assert len(origin.requests()) <= 5


@pytest.mark.parametrize("faults", FORMS.values(), ids=FORMS)
def test_a_resume_is_asked_in_another_form_too(origin, tmp_path, pin, faults):
    artifact = serve_model(origin, pin)
    partial = stop_after(HALF, artifact, tmp_path, origin)
    origin.break_with(*faults, path="/m.gguf")
    assert run_transfer(artifact, partial).content() == MODEL.read()


LONG_REFUSED = {status: [RefusesRanges(status, is_long)] for status in (400, 403, 413, 416)}


@pytest.mark.parametrize("faults", LONG_REFUSED.values(), ids=LONG_REFUSED)
def test_a_host_that_refuses_a_long_range_is_asked_for_short_ones(origin, downloader, pin, faults):
    """aria2 #1627. No byte comes twice, and received bytes are kept."""
    downloader.assert_succeeds(serve_model(origin, pin, *faults, Reset(after=100_000).nth(5)), MODEL)
    assert all(request.range is not None for request in origin.requests())
    assert origin.sent("m.gguf") == MODEL.size


LARGE = gguf_pattern(17 * MIB)
CUT_FIRST = {
    "with status 200 and no Content-Range": [PartAs200(content_range=False)],
    "with status 200, no Content-Range and no length": [PartAs200(content_range=False), NoLength()],
    "with status 200, and less than was asked": [CappedRange(most=MIB), PartAs200(content_range=False)],
    "with status 200, less than was asked, and no length": [
        CappedRange(most=MIB),
        PartAs200(content_range=False),
        NoLength(),
    ],
    "with the part's length as the total": [CustomContentRange("bytes {a}-{b}/{n}")],
}


@pytest.mark.parametrize("validators", [[], [NoEtag()]], ids=["with an ETag", "without an ETag"])
@pytest.mark.parametrize("faults", CUT_FIRST.values(), ids=CUT_FIRST)
def test_a_part_that_is_called_the_whole_file_is_never_installed_as_that(origin, downloader, pin, faults, validators):
    url = origin.serve("m.gguf", LARGE, faults=[*faults, *validators])
    downloader.assert_succeeds(pinned_artifact(url, LARGE) if pin else unpinned_artifact(url), LARGE)


def test_a_file_that_is_just_as_long_as_the_first_range_costs_one_request_more(origin, downloader):
    even = gguf_pattern(16 * MIB)
    downloader.assert_succeeds(unpinned_artifact(origin.serve("m.gguf", even)), even)
    assert [request.range for request in origin.requests()] == ["bytes=0-16777215", None]


def test_a_range_refused_while_others_flow_is_one_connection_too_many(origin, downloader):
    """A status that could be about ranges is not, if another request of the same form succeeds."""
    large = gguf_pattern(40 * MIB)
    url = origin.serve("m.gguf", large, faults=[RefusesRanges(403, begins_in_the_middle).once()])
    downloader.assert_succeeds(pinned_artifact(url, large), large)
    assert all(request.range for request in origin.requests())


# What is not believed ------------------------------------------------------------------------------------------------

LIES = {
    "a range shifted to the back": ShiftedRange(),
    "another total": WrongTotal(),
    "a 206 without Content-Range": NoContentRange(),
    "a multipart/byteranges answer": Multipart(),
}


@pytest.mark.parametrize("fault", LIES.values(), ids=LIES)
def test_an_answer_that_is_not_what_was_asked_is_not_written(origin, downloader, fault):
    """The first answer is capped, so that a later one can be wrong too. Its unwritten bytes are wasted."""
    downloader.assert_succeeds(serve_model(origin, False, CappedRange(most=MIB).once(), fault.once()), MODEL)
    assert origin.sent("m.gguf") <= 2 * MODEL.size


def test_a_host_that_never_answers_as_asked_is_given_up_after_ten_tries_each_in_another_form(origin, downloader):
    """Even without a range, each answer claims to be another part."""
    downloader.assert_fails(
        serve_model(origin, True, SecondByteOnly()),
        WrongRange,
        "m.gguf: flowhub requested bytes ",
        f" and {host_of(origin)} sent ",
    )
    bounded = f"bytes=0-{MODEL.size - 1}"
    forms = [bounded, bounded, "bytes=0-", "bytes=0-1048575", None]
    assert [request.range for request in origin.requests()] == [*forms, *forms]


@pytest.mark.parametrize("fault", LIES.values(), ids=LIES)
def test_nothing_is_kept_of_an_answer_that_was_not_asked(origin, tmp_path, fault):
    with pytest.raises((WrongRange, SizeMismatch)):
        run_transfer(
            serve_model(origin, True, CappedRange(most=MIB).once(), fault.from_byte(MIB), Status(416).covering(0)),
            tmp_path,
        )
    assert journaled_bytes(tmp_path) == 0


def test_another_total_than_the_catalogs_says_both_sizes(origin, downloader):
    error = downloader.assert_fails(
        serve_model(origin, True, WrongTotal()), SizeMismatch, "m.gguf", host_of(origin), MODEL.size, MODEL.size + 1
    )
    assert not error["retryable"]
    assert len(origin.requests()) == 1


def test_another_total_in_every_answer_is_found_out_at_the_end(origin, downloader):
    """No catalog has the size: the missing byte is requested until a whole answer shows the size."""
    downloader.assert_succeeds(serve_model(origin, False, WrongTotal()), MODEL)


def test_a_host_with_neither_versions_nor_long_ranges_is_asked_for_the_whole(origin, downloader):
    """Parts without a common validator are never put together."""
    downloader.assert_succeeds(serve_model(origin, False, NoEtag(), CappedRange(most=MIB)), MODEL)
    assert origin.requests()[-1].range is None


def test_a_host_with_neither_versions_nor_whole_answers_is_given_up(origin, downloader):
    """Nor are they requested without end."""
    parts = serve_model(origin, False, NoEtag(), AlwaysParts(most=MIB))
    downloader.assert_fails(parts, WrongRange, "m.gguf", f"{host_of(origin)} sends it in parts")


# 416 -----------------------------------------------------------------------------------------------------------------


def test_a_416_without_a_size_is_tried_again(origin, downloader, pin):
    downloader.assert_succeeds_without_refetch(serve_model(origin, pin, Status(416).once()), MODEL, origin)


def test_a_416_without_a_size_for_ever_is_given_up_after_ten_tries(origin, downloader):
    downloader.assert_fails(
        serve_model(origin, True, Status(416)), WrongRange, f"m.gguf: {host_of(origin)} ", "ends before"
    )
    assert len(origin.requests()) == 10


def test_a_416_that_contradicts_the_catalog_says_both_sizes(origin, downloader):
    artifact = serve_model(origin, True, Status(416, {"Content-Range": "bytes */777"}))
    downloader.assert_fails(
        artifact, SizeMismatch, "m.gguf", f"the catalog says {MODEL.size} bytes", f"{host_of(origin)} has 777 bytes"
    )


def test_a_416_with_the_size_of_a_longer_file_is_given_up(origin, downloader):
    artifact = serve_model(origin, True, Status(416, {"Content-Range": f"bytes */{MODEL.size}"}))
    downloader.assert_fails(
        artifact, WrongRange, f"m.gguf: {host_of(origin)} answered 416 to ", f" stated a size of {MODEL.size} bytes"
    )
    assert len(origin.requests()) == 10


def test_a_file_of_unknown_total_ends_where_the_source_says_416(origin, tmp_path):
    result = run_transfer(serve_model(origin, False, NoTotal(), CappedRange(most=MIB), NoTotal()), tmp_path)
    assert result.content() == MODEL.read()
    assert origin.range_starts() == [0, MIB, 2 * MIB, 3 * MIB, 4 * MIB, MODEL.size]
    assert origin.sent("m.gguf") == MODEL.size


def test_a_416_with_the_partial_complete_ends_it_with_nothing_fetched(origin, tmp_path):
    """All bytes had come, but no answer had the size: the 416 has it."""
    artifact = serve_model(origin, False, NoTotal(), Hold().nth(2))
    with BackgroundRun(artifact, tmp_path) as running:
        origin.wait_for(lambda: journaled_bytes(tmp_path) == MODEL.size and len(origin.requests()) == 2)
        running.stop()
    origin.break_with(path="/m.gguf")
    traffic = TrafficMeter(origin)
    result = run_transfer(artifact, tmp_path)
    assert result.content() == MODEL.read()
    assert traffic.bytes == 0
    assert [one.status for one in origin.requests()][2:] == [416]


def test_a_host_that_says_416_to_all_is_not_asked_where_the_partial_is_complete(origin, tmp_path):
    artifact = serve_model(origin, True)
    run_transfer(artifact, tmp_path)
    origin.break_with(Status(416), path="/m.gguf")
    assert run_transfer(artifact, tmp_path).content() == MODEL.read()
    assert len(origin.requests()) == 1
