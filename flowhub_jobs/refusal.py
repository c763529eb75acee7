"""What a status that is neither 200 nor 206 means: to be tried again, a sign-in, gone, or refused. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

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

Headers = Mapping[str, str]  # a mapping that folds case, as httpx's

PASSING = {408, 425, 429, 500, 502, 503, 504}
_THEN = "start the worker anew, then `flowhub retry` the job."
_MISSING = {"RepoNotFound": "repository", "RevisionNotFound": "revision", "EntryNotFound": "file"}

_UNSATISFIED = re.compile(r"bytes\s+\*/([0-9]{1,19})", re.IGNORECASE)
_RATE_LIMIT = re.compile(r";\s*r=([0-9]+)\s*;\s*t=([0-9]+)")
_DIGITS = re.compile(r"[0-9]+")  # str.isdigit and \d also take digits that are none to int()


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
    token_of: str | None = None,
) -> FlowhubError:
    """Return the error that an answer stands for.

    `fresh`: the address was made for this very question; `home`: it is of the file's own origin, not a CDN's.
    `token_of`: an origin that is not the Hub's: its token does not come from HF_TOKEN.
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
        return _sign_in(status, headers, host, said, had_token=had_token, token_of=token_of)
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


def _sign_in(
    status: int, headers: Headers, host: str, said: str, *, had_token: bool, token_of: str | None
) -> FlowhubError:
    code = headers.get("x-error-code", "")
    if code == "GatedRepo":
        hint = None if had_token else f"{Gated.default_hint} It also takes a token: start the worker with HF_TOKEN set."
        return Gated(f"{host} gives this model only to those who accepted its terms{_because(said)}.", hint=hint)
    where = None if token_of is None else f'Write "{token_of}" = "…" under [tokens] in config.toml, {_THEN}'
    if had_token:
        return TokenRefused(f"{host} does not accept the token (status {status}){_because(said)}.", hint=where)
    if status == 401 or code:
        # The Hub says 401 for a repository that is not there, too, as long as nobody signs in.
        return TokenMissing(
            f"{host} wants a sign-in, or the model is private or gone (status {status}){_because(said)}.", hint=where
        )
    return SourceRefused(f"{host} answers {status}{_because(said)}.")


def _because(said: str) -> str:
    return f': "{said}"' if said else ""


def asked_wait(headers: Headers, now: datetime) -> float | None:
    """Return the seconds that the host asks to be left alone, or None.

    Retry-After in both its forms (RFC 9110, section 10.2.3), else the Hub's `RateLimit: "…";r=0;t=55`.
    """
    text = headers.get("retry-after", "").strip()
    if _DIGITS.fullmatch(text):
        return float(text[:12])
    if text:
        return _seconds_until(text, now)
    found = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    return float(found[2][:12]) if found and not found[1].strip("0") else None


def _seconds_until(date: str, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(date)
    except (ValueError, OverflowError):  # a year or an offset beyond all numbers
        return None
    aware = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def unsatisfied_total(headers: Headers) -> int | None:
    """Return the size of the file that a 416 tells, or None."""
    found = _UNSATISFIED.fullmatch(headers.get("content-range", "").strip())
    return int(found[1]) if found else None
