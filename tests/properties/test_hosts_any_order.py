"""Properties of HostLimits: no more connections to a host than it takes, and no request before its cooldown ends."""

from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.transfer.host_limits import RESTRICTED_S, HostLimits

HOSTS = ("https://hub.example:443", "https://other.example:443")
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "acquire", "acquire", "release", "lower", "cool_down", "advance"]),
        st.sampled_from(HOSTS),
    ),
    max_size=80,
)
SECONDS = st.floats(0, 2 * RESTRICTED_S)


class FakeClock:
    now = 1000.0

    def __call__(self):
        return self.now


@given(st.integers(1, 16), ACTIONS, st.lists(SECONDS, min_size=1, max_size=10))
def test_no_host_has_more_connections_than_its_limit_nor_a_request_before_its_cooldown_ends(
    connections_max, actions, durations
):
    clock = FakeClock()
    hosts = HostLimits(connections_max, clock)
    connections = dict.fromkeys(HOSTS, 0)
    cooldown_until, lowered = dict.fromkeys(HOSTS, 0.0), {}
    for number, (action, host) in enumerate(actions):
        allowed_before, seconds = hosts.connections_allowed(host), durations[number % len(durations)]
        if action == "acquire":
            acquired = hosts.acquire(host)
            assert acquired == (connections[host] < allowed_before)
            connections[host] += acquired
        elif action == "release" and connections[host]:
            hosts.release(host)
            connections[host] -= 1
        elif action == "lower":
            assert hosts.note_connection_refused(host) == (connections[host] > 1)
            if connections[host] > 1:
                lowered[host] = clock.now + RESTRICTED_S
                assert hosts.connections_allowed(host) == connections[host] - 1
        elif action == "cool_down":
            hosts.cool_down(host, seconds)
            cooldown_until[host] = max(cooldown_until[host], clock.now + seconds)
        elif action == "advance":
            clock.now += seconds
        for name in HOSTS:
            assert hosts.cooldown_left(name) == max(0.0, cooldown_until[name] - clock.now)
            assert 1 <= hosts.connections_allowed(name) <= connections_max
            assert hosts.connections_allowed(name) == connections_max or clock.now < lowered[name]
