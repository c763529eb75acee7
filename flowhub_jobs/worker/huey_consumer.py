"""Runs Huey's consumer in the main thread of `flowhub worker`. A signal makes every run hand its job back."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from huey import Huey
from huey.consumer import Consumer as HueyConsumer

# Every slot polls by itself, so one slot sees a wake-up within 0.4 s, and three within a third of that.
FIRST_DELAY_S, LONGEST_DELAY_S = 0.05, 0.4


class WorkerConsumer(HueyConsumer):  # type: ignore[misc]  # huey has no types
    """The first signal stops gracefully and calls `on_stop`; a second one ends the process at once."""

    _signum: int | None  # huey's

    def __init__(self, huey: Huey, workers: int, on_stop: Callable[[], None]) -> None:
        super().__init__(
            huey,
            workers=workers,
            periodic=False,
            initial_delay=FIRST_DELAY_S,
            max_delay=LONGEST_DELAY_S,
            scheduler_interval=60,  # its schedule is not used
        )
        self._on_stop = on_stop

    def stop(self, graceful: bool = True) -> None:
        self._on_stop()
        super().stop(graceful=True)

    @property
    def was_signalled(self) -> bool:
        return self._signum is not None

    # Huey 3.5 has no public hook for this: by default SIGTERM loses running tasks, and SIGHUP restarts the consumer.
    def _set_signal_handlers(self) -> None:
        signals = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: the worker outlives its terminal
            signals.append(signal.SIGHUP)
        for signum in signals:
            signal.signal(signum, self._handle_signal)

    def _handle_signal(self, signum: int, frame: FrameType | None) -> Any:
        if self._signum is not None:
            os._exit(128 + signum)
        self._signum, self._graceful, self._restart = signum, True, False
