"""Errors of sign-in and licences (exit status 4)."""

from flowhub_jobs.errors.base import FlowhubError


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
    default_hint = "Open the page at the URL that `flowhub web` printed, and make changes there."
