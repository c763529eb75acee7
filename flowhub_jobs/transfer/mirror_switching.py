"""Uses the addresses of a file: takes the next one after a fault, and finds the mirror that sent wrong bytes.

`mirror_choice` is the pure decision. The transfer's lock is held throughout.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from flowhub_jobs.errors import AddressExpired, FlowhubError, MirrorMismatch, MirrorUnfit, SourceError
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.file_state import AddressState, FileState, RangeTask
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.http.response_headers import BodyRange
from flowhub_jobs.transfer.mirror_choice import (
    ASIDE_MAX_S,
    FOR_GOOD,
    HOST_FAULTS,
    after_fault,
    choose,
    excluded_for,
    retry_early,
    should_wait_for_copy,
)
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import NewEvent


def begin_addresses(transfer: TransferState, hosts: HostLimits) -> None:
    """Pass over the mirrors that earlier attempts dropped, and those that other jobs found to be down or slow."""
    bad_mirrors = {mirror for state in transfer.files for mirror in state.record.bad_mirrors}
    now = time.monotonic()
    for state in transfer.files:
        for address in state.addresses if len(state.addresses) > 1 else ():
            if address.target.connections_max is not None:
                hosts.restrict_connections(address.origin, address.target.connections_max)
            seconds = FOR_GOOD if address.mirror in bad_mirrors else hosts.aside_left(address.origin)
            if seconds:
                address.health = excluded_for(address.health, now, seconds)
        choose_address(state)  # before the first wait: the cooldown of another address holds nothing


def choose_address(state: FileState) -> bool:
    """Set the address for the file's next request; return False if a busy copy is waited for.

    While the size is not known, only the file's own URL can tell it.
    """
    if len(state.addresses) == 1 or state.size is None:
        return True
    if is_waiting_for_copy(state):
        return False
    number = choose([address.health for address in state.addresses], _busy(state, state.addresses), time.monotonic())
    if number is not None:
        state.current_address = state.addresses[number]
    return True


def is_waiting_for_copy(state: FileState) -> bool:
    """Return whether nothing of a file is requested now, since its copies have enough readers."""
    copies = [address for address in state.addresses if address.target.is_copy]
    return should_wait_for_copy([address.health for address in copies], _busy(state, copies), time.monotonic())


def _busy(state: FileState, addresses: Sequence[AddressState]) -> list[bool]:
    """Return of each address whether a request to it was not answered yet."""
    waiting = {id(task.address) for task in state.tasks if not task.accepted}
    return [id(address) in waiting for address in addresses]


def next_address(transfer: TransferState, state: FileState) -> AddressState | None:
    """Return the address for the file's next request: the first usable one, or one that gives bytes concurrently.

    None if a busy copy is waited for.
    """
    if not choose_address(state):
        return None
    open_to: Counter[str] = (
        Counter(task.address.origin for task in transfer.tasks) if transfer.extra_connections else Counter()
    )
    concurrent = extra_addresses(transfer, state)
    return next(
        (address for address in concurrent if open_to[address.origin] < transfer.extra_connections[address.origin]),
        state.current_address,
    )


def extra_addresses(transfer: TransferState, state: FileState) -> list[AddressState]:
    """Return the addresses that give bytes of a file concurrently with the current one.

    Empty if only one connection may fetch the file.
    """
    if not transfer.extra_connections or state.exclusive:
        return []
    now, busy = time.monotonic(), _busy(state, state.addresses)
    return [
        address
        for address, is_busy in zip(state.addresses, busy, strict=True)
        if address.origin in transfer.extra_connections
        and address.origin != state.current_address.origin
        and address.health.usable(now)
        and not address.one_connection
        and not (address.health.on_trial and is_busy)
    ]


def find_url(address: AddressState) -> None:
    """Look up the URL of an address that has none yet, without the transfer's lock. Raises why there is none."""
    if (find := address.target.find_url) is None:
        return
    try:
        address.target = replace(address.target, url=find(), find_url=None)
    except SourceError:
        raise
    except FlowhubError as error:  # of this address alone, too
        raise MirrorUnfit(error.message, host=host_of(address.url)) from error


def check_mirror_response(task: RangeTask, body_range: BodyRange) -> None:
    """Raise MirrorUnfit if a mirror's answer is of another file, or if using it would cost bytes that are kept."""
    state, host = task.state, host_of(task.address.url)
    if body_range.coding is not None:
        raise MirrorUnfit(f"{host} sends the file compressed.", host=host)
    if body_range.total is not None and body_range.total != state.size:
        raise MirrorUnfit(f"{host} has {body_range.total} bytes, not {state.size}.", host=host)
    if body_range.whole and (body_range.total is None or state.record.kept.total or len(state.tasks) > 1):
        raise MirrorUnfit(f"{host} ignores ranges.", host=host)


def handle_address_fault(
    transfer: TransferState, task: RangeTask, error: FlowhubError, hosts: HostLimits
) -> FlowhubError | None:
    """Record a fault of one of a file's addresses; return None if the file is requested again at no cost.

    If no address is left, return the error of the file's own URL, which decides what follows; all addresses that may
    work again are then tried again.
    """
    state, address, now = task.state, task.address, time.monotonic()
    if not address.health.usable(now) or _is_expired_redirect(task, error):
        return None  # a request that began before another one failed
    first_busy = all(other.health.busy_since is None for other in state.addresses)
    address.health = after_fault(address.health, error, received=task.bytes_written, now=now)
    if address.health.usable(now):
        return None
    address.fault = error
    for other in [address, *_of_host(transfer, address, error)]:
        other.health, other.fault = address.health, error
    is_busy_copy = address.target.is_copy and address.health.busy_since is not None
    # A copy refuses one more node, and may have admitted this one for other files.
    if address.mirror and isinstance(error, HOST_FAULTS) and not is_busy_copy:
        hosts.set_aside(address.origin, address.health.aside_until - now)
    if is_waiting_for_copy(state):
        if first_busy:
            text = f"{error.message} Other nodes read from it; flowhub requests it again."
            transfer.notes.append(NewEvent(EventKind.MIRROR, text, error.code))
        return None
    usable = next((other for other in state.addresses if other.health.usable(now)), None)
    if usable is not None:
        text = f"{error.message} flowhub requests the rest from {host_of(usable.url)}."
        transfer.notes.append(NewEvent(EventKind.MIRROR, text, error.code))
        return None
    own_fault = next((other.fault for other in state.addresses if not other.mirror), None)
    for other in state.addresses:
        other.health = retry_early(other.health)
    return own_fault or error


def _is_expired_redirect(task: RangeTask, error: FlowhubError) -> bool:
    """Return whether the target of a mirror's redirect has expired; then the next request asks the mirror for it."""
    if not isinstance(error, AddressExpired) or task.location is None:
        return False
    if task.address.location == task.location:
        task.address.location = None
    return True


def set_aside_slow(transfer: TransferState, address: AddressState, seconds: float, hosts: HostLimits) -> None:
    """Pass over an address that is far slower than the next, for all files, and end its connections."""
    now = time.monotonic()
    hosts.set_aside(address.origin, seconds)
    for state in transfer.incomplete.values():
        for other in state.addresses if len(state.addresses) > 1 else ():
            if other.origin == address.origin:
                other.health = excluded_for(other.health, now, seconds)
    for task in transfer.tasks:
        if task.address.origin == address.origin and task.body is not None and len(task.state.addresses) > 1:
            task.replaced = True
            task.body.abort()


def _of_host(transfer: TransferState, address: AddressState, error: FlowhubError) -> list[AddressState]:
    """Return the other files' addresses that a fault concerns: all of the host, if it is the host's."""
    if not isinstance(error, HOST_FAULTS):
        return []
    several = (state for state in transfer.incomplete.values() if len(state.addresses) > 1)
    return [other for state in several for other in state.addresses if other.origin == address.origin]


# Wrong bytes ---------------------------------------------------------------------------------------------------------


def distrust(transfer: TransferState, state: FileState, wrong: FlowhubError) -> bool:
    """Drop the mirror that gave most of a file whose digest is wrong, and its bytes; False if no mirror gave any.

    The bytes are fetched again from another address. If the digest is right then, it was that mirror that sent wrong
    ones: nothing else has changed. If it is still wrong, the next mirror is dropped, and in the end the file has bytes
    of its own URL alone. So each byte is fetched twice at most: other mirrors that gave bytes of the file are under
    suspicion too, and are used for it only if no other address is left.
    """
    ranges_by_mirror = {name: ranges for name, ranges in state.record.bytes_by_mirror.items() if ranges.total}
    mirror = max(ranges_by_mirror, key=lambda name: ranges_by_mirror[name].total, default="")
    if not mirror:
        return False
    ranges = state.record.bytes_by_mirror.pop(mirror)
    state.record.bad_mirrors.add(mirror)
    _drop(transfer, mirror)
    for address in state.addresses:
        if address.mirror in ranges_by_mirror and address.mirror != mirror:
            address.health = excluded_for(address.health, time.monotonic(), ASIDE_MAX_S)
    state.suspect = mirror
    for start, end in ranges:
        transfer.discard_locked(state, start, end)
    transfer.rehash_locked(state)
    if ranges.total == state.size:  # nothing of the file came from elsewhere
        name_bad_mirror(transfer, state)
    else:
        text = (
            f"{wrong.message} flowhub fetches what {_host_of_mirror(state, mirror)} sent again, from another address."
        )
        transfer.notes.append(NewEvent(EventKind.FILE_AGAIN, text, wrong.code))
    return True


def name_bad_mirror(transfer: TransferState, state: FileState) -> None:
    """Record that the suspect sent wrong bytes."""
    mirror, state.suspect = state.suspect, ""
    host = _host_of_mirror(state, mirror)
    text = f"the mirror {host} sent wrong bytes. flowhub does not use it for a day and fetches those bytes elsewhere."
    error = MirrorMismatch(text, host=host, path=state.file.path)
    transfer.notes.append(NewEvent(EventKind.MIRROR, error.message, error.code))
    transfer.bad_mirrors.add(mirror)


def _host_of_mirror(state: FileState, mirror: str) -> str:
    """Return the host that a message names: a mirror may be written without its address."""
    return next((host_of(address.url) for address in state.addresses if address.mirror == mirror), host_of(mirror))


def _drop(transfer: TransferState, mirror: str) -> None:
    now = time.monotonic()
    for state in transfer.files:
        for address in state.addresses:
            if address.mirror == mirror:
                address.health = excluded_for(address.health, now, FOR_GOOD)
