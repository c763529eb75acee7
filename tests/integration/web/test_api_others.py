"""Models, what is installed, the limit, the schedule, the machine, the report: as the verbs print them."""

import json
import os
from dataclasses import replace

import pytest
from support.cli import lease_store_of, run_due_jobs
from support.models import gguf
from support.problems import assert_problem
from support.web import web_server

API = "/api/v1"


@pytest.fixture
def installed(app):
    """The model `a`, installed."""
    app.enqueue("a")
    run_due_jobs(app)
    return app


def without_times(page):
    """Leave out what differs from one moment to the next, such as free memory."""
    return json.loads(json.dumps(page), object_hook=lambda one: {k: v for k, v in one.items() if "available" not in k})


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        ({}, ()),
        ({"q": "a"}, ("a",)),
        ({"q": "nothing here"}, ("nothing", "here")),
        ({"format": "mlx"}, ("--format", "mlx")),
        ({"max_size": "5K"}, ("--max-size", "5K")),
        ({"fits": "true", "sort": "size"}, ("--fits", "--sort", "size")),
        ({"tag": ["x", "y"]}, ("--tag", "x", "--tag", "y")),
        ({"limit": "1"}, ("--limit", "1")),
        ({"installed": "1"}, ("--installed",)),
    ],
)
def test_a_search_is_what_the_verb_prints(api_client, cli, query, arguments):
    answer = api_client.get(f"{API}/models", params=query)
    assert answer.status_code == 200
    assert answer.json()["schema"] == "flowhub/search/1"
    assert answer.json() == cli("search", *arguments, "--json").json


@pytest.mark.parametrize(
    "query",
    [{"sort": "x"}, {"fits": "perhaps"}, {"max_size": "10"}, {"params": "x"}, {"format": "x"}, {"limit": "-1"}],
)
def test_a_search_that_is_not_understood_is_422(api_client, query):
    assert_problem(api_client.get(f"{API}/models", params=query), 422, "usage")


def test_a_parameter_given_twice_is_422(api_client):
    assert_problem(api_client.get(f"{API}/models?q=a&q=b"), 422, "usage")


def test_a_model_is_what_show_prints(api_client, cli):
    assert api_client.get(f"{API}/models/a").json() == cli("show", "a", "--json").json
    assert api_client.get(f"{API}/models/a@q4").json() == cli("show", "a@q4", "--json").json
    assert_problem(api_client.get(f"{API}/models/nothing"), 404, "not_found")


def test_a_repository_of_the_hub_is_a_model_too(app, hub, cli, monkeypatch):
    """The slash of its name is a part of the path."""
    hub.add("owner/repo", "m-q4_k_m.gguf", gguf(4096))
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    with web_server(replace(app.settings, hf_endpoint=hub.endpoint)) as web:
        answer = web.api_client.get(f"{API}/models/hf:owner/repo")
        assert answer.status_code == 200, answer.text
        assert answer.json() == cli("show", "hf:owner/repo", "--json").json
        assert_problem(web.api_client.get(f"{API}/models/hf:owner/none"), 502, "token_missing")


def test_the_device_is_what_the_verb_prints(api_client, cli):
    page = api_client.get(f"{API}/device").json()
    assert page["schema"] == "flowhub/device/1"
    assert set(page["device"]) == set(cli("device", "--json").json["device"])


def test_what_is_installed_is_what_the_verb_prints(api_client, installed, cli):
    page = api_client.get(f"{API}/installed").json()
    assert [model["name"] for model in page["models"]] == ["a.gguf"]
    told = cli("list", "--json").json
    for store in (page["store"], *page["stores"], told["store"], *told["stores"]):
        assert store.pop("free") > 0  # it changes between two looks at the disk
    assert page == told


def test_a_name_that_is_not_unicode_is_sent_as_the_verb_prints_it(api_client, installed, cli):
    (installed.store / os.fsdecode(b"odd-\xff.gguf")).write_bytes(b"GGUF")
    names = [model["name"] for model in api_client.get(f"{API}/installed").json()["models"]]
    assert names == [model["name"] for model in cli("list", "--json").json["models"]] == ["a.gguf", "odd-\udcff.gguf"]


def test_a_model_is_removed_by_its_name(api_client, installed):
    assert_problem(api_client.delete(f"{API}/installed/a"), 404, "not_found")
    answer = api_client.delete(f"{API}/installed/a.gguf")
    assert answer.status_code == 200
    assert answer.json()["removed"] == [{"name": "a.gguf", "bytes": 4096, "freed": 4096}]
    assert api_client.get(f"{API}/installed").json()["models"] == []
    assert not (installed.store / "a.gguf").exists()
    assert_problem(api_client.delete(f"{API}/installed/a.gguf"), 404, "not_found")


def test_a_model_that_a_job_works_on_is_not_removed(api_client, installed):
    installed.enqueue("a", force=True)
    assert lease_store_of(installed).claim() is not None
    assert_problem(api_client.delete(f"{API}/installed/a.gguf"), 409, "busy")
    assert (installed.store / "a.gguf").exists()


@pytest.mark.parametrize("name", ["..%2fqueue.db", "%2e%2e", ".partial", "..%5cx", "a.gguf%00", "%2fetc%2fpasswd", "~"])
def test_no_name_leads_out_of_the_store(api_client, installed, name):
    answer = api_client.delete(f"{API}/installed/{name}")
    assert answer.status_code in (404, 405), answer.text
    assert (installed.store / "a.gguf").exists()


def test_a_verification_is_a_job(api_client, installed):
    answer = api_client.post(f"{API}/installed/a.gguf/verify")
    assert answer.status_code == 201
    [job] = answer.json()["jobs"]
    assert (job["kind"], job["state"]) == ("verify", "queued")
    again = api_client.post(f"{API}/installed/a.gguf/verify")
    assert again.status_code == 200
    assert again.json()["jobs"][0]["id"] == job["id"]
    run_due_jobs(installed)
    assert api_client.get(f"{API}/jobs/{job['id']}").json()["jobs"][0]["state"] == "completed"
    assert_problem(api_client.post(f"{API}/installed/none.gguf/verify"), 404, "not_found")


def test_damage_is_repaired_by_a_job(api_client, installed):
    path = installed.store / "a.gguf"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    api_client.post(f"{API}/installed/a.gguf/verify")
    run_due_jobs(installed)
    answer = api_client.post(f"{API}/installed/a.gguf/repair")
    assert answer.status_code == 201, answer.text
    run_due_jobs(installed)
    [model] = api_client.get(f"{API}/installed").json()["models"]
    assert model["condition"] == "ok"


def test_the_limit_is_read_and_set(api_client, cli):
    assert api_client.get(f"{API}/limit").json() == cli("limit", "--json").json
    answer = api_client.put(f"{API}/limit", json={"rate": "5M", "for": "2h"})
    assert answer.status_code == 200
    assert (answer.json()["rate_bps"], answer.json()["rules"]) == (5_000_000, "limit")
    assert answer.json()["until"] is not None
    assert answer.json() == cli("limit", "--json").json
    assert api_client.put(f"{API}/limit", json={"rate": 700_000}).json()["limit_bps"] == 700_000
    assert api_client.put(f"{API}/limit", json={"limit_bps": None}).json()["limit_bps"] is None
    assert api_client.put(f"{API}/limit", json={"rate": "off"}).json()["rules"] is None


def test_what_the_limit_answers_can_be_sent_back(api_client):
    page = api_client.put(f"{API}/limit", json={"rate": "5M", "for": "2h"}).json()
    assert api_client.put(f"{API}/limit", json=page).json()["limit_bps"] == 5_000_000


@pytest.mark.parametrize("body", [{}, {"rate": "5"}, {"rate": "fast"}, {"rate": True}, {"rate": "5M", "for": "x"}])
def test_a_limit_that_is_not_understood_is_422(api_client, body):
    assert_problem(api_client.put(f"{API}/limit", json=body), 422, "usage")


def test_the_cap_is_read_and_set(api_client, cli):
    assert api_client.get(f"{API}/cap").json() == cli("cap", "--json").json
    page = api_client.put(f"{API}/cap", json={"cap": "200G", "per": "day"}).json()
    assert (page["cap_bytes"], page["per"]) == (200_000_000_000, "day")
    assert api_client.put(f"{API}/cap", json=page).json() == page, "what it answers can be sent back"
    for wrong in ({}, {"cap": "much"}, {"cap": True}, {"cap": "1G", "per": "week"}, {"cap": "1G", "per": 1}):
        assert api_client.put(f"{API}/cap", json=wrong).status_code == 422
    assert cli("cap", "--json").json == page
    assert api_client.put(f"{API}/cap", json={"cap": None}).json()["cap_bytes"] is None


def test_the_schedule_is_read_and_set(api_client, cli):
    assert api_client.get(f"{API}/schedule").json() == cli("schedule", "show", "--json").json
    answer = api_client.put(f"{API}/schedule", json={"windows": "23:00-07:00", "days": "mon-fri", "outside": "500K"})
    assert answer.status_code == 200
    page = answer.json()
    assert (page["windows"], page["days"]) == (["23:00-07:00"], ["mon", "tue", "wed", "thu", "fri"])
    assert page["outside_bps"] == 500_000
    assert page == cli("schedule", "show", "--json").json
    assert api_client.put(f"{API}/schedule", json=page).json() == page, "what it answers can be sent back"
    page["more"] = [{"windows": ["00:00-24:00"], "days": ["sat", "sun"], "rate_bps": 2_000_000}]
    assert api_client.put(f"{API}/schedule", json=page).json()["more"] == page["more"]
    assert api_client.put(f"{API}/schedule", json={"windows": []}).json()["windows"] == []


@pytest.mark.parametrize(
    "group",
    [
        {"windows": "18:00-23:00", "rte": "1M"},
        {"days": "mon"},
        {"windows": "18:00-23:00", "rate": [1]},
        {"windows": 18},
    ],
)
@pytest.mark.parametrize("windows", ["23:00-07:00", "off"])
def test_further_windows_of_another_shape_are_422(api_client, windows, group):
    assert_problem(api_client.put(f"{API}/schedule", json={"windows": windows, "more": [group]}), 422, "usage")
    assert api_client.get(f"{API}/schedule").json()["windows"] == []


@pytest.mark.parametrize(
    "body",
    [{}, {"windows": "x"}, {"windows": [1]}, {"windows": "23:00-07:00", "days": "someday"}, {"windows": {}}, {"x": 1}],
)
def test_a_schedule_that_is_not_understood_is_422(api_client, body):
    assert_problem(api_client.put(f"{API}/schedule", json=body), 422, "usage")


def test_the_report_is_what_the_verb_prints(api_client, installed, cli):
    page, told = (
        api_client.get(f"{API}/report", params={"since": "1h"}).json(),
        cli("report", "--since", "1h", "--json").json,
    )
    assert [one["ref"] for one in page["came"]] == ["a@q4"]
    for one in (page, told):
        del one["until"], one["since"]
    assert page == told
    assert api_client.get(f"{API}/report").json()["schema"] == "flowhub/report/1"
    assert_problem(api_client.get(f"{API}/report", params={"since": "x"}), 422, "usage")
