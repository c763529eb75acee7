"""Tickets, cookies and tokens that prove that a request comes from the user of this home.

A ticket in the printed URL works once and becomes a cookie. The cookie is signed with the token of the token file, so
open pages stay signed in when the server restarts, and a new token file signs out everyone. The page's token guards
each change against a request that another site makes with the cookie (CSRF).
"""

import base64
import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from flowhub_jobs.errors import HomeUnusable
from flowhub_jobs.fs.atomic_write import tighten, write_whole
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.system import rename_new, sync_path

TOKEN_FILE = "web.token"  # noqa: S105, a file's name
SHARE_TOKEN_FILE = "share.token"  # noqa: S105
COOKIE_S = 30 * 86_400  # a cookie's life
TICKETS_MAX = 64  # unused tickets that are kept; the oldest is dropped first
_TOKEN_BYTES = 200


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A browser that has signed in. `page_token` must come with each change that it asks for."""

    id: str
    page_token: str


@dataclass(slots=True)
class SignIn:
    """Thread-safe. `token` is for programs; `share_token`, if there is a share, reads it and nothing else."""

    token: str
    share_token: str | None = None
    _tickets: dict[str, None] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def new_ticket(self) -> str:
        """Return a ticket that signs in one browser, once."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets[_digest(ticket)] = None
            while len(self._tickets) > TICKETS_MAX:
                del self._tickets[next(iter(self._tickets))]
        return ticket

    def redeem(self, ticket: str, now_s: float | None = None) -> str | None:
        """Return the cookie's value for a ticket that was not used before, else None."""
        with self._lock:
            # Looked up by its digest: the time that this takes reveals nothing about the ticket.
            if _digest(ticket) not in self._tickets:
                return None
            del self._tickets[_digest(ticket)]
        issued = int(time.time() if now_s is None else now_s)
        session = f"{issued}.{secrets.token_urlsafe(16)}"
        return f"{session}.{self._sign('cookie', session)}"

    def session(self, cookie: str, now_s: float | None = None) -> BrowserSession | None:
        """Return the session of a cookie that this home signed and that has not expired, else None."""
        session, _, signature = cookie.rpartition(".")
        if not _is_equal(signature, self._sign("cookie", session)):
            return None
        age_s = (time.time() if now_s is None else now_s) - int(session.partition(".")[0])
        return BrowserSession(session, self._sign("page", session)) if age_s < COOKIE_S else None

    def is_token(self, token: str) -> bool:
        """Return whether this is the token for programs."""
        return _is_equal(token, self.token)

    def may_read_share(self, token: str) -> bool:
        """Return whether this token may read what is shared."""
        return _is_equal(token, self.share_token or self.token) | _is_equal(token, self.token)

    def _sign(self, purpose: str, text: str) -> str:
        mac = hmac.digest(self.token.encode(), f"{purpose}:{text}".encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def is_same_token(given: str, expected: str) -> bool:
    """Compare in a time that does not reveal where they differ."""
    return _is_equal(given, expected)


def open_sign_in(home: Path, *, share: bool) -> SignIn:
    """Return the sign-in of a home; its token files are made where there are none, readable by their owner alone."""
    return SignIn(_token_of(home / TOKEN_FILE), _token_of(home / SHARE_TOKEN_FILE) if share else None)


def _token_of(path: Path) -> str:
    try:
        if not path.exists():
            _make_token(path)
        tighten(path)
        token = read_regular(path, _TOKEN_BYTES, follow=False).decode().strip()
    except (OSError, ValueError) as error:
        raise HomeUnusable(f"The token in {path} cannot be read: {error}.") from error
    if len(token) < 20 or not token.isascii() or not token.isprintable():
        raise HomeUnusable(f"{path} holds no token.", hint="Remove the file; the next start makes a new token.")
    return token


def _make_token(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_whole(temporary, f"{secrets.token_urlsafe(32)}\n".encode())
    try:
        rename_new(temporary, path)  # two servers that start at once agree on one token
    except FileExistsError:
        temporary.unlink()
    sync_path(path.parent)


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).hexdigest()


def _is_equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
