"""Redirects: 301 to 308 with relative and absolute targets, loops, from https to http, to `file:`, to dead hosts."""

import pytest
from support.fault_files import HALF, MODEL, host_of, serve_model
from support.faults import CappedRange, CookieWall, Redirect, Reset, Status
from support.origin import Origin
from support.run_fetch import pinned_artifact, quick, run_transfer, unpinned_artifact

from flowhub_jobs.errors import NetworkDown, RedirectRefused, SourceMissing, SourceRefused
from flowhub_jobs.net.urls import location_of
from flowhub_jobs.transfer.fetch import RetryLater

# Followed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
def test_a_redirect_is_followed(origin, downloader, code, relative):
    target = origin.serve("sub/real.gguf", MODEL)
    url = origin.serve("m.gguf", b"", faults=[Redirect(code, "sub/real.gguf" if relative else target)])
    downloader.assert_succeeds(pinned_artifact(url, MODEL), MODEL)
    assert origin.sent("sub/real.gguf") == MODEL.size


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_followed_and_what_breaks_there_costs_no_byte_twice(origin, tmp_path, code):
    with Origin() as other:
        url = other.serve("real.gguf", MODEL, faults=[Reset(after=HALF).once()])
        artifact = unpinned_artifact(origin.serve("m.gguf", b"", faults=[Redirect(code, url)]))
        assert run_transfer(artifact, tmp_path).content() == MODEL.read()
        assert other.sent("real.gguf") == MODEL.size


def test_a_file_that_moves_in_mid_transfer_continues_where_it_is_now(origin, downloader):
    """The second request is redirected to another host."""
    target = origin.serve("sub/real.gguf", MODEL)
    downloader.assert_succeeds(
        serve_model(origin, True, CappedRange(most=HALF).once(), Redirect(302, target).nth(2)), MODEL
    )
    assert (origin.sent("m.gguf"), origin.sent("sub/real.gguf")) == (HALF, MODEL.size - HALF)


def test_where_a_redirect_led_is_forgotten_when_it_leads_nowhere_any_more(origin, tmp_path):
    with Origin() as old:
        target = old.serve("m.gguf", MODEL, faults=[Reset(after=HALF).once(), Status(403).nth(2)])
        moved = Redirect(302, origin.serve("new.gguf", MODEL))
        url = origin.serve("m.gguf", b"", faults=[moved, Redirect(302, target).once()])
        assert run_transfer(pinned_artifact(url, MODEL), tmp_path).content() == MODEL.read()
        assert (old.sent("m.gguf"), origin.sent("new.gguf")) == (HALF, MODEL.size - HALF)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_signed_address_at_the_same_host_is_renewed_when_it_has_expired(origin, downloader, status):
    first = origin.serve("signed/1", MODEL, faults=[Reset(after=HALF).once(), Status(status).after_first()])
    second = origin.serve("signed/2", MODEL)
    faults = [Redirect(302, first).once(), Redirect(302, second).after_first()]
    downloader.assert_succeeds(serve_model(origin, True, *faults), MODEL)
    assert (origin.sent("signed/1"), origin.sent("signed/2")) == (HALF, MODEL.size - HALF)


WRITTEN = {  # a Location as servers write it, and the path of the next request
    "a space in the path": (b"/My Model v1.gguf", "/My%20Model%20v1.gguf"),
    "spaces in the query": (b'/m1.gguf?f=attachment; n="My M.gguf"', "/m1.gguf?f=attachment;%20n=%22My%20M.gguf%22"),
    "UTF-8 in the path": ("/caf\u00e9-\u6a21.gguf".encode(), "/caf%C3%A9-%E6%A8%A1.gguf"),
    "UTF-8 in the query": ("/m1.gguf?n=\u6a21".encode(), "/m1.gguf?n=%E6%A8%A1"),
    "Latin-1 in the path": (b"/caf\xe9.gguf", "/caf%E9.gguf"),
    "what is encoded already": (b"/My%20Model%2Fv1.gguf", "/My%20Model%2Fv1.gguf"),
    "a backslash": (b"/dir\\m1.gguf", "/dir/m1.gguf"),
    "a backslash in the query": (b"/m1.gguf?n=a\\b", "/m1.gguf?n=a%5Cb"),
    "a pipe and braces": (b"/m|{x}.gguf", "/m%7C%7Bx%7D.gguf"),
    "a fragment": (b"/m1.gguf#_=_", "/m1.gguf"),
    "a fragment with a question mark": (b"/m1.gguf#a?b", "/m1.gguf"),
    "spaces around it": (b" /m1.gguf  ", "/m1.gguf"),
    "a tab in it": (b"/m1\t.gguf", "/m1.gguf"),
    "a query alone": (b"?v=2", "/d/m.gguf?v=2"),
    "a folder up": (b"../m1.gguf", "/m1.gguf"),
    "a name alone": (b"m1.gguf", "/d/m1.gguf"),
    "dots": (b"/a/./b/../m1.gguf", "/a/m1.gguf"),
    "a host without a scheme": (b"//{host}/m1.gguf", "/m1.gguf"),
    "a host behind backslashes": (b"\\\\{host}\\m1.gguf", "/m1.gguf"),
}


@pytest.mark.parametrize(("location", "arrives"), WRITTEN.values(), ids=WRITTEN)
def test_a_location_is_read_as_browsers_read_it(origin, downloader, location, arrives):
    path, _, query = arrives.partition("?")
    origin.serve(path, MODEL)
    moved = location.replace(b"{host}", host_of(origin).encode()).decode("latin-1")
    url = origin.serve("d/m.gguf", MODEL, faults=[Redirect(302, moved).once()])
    downloader.assert_succeeds(pinned_artifact(url, MODEL), MODEL)
    last = origin.requests()[-1]
    assert (last.path, last.query) == (path, query)


def test_of_two_locations_the_first_is_followed(origin):
    raw = [(b"Location", b"/a.gguf"), (b"location", b"/b.gguf")]
    assert location_of(raw) == "/a.gguf"


def test_a_location_that_is_empty_is_none(origin, downloader):
    downloader.assert_fails(
        serve_model(origin, True, Redirect(302, "")), SourceRefused, f"m.gguf: {host_of(origin)} answers 302"
    )
    assert len(origin.requests()) == 1


def test_a_name_in_unicode_stays_one(origin):
    assert (
        location_of([(b"location", "https://m\u00fcnchen.example/\u00fc".encode())])
        == "https://m\u00fcnchen.example/%C3%BC"
    )


# Cookies -------------------------------------------------------------------------------------------------------------


WALLS = {
    "a cookie of the site": "; Path=/",
    "a cookie without attributes": "",
    "a cookie with many attributes": "; path=/; Max-Age=60; HttpOnly; SameSite=None; Partitioned; Priority=High",
}


@pytest.mark.parametrize("attributes", WALLS.values(), ids=WALLS)
def test_a_cookie_that_a_redirect_to_itself_sets_is_sent_back(origin, downloader, pin, attributes):
    downloader.assert_succeeds_without_refetch(
        serve_model(origin, pin, CookieWall(attributes=attributes)), MODEL, origin
    )


def test_a_cookie_is_forgotten_with_the_request_that_needed_it(origin, downloader):
    """Each part is requested from the address itself, not from the target of the redirect."""
    target = origin.serve("sub/real.gguf", MODEL, faults=[CappedRange(most=HALF)])
    downloader.assert_succeeds(
        pinned_artifact(origin.serve("m.gguf", b"", faults=[CookieWall(location=target)]), MODEL), MODEL
    )
    walls, files = (
        [one.headers.get("cookie") for one in origin.requests(path)] for path in ("m.gguf", "sub/real.gguf")
    )
    assert walls == [None] * len(files)
    assert files == ["ok=1"] * len(files)
    assert len(files) > 1


def test_a_cookie_goes_to_no_other_origin(origin, downloader):
    with Origin() as other:
        target = other.serve("real.gguf", MODEL)
        url = origin.serve("m.gguf", b"", faults=[CookieWall(attributes="; Domain=127.0.0.1", location=target)])
        downloader.assert_succeeds(pinned_artifact(url, MODEL), MODEL)
        assert other.requests()
        assert all("cookie" not in request.headers for request in other.requests())


REFUSED = {
    "a cookie for https alone": CookieWall(attributes="; Secure"),
    "a cookie that has ended": CookieWall(attributes="; Max-Age=0"),
    "no name and value": CookieWall(cookie="ok", attributes=""),
    "a cookie of 5 KB": CookieWall(cookie="ok=" + "1" * 5000),
    "a byte that no header may hold": CookieWall(cookie="ok=\xe9"),
}


@pytest.mark.parametrize("fault", REFUSED.values(), ids=REFUSED)
def test_a_cookie_that_may_not_be_sent_is_not(origin, downloader, fault):
    downloader.assert_fails(
        serve_model(origin, True, fault), RedirectRefused, f"m.gguf: {host_of(origin)} redirects without end"
    )
    assert len(origin.requests()) == 10
    assert all("cookie" not in request.headers for request in origin.requests())


def test_a_cookie_wall_over_https_is_passed(downloader, monkeypatch, uncached_trust):
    with Origin(tls=True) as secure:
        monkeypatch.setenv("SSL_CERT_FILE", str(secure.ca_file))
        downloader.assert_succeeds_without_refetch(
            serve_model(secure, True, CookieWall(attributes="; Secure; Path=/")), MODEL, secure
        )


def test_a_redirect_without_end_is_left_after_ten_whatever_cookies_it_sets(origin, downloader):
    endless = CookieWall(cookie="n=1; n=2")
    error = downloader.assert_fails(
        serve_model(origin, True, endless), RedirectRefused, "redirects without end (10 times)"
    )
    assert "n=1" not in f"{error['message']}{error['hint']}"
    assert len(origin.requests()) == 10


@pytest.mark.parametrize("host", ["xn--i-7iq.invalid", "xn--.invalid"])
def test_a_redirect_to_a_name_that_idna_2008_does_not_decode_is_followed(origin, tmp_path, host):
    """An emoji domain is valid; this one does not exist."""
    artifact = unpinned_artifact(origin.serve("m.gguf", b"", faults=[Redirect(302, f"https://{host}/m.gguf")]))
    with pytest.raises((NetworkDown, RetryLater), match=f"{host} cannot be reached"):
        run_transfer(artifact, tmp_path, options=quick(faults_max=1))


# Not followed --------------------------------------------------------------------------------------------------------


def test_a_redirect_to_itself_is_left_after_ten(origin, downloader):
    loop = serve_model(origin, True, Redirect(302, "/m.gguf"))
    error = downloader.assert_fails(
        loop, RedirectRefused, f"m.gguf: {host_of(origin)} redirects without end (10 times)"
    )
    assert not error["retryable"]
    assert len(origin.requests()) == 10


def test_two_addresses_that_redirect_to_each_other_are_left_after_ten(origin, downloader):
    with Origin() as other:
        target = other.serve("m.gguf", b"", faults=[Redirect(301, origin.url("m.gguf"))])
        artifact = serve_model(origin, True, Redirect(308, target))
        downloader.assert_fails(artifact, RedirectRefused, "m.gguf: ", "redirects without end (10 times)")
        assert len(origin.requests()) == len(other.requests()) == 5


SCHEMES = ["file:///etc/passwd", "FILE:/etc/passwd", "ftp://x.example/m.gguf", "http://x.example/m.gguf"]


@pytest.mark.parametrize("target", SCHEMES)
def test_a_redirect_to_a_forbidden_address_is_refused(origin, downloader, target):
    artifact = serve_model(origin, False, Redirect(302, target))
    goes = f"{host_of(origin)}/m.gguf redirects where flowhub does not follow."
    error = downloader.assert_fails(artifact, RedirectRefused, goes, target)
    assert not error["retryable"]
    assert len(origin.requests()) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://x.example/m.gguf"])
def test_a_pin_is_no_licence_to_go_there(origin, downloader, target):
    downloader.assert_fails(serve_model(origin, True, Redirect(302, target)), RedirectRefused, host_of(origin), target)


NOWHERE = {  # and the number of requests to the origin
    "data:,x": 1,
    "http://[": 1,
    "http://user:pw@127.0.0.1/m.gguf": 1,
    "http://": 10,  # by the rules of relative addresses this is the address itself
    "//": 10,
}


@pytest.mark.parametrize("target", NOWHERE)
def test_a_redirect_to_no_address_at_all_ends_it_clearly(origin, downloader, target):
    error = downloader.assert_fails(
        serve_model(origin, False, Redirect(302, target)), RedirectRefused, "m.gguf", host_of(origin)
    )
    assert "pw" not in f"{error['message']}{error['hint']}"
    assert len(origin.requests()) == NOWHERE[target]


@pytest.mark.parametrize("code", [300, 302])
def test_a_redirect_that_says_not_where_is_a_refusal(origin, downloader, code):
    downloader.assert_fails(
        serve_model(origin, True, Status(code)), SourceRefused, f"m.gguf: {host_of(origin)} answers {code}"
    )
    assert len(origin.requests()) == 1


def test_a_redirect_to_what_is_gone_names_where_it_led(origin, downloader):
    """That host gets as many tries as any: a freshly signed address may start to work."""
    with Origin() as other:
        artifact = serve_model(origin, True, Redirect(302, other.url("gone.gguf")))
        error = downloader.fetch(artifact, quick(faults_max=2)).error
        assert "m.gguf" in error["message"]
        assert host_of(other) in error["message"]
        assert "404" in error["message"]


def test_a_redirect_within_its_own_host_to_what_is_gone_is_final(origin, downloader):
    artifact = serve_model(origin, True, Redirect(302, "/gone.gguf"))
    downloader.assert_fails(artifact, SourceMissing, f"m.gguf: {host_of(origin)} has no such file (status 404)")
    assert len(origin.requests()) == 2


def test_a_redirect_from_https_down_to_http_needs_a_pin(origin, downloader, monkeypatch, uncached_trust, pin):
    target = origin.serve("m.gguf", MODEL)
    with Origin(tls=True) as secure:
        monkeypatch.setenv("SSL_CERT_FILE", str(secure.ca_file))
        url = secure.serve("m.gguf", b"", faults=[Redirect(302, target)])
        if pin:
            downloader.assert_succeeds(pinned_artifact(url, MODEL), MODEL)
            return
        downloader.assert_fails(
            unpinned_artifact(url), RedirectRefused, f"{host_of(secure)}/m.gguf redirects to ", "leaves https"
        )
    assert origin.requests() == []
