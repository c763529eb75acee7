"""HTTP statuses without a file: each becomes one error, with its own text."""

from datetime import UTC, datetime

import pytest
from httpx import Headers

from flowhub_jobs.errors import (
    AddressExpired,
    Gated,
    ProxySignIn,
    ServerBusy,
    SourceMissing,
    SourceRefused,
    TokenMissing,
    TokenRefused,
    WrongRange,
)
from flowhub_jobs.net.status_errors import status_error

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def error_of(status, *, fresh=True, home=True, had_token=False, size=None, page=None, signed=False, **fields):
    headers = Headers({name.replace("_", "-"): text for name, text in fields.items()})
    context = {"fresh": fresh, "home": home, "had_token": had_token, "now": NOW, "size": size, "page": page}
    context["signed"] = signed
    return status_error(status, headers, host="hub.example", **context)


BUSY = [408, 425, 429, *range(500, 531), 598, 599, 999, 202, 204, 420, 421, 423, 430, 440, 444, 449, 460]
BUSY += range(494, 500)


@pytest.mark.parametrize("status", BUSY)
def test_a_busy_host_is_tried_again_at_the_time_that_it_names(status):
    error = error_of(status, retry_after="30", x_error_message="slow down")
    assert type(error) is ServerBusy
    assert error.retryable
    assert error.wait_s == 30
    assert error.message == f'hub.example answers {status}: "slow down".'


def test_a_busy_host_that_names_no_time_has_none():
    assert error_of(503).wait_s is None


def test_a_gated_model_says_what_to_accept_and_that_a_token_is_needed():
    without = error_of(401, x_error_code="GatedRepo")
    with_token = error_of(403, x_error_code="GatedRepo", had_token=True)
    assert type(without) is type(with_token) is Gated
    assert "accepted its terms" in without.message
    assert "HF_TOKEN" in without.hint
    assert "HF_TOKEN" not in with_token.hint


def test_a_missing_token_a_wrong_token_and_a_gated_model_have_their_own_texts():
    errors = [error_of(401), error_of(401, had_token=True), error_of(403, x_error_code="GatedRepo")]
    assert [type(error) for error in errors] == [TokenMissing, TokenRefused, Gated]
    assert len({error.message for error in errors}) == len({error.hint for error in errors}) == 3


def test_a_hub_that_hides_a_repository_says_that_it_may_be_gone():
    error = error_of(401, x_error_code="RepoNotFound")
    assert type(error) is TokenMissing
    assert "private or gone" in error.message


def test_a_403_of_a_plain_host_is_a_refusal_and_no_sign_in():
    error = error_of(403)
    assert type(error) is SourceRefused
    assert not error.retryable


@pytest.mark.parametrize(
    ("code", "noun"),
    [("RepoNotFound", "repository"), ("RevisionNotFound", "revision"), ("EntryNotFound", "file"), ("", "file")],
)
@pytest.mark.parametrize("status", [404, 410])
def test_the_missing_object_is_named(status, code, noun):
    error = error_of(status, x_error_code=code)
    assert type(error) is SourceMissing
    assert error.message.startswith(f"hub.example has no such {noun}")
    assert ("was rewritten" in error.hint) == (noun == "revision")
    assert not error.retryable


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 412])
def test_a_refused_address_of_an_edge_has_expired(status):
    assert type(error_of(status, home=False, fresh=False)) is AddressExpired


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 412])
def test_an_edge_that_refuses_a_fresh_address_is_a_fault_that_passes(status):
    error = error_of(status, home=False, fresh=True)
    assert type(error) is ServerBusy
    assert "freshly signed" in error.message


def test_a_416_names_the_size_that_the_host_gives():
    assert type(error_of(416)) is WrongRange
    assert "(at 100 bytes)" in error_of(416, content_range="bytes */100").message
    assert "(at ? bytes)" in error_of(416).message


def test_a_hub_behind_a_mirror_gives_the_hubs_errors_of_sign_in_and_licence():
    gated = error_of(401, home=False, x_error_code="GatedRepo")
    assert type(gated) is Gated
    assert type(error_of(404, home=False, x_error_code="EntryNotFound")) is SourceMissing
    assert type(error_of(403, home=False, had_token=True, x_error_code="RepoNotFound")) is TokenRefused


def test_a_file_larger_than_the_hub_serves_is_refused_with_its_size_and_other_ways():
    for home in (True, False):
        error = error_of(400, home=home, size=464_000_000_000)
        assert type(error) is SourceRefused
        assert "hub.example" in error.message
        assert "464.0 GB (464000000000 bytes" in error.message
        assert "hf download" in error.hint
        assert "flowhub adopt" in error.hint
    assert type(error_of(400, home=False, size=50_000_000_000)) is ServerBusy
    assert type(error_of(400, home=False, fresh=False, size=464_000_000_000)) is AddressExpired


@pytest.mark.parametrize("status", [304, 400, 403, 405, 406, 412, 413, 416, 417, 431, 501])
def test_a_status_that_may_be_about_the_range_says_so(status):
    assert error_of(status).about_range


@pytest.mark.parametrize("status", [402, 404, 408, 410, 429, 451, 500, 503, 302])
def test_a_status_that_is_not_about_the_range_says_so(status):
    assert not error_of(status).about_range


def test_a_token_that_the_host_calls_invalid_is_refused():
    assert type(error_of(498, had_token=True)) is TokenRefused
    assert type(error_of(498)) is ServerBusy


@pytest.mark.parametrize("status", [400, 402, 405, 418, 451])
def test_any_other_status_is_final(status):
    error = error_of(status)
    assert type(error) is SourceRefused
    assert not error.retryable
    assert str(status) in error.message


def test_a_long_message_of_a_host_is_cut():
    assert len(error_of(503, x_error_message="x" * 5000).message) < 300


def test_the_error_of_a_gated_model_names_its_page():
    error = error_of(403, x_error_code="GatedRepo", page="https://huggingface.co/o/r")
    assert "https://huggingface.co/o/r" in error.hint


def test_a_407_of_a_host_names_the_variables_of_a_proxy():
    """A transparent proxy of the network answers in place of the host."""
    error = error_of(407)
    assert type(error) is ProxySignIn
    assert "USER:PASSWORD" in error.hint
    other = error_of(407, proxy_authenticate="NTLM, Negotiate")
    assert "by NTLM or Negotiate" in other.message
    assert "px or cntlm" in other.hint


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_refused_signed_address_of_the_user_may_have_expired(status):
    assert "copy it again" in error_of(status, signed=True).hint
    assert "copy it again" not in error_of(status).hint


def test_a_busy_host_says_nothing_of_a_signature():
    assert "copy it again" not in error_of(503, signed=True).hint
