"""`flowhub`: runs a verb, and tells every error in one way: a few lines or one JSON object, and its exit status."""

import contextlib
import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from flowhub_jobs.errors import FlowhubError, InternalError, Interrupted, Terminated


def main() -> NoReturn:
    # The imports make many objects and no garbage: looking for it would take a tenth of a command's time.
    gc.set_threshold(100_000, 20, 20)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a verb; return its exit status."""
    as_json = "--json" in arguments
    with contextlib.suppress(ValueError):  # not in the main thread: the caller minds its signals
        signal.signal(signal.SIGTERM, _terminated)
    try:
        return _run(arguments)
    except FlowhubError as error:
        return tell(error, as_json=as_json)
    except KeyboardInterrupt:
        return tell(Interrupted("Interrupted. Jobs go on."), as_json=as_json)
    except BrokenPipeError:
        # Whoever read us has gone, as `head` does. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("FLOWHUB_DEBUG"):
            raise
        return tell(_internal(error), as_json=as_json)


def _run(arguments: list[str]) -> int:
    import typer

    from flowhub_jobs.cli.app import app
    from flowhub_jobs.cli.usage import USAGE_ERROR, usage_invalid

    command = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="flowhub", standalone_mode=False)
    except USAGE_ERROR as error:
        raise usage_invalid(error) from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except typer.Exit as error:
        return int(error.exit_code)
    return result if isinstance(result, int) else 0


def _internal(error: Exception) -> FlowhubError:
    import sqlite3

    from flowhub_jobs.addresses import scrub

    if isinstance(error, sqlite3.Error) or type(error).__module__.startswith("sqlalchemy"):
        from flowhub_jobs.errors import DatabaseUnusable

        return DatabaseUnusable(f"The database does not answer: {scrub(str(getattr(error, 'orig', None) or error))}.")
    if isinstance(error, OSError):
        return FlowhubError(f"{scrub(str(error.filename or 'The system'))}: {error.strerror or error}.")
    hint = f"{InternalError.default_hint} FLOWHUB_DEBUG=1 shows where it happened."
    return InternalError(f"A fault of flowhub's own: {type(error).__name__}: {scrub(str(error))[:300]}", hint=hint)


def tell(error: FlowhubError, *, as_json: bool) -> int:
    """Tell an error on stderr: what happened, why, what to do. Return its exit status."""
    if as_json:
        import json

        text = json.dumps({"error": error.as_dict()})
    else:
        text = f"flowhub: {_one_line(error.message)}" + (f"\n  {_one_line(error.hint)}" if error.hint else "")
    sys.stderr.write(text + "\n")
    return error.exit_status


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _terminated(_signum: int, _frame: FrameType | None) -> None:
    raise Terminated("Terminated. Jobs go on.")


if __name__ == "__main__":
    main()
