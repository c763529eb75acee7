"""Messages of a worker to systemd over a real socket; a missing or silent socket does the worker no harm."""

import os
import signal
import socket
import subprocess
import sys
import tempfile

import pytest
from support.fake_clock import FakeClock

from flowhub_jobs.service.sd_notify import Notifier, Pulse


class Listener:
    """systemd's end: a datagram socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def messages(self) -> list[str]:
        """Return the messages that have arrived, without waiting."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return messages

    def next_message(self) -> str:
        """Wait for the next message and return it."""
        self._socket.settimeout(30)
        try:
            return self._socket.recv(65536).decode()
        finally:
            self._socket.setblocking(False)

    def environ(self, **variables: str) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, **variables}

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener():
    with tempfile.TemporaryDirectory() as folder:  # a socket's path holds about a hundred bytes
        systemd = Listener(f"{folder}/notify")
        yield systemd
        systemd.close()


def test_a_real_worker_reports_ready_watchdog_status_and_stopping(listener, tmp_path):
    environ = listener.environ(WATCHDOG_USEC="4000000", FLOWHUB_HOME=str(tmp_path / "home"))
    command = [sys.executable, "-m", "flowhub_jobs.cli.main", "worker"]
    with subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.DEVNULL) as worker:
        try:
            assert listener.next_message() == "READY=1"
            assert listener.next_message() == "WATCHDOG=1"
            assert listener.next_message() == "STATUS=Idle; the queue is empty"
            worker.send_signal(signal.SIGTERM)
            while not (message := listener.next_message()).startswith("STOPPING=1"):
                assert message == "WATCHDOG=1"
        except BaseException:
            worker.kill()
            raise
    assert worker.returncode == 0


def test_each_message_is_one_datagram(listener):
    notifier = Notifier(listener.environ(WATCHDOG_USEC="180000000"))
    notifier.ready()
    notifier.status("2 jobs, 45.0 MB/s")
    notifier.alive()
    notifier.stopping()
    assert listener.messages() == [
        "READY=1",
        "STATUS=2 jobs, 45.0 MB/s",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=Stopping: every job is handed back.",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_a_socket_without_a_file_is_reached():
    systemd = Listener(f"@flowhub-test-{os.getpid()}")
    try:
        Notifier(systemd.environ()).ready()
        assert systemd.messages() == ["READY=1"]
    finally:
        systemd.close()


def test_the_same_status_is_sent_once(listener):
    notifier = Notifier(listener.environ())
    for text in ("Idle", "Idle", "1 job", "Idle"):
        notifier.status(text)
    assert listener.messages() == ["STATUS=Idle", "STATUS=1 job", "STATUS=Idle"]


def test_a_line_break_in_a_status_starts_no_message(listener):
    Notifier(listener.environ()).status("m\nWATCHDOG=1\x1b[2J\u2028" + "x" * 1000)
    [message] = listener.messages()
    assert message.startswith("STATUS=m WATCHDOG=1 [2J x")
    assert "\n" not in message
    assert len(message) < 400


def test_a_listener_that_is_gone_is_no_error(listener):
    notifier = Notifier(listener.environ(WATCHDOG_USEC="1000000"))
    listener.close()
    os.unlink(listener.address)
    notifier.ready()
    notifier.status("Idle \udcff")
    notifier.alive()
    notifier.stopping()


@pytest.mark.parametrize("address", ["", "@", "vsock:2:1", "relative", "/no/such/socket", "/" + "x" * 300, "/a\0b"])
def test_an_unreachable_notify_socket_gets_nothing_and_raises_nothing(address):
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.stopping()
    Notifier({}).ready()


def test_without_a_socket_no_watchdog_message_is_due():
    assert not Notifier({}).wanted
    assert Notifier({"WATCHDOG_USEC": "180000000"}).interval_s is None


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": str(os.getpid())}, 90.0),
        ({"WATCHDOG_USEC": "180000000"}, 90.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "1"}, None),  # another process is watched
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "me"}, None),
        ({}, None),
    ],
)
def test_a_watchdog_message_is_due_twice_in_each_watchdog_interval(listener, environ, interval):
    notifier = Notifier(listener.environ(**environ))
    assert notifier.interval_s == interval
    notifier.alive()
    assert listener.messages() == ([] if interval is None else ["WATCHDOG=1"])


def test_each_beat_sends_a_watchdog_message_and_every_few_seconds_a_status(listener):
    time = FakeClock()
    statuses = iter(["Idle", "1 job", "2 jobs"])
    pulse = Pulse(Notifier(listener.environ(WATCHDOG_USEC="180000000")), lambda: next(statuses), time.clock.awake)
    pulse.beat()
    pulse.beat()
    assert listener.messages() == ["WATCHDOG=1", "STATUS=Idle", "WATCHDOG=1"]
    time.advance(10)
    pulse.beat()
    assert listener.messages() == ["WATCHDOG=1", "STATUS=1 job"]


def test_a_status_that_cannot_be_read_does_not_stop_the_watchdog_messages(listener):
    def read_status() -> str:
        raise OSError("the database is busy")

    pulse = Pulse(Notifier(listener.environ(WATCHDOG_USEC="180000000")), read_status, FakeClock().clock.awake)
    with pytest.raises(OSError, match="busy"):
        pulse.beat()
    pulse.beat()
    assert listener.messages() == ["WATCHDOG=1", "WATCHDOG=1"]


def test_without_a_notify_socket_no_status_is_read():
    Pulse(Notifier({}), lambda: pytest.fail("the status was read"), FakeClock().clock.awake).beat()
