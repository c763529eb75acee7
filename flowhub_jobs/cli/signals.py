"""Handlers of Ctrl-C and SIGTERM: the first signal stops a verb in good order, a second ends the process at once."""

import atexit
import contextlib
import os
import signal
from types import FrameType
from typing import NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedBySignal(BaseException):
    """SIGTERM or SIGHUP arrived. Not a FlowhubError, since code that collects those must not collect this one."""


def listen() -> None:
    """Have SIGTERM raise `InterruptedBySignal` in the main thread, as Ctrl-C raises KeyboardInterrupt."""
    with contextlib.suppress(ValueError):  # not in the main thread: the caller handles signals
        signal.signal(signal.SIGTERM, _stop)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def listen_again() -> None:
    """Handle the signals here again, after a worker has ended and until the next one handles them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, _stop)
    listen()


def leave_at_once(interruption: BaseException) -> NoReturn:
    """End the process, after a second Ctrl-C or SIGTERM during the handling of the first."""
    os._exit(128 + (signal.SIGTERM if isinstance(interruption, InterruptedBySignal) else signal.SIGINT))


def keep_to(status: int) -> None:
    """Keep the exit status of a process that is ending, whatever signal arrives."""
    for signum in STOPPING:
        signal.signal(signum, lambda _signum, _frame: os._exit(status))
    # At its end, Python restores the default handlers. A late signal would kill the process and look like a crash.
    atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for signum in STOPPING:
        signal.signal(signum, signal.SIG_IGN)


def _stop(_signum: int, _frame: FrameType | None) -> None:
    raise InterruptedBySignal
