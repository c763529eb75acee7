"""`flowhub`: runs a verb, and tells every error in one way: a few lines or one JSON object, and its exit status."""

import contextlib
import gc
import os
import sys
from typing import NoReturn

from flowhub_jobs.cli import output, signals
from flowhub_jobs.cli.signals import InterruptedBySignal
from flowhub_jobs.errors import FlowhubError, InternalError, Interrupted, Terminated


def main() -> NoReturn:
    # The imports make many objects and no garbage: looking for it would take a tenth of a command's time.
    gc.set_threshold(100_000, 20, 20)
    _take_names_as_utf8()
    _open_closed_streams()
    _mask_rights_of_others()
    if sys.argv[1:2] == ["__complete"]:  # by the shell, at every Tab: none of what a verb needs is imported
        from flowhub_jobs.cli.completion.candidates import answer

        sys.exit(answer(sys.argv[2:]))
    try:
        status = run(sys.argv[1:])
        signals.keep_to(status)
    except (KeyboardInterrupt, InterruptedBySignal) as second:
        signals.leave_at_once(second)
    gc.freeze()  # all goes with the process: to look for garbage in it once more takes a seventh of a command's time
    sys.exit(status)


def _mask_rights_of_others() -> None:
    """Let nobody else write to what is made, whatever the umask: one of 0, as of some containers, counts as 022."""
    mask = os.umask(0o022)
    os.umask(mask if mask & 0o002 else mask | 0o022)


def _take_names_as_utf8() -> None:
    """Start once more in UTF-8 mode where the locale has Python read file names in another encoding.

    A path is kept in the database, and a worker with another locale has to find the same file by it. The terminal
    keeps the encoding that the locale gives it.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        streams = f"{sys.stdout.encoding}:replace" if sys.stdout else "utf-8"
        environ = os.environ | {"PYTHONUTF8": "1", "PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING") or streams}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606, nothing of a shell


def _open_closed_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed: a database would get that number, and we print into it."""
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
    arguments = _json_behind_the_verb(arguments)
    signals.listen()
    try:
        return _run(arguments)
    except FlowhubError as error:
        return tell(error)
    except (KeyboardInterrupt, InterruptedBySignal) as word:
        return _ended_by(word, arguments[:2])
    except BrokenPipeError:
        _let_go_of_stdout()  # whoever read us has gone, as `head` does
        return 0
    except Exception as error:
        if os.environ.get("FLOWHUB_DEBUG"):
            raise
        return tell(_internal(error))


def _json_behind_the_verb(arguments: list[str]) -> list[str]:
    """Return `--json status 1` as `status 1 --json`, where the verb reads it."""
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
    _warn_of_unknown_variables()
    try:
        # Not `command().main`: it ends a Ctrl-C without a word, and a reader who has gone with 1.
        with command().make_context("flowhub", list(arguments)) as context:
            status = command().invoke(context)
    except USAGE_ERROR as error:
        raise usage_invalid(error) from error
    except typer.Exit as error:  # --help, --version
        status = error.exit_code
    _flush()
    return status if isinstance(status, int) else 0


def _warn_of_unknown_variables() -> None:
    """Warn of a misspelt FLOWHUB_ variable, which would be ignored; config.toml refuses such a name."""
    if output.chosen.json or not any(name.startswith("FLOWHUB_") for name in os.environ):
        return
    from flowhub_jobs.settings import unknown_variables

    for name, nearest in unknown_variables(os.environ).items():
        meant = f"did you mean {nearest}?" if nearest else "`flowhub help settings` lists them."
        output.hint(f"flowhub: {name} is not a setting and was ignored; {meant}")


def _flush() -> None:
    """Write out what was printed, so that a full disk or a reader who has gone is told by us, not by Python."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _let_go_of_stdout()
        raise FlowhubError(f"The result cannot be written: {error.strerror}.") from error


def _let_go_of_stdout() -> None:
    # Python flushes once more at its end, and would complain.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ended_by(word: BaseException, verb: list[str]) -> int:
    # Nobody may hear half of a table as the whole; what is left in the buffer goes first all the same.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    if verb[:1] == ["worker"] and verb[1:] not in (["install"], ["uninstall"], ["status"]):
        return 0  # stopped before it had begun: nothing to hand back
    if isinstance(word, InterruptedBySignal):
        return tell(Terminated("Terminated.", hint="Queued jobs continue."))
    return tell(Interrupted("Interrupted.", hint="Queued jobs continue; `flowhub status` shows them."))


def _internal(error: Exception) -> FlowhubError:
    import sqlite3

    from flowhub_jobs.net.urls import driver_words, scrub

    if isinstance(error, sqlite3.Error) or type(error).__module__.startswith("sqlalchemy"):
        from flowhub_jobs.errors import DatabaseUnusable

        return DatabaseUnusable(f"The database does not answer: {driver_words(error)}.")
    if isinstance(error, UnicodeEncodeError):  # a name that was typed, and that no table can hold
        from flowhub_jobs.errors import UsageInvalid

        return UsageInvalid(f"{error.object[:200]!r} is not UTF-8 text.", hint="Write the name in UTF-8.")
    if isinstance(error, OSError):
        return FlowhubError(f"{scrub(str(error.filename or 'The system'))}: {error.strerror or error}.")
    hint = f"{InternalError.default_hint} FLOWHUB_DEBUG=1 shows where it happened."
    return InternalError(f"A fault of flowhub's own: {type(error).__name__}: {scrub(str(error))[:300]}", hint=hint)


def tell(error: FlowhubError) -> int:
    """Tell an error on stderr: what happened, why, what to do. Return its exit status."""
    if output.chosen.json:
        import json

        text = json.dumps({"error": error.as_dict()})
    else:
        text = _shown(f"flowhub: {_one_line(error.message)}")
        text += "\n" + _shown(f"  {_one_line(error.hint)}") if error.hint else ""
    with contextlib.suppress(OSError):  # stderr is gone: the exit status still says it
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    return error.exit_status


def _shown(line: str) -> str:
    """Return a line that a terminal does not break in the middle of a word; for a program it stays one."""
    return output.fold(line.strip(), "  " if line.startswith(" ") else "", after="  ") if sys.stderr.isatty() else line


def _one_line(text: str) -> str:
    return output.clean(" ".join(text.split()))


if __name__ == "__main__":
    main()
