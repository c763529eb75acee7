"""Proxies: of every kind, down, with a password, refusing; and variables without a usable address."""

import pytest
from support.fault_files import HALF, MODEL, host_of, serve_model
from support.faults import Reset
from support.origin import Origin
from support.proxies import LoopbackProxy, SocksProxy, refusing_address
from support.run_fetch import folder_artifact, quick, run_transfer

from flowhub_jobs.errors import ConnectionLost, ProxySignIn, ProxyUnreachable, ProxyUnusable
from flowhub_jobs.net import get, socks

LOGIN = ("me@company", "p:ss/wörd")
IN_URL = "me%40company:p%3Ass%2Fw%C3%B6rd"
SCHEMES = ("http", "https")


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def source(request, home, monkeypatch, uncached_trust):
    with Origin(tls=request.param) as source:
        if request.param:
            monkeypatch.setenv("SSL_CERT_FILE", str(source.ca_file))
        yield source


@pytest.fixture
def set_proxy(home, monkeypatch):
    """Sets the variables of a proxy; those of the environment are cleared."""

    def set_proxy(value, variable="ALL_PROXY", **more):
        monkeypatch.setenv(variable, value)
        for name, text in more.items():
            monkeypatch.setenv(name, text)

    return set_proxy


# It leads on ---------------------------------------------------------------------------------------------------------


def test_an_http_proxy_leads_to_plain_and_tls_sources(source, downloader, set_proxy):
    with LoopbackProxy() as proxy:
        set_proxy(f"http://{proxy.address}")
        downloader.assert_succeeds_without_refetch(serve_model(source, True, Reset(after=HALF).once()), MODEL, source)
        assert all(host_of(source) in target for target in proxy.targets)
        assert proxy.targets


def test_a_proxy_gets_the_user_and_password_of_its_variable_decoded(source, downloader, set_proxy):
    with LoopbackProxy(login=LOGIN) as proxy:
        set_proxy(f"http://{IN_URL}@{proxy.address}")
        downloader.assert_succeeds_without_refetch(serve_model(source, True), MODEL, source)


def test_an_https_proxy_leads_on(tmp_path, source, set_proxy, monkeypatch):
    with Origin(tls=True) as stranger, LoopbackProxy(tls=stranger.tls) as proxy:
        both = tmp_path / "both.pem"
        own = source.ca_file.read_text() if source.address.startswith("https") else ""
        both.write_text(own + stranger.ca_file.read_text())
        monkeypatch.setenv("SSL_CERT_FILE", str(both))
        set_proxy(f"https://{proxy.address}")
        assert run_transfer(serve_model(source, True), tmp_path).content() == MODEL.read()
        assert proxy.targets


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
def test_a_socks_proxy_leads_on_whatever_parts_its_messages_come_in(source, downloader, set_proxy, scheme):
    with SocksProxy() as proxy:
        set_proxy(f"{scheme}://{proxy.address}")
        downloader.assert_succeeds_without_refetch(serve_model(source, True, Reset(after=HALF).once()), MODEL, source)
        assert set(proxy.targets) == {host_of(source)}


def test_a_socks_proxy_gets_user_and_password(source, downloader, set_proxy):
    with SocksProxy(login=LOGIN) as proxy:
        set_proxy(f"socks5://{IN_URL}@{proxy.address}")
        downloader.assert_succeeds_without_refetch(serve_model(source, True), MODEL, source)


def test_a_socks_proxy_that_needs_no_password_accepts_one(source, downloader, set_proxy):
    with SocksProxy() as proxy:
        set_proxy(f"socks5://me:secret@{proxy.address}")
        downloader.assert_succeeds_without_refetch(serve_model(source, True), MODEL, source)


def test_a_connection_through_socks_is_kept_for_its_host_and_never_for_the_proxy(source, tmp_path, set_proxy):
    """httpcore would start SOCKS on a kept connection, and wait for an answer."""
    with SocksProxy() as proxy:
        set_proxy(f"socks5://{proxy.address}")
        files = {f"f{number}.bin": source.serve(f"f{number}.bin", bytes(100)) for number in range(5)}
        run_transfer(folder_artifact(files), tmp_path, options=quick(connections_per_host=1))
        assert proxy.targets == [host_of(source)]
        assert source.made_connections == 1


# It does not ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_proxy_that_is_down_is_named_with_its_variable_and_may_pass(source, downloader, set_proxy, scheme):
    with refusing_address() as place:
        set_proxy(f"{scheme}://me:secret@{place}")
        words = (host_of(source), f"the proxy {place} (ALL_PROXY)", "refused")
        error = downloader.assert_fails(
            serve_model(source, True), ProxyUnreachable, *words, options=quick(faults_max=2)
        )
        assert error["retryable"]
        assert "secret" not in str(error)


@pytest.mark.parametrize("kind", [LoopbackProxy, SocksProxy], ids=["http", "socks5"])
@pytest.mark.parametrize("login", ["me:wrong@", ""], ids=["a wrong password", "none"])
def test_a_proxy_that_rejects_the_password_is_named_without_it(source, downloader, set_proxy, kind, login):
    with kind(login=LOGIN) as proxy:
        set_proxy(f"{'http' if kind is LoopbackProxy else 'socks5'}://{login}{proxy.address}", "ALL_PROXY")
        error = downloader.assert_fails(
            serve_model(source, True), ProxySignIn, f"The proxy {proxy.address} (ALL_PROXY)"
        )
        assert not error["retryable"]
        assert "wrong" not in str(error)
        assert proxy.targets == []


@pytest.mark.parametrize("login", ["me:secret@", ""], ids=["a password", "none"])
def test_a_proxy_that_offers_other_sign_ins_than_basic_is_named_with_them(source, downloader, set_proxy, login):
    with LoopbackProxy(login=LOGIN, challenges=["Negotiate", "NTLM"]) as proxy:
        set_proxy(f"http://{login}{proxy.address}")
        offers = f"The proxy {proxy.address} (ALL_PROXY) requires a sign-in by Negotiate or NTLM"
        error = downloader.assert_fails(serve_model(source, True), ProxySignIn, offers, "flowhub speaks Basic only")
        assert not error["retryable"]
        assert "px or cntlm" in error["hint"]


def test_a_proxy_that_also_offers_basic_requires_a_user_and_a_password(source, downloader, set_proxy):
    with LoopbackProxy(login=LOGIN, challenges=["NTLM", 'Basic realm="the office"']) as proxy:
        set_proxy(f"http://{proxy.address}")
        error = downloader.assert_fails(
            serve_model(source, True), ProxySignIn, "requires a user and a password", "ALL_PROXY has none"
        )
        assert "http://USER:PASSWORD@HOST:PORT" in error["hint"]


@pytest.mark.parametrize("status", ["403 Forbidden", "502 Bad Gateway", "503 Service Unavailable"])
def test_a_tunnel_that_a_proxy_refuses_may_pass(tmp_path, set_proxy, status):
    with LoopbackProxy(answer=status) as proxy, Origin(tls=True) as source:
        set_proxy(f"http://{proxy.address}")
        with pytest.raises(ProxyUnreachable, match=rf"the proxy {proxy.address} \(ALL_PROXY\) answers {status}"):
            run_transfer(serve_model(source, True), tmp_path, options=quick(faults_max=2))


def test_a_socks_proxy_that_does_not_reach_the_host_says_why(source, tmp_path, set_proxy):
    with SocksProxy(refuses=4) as proxy:
        set_proxy(f"socks5://{proxy.address}")
        with pytest.raises(ProxyUnreachable, match=rf"the proxy {proxy.address} \(ALL_PROXY\) says: host unreachable"):
            run_transfer(serve_model(source, True), tmp_path, options=quick(faults_max=2))


@pytest.mark.parametrize("wrong", ["http", "socks5"])
def test_a_proxy_that_speaks_another_protocol_than_its_scheme_is_named(source, tmp_path, set_proxy, wrong):
    kind = SocksProxy if wrong == "http" else LoopbackProxy
    with kind() as proxy:
        set_proxy(f"{wrong}://{proxy.address}")
        with pytest.raises((ProxyUnreachable, ConnectionLost), match=f"proxy {proxy.address}"):
            # Each side waits for the other: only a timeout ends it.
            run_transfer(serve_model(source, True), tmp_path, options=quick(faults_max=2, connect_s=0.5, headers_s=0.5))


NO_PROXIES = {
    "an unknown scheme": "ftp://me:secret@p:1",
    "SOCKS4": "socks4://p:1",
    "a port that is no number": "http://me:secret@p:port",
    "a space": "http://a b",
}


@pytest.mark.parametrize("value", NO_PROXIES.values(), ids=NO_PROXIES)
def test_a_variable_that_no_proxy_can_be_made_of_is_named_at_once(source, downloader, set_proxy, value):
    set_proxy(value)
    error = downloader.assert_fails(serve_model(source, True), ProxyUnusable, "ALL_PROXY")
    assert "secret" not in str(error)
    assert source.requests() == []


def test_without_its_package_a_socks_proxy_is_answered_with_the_command_that_installs_it(
    source, downloader, set_proxy, monkeypatch
):
    monkeypatch.setattr(socks.importlib.util, "find_spec", lambda name: None)
    set_proxy("socks5://me:secret@127.0.0.1:1")
    error = downloader.assert_fails(serve_model(source, True), ProxyUnusable, "ALL_PROXY", "127.0.0.1:1")
    assert "pip install 'flowhub[socks]'" in error["hint"]


NOT_USED = {
    "an unknown scheme": "ftp://p",
    "a SOCKS proxy that is down": "socks5://127.0.0.1:1",
    "no address": "http://a b\nc",
    "an HTTP proxy that is down": "http://127.0.0.1:1",
}
NO_PROXY = {
    "its address": "127.0.0.1",
    "its network, after others": "fe80::/10, [::1] 127.0.0.0/8",
    "every host": "*",
    "its port": "localhost,127.0.0.1:{port}",
}


@pytest.mark.parametrize("value", NOT_USED.values(), ids=NOT_USED)
@pytest.mark.parametrize("no_proxy", NO_PROXY.values(), ids=NO_PROXY)
def test_a_source_that_needs_no_proxy_is_reached_with_any_proxy_variables(
    origin, downloader, set_proxy, value, no_proxy
):
    set_proxy(value, NO_PROXY=no_proxy.format(port=host_of(origin).rpartition(":")[2]))
    downloader.assert_succeeds_without_refetch(serve_model(origin, True), MODEL, origin)


def test_a_document_goes_the_same_ways(source, set_proxy):
    url = source.serve("d.json", b"{}")
    with SocksProxy() as proxy:
        set_proxy(f"socks5://{proxy.address}")
        assert get.get(url, max_bytes=10).body == b"{}"
        assert proxy.targets == [host_of(source)]
    with pytest.raises(ProxyUnreachable):
        get.get(url, max_bytes=10)
    set_proxy("ftp://p")
    with pytest.raises(ProxyUnusable):
        get.get(url, max_bytes=10)
