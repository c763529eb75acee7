"""What one job learns of a host holds for all jobs."""

from flowhub_jobs.transfer.host_limits import LOWERED_S, HostLimits

HUB, OTHER = "https://hub.example:443", "https://other.example:443"


class Turned:
    now = 1000.0

    def __call__(self):
        return self.now


def test_a_host_has_so_many_connections_and_no_more():
    hosts = HostLimits(cap=3)
    assert [hosts.enter(HUB) for _ in range(4)] == [True, True, True, False]
    assert hosts.enter(OTHER)
    hosts.leave(HUB)
    assert hosts.enter(HUB)


def test_a_host_that_refused_one_more_is_asked_with_what_held_for_an_hour():
    clock = Turned()
    hosts = HostLimits(cap=16, clock=clock)
    assert all(hosts.enter(HUB) for _ in range(5))
    assert hosts.lower(HUB)
    hosts.leave(HUB)
    assert not hosts.enter(HUB)
    clock.now += LOWERED_S - 1
    assert not hosts.enter(HUB)
    clock.now += 2
    assert hosts.enter(HUB)


def test_a_host_that_refuses_its_only_connection_refuses_the_job():
    hosts = HostLimits()
    assert not hosts.lower(HUB)
    hosts.enter(HUB)
    assert not hosts.lower(HUB)
    assert hosts.enter(HUB), "nothing was lowered"


def test_a_host_that_wants_peace_has_it_until_it_said():
    clock = Turned()
    hosts = HostLimits(clock=clock)
    assert hosts.quiet_for(HUB) == 0
    hosts.be_quiet(HUB, 30)
    assert (hosts.quiet_for(HUB), hosts.quiet_for(OTHER)) == (30, 0)
    clock.now += 29
    assert hosts.quiet_for(HUB) == 1
    clock.now += 5
    assert hosts.quiet_for(HUB) == 0


def test_a_shorter_wait_does_not_end_a_longer_one():
    hosts = HostLimits(clock=Turned())
    hosts.be_quiet(HUB, 30)
    hosts.be_quiet(HUB, 5)
    assert hosts.quiet_for(HUB) == 30
