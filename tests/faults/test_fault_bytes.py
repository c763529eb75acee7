"""Bytes: flipped on the wire once or always, or on the disk before a crash; a pinned digest or size that is wrong."""

import re
from dataclasses import replace

import pytest
from lib.origin.content import Bytes
from support.disk_files import flip_byte
from support.fault_files import HALF, MIB, MODEL, OTHER, host_of, serve_model
from support.faults import CappedRange, FlipByte, Reset
from support.hub import commit_of
from support.origin import TrafficMeter
from support.run_fetch import (
    crash_after,
    one_file_artifact,
    part_path,
    pinned_artifact,
    quick,
    run_transfer,
    unpinned_artifact,
)

from flowhub_jobs.errors import DigestMismatch, SizeMismatch
from flowhub_jobs.pieces import resumable_sha256
from flowhub_jobs.transfer.options import Cancelled, CancelToken
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.values.artifacts import ArtifactFile

URL = "https://huggingface.co/org/model/resolve/main/m.gguf"


@pytest.fixture
def model(origin):
    return pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)


# Flipped on the wire --------------------------------------------------------------------------------------------------

FLIPPED = {"the first byte after the header": 200, "a byte in the middle": HALF, "the last byte": MODEL.size - 1}


@pytest.mark.parametrize("at", FLIPPED.values(), ids=FLIPPED)
def test_a_byte_that_is_flipped_on_the_wire_once_is_fetched_again(origin, downloader, at):
    downloader.assert_succeeds(serve_model(origin, True, FlipByte(at=at).covering(at).once()), MODEL)
    assert origin.sent("m.gguf") == 2 * MODEL.size, "only the digest of the whole file shows it, not the place"


def test_the_digest_of_nothing_ends_the_download_of_a_file_of_some_bytes_before_it_begins(origin, downloader):
    artifact = one_file_artifact(ArtifactFile("m.gguf", origin.serve("m.gguf", MODEL), None, Bytes(b"").sha256()))
    error = downloader.assert_fails(artifact, DigestMismatch, "m.gguf", "an empty file", MODEL.size)
    assert "read nothing" in error["hint"]
    assert len(origin.requests()) == 1


def test_a_host_whose_parts_make_a_wrong_file_is_asked_for_the_whole(origin, downloader):
    """A cache may have parts of two versions, but the whole file of one."""
    downloader.assert_succeeds(serve_model(origin, True, CappedRange(most=MIB), FlipByte(at=HALF).from_byte(1)), MODEL)
    assert [request.range for request in origin.requests()][-1] is None
    assert origin.sent("m.gguf") == 2 * MODEL.size


def test_a_long_file_of_wrong_parts_is_asked_for_by_one_range_that_can_be_resumed(origin, tmp_path, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.transfer.form_fallback.REPEATED_MAX", MIB)
    faults = [CappedRange(most=MIB).once(), FlipByte(at=HALF).nth(2), Reset(after=MIB).nth(3)]
    result = run_transfer(serve_model(origin, True, *faults), tmp_path)
    assert result.content() == MODEL.read()
    assert [request.range for request in origin.requests()][2:] == ["bytes=0-", f"bytes={MIB}-"]
    assert origin.sent("m.gguf") == 2 * MODEL.size


def test_a_recovery_is_reported(origin, tmp_path):
    result = run_transfer(serve_model(origin, True, FlipByte(at=HALF).once()), tmp_path)
    assert result.note_kinds == ["file_again"]
    assert "flowhub downloads it once more." in result.notes[0].text


def test_a_byte_that_is_always_flipped_ends_in_a_mismatch_after_two_fetches(origin, downloader):
    corrupted = bytearray(MODEL.read())
    corrupted[HALF] ^= 0xFF
    artifact = serve_model(origin, True, FlipByte(at=HALF))
    downloader.assert_fails(
        artifact, DigestMismatch, "m.gguf", host_of(origin), MODEL.sha256(), Bytes(bytes(corrupted)).sha256()
    )
    assert origin.sent("m.gguf") == 2 * MODEL.size


@pytest.mark.parametrize("lfs", [True, False], ids=["large", "small"])
def test_a_file_of_the_hub_that_always_comes_wrong_is_compared_with_the_hubs_digest(hub, downloader, lfs):
    """No catalog pins the file."""
    content = Bytes(b'{"model_type": "llama"}')
    hub.add("org/model", "config.json", content, lfs=lfs)
    hub.break_cdn(FlipByte(at=5))
    hub.break_front(
        FlipByte(at=5), path=f"/api/resolve-cache/models/org/model/{commit_of('org/model', 'main')}/config.json"
    )
    artifact = unpinned_artifact("https://huggingface.co/org/model/resolve/main/config.json", "config.json")
    words = content.sha256() if lfs else content.git_sha1()
    downloader.assert_fails(
        artifact, DigestMismatch, "config.json", "the Hub, which says", words, options=quick(hub_endpoint=hub.endpoint)
    )


# Flipped on the disk --------------------------------------------------------------------------------------------------

PLACES = {"the first piece": 5, "the second piece": MIB + 5, "the unfinished piece": HALF - 5}


@pytest.mark.parametrize("at", PLACES.values(), ids=PLACES)
def test_a_byte_that_changed_on_the_disk_in_a_crash_costs_its_piece_and_no_other(origin, model, tmp_path, at):
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    flip_byte(part_path(partial), at)
    traffic = TrafficMeter(origin)
    result = run_transfer(model, partial)
    piece = min((at // MIB + 1) * MIB, HALF) - at // MIB * MIB
    assert result.content() == MODEL.read()
    assert traffic.bytes == MODEL.size - HALF + piece
    assert result.note_kinds == ["piece_again"]
    assert f"m.gguf: bytes {at // MIB * MIB}-" in result.notes[0].text
    assert "are not what was received" in result.notes[0].text


def test_two_corrupt_pieces_cost_two(origin, model, tmp_path):
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    flip_byte(part_path(partial), 5)
    flip_byte(part_path(partial), 2 * MIB + 5)
    traffic = TrafficMeter(origin)
    result = run_transfer(model, partial)
    assert result.content() == MODEL.read()
    assert traffic.bytes == MODEL.size - HALF + MIB + 500_000


def test_an_unpinned_file_is_compared_with_the_bytes_received_before(origin, tmp_path):
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL))
    partial = crash_after(HALF, artifact, tmp_path / "p", origin)
    flip_byte(part_path(partial), 5)
    traffic = TrafficMeter(origin)
    assert run_transfer(artifact, partial).content() == MODEL.read()
    assert traffic.bytes == MODEL.size - HALF + MIB


def test_a_finished_file_that_changed_on_the_disk_before_its_installation_is_repaired(origin, tmp_path):
    """The catalog has no digest; the saved states of the digest in the journal identify the received bytes."""
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL))
    run_transfer(artifact, tmp_path)
    flip_byte(part_path(tmp_path), 3 * MIB)
    traffic = TrafficMeter(origin)
    result = run_transfer(artifact, tmp_path)
    assert result.content() == MODEL.read()
    assert result.note_kinds == ["piece_again"]
    assert traffic.bytes == MIB


def test_a_finished_file_of_the_hub_is_still_compared_with_the_hubs_digest(hub, tmp_path, monkeypatch):
    """Even if no byte is missing, and no state of the digest was saved."""
    monkeypatch.setattr(resumable_sha256, "_library", lambda: None)
    hub.add("org/model", "m.gguf", MODEL)
    artifact = unpinned_artifact(URL)
    run_transfer(artifact, tmp_path, options=quick(hub_endpoint=hub.endpoint))
    flip_byte(part_path(tmp_path), 3 * MIB)
    result = run_transfer(artifact, tmp_path, options=quick(hub_endpoint=hub.endpoint))
    assert result.content() == MODEL.read()
    assert result.fetched.files[0].pinned


def test_a_stop_does_not_wait_until_every_piece_was_checked_and_the_next_run_checks_them(origin, model, tmp_path):
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    flip_byte(part_path(partial), 5)
    cancel = CancelToken()
    cancel.stop("pause")
    with pytest.raises(Cancelled):
        run_transfer(model, partial, cancel=cancel)
    assert not journal.load(partial).clean
    result = run_transfer(model, partial)
    assert result.content() == MODEL.read()
    assert result.note_kinds == ["piece_again"]


def test_without_saved_digests_a_flipped_byte_costs_the_file_and_no_more(origin, model, tmp_path, monkeypatch):
    monkeypatch.setattr(resumable_sha256, "_library", lambda: None)
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    flip_byte(part_path(partial), 5)
    traffic = TrafficMeter(origin)
    assert run_transfer(model, partial).content() == MODEL.read()
    assert traffic.bytes == 2 * MODEL.size - HALF


# A pin that is wrong -------------------------------------------------------------------------------------------------


def test_a_pin_that_is_wrong_names_both_digests_and_whose_they_are(origin, downloader):
    url = origin.serve("m.gguf", MODEL)
    artifact = one_file_artifact(ArtifactFile("m.gguf", url, MODEL.size, OTHER.sha256()))
    error = downloader.assert_fails(
        artifact, DigestMismatch, f"the source {host_of(origin)} disagrees with the catalog"
    )
    assert re.search(
        rf"m\.gguf: .*the catalog, which pins sha256 {OTHER.sha256()}; what came has {MODEL.sha256()}", error["message"]
    )
    assert re.search("(`flowhub retry ([0-9]+|JOB)`|A new call) downloads it again", error["hint"])
    assert not error["retryable"]
    assert origin.sent("m.gguf") == 2 * MODEL.size


def test_a_git_sha1_that_is_wrong_names_both(origin, downloader):
    wrong, content = "ab" * 20, Bytes(b"{}\n")
    file = ArtifactFile("config.json", origin.serve("config.json", content), 3, None, wrong)
    downloader.assert_fails(one_file_artifact(file), DigestMismatch, "config.json", wrong, content.git_sha1())


def test_a_hub_whose_digest_contradicts_the_catalog_ends_it_before_the_file_is_asked_for(hub, downloader):
    hub.add("org/model", "m.gguf", MODEL)
    artifact = one_file_artifact(ArtifactFile("m.gguf", URL, MODEL.size, OTHER.sha256()))
    words = ["m.gguf", OTHER.sha256(), f"huggingface.co has {MODEL.sha256()}", "the source disagrees with the catalog"]
    downloader.assert_fails(artifact, DigestMismatch, *words, options=quick(hub_endpoint=hub.endpoint))
    assert hub.cdn.requests() == []


def test_a_hub_whose_size_contradicts_the_catalog_ends_it_before_the_file_is_asked_for(hub, downloader):
    hub.add("org/model", "m.gguf", MODEL)
    artifact = one_file_artifact(ArtifactFile("m.gguf", URL, 777, MODEL.sha256()))
    words = ["m.gguf", "says 777 bytes", f"the source huggingface.co has {MODEL.size} bytes"]
    downloader.assert_fails(artifact, SizeMismatch, *words, options=quick(hub_endpoint=hub.endpoint))
    assert hub.cdn.requests() == []


@pytest.mark.parametrize("by", [1, -1, 100 * MIB], ids=["one byte too many", "one too few", "far too many"])
def test_the_error_of_a_wrong_size_names_both_sizes(origin, downloader, by):
    url = origin.serve("m.gguf", MODEL)
    artifact = one_file_artifact(ArtifactFile("m.gguf", url, MODEL.size + by))
    downloader.assert_fails(
        artifact, SizeMismatch, "m.gguf", f"says {MODEL.size + by} bytes", f"{host_of(origin)} has {MODEL.size} bytes"
    )
    assert len(origin.requests()) == 1


@pytest.mark.parametrize(
    ("option", "whose"),
    [("q", "the catalog"), (None, "what was asked for")],
    ids=["a pin of the catalog", "a pin of an address"],
)
def test_the_error_of_a_mismatch_names_the_source_of_the_expected_value(origin, tmp_path, option, whose):
    url = origin.serve("m.gguf", MODEL)
    artifact = replace(one_file_artifact(ArtifactFile("m.gguf", url, MODEL.size, "0" * 64)), option=option)
    with pytest.raises(DigestMismatch, match=f"disagrees with {whose}, which pins"):
        run_transfer(artifact, tmp_path)
    longer = replace(one_file_artifact(ArtifactFile("m.gguf", url, MODEL.size + 1, "0" * 64)), option=option)
    with pytest.raises(SizeMismatch, match=f"m.gguf: {whose} says {MODEL.size + 1} bytes"):
        run_transfer(longer, tmp_path / "longer")
