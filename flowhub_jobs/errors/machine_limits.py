"""Errors of this machine's limits: open files, threads, memory (exit status 1)."""

from typing import Self

from flowhub_jobs.errors.base import FlowhubError


class TooManyFiles(FlowhubError):
    """EMFILE, ENFILE: a limit of this machine, which says nothing of the disk."""

    code = "too_many_files"
    retryable = True
    default_hint = (
        "Raise the limit of open files (`ulimit -n 1024`; LimitNOFILE= of a service), "
        "or run fewer jobs at once (`flowhub worker --jobs 1`)."
    )


class TooManyThreads(FlowhubError):
    """The system starts no more threads for this process: a limit of processes, or of its memory."""

    code = "too_many_threads"
    retryable = True
    default_hint = (
        "Raise the limit of processes (`ulimit -u`; TasksMax= of a service; pids.max of a container) "
        "or of memory (`ulimit -v`), or run fewer jobs at once (`flowhub worker --jobs 1`)."
    )

    @classmethod
    def of(cls, error: BaseException) -> Self | None:
        """Return Python's error for a thread that could not be started as one of this class; None for another one."""
        if isinstance(error, RuntimeError) and str(error) == "can't start new thread":  # CPython, _threadmodule.c
            return cls("The system starts no more threads for this process.")
        return None


class OutOfMemory(FlowhubError):
    """ENOMEM: a shortage of this machine that passes; it says nothing of the disk."""

    code = "out_of_memory"
    retryable = True
    default_hint = "Close other programs, or run fewer jobs at once (`flowhub worker --jobs 1`)."
