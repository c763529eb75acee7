"""A worker counts the bytes of its transfers at the wire, and stops them at the cap."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app import App, app_of
from support.fake_clock import FakeClock
from support.faults import EarlyClose, FlipByte
from support.models import gguf, gguf_pattern, one_file_model
from support.origin import Origin
from support.run_fetch import Run, pinned

from flowhub_jobs.jobs.cap import CAP, Cap, received_in
from flowhub_jobs.transfer.fetch import SharedLimits
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.values.enums import Period, Reason, State
from flowhub_jobs.worker.cap_watch import WRITE_EVERY_S, CapWatch
from flowhub_jobs.worker.context import WorkerContext

MIB = 1 << 20
MODEL = gguf_pattern(24 * MIB, 7)
HEAD_MAX = 2048  # bytes of an answer's head


def received(app: App) -> int:
    with app.home.database.reading() as snapshot:
        return received_in(snapshot, app.home.node, Period.DAY, app.home.clock.now_us())


def cap(app: App, count: int | None) -> None:
    app.home.controls.set(CAP, Cap(count, Period.DAY).as_json() if count is not None else None)


# The count -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [None, EarlyClose(after=3 * MIB), FlipByte(at=5 * MIB)], ids=["plain", "lost", "wrong"]
)
def test_every_byte_that_the_origin_sent_is_counted_also_a_second_time(origin: Origin, tmp_path, fault):
    url = origin.serve("m.gguf", MODEL, faults=[fault.once()] if fault else [])
    run = Run(pinned(url, MODEL), tmp_path / "partial").go()
    assert run.content() == MODEL.read()
    counted, sent = run.shared.meter.take(), origin.sent("m.gguf")
    assert sent >= MODEL.size
    assert sent < counted <= sent + HEAD_MAX * len(origin.requests())


def test_over_tls_the_bytes_inside_of_it_are_counted(tmp_path, monkeypatch, fresh_trust):
    with Origin(tls=True) as origin:
        monkeypatch.setenv("SSL_CERT_FILE", str(origin.ca_file))
        url = origin.serve("m.gguf", MODEL)
        run = Run(pinned(url, MODEL), tmp_path / "partial").go()
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
        cap(app, 8 * MIB)
        job = app.enqueue("m")
        app.run_next_job()
        stopped = app.job(job)
        assert (stopped.state, stopped.reason, stopped.attempt) == (State.QUEUED, Reason.CAP, 0)
        assert 8 * MIB <= received(app) < 16 * MIB  # a buffer of each connection more, at the most
        assert stopped.bytes_done > 4 * MIB
        assert app.events(job)[-1].text == "The cap is reached; the job was handed back."
        cap(app, None)
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert received(app) < MODEL.size + 8 * MIB, "what was kept did not come again"


def test_nothing_is_asked_for_once_the_cap_is_reached(home: Path, origin: Origin):
    """A worker whose gates are a second old may still claim a job."""
    url = origin.serve("/m.gguf", MODEL)
    with app_of(home, one_file_model("m", url, MODEL)) as app:
        cap(app, 1)
        job = app.enqueue("m")
        context = WorkerContext(app.home, 1)
        context.shared.meter.count(5)
        context.cap.update(at_once=True)
        context.close()
        app.run_next_job()
        assert app.job(job).reason is Reason.CAP
        assert origin.requests() == []


def test_a_file_whose_last_byte_is_that_of_the_cap_is_completed(origin: Origin, tmp_path):
    url = origin.serve("m.gguf", MODEL)
    shared = SharedLimits(HostLimits(1), TokenBucket())
    first = Run(pinned(url, MODEL), tmp_path / "first", shared=shared).go()
    needed = first.shared.meter.take()
    shared.meter.allow(needed)
    second = Run(pinned(url, MODEL), tmp_path / "second", shared=shared).go()
    assert second.content() == MODEL.read()
    assert shared.meter.exhausted


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def workers(home: Path, time: FakeClock) -> Iterator[list[WorkerContext]]:
    with app_of(home, one_file_model("m", "https://h.example/m.gguf", gguf()), clock=time.clock) as app:
        cap(app, 1000)
        found = [WorkerContext(app.home, 1) for _ in range(2)]
        for worker in found:
            worker.cap.update(at_once=True)
        yield found
        for worker in found:
            worker.close()


def test_two_workers_share_what_is_left(workers, time):
    one, two = workers
    one.shared.meter.count(600)
    one.cap.update(at_once=True)
    two.shared.meter.count(399)
    time.advance(WRITE_EVERY_S)
    two.cap.update()
    assert not two.shared.meter.exhausted
    two.shared.meter.count(1)
    assert two.shared.meter.exhausted, "at once, without a look at the database"
    two.cap.reached()
    assert two.gates.current().cap_reached(time.calendar_us)
    time.advance(WRITE_EVERY_S)
    one.cap.update()
    assert one.shared.meter.exhausted


def test_when_the_day_turns_there_is_the_whole_cap_again(workers, time):
    one, _ = workers
    one.shared.meter.count(1000)
    one.cap.reached()
    assert one.shared.meter.exhausted
    time.advance(86_400)
    one.cap.update()
    assert not one.shared.meter.exhausted
    one.gates.refresh()
    assert not one.gates.current().cap_reached(time.calendar_us)


def test_a_count_that_could_not_be_written_is_written_later(workers, monkeypatch):
    one, _ = workers
    one.shared.meter.count(700)

    def fail(*_: object) -> None:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("flowhub_jobs.worker.cap_watch.add_received", fail)
        with pytest.raises(OSError, match="gone"):
            one.cap.update(at_once=True)
    assert isinstance(one.cap, CapWatch)
    one.shared.meter.count(300)
    one.cap.update(at_once=True)
    assert one.home.controls.cap().received == 1000
    assert one.shared.meter.exhausted
