"""Lengths: chunked, none, too long, too short."""

from dataclasses import replace

import pytest
from support.fault_files import HALF, MIB, MODEL, host_of, serve_model
from support.faults import (
    CappedRange,
    CustomChunks,
    EarlyClose,
    EndlessBody,
    Gzip,
    IgnoreRange,
    LoginPage,
    NoLength,
    NoTotal,
    RefusesRanges,
    Reset,
    WrongLength,
)
from support.range_faults import any_range
from support.run_fetch import one_file_artifact, pinned_artifact, quick, run_transfer, unpinned_artifact

from flowhub_jobs.errors import AnswerMalformed, ConnectionLost, SizeMismatch, WrongContent, WrongRange
from flowhub_jobs.values.artifacts import ArtifactFile

LENGTHLESS = {
    "chunked": [NoLength()],
    "no length, closed at the end": [NoLength(chunked=False)],
    "chunked, and reset in mid-body": [Reset(after=HALF).once(), NoLength()],
    "no length, and closed in mid-body": [EarlyClose(after=HALF).once(), NoLength(chunked=False)],
}


@pytest.mark.parametrize("faults", LENGTHLESS.values(), ids=LENGTHLESS)
def test_an_answer_without_a_length_is_taken_to_its_end_at_no_cost(origin, downloader, pin, faults):
    downloader.assert_succeeds_without_refetch(serve_model(origin, pin, *faults), MODEL, origin)


def test_the_whole_with_no_length_that_is_closed_early_is_fetched_to_the_size_that_the_catalog_knows(
    origin, downloader
):
    """Only the catalog shows that the answer is cut short."""
    cut = [EarlyClose(after=HALF).once(), IgnoreRange(), NoLength(chunked=False)]
    downloader.assert_succeeds(serve_model(origin, True, *cut), MODEL)
    assert origin.requests()[-1].range is None, "what answers a range without saying how much it is, is not taken"


FRAMED = {
    "sizes that end with a bare LF": CustomChunks(size_end=b"\n"),
    "bare LFs everywhere": CustomChunks(size_end=b"\n", data_end=b"\n", last=b"0\n\n"),
    "spaces after a size": CustomChunks(size_end=b"  \r\n"),
    "an extension": CustomChunks(size_end=b'; name="a;b"\r\n'),
    "trailers": CustomChunks(last=b'0\r\nETag: "another"\r\nX-Md5: 1\r\n\r\n'),
    "no empty line after the last, and a close": CustomChunks(last=b"0\r\n", keep_alive=False),
    "chunked, chunked": CustomChunks(headers={"Transfer-Encoding": "chunked, chunked"}),
    "identity, chunked": CustomChunks(headers={"Transfer-Encoding": "identity, chunked"}),
    "a length, too": CustomChunks(headers={"Transfer-Encoding": "chunked", "Content-Length": "12"}),
}


@pytest.mark.parametrize("fault", FRAMED.values(), ids=FRAMED)
def test_chunks_that_other_clients_read_are_read_at_no_cost(origin, downloader, pin, fault):
    downloader.assert_succeeds_without_refetch(serve_model(origin, pin, fault), MODEL, origin)


def test_chunks_whose_size_is_no_number_are_given_up_after_ten_tries(origin, downloader):
    broken = CustomChunks(size_end=b"xyz\r\n")
    downloader.assert_fails(
        serve_model(origin, True, broken), AnswerMalformed, f"m.gguf: {host_of(origin)} sent an answer that is not"
    )
    assert len(origin.requests()) == 10


UNRANGED = {"chunked": [IgnoreRange(), NoLength()], "closed": [IgnoreRange(), NoLength(chunked=False)]}


@pytest.mark.parametrize("faults", UNRANGED.values(), ids=UNRANGED)
def test_a_whole_answer_without_a_length_is_taken_to_its_end(origin, downloader, pin, faults):
    """Without another size, a short answer may be a part: the whole file is requested to be sure."""
    downloader.assert_succeeds(serve_model(origin, pin, *faults), MODEL)
    assert len(origin.requests()) == (1 if pin else 2)


EMPTY = {
    "416 with the size": [],
    "416 without a size": [RefusesRanges(416, any_range)],
    "200 and a length of zero": [IgnoreRange()],
    "200, closed at the end": [IgnoreRange(), NoLength(chunked=False)],
}


@pytest.mark.parametrize("faults", EMPTY.values(), ids=EMPTY)
def test_an_empty_file_arrives_with_each_form_of_its_size(origin, tmp_path, faults):
    url = origin.serve("notes.txt", b"", faults=faults)
    result = run_transfer(unpinned_artifact(url, "notes.txt"), tmp_path)
    assert result.content() == b""
    assert result.fetched.files[0].bytes == 0


LIES = {
    "a length too long": WrongLength(by=10),
    "a length too short": WrongLength(by=-10),
    "gzip": Gzip(),
}


@pytest.mark.parametrize("fault", LIES.values(), ids=LIES)
def test_an_answer_with_a_wrong_length_or_coding_is_not_written(origin, downloader, fault):
    """The first answer is capped, so that a later one can be wrong too."""
    downloader.assert_succeeds(serve_model(origin, False, CappedRange(most=MIB).once(), fault.once()), MODEL)
    assert origin.sent("m.gguf") <= 2 * MODEL.size


def test_a_short_page_in_the_place_of_a_range_does_not_make_the_file_shorter_than_what_came(origin, downloader):
    """Neither the catalog nor the first answer has the size."""
    faults = [CappedRange(most=MIB).once(), NoTotal().once(), LoginPage().from_byte(1).once()]
    url = origin.serve("m.gguf", MODEL, faults=faults)
    downloader.assert_succeeds(one_file_artifact(ArtifactFile("m.gguf", url, None, MODEL.sha256())), MODEL)


def test_a_page_for_each_later_range_is_answered_by_asking_for_the_whole(origin, downloader):
    faults = [CappedRange(most=MIB).once(), NoTotal().once(), LoginPage().from_byte(1)]
    url = origin.serve("m.gguf", MODEL, faults=faults)
    downloader.assert_succeeds(one_file_artifact(ArtifactFile("m.gguf", url, None, MODEL.sha256())), MODEL)


def test_a_size_below_the_received_bytes_in_every_answer_ends_with_both_numbers(origin, downloader):
    faults = [CappedRange(most=MIB).once(), NoTotal().once(), LoginPage(turn=lambda index: index > 1)]
    url = origin.serve("m.gguf", MODEL, faults=faults)
    artifact = one_file_artifact(ArtifactFile("m.gguf", url, None, MODEL.sha256()))
    downloader.assert_fails(
        artifact, WrongContent, f"m.gguf: {host_of(origin)} sends ", f" the whole file, and {MIB} were already received"
    )


def test_a_long_answer_that_is_shorter_than_what_came_is_no_end(origin, downloader):
    """Too long for an error page: another file, or another version without a validator."""
    long_page = LoginPage(size=2 * MIB, turn=lambda index: index > 1)
    faults = [CappedRange(most=3 * MIB).once(), NoTotal().once(), long_page]
    url = origin.serve("m.gguf", MODEL, faults=faults)
    artifact = one_file_artifact(ArtifactFile("m.gguf", url, None, MODEL.sha256()))
    numbers = f"{2 * MIB} bytes, but {3 * MIB} were already received"
    downloader.assert_fails(artifact, WrongRange, f"m.gguf: {host_of(origin)} states a size of ", numbers)


def test_an_answer_with_no_length_that_ends_before_what_came_is_no_end(origin, downloader):
    whole = [IgnoreRange(), NoLength(chunked=False)]
    url = origin.serve("m.gguf", MODEL, faults=[Reset(after=HALF).once(), EarlyClose(after=MIB).nth(2), *whole])
    downloader.assert_succeeds(unpinned_artifact(url), MODEL)


# During the wait before the next try the hasher reads the received bytes.
PATIENT = replace(quick(), patience=replace(quick().patience, base_s=0.2, delay_max_s=0.2))


def test_a_file_of_the_right_digest_is_whole_although_more_bytes_were_announced(origin, downloader):
    """As curl reports again and again: "transfer closed with 17 bytes remaining to read"."""
    url = origin.serve("m.gguf", MODEL, faults=[IgnoreRange(), WrongLength(by=17)])
    downloader.assert_succeeds(one_file_artifact(ArtifactFile("m.gguf", url, None, MODEL.sha256())), MODEL, PATIENT)


def test_an_answer_that_breaks_off_early_is_not_whole(origin, downloader):
    url = origin.serve("m.gguf", MODEL, faults=[IgnoreRange(), EarlyClose(after=HALF).first(3)])
    downloader.assert_succeeds(one_file_artifact(ArtifactFile("m.gguf", url, None, MODEL.sha256())), MODEL, PATIENT)


def test_a_host_that_cannot_resume_and_always_drops_the_body_ends_with_where_a_retry_begins(origin, downloader, pin):
    error = downloader.assert_fails(
        serve_model(origin, pin, IgnoreRange(), EarlyClose(after=HALF)), ConnectionLost, host_of(origin)
    )
    assert error["hint"].endswith(" starts at the first byte.")


@pytest.mark.parametrize("by", [10, -10], ids=["too long", "too short"])
def test_a_length_that_is_always_wrong_contradicts_the_catalog_when_the_whole_is_asked_for(origin, downloader, by):
    """The ranges contradict themselves; the length of the whole answer is what the source claims."""
    downloader.assert_fails(
        serve_model(origin, True, WrongLength(by=by)), SizeMismatch, "m.gguf", host_of(origin), MODEL.size + by
    )
    assert [request.range for request in origin.requests()][-1] is None


@pytest.mark.parametrize("by", [10, -10], ids=["too long", "too short"])
def test_a_whole_of_a_wrong_length_contradicts_the_catalog_with_both_numbers(origin, downloader, by):
    artifact = serve_model(origin, True, IgnoreRange(), WrongLength(by=by))
    downloader.assert_fails(
        artifact, SizeMismatch, f"m.gguf: the catalog says {MODEL.size} bytes", host_of(origin), MODEL.size + by
    )
    assert len(origin.requests()) == (1 if by > 0 else 2), "what is shorter than what was asked for may be a part"


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "closed at the end"])
def test_an_answer_that_continues_past_the_size_that_the_catalog_knows_is_not_written(origin, tmp_path, chunked):
    url = origin.serve("m.gguf", MODEL, faults=[EndlessBody(), NoLength(chunked=chunked)])
    with pytest.raises(WrongRange, match=rf"m\.gguf: the response continued past byte {MODEL.size}, "):
        run_transfer(pinned_artifact(url, MODEL), tmp_path)
    assert (tmp_path / "files" / "m.gguf").stat().st_size <= MODEL.size


def test_an_answer_that_continues_past_its_size_ends_the_job_with_no_file(origin, downloader):
    downloader.assert_fails(
        pinned_artifact(origin.serve("m.gguf", MODEL, faults=[EndlessBody()]), MODEL),
        WrongRange,
        "m.gguf",
        host_of(origin),
        MODEL.size,
    )


@pytest.mark.parametrize("ranged", [True, False], ids=["by a range's total", "by a whole answer's length"])
def test_a_size_that_the_source_contradicts_ends_it_with_both_numbers_even_where_the_digest_matches(
    origin, downloader, ranged
):
    url = origin.serve("m.gguf", MODEL, faults=[] if ranged else [IgnoreRange()])
    artifact = one_file_artifact(ArtifactFile("m.gguf", url, MODEL.size + 1, MODEL.sha256()))
    words = f"m.gguf: the catalog says {MODEL.size + 1} bytes, the source {host_of(origin)} has {MODEL.size} bytes."
    error = downloader.assert_fails(artifact, SizeMismatch, words)
    assert error["message"] == words
    assert len(origin.requests()) == (1 if ranged else 2)
