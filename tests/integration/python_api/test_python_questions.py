"""Tests of the Python API's queries: they return as values what the commands print."""

import pytest
from support.cli import cli_app, run_due_jobs
from support.models import gguf, one_file_model

import flowhub_jobs
from flowhub_jobs.errors import NotFound, UsageInvalid

A, B = gguf(4096, 1), gguf(4096, 2)


@pytest.fixture
def app(home, origin, monkeypatch):
    models = [
        one_file_model("coder", origin.serve("/a.gguf", A), A),
        one_file_model("b", origin.serve("/b.gguf", B), B),
    ]
    with cli_app(home, monkeypatch, *models) as app:
        app.enqueue("coder")
        run_due_jobs(app)
        yield app


def test_a_search_finds_models_and_their_best_variant(app):
    page = flowhub_jobs.search("codr")
    assert (page.total, page.corrected) == (1, "coder")
    assert page.models[0].best.ref == "coder@q4"
    assert flowhub_jobs.search(installed=True).total == 1
    with pytest.raises(UsageInvalid):
        flowhub_jobs.search(params="many")


def test_fits_judges_this_machine_or_another(app):
    machine = flowhub_jobs.machine()
    assert machine.ram_total_bytes
    [variant] = flowhub_jobs.fits("coder")
    assert variant.verdict.why == flowhub_jobs.fits("coder", on=machine)[0].verdict.why
    with pytest.raises(NotFound):
        flowhub_jobs.fits("nothing")


def test_installed_models_and_the_path_that_a_runtime_opens(app):
    [model] = flowhub_jobs.installed()
    assert (model.name, model.model, model.in_catalog) == ("a.gguf", "coder", True)
    assert flowhub_jobs.path("coder") == app.store / "a.gguf"
    with pytest.raises(NotFound):
        flowhub_jobs.path("b")


def test_outdated_lists_models_with_another_version_in_the_catalog(app, origin):
    assert flowhub_jobs.outdated().outdated == []
    app.set_models(one_file_model("coder", origin.serve("/a.gguf", B), B))
    assert [model.entry.name for model in flowhub_jobs.outdated().outdated] == ["a.gguf"]
