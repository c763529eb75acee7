"""What a real network does wrong, one named fault after the other: each ends in the right bytes or in a clear error.

What heals by itself costs no more than it must; what does not says which file, which host, and both numbers.
"""

import re
import socket
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from origin_answer import Answer
from origin_content import Bytes
from support.engine import Running, folder_of, kept_in, one_file, pinned, quick, run, unpinned
from support.fault import Fault
from support.faults import (
    CappedRange,
    ChangeEtag,
    CloseBeforeHeaders,
    EarlyClose,
    FlipByte,
    Gzip,
    Hold,
    IgnoreRange,
    LoginPage,
    LongRange,
    LyingLength,
    Multipart,
    NoContentRange,
    NoEtag,
    NoHeaders,
    NoLength,
    Redirect,
    Reset,
    ShiftedRange,
    ShortRange,
    Stall,
    StallAfterHeaders,
    Status,
    Trickle,
    WeakEtag,
    WrongTotal,
)
from support.hub import commit_of
from support.models import gguf_pattern
from support.origin import Origin

from flowhub_jobs.errors import (
    ConnectionLost,
    DigestMismatch,
    HeadersTimeout,
    NetworkDown,
    RedirectRefused,
    ServerBusy,
    SizeMismatch,
    SourceMissing,
    SourceRefused,
    Stalled,
    TlsUntrusted,
    TooSlow,
    WaitTooLong,
    WrongContent,
    WrongRange,
)
from flowhub_jobs.records import ArtifactFile
from flowhub_jobs.transfer import connection
from flowhub_jobs.transfer import fetch as fetch_room
from flowhub_jobs.transfer.fetch import Postponed, Shared
from flowhub_jobs.transfer.hosts import Hosts
from flowhub_jobs.transfer.limit import Bucket
from flowhub_jobs.transfer.tuning import Tuning

MIB = 1 << 20
MODEL = gguf_pattern(2 * MIB + 12345, seed=1)
OTHER = gguf_pattern(MODEL.size, seed=2)
HALF = MIB + 500_000
SLOW = quick(stall_s=0.3, headers_s=0.3)


def sought(origin, pin, *faults):
    url = origin.serve("m.gguf", MODEL, faults=faults)
    return pinned(url, MODEL) if pin else unpinned(url)


def wanted(origin):
    """Return where each request for the model began."""
    return [int(one.range.removeprefix("bytes=").split("-")[0]) for one in origin.requests("m.gguf")]


# What heals at no cost -----------------------------------------------------------------------------------------------

AT_NO_COST = {
    "reset in mid-body": Reset(after=HALF).once(),
    "reset three times": Reset(after=300_000).first(3),
    "early close": EarlyClose(after=HALF).once(),
    "early close at the first bytes": EarlyClose(after=20).first(2),
    "close before headers": CloseBeforeHeaders().first(2),
    "a range ignored at first": IgnoreRange().once(),
    "a range always ignored": IgnoreRange(),
    "a range cut short by the server": CappedRange(most=400_000),
    "a range one byte short": ShortRange().once(),
    "no length, chunked": NoLength(),
    "no length, closed at the end": NoLength(chunked=False),
    "no headers": NoHeaders().once(),
    "no byte after the headers": StallAfterHeaders().once(),
    "a stall in mid-body": Stall(after=HALF).once(),
    "408": Status(408).once(),
    "425": Status(425).once(),
    "429": Status(429).once(),
    "500": Status(500).once(),
    "502": Status(502).once(),
    "503": Status(503).first(3),
    "504": Status(504).once(),
}


@pytest.mark.parametrize("pin", [True, False], ids=["pinned", "unpinned"])
@pytest.mark.parametrize("fault", AT_NO_COST.values(), ids=AT_NO_COST)
def test_a_fault_that_passes_costs_no_byte_twice(origin, tmp_path, fault, pin):
    got = run(sought(origin, pin, fault), tmp_path, terms=SLOW)
    assert got.content() == MODEL.read()
    assert got.fetched.files[0].sha256 == MODEL.sha256()
    assert got.fetched.bytes_fetched == origin.sent("m.gguf") == MODEL.size


NOT_BELIEVED = {
    "shifted range": ShiftedRange().once(),
    "shifted to the front": ShiftedRange(by=-1).from_byte(1).once(),
    "range too long": LongRange(by=1000).once(),
    "another total": WrongTotal().once(),
    "no Content-Range": NoContentRange().once(),
    "multipart/byteranges": Multipart().once(),
    "gzip": Gzip().once(),
    "a length too long": LyingLength(by=10).once(),
    "a length too short": LyingLength(by=-10).once(),
}


@pytest.mark.parametrize("fault", NOT_BELIEVED.values(), ids=NOT_BELIEVED)
def test_an_answer_that_is_not_what_was_asked_is_not_written(origin, tmp_path, fault):
    """The front is capped, so that there is a middle to be wrong about, too."""
    artifact = sought(origin, False, CappedRange(most=MIB).once(), fault)
    got = run(artifact, tmp_path)
    assert got.content() == MODEL.read()
    assert got.fetched.bytes_fetched <= 2 * MODEL.size


@pytest.mark.parametrize("etag", ["strong", "weak", "none"])
@pytest.mark.parametrize("pin", [True, False], ids=["pinned", "unpinned"])
def test_a_range_ignored_at_a_later_request_is_gone_on_with(origin, tmp_path, pin, etag):
    validators = {"strong": [], "weak": [WeakEtag()], "none": [NoEtag()]}[etag]
    artifact = sought(origin, pin, *validators, Reset(after=HALF).once(), IgnoreRange().nth(2))
    assert run(artifact, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size + HALF, "all of it came once more, in one answer"


def test_a_host_that_never_answers_as_asked_ends_with_what_was_asked_and_what_came(origin, tmp_path):
    artifact = sought(origin, True, ShiftedRange())
    with pytest.raises(WrongRange, match=r"m\.gguf: 127\.0\.0\.1:\d+ was asked for bytes 0-2109496 and sent 1-"):
        run(artifact, tmp_path)
    assert len(origin.requests()) == 10
    assert kept_in(tmp_path) == 0


@pytest.mark.parametrize("fault", [Gzip(), Multipart(), NoContentRange()], ids=repr)
def test_what_can_never_be_believed_ends_after_ten_tries(origin, tmp_path, fault):
    with pytest.raises(WrongRange):
        run(sought(origin, True, fault), tmp_path)
    assert len(origin.requests()) == 10


def test_a_host_with_neither_versions_nor_whole_answers_is_given_up(origin, tmp_path):
    """Parts that nothing binds together are never put together, and not asked for without end."""
    with pytest.raises(WrongRange, match="sends it in parts"):
        run(sought(origin, False, NoEtag(), CappedRange(most=MIB)), tmp_path)


@pytest.mark.parametrize("etag", ["strong", "other for each"])
def test_an_etag_that_changes_while_the_file_does_not_costs_a_few_new_beginnings(origin, tmp_path, etag):
    """Servers behind one balancer: each answer has the tag of its server."""
    changing = [ChangeEtag(f'"{number}"').nth(number) for number in range(1, 9)] if etag != "strong" else []
    artifact = sought(origin, False, *changing, EarlyClose(after=HALF).first(3))
    assert run(artifact, tmp_path).content() == MODEL.read()


def test_an_etag_that_changes_is_no_matter_where_a_digest_is_pinned(origin, tmp_path):
    changing = [ChangeEtag(f'"{number}"').nth(number) for number in range(1, 9)]
    got = run(sought(origin, True, *changing, Reset(after=300_000).first(5)), tmp_path)
    assert got.content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


# 416 and the size ----------------------------------------------------------------------------------------------------


def test_a_416_without_a_size_is_tried_again(origin, tmp_path):
    got = run(sought(origin, True, Status(416).once()), tmp_path)
    assert got.content() == MODEL.read()


def test_a_416_that_contradicts_the_catalog_says_both_sizes(origin, tmp_path):
    artifact = sought(origin, True, Status(416, {"Content-Range": "bytes */777"}))
    with pytest.raises(SizeMismatch, match=f"the catalog says {MODEL.size} bytes, the source has 777 bytes"):
        run(artifact, tmp_path)


def test_a_416_that_lies_about_a_file_that_goes_on_is_given_up(origin, tmp_path):
    artifact = sought(origin, True, Status(416, {"Content-Range": f"bytes */{MODEL.size}"}))
    with pytest.raises(WrongRange, match=f"ends at byte {MODEL.size}, not 0"):
        run(artifact, tmp_path)
    assert len(origin.requests()) == 10


@dataclass(frozen=True)
class TotalUnknown(Fault):
    """A 206 that keeps the size to itself."""

    def change(self, answer: Answer) -> Answer:
        if answer.status != 206:
            return answer
        return answer.with_headers(Content_Range=f"bytes {answer.start}-{answer.end - 1}/*")


def test_a_file_whose_total_nobody_tells_ends_where_the_source_says_416(origin, tmp_path):
    got = run(sought(origin, False, TotalUnknown(), CappedRange(most=MIB), TotalUnknown()), tmp_path)
    assert got.content() == MODEL.read()
    assert wanted(origin) == [0, MIB, 2 * MIB, MODEL.size]
    assert origin.sent("m.gguf") == MODEL.size


@pytest.mark.parametrize("ranged", [True, False])
def test_a_size_that_the_source_contradicts_ends_it_with_both_numbers_even_where_the_digest_matches(
    origin, tmp_path, ranged
):
    url = origin.serve("m.gguf", MODEL, faults=[] if ranged else [IgnoreRange()])
    artifact = one_file(ArtifactFile("m.gguf", url, MODEL.size + 1, MODEL.sha256()))
    with pytest.raises(SizeMismatch) as caught:
        run(artifact, tmp_path)
    said = caught.value.message
    assert said == f"m.gguf: the catalog says {MODEL.size + 1} bytes, the source has {MODEL.size} bytes."
    assert len(origin.requests()) == 1
    assert kept_in(tmp_path) == 0


@dataclass(frozen=True)
class Longer(Fault):
    """More comes than there is, in an answer without a length."""

    def change(self, answer: Answer) -> Answer:
        longer = Answer(200, answer.headers).with_body(Bytes(MODEL.read() + b"and more" * 50_000))
        return longer.with_headers(Content_Range=None)


def test_an_answer_that_goes_on_behind_the_size_that_the_catalog_knows_is_not_written(origin, tmp_path):
    url = origin.serve("m.gguf", MODEL, faults=[Longer(), NoLength()])
    with pytest.raises(WrongRange, match=rf"m\.gguf: more came than .* \({MODEL.size} bytes\)"):
        run(pinned(url, MODEL), tmp_path)
    assert (tmp_path / "files" / "m.gguf").stat().st_size <= MODEL.size


# Digests and content -------------------------------------------------------------------------------------------------


def test_a_byte_that_turns_on_the_wire_once_heals(origin, tmp_path):
    got = run(sought(origin, True, FlipByte(at=HALF).covering(HALF).once()), tmp_path)
    assert got.content() == MODEL.read()
    assert got.note_kinds == ["healed"]
    assert origin.sent("m.gguf") == 2 * MODEL.size


def test_a_byte_that_always_turns_ends_in_a_mismatch_after_two_fetches(origin, tmp_path):
    turned = bytearray(MODEL.read())
    turned[HALF] ^= 0xFF
    with pytest.raises(DigestMismatch) as caught:
        run(sought(origin, True, FlipByte(at=HALF)), tmp_path)
    assert MODEL.sha256() in caught.value.message
    assert Bytes(bytes(turned)).sha256() in caught.value.message
    assert origin.sent("m.gguf") == 2 * MODEL.size


def test_a_pin_that_is_wrong_names_both_digests_and_whose_they_are(origin, tmp_path):
    url = origin.serve("m.gguf", MODEL)
    artifact = one_file(ArtifactFile("m.gguf", url, MODEL.size, OTHER.sha256()))
    with pytest.raises(DigestMismatch) as caught:
        run(artifact, tmp_path)
    assert re.search(
        rf"m\.gguf .*the catalog pins sha256 {OTHER.sha256()}, what came has {MODEL.sha256()}", caught.value.message
    )
    assert "flowhub retry" in caught.value.hint
    assert not caught.value.retryable
    assert origin.sent("m.gguf") == 2 * MODEL.size


def test_a_git_sha1_that_is_wrong_names_both(origin, tmp_path):
    wrong, content = "ab" * 20, Bytes(b"{}\n")
    file = ArtifactFile("config.json", origin.serve("config.json", content), 3, None, wrong)
    with pytest.raises(DigestMismatch, match=f"{wrong}.*{content.git_sha1()}"):
        run(one_file(file), tmp_path)


@pytest.mark.parametrize("lfs", [True, False])
def test_a_hub_that_contradicts_itself_is_not_believed(hub, tmp_path, lfs):
    """No catalog pins anything here: the Hub's own word is what its bytes are held against."""
    content = Bytes(b'{"model_type": "llama"}')
    hub.add("org/model", "config.json", content, lfs=lfs)
    hub.break_cdn(FlipByte(at=5))
    hub.break_front(
        FlipByte(at=5), path=f"/api/resolve-cache/models/org/model/{commit_of('org/model', 'main')}/config.json"
    )
    artifact = unpinned("https://huggingface.co/org/model/resolve/main/config.json", "config.json")
    with pytest.raises(DigestMismatch, match="the Hub says"):
        run(artifact, tmp_path, terms=quick(hub_endpoint=hub.endpoint))


def test_a_hub_whose_digest_contradicts_the_catalog_ends_it_before_the_file_is_asked_for(hub, tmp_path):
    hub.add("org/model", "m.gguf", MODEL)
    url = "https://huggingface.co/org/model/resolve/main/m.gguf"
    artifact = one_file(ArtifactFile("m.gguf", url, MODEL.size, OTHER.sha256()))
    with pytest.raises(DigestMismatch) as caught:
        run(artifact, tmp_path, terms=quick(hub_endpoint=hub.endpoint))
    assert OTHER.sha256() in caught.value.message
    assert MODEL.sha256() in caught.value.message
    assert "the source disagrees with the catalog" in caught.value.message
    assert hub.cdn.requests() == []


def test_a_hub_whose_size_contradicts_the_catalog_ends_it_before_the_file_is_asked_for(hub, tmp_path):
    hub.add("org/model", "m.gguf", MODEL)
    url = "https://huggingface.co/org/model/resolve/main/m.gguf"
    artifact = one_file(ArtifactFile("m.gguf", url, 777, MODEL.sha256()))
    with pytest.raises(SizeMismatch, match=f"says 777 bytes, the source has {MODEL.size} bytes"):
        run(artifact, tmp_path, terms=quick(hub_endpoint=hub.endpoint))
    assert hub.cdn.requests() == []


def test_a_log_in_page_is_refused_at_its_first_bytes(origin, tmp_path):
    artifact = sought(origin, False, LoginPage())
    with pytest.raises(WrongContent, match=r"m\.gguf should be gguf, but what came is a web page") as caught:
        run(artifact, tmp_path)
    assert "sign-in" in caught.value.hint
    assert len(origin.requests()) == 1
    assert kept_in(tmp_path) == 0


@pytest.mark.parametrize("pin", [True, False], ids=["pinned", "unpinned"])
def test_an_endless_page_is_refused_with_none_of_it_written(origin, tmp_path, pin):
    """A file of the right size that is a page: refused by what it is, before the digest could tell."""
    page = Bytes(b"<!DOCTYPE html>" + b" " * (MODEL.size - 15))
    url = origin.serve("m.gguf", page)
    artifact = one_file(ArtifactFile("m.gguf", url, MODEL.size if pin else None, MODEL.sha256() if pin else None))
    with pytest.raises(WrongContent):
        run(artifact, tmp_path)
    assert (tmp_path / "files" / "m.gguf").stat().st_size == 0


@pytest.mark.parametrize("head", [b"\x00" * 16, b"\xff" * 8 + b"{" + b" " * 8, b"\x40" + b"\x00" * 7 + b"[]" * 8])
def test_a_safetensors_file_without_its_header_is_refused(origin, tmp_path, head):
    url = origin.serve("m.safetensors", head * 1000)
    with pytest.raises(WrongContent, match=r"m\.safetensors should be safetensors"):
        run(unpinned(url, "m.safetensors"), tmp_path)


def test_one_file_that_is_a_page_ends_the_whole_folder(origin, tmp_path):
    urls = {"a.json": origin.serve("a.json", b"{}"), "m.gguf": origin.serve("m.gguf", MODEL, faults=[LoginPage()])}
    with pytest.raises(WrongContent):
        run(folder_of(urls), tmp_path)


# Time ----------------------------------------------------------------------------------------------------------------

TIMES = {
    "no headers": (NoHeaders(), {"headers_s": 0.05}, HeadersTimeout, "did not answer in time"),
    "no byte after the headers": (StallAfterHeaders(), {"stall_s": 0.05}, Stalled, "sent no byte"),
    "a stall": (Stall(after=1), {"stall_s": 0.05}, Stalled, "sent no byte"),
}


@pytest.mark.parametrize(("fault", "clock", "error", "says"), TIMES.values(), ids=TIMES)
def test_a_host_that_never_speaks_is_given_up(origin, tmp_path, fault, clock, error, says):
    """Each of the clocks alone would end it; the others are set to twenty seconds, which no test waits for."""
    with pytest.raises(error, match=rf"m\.gguf: 127\.0\.0\.1:\d+ .*{says}"):
        run(sought(origin, True, fault), tmp_path, terms=quick(faults_max=2, **clock))


def test_a_trickle_is_left_and_asked_anew(origin, tmp_path):
    terms = quick(slow_bps=100_000, slow_window_s=0.2)
    got = run(sought(origin, True, Trickle(bps=2000).once()), tmp_path, terms=terms)
    assert got.content() == MODEL.read()
    assert got.note_kinds == ["fault"]
    assert origin.sent("m.gguf") - MODEL.size < 5000


def test_a_host_that_is_fast_and_then_slow_for_ever_is_left(origin, tmp_path):
    @dataclass(frozen=True)
    class ThenSlow(Trickle):
        def flow(self, steps, answer):
            fast, slow = replace(answer, end=answer.start + HALF), replace(answer, start=answer.start + HALF)
            yield next(steps)
            yield from fast.content.pieces(fast.start, fast.end)
            yield from super().flow(slow.content.pieces(slow.start, slow.end), slow)

    terms = quick(slow_bps=100_000, slow_window_s=0.2)
    got = run(sought(origin, True, ThenSlow(bps=2000).once()), tmp_path, terms=terms)
    assert got.content() == MODEL.read()
    assert wanted(origin)[1] >= HALF


def test_a_host_that_is_always_too_slow_is_given_up(origin, tmp_path):
    terms = quick(faults_max=1, slow_bps=100_000, slow_window_s=0.1)
    with pytest.raises(TooSlow, match=r"m\.gguf: .* sent only \d+ bytes"):
        run(sought(origin, True, Trickle(bps=500)), tmp_path, terms=terms)


def test_a_limit_of_our_own_is_not_taken_for_a_slow_host(origin, tmp_path):
    """The clocks stand still while throttled: the host would have been faster."""
    now = [0.0]

    def clock():
        now[0] += 0.002
        return now[0]

    terms = quick(stall_s=0.3, slow_bps=1 << 40, slow_window_s=0.5)
    shared = Shared(Hosts(), Bucket(10_000_000, clock))
    got = run(sought(origin, True), tmp_path, terms=terms, shared=shared)
    assert got.content() == MODEL.read()


# The host cannot be reached ------------------------------------------------------------------------------------------


def test_a_host_that_refuses_and_then_is_back_is_waited_for(origin, tmp_path):
    artifact = sought(origin, True)
    origin.refuse()
    with Running(artifact, tmp_path, terms=quick(faults_max=10_000)) as running:
        running.run.wait_to_see(1)
        origin.listen_again()
        got = running.end()
    assert got.content() == MODEL.read()
    assert got.notes[0][0] == "fault"


def test_a_host_that_refuses_for_good_is_named(origin, tmp_path):
    artifact = sought(origin, True)
    origin.refuse()
    with pytest.raises(NetworkDown, match=rf"m\.gguf: 127\.0\.0\.1:{origin.port} cannot be reached: .*refused"):
        run(artifact, tmp_path, terms=quick(faults_max=3))


def test_a_name_that_does_not_resolve_is_a_fault_that_passes(origin, tmp_path, monkeypatch):
    artifact, look_up, failures = sought(origin, True), socket.getaddrinfo, iter([1, 2])

    def fail_twice(*asked, **more):
        if next(failures, None):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(*asked, **more)

    monkeypatch.setattr(socket, "getaddrinfo", fail_twice)
    got = run(artifact, tmp_path)
    assert got.content() == MODEL.read()
    assert "Temporary failure in name resolution" in got.notes[0][1]


@pytest.fixture
def fresh_trust():
    """Whom we trust is read once a process: read it anew, before and after."""
    connection._trust.cache_clear()
    yield
    connection._trust.cache_clear()


def test_a_certificate_that_is_not_trusted_is_final_and_says_how_to_give_a_ca(tmp_path, fresh_trust):
    with Origin(tls=True) as origin:
        artifact = sought(origin, True)
        with pytest.raises(TlsUntrusted, match=r"m\.gguf: 127\.0\.0\.1:\d+ shows a certificate") as caught:
            run(artifact, tmp_path)
        assert "SSL_CERT_FILE" in caught.value.hint
        assert not caught.value.retryable
        assert origin.requests() == []


def test_a_ca_of_ones_own_is_trusted(tmp_path, monkeypatch, fresh_trust):
    with Origin(tls=True) as origin:
        monkeypatch.setenv("SSL_CERT_FILE", str(origin.ca_file))
        got = run(sought(origin, True, Reset(after=HALF).once()), tmp_path)
        assert got.content() == MODEL.read()
        assert origin.sent("m.gguf") == MODEL.size


# Busy hosts ----------------------------------------------------------------------------------------------------------


def in_a_while(seconds):
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("headers", [{"Retry-After": "0"}, {"RateLimit": '"api";r=0;t=0'}, {"Retry-After": "soon"}])
def test_a_short_wait_is_taken_inside(origin, tmp_path, headers):
    got = run(sought(origin, True, Status(429, headers).once()), tmp_path)
    assert got.content() == MODEL.read()
    assert len(origin.requests()) == 2


@pytest.mark.parametrize(
    "headers",
    [lambda: {"Retry-After": "60"}, lambda: {"Retry-After": in_a_while(60)}, lambda: {"RateLimit": '"api";r=0;t=60'}],
    ids=["seconds", "date", "RateLimit"],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_long_wait_gives_the_slot_away_with_the_time_that_was_asked(origin, tmp_path, status, headers):
    with pytest.raises(Postponed) as caught:
        run(sought(origin, True, Status(status, headers())), tmp_path)
    assert 50 < caught.value.seconds <= 60
    assert caught.value.asked_by_host
    assert caught.value.faults == 1
    assert isinstance(caught.value.error, ServerBusy)
    assert len(origin.requests()) == 1


def test_a_host_that_asked_for_peace_has_it_from_every_job(origin, tmp_path):
    shared = Shared(Hosts(), Bucket())
    with pytest.raises(Postponed):
        run(sought(origin, True, Status(429, {"Retry-After": "60"})), tmp_path / "one", shared=shared)
    other = pinned(origin.serve("other.gguf", OTHER), OTHER)
    with pytest.raises(Postponed) as caught:
        run(other, tmp_path / "two", shared=shared)
    assert caught.value.asked_by_host
    assert origin.requests("other.gguf") == []


def test_what_is_kept_is_kept_while_a_host_wants_peace(origin, tmp_path):
    artifact = sought(origin, True, Reset(after=HALF).once(), Status(503, {"Retry-After": "60"}).nth(2))
    with pytest.raises(Postponed):
        run(artifact, tmp_path)
    assert kept_in(tmp_path) == HALF
    assert run(artifact, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_an_absurd_wait_is_a_failure_that_says_so(origin, tmp_path):
    with pytest.raises(WaitTooLong, match=r"m\.gguf: .* answers 503\. The host asks to wait 2777\.8 hours"):
        run(sought(origin, True, Status(503, {"Retry-After": "10000000"})), tmp_path)
    assert len(origin.requests()) == 1


def test_a_long_backoff_gives_the_slot_away_too(origin, tmp_path, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.transfer.faults.random.random", lambda: 0.9)
    terms = quick()
    terms = replace(terms, patience=replace(terms.patience, base_s=60, cap_s=60))
    with pytest.raises(Postponed) as caught:
        run(sought(origin, True, EarlyClose()), tmp_path, terms=terms)
    assert not caught.value.asked_by_host
    assert isinstance(caught.value.error, ConnectionLost)


def test_ten_faults_in_a_row_end_it_with_the_last(origin, tmp_path):
    artifact = sought(origin, True, Status(503).first(9), Status(500).nth(10))
    with pytest.raises(ServerBusy, match="answers 500"):
        run(artifact, tmp_path)
    assert len(origin.requests()) == 10


def test_nine_faults_in_a_row_do_not(origin, tmp_path):
    assert run(sought(origin, True, Status(503).first(9)), tmp_path).content() == MODEL.read()


def test_each_new_byte_makes_the_budget_fresh(origin, tmp_path):
    got = run(sought(origin, True, Reset(after=100_000)), tmp_path, terms=quick(faults_max=2))
    assert got.content() == MODEL.read()
    assert len(origin.requests()) == 22
    assert origin.sent("m.gguf") == MODEL.size


def test_bytes_that_had_come_before_make_no_budget_fresh(origin, tmp_path):
    """Nothing binds these answers, so each try begins anew, and brings what the one before had brought."""
    with pytest.raises(ConnectionLost):
        run(sought(origin, False, NoEtag(), Reset(after=HALF)), tmp_path)
    assert len(origin.requests()) == 10


def test_a_host_that_takes_fewer_connections_is_asked_with_fewer_at_no_cost(origin, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_room, "Tuning", lambda **_: Tuning(count=4, held=4, resting_until=float("inf")))
    large = gguf_pattern(20 * MIB, seed=3)  # the first connection takes 16 MiB of it
    hold = Hold(event=threading.Event(), after=MIB).covering(0)
    busy = Status(429).from_byte(1)
    url = origin.serve("m.gguf", large, faults=[hold, busy])
    with Running(pinned(url, large), tmp_path, terms=quick(faults_max=1)) as running:
        origin.wait_for(lambda: any(one.status == 429 for one in origin.requests()))
        origin.break_with(path="/m.gguf")
        hold.event.set()
        got = running.end()
    assert got.content() == large.read()
    assert "fault" not in got.note_kinds


# What will not change ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"), [(404, SourceMissing), (410, SourceMissing), (400, SourceRefused), (451, SourceRefused)]
)
def test_a_status_that_will_not_change_ends_it_at_once(origin, tmp_path, status, error):
    with pytest.raises(error, match=rf"m\.gguf: 127\.0\.0\.1:\d+ .*{status}"):
        run(sought(origin, True, Status(status)), tmp_path)
    assert len(origin.requests()) == 1


def test_a_file_of_a_folder_that_is_missing_is_the_one_that_is_named(origin, tmp_path):
    urls = {"a.json": origin.serve("a.json", b"{}"), "sub/b.json": origin.url("b.json")}
    with pytest.raises(SourceMissing, match=r"^sub/b\.json: "):
        run(folder_of(urls), tmp_path)


# Redirects -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("relative", [True, False])
def test_a_redirect_is_followed(origin, tmp_path, code, relative):
    target = origin.serve("sub/real.gguf", MODEL)
    url = origin.serve("m.gguf", b"", faults=[Redirect(code, "sub/real.gguf" if relative else target)])
    assert run(pinned(url, MODEL), tmp_path).content() == MODEL.read()
    assert origin.sent("sub/real.gguf") == MODEL.size


def test_redirects_without_end_are_left(origin, tmp_path):
    artifact = sought(origin, True, Redirect(302, "/m.gguf"))
    with pytest.raises(RedirectRefused, match=r"m\.gguf: 127\.0\.0\.1:\d+ redirects without end"):
        run(artifact, tmp_path)
    assert len(origin.requests()) == 10


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://x.example/m.gguf", "http://x.example/m.gguf"])
def test_a_redirect_to_where_nobody_should_go_is_refused(origin, tmp_path, target):
    artifact = sought(origin, False, Redirect(302, target))
    with pytest.raises(RedirectRefused, match=r"/m\.gguf redirects where flowhub does not follow.*/") as caught:
        run(artifact, tmp_path)
    assert target in caught.value.message
    assert len(origin.requests()) == 1


@pytest.mark.parametrize("target", ["data:,x", "http://[", "//"])
def test_a_redirect_to_no_address_at_all_ends_it_clearly(origin, tmp_path, target):
    with pytest.raises((RedirectRefused, SourceRefused, ConnectionLost), match=r"^m\.gguf: 127\.0\.0\.1:"):
        run(sought(origin, False, Redirect(302, target)), tmp_path, terms=quick(faults_max=2))


@pytest.mark.parametrize("pin", [True, False], ids=["pinned", "unpinned"])
def test_a_redirect_from_https_down_to_http_needs_a_pin(origin, tmp_path, monkeypatch, fresh_trust, pin):
    target = origin.serve("m.gguf", MODEL)
    with Origin(tls=True) as secure:
        monkeypatch.setenv("SSL_CERT_FILE", str(secure.ca_file))
        url = secure.serve("m.gguf", b"", faults=[Redirect(302, target)])
        if pin:
            assert run(pinned(url, MODEL), tmp_path).content() == MODEL.read()
            return
        with pytest.raises(RedirectRefused, match="leaves https"):
            run(unpinned(url), tmp_path)
    assert origin.requests() == []
