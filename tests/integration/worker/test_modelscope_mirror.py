"""Tests of ModelScope as a mirror of the Hub: the repository of the same name has a file of the same sha256."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from support.app import app_of
from support.fault_files import HALF, MODEL, OTHER
from support.faults import FlipByte, Redirect, Reset, Status
from support.models import gguf, one_file_model
from support.origin import Origin
from support.run_fetch import pinned_artifact, quick, run_transfer

from flowhub_jobs.net.urls import origin as origin_of
from flowhub_jobs.operations.schemas.jobs import job_json
from flowhub_jobs.settings import load_settings
from flowhub_jobs.values.enums import State
from flowhub_jobs.worker.transfer_options import transfer_options

LISTING, FILE = "/api/v1/models/owner/m-GGUF/repo/files", "/api/v1/models/owner/m-GGUF/repo"
HUB_FILE = "owner/m-GGUF/resolve/main/m.gguf"
TOKEN = "hf_" + "S3cret" * 5
SIZE = MODEL.size


@pytest.fixture
def site() -> Iterator[Origin]:
    """A server in the place of ModelScope."""
    with Origin() as server:
        yield server


@pytest.fixture
def cdn() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture
def fetch_model(tmp_path, origin, site):
    """Fetch the model with the mirrors of config.toml; `origin` is in the place of the Hub."""
    origin.serve(HUB_FILE, MODEL)

    def fetch_model(name="partial", order='["modelscope"]', **options):
        config = f'modelscope_endpoint = "{site.address}/"\n[mirrors]\n"{origin.address}" = {order}\n'
        (tmp_path / "config.toml").write_text(config)
        mirrors = transfer_options(load_settings({"FLOWHUB_HOME": str(tmp_path)})).mirrors
        result = run_transfer(
            pinned_artifact(origin.url(HUB_FILE), MODEL), tmp_path / name, options=quick(mirrors=mirrors, **options)
        )
        assert result.content() == MODEL.read()
        return result

    return fetch_model


def serve_listing(site, files, **changed):
    """Have a site list files (their digests by path) and serve the model; `changed` are fields of the answer."""
    entries = [{"Path": path, "Type": "blob", "Size": SIZE, "Sha256": digest} for path, digest in files.items()]
    body = {"Code": 200, "Success": True, "Data": {"Files": [*entries, {"Path": "sub", "Type": "tree", "Sha256": ""}]}}
    site.serve(LISTING, json.dumps(body | changed).encode())
    site.serve(FILE, MODEL)


def sources(result):
    return dict(result.progress[-1].fetched_by_origin)


def test_the_repository_of_the_same_name_gives_the_file(fetch_model, origin, site):
    serve_listing(site, {"m.gguf": MODEL.sha256(), "other.gguf": OTHER.sha256()})
    assert sources(fetch_model()) == {site.address: SIZE}
    assert origin.requests() == []
    [listing] = site.requests(LISTING)
    assert listing.query == "Revision=master&Recursive=True"
    assert parse_qs(site.requests(FILE)[0].query) == {"Revision": ["master"], "FilePath": ["m.gguf"]}


def test_the_digest_finds_the_file_at_another_path(fetch_model, site):
    serve_listing(site, {"m.gguf": OTHER.sha256(), "q4/m a&b.gguf": MODEL.sha256().upper()})
    assert sources(fetch_model()) == {site.address: SIZE}
    assert parse_qs(site.requests(FILE)[0].query)["FilePath"] == ["q4/m a&b.gguf"]


def test_the_bytes_come_from_a_host_that_it_redirects_to_and_no_token_is_sent(fetch_model, origin, site, cdn):
    serve_listing(site, {"m.gguf": MODEL.sha256()})
    site.break_with(Redirect(302, cdn.serve("blob", MODEL)), path=FILE)
    tokens = {origin_of(server.address): TOKEN for server in (origin, site, cdn)}
    assert sources(fetch_model(tokens=tokens)) == {site.address: SIZE}
    assert cdn.sent("blob") == SIZE
    sent = [request.headers for server in (site, cdn) for request in server.requests()]
    assert not [headers for headers in sent if {"authorization", "cookie"} & set(headers)]


def test_an_expired_redirect_is_asked_for_again(fetch_model, site, cdn):
    serve_listing(site, {"m.gguf": MODEL.sha256()})
    cdn.serve("second", MODEL)
    cdn.serve("first", MODEL, faults=[Reset(after=HALF).once(), Status(403).from_byte(1)])
    site.break_with(Redirect(302, cdn.url("second")), Redirect(302, cdn.url("first")).once(), path=FILE)
    result = fetch_model(faults_max=1)
    assert (sources(result), cdn.sent("second")) == ({site.address: SIZE}, SIZE - HALF)


ABSENT = {
    "no such repository (404)": ({}, [Status(404)]),
    "requires a sign-in (403)": ({}, [Status(403)]),
    "no such repository, with status 200": ({"Success": False, "Code": 10010101, "Data": None}, []),
    "no files": ({"Data": {"Files": None}}, []),
    "no list of files": ({"Data": [1]}, []),
    "busy": ({}, [Status(503)]),
}


@pytest.mark.parametrize(("answer", "faults"), ABSENT.values(), ids=ABSENT)
def test_without_the_repository_the_next_address_is_used_at_no_cost(fetch_model, origin, site, answer, faults):
    serve_listing(site, {"m.gguf": MODEL.sha256()}, **answer)
    site.break_with(*faults, path=LISTING)
    result = fetch_model(faults_max=1)
    assert (sources(result), result.note_kinds) == ({origin.address: SIZE}, ["mirror"])
    assert site.requests(FILE) == []


def test_another_file_of_the_same_name_and_size_is_not_taken(fetch_model, origin, site):
    serve_listing(site, {"m.gguf": OTHER.sha256()})
    assert sources(fetch_model()) == {origin.address: SIZE}
    assert site.requests(FILE) == []


def test_a_listing_that_is_refused_once_is_requested_again(fetch_model, site):
    serve_listing(site, {"m.gguf": MODEL.sha256()})
    site.break_with(Status(403).once(), path=LISTING)
    assert sources(fetch_model()) == {site.address: SIZE}


def test_modelscope_is_named_when_its_bytes_are_wrong(fetch_model, origin, site):
    serve_listing(site, {"m.gguf": MODEL.sha256()})
    site.break_with(FlipByte(at=HALF), path=FILE)
    result = fetch_model()
    assert result.progress[-1].bad_mirrors == {"modelscope"}
    [note] = [note for note in result.notes if note.code == "mirror_mismatch"]
    assert site.address.removeprefix("http://") in note.text


def test_an_error_page_in_place_of_the_file_is_not_taken(fetch_model, origin, site):
    serve_listing(site, {"m.gguf": MODEL.sha256()})
    site.serve(FILE, b'{"Code":10010205,"Message":"no such file","Success":false}')
    assert sources(fetch_model()) == {origin.address: SIZE}


def test_a_file_that_is_not_of_a_repository_has_no_address_on_modelscope(tmp_path, origin, site):
    model = pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)
    (tmp_path / "config.toml").write_text(
        f'modelscope_endpoint = "{site.address}"\n[mirrors]\n"{origin.address}" = ["modelscope"]\n'
    )
    options = transfer_options(load_settings({"FLOWHUB_HOME": str(tmp_path)}))
    result = run_transfer(model, tmp_path / "partial", options=replace(quick(), mirrors=options.mirrors))
    assert (sources(result), site.requests()) == ({origin.address: SIZE}, [])


# Jobs ----------------------------------------------------------------------------------------------------------------


def test_a_job_names_modelscope_and_after_wrong_bytes_it_is_not_asked_for_a_day(home, origin, site):
    home.mkdir()
    (home / "config.toml").write_text(
        f'look_elsewhere = false\nmodelscope_endpoint = "{site.address}"\n'
        f'[mirrors]\n"{origin.address}" = ["modelscope"]\n'
    )
    data = {name: gguf((1 << 20) + number, number) for number, name in enumerate(("a", "b", "c"))}
    urls = {name: origin.serve(f"/owner/{name}/resolve/main/{name}.gguf", content) for name, content in data.items()}
    for name, content in data.items():
        files = [{"Path": f"{name}.gguf", "Sha256": hashlib.sha256(content).hexdigest()}]
        listing = {"Code": 200, "Success": True, "Data": {"Files": files}}
        site.serve(f"/api/v1/models/owner/{name}/repo/files", json.dumps(listing).encode())
        site.serve(f"/api/v1/models/owner/{name}/repo", content)
    site.break_with(FlipByte(at=500_000), path="/api/v1/models/owner/b/repo")
    with app_of(home, *(one_file_model(name, urls[name], data[name]) for name in data)) as app:
        jobs = {}
        for name in data:
            number = app.enqueue(name)
            app.run_next_job()
            jobs[name] = app.job(number)
        assert {job.state for job in jobs.values()} == {State.COMPLETED}
        sent = {name: {source["origin"] for source in job_json(job)["sources"]} for name, job in jobs.items()}
        assert sent == {"a": {site.address}, "b": {site.address, origin.address}, "c": {origin.address}}
        assert [event.code for event in app.events(jobs["b"].id) if event.code] == ["mirror_mismatch"]
        assert [file.url for file in app.home.commands.artifact(jobs["a"].id).files] == [urls["a"]]
