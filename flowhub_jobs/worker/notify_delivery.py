"""Delivers a notice to the command, and to the webhook in up to three tries. A failed delivery is logged once."""

import contextlib
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.values.notify_settings import Notify

log = logging.getLogger("flowhub.notices")

COMMAND_S = 30.0
KILL_S = 1.0  # between asking a command to end and ending it
POLL_S = 0.1
PAUSES_S = (1.0, 4.0)  # between the tries of a webhook
# Environment variables that the command has no use for.
_SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "FLOWHUB_DATABASE_URL")


class Delivery:
    """Delivers for one worker. `stop`, from any thread, interrupts a delivery."""

    def __init__(self, notify: Notify, *, command_s: float = COMMAND_S, pauses_s: tuple[float, ...] = PAUSES_S) -> None:
        self._notify, self._command_s, self._pauses_s = notify, command_s, pauses_s
        self.stopping = threading.Event()

    def stop(self) -> None:
        self.stopping.set()

    def deliver(self, notice: bytes) -> bool:
        """Deliver, and return whether that ended, well or badly: False only if `stop` interrupted it."""
        if self._notify.command:
            self._log_failure("The command of [notify]", self._run(notice))
        if self._notify.webhook and not self.stopping.is_set():
            self._log_failure(f"The webhook at {host_of(self._notify.webhook)}", self._post(notice))
        return not self.stopping.is_set()

    def _log_failure(self, receiver: str, problem: str | None) -> None:
        if problem is not None and not self.stopping.is_set():
            log.warning("%s could not be notified: %s.", receiver, problem)

    # The command ---------------------------------------------------------------------------------------------------

    def _run(self, notice: bytes) -> str | None:
        """Return why it failed, or None. The notice is a file, so that a command may leave it unread."""
        environ = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        with tempfile.TemporaryFile() as stdin:
            stdin.write(notice)
            stdin.seek(0)
            try:
                # In its own session: it is ended together with all processes that it started.
                command = subprocess.Popen(
                    self._notify.command,
                    stdin=stdin,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environ,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                return f"it cannot be started ({getattr(error, 'strerror', None) or error})"
        return self._wait_for(command)

    def _wait_for(self, command: "subprocess.Popen[bytes]") -> str | None:
        patience = time.monotonic() + self._command_s
        while command.poll() is None:
            if self.stopping.wait(POLL_S) or time.monotonic() >= patience:
                _end(command)
                return f"it was ended after {self._command_s:g} s"
        return f"its exit status is {command.returncode}" if command.returncode else None

    # The webhook ---------------------------------------------------------------------------------------------------

    def _post(self, notice: bytes) -> str | None:
        problem = self._try(notice)
        for pause in self._pauses_s:
            if problem is None or self.stopping.wait(pause):
                break
            problem = self._try(notice)
        return None if problem is None else f"{problem}, {1 + len(self._pauses_s)} times"

    def _try(self, notice: bytes) -> str | None:
        from flowhub_jobs.net.httpx_lean import httpx
        from flowhub_jobs.net.httpx_transport import EnvironmentTransport

        assert self._notify.webhook is not None
        headers = {"Content-Type": "application/json", "User-Agent": "flowhub"}
        try:
            # No redirect is followed: the address that was checked is the only one. The answer's body is not read.
            with (
                httpx.Client(
                    transport=EnvironmentTransport(), timeout=httpx.Timeout(5.0, read=10.0), headers=headers
                ) as client,
                client.stream("POST", self._notify.webhook, content=notice) as response,
            ):
                return None if response.is_success else f"it answers {response.status_code}"
        except FlowhubError as error:  # a proxy, or the certificates that are trusted
            return error.message.rstrip(".")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"it cannot be reached ({type(error).__name__})"


def _end(command: "subprocess.Popen[bytes]") -> None:
    """End a command and every process that it started: by SIGTERM, then by SIGKILL."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(command.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(KILL_S)
