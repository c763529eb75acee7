"""Connections and waits of a host, in any order: never more than it takes, and never sooner than it said."""

from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.transfer.host_limits import LOWERED_S, HostLimits

HOSTS = ("https://hub.example:443", "https://other.example:443")
DEEDS = st.lists(
    st.tuples(st.sampled_from(["enter", "enter", "enter", "leave", "lower", "quiet", "turn"]), st.sampled_from(HOSTS)),
    max_size=80,
)
SECONDS = st.floats(0, 2 * LOWERED_S)


class Turned:
    now = 1000.0

    def __call__(self):
        return self.now


@given(st.integers(1, 16), DEEDS, st.lists(SECONDS, min_size=1, max_size=10))
def test_no_host_has_more_than_it_takes_and_none_is_asked_sooner_than_it_said(cap, deeds, seconds):
    clock = Turned()
    hosts = HostLimits(cap, clock)
    open_now = dict.fromkeys(HOSTS, 0)
    quiet_until, lowered = dict.fromkeys(HOSTS, 0.0), {}
    for number, (what, host) in enumerate(deeds):
        before, time = hosts.cap(host), seconds[number % len(seconds)]
        if what == "enter":
            entered = hosts.acquire(host)
            assert entered == (open_now[host] < before)
            open_now[host] += entered
        elif what == "leave" and open_now[host]:
            hosts.release(host)
            open_now[host] -= 1
        elif what == "lower":
            assert hosts.lower_cap(host) == (open_now[host] > 1)
            if open_now[host] > 1:
                lowered[host] = clock.now + LOWERED_S
                assert hosts.cap(host) == open_now[host] - 1
        elif what == "quiet":
            hosts.cool_down(host, time)
            quiet_until[host] = max(quiet_until[host], clock.now + time)
        elif what == "turn":
            clock.now += time
        for one in HOSTS:
            assert hosts.cooldown_left(one) == max(0.0, quiet_until[one] - clock.now)
            assert 1 <= hosts.cap(one) <= cap
            assert hosts.cap(one) == cap or clock.now < lowered[one]
