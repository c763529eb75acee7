"""Tests of the cap: a worker counts the bytes of its transfers on the wire, and stops them at the cap."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app import App, app_of
from support.fake_clock import FakeClock
from support.faults import EarlyClose, FlipByte
from support.models import gguf, gguf_pattern, one_file_model
from support.origin import Origin
from support.run_fetch import TransferRun, pinned_artifact
from support.time_zones import local_midday

from flowhub_jobs.jobs.cap import CAP, Cap, received_in
from flowhub_jobs.transfer.fetch import SharedLimits
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.values.enums import Period, Reason, State
from flowhub_jobs.worker.cap_watch import WRITE_EVERY_S, CapWatch
from flowhub_jobs.worker.context import WorkerContext

MIB = 1 << 20
MODEL = gguf_pattern(24 * MIB, 7)
HEAD_MAX = 2048  # bytes of a response's head


@pytest.fixture(autouse=True)
def midday() -> Iterator[None]:
    with local_midday():
        yield


def received(app: App) -> int:
    with app.home.database.reading() as snapshot:
        return received_in(snapshot, app.home.node, Period.DAY, app.home.clock.now_us())


def set_cap(app: App, count: int | None) -> None:
    app.home.controls.set(CAP, Cap(count, Period.DAY).as_json() if count is not None else None)


# The count -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [None, EarlyClose(after=3 * MIB), FlipByte(at=5 * MIB)], ids=["plain", "lost", "wrong"]
)
def test_every_byte_that_the_origin_sent_is_counted_also_if_it_is_sent_twice(origin: Origin, tmp_path, fault):
    url = origin.serve("m.gguf", MODEL, faults=[fault.once()] if fault else [])
    run = TransferRun(pinned_artifact(url, MODEL), tmp_path / "partial").fetch()
    assert run.content() == MODEL.read()
    counted, sent = run.shared.meter.take(), origin.sent("m.gguf")
    assert sent >= MODEL.size
    assert sent < counted <= sent + HEAD_MAX * len(origin.requests())


def test_over_tls_the_decrypted_bytes_are_counted(tmp_path, monkeypatch, uncached_trust):
    with Origin(tls=True) as origin:
        monkeypatch.setenv("SSL_CERT_FILE", str(origin.ca_file))
        url = origin.serve("m.gguf", MODEL)
        run = TransferRun(pinned_artifact(url, MODEL), tmp_path / "partial").fetch()
        counted, sent = run.shared.meter.take(), origin.sent("m.gguf")
        assert sent < counted <= sent + HEAD_MAX * len(origin.requests())


def test_the_count_of_a_run_is_in_the_database_when_the_job_has_ended(home: Path, origin: Origin):
    url = origin.serve("/m.gguf", MODEL)
    with app_of(home, one_file_model("m", url, MODEL)) as app:
        job = app.enqueue("m")
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert received(app) >= MODEL.size


# The cap -------------------------------------------------------------------------------------------------------------


def test_a_transfer_stops_at_the_cap_and_continues_when_there_is_more(home: Path, origin: Origin):
    url = origin.serve("/m.gguf", MODEL)
    with app_of(home, one_file_model("m", url, MODEL)) as app:
        set_cap(app, 8 * MIB)
        job = app.enqueue("m")
        app.run_next_job()
        stopped = app.job(job)
        assert (stopped.state, stopped.reason, stopped.attempt) == (State.QUEUED, Reason.CAP, 0)
        assert 8 * MIB <= received(app) < 16 * MIB  # a buffer of each connection more, at the most
        assert stopped.bytes_done > 4 * MIB
        assert app.events(job)[-1].text == "The cap is reached; the job was handed back."
        set_cap(app, None)
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert received(app) < MODEL.size + 8 * MIB, "the kept bytes were received again"


def test_no_request_is_sent_once_the_cap_is_reached(home: Path, origin: Origin):
    """A worker whose gates are a second old may still claim a job."""
    url = origin.serve("/m.gguf", MODEL)
    with app_of(home, one_file_model("m", url, MODEL)) as app:
        set_cap(app, 1)
        job = app.enqueue("m")
        context = WorkerContext(app.home, 1)
        context.shared.meter.count(5)
        context.cap.update(immediately=True)
        context.close()
        app.run_next_job()
        assert app.job(job).reason is Reason.CAP
        assert origin.requests() == []


def test_a_file_whose_last_byte_is_that_of_the_cap_is_completed(origin: Origin, tmp_path):
    url = origin.serve("m.gguf", MODEL)
    shared = SharedLimits(HostLimits(1), TokenBucket())
    first = TransferRun(pinned_artifact(url, MODEL), tmp_path / "first", shared=shared).fetch()
    needed = first.shared.meter.take()
    shared.meter.allow(needed)
    second = TransferRun(pinned_artifact(url, MODEL), tmp_path / "second", shared=shared).fetch()
    assert second.content() == MODEL.read()
    assert shared.meter.exhausted


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def workers(home: Path, time: FakeClock) -> Iterator[list[WorkerContext]]:
    with app_of(home, one_file_model("m", "https://h.example/m.gguf", gguf()), clock=time.clock) as app:
        set_cap(app, 1000)
        contexts = [WorkerContext(app.home, 1) for _ in range(2)]
        for worker in contexts:
            worker.cap.update(immediately=True)
        yield contexts
        for worker in contexts:
            worker.close()


def test_two_workers_share_what_is_left(workers, time):
    first, second = workers
    first.shared.meter.count(600)
    first.cap.update(immediately=True)
    second.shared.meter.count(399)
    time.advance(WRITE_EVERY_S)
    second.cap.update()
    assert not second.shared.meter.exhausted
    second.shared.meter.count(1)
    assert second.shared.meter.exhausted, "at once, without a read of the database"
    second.cap.reached()
    assert second.gates.current().cap_reached(time.calendar_us)
    time.advance(WRITE_EVERY_S)
    first.cap.update()
    assert first.shared.meter.exhausted


def test_a_new_day_has_the_whole_cap_again(workers, time):
    worker, _ = workers
    worker.shared.meter.count(1000)
    worker.cap.reached()
    assert worker.shared.meter.exhausted
    time.advance(86_400)
    worker.cap.update()
    assert not worker.shared.meter.exhausted
    worker.gates.refresh()
    assert not worker.gates.current().cap_reached(time.calendar_us)


def test_a_count_that_could_not_be_written_is_written_later(workers, monkeypatch):
    worker, _ = workers
    worker.shared.meter.count(700)

    def fail(*_: object) -> None:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("flowhub_jobs.worker.cap_watch.add_received", fail)
        with pytest.raises(OSError, match="gone"):
            worker.cap.update(immediately=True)
    assert isinstance(worker.cap, CapWatch)
    worker.shared.meter.count(300)
    worker.cap.update(immediately=True)
    assert worker.home.controls.cap().received == 1000
    assert worker.shared.meter.exhausted
