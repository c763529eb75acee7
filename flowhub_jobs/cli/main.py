"""The program `flowhub`: prepares the process, runs a verb, and turns every error into output and an exit status."""

import contextlib
import errno
import gc
import os
import sys
from typing import NoReturn

from flowhub_jobs.cli import output, signals
from flowhub_jobs.cli.error_output import print_error
from flowhub_jobs.cli.signals import InterruptedBySignal
from flowhub_jobs.errors import FlowhubError, Interrupted, Terminated
from flowhub_jobs.operations.convert_unexpected_errors import as_flowhub_error
from flowhub_jobs.times import replace_refused_time_zone

_PRINTED_BY_TYPER = frozenset({"-h", "--help", "--version"})
_OUTPUT_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # a redirection to a full disk


def main() -> NoReturn:
    # The imports create many objects and no garbage; collecting would take a tenth of a command's time.
    gc.set_threshold(100_000, 20, 20)
    _ensure_utf8_names()
    _open_closed_streams()
    _deny_others_write_access()
    if sys.argv[1:2] == ["__complete"]:  # from the shell, at every Tab: no verb's modules are imported
        from flowhub_jobs.cli.completion.candidates import answer

        sys.exit(answer(sys.argv[2:]))
    try:
        status = run(sys.argv[1:])
        signals.keep_to(status)
        _end_streams()
    except (KeyboardInterrupt, InterruptedBySignal) as second:
        signals.leave_at_once(second)
    gc.freeze()  # the process ends: a last collection would take a seventh of a command's time
    sys.exit(status)


def _deny_others_write_access() -> None:
    """Deny others write access to new files: a umask of 0, as in some containers, becomes 022."""
    mask = os.umask(0o022)
    os.umask(mask if mask & 0o002 else mask | 0o022)


def _ensure_utf8_names() -> None:
    """Restart in UTF-8 mode if the locale makes Python decode file names in another encoding.

    Paths are stored in the database, and a worker with another locale has to find the same files. The terminal keeps
    the locale's encoding.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        streams = f"{sys.stdout.encoding}:replace" if sys.stdout else "utf-8"
        environ = os.environ | {"PYTHONUTF8": "1", "PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING") or streams}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606, nothing of a shell


def _open_closed_streams() -> None:
    """Open /dev/null in place of a closed stdin, stdout or stderr, whose number a database file could get otherwise."""
    with contextlib.suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def run(arguments: list[str]) -> int:
    """Run a verb; return its exit status."""
    output.choose(json="--json" in arguments)
    arguments = _json_after_verb(arguments)
    signals.listen()
    try:
        return _run(arguments)
    except FlowhubError as error:
        return print_error(error)
    except (KeyboardInterrupt, InterruptedBySignal) as interruption:
        return _ended_by(interruption, arguments[:2])
    except BrokenPipeError:
        output.discard(sys.stdout)  # the reader of stdout has exited, as `head` does
        return 0
    except Exception as error:
        if isinstance(error, OSError) and _is_of_stdout(error, arguments):
            output.discard(sys.stdout)
            return print_error(FlowhubError(f"The result cannot be written: {error.strerror}."))
        if os.environ.get("FLOWHUB_DEBUG"):
            raise
        return print_error(as_flowhub_error(error))


def _json_after_verb(arguments: list[str]) -> list[str]:
    """Return `--json status 1` as `status 1 --json`."""
    if arguments[:1] != ["--json"] or not arguments[1:] or arguments[1].startswith("-"):
        return arguments
    rest = arguments[1:]
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], "--json", *rest[end:]]


def _run(arguments: list[str]) -> int:
    import typer

    from flowhub_jobs.cli.app import command
    from flowhub_jobs.cli.usage_errors import USAGE_ERROR, usage_invalid

    output.prepare_streams()
    if (refused := replace_refused_time_zone()) is not None:
        output.hint(f"flowhub: TZ={refused} is not a time zone; times are in UTC.")
    _warn_of_unknown_variables()
    try:
        # Not `command().main`: it ends silently after Ctrl-C, and with 1 after a broken pipe.
        with command().make_context("flowhub", list(arguments)) as context:
            status = command().invoke(context)
    except USAGE_ERROR as error:
        raise usage_invalid(error) from error
    except typer.Exit as error:  # --help, --version
        status = error.exit_code
    output.flush_result()
    return status if isinstance(status, int) else 0


def _warn_of_unknown_variables() -> None:
    """Warn of a misspelt FLOWHUB_ variable, which would be ignored; config.toml refuses such a name."""
    if output.chosen.json or not any(name.startswith("FLOWHUB_") for name in os.environ):
        return
    from flowhub_jobs.settings import unknown_variables

    for name, nearest in unknown_variables(os.environ).items():
        advice = f"did you mean {nearest}?" if nearest else "`flowhub help settings` lists them."
        output.hint(f"flowhub: {name} is not a setting and was ignored; {advice}")


def _is_of_stdout(error: OSError, arguments: list[str]) -> bool:
    """Return whether stdout is full, and no other file."""
    if error.errno not in _OUTPUT_FULL or error.filename:
        return False
    # Typer prints these by itself, and leaves nothing in the buffer that could be written again.
    return not _PRINTED_BY_TYPER.isdisjoint(arguments) or not _can_flush()


def _can_flush() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _end_streams() -> None:
    """Drop what a stream cannot take: Python's own flush at exit would replace the exit status by 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            output.discard(stream)


def _ended_by(interruption: BaseException, verb: list[str]) -> int:
    # The buffered part of the result first; the error after it says that it is incomplete.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    if verb[:1] == ["worker"] and verb[1:] not in (["install"], ["uninstall"], ["status"]):
        return 0  # the worker had not started any job
    if isinstance(interruption, InterruptedBySignal):
        return print_error(Terminated("Terminated.", hint="Queued jobs continue."))
    return print_error(Interrupted("Interrupted.", hint="Queued jobs continue; `flowhub status` shows them."))


if __name__ == "__main__":
    main()
