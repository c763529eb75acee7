"""The root of the tree of errors: the message, the hint, and where it happened."""

from typing import Any, ClassVar, Self

from flowhub_jobs.errors.hint_placeholders import for_command_line


class FlowhubError(Exception):
    """The message says what happened and why; the hint says what to do next.

    A hint is given with placeholders for the job's command (errors/hint_placeholders.py): `hint` is filled for the
    command line, and `hint_template` is the hint as it was given.

    `host` and `path` tell where it happened: which host, which of the artifact's files. The message is composed from
    them and from `text` when it is shown, so that no code has to look for a name in a sentence.
    """

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    needs_user: ClassVar[bool] = False  # the user should hear of it at once, although it is tried again
    from_host: ClassVar[bool] = True  # whether the fault came from the requested host, not from something in between
    default_hint: ClassVar[str | None] = None
    may_be_transient = False  # whether hosts also send this refusal to clients that ask too often

    def __init__(self, text: str, *, hint: str | None = None, host: str | None = None, path: str | None = None) -> None:
        """`host`: the host that `text` names. `path` is not in `text`: the message begins with it."""
        super().__init__(text)
        self.text = text
        self.hint_template = hint or self.default_hint
        self.host, self.path = host, path
        self._names_host = host is not None

    def at(self, *, host: str, path: str) -> Self:
        """Record where it happened, as far as that is not known yet; return the error."""
        self.host, self.path = self.host or host, self.path or path
        return self

    @property
    def message(self) -> str:
        """The text with the file and the host where it happened."""
        return f"{self.path}: {self.message_of_host}" if self.path else self.message_of_host

    @property
    def message_of_host(self) -> str:
        """The message without the file, for a fault that concerns all files of the host."""
        names_host = self.host is None or self._names_host or not self.from_host
        return self.text if names_host else f"{self.text} It came from {self.host}."

    def __str__(self) -> str:
        return self.message

    @property
    def hint(self) -> str | None:
        return None if self.hint_template is None else for_command_line(self.hint_template)

    @hint.setter
    def hint(self, template: str | None) -> None:
        self.hint_template = template

    def as_dict(self) -> dict[str, Any]:
        """Return the contract's error object: exactly these four keys."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "retryable": self.retryable}

    def as_row(self) -> dict[str, Any]:
        """Return the error as a job's row keeps it: the hint has its placeholders, which `JobQueries` fills."""
        return self.as_dict() | {"hint": self.hint_template}
