"""What one worker was told by a host that wants to be left alone, told to the other workers of the node."""

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.agreed import Agreed
from flowhub_jobs.transfer.hosts import Hosts

NAME = "host_waits"  # in `controls`: microseconds until when, by origin


class Peace:
    def __init__(self, home: Home, hosts: Hosts) -> None:
        self._clock, self._hosts = home.clock, hosts
        self._agreed = Agreed(home.engine, home.node, home.clock, NAME)

    def heed(self) -> None:
        """Learn which hosts want peace, before a job is begun: then none is asked again by each worker."""
        seen, now = self._agreed.read(), self._clock.now_us()
        for origin, until in (seen.value if seen else {}).items():
            if until > now:
                self._hosts.be_quiet(origin, (until - now) / 1e6)

    def tell(self) -> None:
        """Write down which hosts want peace, beside what others wrote."""
        mine = self._hosts.quiet()
        told = False
        while mine and not told:
            seen, now = self._agreed.read(), self._clock.now_us()
            known = {origin: until for origin, until in (seen.value if seen else {}).items() if until > now}
            for origin, seconds in mine.items():
                known[origin] = max(known.get(origin, 0), now + int(seconds * 1e6))
            told = self._agreed.exchange(seen, known) is not None
