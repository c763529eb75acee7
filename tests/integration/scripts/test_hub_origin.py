"""Tests of the Hub-shaped origin, as a library and as a command: it answers as the Hub does."""

import hashlib
import http.client
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import lib
import pytest
from support.faults import (
    EarlyClose,
)
from support.http_client import send_request
from support.hub import Hub, commit_of
from support.origin import Pattern

DATA = Pattern(300_000, seed=7).read()
SCRIPTS = Path(lib.__file__).parent.parent
HUB_COMMAND = [sys.executable, "-m", "lib.origin.hub"]


def test_a_large_file_is_redirected_to_the_cdn_with_its_digest(hub):
    url = hub.add("org/model", "weights/m.gguf", DATA)
    response, _ = send_request(url, "HEAD")
    assert response.status == 302
    assert response.headers["X-Linked-ETag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
    assert response.headers["X-Linked-Size"] == "300000"
    assert response.headers["X-Repo-Commit"] == commit_of("org/model", "main")
    assert 'rel="xet-auth"' in response.headers["Link"]
    location = response.headers["Location"]
    assert location.startswith(hub.cdn.address)
    answer, body = send_request(location, Range="bytes=10-19")
    assert (answer.status, body) == (206, DATA[10:20])
    assert answer.headers["ETag"] == f'"{response.headers["X-Xet-Hash"]}"' != response.headers["X-Linked-ETag"]
    assert hub.sent("org/model", "weights/m.gguf") == 10


def test_a_small_file_is_redirected_on_the_hub_with_its_git_sha1(hub):
    url = hub.add("org/model", "config.json", b"{}\n", lfs=False)
    response, _ = send_request(url)
    assert response.status == 307
    assert response.headers["ETag"] == '"0967ef424bce6791893e9a57bb952f80fd536e93"'  # git hash-object
    assert "X-Linked-ETag" not in response.headers
    answer, body = send_request(hub.endpoint + response.headers["Location"])
    assert (answer.status, body) == (200, b"{}\n")
    assert hub.sent("org/model", "config.json") == 3


def test_a_branch_with_a_slash_and_its_commit_name_the_same_file(hub):
    url = hub.add("org/model", "m.gguf", DATA, revision="refs/pr/1")
    assert "/resolve/refs%2Fpr%2F1/" in url
    by_commit = hub.url("org/model", "m.gguf", commit_of("org/model", "refs/pr/1"))
    assert [send_request(one, "HEAD")[0].status for one in (url, by_commit)] == [302, 302]


def test_an_expired_or_forged_link_is_403_and_a_new_one_is_honoured(hub):
    url = hub.add("org/model", "m.gguf", DATA)
    old = send_request(url)[0].headers["Location"]
    assert send_request(old)[0].status == 200
    assert send_request(old.replace("Signature=", "Signature=0"))[0].status == 403
    hub.expire_links()
    assert send_request(old)[0].status == 403
    assert send_request(send_request(url)[0].headers["Location"])[0].status == 200
    hub.expires_s = 0
    assert send_request(send_request(url)[0].headers["Location"])[0].status == 403


@pytest.mark.parametrize(
    ("target", "token", "status", "code"),
    [
        ("org/open/resolve/main/m", None, 302, None),
        ("org/open/resolve/main/gone", None, 404, "EntryNotFound"),
        ("org/open/resolve/v9/m", None, 404, "RevisionNotFound"),
        ("org/none/resolve/main/m", None, 401, "RepoNotFound"),
        ("org/none/resolve/main/m", "hf_right", 404, "RepoNotFound"),
        ("org/gated/resolve/main/m", None, 401, "GatedRepo"),
        ("org/gated/resolve/main/m", "hf_right", 302, None),
        ("org/terms/resolve/main/m", "hf_right", 403, "GatedRepo"),
        ("org/secret/resolve/main/m", None, 401, "RepoNotFound"),
        ("org/secret/resolve/main/m", "hf_right", 302, None),
        ("org/open/resolve/main/m", "hf_wrong", 401, ""),
    ],
)
def test_the_hub_shows_a_file_only_to_those_who_may_see_it(target, token, status, code):
    access = {"token": "hf_right", "gated": {"org/gated"}, "unaccepted": {"org/terms"}, "private": {"org/secret"}}
    with Hub({}, **access) as hub:
        for repo in ("open", "gated", "terms", "secret"):
            hub.add(f"org/{repo}", "m", DATA)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response, _ = send_request(f"{hub.endpoint}/{target}", "HEAD", **headers)
    assert (response.status, response.headers["X-Error-Code"]) == (status, code)


def test_a_token_that_reaches_the_cdn_is_noticed(hub):
    location = send_request(hub.add("org/model", "m", DATA), Authorization="Bearer hf_x")[0].headers["Location"]
    send_request(location)
    assert hub.leaked_tokens == []
    send_request(location, Authorization="Bearer hf_x")
    assert hub.leaked_tokens == ["Bearer hf_x"]


def test_faults_strike_on_the_cdn_too(hub):
    url = hub.add("org/model", "m", DATA)
    hub.break_cdn(EarlyClose(after=7).once(), path=hub.cdn_path("org/model", "m"))
    location = send_request(url)[0].headers["Location"]
    with pytest.raises(http.client.IncompleteRead):
        send_request(location)
    assert send_request(location)[1] == DATA


def test_the_hub_as_a_command_serves_a_map_until_its_stdin_closes(tmp_path):
    (tmp_path / "m.gguf").write_bytes(DATA)
    row = {"repo": "org/model", "revision": "main", "path": "m.gguf", "file": "m.gguf"}
    (tmp_path / "map.json").write_text(json.dumps([{**row, "sha256": hashlib.sha256(DATA).hexdigest()}]))
    command = [*HUB_COMMAND, "--root", tmp_path, "--map", tmp_path / "map.json", "--rate", "100M"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=SCRIPTS) as process:
        assert process.stdin
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        location = send_request(f"{ready['hub']}/org/model/resolve/main/m.gguf")[0].headers["Location"]
        assert urlsplit(location).port == ready["cdn_port"]
        assert send_request(location)[1] == DATA
        process.stdin.close()
        assert json.loads(process.stdout.readline())["leaked_tokens"] == 0
    assert process.returncode == 0


def test_the_hub_as_a_command_ends_in_good_order_on_sigterm(tmp_path):
    (tmp_path / "map.json").write_text("[]")
    command = [*HUB_COMMAND, "--root", tmp_path, "--map", tmp_path / "map.json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=SCRIPTS) as process:
        assert process.stdout
        process.stdout.readline()
        process.terminate()
        assert json.loads(process.stdout.readline())["bytes_sent"] == 0
        assert process.wait() == 0
