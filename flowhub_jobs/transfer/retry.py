"""Decides whether to try again now, wait, or give up after a fault. Pure; randomness is an argument."""

from dataclasses import dataclass

from flowhub_jobs.errors import AddressExpired, FlowhubError, ServerBusy, SourceChanged, SourceError, WaitTooLong
from flowhub_jobs.units import format_duration

WAIT_INSIDE_S = 5.0  # A longer wait gives the slot to another job.
TRY_INSIDE_S = 20.0  # Once all tries together have brought no byte for this long, any wait gives the slot away.


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often a source is tried again; the contract's defaults. Times are seconds."""

    base_s: float = 1.0
    delay_max_s: float = 300.0
    faults_max: int = 10
    give_up_after_s: float = 86_400.0
    server_wait_max_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class PriorFaults:
    """The tries since the last new byte: how many failed in a row, and the seconds that they and their waits took."""

    faults: int = 0
    seconds: float = 0.0


NO_FAULTS = PriorFaults()


@dataclass(frozen=True, slots=True)
class RetryNow:
    """At once, at no cost."""


@dataclass(frozen=True, slots=True)
class RetryWait:
    """`asked_by_host`: the host named the time, so every job waits for it."""

    seconds: float
    asked_by_host: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    error: FlowhubError


Decision = RetryNow | RetryWait | GiveUp


def decide(
    error: FlowhubError,
    prior: PriorFaults,
    jitter: float,
    patience: Patience,
    *,
    free: bool = True,
    resumes: bool = True,
) -> Decision:
    """Return what follows a fault. `prior` includes the fault itself; `jitter` is in [0, 1).

    A transient fault, which can end without the user (`error.transient`), ends the job only after `give_up_after_s` and
    `faults_max` tries; any other retryable fault after `faults_max` tries.
    `free`: whether AddressExpired and SourceChanged may still be retried at no cost. A source that keeps changing
    eventually counts. `resumes`: whether the source can continue where a response broke off.
    """
    if free and isinstance(error, AddressExpired | SourceChanged):
        return RetryNow()
    # Another request does not help against a full or missing disk: the caller parks the job.
    if not error.retryable or not isinstance(error, SourceError):
        return GiveUp(error)
    server_wait_s = error.wait_s if isinstance(error, ServerBusy) else None
    if server_wait_s is not None and server_wait_s > patience.server_wait_max_s:
        wait, most = (
            f"{server_wait_s:,.0f} s ({format_duration(server_wait_s)})",
            f"{patience.server_wait_max_s:,.0f} s",
        )
        text = f"{error.text} The host asks flowhub to wait {wait}; flowhub waits at most {most}."
        return GiveUp(WaitTooLong(text, host=error.host, path=error.path))
    if _is_hopeless(error, prior, patience):
        template = error.hint_template
        own_hint = f"{template} " if template and template != SourceError.default_hint else ""
        outcome = "continues with what was kept" if resumes else "starts at the first byte"
        error.hint = f"{own_hint}It was tried {_format_tries(prior)}. {{New_try}} {outcome}."
        return GiveUp(error)
    delay = retry_delay(prior.faults, jitter, patience)
    if server_wait_s is None:
        return RetryWait(delay)
    # The server knows when its limit resets. But a wait of 0, or a date in the past, must not mean a request at once.
    return RetryWait(max(server_wait_s, delay), asked_by_host=True)


def _is_hopeless(error: SourceError, prior: PriorFaults, patience: Patience) -> bool:
    """Return whether to give up. Ten tries take minutes, and an ordinary outage is longer."""
    if prior.faults < patience.faults_max:
        return False
    return not error.transient or prior.seconds >= patience.give_up_after_s


def _format_tries(prior: PriorFaults) -> str:
    tries = "once" if prior.faults == 1 else f"{prior.faults} times in a row"
    return f"{tries} in {format_duration(prior.seconds)}" if prior.seconds >= 60 else tries


def retry_delay(faults: int, jitter: float, patience: Patience) -> float:
    """Return the seconds to wait before the next try; `faults` counts from 1.

    Full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    # Clamp the exponent: `delay_max_s` is reached long before a float overflows.
    return jitter * min(patience.delay_max_s, patience.base_s * 2.0 ** min(faults - 1, 16))
