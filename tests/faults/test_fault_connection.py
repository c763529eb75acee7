"""The connection: reset, closed too early, refused, to a name that does not resolve, or with a bad certificate."""

import socket
import socketserver
import threading
from dataclasses import replace

import pytest
from support.fault_files import HALF, MIB, MODEL, host_of, serve_model
from support.faults import CloseBeforeHeaders, EarlyClose, Hold, IgnoreRange, NoEtag, NoLength, Reset, Stall, Status
from support.models import gguf_pattern
from support.origin import Origin
from support.run_fetch import BackgroundRun, pinned_artifact, quick, run_transfer

from flowhub_jobs.errors import ConnectionLost, NetworkDown, TlsUntrusted, TrustUnreadable
from flowhub_jobs.transfer import fetch as fetch_room
from flowhub_jobs.transfer.concurrency import ConcurrencyPlan

# Broken --------------------------------------------------------------------------------------------------------------

BREAKS = {
    "a reset in mid-body": [Reset(after=HALF).once()],
    "a reset at the first byte": [Reset().once()],
    "three resets": [Reset(after=300_000).first(3)],
    "an early close": [EarlyClose(after=HALF).once()],
    "an early close at the first bytes": [EarlyClose(after=20).first(2)],
    "a chunked answer that is closed before its last chunk": [EarlyClose(after=HALF).once(), NoLength()],
    "a close before the headers": [CloseBeforeHeaders().first(2)],
}


@pytest.mark.parametrize("faults", BREAKS.values(), ids=BREAKS)
def test_a_connection_that_breaks_costs_no_byte_twice(origin, downloader, pin, faults):
    downloader.assert_succeeds_without_refetch(serve_model(origin, pin, *faults), MODEL, origin)


def test_a_host_that_resets_every_connection_after_some_bytes_is_tolerated(origin, downloader):
    """Each try brings new bytes. With a budget of two, tries without new bytes would end it."""
    options = quick(faults_max=2, connections_per_host=1)
    downloader.assert_succeeds_without_refetch(serve_model(origin, True, Reset(after=200_000)), MODEL, origin, options)
    assert len(origin.requests()) == 22


DROPS = {
    "resets without a byte": Reset(),
    "closes without a byte": EarlyClose(),
    "closes before the headers": CloseBeforeHeaders(),
}


@pytest.mark.parametrize("fault", DROPS.values(), ids=DROPS)
def test_a_host_that_always_drops_the_connection_is_given_up_after_ten_tries(origin, downloader, fault):
    error = downloader.assert_fails(
        serve_model(origin, True, fault), ConnectionLost, "m.gguf", host_of(origin), "dropped the connection"
    )
    assert "10 times in a row" in error["hint"]
    assert error["retryable"]
    assert len(origin.requests()) == 10


def test_bytes_that_had_come_before_make_no_budget_fresh(origin, tmp_path):
    """These answers have no validator, so each try starts at byte 0 and brings the same bytes again."""
    with pytest.raises(ConnectionLost):
        run_transfer(serve_model(origin, False, NoEtag(), Reset(after=HALF)), tmp_path)
    assert len(origin.requests()) == 10


def test_a_long_backoff_gives_the_slot_away(origin, tmp_path, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.transfer.fault_handler.random.random", lambda: 0.9)
    options = quick()
    options = replace(options, patience=replace(options.patience, base_s=60, delay_max_s=60))
    with pytest.raises(fetch_room.RetryLater) as raised:
        run_transfer(serve_model(origin, True, EarlyClose()), tmp_path, options=options)
    assert not raised.value.asked_by_host
    assert isinstance(raised.value.error, ConnectionLost)


REFUSALS = {"429": Status(429), "503": Status(503), "a reset": Reset(), "a close": CloseBeforeHeaders()}


@pytest.mark.parametrize("fault", REFUSALS.values(), ids=REFUSALS)
def test_a_host_that_takes_fewer_connections_is_asked_with_fewer_at_no_cost(origin, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(
        fetch_room, "ConcurrencyPlan", lambda **_: ConcurrencyPlan(count=4, baseline=4, backing_off_until=float("inf"))
    )
    large = gguf_pattern(20 * MIB, seed=3)  # the first connection takes 16 MiB of it
    hold = Hold(after=MIB).covering(0)
    refused = fault.from_byte(1)
    url = origin.serve("m.gguf", large, faults=[hold, refused])
    with BackgroundRun(pinned_artifact(url, large), tmp_path, options=quick(faults_max=1)) as running:
        origin.wait_for(lambda: any(begin > 0 for begin in origin.range_starts()) and len(origin.requests()) > 1)
        origin.wait_for(lambda: any(request.done for request in origin.requests()))
        origin.break_with(path="/m.gguf")
        hold.event.set()
        result = running.result()
    assert result.content() == large.read()
    assert "fault" not in result.note_kinds


# Not established ------------------------------------------------------------------------------------------------------


def test_a_host_that_refuses_and_then_is_back_is_waited_for(origin, tmp_path):
    artifact = serve_model(origin, True)
    origin.refuse()
    with BackgroundRun(artifact, tmp_path, options=quick(faults_max=10_000)) as running:
        running.run.wait_for_progress(1)
        origin.listen_again()
        result = running.result()
    assert result.content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size
    assert result.notes[0].kind == "fault"


def test_a_host_that_goes_away_in_mid_body_and_comes_back_costs_no_byte_twice(origin, tmp_path):
    hold = Hold(after=HALF).once()
    artifact = serve_model(origin, True, hold)
    with BackgroundRun(artifact, tmp_path, options=quick(faults_max=10_000)) as running:
        origin.wait_for(lambda: origin.sent("m.gguf") == HALF)
        origin.refuse()
        origin.drop_connections()
        running.run.wait_for_progress(1)
        origin.listen_again()
        result = running.result()
    assert result.content() == MODEL.read()
    assert result.fetched.bytes_fetched == MODEL.size


def test_a_host_that_refuses_for_good_is_named(origin, downloader):
    artifact = serve_model(origin, True)
    origin.refuse()
    message = f"m.gguf: {host_of(origin)} cannot be reached: "
    error = downloader.assert_fails(artifact, NetworkDown, message, "refused", options=quick(faults_max=3))
    assert "3 times in a row" in error["hint"]


def failing_look_up(monkeypatch, times):
    """Make the first `times` look-ups of names fail: a test cannot have a resolver of its own."""
    look_up, failures = socket.getaddrinfo, iter(range(times))

    def fail(*arguments, **more):
        if next(failures, None) is not None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", fail)


def test_a_name_that_does_not_resolve_is_a_fault_that_passes(origin, tmp_path, monkeypatch):
    artifact = serve_model(origin, True)
    failing_look_up(monkeypatch, 2)
    result = run_transfer(artifact, tmp_path)
    assert result.content() == MODEL.read()
    assert "Temporary failure in name resolution" in result.notes[0].text


def test_a_name_that_never_resolves_is_named(origin, downloader, monkeypatch):
    artifact = serve_model(origin, True)
    failing_look_up(monkeypatch, 10_000)
    message = f"m.gguf: {host_of(origin)} cannot be reached: "
    downloader.assert_fails(
        artifact, NetworkDown, message, "Temporary failure in name resolution", options=quick(faults_max=2)
    )


# Not trusted ---------------------------------------------------------------------------------------------------------


def test_a_certificate_that_is_not_trusted_may_pass_and_says_how_to_give_a_ca(downloader, uncached_trust):
    """It may belong to a captive portal that the user signs in to later."""
    with Origin(tls=True) as origin:
        message = f"m.gguf: {host_of(origin)} shows a certificate that is not trusted"
        error = downloader.assert_fails(serve_model(origin, True), TlsUntrusted, message, options=quick(faults_max=2))
        assert error["retryable"]
        assert origin.requests() == []


def test_a_certificate_of_another_name_may_pass(tmp_path, monkeypatch, uncached_trust):
    with Origin(tls=True, host_name="other.example") as origin:
        monkeypatch.setenv("SSL_CERT_FILE", str(origin.ca_file))
        with pytest.raises(TlsUntrusted, match=r"m\.gguf: 127\.0\.0\.1:\d+ shows a certificate .*mismatch"):
            run_transfer(serve_model(origin, True), tmp_path, options=quick(faults_max=2))
        assert origin.requests() == []


def test_a_body_without_a_length_that_is_cut_off_under_tls_is_not_the_whole_file(tmp_path, monkeypatch, uncached_trust):
    """The end of TLS marks a whole body. A server that never sends it ends two tries alike."""
    with Origin(tls=True) as origin:
        monkeypatch.setenv("SSL_CERT_FILE", str(origin.ca_file))
        artifact = serve_model(origin, False, NoLength(chunked=False), IgnoreRange(), EarlyClose(after=HALF).once())
        result = run_transfer(artifact, tmp_path)
        assert result.content() == MODEL.read()
        assert "without the end of TLS" in result.notes[0].text


def test_a_ca_of_ones_own_is_trusted(downloader, monkeypatch, uncached_trust):
    with Origin(tls=True) as origin:
        monkeypatch.setenv("SSL_CERT_FILE", str(origin.ca_file))
        downloader.assert_succeeds_without_refetch(serve_model(origin, True, Reset(after=HALF).once()), MODEL, origin)


def test_a_ca_file_that_cannot_be_read_is_named(downloader, monkeypatch, tmp_path, uncached_trust):
    (tmp_path / "ca.pem").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with Origin(tls=True) as origin:
        words = ("SSL_CERT_FILE", str(tmp_path / "ca.pem"), "cannot be read")
        downloader.assert_fails(serve_model(origin, True), TrustUnreadable, *words, options=quick(faults_max=2))
        assert origin.requests() == []


def test_an_unreadable_ca_file_does_not_matter_to_a_source_without_tls(origin, downloader, monkeypatch, uncached_trust):
    monkeypatch.setenv("SSL_CERT_FILE", "/there/is/none")
    downloader.assert_succeeds_without_refetch(serve_model(origin, True), MODEL, origin)


def test_silence_over_tls_ends_when_its_time_is_over(tmp_path, monkeypatch, uncached_trust):
    """CPython reads a blocking TLS socket again and again when the kernel's timeout ends a read."""
    with Origin(tls=True) as origin:
        monkeypatch.setenv("SSL_CERT_FILE", str(origin.ca_file))
        result = run_transfer(serve_model(origin, True, Stall(after=HALF).once()), tmp_path, options=quick(stall_s=0.2))
        assert result.content() == MODEL.read()
        assert "sent no byte for 0.2 s" in result.notes[0].text


def test_a_host_that_does_not_end_its_tls_handshake_is_named(origin, tmp_path):
    """The origin speaks plain http, and waits for the rest of an invalid request."""
    url = origin.serve("m.gguf", MODEL).replace("http://", "https://")
    with pytest.raises(NetworkDown, match=r"m\.gguf: 127\.0\.0\.1:\d+ cannot be reached: .*handshake"):
        run_transfer(pinned_artifact(url, MODEL), tmp_path, options=quick(connect_s=0.1, faults_max=2))


class PlainHttpHandler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_host_that_speaks_no_tls_on_its_https_port_is_named(tmp_path):
    with socketserver.TCPServer(("127.0.0.1", 0), PlainHttpHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        host = f"127.0.0.1:{server.server_address[1]}"
        with pytest.raises(ConnectionLost, match=f"m.gguf: {host} does not speak TLS as it should"):
            run_transfer(pinned_artifact(f"https://{host}/m.gguf", MODEL), tmp_path, options=quick(faults_max=2))
        server.shutdown()
        thread.join()
