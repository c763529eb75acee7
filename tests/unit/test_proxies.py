"""Proxy variables of the environment: read as curl and Go read them; no output shows the value of one."""

import pytest

from flowhub_jobs.errors import ProxySignIn, ProxyUnusable, TrustUnreadable
from flowhub_jobs.net.httpx_errors import proxy_refused
from flowhub_jobs.net.proxies import bypasses, parse_proxy, proxy_for

# The variable --------------------------------------------------------------------------------------------------------

VARIABLES = [
    ({}, "https", None),
    ({"HTTPS_PROXY": "http://p:1"}, "https", ("http", "p", 1, "HTTPS_PROXY")),
    ({"HTTPS_PROXY": "http://p:1"}, "http", None),
    ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:2"}, "https", ("http", "p", 1, "https_proxy")),
    ({"https_proxy": "", "HTTPS_PROXY": "http://q:2"}, "https", None),
    ({"ALL_PROXY": "socks5h://p"}, "http", ("socks5", "p", 1080, "ALL_PROXY")),
    ({"all_proxy": "http://p", "HTTP_PROXY": "q:3"}, "http", ("http", "q", 3, "HTTP_PROXY")),
    ({"HTTPS_PROXY": '"http://p:1"'}, "https", ("http", "p", 1, "HTTPS_PROXY")),
    ({"HTTPS_PROXY": " 'http://p:1' "}, "https", ("http", "p", 1, "HTTPS_PROXY")),
    ({"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}, "http", None),
    ({"http_proxy": "p:1", "REQUEST_METHOD": "GET"}, "http", ("http", "p", 1, "http_proxy")),
]


@pytest.mark.parametrize(("environ", "scheme", "expected"), VARIABLES)
def test_the_variable_of_the_scheme_comes_before_all_proxy_and_lower_case_before_upper(environ, scheme, expected):
    proxy = proxy_for(scheme, "h.example", 443, environ)
    assert (proxy and (proxy.scheme, proxy.host, proxy.port, proxy.variable)) == expected


VALUES = [
    ("p.example:3128", ("http", "p.example", 3128, None)),
    ("http://p.example", ("http", "p.example", 80, None)),
    ("  HTTPS://P.example/\n", ("https", "P.example", 443, None)),
    ("socks://127.0.0.1:1080/", ("socks5", "127.0.0.1", 1080, None)),
    ("http://[2001:db8::1]:8080", ("http", "2001:db8::1", 8080, None)),
    ("http://me:p%40ss%2F%C3%A9@p:1", ("http", "p", 1, (b"me", "p@ss/é".encode()))),
    ("http://me:p@s/s#w?d@p:1", ("http", "p", 1, (b"me", b"p@s/s#w?d"))),
    ("me@p:1", ("http", "p", 1, (b"me", b""))),
]


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_a_proxy_is_read_in_all_forms_that_other_programs_accept(value, expected):
    proxy = parse_proxy("HTTPS_PROXY", value)
    assert (proxy.scheme, proxy.host, proxy.port, proxy.credentials) == expected
    assert "@" not in f"{proxy!s}{proxy!r}"


UNUSABLE = ["ftp://me:secret@p:1", "socks4://me:secret@p", "socks4a://p", "http://", "://p", "http://p:99999"]
UNUSABLE += ["http://me:secret@p q:1", "http://me:secret@p:port", "http://[::1", "http://me:secret@p\nq:1", ":8080"]


@pytest.mark.parametrize("value", UNUSABLE)
def test_a_value_that_is_no_proxy_is_refused_with_its_variable_and_without_its_password(value):
    with pytest.raises(ProxyUnusable) as raised:
        proxy_for("https", "h.example", 443, {"ALL_PROXY": value})
    assert "ALL_PROXY" in raised.value.message
    assert raised.value.hint is not None
    assert "secret" not in raised.value.message + raised.value.hint


def test_a_malformed_variable_does_not_affect_a_host_that_needs_no_proxy():
    environ = {"ALL_PROXY": "ftp://p", "NO_PROXY": "h.example"}
    assert proxy_for("https", "h.example", 443, environ) is None
    assert proxy_for("https", "h.example", 443, {"HTTP_PROXY": "ftp://p"}) is None


# NO_PROXY ------------------------------------------------------------------------------------------------------------

EXEMPT = [
    ("*", "h.example"),
    ("other, *", "h.example"),
    ("h.example", "h.example"),
    ("H.Example.", "h.eXample"),
    ("example", "h.example"),
    (".h.example", "h.example"),
    (".example", "h.example"),
    ("*.example", "h.example"),
    ("a;b;h.example", "h.example"),
    ("a|*.example", "h.example"),
    ("10.*;<local>", "10.1.2.3"),
    ("10.*;<local>", "printer"),
    ("h*.example", "h7.example"),
    ("a b,h.example\tc", "h.example"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("localhost", "localhost"),
    ("h.example:443", "h.example"),
    ("https://h.example", "h.example"),
    ("https://h.example/", "h.example"),
    ("127.0.0.1", "127.0.0.1"),
    ("10.0.0.0/8", "10.255.1.2"),
    ("10.9.9.9/8", "10.255.1.2"),
    ("::1", "::1"),
    ("[::1]", "::1"),
    ("[::1]:443", "::1"),
    ("0:0:0:0:0:0:0:1", "::1"),
    ("fe80::/10", "fe80::1%eth0"),
    ("[fe80::]/10", "fe80::1"),
    ("10.0.0.1:443", "10.0.0.1"),
]
NOT_EXEMPT = [
    ("", "h.example"),
    ("xample", "h.example"),
    ("other.example", "h.example"),
    ("a.h.example", "h.example"),
    ("h.example:8080", "h.example"),
    ("http://h.example", "h.example"),
    ("10.0.0.0/8", "11.0.0.1"),
    ("10.0.0.0/99", "10.0.0.1"),
    ("1", "10.0.0.1"),
    ("fe80::/10", "::1"),
    ("10.0.0.0/8", "ten.example"),
    (",,  ,", "h.example"),
    ("[", "h.example"),
]


@pytest.mark.parametrize(("no_proxy", "host"), EXEMPT)
def test_no_proxy_exempts(no_proxy, host):
    assert bypasses(no_proxy, "https", host, 443)


@pytest.mark.parametrize(("no_proxy", "host"), NOT_EXEMPT)
def test_no_proxy_does_not_exempt(no_proxy, host):
    assert not bypasses(no_proxy, "https", host, 443)


@pytest.mark.parametrize("kind", [ProxyUnusable, ProxySignIn, TrustUnreadable])
def test_a_fault_of_this_machine_or_its_proxy_is_not_attributed_to_the_host(kind):
    assert kind("HTTPS_PROXY is wrong.").at(host="h.example", path="m").message == "m: HTTPS_PROXY is wrong."


def test_the_error_of_a_proxy_that_forbids_the_host_does_not_say_that_it_is_down():
    proxy = parse_proxy("HTTPS_PROXY", "http://p:1")
    assert "rules" in proxy_refused("https://h.example/m", proxy, "403 Forbidden").hint
    assert "runs" in proxy_refused("https://h.example/m", proxy, "503 Service Unavailable").hint
