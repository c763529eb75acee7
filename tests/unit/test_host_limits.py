"""Limits of a host: a limit that one job met applies to all jobs."""

from flowhub_jobs.transfer.host_limits import RESTRICTED_S, HostLimits

HUB, OTHER = "https://hub.example:443", "https://other.example:443"


class FakeClock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_a_host_gets_as_many_connections_as_its_cap():
    hosts = HostLimits(connections_max=3)
    assert [hosts.acquire(HUB) for _ in range(4)] == [True, True, True, False]
    assert hosts.acquire(OTHER)
    hosts.release(HUB)
    assert hosts.acquire(HUB)


def test_a_host_that_refused_a_connection_keeps_a_lower_cap_for_an_hour():
    clock = FakeClock()
    hosts = HostLimits(connections_max=16, clock=clock)
    assert all(hosts.acquire(HUB) for _ in range(5))
    assert hosts.note_connection_refused(HUB)
    hosts.release(HUB)
    assert not hosts.acquire(HUB)
    clock.now += RESTRICTED_S - 1
    assert not hosts.acquire(HUB)
    clock.now += 2
    assert hosts.acquire(HUB)


def test_a_host_that_refuses_its_only_connection_refuses_the_job():
    hosts = HostLimits()
    assert not hosts.note_connection_refused(HUB)
    hosts.acquire(HUB)
    assert not hosts.note_connection_refused(HUB)
    assert hosts.acquire(HUB), "nothing was lowered"


def test_a_host_that_asks_for_a_wait_gets_it_until_its_end():
    clock = FakeClock()
    hosts = HostLimits(clock=clock)
    assert hosts.cooldown_left(HUB) == 0
    hosts.cool_down(HUB, 30)
    assert (hosts.cooldown_left(HUB), hosts.cooldown_left(OTHER)) == (30, 0)
    clock.now += 29
    assert hosts.cooldown_left(HUB) == 1
    clock.now += 5
    assert hosts.cooldown_left(HUB) == 0


def test_a_shorter_wait_does_not_end_a_longer_one():
    hosts = HostLimits(clock=FakeClock())
    hosts.cool_down(HUB, 30)
    hosts.cool_down(HUB, 5)
    assert hosts.cooldown_left(HUB) == 30
