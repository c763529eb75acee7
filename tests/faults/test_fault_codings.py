"""Content codings: gzip and deflate although identity was requested, cut short, damaged, endless; brotli."""

from dataclasses import replace

import pytest
from lib.origin.content import Bytes
from support.fault_files import MIB, MODEL, host_of, serve_model
from support.faults import (
    CappedRange,
    EarlyClose,
    FalseContentEncoding,
    FlipByte,
    Gzip,
    IgnoreRange,
    LoginPage,
    NoLength,
    Status,
    UnlessAccepted,
    WeakEtag,
)
from support.models import gguf_pattern
from support.run_fetch import (
    folder_artifact,
    journaled_bytes,
    one_file_artifact,
    quick,
    run_transfer,
    unpinned_artifact,
)

from flowhub_jobs.errors import SizeMismatch, WrongContent, WrongRange
from flowhub_jobs.values.artifacts import ArtifactFile

NOTES = Bytes(b"plain text, line by line\n" * 40_000)
CONFIG = Bytes(b'{"hidden_size": 4096, "layers": 32}\n' * 50)
ENDS = [Gzip(), NoLength(chunked=False)]  # only the coding shows where the body ends

CODED = {
    "gzip": [Gzip(level=9)],
    "x-gzip": [Gzip("x-gzip")],
    "deflate": [Gzip("deflate", level=9)],
    "gzip for every whole answer": [IgnoreRange(), Gzip(level=9)],
    "gzip in chunks": [IgnoreRange(), Gzip(level=9), NoLength()],
    "gzip, closed at the end": [IgnoreRange(), Gzip(level=9), NoLength(chunked=False)],
    "gzip with a weak ETag": [IgnoreRange(), Gzip(level=9), WeakEtag()],
    "gzip, and later in mid-file": [CappedRange(most=MIB).once(), Gzip().from_byte(1), Gzip().nth(3)],
}


@pytest.mark.parametrize("faults", CODED.values(), ids=CODED)
def test_what_is_compressed_unasked_is_asked_for_whole_and_decoded(origin, downloader, pin, faults):
    downloader.assert_succeeds(serve_model(origin, pin, *faults), MODEL)


def test_a_compressed_file_costs_one_request_more(origin, tmp_path, pin):
    assert run_transfer(serve_model(origin, pin, Gzip()), tmp_path).content() == MODEL.read()
    assert [request.range is None for request in origin.requests()] == [False, True]


def test_a_file_of_which_nothing_is_known_is_decoded(origin, downloader):
    url = origin.serve("notes.txt", NOTES, faults=[Gzip(level=9), NoLength(), WeakEtag()])
    downloader.assert_succeeds(unpinned_artifact(url, "notes.txt"), NOTES)


def test_a_file_of_which_the_size_alone_is_known_is_decoded(origin, downloader):
    url = origin.serve("notes.txt", NOTES, faults=[Gzip(level=9), WeakEtag()])
    downloader.assert_succeeds(one_file_artifact(ArtifactFile("notes.txt", url, NOTES.size)), NOTES)


def test_what_is_fetched_is_counted_as_it_is_kept(origin, tmp_path):
    url = origin.serve("notes.txt", NOTES, faults=[Gzip(level=9)])
    assert run_transfer(unpinned_artifact(url, "notes.txt"), tmp_path).fetched.bytes_fetched == NOTES.size


@pytest.mark.parametrize("size", [CONFIG.size, None], ids=["with its size", "without its size"])
def test_a_small_file_of_a_folder_is_decoded_and_compared_with_its_git_sha1(origin, downloader, size):
    url = origin.serve("config.json", CONFIG, faults=[Gzip(level=9), WeakEtag()])
    config = ArtifactFile("config.json", url, size, None, CONFIG.git_sha1())
    weights = ArtifactFile("m.gguf", origin.serve("m.gguf", MODEL), MODEL.size, MODEL.sha256())
    folder = replace(folder_artifact({}), files=(config, weights))
    outcome = downloader.fetch(folder)
    assert outcome.error is None


def test_a_small_file_of_the_hub_is_decoded_and_compared_with_its_git_sha1(hub, tmp_path):
    hub.add("org/model", "config.json", CONFIG, lfs=False)
    hub.break_front(Gzip(level=9, where=lambda span: span[1] > 1000))
    url = "https://huggingface.co/org/model/resolve/main/config.json"
    result = run_transfer(unpinned_artifact(url, "config.json"), tmp_path, options=quick(hub_endpoint=hub.endpoint))
    assert result.content() == CONFIG.read()
    assert result.progress[-1].files[0].identity == f"git:{CONFIG.git_sha1()}"


# Stored compressed ---------------------------------------------------------------------------------------------------

PACKED = Bytes(b"\x1f\x8b\x08" + MODEL.read(0, 100_000))


def test_a_stored_gz_that_is_called_gzip_stays_as_it_is_stored(origin, downloader):
    url = origin.serve("notes.txt.gz", PACKED, faults=[FalseContentEncoding("gzip")])
    downloader.assert_succeeds(unpinned_artifact(url, "notes.txt.gz"), PACKED)


def test_a_file_that_is_stored_compressed_stays_so_where_its_size_says_so(origin, downloader):
    url = origin.serve("vocab.bin", PACKED, faults=[FalseContentEncoding("gzip")])
    downloader.assert_succeeds(one_file_artifact(ArtifactFile("vocab.bin", url, PACKED.size, PACKED.sha256())), PACKED)


@pytest.mark.parametrize("faults", [[], [IgnoreRange()]], ids=["with ranges", "without ranges"])
def test_an_empty_file_that_is_called_gzip_is_empty(origin, tmp_path, faults):
    url = origin.serve("notes.txt", b"", faults=[*faults, FalseContentEncoding("gzip")])
    assert run_transfer(unpinned_artifact(url, "notes.txt"), tmp_path).content() == b""


# Cut short, damaged, endless -----------------------------------------------------------------------------------------

CUT = {"in the middle": 2 * MIB, "in the checksum": MODEL.size + 400}


@pytest.mark.parametrize("after", CUT.values(), ids=CUT)
def test_a_compressed_body_that_ends_early_is_no_end_of_the_file(origin, downloader, pin, after):
    downloader.assert_succeeds(serve_model(origin, pin, *ENDS, EarlyClose(after=after).nth(2)), MODEL)


def test_a_resumed_download_takes_a_compressed_answer_from_where_it_was(origin, tmp_path):
    url = origin.serve("m.gguf", MODEL, faults=[CappedRange(most=2 * MIB), Status(503, {"Retry-After": "60"}).nth(2)])
    artifact = one_file_artifact(ArtifactFile("m.gguf", url, MODEL.size, MODEL.sha256()))
    with pytest.raises(Exception, match="answers 503"):
        run_transfer(artifact, tmp_path)
    assert journaled_bytes(tmp_path) == 2 * MIB
    origin.break_with(Gzip(), path="/m.gguf")
    result = run_transfer(artifact, tmp_path)
    assert result.content() == MODEL.read()
    assert result.fetched.bytes_fetched == MODEL.size, "kept bytes are not written again"


@pytest.mark.parametrize("at", [3 * MIB, MODEL.size + 393], ids=["in the data", "in the checksum"])
def test_nothing_is_kept_of_a_compressed_body_that_proves_damaged(origin, downloader, pin, at):
    """An ETag binds the next answer to it, and no digest would detect the damage."""
    downloader.assert_succeeds(serve_model(origin, pin, Gzip(), FlipByte(at=at).nth(2)), MODEL)


def test_what_is_no_gzip_is_given_up_after_ten_tries(origin, downloader):
    url = origin.serve("notes.txt", NOTES, faults=[IgnoreRange(), FalseContentEncoding("gzip")])
    words = f"notes.txt: {host_of(origin)} sent damaged gzip"
    downloader.assert_fails(unpinned_artifact(url, "notes.txt"), WrongRange, words)


BOMB = Bytes(bytes(70 << 20))


def test_a_compressed_body_that_expands_without_measure_is_refused(origin, downloader):
    url = origin.serve("notes.txt", BOMB, faults=[Gzip(level=9)])
    words, options = ["notes.txt", host_of(origin), "in gzip"], quick(faults_max=2)  # expanding it takes a second
    error = downloader.assert_fails(unpinned_artifact(url, "notes.txt"), WrongContent, *words, options=options)
    assert "sizeBytes" in error["hint"]
    assert 0 < origin.sent("notes.txt") < MIB


@pytest.mark.parametrize("size", [MIB, MIB - 1], ids=["at the end of a buffer", "within a buffer"])
def test_a_compressed_body_that_continues_past_the_size_of_the_file_is_not_written(origin, tmp_path, size):
    url = origin.serve("notes.txt", Bytes(bytes(8 * MIB)), faults=[IgnoreRange(), Gzip(level=9)])
    with pytest.raises(WrongRange, match=f"more in gzip than the file's {size} bytes"):
        run_transfer(one_file_artifact(ArtifactFile("notes.txt", url, size)), tmp_path)
    assert journaled_bytes(tmp_path) <= size


def test_a_compressed_file_that_is_shorter_than_the_catalog_says_ends_it_with_both_numbers(origin, downloader):
    url = origin.serve("notes.txt", NOTES, faults=[Gzip(level=9)])
    artifact = one_file_artifact(ArtifactFile("notes.txt", url, NOTES.size + 1, NOTES.sha256()))
    downloader.assert_fails(
        artifact, SizeMismatch, "notes.txt", host_of(origin), NOTES.size + 1, f"has {NOTES.size} bytes"
    )


def test_a_compressed_log_in_page_is_refused_at_its_first_bytes(origin, downloader, pin):
    downloader.assert_fails(
        serve_model(origin, pin, LoginPage(), Gzip()), WrongContent, "m.gguf: expected gguf", "a web page"
    )


# What is not decoded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["br", "zstd"], ids=["brotli", "zstd"])
def test_what_cannot_be_decoded_is_given_up_after_ten_tries(origin, downloader, coding):
    words = f"answered in {coding}, although flowhub requested plain bytes"
    downloader.assert_fails(serve_model(origin, True, Gzip(coding)), WrongRange, f"m.gguf: {host_of(origin)} ", words)
    assert len(origin.requests()) == 10


ONLY_PLAIN = "identity;q=1, *;q=0"
OTHER_CODINGS = {
    "brotli unless all codings are excluded": UnlessAccepted(ONLY_PLAIN, Gzip("br")),
    "zstd unless all codings are excluded": UnlessAccepted(ONLY_PLAIN, Gzip("zstd")),
    "406 to what excludes nothing": UnlessAccepted(ONLY_PLAIN, Status(406)),
    "406 unless a coding is accepted": UnlessAccepted("gzip, deflate", Status(406)),
}


@pytest.mark.parametrize("fault", OTHER_CODINGS.values(), ids=OTHER_CODINGS)
def test_a_source_that_sends_no_plain_bytes_is_asked_with_other_codings(origin, downloader, pin, fault):
    downloader.assert_succeeds(serve_model(origin, pin, fault), MODEL)


def test_a_source_that_sends_gzip_to_those_who_accept_it_is_decoded(origin, tmp_path):
    faults = [Gzip(level=9), UnlessAccepted("gzip, deflate", Status(406))]
    assert run_transfer(serve_model(origin, True, *faults), tmp_path).content() == MODEL.read()


def test_the_body_of_what_cannot_be_decoded_is_not_read(origin, tmp_path):
    """The system receives a few megabytes before the connection is closed."""
    large = gguf_pattern(256 * MIB)
    url = origin.serve("m.gguf", large, faults=[IgnoreRange(), FalseContentEncoding("br")])
    with pytest.raises(WrongRange, match="answered in br"):
        run_transfer(unpinned_artifact(url), tmp_path)
    assert origin.sent("m.gguf") < large.size
