"""`/api/v1/jobs`: the same objects as `--json`, idempotent, and errors as problems."""

from dataclasses import replace

import pytest
from support.cli import fail_next_job, run_due_jobs
from support.problems import assert_problem
from support.web import web_server

from flowhub_jobs.errors import SourceMissing

JOBS = "/api/v1/jobs"


def enqueue(api_client, *refs, **options):
    return api_client.post(JOBS, json={"refs": list(refs), **options})


def test_a_new_job_is_201_and_the_same_again_is_200(api_client):
    made = enqueue(api_client, "a", "b")
    assert made.status_code == 201
    page = made.json()
    assert page["schema"] == "flowhub/jobs/1"
    assert [(job["id"], job["ref"], job["state"]) for job in page["jobs"]] == [
        (1, "a@q4", "queued"),
        (2, "b@q4", "queued"),
    ]
    again = enqueue(api_client, "b", "a")
    assert again.status_code == 200
    assert [job["id"] for job in again.json()["jobs"]] == [2, 1], "in the order of the references"


def test_an_installed_model_is_200_with_the_job_that_installed_it(api_client, app):
    enqueue(api_client, "a")
    run_due_jobs(app)
    answer = enqueue(api_client, "a")
    assert answer.status_code == 200
    assert [(job["id"], job["state"]) for job in answer.json()["jobs"]] == [(1, "completed")]
    assert enqueue(api_client, "a", force=True).status_code == 201


def test_the_list_is_what_status_prints(api_client, app, cli):
    for ref in ("a", "b"):
        enqueue(api_client, ref, group=ref)
    run_due_jobs(app)
    enqueue(api_client, "a", force=True, priority=7)
    for query, arguments in (
        ({}, ()),
        ({"state": "completed"}, ("--state", "completed")),
        ({"group": "b"}, ("--group", "b")),
        ({"since": "1h"}, ("--since", "1h")),
        ({"all": "true"}, ("--all",)),
    ):
        assert api_client.get(JOBS, params=query).json() == cli("status", "--json", *arguments).json
    assert api_client.get(f"{JOBS}/1").json() == cli("status", "1", "--json").json


def test_options_are_those_of_the_verb(api_client, cli):
    enqueue(api_client, "a")
    answer = enqueue(api_client, "b", priority=3, group="night", at="+3h", after=[1])
    [job] = answer.json()["jobs"]
    assert (job["priority"], job["group"], job["reason"]) == (3, "night", "at")
    assert job["not_before"] is not None
    assert api_client.get(f"{JOBS}/2").json() == cli("status", "2", "--json").json


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"refs": []},
        {"refs": "a"},
        {"refs": [1]},
        {"refs": ["a"], "priority": "high"},
        {"refs": ["a"], "priority": True},
        {"refs": ["a"], "priority": 10**9},
        {"refs": ["a"], "at": "tomorrowish"},
        {"refs": ["a"], "at": ""},
        {"refs": ["a"], "rate": ""},
        {"refs": ["a"], "rate": 0},
        {"refs": ["a"], "sha256": ""},
        {"refs": ["a"], "on": ""},
        {"refs": ["a"], "at": "+1h", "tonight": True},
        {"refs": ["a"], "after": [None]},
        {"refs": ["a"], "group": ""},
        {"refs": ["a"], "sha256": "0" * 64},
        {"refs": ["a"], "place": ["no-such-program"]},
        {"refs": ["a"], "place": ["dir:/tmp"]},
        {"refs": ["a"], "store": "/tmp"},
        {"refs": ["a"], "place": [1]},
        {"refs": ["ftp://h.example/m.gguf"]},
        {"refs": ["a"], "target": "/etc/passwd"},
        {"refs": ["a"], "hf_token": "x"},
    ],
)
def test_a_malformed_order_is_422_and_nothing_is_queued(api_client, body):
    answer = api_client.post(JOBS, json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] in ("usage", "address_refused")
    assert api_client.get(JOBS).json()["jobs"] == []


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"refs": ["a"]', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_422(api_client, content):
    answer = api_client.post(JOBS, content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "usage")


def test_a_body_of_another_type_is_422(api_client):
    assert_problem(api_client.post(JOBS, data={"refs": "a"}), 422, "usage")


def test_a_model_that_is_not_there_is_404_with_the_nearest(api_client):
    assert_problem(enqueue(api_client, "nothing-like-it"), 404, "not_found")
    answer = enqueue(api_client, "a", "nothing-like-it")
    assert_problem(answer, 404, "not_found")
    assert "nothing-like-it" in answer.json()["detail"]
    assert api_client.get(JOBS).json()["jobs"] == [], "all or none"


@pytest.mark.parametrize("number", ["99", "0", "x", "1x", "-1", "9" * 30, "9" * 6000])
def test_a_job_that_is_not_there_is_404(api_client, number):
    assert_problem(api_client.get(f"{JOBS}/{number}"), 404, "not_found")
    assert_problem(api_client.post(f"{JOBS}/{number}/pause"), 404, "not_found")


def test_a_job_is_paused_resumed_cancelled_retried_and_started(api_client):
    enqueue(api_client, "a")
    for verb, state in (
        ("pause", "paused"),
        ("pause", "paused"),
        ("resume", "queued"),
        ("start", "queued"),
        ("cancel", "cancelled"),
        ("cancel", "cancelled"),
        ("retry", "queued"),
    ):
        answer = api_client.post(f"{JOBS}/1/{verb}")
        assert answer.status_code == 200, answer.text
        assert [job["state"] for job in answer.json()["jobs"]] == [state]


def test_what_a_state_does_not_allow_is_409(api_client, app):
    enqueue(api_client, "a")
    fail_next_job(app, 1, SourceMissing("It is gone."))
    assert_problem(api_client.post(f"{JOBS}/1/pause"), 409, "wrong_state")
    assert api_client.post(f"{JOBS}/1/retry").status_code == 200


def test_the_priority_of_a_live_job_is_changed(api_client):
    enqueue(api_client, "a")
    answer = api_client.patch(f"{JOBS}/1", json={"priority": -5})
    assert [job["priority"] for job in answer.json()["jobs"]] == [-5]
    for body in ({}, {"priority": "x"}, {"priority": 1, "state": "completed"}, {"priority": 10**9}):
        assert_problem(api_client.patch(f"{JOBS}/1", json=body), 422, "usage")


def test_a_browser_queues_with_the_pages_token(web):
    browser = web.sign_in()
    token = web.page_token(browser)
    answer = browser.post(JOBS, json={"refs": ["a"]}, headers={"X-Page-Token": token, "Origin": web.serving.base})
    assert answer.status_code == 201
    answer = browser.post(JOBS, json={"refs": ["a"]}, headers={"X-Page-Token": token, "Origin": "https://evil.example"})
    assert_problem(answer, 403, "forbidden")


def test_a_source_that_fails_is_502(app, origin):
    """A reference that no catalog pins is looked at before it is queued, as the setting `check` has it."""
    with web_server(replace(app.settings, check=True)) as web:
        answer = enqueue(web.api_client, origin.url("missing.gguf"))
        assert_problem(answer, 502, "source_missing")
        assert web.api_client.get(JOBS).json()["jobs"] == []


@pytest.mark.parametrize("verb", ["pause", "resume", "retry", "start", "cancel"])
def test_a_verb_refuses_keys_that_it_does_not_have(api_client, verb):
    enqueue(api_client, "a")
    assert_problem(api_client.post(f"{JOBS}/1/{verb}", json={"force": True}), 422, "usage")
    broken = api_client.post(f"{JOBS}/1/{verb}", content=b"{", headers={"Content-Type": "application/json"})
    assert_problem(broken, 422, "usage")
    assert [job["state"] for job in api_client.get(f"{JOBS}/1").json()["jobs"]] == ["queued"]
    if verb != "retry":
        assert api_client.post(f"{JOBS}/1/{verb}", json={}).status_code == 200
