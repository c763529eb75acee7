"""Requests that carry a token, and signed addresses without their secrets."""

import pytest

from flowhub_jobs.errors import SourceMissing, TokenMissing
from flowhub_jobs.net.redaction import without_secrets
from flowhub_jobs.net.token_choice import token_for, with_withheld_token
from flowhub_jobs.net.urls import origin

TOKEN = "hf_secretsecretsecret"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://hub.example/api/x", True),
        ("https://hub.example:8443/x", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://localhost:8000/x", True),
        ("http://[::1]:8000/x", True),
        ("http://hub.example/x", False),
        ("http://192.168.1.5:8000/x", False),
        ("http://127.0.0.1.example/x", False),
    ],
)
def test_a_token_never_crosses_a_network_in_the_clear(url, sent):
    assert token_for(url, {origin(url): TOKEN}) == (TOKEN if sent else None)


@pytest.mark.parametrize(
    ("proxy", "sent"), [("http://proxy.example:3128", False), ("http://127.0.0.1:3128", True), ("", True)]
)
def test_a_token_for_this_machine_does_not_leave_it_by_way_of_a_proxy(monkeypatch, proxy, sent):
    monkeypatch.setenv("http_proxy", proxy)
    url = "http://127.0.0.1:8000/x"
    assert token_for(url, {origin(url): TOKEN}) == (TOKEN if sent else None)


def test_a_token_goes_to_its_own_origin_alone():
    tokens = {origin("https://hub.example"): TOKEN}
    assert token_for("https://cdn.example/x", tokens) is None
    assert token_for("https://hub.example:444/x", tokens) is None


def test_a_refusal_says_that_a_token_was_withheld():
    url, https_url = "http://hub.example/x", "https://hub.example/x"
    refusal = with_withheld_token(TokenMissing("It wants a token."), url, {origin(url): TOKEN})
    assert "was not sent" in str(refusal.hint)
    assert TOKEN not in str(refusal.hint)
    for error, address in ((SourceMissing("gone"), url), (TokenMissing("It wants one."), https_url)):
        before = error.hint
        assert with_withheld_token(error, address, {origin(address): TOKEN}).hint == before


@pytest.mark.parametrize(
    "name",
    [
        *("X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential", "X-Goog-Signature", "Signature", "Policy"),
        *("Key-Pair-Id", "sig", "token", "access_token", "api_key", "apikey", "auth", "key", "jwt", "downloadToken"),
        "X%2DAmz%2DSignature",
    ],
)
def test_a_secret_is_removed_from_an_address_whose_file_stays_identifiable(name):
    url = f"https://h.example/a?id=7&{name}=abc%2B123&download=true"
    redacted = without_secrets(url)
    assert "abc" not in redacted
    assert redacted.startswith("https://h.example/a?id=7&")
    assert redacted.endswith("&download=true")
    assert without_secrets(redacted) == redacted
    assert redacted != without_secrets(url.replace("123", "124"))


@pytest.mark.parametrize(
    "url",
    [
        "https://h.example/a",
        "https://h.example/a?download=true&format=gguf&type=Model&monkey=1&tokenizer=x&design=2&keys",
        "https://h.example/a?",
        "https://h.example/token=abc",
    ],
)
def test_an_address_without_a_secret_stays_as_it_is(url):
    assert without_secrets(url) == url
