"""What `enqueue --dry-run` says of the order as a whole."""

from datetime import UTC, datetime
from typing import Any

from flowhub_jobs.hub.forecast import Forecast
from flowhub_jobs.times import at_clock, moment, rfc3339
from flowhub_jobs.words import format_bytes, format_duration, format_rate


def outlook_object(found: Forecast) -> dict[str, Any]:
    """Return the part of `flowhub/plan/1` that is about all of it; `done_at` and `usual_bps` are null if unknown."""
    room, done = found.room, moment(found.done_at)
    disk = {"free_bytes": room.free, "reserve_bytes": room.reserve, "needed_bytes": found.to_fetch}
    disk |= {"queued_bytes": found.queued, "free_after_bytes": found.free_after}
    return {"disk": disk, "usual_bps": found.usual_bps, "done_at": rfc3339(done) if done else None}


def outlook_lines(found: Forecast) -> list[str]:
    """Return the same in words."""
    return [_to_fetch(found), _disk(found), _done(found)]


def _to_fetch(found: Forecast) -> str:
    sizes = f", and {found.unknown} of unknown size" if found.unknown else ""
    before = f"; {format_bytes(found.queued)} are queued before it" if found.queued else ""
    return f"To fetch: {format_bytes(found.to_fetch)}{sizes}{before}."


def _disk(found: Forecast) -> str:
    room = found.room
    said = f"The store's disk has {format_bytes(room.free)} free"
    if found.free_after < room.reserve:
        missing = format_bytes(room.reserve - found.free_after)
        kept = f", of which {format_bytes(room.reserve)} are kept back"
        return f"{said}{kept}: {missing} are missing. Jobs without room wait."
    return f"{said}, and would have {format_bytes(found.free_after)} afterwards."


def _done(found: Forecast) -> str:
    if not found.to_fetch and not found.unknown:
        return "Nothing to download."
    if found.unknown:
        return "ETA unknown (a size is missing)."
    if found.usual_bps is None:
        return "ETA unknown (no recent downloads)."
    now, done = datetime.now(UTC), moment(found.done_at)
    if done is None:
        return f"At {format_rate(found.usual_bps)}, the speed of the last day: years."
    end = f"{at_clock(done, now)}, in {format_duration((done - now).total_seconds())}"
    return f"At {format_rate(found.usual_bps)}, the speed of the last day, done {end}."
