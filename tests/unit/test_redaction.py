"""Secrets and invisible characters are removed from addresses and foreign texts."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowhub_jobs.net.redaction import is_signed, public_url, scrub


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://h/a/b.gguf?sig=S#f", "https://h/a/b.gguf"),
        ("https://me:pw@h:8/a", "https://h:8/a"),
        ("https://me:p@w/pw@h/a", "https://h/a"),
        ("https://me:pw?pw@h/a", "https://me:\u2026"),
        ("https://h:port/a", "https://h:\u2026"),
        ("//me:pw@h/a", "//h/a"),
        ("https:/me:pw@h/a", "https:/h/a"),
        ("https:\\\\me:pw@h\\a", "https:\\\\h\\a"),
        ("https://h/@scope/x@main", "https://h/@scope/x@main"),
        ("https://h/hf_abcdefghij/x", "https://h/hf_\u2026/x"),
        ("https://h/a\x1b[2J\u202e", "https://h/a\\u{001B}[2J\\u{202E}"),
        ("hf:owner/repo@main", "hf:owner/repo@main"),
        ("", ""),
    ],
)
def test_the_public_form_of_an_address_has_no_secret(url, redacted):
    assert public_url(url) == redacted


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("Error for url 'https://h/a?sig=S'\nFor more", "Error for url 'https://h/a?\u2026'\nFor more"),
        ("(see https://me:pw@h/a).", "(see https://h/a)."),
        ("at https://h/a#access_token=S, again", "at https://h/a?\u2026, again"),
        ("Max retries exceeded with url: /a?X-Amz-Signature=S (x)", "Max retries exceeded with url: /a?\u2026 (x)"),
        ("Authorization: Bearer S\r\nAccept: */*", "Authorization: \u2026\r\nAccept: */*"),
        ("authorization = Basic S S S", "authorization = \u2026"),
        ("{'authorization': 'Basic S', 'accept': '*'}", "{'authorization': \u2026"),
        ("[(b'Authorization', b'Basic S')]", "[(b'Authorization', \u2026"),
        ("sent bearer  S twice", "sent bearer \u2026 twice"),
        ("token hf_S-x is bad", "token hf_\u2026 is bad"),
        ("Was it here? a=b", "Was it here? a=b"),
        ("my_hf_model.gguf is 5 GB", "my_hf_model.gguf is 5 GB"),
    ],
)
def test_a_foreign_text_loses_its_secrets_and_nothing_else(text, scrubbed):
    assert scrub(text) == scrubbed


TOKENS = st.text(alphabet=string.ascii_letters + string.digits, min_size=20, max_size=40)
NOISE = st.text(max_size=20)


@given(token=TOKENS, before=NOISE, after=NOISE)
@pytest.mark.parametrize(
    "form",
    [
        "hf_{}",
        "Bearer {}",
        "Authorization: {}",
        "Authorization: Token {}",
        '{{"authorization": "{}"}}',
        "https://h/x?sig={}&a=b",
        "https://h/x?a='{}",
        "https://h/x#t={}",
        "https://me:{}@h/x",
        "https://{}@h/x",
        "/x?sig={}",
    ],
)
def test_a_token_never_survives(form, token, before, after):
    assume(token not in before + after)
    text = f"{before} {form.format(token)} {after}"
    assert token not in scrub(text)
    assert scrub(scrub(text)) == scrub(text)


@given(st.text(alphabet=string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/", min_size=20, max_size=40))
def test_a_password_or_query_of_any_characters_is_never_public(secret):
    assert secret not in public_url(f"https://me:x{secret}@h/x")
    assert secret not in public_url(f"https://h/x?sig={secret}#{secret}")


@pytest.mark.parametrize(
    ("query", "signed"),
    [
        ("X-Amz-Date=20200101T000000Z&X-Amz-Signature=ab", True),
        ("X-Goog-Signature=ab", True),
        ("Expires=1&Signature=ab&Key-Pair-Id=K", True),
        ("sv=2024&sig=ab%3D", True),
        ("download=true", False),
        ("design=1&token=x", False),
    ],
)
def test_an_address_with_a_signature_is_a_signed_one(query, signed):
    assert is_signed(f"https://h.example/m.gguf?{query}") is signed
    assert not is_signed(f"https://h.example/{query}")
