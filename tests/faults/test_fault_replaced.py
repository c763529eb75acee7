"""The file behind the address is replaced between two requests: same size or another, strong, weak or no ETag."""

import pytest
from support.fault_files import HALF, MIB, MODEL, OTHER, SHORTER, serve_model
from support.faults import (
    ChangeEtag,
    EarlyClose,
    Hold,
    IgnoreRange,
    NoEtag,
    NoLength,
    RejectsIfRange,
    Reset,
    UnquotedEtag,
    WeakEtag,
)
from support.models import gguf_pattern
from support.origin import TrafficMeter
from support.run_fetch import (
    BackgroundRun,
    crash_after,
    hold_after,
    journaled_bytes,
    one_file_artifact,
    part_path,
    pinned_artifact,
    quick,
    run_transfer,
    stop_after,
    unpinned_artifact,
)

from flowhub_jobs.errors import DigestMismatch, SizeMismatch
from flowhub_jobs.values.artifacts import ArtifactFile

VALIDATORS = {"a strong ETag": [], "a weak ETag": [WeakEtag()], "no ETag": [NoEtag()]}
LONG_AGO, LATER = "Mon, 23 Nov 2015 10:00:00 GMT", "Tue, 24 Nov 2015 10:00:00 GMT"
NEW = {"same size": OTHER, "other size": SHORTER}

# Without a pin: the new version is fetched ----------------------------------------------------------------------------


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
@pytest.mark.parametrize("faults", VALIDATORS.values(), ids=VALIDATORS)
@pytest.mark.parametrize("end", [stop_after, crash_after], ids=["stopped", "crashed"])
def test_an_unpinned_file_that_was_replaced_between_two_runs_is_the_new_one(origin, tmp_path, new, faults, end):
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL, faults=faults))
    partial = end(HALF, artifact, tmp_path / "p", origin, faults=faults)
    origin.serve("m.gguf", new, faults=faults)
    assert run_transfer(artifact, partial).content() == new.read()


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
@pytest.mark.parametrize("faults", VALIDATORS.values(), ids=VALIDATORS)
def test_an_unpinned_file_that_is_replaced_between_two_requests_is_the_new_one(origin, tmp_path, new, faults):
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL, faults=faults))
    origin.break_with(*faults, Hold(after=HALF), path="/m.gguf")
    with BackgroundRun(artifact, tmp_path) as running:
        origin.wait_for(lambda: journaled_bytes(tmp_path) == HALF)
        origin.serve("m.gguf", new, faults=faults)
        origin.drop_connections()
        result = running.result()
    assert result.content() == new.read()


def test_a_file_that_changes_its_size_and_keeps_its_etag_is_another_file(origin, tmp_path):
    """As on a server that makes the ETag from the name alone."""
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL, etag='"same"'))
    partial = stop_after(HALF, artifact, tmp_path, origin)
    origin.serve("m.gguf", SHORTER, etag='"same"')
    assert run_transfer(artifact, partial).content() == SHORTER.read()


def test_a_strong_etag_is_asked_for_and_what_is_not_replaced_continues(origin, tmp_path):
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL))
    partial = crash_after(HALF, artifact, tmp_path / "p", origin)
    traffic = TrafficMeter(origin)
    assert run_transfer(artifact, partial).content() == MODEL.read()
    assert traffic.bytes == MODEL.size - HALF
    assert origin.requests("m.gguf")[-1].headers["if-range"] == MODEL.etag


def test_a_weak_etag_is_never_asked_for(origin, tmp_path):
    run_transfer(serve_model(origin, False, WeakEtag(), Reset(after=HALF).once()), tmp_path)
    assert len(origin.requests()) > 1
    assert not any("if-range" in request.headers for request in origin.requests())


def test_a_file_of_the_hub_that_was_replaced_between_two_runs_is_the_new_one(hub, tmp_path):
    hub.add("org/model", "m.gguf", MODEL)
    artifact = unpinned_artifact("https://huggingface.co/org/model/resolve/main/m.gguf")
    hub.break_cdn(Hold(after=HALF))
    with BackgroundRun(artifact, tmp_path, options=quick(hub_endpoint=hub.endpoint)) as running:
        hub.cdn.wait_for(lambda: journaled_bytes(tmp_path) == HALF)
        running.stop()
    hub.break_cdn()
    hub.add("org/model", "m.gguf", OTHER)
    assert run_transfer(artifact, tmp_path, options=quick(hub_endpoint=hub.endpoint)).content() == OTHER.read()


# Last-Modified and If-Range -------------------------------------------------------------------------------------------

NO_ETAG = {"no ETag": NoEtag(), "a weak ETag": WeakEtag()}


@pytest.mark.parametrize("fault", NO_ETAG.values(), ids=NO_ETAG)
@pytest.mark.parametrize("end", [stop_after, crash_after], ids=["stopped", "crashed"])
def test_a_last_modified_identifies_a_file_without_a_strong_etag_across_runs(origin, tmp_path, fault, end):
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL, headers={"Last-Modified": LONG_AGO}, faults=[fault]))
    partial = end(HALF, artifact, tmp_path / "p", origin, faults=[fault])
    origin.break_with(fault, path="/m.gguf")
    traffic = TrafficMeter(origin)
    result = run_transfer(artifact, partial)
    assert result.content() == MODEL.read()
    assert traffic.bytes == MODEL.size - HALF
    assert origin.requests()[-1].headers.get("if-range") == (LONG_AGO if isinstance(fault, NoEtag) else None)


def test_a_weak_etag_that_two_versions_share_does_not_mix_them(origin, tmp_path):
    """Two versions with it are equal in meaning, not byte by byte (RFC 9110, section 8.8.1)."""
    same = {"ETag": 'W/"same"'}
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL, headers=same))
    partial = stop_after(HALF, artifact, tmp_path, origin)
    origin.serve("m.gguf", OTHER, headers=same)
    assert run_transfer(artifact, partial).content() == OTHER.read()


@pytest.mark.parametrize("end", [stop_after, crash_after], ids=["stopped", "crashed"])
def test_an_etag_without_its_quotes_identifies_a_file_across_runs_and_is_not_sent_back(origin, tmp_path, end):
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL, faults=[UnquotedEtag()]))
    partial = end(HALF, artifact, tmp_path / "p", origin, faults=[UnquotedEtag()])
    origin.break_with(UnquotedEtag(), path="/m.gguf")
    traffic = TrafficMeter(origin)
    assert run_transfer(artifact, partial).content() == MODEL.read()
    assert traffic.bytes == MODEL.size - HALF
    assert origin.requests()[-1].headers.get("if-range") is None


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
def test_another_last_modified_is_another_file(origin, tmp_path, new):
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL, headers={"Last-Modified": LONG_AGO}, faults=[NoEtag()]))
    partial = stop_after(HALF, artifact, tmp_path, origin, faults=[NoEtag()])
    origin.serve("m.gguf", new, headers={"Last-Modified": LATER}, faults=[NoEtag()])
    assert run_transfer(artifact, partial).content() == new.read()


def test_a_last_modified_of_this_second_binds_nothing_together(origin, tmp_path):
    """The file may be written again within this second."""
    now = {"Last-Modified": LONG_AGO, "Date": LONG_AGO}
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL, headers=now, faults=[NoEtag()]))
    partial = stop_after(HALF, artifact, tmp_path, origin, faults=[NoEtag()])
    origin.serve("m.gguf", OTHER, headers=now, faults=[NoEtag()])
    assert run_transfer(artifact, partial).content() == OTHER.read()


BOUND_BY = {"a strong ETag": [], "a Last-Modified": [NoEtag()]}


@pytest.mark.parametrize("code", [200, 206, 304, 400, 403, 412, 416])
@pytest.mark.parametrize("faults", BOUND_BY.values(), ids=BOUND_BY)
def test_a_source_that_rejects_if_range_costs_no_kept_byte(origin, tmp_path, faults, code):
    faults = [*faults, RejectsIfRange(code)]
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL, headers={"Last-Modified": LONG_AGO}, faults=faults))
    partial = stop_after(HALF, artifact, tmp_path, origin, faults=faults)
    origin.break_with(*faults, path="/m.gguf")
    traffic = TrafficMeter(origin)
    result = run_transfer(artifact, partial)
    assert result.content() == MODEL.read()
    assert result.fetched.bytes_fetched == MODEL.size, "what the answer to If-Range brought is not read"
    assert origin.range_starts()[1:] == [HALF, HALF]
    assert traffic.bytes >= MODEL.size - HALF


def test_a_file_that_was_replaced_is_noticed_without_if_range_too(origin, tmp_path):
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL))
    partial = stop_after(HALF, artifact, tmp_path, origin)
    origin.serve("m.gguf", OTHER, faults=[RejectsIfRange(412)])
    assert run_transfer(artifact, partial).content() == OTHER.read()


LARGE = gguf_pattern(65 * MIB)
ONE_GO = {
    "no ETag and no Last-Modified": ([NoEtag()], "names no version of the file"),
    "no ranges": ([IgnoreRange()], "sends the whole file or nothing"),
    "no ranges and no length": ([IgnoreRange(), NoLength()], "sends the whole file or nothing"),
}


@pytest.mark.parametrize(("faults", "words"), ONE_GO.values(), ids=ONE_GO)
def test_a_large_file_that_cannot_be_resumed_has_a_note(origin, tmp_path, faults, words):
    result = run_transfer(unpinned_artifact(origin.serve("m.gguf", LARGE, faults=faults)), tmp_path)
    [text] = [note.text for note in result.notes if note.kind == "no_resume"]
    assert words in text
    assert "starts again at the first byte" in text


@pytest.mark.parametrize("pin", [True, False])
def test_a_large_file_that_can_be_resumed_has_no_note(origin, tmp_path, pin):
    url = origin.serve("m.gguf", LARGE)
    assert (
        "no_resume"
        not in run_transfer(pinned_artifact(url, LARGE) if pin else unpinned_artifact(url), tmp_path).note_kinds
    )


# A catalog pins it: what it pins, or an error ------------------------------------------------------------------------


@pytest.mark.parametrize("faults", VALIDATORS.values(), ids=VALIDATORS)
def test_a_pinned_file_that_was_replaced_by_one_of_its_size_is_never_taken(origin, tmp_path, faults):
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)
    partial = stop_after(HALF, artifact, tmp_path, origin)
    origin.serve("m.gguf", OTHER, faults=faults)
    with pytest.raises(DigestMismatch) as raised:
        run_transfer(artifact, partial)
    assert MODEL.sha256() in raised.value.message
    assert OTHER.sha256() in raised.value.message


@pytest.mark.parametrize("faults", VALIDATORS.values(), ids=VALIDATORS)
def test_a_pinned_file_that_was_replaced_by_one_of_another_size_says_both_sizes(origin, tmp_path, faults):
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)
    partial = stop_after(HALF, artifact, tmp_path, origin)
    origin.serve("m.gguf", SHORTER, faults=faults)
    with pytest.raises(SizeMismatch, match=f"{MODEL.size} bytes.*{SHORTER.size} bytes"):
        run_transfer(artifact, partial)


@pytest.mark.parametrize(("new", "error"), [(OTHER, DigestMismatch), (SHORTER, SizeMismatch)], ids=NEW)
@pytest.mark.parametrize("faults", VALIDATORS.values(), ids=VALIDATORS)
def test_a_pinned_file_that_is_replaced_between_two_requests_is_never_taken(origin, tmp_path, new, error, faults):
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)
    with hold_after(HALF, artifact, tmp_path, origin) as running:
        origin.serve("m.gguf", new, faults=faults)
        origin.drop_connections()
        with pytest.raises(error):
            running.result()


def test_a_pinned_file_that_is_now_shorter_than_what_is_kept_says_both_sizes(origin, tmp_path):
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)
    partial = stop_after(HALF, artifact, tmp_path, origin)
    small = gguf_pattern(MIB)
    origin.serve("m.gguf", small)
    with pytest.raises(SizeMismatch, match=f"{MODEL.size} bytes.*{small.size} bytes"):
        run_transfer(artifact, partial)


def test_a_pinned_size_with_a_replaced_file_of_that_size_is_the_new_one(origin, tmp_path):
    artifact = one_file_artifact(ArtifactFile("m.gguf", origin.serve("m.gguf", MODEL), MODEL.size))
    partial = crash_after(HALF, artifact, tmp_path / "p", origin)
    origin.serve("m.gguf", OTHER)
    assert run_transfer(artifact, partial).content() == OTHER.read()


def test_a_catalog_that_pins_the_new_version_gets_the_new_version(origin, tmp_path):
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)
    partial = stop_after(HALF, artifact, tmp_path, origin)
    artifact, traffic = pinned_artifact(origin.serve("m.gguf", OTHER), OTHER), TrafficMeter(origin)
    result = run_transfer(artifact, partial)
    assert result.content() == OTHER.read()
    assert traffic.bytes == OTHER.size
    assert result.notes == [], "it was known beforehand"


def test_a_pinned_file_continues_from_another_address(origin, tmp_path):
    """The digest identifies the bytes: any mirror may continue."""
    partial = stop_after(HALF, pinned_artifact(origin.serve("m.gguf", MODEL), MODEL), tmp_path, origin)
    mirror = pinned_artifact(origin.serve("mirror/other-name.gguf", MODEL, etag='"mirror"'), MODEL)
    assert run_transfer(mirror, partial).content() == MODEL.read()
    assert origin.sent("mirror/other-name.gguf") == MODEL.size - HALF


def test_starting_over_makes_a_new_file(origin, tmp_path):
    """A late writer of the old version has no file that is read."""
    partial = stop_after(HALF, pinned_artifact(origin.serve("m.gguf", MODEL), MODEL), tmp_path, origin)
    changed = pinned_artifact(origin.serve("m.gguf", OTHER), OTHER)
    with part_path(partial).open("r+b") as late:
        result = run_transfer(changed, partial)
        late.write(b"late" * 1000)
        late.flush()
        assert result.content() == OTHER.read()


# ETags that say what is not so ---------------------------------------------------------------------------------------

BALANCED = [ChangeEtag(f'"{number}"').nth(number) for number in range(1, 9)]


@pytest.mark.parametrize("changing", [[], BALANCED], ids=["one ETag for all", "another ETag for each answer"])
def test_an_etag_that_changes_while_the_file_does_not_costs_a_few_new_beginnings(origin, downloader, changing):
    """Several servers behind one load balancer: each answer has the ETag of its server."""
    downloader.assert_succeeds(serve_model(origin, False, *changing, EarlyClose(after=HALF).first(3)), MODEL)


def test_an_etag_that_changes_does_not_matter_where_a_digest_is_pinned(origin, downloader):
    downloader.assert_succeeds_without_refetch(
        serve_model(origin, True, *BALANCED, Reset(after=300_000).first(5)), MODEL, origin
    )
