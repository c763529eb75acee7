"""Requests that no friendly client sends: each gets its answer, and others are still answered."""

import contextlib
import re
import shutil
import socket
import sqlite3
from urllib.parse import quote

import pytest
from support.problems import assert_problem

JOBS = "/api/v1/jobs"
PATIENCE_S = 60.0


@pytest.fixture
def address(web):
    host, _, port = web.serving.base.removeprefix("http://").partition(":")
    return host, int(port)


def raw(address, sent):
    """Send bytes as they are; return all that is answered until the server closes, also in the midst of them."""
    answer = b""
    with socket.create_connection(address, timeout=PATIENCE_S) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(sent)
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def status_of(answer):
    found = re.match(rb"HTTP/1\.1 ([0-9]{3}) ", answer)
    return int(found[1]) if found else None


@pytest.mark.parametrize(
    ("head", "statuses"),
    [
        ("GET / HTTP/1.0\r\n", {421}),
        ("GET / HTTP/1.1\r\n", {400, 421}),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n", {400, 421}),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n", {400, 421}),
        ("GET / HTTP/1.1\r\nHost: {host}@evil.example\r\n", {400, 421}),
        ("GET http://evil.example/api/v1/jobs HTTP/1.1\r\nHost: {host}\r\n", {400, 401, 404, 421}),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: {host}\r\n", {421}),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nX-Long: " + "x" * 200_000 + "\r\n", {400, 431, None}),
        ("TRACE / HTTP/1.1\r\nHost: {host}\r\n", {401, 405}),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: {host}\r\n", {400, 401, 404, 405}),
        ("GET /api/v1/jobs HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", {401}),
        (
            "POST /api/v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            {400, 401},
        ),
        ("GET /%00%ff%2e%2e/ HTTP/1.1\r\nHost: {host}\r\n", {400, 401, 404}),
        ("\x16\x03\x01\x02", {400}),
    ],
)
def test_a_head_that_no_browser_sends_is_refused(address, web, head, statuses):
    host = f"{address[0]}:{address[1]}"
    answer = raw(address, (head.format(host=host) + "Connection: close\r\n\r\n").encode("latin-1"))
    assert status_of(answer) in statuses, answer[:300]
    assert b"access-control-allow" not in answer.lower()
    assert web.api_client.get(JOBS).status_code == 200


def test_two_hundred_silent_connections_keep_no_client_out(address, web):
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(address, timeout=PATIENCE_S))
        assert web.api_client.get(JOBS).status_code == 200


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_connection_that_sends_no_whole_head_is_closed(address, web, begun, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.web.request_deadline.HEAD_S", 0.05)
    with socket.create_connection(address, timeout=PATIENCE_S) as connection:
        connection.sendall(begun)
        assert connection.recv(100) == b""


def test_a_body_that_does_not_come_is_refused(address, web, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.web.guard.BODY_TIMEOUT_S", 0.05)
    head = f"POST {JOBS} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nAuthorization: Bearer {web.token}\r\n"
    with socket.create_connection(address, timeout=PATIENCE_S) as connection:
        connection.sendall(f"{head}Content-Length: 10\r\n\r\n12".encode())
        assert status_of(connection.recv(65536)) == 422


def test_a_reader_that_does_not_read_keeps_no_client_out(web, app):
    with web.api_client.stream("GET", "/api/v1/events"):
        for _ in range(20):
            app.home.controls.set("limit", {"rate_bps": 5_000_000})
        assert web.api_client.get(JOBS).status_code == 200


def test_text_from_outside_stays_text(api_client):
    hostile = "<script>alert(1)</script>\u202e\r\nSet-Cookie: x=y"
    answer = api_client.get(f"/api/v1/models/{quote(hostile)}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answer.headers


def test_a_database_that_is_replaced_by_a_backup_is_read_from_then_on(api_client, app, home, tmp_path):
    with contextlib.closing(sqlite3.connect(home / "flowhub.db")) as there:
        there.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    shutil.copy(home / "flowhub.db", tmp_path / "backup.db")
    assert api_client.post(JOBS, json={"refs": ["a"]}).status_code == 201
    app.close_home()
    for path in home.glob("flowhub.db*"):
        path.unlink()
    shutil.copy(tmp_path / "backup.db", home / "flowhub.db")
    assert api_client.get(JOBS).json()["jobs"] == []
    assert api_client.post(JOBS, json={"refs": ["b"]}).status_code == 201


def test_what_is_not_our_cookie_is_no_sign_in(web):
    for cookie in ("a=b; c", "=;;;", "x" * 5000, 'flowhub="', "\x01=1"):
        assert_problem(web.anonymous.get(JOBS, headers={"Cookie": cookie}), 401, "sign_in_required")
