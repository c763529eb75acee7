"""What a status that is neither 200 nor 206 means: to be tried again, a sign-in, gone, or refused. Pure."""

from collections.abc import Iterable
from datetime import datetime

from flowhub_jobs.addresses import scrub
from flowhub_jobs.errors import (
    AddressExpired,
    FlowhubError,
    Gated,
    ServerBusy,
    SourceMissing,
    SourceRefused,
    TokenMissing,
    TokenRefused,
    WrongRange,
)
from flowhub_jobs.transfer.headers import Headers, asked_wait, unsatisfied_total

PASSING = {408, 425, 429, 500, 502, 503, 504}
_MISSING = {"RepoNotFound": "repository", "RevisionNotFound": "revision", "EntryNotFound": "file"}


def refusal(
    status: int,
    headers: Headers,
    *,
    host: str,
    fresh: bool,
    home: bool,
    had_token: bool,
    now: datetime,
    secrets: Iterable[str] = (),
) -> FlowhubError:
    """Return the error that an answer stands for.

    `fresh`: the address was made for this very question; `home`: it is of the file's own origin, not a CDN's.
    """
    said = harmless(headers.get("x-error-message", ""), secrets)
    if status in PASSING:
        return ServerBusy(f"{host} answers {status}{_because(said)}.", wait_s=asked_wait(headers, now))
    if status == 416:
        total = unsatisfied_total(headers)
        return WrongRange(
            f"{host} says that the file ends before what is missing ({total if total is not None else '?'} bytes)."
        )
    if not home and status in (401, 403, 404, 410):
        return _at_the_edge(status, host, fresh=fresh)
    if status in (401, 403):
        return _sign_in(status, headers, host, said, had_token=had_token)
    if status in (404, 410):
        what = _MISSING.get(headers.get("x-error-code", ""), "file")
        return SourceMissing(f"{host} has no such {what} (status {status}){_because(said)}.")
    return SourceRefused(f"{host} answers {status}{_because(said)}.")


def harmless(text: str, secrets: Iterable[str]) -> str:
    """Return what a host says as it may be shown: short, without secrets, and without what steers a terminal."""
    for secret in secrets:  # it may say back what it was sent
        text = text.replace(secret, "…")
    visible = "".join(character if character.isprintable() else " " for character in text[:1000])
    return scrub(visible)[:200]


def _at_the_edge(status: int, host: str, *, fresh: bool) -> FlowhubError:
    """A CDN's signed address expires: ask the Hub anew, at no cost. One that was fresh is a fault, and passes."""
    if fresh:
        return ServerBusy(f"{host} refuses a freshly signed address (status {status}).")
    return AddressExpired(f"{host} no longer honours its address (status {status}).")


def _sign_in(status: int, headers: Headers, host: str, said: str, *, had_token: bool) -> FlowhubError:
    code = headers.get("x-error-code", "")
    if code == "GatedRepo":
        hint = None if had_token else f"{Gated.default_hint} It also takes a token: set HF_TOKEN."
        return Gated(f"{host} gives this model only to those who accepted its terms{_because(said)}.", hint=hint)
    if had_token:
        return TokenRefused(f"{host} does not accept the token (status {status}){_because(said)}.")
    if status == 401 or code:
        # The Hub says 401 for a repository that is not there, too, as long as nobody signs in.
        return TokenMissing(
            f"{host} wants a sign-in, or the model is private or gone (status {status}){_because(said)}."
        )
    return SourceRefused(f"{host} answers {status}{_because(said)}.")


def _because(said: str) -> str:
    return f': "{said}"' if said else ""
