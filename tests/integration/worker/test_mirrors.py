"""Tests of jobs with mirrors: the origins of the bytes, mirrors with wrong bytes, and refused mirrors."""

from collections.abc import Iterator

import pytest
from support.app import LONG_TIMEOUTS, app_of
from support.faults import CloseBeforeHeaders, FlipByte, Hold, Reset, Status
from support.models import gguf, one_file_model
from support.origin import Origin

import flowhub_jobs
from flowhub_jobs.jobs.refused_mirrors import RefusedMirrors
from flowhub_jobs.operations.schemas.jobs import job_json
from flowhub_jobs.values.enums import State
from flowhub_jobs.worker.context import WorkerContext

SIZE = (3 << 20) + 5
A, B = gguf(SIZE, 1), gguf(SIZE, 2)
HALF = 1 << 20


@pytest.fixture
def mirror() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture
def app(home, origin, mirror):
    home.mkdir()
    (home / "config.toml").write_text(f'look_elsewhere = false\n[mirrors]\n"{origin.address}" = ["{mirror.address}"]\n')
    models = [one_file_model(name, origin.serve(f"/{name}.gguf", data), data) for name, data in (("a", A), ("b", B))]
    for name, data in (("a", A), ("b", B)):
        mirror.serve(f"/{name}.gguf", data)
    with app_of(home, *models) as app:
        yield app


def run_job(app, ref):
    job = app.enqueue(ref)
    app.run_next_job()
    return app.job(job)


def bytes_by_origin(job):
    return {source["origin"]: source["bytes"] for source in job_json(job)["sources"]}


def test_a_job_records_the_origins_of_its_bytes_and_keeps_its_address(app, origin, mirror):
    mirror.break_with(Reset(after=HALF).once(), Status(503).from_byte(1), path="/a.gguf")
    job = run_job(app, "a")
    assert job.state is State.COMPLETED
    assert bytes_by_origin(job) == {mirror.address: HALF, origin.address: SIZE - HALF}
    assert sum(bytes_by_origin(job).values()) == job.bytes_fetched
    assert (mirror.sent("/a.gguf"), origin.sent("/a.gguf")) == (HALF, SIZE - HALF)
    assert [file.url for file in app.home.commands.artifact(job.id).files] == [origin.url("/a.gguf")]


def test_the_origins_of_the_bytes_survive_a_killed_worker(app, origin, mirror):
    hold = Hold(after=HALF)
    mirror.break_with(hold.once(), path="/a.gguf")
    number = app.enqueue("a")
    worker = app.start_worker("--drain", **LONG_TIMEOUTS)
    app.until(lambda: app.job(number).bytes_fetched == HALF, "the first half")
    worker.kill()
    worker.wait()
    hold.event.set()
    mirror.break_with(Status(404), path="/a.gguf")
    app.start_worker("--drain")
    job = app.until_state(number, State.COMPLETED, State.FAILED)
    assert bytes_by_origin(job) == {mirror.address: HALF, origin.address: SIZE - HALF}
    assert job.bytes_fetched == SIZE


def test_a_job_that_fetched_nothing_has_no_sources(app):
    assert job_json(app.job(app.enqueue("a")))["sources"] == []


def test_a_mirror_that_sent_wrong_bytes_is_named_and_not_asked_for_a_day(app, origin, mirror):
    mirror.break_with(FlipByte(at=HALF), path="/a.gguf")
    job = run_job(app, "a")
    assert job.state is State.COMPLETED
    [event] = [event for event in app.events(job.id) if event.code == "mirror_mismatch"]
    assert mirror.address.removeprefix("http://") in event.text
    assert run_job(app, "b").state is State.COMPLETED
    assert not mirror.requests("/b.gguf")
    refused_mirrors = RefusedMirrors(app.home.engine, app.home.node, app.home.clock)
    assert refused_mirrors.current() == {mirror.address}


def test_a_mirror_costs_a_job_no_attempt(app, origin, mirror):
    mirror.break_with(CloseBeforeHeaders(), path="/a.gguf")
    job = run_job(app, "a")
    assert (job.state, job.attempt) == (State.COMPLETED, 1)
    assert {event.kind for event in app.events(job.id)} == {"queued", "claimed", "mirror", "completed"}


def test_jobs_of_a_host_that_is_down_continue_once_a_mirror_sends_bytes(app, origin, mirror):
    """The first job finds both hosts down, and all jobs wait; the job that tries the host next uses the mirror."""
    for name in ("a", "b"):
        origin.break_with(CloseBeforeHeaders(), path=f"/{name}.gguf")
        mirror.break_with(CloseBeforeHeaders(), path=f"/{name}.gguf")
    jobs = [app.enqueue(name) for name in ("a", "b")]
    app.start_worker("--drain", FLOWHUB_BACKOFF_BASE_S="0.01", FLOWHUB_BACKOFF_CAP_S="0.05")
    app.until(lambda: mirror.requests() and origin.requests(), "a try")
    for name in ("a", "b"):
        mirror.break_with(path=f"/{name}.gguf")
    for number in jobs:
        assert app.until_state(number, State.COMPLETED, State.FAILED).state is State.COMPLETED


def test_download_uses_the_mirrors_of_the_settings(app, origin, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWHUB_CATALOG", str(app.catalog))
    path = flowhub_jobs.download(flowhub_jobs.resolve_option(flowhub_jobs.find("a")), tmp_path / "folder")
    assert path.read_bytes() == A
    assert (mirror.sent("/a.gguf"), origin.sent("/a.gguf")) == (SIZE, 0)


def test_status_shows_the_origins(app, cli, mirror):
    job = run_job(app, "a")
    assert f"from {mirror.address}" in cli("status", job.id).out
    assert cli("status", job.id, "--json").jobs[0]["sources"]


def test_a_running_worker_reads_the_refusals_of_others(app, mirror):
    context = WorkerContext(app.home, 1)
    try:
        RefusedMirrors(app.home.engine, app.home.node, app.home.clock).refuse([mirror.address])
        assert context.refused_mirrors.current() == {mirror.address}
    finally:
        context.close()
