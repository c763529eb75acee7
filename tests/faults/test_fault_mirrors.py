"""Mirrors: one that is down, silent, slow or without the file is skipped; one that sends wrong bytes is named."""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.fault_files import HALF, MIB, MODEL
from support.faults import (
    ChangeEtag,
    CloseBeforeHeaders,
    CookieWall,
    EarlyClose,
    FlipByte,
    Gzip,
    Hold,
    IgnoreRange,
    LoginPage,
    NoEtag,
    NoHeaders,
    NoTotal,
    Redirect,
    Reset,
    Stall,
    StallAfterHeaders,
    Status,
    Trickle,
    WeakEtag,
    WrongLength,
    WrongTotal,
)
from support.models import gguf_pattern
from support.nginx_cache import nginx_cache
from support.origin import Origin
from support.run_fetch import (
    BackgroundRun,
    journaled_bytes,
    one_file_artifact,
    pinned_artifact,
    quick,
    run_transfer,
    stop_after,
)

from flowhub_jobs.errors import DigestMismatch, SizeMismatch, SourceMissing
from flowhub_jobs.net.urls import origin as origin_of
from flowhub_jobs.transfer import mirror_choice, mirror_speed
from flowhub_jobs.transfer.fetch import RetryLater, SharedLimits
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.mirror_choice import Address, Mirrors
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.rate_limit import TokenBucket

TOKEN = "hf_" + "S3cret" * 5
SIZE = MODEL.size


@pytest.fixture
def mirror() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture
def second() -> Iterator[Origin]:
    with Origin() as server:
        yield server


def mirror_options(origin, *mirrors, **options):
    """Return options with these mirrors of an origin, in order; each is a server or an address."""
    rule = [server if isinstance(server, str) else server.address for server in mirrors]
    return quick(mirrors=Mirrors({origin.address: rule}), connect_s=5, **options)


def serve_everywhere(*servers, faults=()):
    """Serve the model at all of these servers, with faults at the first; return the artifact of the last."""
    servers[0].serve("m.gguf", MODEL, faults=faults)
    for server in servers[1:]:
        server.serve("m.gguf", MODEL)
    return pinned_artifact(servers[-1].url("m.gguf"), MODEL)


def codes(result):
    return [note.code for note in result.notes if note.kind == "mirror"]


def sources(result):
    return dict(result.progress[-1].fetched_by_origin)


# Order ---------------------------------------------------------------------------------------------------------------


def test_a_mirror_gives_every_byte_and_the_origin_is_not_asked(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))
    assert result.content() == MODEL.read()
    assert (mirror.sent("m.gguf"), origin.requests()) == (SIZE, [])
    assert sources(result) == {mirror.address: SIZE}


def test_the_origin_gives_every_byte_where_it_stands_before_the_mirror(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, "origin", mirror))
    assert (sources(result), mirror.requests()) == ({origin.address: SIZE}, [])


def test_a_file_without_a_digest_is_never_taken_from_a_mirror(origin, mirror, tmp_path):
    [file] = serve_everywhere(mirror, origin).files
    result = run_transfer(
        one_file_artifact(replace(file, sha256=None)), tmp_path, options=mirror_options(origin, mirror)
    )
    assert (sources(result), mirror.requests()) == ({origin.address: SIZE}, [])


def test_a_file_whose_size_only_the_origin_knows_comes_from_it(origin, mirror, tmp_path):
    """A wrong size from a mirror would bind the partial to a file that does not exist."""
    artifact = serve_everywhere(mirror, origin)
    [file] = artifact.files
    result = run_transfer(
        replace(artifact, files=(replace(file, size=None),)), tmp_path, options=mirror_options(origin, mirror)
    )
    assert result.content() == MODEL.read()
    assert sources(result)[origin.address]


def test_an_nginx_cache_is_a_mirror_that_asks_the_origin_once_for_all(origin, tmp_path):
    artifact = serve_everywhere(origin)
    with nginx_cache(tmp_path / "nginx", origin.address) as cache:
        for name in ("a", "b", "c"):
            result = run_transfer(artifact, tmp_path / name, options=mirror_options(origin, cache))
            assert (result.content(), sources(result)) == (MODEL.read(), {cache: SIZE})
    assert origin.sent("m.gguf") == SIZE


def test_an_nginx_cache_of_slices_is_a_mirror_too(origin, tmp_path):
    """The mirror requests ranges from the origin, as a mirror of files of many gigabytes should."""
    artifact = serve_everywhere(origin)
    with nginx_cache(tmp_path / "nginx", origin.address, sliced=True) as cache:
        for name in ("a", "b"):
            result = run_transfer(artifact, tmp_path / name, options=mirror_options(origin, cache))
            assert (result.content(), sources(result)) == (MODEL.read(), {cache: SIZE})
    assert origin.sent("m.gguf") == SIZE
    assert len(origin.requests("m.gguf")) == SIZE // MIB + 1


PLAIN = {
    "no ETag": [NoEtag()],
    "a weak ETag": [WeakEtag()],
    "an ETag of its own": [ChangeEtag()],
    "another ETag each time": [ChangeEtag().once()],
    "no size in its answers": [NoTotal()],
}


@pytest.mark.parametrize("faults", PLAIN.values(), ids=PLAIN)
def test_a_mirror_continues_a_partial_whatever_it_says_of_the_version(origin, mirror, tmp_path, faults):
    """The digest decides. No request is a HEAD, which caches may refuse."""
    artifact = serve_everywhere(mirror, origin, faults=faults)
    partial = stop_after(HALF, artifact, tmp_path / "kept", origin)
    result = run_transfer(artifact, partial, options=mirror_options(origin, mirror))
    assert (result.content(), sources(result)) == (MODEL.read(), {origin.address: HALF, mirror.address: SIZE - HALF})
    assert {request.method for request in mirror.requests()} == {"GET"}


def test_a_mirror_that_names_another_digest_is_passed_over_before_its_first_byte(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    mirror.serve("m.gguf", MODEL, headers={"X-Linked-ETag": f'"{"0" * 64}"', "X-Repo-Commit": "0" * 40})
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))
    assert (sources(result), codes(result)) == ({origin.address: SIZE}, ["mirror_unfit"])


# Passed over ---------------------------------------------------------------------------------------------------------

UNFIT = {
    "the connection is closed": [CloseBeforeHeaders()],
    "no headers": [NoHeaders()],
    "no byte after the headers": [StallAfterHeaders()],
    "without the file (404)": [Status(404)],
    "asks for sign-in (401)": [Status(401)],
    "refuses (403)": [Status(403)],
    "a sign-in page": [LoginPage()],
    "another size": [WrongTotal()],
    "another size, whole": [IgnoreRange(), WrongLength(by=10)],
    "redirects to another host": [Redirect(302, "https://elsewhere.example/m.gguf")],
    "busy (503)": [Status(503)],
    "too many requests (429)": [Status(429, {"Retry-After": "3000"})],
    "an error of its own (500)": [Status(500)],
    "refuses ranges (416)": [Status(416)],
    "a compressed body": [IgnoreRange(), Gzip()],
}


@pytest.mark.parametrize("faults", UNFIT.values(), ids=UNFIT)
def test_a_mirror_that_does_not_send_the_file_is_passed_over_at_no_cost(origin, mirror, tmp_path, faults):
    artifact = serve_everywhere(mirror, origin, faults=faults)
    result = run_transfer(
        artifact, tmp_path, options=mirror_options(origin, mirror, faults_max=1, headers_s=1, stall_s=1)
    )
    assert result.content() == MODEL.read()
    assert sources(result) == {origin.address: SIZE}
    assert result.note_kinds == ["mirror"]
    assert all(progress.faults.faults == 0 for progress in result.progress)


def test_a_mirror_that_is_down_is_passed_over_at_no_cost(origin, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    result = run_transfer(serve_everywhere(origin), tmp_path, options=mirror_options(origin, address, faults_max=1))
    assert (result.content(), sources(result)) == (MODEL.read(), {origin.address: SIZE})
    assert codes(result) == ["network"]


def test_a_mirror_that_is_down_is_asked_once_and_not_for_each_file_of_the_next_job(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin, faults=[CloseBeforeHeaders()])
    shared = SharedLimits(HostLimits(), TokenBucket())
    for name in ("a", "b"):
        result = run_transfer(artifact, tmp_path / name, options=mirror_options(origin, mirror), shared=shared)
        assert result.content() == MODEL.read()
    assert len(mirror.requests()) == 1


def test_a_mirror_gives_the_file_while_the_origin_has_asked_for_a_pause(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    shared = SharedLimits(HostLimits(), TokenBucket())
    shared.hosts.cool_down(origin_of(origin.address), 3000)
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror), shared=shared)
    assert (result.content(), sources(result)) == (MODEL.read(), {mirror.address: SIZE})


MIDWAY = {
    "a stall": [Stall(after=HALF)],
    "a reset, and then 404": [Reset(after=HALF).once(), Status(404).from_byte(1)],
    "closed early, and then 503": [EarlyClose(after=HALF).once(), Status(503).from_byte(1)],
}


@pytest.mark.parametrize("faults", MIDWAY.values(), ids=MIDWAY)
def test_the_next_address_continues_where_a_mirror_stopped(origin, mirror, tmp_path, faults):
    artifact = serve_everywhere(mirror, origin, faults=faults)
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror, faults_max=1, stall_s=1))
    assert result.content() == MODEL.read()
    assert sources(result) == {mirror.address: HALF, origin.address: SIZE - HALF}
    assert (mirror.sent("m.gguf"), origin.sent("m.gguf")) == (HALF, SIZE - HALF)


def test_no_byte_is_kept_of_a_mirror_whose_file_has_another_size_from_now_on(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin, faults=[Reset(after=HALF).once(), WrongTotal().from_byte(1)])
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror, faults_max=1))
    assert (result.content(), result.progress[-1].bad_mirrors) == (MODEL.read(), set())
    assert sources(result) == {mirror.address: HALF, origin.address: SIZE - HALF}
    assert codes(result) == ["mirror_unfit"]


def test_a_connection_that_a_mirror_drops_is_replaced_by_one_to_the_same_mirror(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin, faults=[Reset(after=HALF).once()])
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))
    assert (result.content(), sources(result)) == (MODEL.read(), {mirror.address: SIZE})


def test_a_mirror_that_ignores_ranges_gives_a_whole_file_and_never_costs_kept_bytes(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin, faults=[IgnoreRange()])
    fresh = run_transfer(artifact, tmp_path / "fresh", options=mirror_options(origin, mirror))
    assert sources(fresh) == {mirror.address: SIZE}
    partial = stop_after(HALF, artifact, tmp_path / "kept", origin)
    resumed = run_transfer(artifact, partial, options=mirror_options(origin, mirror))
    assert resumed.content() == MODEL.read()
    assert sources(resumed) == {origin.address: SIZE}


def test_a_mirror_continues_what_the_origin_began(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    partial = stop_after(HALF, artifact, tmp_path / "kept", origin)
    sent = origin.sent("m.gguf")
    result = run_transfer(artifact, partial, options=mirror_options(origin, mirror))
    assert (result.content(), origin.sent("m.gguf")) == (MODEL.read(), sent)
    assert sources(result) == {origin.address: HALF, mirror.address: SIZE - HALF}


def test_a_mirror_that_redirects_to_another_host_with_the_file_is_not_followed(origin, mirror, second, tmp_path):
    artifact = serve_everywhere(second, origin)
    mirror.serve("m.gguf", MODEL, faults=[Redirect(302, second.url("m.gguf"))])
    assert sources(run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))) == {origin.address: SIZE}
    assert second.requests() == []


def test_a_mirror_that_redirects_within_itself_is_followed(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    mirror.serve("elsewhere", MODEL)
    mirror.break_with(Redirect(307, "/elsewhere"), path="/m.gguf")
    assert sources(run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))) == {mirror.address: SIZE}


ORIGINS = {
    "gone": [Status(404)],
    "requires a sign-in": [Status(401)],
    "down": [CloseBeforeHeaders()],
    "busy": [Status(503)],
}


@pytest.mark.parametrize("faults", ORIGINS.values(), ids=ORIGINS)
def test_a_mirror_after_the_origin_gives_what_the_origin_does_not(origin, mirror, tmp_path, faults):
    artifact = serve_everywhere(origin, mirror, faults=faults)
    [file] = artifact.files
    artifact = replace(artifact, files=(replace(file, url=origin.url("m.gguf")),))
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, "origin", mirror, faults_max=1))
    assert (result.content(), sources(result)) == (MODEL.read(), {mirror.address: SIZE})


def test_where_all_fail_the_origins_own_error_ends_the_job(origin, mirror, tmp_path):
    artifact = serve_everywhere(origin)
    origin.remove("m.gguf")
    mirror.serve("m.gguf", MODEL, faults=[Status(503)])
    with pytest.raises(SourceMissing, match=r"has no such file"):
        run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))


def test_a_mirror_is_tried_again_while_the_origin_is_down(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin, faults=[Status(503).first(2)])
    origin.break_with(CloseBeforeHeaders(), path="/m.gguf")
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))
    assert (result.content(), sources(result)) == (MODEL.read(), {mirror.address: SIZE})


def test_a_size_that_the_origin_contradicts_ends_the_job_although_a_mirror_has_it(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    origin.break_with(WrongTotal(), path="/m.gguf")
    with pytest.raises(SizeMismatch):
        run_transfer(artifact, tmp_path, options=mirror_options(origin, "origin", mirror))


# Slow ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick_mirror_probes(monkeypatch):
    for module in (mirror_choice, mirror_speed):
        monkeypatch.setattr(module, "PROBE_AFTER_S", 0.2)
    monkeypatch.setattr(mirror_choice, "WORTH_S", 1.0)
    monkeypatch.setattr(mirror_choice, "PROBE_BYTES", MIB)
    monkeypatch.setattr("flowhub_jobs.transfer.range_scheduler.PROBE_BYTES", MIB)


def test_a_mirror_that_is_far_slower_than_the_next_address_is_passed_over(
    origin, mirror, tmp_path, quick_mirror_probes
):
    model = gguf_pattern(12 * MIB, seed=62)
    mirror.serve("m.gguf", model, faults=[Trickle(bps=200_000)])
    artifact = pinned_artifact(origin.serve("m.gguf", model), model)
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))
    assert result.content() == model.read()
    assert sources(result)[origin.address] > 2 * MIB, "more than the measurement"
    texts = "".join(note.text for note in result.notes if note.kind == "mirror")
    assert f"flowhub uses {origin.address} instead" in texts


def test_a_mirror_that_is_about_as_fast_as_the_origin_keeps_the_file(origin, mirror, tmp_path, quick_mirror_probes):
    model = gguf_pattern(12 * MIB, seed=62)
    for server in (mirror, origin):
        server.limit(total_bps=3e6)
    mirror.serve("m.gguf", model)
    artifact = pinned_artifact(origin.serve("m.gguf", model), model)
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))
    assert result.content() == model.read()
    assert sources(result).get(origin.address, 0) <= MIB, "no more than the measurement"


# At once -------------------------------------------------------------------------------------------------------------

LARGE = gguf_pattern(24 * MIB, seed=63)  # slow enough for a busy machine to join the second mirror


@pytest.fixture
def always_join_mirrors(quick_mirror_probes, monkeypatch):
    """Use each mirror in addition, whatever its rate: on a busy machine no rate says much (test_mirror_speed)."""
    answers = {"is_far_slower": False, "is_worth_probing": True, "may_gain": True, "is_gain": True}
    for name, answer in answers.items():
        monkeypatch.setattr(mirror_speed, name, lambda *numbers, answer=answer: answer)


def serve_slowly_everywhere(*servers, bps=1.5e6):
    """Serve a larger model at all of these servers, each at this total rate; return the artifact of the last."""
    for server in servers:
        server.limit(total_bps=bps)
        server.serve("m.gguf", LARGE)
    return pinned_artifact(servers[-1].url("m.gguf"), LARGE)


def test_two_mirrors_give_one_file_at_once_and_the_origin_is_spared(
    origin, mirror, second, tmp_path, always_join_mirrors
):
    artifact = serve_slowly_everywhere(mirror, second, origin)
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror, second))
    assert result.content() == LARGE.read()
    assert sources(result)[second.address] > 2 * MIB, "more than the measurement"
    assert sum(sources(result).values()) == LARGE.size, "no byte is fetched twice"
    for server in (mirror, second):  # a connection whose range another one took over has sent unused bytes
        assert sources(result)[server.address] <= server.sent("m.gguf") < sources(result)[server.address] + 2 * MIB
    assert origin.sent("m.gguf") <= MIB, "no more than the measurement"
    assert "at once" in "".join(note.text for note in result.notes if note.kind == "mirror")


def bytes_by_mirror(partial):
    """Return the bytes of `m.gguf` in a partial by mirror."""
    files = journal.load(partial).files.values()
    return {mirror: ranges.total for file in files for mirror, ranges in file.bytes_by_mirror.items()}


def test_after_a_crash_the_wrong_one_of_two_mirrors_of_a_file_is_found(
    origin, mirror, second, tmp_path, always_join_mirrors
):
    """The journal has the source of each range. No suspect is asked for the bytes of another suspect."""
    artifact, hold = serve_slowly_everywhere(mirror, second, origin), Hold(after=3 * MIB)
    mirror.break_with(hold.once(), path="/m.gguf")  # so that the file is not completed
    second.break_with(*(FlipByte(at=number * MIB + 77) for number in range(LARGE.size // MIB)), path="/m.gguf")
    partial, options = tmp_path / "partial", mirror_options(origin, mirror, second)
    with BackgroundRun(artifact, partial, options=options) as running:
        origin.wait_for(lambda: min(bytes_by_mirror(partial).get(one.address, 0) for one in (mirror, second)) > 2 * MIB)
        crashed = shutil.copytree(partial, tmp_path / "crashed")
        running.stop()
    hold.event.set()
    mirror.remove("m.gguf")
    second.remove("m.gguf")
    origin.limit()
    result = run_transfer(artifact, crashed, options=options)
    assert (result.content(), result.progress[-1].bad_mirrors) == (LARGE.read(), {second.address})
    assert origin.sent("m.gguf") <= LARGE.size + MIB, "each byte at most once, next to the measurement"


# Wrong bytes ---------------------------------------------------------------------------------------------------------


def test_a_mirror_that_sends_wrong_bytes_is_dropped_and_named(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin, faults=[FlipByte(at=HALF)])
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))
    assert result.content() == MODEL.read()
    assert result.progress[-1].bad_mirrors == {mirror.address}
    [note] = [note for note in result.notes if note.code == "mirror_mismatch"]
    assert mirror.address.removeprefix("http://") in note.text
    assert sources(result) == {mirror.address: SIZE, origin.address: SIZE}, "what was wrong counts as fetched, too"


@pytest.mark.parametrize("bad_mirror", [0, 1], ids=["the first", "the second"])
def test_the_wrong_one_of_two_mirrors_of_a_file_is_found(origin, mirror, second, tmp_path, bad_mirror):
    """Each mirror sends a half. Only the wrong half, or both, are fetched again, and only the wrong mirror is named."""
    artifact = serve_everywhere(mirror, second, origin)
    mirror.break_with(Reset(after=HALF).once(), Status(404).from_byte(HALF), path="/m.gguf")
    pair = (mirror, second)
    at = 1000 if bad_mirror == 0 else SIZE - 1000
    if bad_mirror == 0:
        mirror.break_with(FlipByte(at=at), Reset(after=HALF).once(), Status(404).from_byte(HALF), path="/m.gguf")
    else:
        second.break_with(FlipByte(at=at), path="/m.gguf")
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror, second))
    assert result.content() == MODEL.read()
    assert result.progress[-1].bad_mirrors == {pair[bad_mirror].address}


def test_no_suspect_gives_the_bytes_of_another(origin, mirror, second, tmp_path):
    """Both sent a part, and the larger part was right: the mirror of the smaller part does not get a request for it."""
    artifact = serve_everywhere(mirror, second, origin)
    mirror.break_with(Reset(after=3 * MIB).once(), Status(404).from_byte(3 * MIB), path="/m.gguf")
    second.break_with(FlipByte(at=SIZE - 1000), path="/m.gguf")
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror, second))
    assert (result.content(), result.progress[-1].bad_mirrors) == (MODEL.read(), {second.address})
    rest = SIZE - 3 * MIB
    assert sources(result) == {mirror.address: 3 * MIB, second.address: rest, origin.address: SIZE}


def test_bytes_of_a_mirror_and_of_the_origin_are_counted_apart_after_a_restart(origin, mirror, tmp_path):
    """The journal has the bytes of the mirror: only they are fetched again."""
    artifact = serve_everywhere(mirror, origin, faults=[FlipByte(at=1000)])
    options = mirror_options(origin, mirror)
    partial = stop_after(HALF, artifact, tmp_path / "kept", mirror, faults=[FlipByte(at=1000)], options=options)
    assert journaled_bytes(partial) == HALF
    mirror.remove("m.gguf")
    result = run_transfer(artifact, partial, options=options)
    assert result.content() == MODEL.read()
    assert origin.sent("m.gguf") == SIZE, "the half that it gave the first time is kept"
    assert result.progress[-1].bad_mirrors == {mirror.address}


def test_a_dropped_mirror_is_not_asked_again_by_the_next_attempt_of_the_job(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin, faults=[FlipByte(at=HALF)])
    origin.break_with(Status(503), path="/m.gguf")
    options = mirror_options(origin, mirror, faults_max=2)
    with pytest.raises(Exception, match="503"):
        run_transfer(artifact, tmp_path, options=options)
    requests_before = len(mirror.requests())
    origin.break_with(path="/m.gguf")
    assert run_transfer(artifact, tmp_path, options=options).content() == MODEL.read()
    assert len(mirror.requests()) == requests_before


def test_a_refused_mirror_is_not_asked(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    refusing = Mirrors({origin.address: [mirror.address]}, frozenset({mirror.address}))
    result = run_transfer(artifact, tmp_path, options=quick(mirrors=refusing))
    assert (sources(result), mirror.requests()) == ({origin.address: SIZE}, [])


def test_a_digest_that_the_origin_contradicts_too_fails_as_without_a_mirror(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    [file] = artifact.files
    artifact = replace(artifact, files=(replace(file, sha256="0" * 64),))
    with pytest.raises(DigestMismatch):
        run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror))
    assert mirror.sent("m.gguf") == SIZE, "a mirror is asked for it once"


# Tokens --------------------------------------------------------------------------------------------------------------


def test_no_token_goes_to_a_mirror(origin, mirror, tmp_path):
    """Not even a token for the mirror's own origin."""
    artifact = serve_everywhere(mirror, origin, faults=[Reset(after=HALF).once(), Status(404).from_byte(1)])
    tokens = {origin_of(server.address): TOKEN for server in (origin, mirror)}
    result = run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror, tokens=tokens))
    assert result.content() == MODEL.read()
    assert mirror.requests()
    assert not [request for request in mirror.requests() if "authorization" in request.headers]
    assert [request.headers["authorization"] for request in origin.requests()] == [f"Bearer {TOKEN}"]


def test_a_cookie_of_a_mirror_goes_back_to_it_alone(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin)
    mirror.break_with(Reset(after=HALF).nth(2), Status(404).from_byte(1), CookieWall(), path="/m.gguf")
    assert run_transfer(artifact, tmp_path, options=mirror_options(origin, mirror)).content() == MODEL.read()
    assert [request.headers["cookie"] for request in mirror.requests() if "cookie" in request.headers]
    assert origin.requests()
    assert not [request for request in origin.requests() if "cookie" in request.headers]


def test_a_mirrors_own_credential_goes_to_that_mirror_alone(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin, faults=[Reset(after=HALF).once(), Status(404).from_byte(1)])
    [file] = artifact.files
    near = Mirrors(copies={file.sha256: [Address(mirror.url("m.gguf"), mirror.address, "of the fleet")]})
    assert run_transfer(artifact, tmp_path, options=quick(mirrors=near)).content() == MODEL.read()
    assert {request.headers["authorization"] for request in mirror.requests()} == {"Bearer of the fleet"}
    assert not [request for request in origin.requests() if "authorization" in request.headers]


def test_an_outage_of_all_addresses_is_the_origins(origin, mirror, tmp_path):
    artifact = serve_everywhere(mirror, origin, faults=[CloseBeforeHeaders()])
    origin.break_with(CloseBeforeHeaders(), path="/m.gguf")
    options = mirror_options(origin, mirror)
    with pytest.raises(RetryLater) as late:
        run_transfer(
            artifact,
            tmp_path,
            options=replace(options, patience=replace(options.patience, base_s=500, delay_max_s=500)),
        )
    assert late.value.origin == origin_of(origin.address)
