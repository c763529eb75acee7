"""Chooses the address to request a file from: mirrors and the file's own URL, in order. Pure; times are seconds.

An address that fails is passed over for a while, or for the rest of the transfer, and the next one is used. The file's
digest makes any address safe: it decides whether the bytes are the right ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flowhub_jobs.errors import (
    AnswerMalformed,
    ConnectionLost,
    FlowhubError,
    HeadersTimeout,
    NetworkDown,
    ServerBusy,
    Stalled,
    TlsUntrusted,
    TooSlow,
)

ORIGIN = "origin"  # in a rule: where the file's own URL stands
FAULTS_MAX = 3  # An address is passed over after this many connections in a row that ended early, with new bytes.
ASIDE_S = 60.0  # An address that is down is passed over for this long, doubled each time.
ASIDE_MAX_S = 3600.0  # An address that is down is passed over no longer than this.
SLOW_ASIDE_S = 600.0  # A slow address is passed over for this long.
FAR_SLOWER = 4.0  # An address is far slower if another gives more than this many times as much.
PROBE_AFTER_S = 3.0  # An address is in use for this long before the next one is measured.
PROBE_BYTES = 4 << 20  # This many bytes are requested from the next address to measure it.
WORTH_S = 10.0  # If the rest of the file takes less than this, no other address is tried for speed.
PROBE_EVERY_S = 600.0  # An address is measured once in this time.
COPY_WAIT_S = 30.0  # flowhub waits this long for a copy with enough readers before it uses an address that is no copy.
CONCURRENT_ADDRESSES_MAX = 3  # No more addresses give bytes of one file concurrently.
EXTRA_SHARE_MIN = 1 / 4  # An address that promises less than this share of the total rate is not used in addition.
EXTRA_GAIN_MIN = 1.15  # With an additional address the total rate must grow by this factor.

# Faults of the whole host. Others concern one file: it is missing, has another size, requires a sign-in.
HOST_FAULTS = (NetworkDown, TlsUntrusted, HeadersTimeout, ServerBusy, ConnectionLost, Stalled, TooSlow, AnswerMalformed)
FOR_GOOD = float("inf")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a file can be requested. `mirror` is the mirror's URL prefix; "" for the file's own URL.

    `credential` is made for this file and sent to this mirror alone; a token of a user is never sent to a mirror.
    `find_url`: the URL is looked up before the first request. `may_redirect`: a redirect to another origin is
    followed. `connections_max`: the site takes no more at a time.
    """

    url: str
    mirror: str = ""
    credential: str | None = field(default=None, repr=False)
    find_url: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    may_redirect: bool = False
    connections_max: int | None = None

    @property
    def is_copy(self) -> bool:
        """Whether it is in another node's store."""
        return self.credential is not None


# Takes what follows the prefix in a URL, and the sha256; returns the address at a mirror that has no such prefix.
Finder = Callable[[str, str], Address | None]


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The mirrors in force: URL prefixes, each with the prefixes to put in its place, in order, and ORIGIN.

    `refused`: mirrors that sent wrong bytes lately, which are not asked. `copies`: the addresses of copies in
    other nodes' stores by sha256; they stand before all others. `finders`: the targets of rules that are no prefixes.
    """

    rules: Mapping[str, Sequence[str]] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    copies: Mapping[str, Sequence[Address]] = field(default_factory=dict, repr=False)
    finders: Mapping[str, Finder] = field(default_factory=dict, repr=False)

    def addresses(self, url: str, sha256: str | None) -> tuple[Address, ...]:
        """Return the addresses of a file in order, the file's own URL among them: without a digest, it alone."""
        own_address = Address(url)
        if sha256 is None:
            return (own_address,)
        by_rule = self._by_rule(own_address, sha256)
        return tuple(
            address for address in (*self.copies.get(sha256, ()), *by_rule) if address.mirror not in self.refused
        )

    def _by_rule(self, own_address: Address, sha256: str) -> Iterator[Address]:
        """Yield the addresses by the rule for the longest prefix that fits, the file's own URL among them."""
        matching = [prefix for prefix in self.rules if is_below(own_address.url, prefix)]
        prefix = max(matching, key=len, default="")
        targets, rest = self.rules.get(prefix, ()), own_address.url[len(prefix.rstrip("/")) :]
        for target in targets:
            if target == ORIGIN:
                yield own_address
            elif target not in self.finders:
                yield Address(target.rstrip("/") + rest, target)
            elif (address := self.finders[target](rest, sha256)) is not None:
                yield address
        if ORIGIN not in targets:
            yield own_address


def is_below(url: str, prefix: str) -> bool:
    """Return whether a URL begins with a prefix that ends at a slash or at the URL's own end."""
    bare = prefix.rstrip("/")
    return url == bare or url.startswith((f"{bare}/", f"{bare}?"))


@dataclass(frozen=True, slots=True)
class AddressHealth:
    """What is known of an address. `proven`: it has sent what was requested since its last fault.

    `busy_since`: when it first asked to be left alone for a while, and it has sent nothing since.
    """

    faults: int = 0  # in a row
    times_excluded: int = 0
    aside_until: float = 0.0
    proven: bool = False
    busy_since: float | None = None

    def usable(self, now: float) -> bool:
        return now >= self.aside_until

    @property
    def on_trial(self) -> bool:
        """Whether it has failed and not answered since: then one connection tries it, and others use the next."""
        return bool(self.times_excluded or self.faults) and not self.proven


def after_response(health: AddressHealth) -> AddressHealth:
    return AddressHealth(health.faults, health.times_excluded, health.aside_until, proven=True)


def after_bytes(health: AddressHealth) -> AddressHealth:
    """Return the health after a whole range arrived."""
    return AddressHealth(0, health.times_excluded, health.aside_until, proven=True)


def after_fault(health: AddressHealth, error: FlowhubError, *, received: int, now: float) -> AddressHealth:
    """Return the health after a fault; `received` bytes of the range had come."""
    faults = health.faults + 1
    if received and isinstance(error, ConnectionLost) and faults < FAULTS_MAX:
        return AddressHealth(faults, health.times_excluded, health.aside_until, proven=True)
    seconds = ASIDE_S * 2.0 ** min(health.times_excluded, 16) if isinstance(error, HOST_FAULTS) else FOR_GOOD
    if isinstance(error, ServerBusy) and error.wait_s is not None:
        since = now if health.busy_since is None else health.busy_since
        next_health = excluded_for(health, now, min(ASIDE_MAX_S, max(1.0, error.wait_s)))
        return replace(next_health, busy_since=since)
    return excluded_for(health, now, seconds if seconds == FOR_GOOD else min(ASIDE_MAX_S, seconds))


def excluded_for(health: AddressHealth, now: float, seconds: float) -> AddressHealth:
    return AddressHealth(0, health.times_excluded + 1, max(health.aside_until, now + seconds))


def retry_early(health: AddressHealth) -> AddressHealth:
    """Return the health for a try before its time, since no address is left; a permanent exclusion stays."""
    return health if health.aside_until == FOR_GOOD else AddressHealth(health.faults, health.times_excluded)


def choose(healths: Sequence[AddressHealth], busy: Sequence[bool], now: float) -> int | None:
    """Return the index of the address to request next; None if none is usable now.

    `busy`: whether a request to it is under way that was not answered yet. One that is on trial takes one at a time.
    """
    usable = [number for number, health in enumerate(healths) if health.usable(now)]
    free = (number for number in usable if not (healths[number].on_trial and busy[number]))
    return next(free, usable[0] if usable else None)


def should_wait_for_copy(copies: Sequence[AddressHealth], busy: Sequence[bool], now: float) -> bool:
    """Return whether to request nothing now, since the copies have enough readers; arguments as in `choose`.

    The wait is worth it: each node that goes to the origin instead costs a download that the copies should save.
    """
    if any(copy.usable(now) and not (copy.on_trial and waits) for copy, waits in zip(copies, busy, strict=True)):
        return False
    return any(copy.busy_since is not None and now - copy.busy_since < COPY_WAIT_S for copy in copies)


def is_far_slower(bps: float, next_bps: float) -> bool:
    """Return whether `bps`, from what is in use, is far less than `next_bps`, from another address.

    `next_bps` may be the rate of a single connection, as an address that is only measured has no more.
    """
    return next_bps > bps * FAR_SLOWER


def is_worth_probing(in_use_s: float, bps: float, left: int) -> bool:
    """Return whether to measure the next address, while one gives `bps` and `left` bytes are missing."""
    return in_use_s >= PROBE_AFTER_S and left > PROBE_BYTES and left > bps * WORTH_S


def may_gain(bps: float, connections: int, next_bps: float) -> bool:
    """Return whether to use an address in addition: one connection to it gave `next_bps`, and it gets as many.

    `bps` is what all addresses in use give, `connections` how many the first of them has.
    """
    return next_bps * connections >= bps * EXTRA_SHARE_MIN


def is_gain(before_bps: float, bps: float) -> bool:
    """Return whether an additional address has raised the total. Else this machine's own network is the limit."""
    return bps >= before_bps * EXTRA_GAIN_MIN


NOWHERE, UNTRIED, NO_MIRRORS = Address(""), AddressHealth(), Mirrors()
