"""Converts a status that is neither 200 nor 206 into an error: transient, sign-in, missing or refused. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from flowhub_jobs.errors import (
    AddressExpired,
    FlowhubError,
    Gated,
    ProxySignIn,
    ServerBusy,
    SourceError,
    SourceMissing,
    SourceRefused,
    TokenMissing,
    TokenRefused,
    WrongRange,
)
from flowhub_jobs.net import content_range
from flowhub_jobs.net.proxy_auth_schemes import UNSUPPORTED_HINT, unsupported_schemes
from flowhub_jobs.net.redaction import scrub
from flowhub_jobs.net.retry_after import asked_wait
from flowhub_jobs.units import format_bytes

Headers = Mapping[str, str]  # a mapping that folds case, as httpx's

HUGE = 300 * 10**9  # bytes; the Hub serves no plain download of a file above about 400 GB (huggingface_hub #4330)
# Any 5xx passes: an unknown one is a 500 (RFC 9110, section 15), and edges send 520 to 530, 529, 598 and others at
# night. Of the 4xx, those about the moment (408, 425, 429; 421: this connection; 423: a lock), and those of no
# standard: 419 and 440 an old session, 420 and 430 too many requests, 444, 449, 460, 463, 464, 499
# an edge that lost the line, 494 to 498 an edge's own trouble with headers, certificates or tokens.
_PASSING_4XX = {408, 419, 420, 421, 423, 425, 429, 430, 440, 444, 449, 460, 463, 464, *range(494, 500)}
# 202: accepted, but there is no file yet: an archive is being made, a firewall is checking. 204: no content yet.
_NOT_READY = {202, 204}
# For these a request for the same file in another form changes nothing.
_NEVER_ABOUT_RANGE = {401, 402, 404, 407, 410, 451} | _PASSING_4XX
_LASTING = {402, 451}
_MISSING = {"RepoNotFound": "repository", "RevisionNotFound": "revision", "EntryNotFound": "file"}

_SIGNED_HINT = "The URL is signed and may have expired: copy it again where you found it, and enqueue that."
_NO_REVISION_HINT = (  # huggingface_hub #3406
    "The history of its repository was rewritten. To get the present revision, {enqueue}; a catalog that pins this one "
    "is out of date."
)
_PROXY_HINT = (
    "Name it with its user and password in HTTPS_PROXY or HTTP_PROXY (http://USER:PASSWORD@HOST:PORT)"
    "{for_the_worker_too}, then try again."
)


def is_passing(status: int) -> bool:
    """Return whether a status may go away without the user."""
    return status >= 500 or status in _PASSING_4XX or status in _NOT_READY


def status_error(
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
    size: int | None = None,
    page: str | None = None,
    signed: bool = False,
) -> FlowhubError:
    """Return the error for a response.

    `fresh`: the URL was signed for this request; `home`: it is at the file's own origin, not a CDN's. `token_of`: an
    origin other than the Hub's, whose token does not come from HF_TOKEN. `size`: the file's, in bytes, if it is known.
    `signed`: the URL is the user's own, and its query signs it.
    """
    error = _refusal(status, headers, host, fresh, home, had_token, now, tuple(secrets), token_of, size, page)
    refused = isinstance(error, SourceRefused) and status not in _LASTING
    refused |= isinstance(error, TokenRefused) and status == 403
    is_own_of_hub = "x-error-code" in headers  # the Hub's own refusals have a code
    error.may_be_transient = refused and not signed and not is_own_of_hub
    if signed and isinstance(error, SourceRefused | SourceMissing):
        error.hint = _SIGNED_HINT
    if isinstance(error, SourceError):
        about_a_4xx = 400 <= status < 500 and status not in _NEVER_ABOUT_RANGE
        error.about_coding = status == 406
        error.about_range = status in (304, 501) or (about_a_4xx and not isinstance(error, AddressExpired))
    return error


def _refusal(
    status: int,
    headers: Headers,
    host: str,
    fresh: bool,
    home: bool,
    had_token: bool,
    now: datetime,
    secrets: Sequence[str],
    token_of: str | None,
    size: int | None,
    page: str | None,
) -> FlowhubError:
    reason = harmless(headers.get("x-error-message", ""), secrets)
    if status == 498 and had_token:
        return TokenRefused(f"{host} does not accept the token (status {status}){_quoted_reason(reason)}.", host=host)
    if is_passing(status):
        return ServerBusy(
            f"{host} answers {status}{_quoted_reason(reason)}.", wait_s=asked_wait(headers, now), host=host
        )
    if status == 416:
        total = unsatisfied_total(headers)
        end = total if total is not None else "?"
        return WrongRange(f"{host} says that the file ends before the requested part (at {end} bytes).", host=host)
    if status == 400 and size is not None and size >= HUGE and (fresh or home):
        return _too_large_for_the_hub(host, size)
    # If one Hub redirects to another, as a mirror to the original, the second counts as the file's own origin.
    if status == 407:
        return _proxy_sign_in(headers, host)
    if not home and "x-error-code" not in headers and 400 <= status < 500:
        return _at_the_edge(status, host, fresh=fresh, size=size)
    if status in (401, 403):
        return _sign_in(status, headers, host, reason, had_token=had_token, token_of=token_of, page=page)
    if status in (404, 410):
        missing = _MISSING.get(headers.get("x-error-code", ""), "file")
        text = f"{host} has no such {missing} (status {status}){_quoted_reason(reason)}."
        return SourceMissing(text, hint=_NO_REVISION_HINT if missing == "revision" else None, host=host)
    return SourceRefused(f"{host} answers {status}{_quoted_reason(reason)}.", host=host)


def harmless(text: str, secrets: Iterable[str]) -> str:
    """Return a host's text as it may be shown: short, without secrets and control characters."""
    for secret in secrets:  # the host may repeat the request's token
        text = text.replace(secret, "…")
    visible = "".join(character if character.isprintable() else " " for character in text[:1000])
    return scrub(visible)[:200]


def _at_the_edge(status: int, host: str, *, fresh: bool, size: int | None) -> FlowhubError:
    """Return the error of a CDN: an expired signed URL is renewed at no cost; a refused fresh one passes."""
    if not fresh:
        return AddressExpired(f"{host} no longer honours its address (status {status}).", host=host)
    of_size = "" if size is None else f" of a file of {format_bytes(size)}"
    return ServerBusy(f"{host} refuses a freshly signed address{of_size} (status {status}).", host=host)


def _too_large_for_the_hub(host: str, size: int) -> SourceRefused:
    return SourceRefused(
        f"{host} refuses to send a file of {format_bytes(size)} ({size} bytes, status 400).",
        hint="The Hub serves no plain download of a file this large. Download it with `hf download`, "
        "then `flowhub adopt` installs it from there.",
        host=host,
    )


def _sign_in(
    status: int,
    headers: Headers,
    host: str,
    reason: str,
    *,
    had_token: bool,
    token_of: str | None,
    page: str | None,
) -> FlowhubError:
    code = headers.get("x-error-code", "")
    if code == "GatedRepo":
        hint = f"Accept its terms at {page}, then {{retry}}." if page else Gated.default_hint
        hint += "" if had_token else " It also takes a token: start the worker with HF_TOKEN set."
        return Gated(
            f"{host} gives this model only to those who accepted its terms{_quoted_reason(reason)}.",
            hint=hint,
            host=host,
        )
    next_step = "then {restart_and_retry}."
    hint_of_origin = (
        None if token_of is None else f'Write "{token_of}" = "…" under [tokens] in config.toml, {next_step}'
    )
    if had_token:
        return TokenRefused(
            f"{host} does not accept the token (status {status}){_quoted_reason(reason)}.",
            hint=hint_of_origin,
            host=host,
        )
    if status == 401 or code:
        # Without a token the Hub answers 401 for a repository that does not exist, too.
        return TokenMissing(
            f"{host} requires a sign-in, or the model is private or gone (status {status}){_quoted_reason(reason)}.",
            hint=hint_of_origin,
            host=host,
        )
    return SourceRefused(f"{host} answers {status}{_quoted_reason(reason)}.", host=host)


def _proxy_sign_in(headers: Headers, host: str) -> ProxySignIn:
    schemes = unsupported_schemes([headers.get("proxy-authenticate", "")])
    if schemes:
        text = f"A proxy on the way to {host} requires a sign-in by {schemes} (status 407); flowhub speaks Basic only."
        return ProxySignIn(text, hint=UNSUPPORTED_HINT, host=host)
    return ProxySignIn(f"A proxy on the way to {host} requires a sign-in (status 407).", hint=_PROXY_HINT, host=host)


def _quoted_reason(reason: str) -> str:
    return f': "{reason.rstrip(".")}"' if reason else ""


def unsatisfied_total(headers: Headers) -> int | None:
    """Return the size of the file that a 416 states, or None."""
    return content_range.unsatisfied_total(headers.get("content-range"))
