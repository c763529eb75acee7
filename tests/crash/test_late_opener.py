"""A worker that is suspended while it opens a partial, and wakes when another one is at work in it."""

import signal
from pathlib import Path

import pytest
from support.app import app_of
from support.fake_clock import ClockFile
from support.faults import Hold
from support.fork_server import ForkServer
from support.install_cases import InstallCase
from support.models import gguf, one_file_model, write_catalog
from support.origin import Origin
from support.run_fetch import kept_in

from flowhub_jobs.jobs.run_values import LEASE_S
from flowhub_jobs.operations.session import Session


@pytest.mark.parametrize(
    "at",
    [
        "transfer.resume:load:after",
        "transfer.resume:_remove_unlisted:before",
        "transfer.partial.journal:Journal.rewrite:before",
    ],
)
def test_a_late_opener_takes_nothing_from_its_successor(
    home: Path, origin: Origin, nursery: ForkServer, tmp_path: Path, at: str
) -> None:
    wares, clock, hold = InstallCase(origin, "new-file"), ClockFile(tmp_path / "clock"), Hold(after=100_000)
    other = one_file_model("other", origin.serve("/other.gguf", gguf(seed=9)), gguf(seed=9))
    with app_of(home, clock=clock.clock) as shop:
        job = wares.shelve(shop)
        late = nursery.worker(shop, "--jobs", "1", harm=f"brisk clock={clock.path} halt=flowhub_jobs.{at}")
        shop.until(late.is_stopped, "its halt")
        clock.sleep_for(LEASE_S + 1)
        origin.break_with(hold.once(), path=wares.path("m.gguf"))
        nursery.worker(shop, "--jobs", "1", harm=f"brisk lock=0.2 clock={clock.path}", FLOWHUB_CONNECTIONS_PER_HOST="1")
        shop.until(lambda: kept_in(shop.partial("m")) == 100_000, "a third of it")
        partial = shop.partial("m")
        write_catalog(shop.catalog, other)
        shop.session = Session(shop.home)
        late.send_signal(signal.SIGCONT)
        shop.until_ended(shop.enqueue("other"))
        kept = kept_in(partial)
        hold.event.set()
        shop.until_ended(job)
        assert kept == 100_000, "the late one has taken nothing away"
        assert wares.there(shop) == dict(wares.contents)
        assert [event.kind for event in shop.events(job)] == ["queued", "claimed", "rescued", "claimed", "completed"]
        assert wares.sent() == wares.total
