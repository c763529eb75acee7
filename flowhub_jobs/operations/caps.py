"""The cap on the bytes that this node downloads in a day or month: set, read, and described in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.cap import CAP, Cap, CapUse, received_in
from flowhub_jobs.times import at_clock, known_moment
from flowhub_jobs.units import format_bytes, format_duration, parse_size
from flowhub_jobs.values.enums import Period

if TYPE_CHECKING:
    from flowhub_jobs.operations.session import Session

_HINT = 'Send {"cap": "200G", "per": "month"}, or {"cap": "off"}.'


@dataclass(frozen=True, slots=True)
class CapState:
    """The cap in force, None for none, and the bytes received today and in this month."""

    use: CapUse | None
    day: int
    month: int


def read_cap(session: "Session") -> CapState:
    """Return the cap, and what this node has received."""
    home, now = session.home, session.now_us()
    use = home.controls.cap()
    with home.database.reading() as snapshot:
        day, month = (received_in(snapshot, home.node, per, now) for per in (Period.DAY, Period.MONTH))
    return CapState(use, day, month)


def parse_cap(size: str, per: str | None = None) -> Cap | None:
    """Return a cap as typed: `200G`, per `day` or `month` (default); None for `off`. Raises UsageInvalid."""
    if size.strip().lower() == "off":
        if per is not None:
            raise UsageInvalid("--per needs a size.", hint="`flowhub cap 200G --per month`.")
        return None
    try:
        period = Period((per or Period.MONTH).strip().lower())
    except ValueError:
        raise UsageInvalid(f"{(per or '')[:40]!r} is no period.", hint="Write --per day or --per month.") from None
    return Cap(parse_size(size, option="cap"), period)


def set_cap(session: "Session", cap: Cap | None) -> None:
    """Set the cap; None removes it. Workers obey within a second."""
    session.controls.set(CAP, cap.as_json() if cap else None)


def cap_from_json(data: Mapping[str, Any]) -> Cap | None:
    """Return the cap of a JSON object: `{"cap": "200G", "per": "month"}`, or as `cap_json` has it (cap_bytes, per).

    A cap of "off" or null is none. Raises UsageInvalid.
    """
    name = next((name for name in ("cap", "cap_bytes") if name in data), None)
    if name is None:
        raise UsageInvalid("The object has no cap.", hint=_HINT)
    size, per = data[name], data.get("per")
    if isinstance(size, bool) or not isinstance(size, str | int | None):
        raise UsageInvalid(f"{name!r} must be a string or an integer.", hint=_HINT)
    if not isinstance(per, str | None):
        raise UsageInvalid("'per' must be a string.", hint=_HINT)
    if size is None:
        return None
    # A number is of bytes; as a text it would need a unit.
    return parse_cap(f"{size}B" if isinstance(size, int) else size, per)


def cap_line(session: "Session") -> str | None:
    """Return the cap and its use in one line, for the screens; None where there is none."""
    use = session.controls.cap()
    return _sentence(use, session.now_us()) if use else None


def cap_reached_line(session: "Session") -> str | None:
    """Return the cap and its use in one line, or None while some of it is left."""
    use = session.controls.cap()
    return None if use is None or use.left else f"Cap: {_sentence(use, session.now_us())}"


def cap_lines(state: CapState, now: int) -> list[str]:
    """Return the cap and what was downloaded, in sentences."""
    first = f"Cap: {_sentence(state.use, now)}" if state.use else "No cap set."
    return [first, f"Downloaded by this node: {format_bytes(state.day)} today, {format_bytes(state.month)} this month."]


def _sentence(use: CapUse, now: int) -> str:
    """Return "12.3 GB of 200.0 GB this month are used; the next month begins on 2026-12-01 at 00:00, in 2 d."."""
    span = "today" if use.cap.per is Period.DAY else "this month"
    used = f"{format_bytes(use.received)} of {format_bytes(use.cap.bytes)} {span} are used"
    when = at_clock(known_moment(use.turns_at), datetime.fromtimestamp(now / 1e6, UTC))
    begins = f"the next {use.cap.per} begins {when}, in {format_duration((use.turns_at - now) / 1e6)}"
    return f"{used}; {begins}." if use.left else f"{used}; nothing is downloaded until {begins}."
