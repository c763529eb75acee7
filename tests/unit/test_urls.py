"""Addresses: which ones may be requested, and where a redirect may lead."""

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowhub_jobs.errors import AddressRefused, RedirectRefused
from flowhub_jobs.net.redaction import public_url, scrub
from flowhub_jobs.net.urls import (
    HUB,
    at_endpoint,
    check_address,
    check_redirect,
    host_of,
    hub_page,
    is_loopback,
    origin,
)

LOOPBACK_HOSTS = ["127.0.0.1", "127.255.0.9", "localhost", "LocalHost", "[::1]", "[0:0:0:0:0:0:0:1]"]
NOT_LOOPBACK_HOSTS = [
    "127.0.0.1.evil.com",
    "localhost.evil.com",
    "[::ffff:127.0.0.1]",
    "[::]",
    "0.0.0.0",
    "128.0.0.1",
    "hub.example",
    "localhost.",
]
ODD_HOSTS = [
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "256.0.0.1",
    "evil.1",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "huggingface\u3002co",
    "\uff48\uff55\uff47\uff47\uff49\uff4e\uff47\uff46\uff41\uff43\uff45.co",
    "fa\N{LATIN SMALL LETTER SHARP S}.example",
    "[127.0.0.1]",
    "[::1%25lo]",
    "[::1",
    "::1",
    "a..b",
    ".",
    "a b",
    "%65vil.example",
    "a,b",
    "a" * 64,
    "a." * 130 + "b",
]


@pytest.mark.parametrize(
    "url", ["https://hub.example/m.gguf", "HTTPS://Hub.Example:8443/a?b#c", "https://[2001:db8::1]/x"]
)
@pytest.mark.parametrize("pinned", [True, False])
def test_https_is_accepted_pinned_or_not(url, pinned):
    check_address(url, pinned=pinned)


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
@pytest.mark.parametrize("port", ["", ":8080"])
def test_http_to_this_machine_needs_no_pin(host, port):
    assert is_loopback(host)
    check_address(f"http://{host}{port}/m.gguf", pinned=False)


@pytest.mark.parametrize("host", NOT_LOOPBACK_HOSTS)
def test_http_to_another_machine_needs_a_pin(host):
    assert not is_loopback(host)
    check_address(f"http://{host}/m.gguf", pinned=True)
    with pytest.raises(AddressRefused, match="needs a pinned sha256"):
        check_address(f"http://{host}/m.gguf", pinned=False)


@pytest.mark.parametrize("host", ODD_HOSTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_clients_parse_differently_is_refused_with_a_pin_too(scheme, host):
    assert not is_loopback(host) or host == "::1"  # valid as a host, but not in an address
    with pytest.raises(AddressRefused):
        check_address(f"{scheme}://{host}/m.gguf", pinned=True)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not of the form"),
        ("/m.gguf", "not of the form"),
        ("//hub.example/m.gguf", "not of the form"),
        ("hub.example/m.gguf", "not of the form"),
        ("https:/hub.example", "not of the form"),
        ("file:///etc/passwd", "scheme is file"),
        ("ftp://hub.example/m.gguf", "scheme is ftp"),
        ("data:text/plain,x", "not of the form"),
        ("https://", "names no host"),
        ("https:///m.gguf", "names no host"),
        ("https://:443/m.gguf", "names no host"),
        ("https://hub.example:0/", "port"),
        ("https://hub.example:65536/", "port"),
        ("https://hub.example:http/", "port"),
        ("https://hub.example:-1/", "port"),
        ("https://hub.example:\uff11/", "port"),
        ("https://hub.example/a b", "a space"),
        ("https://hub.example/a\n", "a space"),
        ("https://hub.example\\@evil.com/", "backslash"),
        ("https://hub.example/\u202egguf", "invisible"),
        ("https://hub.example/\x00", "invisible"),
        ("https://me:secret@hub.example/m.gguf", "a user or a password"),
        ("http://127.0.0.1@evil.com/", "a user or a password"),
        ("http://127.0.0.1:80@evil.com/", "a user or a password"),
        ("https://@hub.example/", "a user or a password"),
    ],
)
def test_an_unusual_address_is_refused_with_its_reason(url, reason):
    with pytest.raises(AddressRefused, match=reason):
        check_address(url, pinned=True)


@pytest.mark.parametrize(
    ("url", "reason", "hint"),
    [
        ("http://[fe80::1%25eth0]/m.gguf", "its host is not valid", "IPv6"),
        ("https://[::1/m.gguf", "its host is not valid", "IPv6"),
        ("https://[::1]x/m.gguf", "its host is not valid", "IPv6"),
        ("https://[]/m.gguf", "its host is not valid", "IPv6"),
        ("https://hub.example]/m.gguf", "its host is not valid", "IPv6"),
        ("https:///m.gguf", "it names no host", "after the two slashes"),
        ("https://hub.example:99999/m.gguf", "its port is not a number", "Correct the port"),
        ("https://[::1]:99999/m.gguf", "its port is not a number", "Correct the port"),
        ("https://[::1]:http/m.gguf", "its port is not a number", "Correct the port"),
        ("https://::1/m.gguf", "it names no host", "after the two slashes"),
        ("https://a..b/m.gguf", "not safe to compare", "four numbers"),
        ("http://127.1/m.gguf", "not safe to compare", "four numbers"),
        ("https://hub.example/my model.gguf", "contains a space", "%20"),
        ("https://hub.example/m\u200b.gguf", "an invisible character", "percent-encoded"),
    ],
)
def test_the_hint_for_a_refused_host_or_port_says_what_to_write(url, reason, hint):
    with pytest.raises(AddressRefused, match=reason) as raised:
        check_address(url, pinned=True)
    assert hint in (raised.value.hint or "")


def test_a_refused_password_is_not_repeated_and_the_hint_names_the_place_of_tokens():
    with pytest.raises(AddressRefused) as raised:
        check_address("https://me:s3cr3t@hub.example/m.gguf?sig=s3cr3t", pinned=True)
    assert "s3cr3t" not in str(raised.value)
    assert "config.toml" in str(raised.value.hint)


def test_a_very_long_address_makes_a_short_message():
    with pytest.raises(AddressRefused) as raised:
        check_address("ftp://hub.example/" + "x" * 100_000, pinned=True)
    assert len(raised.value.message) < 400


@given(st.text() | st.text(alphabet=":/@[]?#.%\\0123456789abchtps\u00df\u3002"))
@example("http://[")
@example("https://[::1]x/")
def test_any_text_is_accepted_or_refused_and_can_be_shown(text):
    for url in (text, f"https://{text}", f"http://127.0.0.1{text}"):
        public_url(url)
        scrub(url)
        host_of(url)
        at_endpoint(url, "https://mirror.example")
        try:
            check_address(url, pinned=True)
        except AddressRefused:
            continue
        origin(url)


@given(st.text(alphabet=":/@[]?#.%\\-_0123456789abcxhtps\u00e9\u00df\u3002\uff41", max_size=30))
@example("b\u00fccher.example")
@example("127.0.0.1")
@example("[::FFFF:7f00:1]:80")
def test_the_client_connects_to_the_checked_host(text):
    url = f"http://{text}"
    try:
        checked = origin(url)
        requested = httpx.URL(url)
    except (AddressRefused, httpx.InvalidURL):
        return
    host = requested.raw_host.decode()
    assert checked == f"http://{f'[{host}]' if ':' in host else host}:{requested.port or 80}" or "[" in checked
    assert requested.userinfo == b""


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("https://hub.example/a", "https://cdn.example/b?sig=1"),
        ("http://127.0.0.1:1/a", "http://localhost:2/b"),
        ("http://127.0.0.1:1/a", "https://cdn.example/b"),
    ],
)
def test_a_redirect_that_is_as_safe_as_its_source_is_followed_without_a_pin(source, target):
    check_redirect(source, target, pinned=False)


@pytest.mark.parametrize("target", ["http://127.0.0.1/b", "http://localhost/b", "http://cdn.example/b"])
def test_a_redirect_from_https_down_to_http_needs_a_pin(target):
    check_redirect("https://hub.example/a", target, pinned=True)
    with pytest.raises(RedirectRefused):
        check_redirect("https://hub.example/a", target, pinned=False)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "https://me:pw@cdn.example/", "/b", "", "http://0x7f.1/"])
def test_a_redirect_to_a_forbidden_address_is_refused_with_a_pin_too(target):
    with pytest.raises(RedirectRefused):
        check_redirect("https://hub.example/a", target, pinned=True)


def test_a_refused_redirect_shows_both_ends_without_their_signatures():
    with pytest.raises(RedirectRefused) as raised:
        check_redirect("https://hub.example/a?t=SECRET", "http://cdn.example/b?sig=SECRET", pinned=False)
    assert "https://hub.example/a" in raised.value.message
    assert "http://cdn.example/b" in raised.value.message
    assert "SECRET" not in raised.value.message


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://HuggingFace.co", "https://huggingface.co:443"),
        ("HTTP://h/x", "http://h:80"),
        ("https://h:/x", "https://h:443"),
        ("https://h:0443/x", "https://h:443"),
        ("http://[0:0::1]:80/", "http://[::1]:80"),
        ("https://[2001:DB8::1]/", "https://[2001:db8::1]:443"),
        ("https://B\N{LATIN CAPITAL LETTER U WITH DIAERESIS}CHER.example/", "https://xn--bcher-kva.example:443"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example:443"),
    ],
)
def test_an_origin_is_written_in_one_way(url, expected):
    assert origin(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://huggingface.co/",
        "https://huggingface.co:8443/",
        "https://huggingface.co.evil.com/",
        "https://cdn.huggingface.co/",
        "https://huggingface.co./",
    ],
)
def test_another_scheme_port_or_host_is_another_origin(url):
    assert origin(url) != origin("https://huggingface.co/")


@pytest.mark.parametrize(
    ("url", "endpoint", "requested"),
    [
        (
            "https://huggingface.co/o/r/resolve/main/f?x=1#y",
            "http://127.0.0.1:9",
            "http://127.0.0.1:9/o/r/resolve/main/f?x=1#y",
        ),
        ("https://HUGGINGFACE.co:443/o/r", "https://m.example/hf/", "https://m.example/hf/o/r"),
        ("https://huggingface.co", "https://m.example/", "https://m.example"),
        ("https://huggingface.co?x", "https://m.example", "https://m.example?x"),
        ("https://huggingface.co/o/%2e%2E", "https://huggingface.co", "https://huggingface.co/o/%2e%2E"),
        ("http://huggingface.co/o/r", "https://m.example", "http://huggingface.co/o/r"),
        ("https://huggingface.co:8443/o", "https://m.example", "https://huggingface.co:8443/o"),
        ("https://huggingface.co.evil.com/o", "https://m.example", "https://huggingface.co.evil.com/o"),
        ("https://huggingface.co@evil.com/o", "https://m.example", "https://huggingface.co@evil.com/o"),
        (
            "https://other.example/https://huggingface.co/o",
            "https://m.example",
            "https://other.example/https://huggingface.co/o",
        ),
        ("no address", "https://m.example", "no address"),
    ],
)
def test_only_addresses_of_the_hub_are_moved_to_the_endpoint(url, endpoint, requested):
    assert at_endpoint(url, endpoint) == requested


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Hub.example:443/x", "hub.example"),
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("http://[::1]:80/x", "[::1]"),
        ("https://me:pw@h/x?y", "https://h/x"),
    ],
)
def test_a_host_is_named_with_its_port_if_that_is_unusual(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "endpoint", "page"),
    [
        ("https://huggingface.co/o/r/resolve/main/a/b.gguf?x=1", HUB, "https://huggingface.co/o/r"),
        ("https://huggingface.co/gpt2/resolve/main/a.gguf", HUB, "https://huggingface.co/gpt2"),
        ("https://huggingface.co/datasets/o/r/resolve/main/a", HUB, "https://huggingface.co/datasets/o/r"),
        ("http://127.0.0.1:5/hf/o/r/resolve/main/a", "http://127.0.0.1:5/hf/", "https://huggingface.co/o/r"),
        ("https://huggingface.co.example.org/o/r/resolve/main/a", HUB, None),
        ("https://h.example/o/r/resolve/main/a", HUB, None),
        ("https://huggingface.co/o/r/tree/main", HUB, None),
    ],
)
def test_a_file_of_the_hub_has_its_repositorys_page(url, endpoint, page):
    assert hub_page(url, endpoint) == page
