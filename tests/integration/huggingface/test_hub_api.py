"""The client of the Hub's API: it checks what a response says of a repository, and waits for a busy Hub."""

import json

import pytest
from support.answer_faults import LoginPage, Redirect, Status
from support.connection_faults import CloseBeforeHeaders
from support.http_client import send_request
from support.hub import Hub as HubOrigin
from support.hub import commit_of

from flowhub_jobs.errors import (
    Gated,
    NetworkDown,
    NotFound,
    ServerBusy,
    SourceRefused,
    TokenMissing,
    TokenRefused,
    TooLarge,
    WaitTooLong,
    WrongContent,
)
from flowhub_jobs.huggingface import hub_client
from flowhub_jobs.huggingface.hub_client import HubClient
from flowhub_jobs.huggingface.responses import RepoFile
from flowhub_jobs.net.urls import origin as origin_of

INFO = "/api/models/o/r/revision/main"


@pytest.fixture
def sleeps():
    return []


@pytest.fixture
def new_client(hub, sleeps):
    def make_client(token=None):
        return HubClient(hub.endpoint, {origin_of(hub.endpoint): token} if token else {}, sleep=sleeps.append)

    return make_client


# The server itself ---------------------------------------------------------------------------------------------------


def test_the_hub_lists_files_with_the_digests_that_each_kind_has(hub):
    hub.add("o/r", "sub/m.gguf", b"weights")
    hub.add("o/r", "config.json", b"{}\n", lfs=False)
    answer, body = send_request(f"{hub.endpoint}/api/models/o/r/tree/main?recursive=true")
    folder, large, small = json.loads(body)
    assert answer.headers["RateLimit"]
    assert (folder["type"], folder["path"]) == ("directory", "sub")
    assert large["lfs"]["oid"] == hub.repositories.files["o/r", "main", "sub/m.gguf"].digest
    assert large["oid"] != hub.repositories.files["o/r", "main", "sub/m.gguf"].oid, "git's sha1 is of the pointer"
    assert (small["oid"], small["size"], "lfs" in small) == ("0967ef424bce6791893e9a57bb952f80fd536e93", 3, False)
    top = json.loads(send_request(f"{hub.endpoint}/api/models/o/r/tree/main")[1])
    assert [entry["path"] for entry in top] == ["sub", "config.json"]


def test_the_hub_describes_a_repo_and_with_blobs_its_digests(hub):
    hub.add("o/r", "m.gguf", b"weights")
    page = json.loads(send_request(f"{hub.endpoint}/api/models/o/r?blobs=true")[1])
    assert (page["id"], page["sha"], page["gated"]) == ("o/r", commit_of("o/r", "main"), False)
    assert page["siblings"][0]["lfs"]["sha256"] == hub.repositories.files["o/r", "main", "m.gguf"].digest
    assert json.loads(send_request(f"{hub.endpoint}/api/models/o/r")[1])["siblings"] == [{"rfilename": "m.gguf"}]


# Responses that are accepted -----------------------------------------------------------------------------------------


def test_a_repository_has_the_commit_and_facts_of_the_response(hub, new_client):
    hub.add("o/r", "m.gguf", b"weights")
    about = {"cardData": {"license": "mit"}, "tags": ["mlx", 7], "gguf": {"total": 8, "context_length": 4096}}
    hub.facts.about["o/r"] = about | {"library_name": "mlx", "likes": "many"}
    info = new_client().info("o/r")
    assert (info.repo, info.commit, info.license, info.tags) == ("o/r", commit_of("o/r", "main"), "mit", ("mlx",))
    assert (info.parameters, info.context_length, info.library, info.gated) == (8, 4096, "mlx", False)


def test_a_branch_with_a_slash_is_one_segment_of_the_path(hub, new_client):
    hub.add("o/r", "m.gguf", b"weights", revision="refs/pr/1")
    info = new_client().info("o/r", "refs/pr/1")
    assert info.commit == commit_of("o/r", "refs/pr/1")
    assert [file.path for file in new_client().tree("o/r", info.commit)] == ["m.gguf"]


def test_a_long_list_comes_page_by_page(hub, new_client):
    paths = [f"a/{number}.json" for number in range(25)]
    for path in paths:
        hub.add("o/r", path, b"{}", lfs=False)
    hub.facts.page_size = 7
    files = new_client().tree("o/r", commit_of("o/r", "main"))
    assert sorted(file.path for file in files) == sorted(paths)
    assert len(hub.front.requests()) == 4
    assert files[0] == RepoFile(files[0].path, 2, None, hub.repositories.files["o/r", "main", paths[0]].oid)


def test_an_answer_of_the_hub_is_not_requested_again(hub, new_client):
    hub.add("o/r", "m.gguf", b"weights")
    client = new_client()
    for _ in range(2):
        client.tree("o/r", client.info("o/r").commit)
    assert len(hub.front.requests()) == 2


def test_a_huge_repository_ends_in_a_clear_error(hub, new_client, monkeypatch):
    monkeypatch.setattr(hub_client, "FILES_MAX", 10)
    hub.facts.page_size = 4
    for number in range(30):
        hub.add("o/r", f"{number}.json", b"{}", lfs=False)
    with pytest.raises(TooLarge, match="more than 10 files"):
        new_client().tree("o/r", commit_of("o/r", "main"))
    assert len(hub.front.requests()) == 3


def test_a_list_without_end_ends(hub, new_client, monkeypatch):
    monkeypatch.setattr(hub_client, "PAGES_MAX", 5)
    url = f"{hub.endpoint}/api/models/o/r/tree/{'c' * 40}"
    hub.break_front(Status(200, {"Link": f'<{url}?cursor=1>; rel="next"'}, b"[]"))
    with pytest.raises(TooLarge, match="in a circle"):
        new_client().tree("o/r", "c" * 40)
    assert len(hub.front.requests()) == 2


def test_a_list_of_too_many_pages_ends(hub, new_client, monkeypatch):
    monkeypatch.setattr(hub_client, "PAGES_MAX", 5)
    url = f"{hub.endpoint}/api/models/o/r/tree/{'c' * 40}"
    pages = [Status(200, {"Link": f'<{url}?cursor={n}>; rel="next"'}, b"[]").nth(n) for n in range(1, 9)]
    hub.break_front(*pages)
    with pytest.raises(TooLarge, match="more than 5 pages"):
        new_client().tree("o/r", "c" * 40)
    assert len(hub.front.requests()) == 5


@pytest.mark.parametrize("next_page", ["https://elsewhere.example/x", "http://127.0.0.1:1/x", "file:///etc/passwd"])
def test_a_list_is_not_followed_to_another_host(hub, new_client, next_page):
    hub.break_front(Status(200, {"Link": f'<{next_page}>; rel="next"'}, b"[]"))
    with pytest.raises(SourceRefused, match="another host"):
        new_client("hf_right").tree("o/r", "c" * 40)


def test_a_next_page_at_the_hub_itself_is_requested_at_the_endpoint(hub, new_client):
    link = '<https://huggingface.co/api/models/o/r/tree/x?cursor=1>; rel="next"'
    hub.break_front(Status(200, {"Link": link}, b"[]"), path=f"/api/models/o/r/tree/{'c' * 40}")
    hub.break_front(Status(200, {}, b"[]"), path="/api/models/o/r/tree/x")
    assert new_client().tree("o/r", "c" * 40) == []
    assert len(hub.front.requests()) == 2


@pytest.mark.parametrize("target", ["/api/models/o/r/tree/x?cursor=1", "x?cursor=1"])
def test_the_address_of_the_next_page_may_be_relative(hub, new_client, target):
    link = f'<{target}>; rel="next"'
    hub.break_front(Status(200, {"Link": link}, b"[]"), path=f"/api/models/o/r/tree/{'c' * 40}")
    hub.break_front(Status(200, {}, b"[]"), path="/api/models/o/r/tree/x")
    assert new_client().tree("o/r", "c" * 40) == []
    assert len(hub.front.requests()) == 2


def test_a_file_that_two_pages_list_is_one_file(hub, new_client):
    entries = json.dumps([{"type": "file", "path": "config.json", "size": 2, "oid": "a" * 40}]).encode()
    first_page = Status(200, {"Link": '<x?cursor=1>; rel="next"'}, entries)
    hub.break_front(first_page, path=f"/api/models/o/r/tree/{'c' * 40}")
    hub.break_front(Status(200, {}, entries), path="/api/models/o/r/tree/x")
    assert [file.path for file in new_client().tree("o/r", "c" * 40)] == ["config.json"]


def test_the_next_page_is_found_among_other_links_and_may_have_a_comma(hub, new_client):
    url = f"{hub.endpoint}/api/models/o/r/tree/x,y"
    link = f'<{hub.endpoint}/first>; rel="first", <{url}>; title="x"; rel="next", <>; rel="last"'
    hub.break_front(Status(200, {"Link": link}, b"[]"), path=f"/api/models/o/r/tree/{'c' * 40}")
    hub.break_front(Status(200, {}, b"[]"), path="/api/models/o/r/tree/x,y")
    assert new_client().tree("o/r", "c" * 40) == []
    assert hub.front.requests()[-1].path.endswith("/tree/x,y")


def test_a_link_header_without_end_is_not_read(hub, new_client):
    hub.break_front(Status(200, {"Link": "<>;" * 10_000}, b"[]"))
    with pytest.raises(SourceRefused, match="Link header of 30,000 characters"):
        new_client().tree("o/r", "c" * 40)


@pytest.mark.parametrize(
    "name", ["../../etc", "..", ".", "o/..", "./r", "o/r/x", "o/r?x", "o r", "/r", "o/", "ö/r", ""]
)
def test_a_name_that_leads_to_another_address_is_ignored(hub, new_client, name):
    hub.add("o/r", "m.gguf", b"weights")
    hub.facts.about["o/r"] = {"id": name}
    assert new_client().info("o/r").repo == "o/r"


def test_the_name_of_a_renamed_repository_is_that_of_the_response(hub, new_client):
    hub.add("o/r", "m.gguf", b"weights")
    for name in ("New.owner/R-2.5_x", "gpt2", "..o/r.."):
        hub.facts.about["o/r"] = {"id": name}
        assert new_client().info("o/r").repo == name


# Responses that are refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        LoginPage(),
        Status(200, body=b""),
        Status(200, body=b"{"),
        Status(200, body=b"[" * 100_000),
        Status(200, body=b"\xff\xfe"),
        Status(200, body=b"[]"),
        Status(200, body=b'{"sha": "main"}'),
        Status(200, body=b'{"sha": 7}'),
        Status(200, body=b"null"),
    ],
)
def test_an_answer_that_is_not_the_hubs_is_an_error_of_the_source(hub, new_client, fault):
    hub.break_front(fault)
    with pytest.raises(WrongContent) as raised:
        new_client().info("o/r")
    assert raised.value.exit_status == 5


def test_a_malformed_list_is_an_error_of_the_source_and_odd_entries_are_ignored(hub, new_client):
    hub.break_front(Status(200, body=b'{"error": "x"}'))
    with pytest.raises(WrongContent):
        new_client().tree("o/r", "c" * 40)
    odd = [7, {"type": "file"}, {"type": "file", "path": 7}, {"type": "file", "path": "x", "size": -1, "oid": "zz"}]
    hub.break_front(Status(200, body=json.dumps([*odd, {"type": "file", "path": "y", "lfs": {"oid": 7}}]).encode()))
    assert new_client().tree("o/r", "c" * 40) == [RepoFile("x"), RepoFile("y")]


def test_a_missing_repository_is_not_found_with_a_token(hub, new_client):
    with pytest.raises(TokenMissing, match="repository o/r") as raised:
        new_client().info("o/r")
    assert raised.value.exit_status == 4
    assert "Check its name" in (raised.value.hint or "")
    with pytest.raises(NotFound, match="no repository o/r") as raised:
        new_client("hf_right").info("o/r")
    assert raised.value.exit_status == 3


def test_a_revision_that_is_not_there_is_not_found(hub, new_client):
    hub.add("o/r", "m.gguf", b"weights")
    with pytest.raises(NotFound, match="no such revision of the repository o/r at v9"):
        new_client().info("o/r", "v9")


def test_the_error_of_a_token_that_is_not_accepted_does_not_show_it(hub, new_client):
    hub.access.token = "hf_right"
    hub.add("o/r", "m.gguf", b"weights")
    with pytest.raises(TokenRefused) as raised:
        new_client("hf_wrong_secret").info("o/r")
    assert "hf_wrong" not in f"{raised.value.message} {raised.value.hint}"


def test_a_private_repository_opens_to_its_token(hub, new_client):
    hub.access.token, hub.access.private = "hf_right", {"o/r"}
    hub.add("o/r", "m.gguf", b"weights")
    with pytest.raises(TokenMissing):
        new_client().info("o/r")
    assert new_client("hf_right").info("o/r").commit == commit_of("o/r", "main")


def test_a_gated_repository_is_listed_to_all_unless_its_list_is_closed_too(hub, new_client):
    hub.access.gated.add("o/r")
    hub.add("o/r", "m.gguf", b"weights")
    assert new_client().info("o/r").gated
    hub.access.unlisted.add("o/r")
    with pytest.raises(Gated) as raised:
        new_client().info("o/r")
    assert "retry" not in (raised.value.hint or "")


def test_a_disabled_repository_has_an_error_of_its_own(hub, new_client):
    hub.add("o/r", "m.gguf", b"weights")
    hub.facts.disabled.add("o/r")
    for token in (None, "hf_right"):
        with pytest.raises(SourceRefused, match="has disabled the repository o/r"):
            new_client(token).info("o/r")
    hub.facts.disabled.clear()
    hub.facts.about["o/r"] = {"disabled": True}
    with pytest.raises(SourceRefused, match="has disabled"):
        new_client().info("o/r")


def test_a_renamed_repository_answers_under_its_new_name_and_its_token_goes_along(hub, new_client):
    hub.access.token, hub.access.private = "hf_right", {"o/new"}
    hub.add("o/new", "m.gguf", b"weights")
    hub.facts.renamed["o/old"] = "o/new"
    assert new_client("hf_right").info("o/old").repo == "o/new"


def test_a_token_does_not_follow_a_redirect_to_another_host(hub, new_client):
    with HubOrigin({}) as other:
        other.add("o/r", "m.gguf", b"weights")
        hub.break_front(Redirect(302, f"{other.endpoint}{INFO}"))
        new_client("hf_right").info("o/r")
        assert [request.headers.get("authorization") for request in other.front.requests()] == [None]


# A busy Hub ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"api";r=0;t=7'}, 7.0),
        ({"Retry-After": "3"}, 3.0),
        ({}, 0.5),
        ({"RateLimit": '"api";r=9;t=50'}, 0.5),
    ],
)
def test_a_hub_that_names_a_wait_is_requested_again_after_it(hub, new_client, sleeps, headers, seconds):
    hub.add("o/r", "m.gguf", b"weights")
    hub.break_front(Status(429, headers).once())
    client, messages = new_client(), []
    client.on_wait = messages.append
    assert client.info("o/r").repo == "o/r"
    assert sleeps == [seconds]
    assert len(messages) == (seconds > 3)


def test_the_error_of_a_hub_that_asks_for_too_long_a_wait_names_the_time(hub, new_client, sleeps):
    hub.break_front(Status(429, {"Retry-After": "1800"}))
    with pytest.raises(WaitTooLong, match="30 min"):
        new_client().info("o/r")
    assert sleeps == []
    assert len(hub.front.requests()) == 1


@pytest.mark.parametrize("fault", [Status(503), CloseBeforeHeaders()])
def test_a_hub_that_fails_is_requested_again_a_few_times(hub, new_client, sleeps, fault):
    hub.add("o/r", "m.gguf", b"weights")
    hub.break_front(fault.first(2))
    assert new_client().info("o/r").repo == "o/r"
    assert sleeps == [0.5, 1.0]


def test_a_hub_that_keeps_failing_is_an_error(hub, new_client, sleeps):
    hub.break_front(Status(500))
    with pytest.raises(ServerBusy, match="answers 500") as raised:
        new_client().info("o/r")
    assert (len(sleeps), raised.value.exit_status) == (3, 5)
    assert "Check the network" in (raised.value.hint or "")


def test_a_hub_that_cannot_be_reached_is_an_error_at_once(hub, new_client, sleeps):
    hub.front.refuse()
    with pytest.raises(NetworkDown) as raised:
        new_client().info("o/r")
    assert sleeps == []
    assert "Check the network" in (raised.value.hint or "")
