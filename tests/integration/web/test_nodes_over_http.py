"""Nodes over the API, and on the page: two nodes of one PostgreSQL database, and the server on a third machine."""

import pytest
from playwright.sync_api import expect
from support.cli import two_model_app
from support.models import gguf
from support.problems import assert_problem
from support.web import web_server

from flowhub_jobs.database.engine import writing

API = "/api/v1"
A, B = gguf(4096, 1), gguf(8192, 2)


@pytest.fixture
def app(home, origin, monkeypatch, postgres_url):
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    monkeypatch.setenv("FLOWHUB_NODE", "desk")
    with two_model_app(home, origin, monkeypatch, A, B) as app:
        for name, ram in (("gpu-01", 64), ("gpu-02", 128)):
            registry = app.home.of_nodes((name,)).registry
            with writing(app.home.engine) as tx:
                registry.register(tx, f"host-{name}", "/models", "1")
            registry.describe({"ram": ram * 10**9})
        yield app


@pytest.fixture
def web(app):
    with web_server(app.settings) as web:
        yield web


def enqueue(api_client, *refs, **options):
    return api_client.post(f"{API}/jobs", json={"refs": list(refs), **options})


def test_a_model_is_queued_on_other_nodes(api_client):
    made = enqueue(api_client, "a", "b", on="gpu-02,gpu-01")
    assert made.status_code == 201
    jobs = [(job["ref"], job["node"]) for job in made.json()["jobs"]]
    assert jobs == [("a@q4", "gpu-02"), ("a@q4", "gpu-01"), ("b@q4", "gpu-02"), ("b@q4", "gpu-01")]
    again = enqueue(api_client, "a", on="all")
    assert again.status_code == 200
    assert [job["id"] for job in again.json()["jobs"]] == [2, 1]
    assert [job["node"] for job in enqueue(api_client, "a", on="ram>=100G").json()["jobs"]] == ["gpu-02"]
    assert [job["node"] for job in enqueue(api_client, "a").json()["jobs"]] == ["desk"]
    assert_problem(enqueue(api_client, "a", on="gpu-3"), 404, "not_found")
    assert_problem(enqueue(api_client, "a", on="vram>>1"), 422, "usage")
    refused = enqueue(api_client, "a", on="gpu-01", store="elsewhere")
    assert_problem(refused, 422, "usage")
    assert "The node gpu-01 has no store named 'elsewhere'." in refused.json()["detail"]
    assert enqueue(api_client, "b", on="gpu-01", store="default").status_code == 200


def test_what_a_node_has_is_what_the_verbs_print(api_client, cli):
    enqueue(api_client, "a", on="gpu-01")
    enqueue(api_client, "b")
    assert api_client.get(f"{API}/nodes").json() == cli("nodes", "--json").json
    for path, verb in (("jobs", "status"), ("installed", "list")):
        for node in ("desk", "gpu-01", "gpu-02", "all"):
            answer = api_client.get(f"{API}/{path}", params={"node": node})
            assert answer.json() == cli(verb, "--node", node, "--json").json
    assert [job["ref"] for job in api_client.get(f"{API}/jobs?node=gpu-01").json()["jobs"]] == ["a@q4"]
    report = api_client.get(f"{API}/report", params={"node": "gpu-01"}).json()
    assert (report["node"], [job["ref"] for job in report["going"]]) == ("gpu-01", ["a@q4"])
    for path in ("jobs", "installed", "report"):
        assert_problem(api_client.get(f"{API}/{path}?node=gpu-3"), 404, "not_found")


def test_the_page_shows_each_node_with_its_jobs(visitor_without_javascript, api_client):
    enqueue(api_client, "a", on="gpu-01")
    assert [job["node"] for job in enqueue(api_client, "b", on="any").json()["jobs"]] == [None]
    page = visitor_without_javascript.open("/machine")
    table = page.locator("table.nodes")
    row = table.get_by_role("row", name="gpu-01")
    for text in ("gone", "1 queued", "64.0 GB", "host-gpu-01"):
        expect(row).to_contain_text(text)
    expect(table.get_by_role("row", name="gpu-02")).not_to_contain_text("queued")
    expect(page.locator("section", has=table)).to_contain_text("0 of 2 alive, 1 job for any node")
