"""Ctrl-C and SIGTERM: the first stops a verb in good order, a second ends the process at once; never a traceback."""

import atexit
import contextlib
import os
import signal
from types import FrameType
from typing import NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedBySignal(BaseException):
    """SIGTERM came. Not one of our errors: what collects those and goes on would collect this one, too."""


def listen() -> None:
    """Have SIGTERM raise `InterruptedBySignal` in the main thread, as Ctrl-C raises KeyboardInterrupt."""
    with contextlib.suppress(ValueError):  # not in the main thread: the caller minds its signals
        signal.signal(signal.SIGTERM, _stop)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def listen_again() -> None:
    """Take the signals back from a worker that has ended, until the next one has them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, _stop)
    listen()


def leave_at_once(word: BaseException) -> NoReturn:
    """End the process, told by a second Ctrl-C or SIGTERM while the first was being obeyed."""
    os._exit(128 + (signal.SIGTERM if isinstance(word, InterruptedBySignal) else signal.SIGINT))


def keep_to(status: int) -> None:
    """Have no signal change the exit status of a process that has done its work and is on its way out."""
    for signum in STOPPING:
        signal.signal(signum, lambda _signum, _frame: os._exit(status))
    # Python's last act gives signals back to the system, which would kill: what came last would pass for a crash.
    atexit.register(_hear_nothing)


def _hear_nothing() -> None:
    for signum in STOPPING:
        signal.signal(signum, signal.SIG_IGN)


def _stop(_signum: int, _frame: FrameType | None) -> None:
    raise InterruptedBySignal
