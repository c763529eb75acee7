"""The console script. Ctrl-C during the imports ends it without a traceback."""

import os
import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run `flowhub`. From here on until a verb listens, Ctrl-C ends the process with 130 and no traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as under nohup
        signal.signal(signal.SIGINT, lambda _signum, _frame: os._exit(128 + signal.SIGINT))
    from flowhub_jobs.cli import main as program

    program.main()
