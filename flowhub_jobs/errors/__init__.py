"""One tree of errors. A leaf has a code, an exit status, and knows whether trying again can help.

Raise, never return. A foreign error becomes one of these at its room's border.
`ERRORS` at the end is the table that `flowhub help errors` prints.
"""

from typing import Any, ClassVar, Self

from flowhub_jobs.errors.hints import for_command_line


class FlowhubError(Exception):
    """The message says what happened and why; the hint says what to do next.

    A hint is given with placeholders for the job's command (errors/hints.py): `hint` is filled for the command line,
    and `hint_template` is the hint as it was given.

    `host` and `path` tell where it happened: which host, which of the artifact's files. The message is composed from
    them and from `text` when it is shown, so that no code has to look for a name in a sentence.
    """

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    needs_user: ClassVar[bool] = False  # the user should hear of it at once, although it is tried again
    default_hint: ClassVar[str | None] = None

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
        return self.text if self.host is None or self._names_host else f"{self.text} It came from {self.host}."

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


# 1: failed ---------------------------------------------------------------------------------------------------------


class CatalogMalformed(FlowhubError):
    code = "catalog_malformed"
    default_hint = "`flowhub catalog validate` lists every fault. Correct them, or set FLOWHUB_CATALOG to another."


class CatalogUnreadable(FlowhubError):
    code = "catalog_unreadable"
    default_hint = "Check FLOWHUB_CATALOG; unset it to use the catalog that flowhub ships."


class DatabaseNewer(FlowhubError):
    code = "database_newer"
    default_hint = "Install the newer flowhub that wrote it, or set FLOWHUB_HOME to another folder."


class DatabaseUnusable(FlowhubError):
    code = "database_unusable"
    default_hint = "Look whether its disk is full or another program holds it; then try again. Nothing is lost."


class DatabaseReplaced(FlowhubError):
    """The database file that this process opened is no longer the one at its path, or its log was removed."""

    code = "database_replaced"
    retryable = True
    default_hint = "Run the command again. To restore a backup, stop the worker first."


class DatabaseDamaged(DatabaseUnusable):
    """SQLite finds its file malformed."""

    code = "database_damaged"
    default_hint = (
        "Stop the worker and restore a backup, or try `sqlite3 flowhub.db .recover`, or move flowhub.db and "
        "flowhub.db-wal away and start again. Models in the store stay; `flowhub adopt` lists them again."
    )


class JobUnreadable(FlowhubError):
    """A job's row was damaged, or written by a newer version."""

    code = "job_unreadable"
    default_hint = (
        "Queue the model again with {enqueue}; what was kept is used. "
        "If a newer flowhub queued it, run that version's worker."
    )


class HomeUnusable(FlowhubError):
    code = "home_unusable"
    default_hint = "Set FLOWHUB_HOME to a folder on a local disk that you may write to."


class StoreUnusable(FlowhubError):
    code = "store_unusable"
    default_hint = "Set FLOWHUB_STORE to a folder that you may write to."


class SettingInvalid(FlowhubError):
    code = "setting_invalid"


class ManifestUnusable(FlowhubError):
    """The folder of an `export` has no manifest that can be read."""

    code = "manifest_unusable"
    default_hint = "Export to it once more, with `flowhub export MODEL --to FOLDER` on the machine that has the models."


class JobCancelled(FlowhubError):
    """A job that `--wait` waited for was cancelled."""

    code = "cancelled"
    default_hint = "{retry} queues it again."


class NotDoneYet(FlowhubError):
    """A job that was to run at once waits for something: it stays in the queue."""

    code = "not_done_yet"
    retryable = True


class WrongState(FlowhubError):
    """The job's state does not allow what was asked."""

    code = "wrong_state"


class NameTaken(FlowhubError):
    code = "name_taken"
    default_hint = "Move or remove it, then {retry}."


class WorkerLost(FlowhubError):
    code = "worker_lost"
    default_hint = "Look at the worker's log and the machine's memory, then {retry}."


class StoreOffline(FlowhubError):
    """The store's disk is not mounted, or only to be read: parked, not failed."""

    code = "store_offline"
    retryable = True
    default_hint = "Mount the store's disk so that it can be written; {continues}."


class StorageFailed(FlowhubError):
    """EIO and its like, from the disk that holds the store."""

    code = "storage_failed"
    retryable = True
    default_hint = "Look at the disk and the system's log; {new_try} continues with what was kept."


class TooManyFiles(FlowhubError):
    """EMFILE, ENFILE: a limit of this machine, which says nothing of the disk."""

    code = "too_many_files"
    retryable = True
    default_hint = "Raise this machine's limit of open files, or run fewer jobs at once (`flowhub worker --jobs 1`)."


class OutOfMemory(FlowhubError):
    """ENOMEM: a shortage of this machine that passes; it says nothing of the disk."""

    code = "out_of_memory"
    retryable = True
    default_hint = "Close other programs, or run fewer jobs at once (`flowhub worker --jobs 1`)."


class ServiceUnavailable(FlowhubError):
    """No service manager that serves this user: a container, a log-in by `su`, an ssh session on macOS."""

    code = "service_unavailable"
    default_hint = "Run `flowhub worker` in the foreground, or `flowhub worker --drain` from cron."


class ServiceFailed(FlowhubError):
    """The service manager did not do what was asked of it."""

    code = "service_failed"
    default_hint = "`flowhub worker status` shows how the service stands."


class ExtraMissing(FlowhubError):
    """A part of flowhub whose packages are an extra, and are not installed."""

    code = "extra_missing"


class PortUnusable(FlowhubError):
    """No server can listen at this address and port."""

    code = "port_unusable"


class InternalError(FlowhubError):
    code = "internal"
    default_hint = "This is a bug of flowhub's. Please report it with the worker's log."


# 2: usage ----------------------------------------------------------------------------------------------------------


class UsageInvalid(FlowhubError):
    code = "usage"
    exit_status = 2


class AddressRefused(FlowhubError):
    code = "address_refused"
    exit_status = 2
    default_hint = "Use https, or http to this machine; http elsewhere needs a pinned sha256."


# Of the HTTP API alone; the command line raises none of them.


class Misdirected(UsageInvalid):
    """HTTP 421: the request's Host names another server."""

    code = "misdirected"
    default_hint = "Use the address that `flowhub web` printed, or start it with --allow-host for another name."


class MethodNotAllowed(UsageInvalid):
    """HTTP 405."""

    code = "method_not_allowed"
    default_hint = "GET /api/openapi.json lists every address with its methods."


class BodyTooLarge(UsageInvalid):
    """HTTP 413."""

    code = "body_too_large"
    default_hint = "Send it in parts."


# 3: no such thing --------------------------------------------------------------------------------------------------


class NotFound(FlowhubError):
    code = "not_found"
    exit_status = 3


# 4: sign-in or licence ---------------------------------------------------------------------------------------------


class TokenMissing(FlowhubError):
    code = "token_missing"
    exit_status = 4
    default_hint = "Set HF_TOKEN to a token of an account that may read this model, then {restart_and_retry}."


class TokenRefused(FlowhubError):
    code = "token_refused"
    exit_status = 4
    default_hint = "Make a new token at the Hub, set HF_TOKEN, then {restart_and_retry}."


class Gated(FlowhubError):
    code = "gated"
    exit_status = 4
    default_hint = "Accept the model's terms on its page at the Hub, then {retry}."


class SignInRequired(FlowhubError):
    """HTTP 401: a request to `flowhub web` has neither the cookie nor the token."""

    code = "sign_in_required"
    exit_status = 4
    default_hint = (
        "In a browser, open the URL that `flowhub web` prints. A program sends the token of web.token, in flowhub's "
        "home, as `Authorization: Bearer`."
    )


class RequestForbidden(FlowhubError):
    """HTTP 403: a page of another site makes the request, or a change lacks the page's token."""

    code = "forbidden"
    exit_status = 4
    default_hint = "Open the page at the address that `flowhub web` printed, and repeat the change there."


# 5: network or source ----------------------------------------------------------------------------------------------


class SourceError(FlowhubError):
    """A fault of the network or of the origin.

    `about_range`: the request asked for a part of the file; asked for it in another form, the host may answer well.
    """

    code = "source"
    exit_status = 5
    retryable = True
    about_range = False
    # Whether it can go away without the user: then a job gives up on it only after `give_up_after`, not ten tries.
    passing: ClassVar[bool] = True
    default_hint = "It is tried again by itself; `flowhub status` shows when."


class CatalogUnreachable(SourceError):
    code = "catalog_unreachable"
    default_hint = "Check the network and FLOWHUB_CATALOG; unset it to use the catalog that flowhub ships."


class CatalogSourceMalformed(SourceError):
    """The same fault as CatalogMalformed, but the catalog came from a URL: its exit status is the source's."""

    code = "catalog_source_malformed"
    retryable = False
    default_hint = (
        "`flowhub catalog validate URL` lists every fault, for its publisher. Or set FLOWHUB_CATALOG to another."
    )


class NetworkDown(SourceError):
    """No name resolved or no host reached: refused, unreachable, DNS."""

    code = "network"


class ProxyUnreachable(NetworkDown):
    """The proxy that an environment variable names refuses, is silent, or cannot lead on to the host."""

    code = "proxy_unreachable"
    default_hint = "Check that the proxy runs, or correct the variable{for_the_worker_too}."


class ProxyUnusable(SourceError):
    """The value of a proxy variable is no address of a proxy that flowhub can speak to."""

    code = "proxy_unusable"
    retryable = False
    default_hint = "Correct the variable or unset it{for_the_worker_too}, then try again."


class ProxySignIn(SourceError):
    """The proxy wants a user and a password, or refuses those of the variable (407)."""

    code = "proxy_sign_in"
    retryable = False
    default_hint = (
        "Write the user and password into the variable (http://USER:PASSWORD@HOST:PORT, percent-encoded)"
        "{for_the_worker_too}, then try again."
    )


class ConnectionLost(SourceError):
    """The connection ended before the answer did."""

    code = "connection_lost"


class HeadersTimeout(SourceError):
    code = "headers_timeout"


class Stalled(SourceError):
    """No byte came for the set time."""

    code = "stalled"


class TooSlow(SourceError):
    """Bytes came, but fewer than the set floor."""

    code = "too_slow"


class ServerBusy(SourceError):
    """408, 425, 429 or 5xx. `wait_s` is what the server asked for, where it did."""

    code = "server_busy"

    def __init__(
        self,
        text: str,
        *,
        wait_s: float | None = None,
        hint: str | None = None,
        host: str | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(text, hint=hint, host=host, path=path)
        self.wait_s = wait_s


class WrongRange(SourceError):
    """The answer is not the range that was asked.

    `coded`: it came in a content coding; asked for without Range, it can be decoded.
    """

    code = "wrong_range"
    coded = False
    passing = False


class AnswerMalformed(SourceError):
    """What the host sent is not HTTP as RFC 9112 defines it: it can be reached, but does not answer as it should."""

    code = "answer_malformed"
    passing = False


class AddressExpired(SourceError):
    """A CDN no longer honours its signed URL. A request to the Hub gives a new one, at no cost."""

    code = "address_expired"


class SourceChanged(SourceError):
    """The file behind the URL is another one than the partial was begun with."""

    code = "source_changed"
    passing = False


class SourceMissing(SourceError):
    code = "source_missing"
    retryable = False
    default_hint = "The file is gone or has moved: look for it at its source, or take another variant of the model."


class SourceRefused(SourceError):
    """A status that will not change by asking again."""

    code = "source_refused"
    retryable = False
    default_hint = "Open the address in a browser to see what its host wants."


class RedirectRefused(SourceError):
    code = "redirect_refused"
    retryable = False
    default_hint = "Tell the owner of that address: the redirect is unsafe or endless."


class TooLarge(SourceError):
    """An answer beyond what anybody would send in good faith: cut off, and nothing of it is used."""

    code = "too_large"
    retryable = False
    default_hint = "Open the address in a browser: it may not be what you think it is."


class TlsUntrusted(SourceError):
    """The host's certificate is not trusted. It may pass: a captive portal shows its own until the user signs in."""

    code = "tls_untrusted"
    needs_user = True
    default_hint = (
        "If your network has a CA of its own, set SSL_CERT_FILE to its certificate (PEM); if it wants a sign-in, "
        "open any page in a browser."
    )


class TrustUnreadable(TlsUntrusted):
    """The certificates that SSL_CERT_FILE or SSL_CERT_DIR name cannot be read, so no host can be trusted."""

    code = "trust_unreadable"
    default_hint = "Set it to a file of certificates (PEM), or unset it{for_the_worker_too}."


class WaitTooLong(SourceError):
    code = "wait_too_long"
    retryable = False
    default_hint = "{retry} after that time."


class WrongContent(SourceError):
    """The first bytes are not of the format that was promised: a log-in page, an error page."""

    code = "wrong_content"
    passing = False  # a maintenance page or a captive portal's may be gone at the next try
    default_hint = "Open the address in a browser: it may want a sign-in, or serve an error page."


class CutShort(SourceError):
    """A model file that no digest pins ends before its own header says: it is not installed."""

    code = "cut_short"
    retryable = False
    default_hint = "The source's own copy is not whole: take another variant of the model, or tell its publisher."


# 6 to 9: disk, fit, digest, busy -----------------------------------------------------------------------------------


class DiskFull(FlowhubError):
    code = "disk_full"
    exit_status = 6
    retryable = True
    default_hint = "Free some space; {continues}."


class TargetFull(FlowhubError):
    """The disk of an export is full. The job fails rather than waits, since such a disk is carried away."""

    code = "target_full"
    exit_status = 6
    default_hint = "Free some space on that disk, or export to another one."


class DoesNotFit(FlowhubError):
    code = "does_not_fit"
    exit_status = 7
    default_hint = "`flowhub show` lists smaller variants."


class DigestMismatch(FlowhubError):
    code = "digest_mismatch"
    exit_status = 8


class SizeMismatch(FlowhubError):
    code = "size_mismatch"
    exit_status = 8
    default_hint = "The file was replaced at its source, or the stated size is out of date: look at its source."


class Busy(FlowhubError):
    code = "busy"
    exit_status = 9
    retryable = True
    default_hint = "Cancel that job first, or wait for it."


# Their causes are this machine's settings or its network, and their hints name what to change.
NETWORK_SETTINGS = (ProxyUnreachable, ProxyUnusable, ProxySignIn, TlsUntrusted)


# The rest ----------------------------------------------------------------------------------------------------------


class SomeFailed(FlowhubError):
    code = "some_failed"
    exit_status = 10
    default_hint = "`flowhub status --state failed` lists them with their reasons."


class TimedOut(FlowhubError):
    code = "timeout"
    exit_status = 124
    retryable = True
    default_hint = "The jobs continue; `flowhub wait` again, or see `flowhub status`."


class Interrupted(FlowhubError):
    code = "interrupted"
    exit_status = 130
    retryable = True


class Terminated(FlowhubError):
    code = "terminated"
    exit_status = 143
    retryable = True


def _leaves(kind: type[FlowhubError]) -> list[type[FlowhubError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _leaves(child))]


ERRORS: dict[str, type[FlowhubError]] = {kind.code: kind for kind in _leaves(FlowhubError)}
