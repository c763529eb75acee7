"""Only the user of this home is answered: by Host, origin, sign-in and the page's token."""

import re

import pytest
from support.problems import assert_problem
from support.web import token_of

JOBS = "/api/v1/jobs"


def test_a_program_with_the_token_is_answered(web):
    response = web.api_client.get(JOBS)
    assert response.status_code == 200
    assert response.json() == {"schema": "flowhub/jobs/1", "jobs": []}


def test_without_token_or_cookie_the_answer_is_401(web):
    response = web.anonymous.get(JOBS)
    assert_problem(response, 401, "sign_in_required")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic {token}", "{token}", "Bearer {token}x"])
def test_another_token_is_none(web, header):
    authorization = header.format(token=web.token)
    assert_problem(web.anonymous.get(JOBS, headers={"Authorization": authorization}), 401, "sign_in_required")


@pytest.mark.parametrize("path", ["/", JOBS, "/healthz", "/static/x.css", "/sign-in", "/nothing"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "x:{port}:{port}"])
def test_a_foreign_host_is_421_whatever_is_asked(web, path, host):
    port = web.serving.base.rpartition(":")[2]
    assert_problem(web.api_client.get(path, headers={"Host": host.format(port=port)}), 421, "misdirected")


def test_localhost_is_a_name_of_the_loopback(web):
    port = web.serving.base.rpartition(":")[2]
    assert web.api_client.get(JOBS, headers={"Host": f"LocalHost:{port}"}).status_code == 200


@pytest.mark.parametrize("foreign", ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1"])
def test_a_foreign_origin_is_403(web, foreign):
    assert_problem(web.api_client.get(JOBS, headers={"Origin": foreign}), 403, "forbidden")
    assert_problem(web.api_client.options(JOBS, headers={"Origin": foreign}), 403, "forbidden")


def test_its_own_origin_is_answered_without_a_cors_header(web):
    response = web.api_client.get(JOBS, headers={"Origin": web.serving.base, "Sec-Fetch-Site": "same-origin"})
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none, cross-site"])
def test_a_request_of_another_site_is_403(web, site):
    """A page of another port of this machine is same-site."""
    assert_problem(web.api_client.get(JOBS, headers={"Sec-Fetch-Site": site}), 403, "forbidden")


def test_a_ticket_signs_in_one_browser_and_no_second_one(web):
    browser = web.sign_in()
    assert browser.get(JOBS).status_code == 200
    assert_problem(web.anonymous.get(web.serving.url), 401, "sign_in_required")
    assert not web.anonymous.cookies
    assert browser.get(web.serving.url).status_code == 303, "who has signed in is led to the page"


def test_the_cookie_is_for_this_server_alone(web):
    cookie = web.browser.get(web.serving.url).headers["set-cookie"]
    port = web.serving.base.rpartition(":")[2]
    assert cookie.startswith(f"flowhub-{port}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


@pytest.mark.parametrize("forged", ["{0}x", "9{0}", "", ".", "a.b.c", "..", "x"])
def test_a_cookie_that_was_tampered_with_is_none(web, forged):
    [(name, value)] = web.sign_in().cookies.items()
    cookie = f"{name}={forged.format(value)}"
    assert_problem(web.anonymous.get(JOBS, headers={"Cookie": cookie}), 401, "sign_in_required")


def test_a_change_by_cookie_needs_the_pages_token(web):
    browser = web.sign_in()
    assert_problem(browser.post(JOBS, json={"refs": ["a"]}), 403, "forbidden")
    assert_problem(browser.post(JOBS, json={"refs": ["a"]}, headers={"X-Page-Token": "wrong"}), 403, "forbidden")
    assert_problem(browser.post(JOBS, data={"page_token": "wrong"}), 403, "forbidden")
    assert_problem(browser.put("/api/v1/limit", json={}), 403, "forbidden")
    assert_problem(browser.delete("/api/v1/installed/a"), 403, "forbidden")
    assert web.api_client.get(JOBS).json()["jobs"] == []


def test_a_body_beyond_the_limit_is_413(web):
    assert_problem(web.api_client.post(JOBS, content=b"x" * ((1 << 20) + 1)), 413, "body_too_large")


def test_an_unknown_path_is_404_and_a_wrong_method_405(web):
    assert_problem(web.api_client.get("/api/v1/nothing"), 404, "not_found")
    response = web.api_client.delete(JOBS)
    assert_problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["allow"]


def test_every_answer_forbids_what_a_page_could_be_made_to_do(web):
    for response in (web.api_client.get(JOBS), web.anonymous.get(JOBS), web.api_client.get("/api/v1/nothing")):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert "server" not in response.headers


def test_the_token_file_is_for_its_owner_alone_and_stays(web, home, app):
    assert (home / "web.token").stat().st_mode & 0o777 == 0o600
    assert token_of(home) == web.token
    assert re.fullmatch(r"[\w-]{40,}", web.token)
    assert not (home / "share.token").exists()
