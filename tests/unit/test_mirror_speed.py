"""MirrorSpeed: an address that raises a file's total rate is used in addition; one that does not is dropped."""

import time
from pathlib import Path

import pytest

from flowhub_jobs.net.urls import HUB
from flowhub_jobs.transfer.file_state import AddressState, RangeTask
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.mirror_choice import CONCURRENT_ADDRESSES_MAX, Address, Mirrors
from flowhub_jobs.transfer.mirror_speed import MirrorSpeed
from flowhub_jobs.transfer.mirror_switching import begin_addresses, choose_address, extra_addresses
from flowhub_jobs.transfer.rate_limit import TokenBucket, TransferRateLimit
from flowhub_jobs.transfer.resume import resume_partial
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile

OWN = "https://example.org"
A, B, C, D = (f"http://{name}.example" for name in "abcd")
STEP_S = 0.5


class Simulation:
    """One transfer; each address gives its rate in `rates` (bytes a second), and all together give at most `line`."""

    def __init__(
        self, folder: Path, order: list[str], rates: dict[str, float], line: float = 1e12, copy: str = ""
    ) -> None:
        model = ArtifactFile("m.gguf", f"{OWN}/m.gguf", 1 << 40, "0" * 64)
        artifact = Artifact("m@q", "m", "q", None, "m", False, (model,))
        mirrors = Mirrors(
            {OWN: order}, copies={"0" * 64: [Address(f"{copy}/m.gguf", copy, "of the fleet")] if copy else []}
        )
        self.transfer = TransferState(artifact, folder, HUB, mirrors)
        self.log = resume_partial(self.transfer, "job", 0)
        self.hosts, self.rates, self.line, self.limit = HostLimits(), rates, line, TokenBucket()
        begin_addresses(self.transfer, self.hosts)
        [self.state] = self.transfer.files
        self.state.identity.identified = True
        self.speed = MirrorSpeed(self.transfer, self.hosts, TransferRateLimit(self.limit, None))
        self.now = time.monotonic()
        self.measured: list[str] = []

    def run(self, seconds: float) -> list[str]:
        """Let time pass; return the addresses in use at its end."""
        transfer = self.transfer
        for _ in range(int(seconds / STEP_S)):
            with transfer.changed:
                choose_address(self.state)
                addresses_in_use = [self.state.current_address, *extra_addresses(transfer, self.state)]
                self._measure()
                share = min(1.0, self.line / max(1.0, sum(self.rates[address.name] for address in addresses_in_use)))
                transfer.tasks[:] = self.state.tasks[:] = [self._task(address) for address in addresses_in_use]
                for address in addresses_in_use:
                    transfer.fetched_by_origin[address.name] += int(self.rates[address.name] * share * STEP_S)
                self.now += STEP_S
                self.speed.sample(self.now)
        with transfer.changed:
            choose_address(self.state)
            return [address.name for address in (self.state.current_address, *extra_addresses(transfer, self.state))]

    def _task(self, address: AddressState) -> RangeTask:
        task = RangeTask(self.state, 0, 1 << 30)
        task.address, task.bytes_received, task.accepted = address, 1, True
        return task

    def _measure(self) -> None:
        """Answer the request that measures an address."""
        probe = self.transfer.probe
        if probe is not None and probe.task is None:
            probe.task = self._task(probe.address)
            probe.task.started_at, probe.task.ended_at = self.now, self.now + 1
            probe.task.bytes_written = int(self.rates[probe.address.name])
            self.measured.append(probe.address.name)


@pytest.fixture
def simulate(tmp_path: Path):
    simulations: list[Simulation] = []

    def simulate(order, rates, **more) -> Simulation:
        simulations.append(Simulation(tmp_path, order, rates, **more))
        return simulations[-1]

    yield simulate
    for simulation in simulations:
        simulation.log.close()
        simulation.transfer.close()


def test_a_mirror_that_raises_the_total_is_used_in_addition(simulate):
    simulation = simulate([A, B], {A: 3e6, B: 2e6, OWN: 3e6})
    assert simulation.run(20) == [A, B]
    [note] = simulation.transfer.notes
    assert note.text == "http://b.example gives 2.0 MB/s in addition to 3.0 MB/s; all are used at once."


def test_the_files_own_url_is_measured_and_never_used_in_addition(simulate):
    simulation = simulate([A], {A: 3e6, OWN: 3e6})
    assert (simulation.run(30), simulation.measured) == ([A], [OWN])


def test_mirrors_help_the_files_own_url_where_it_is_the_first(simulate):
    assert simulate(["origin", A], {A: 3e6, OWN: 3e6}).run(20) == [OWN, A]


def test_no_mirror_is_used_in_addition_to_the_copy_of_another_node(simulate):
    simulation = simulate([A], {A: 3e6, B: 3e6, OWN: 1e6}, copy=B)
    assert (simulation.run(30), simulation.transfer.fetched_by_origin[A]) == ([B], 0)


def test_a_mirror_that_does_not_raise_the_total_is_dropped_and_not_tried_again_soon(simulate):
    simulation = simulate([A, B], {A: 3e6, B: 3e6, OWN: 1e6}, line=3e6)
    assert simulation.run(30) == [A]
    assert simulation.speed._useless_until
    received = simulation.transfer.fetched_by_origin[B]
    simulation.run(300)
    assert simulation.transfer.fetched_by_origin[B] == received > 0


def test_a_mirror_that_promises_little_is_not_used_in_addition(simulate):
    simulation = simulate([A, B], {A: 3e6, B: 2e5, OWN: 1e6})
    assert (simulation.run(30), simulation.transfer.fetched_by_origin[B]) == ([A], 0)


def test_at_most_three_addresses_are_used_at_once(simulate):
    simulation = simulate([A, B, C, D], dict.fromkeys((A, B, C, D, OWN), 1e6))
    assert simulation.run(60) == [A, B, C]
    assert CONCURRENT_ADDRESSES_MAX == 3


def test_an_address_that_becomes_far_slower_loses_its_part_to_the_others(simulate):
    simulation = simulate([A, B], {A: 3e6, B: 3e6, OWN: 1e6})
    assert simulation.run(20) == [A, B]
    simulation.rates[B] = 1e5
    assert simulation.run(30) == [A]


def test_a_first_address_that_becomes_far_slower_is_replaced_by_the_other(simulate):
    simulation = simulate([A, B], {A: 3e6, B: 3e6, OWN: 1e6})
    simulation.run(20)
    simulation.rates[A] = 1e5
    assert simulation.run(30) == [B]
    assert simulation.hosts.aside_left(simulation.state.addresses[0].origin) > 0


def test_an_address_far_faster_than_two_at_once_replaces_both(simulate):
    simulation = simulate([A, B], {A: 1e6, B: 1e6, OWN: 50e6})
    assert simulation.run(30) == [OWN]


def test_under_a_rate_limit_one_address_is_used_alone(simulate):
    simulation = simulate([A, B], {A: 3e6, B: 3e6, OWN: 1e6})
    simulation.run(20)
    simulation.limit.set_rate(1_000_000)
    assert simulation.run(5) == [A]


def test_while_the_digest_is_the_limit_no_address_is_judged(simulate):
    simulation = simulate([A, B], {A: 3e6, B: 3e6, OWN: 1e6})
    simulation.run(20)
    simulation.transfer.hash_bound = True
    simulation.rates[B] = 0
    assert simulation.run(30) == [A, B]
