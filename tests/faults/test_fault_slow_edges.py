"""Slow edges and collapses: a slow connection is replaced, and a host that crawls is asked again with few."""

import pytest
from support.edge_faults import CrowdPenalty, SlowEdges
from support.fault_files import host_of
from support.models import gguf_pattern
from support.range_faults import IgnoreRange
from support.run_fetch import TransferRun, pinned_artifact, quick

from flowhub_jobs.transfer import connection_watch, slow_connection_rules
from flowhub_jobs.transfer import fetch as fetch_room
from flowhub_jobs.transfer.concurrency import ConcurrencyPlan
from flowhub_jobs.transfer.fetch import SharedLimits
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.rate_limit import TokenBucket

MODEL = gguf_pattern(24 << 20, seed=5)


@pytest.fixture(autouse=True)
def shorten_times(monkeypatch):
    """Divide the periods of the rules by ten or more."""
    monkeypatch.setattr(fetch_room, "WATCH_S", 0.05)
    monkeypatch.setattr(slow_connection_rules, "SLOW_S", 0.5)
    monkeypatch.setattr(slow_connection_rules, "RECENT_S", 0.4)
    monkeypatch.setattr(slow_connection_rules, "REPLACE_EVERY_S", 0.1)
    monkeypatch.setattr(slow_connection_rules, "COLLAPSED_S", 1.5)
    monkeypatch.setattr(connection_watch, "STEADY_S", 0.1)


def fetch_model(origin, tmp_path, fault, connections, **options):
    """Fetch a model from an origin with this fault, over this number of connections; return the run."""
    url = origin.serve("m.gguf", MODEL, faults=[fault])
    run = TransferRun(
        pinned_artifact(url, MODEL), tmp_path, quick(faults_max=1, connections_per_host=connections, **options)
    )
    run.shared = SharedLimits(HostLimits(connections), TokenBucket())
    run.fetch()
    assert run.content() == MODEL.read()
    assert set(run.note_kinds) <= {"connection"}  # no fault, so that it is free for the job
    return run


def pin_concurrency(monkeypatch, count):
    monkeypatch.setattr(
        fetch_room,
        "ConcurrencyPlan",
        lambda **_: ConcurrencyPlan(count=count, baseline=count, is_measuring=True, backing_off_until=float("inf")),
    )


def test_a_connection_that_is_far_slower_than_its_siblings_is_replaced_by_a_new_one(origin, tmp_path, monkeypatch):
    pin_concurrency(monkeypatch, 4)
    run = fetch_model(origin, tmp_path, SlowEdges(slow_bps=5e4, fast_bps=3e6, of=2), 4)
    assert f"A connection to {host_of(origin)} gave" in run.notes[0].text
    assert origin.made_connections > 4
    assert run.fetched.bytes_fetched == MODEL.size


def test_of_one_file_only_so_many_are_replaced(origin, tmp_path, monkeypatch):
    monkeypatch.setattr(connection_watch, "REPLACED_MAX", 2)
    pin_concurrency(monkeypatch, 4)
    replaced: list[RangeTask] = []
    replace_connection = connection_watch._replace
    monkeypatch.setattr(connection_watch, "_replace", lambda task: (replaced.append(task), replace_connection(task)))
    run = fetch_model(origin, tmp_path, SlowEdges(slow_bps=4e5, fast_bps=6e6, of=1000), 4)
    assert {task.address.connections_replaced for task in replaced} == {2}
    assert len([note for note in run.notes if "A connection to" in note.text]) == 1


def test_a_single_connection_far_below_the_best_of_its_host_is_replaced(origin, tmp_path, monkeypatch):
    hosts = HostLimits(1)
    hosts.note_rate(f"http://127.0.0.1:{origin.port}", 6e6)
    url = origin.serve("m.gguf", MODEL, faults=[SlowEdges(slow_bps=1e5, fast_bps=9e6, of=2, first_is_fast=False)])
    run = TransferRun(pinned_artifact(url, MODEL), tmp_path, quick(faults_max=1, connections_per_host=1))
    run.shared = SharedLimits(hosts, TokenBucket())
    run.fetch()
    assert run.content() == MODEL.read()
    assert run.note_kinds == ["connection"]


def test_a_slow_connection_to_a_source_without_ranges_is_never_replaced(origin, tmp_path):
    """The received bytes would be lost."""
    hosts = HostLimits(1)
    hosts.note_rate(f"http://127.0.0.1:{origin.port}", 1e9)
    small = gguf_pattern(2 << 20, seed=5)
    url = origin.serve("m.gguf", small, faults=[IgnoreRange(), SlowEdges(fast_bps=1e6)])
    run = TransferRun(pinned_artifact(url, small), tmp_path, quick(faults_max=1))
    run.shared = SharedLimits(hosts, TokenBucket())
    run.fetch()
    assert run.content() == small.read()
    assert "connection" not in run.note_kinds


def test_a_speed_limit_is_no_slowness_of_a_connection(origin, tmp_path, monkeypatch):
    pin_concurrency(monkeypatch, 4)
    small = gguf_pattern(2 << 20, seed=5)
    url = origin.serve("m.gguf", small, faults=[SlowEdges(slow_bps=2e4, fast_bps=1e6, of=2)])
    run = TransferRun(pinned_artifact(url, small), tmp_path, quick(faults_max=1))
    run.shared = SharedLimits(HostLimits(4), TokenBucket(1_000_000))
    run.fetch()
    assert "connection" not in run.note_kinds


def test_a_host_that_crawls_when_crowded_is_asked_again_with_few_connections(origin, tmp_path):
    run = fetch_model(origin, tmp_path, CrowdPenalty(most=6, each_bps=2e6, crawl_bps=1e4, seconds=2.0), 16)
    texts = [note.text for note in run.notes if "total rate" in note.text]
    assert texts
    assert f"The total rate of {host_of(origin)} fell from" in texts[0]
    assert "for an hour" in texts[0]
    assert run.shared.hosts.connections_allowed(f"http://127.0.0.1:{origin.port}") <= 4
    assert run.fetched.bytes_fetched == MODEL.size
