"""The frame of all pages: tabs, the bar at the top, and the rendering of templates."""

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from flowhub_jobs.operations.forecast import Remaining, remaining
from flowhub_jobs.operations.queue_view import needing, read_overview
from flowhub_jobs.operations.result_types import Overview
from flowhub_jobs.times import moment
from flowhub_jobs.units import format_bytes, format_rate
from flowhub_jobs.values.enums import State
from flowhub_jobs.web.call import Call
from flowhub_jobs.web.pages.text import capital, day_or_time, finalize, with_commands

FOLDER = Path(__file__).parent.parent
TABS = (
    ("/queue", "Queue"),
    ("/discover", "Discover"),
    ("/installed", "Installed"),
    ("/schedule", "Schedule"),
    ("/machine", "Machine"),
)


_ENDED = {State.COMPLETED: "is completed", State.FAILED: "has failed", State.CANCELLED: "was cancelled"}


@dataclass(frozen=True, slots=True)
class Bar:
    """The line at the top of each page. `done` is when all is done; "" where that is not known."""

    speed: str
    running: int
    waiting: int
    paused: int
    done: str
    need: int
    left: str

    @property
    def can_pause(self) -> bool:
        return bool(self.running + self.waiting)

    @property
    def title(self) -> str:
        """Return how the browser's title begins while jobs run: "38 % · "."""
        return f"{self.left} · " if self.running and self.left else ""


def bar_of(overview: Overview, estimate: Remaining, now: datetime) -> Bar:
    states = [job.state for job in overview.live]
    rate = sum(job.rate_bps or 0 for job in overview.running)
    done = moment(estimate.done_at) if estimate.bytes else None
    part = f"{100 * (estimate.total - estimate.bytes) // estimate.total} %" if estimate.total else ""
    return Bar(
        speed=format_rate(rate),
        running=states.count(State.RUNNING),
        waiting=states.count(State.QUEUED),
        paused=states.count(State.PAUSED),
        done=day_or_time(done, now),
        need=len(overview.failed) + len(needing(overview)),
        left=part,
    )


def render(
    call: Call,
    template: str,
    *,
    tab: str,
    heading: str,
    overview: Overview | None = None,
    live: str = "",
    every_s: int = 0,
    status: int = 200,
    **values: Any,
) -> Response:
    """Return a page. `tab` is the path of its tab; `live` names the events that refresh all of it, others the bar.

    `every_s`: seconds between two refreshes of what makes no event, such as a heartbeat; 0: none.
    """
    query = call.request.url.query
    page_path = local_path(f"{call.request.url.path}?{query}" if query else call.request.url.path)
    frame = {
        "tab": tab,
        "tabs": TABS,
        "host": platform.node(),
        "heading": f"{heading} · flowhub",
        "live": live,
        "every_s": every_s,
        "notice": values.pop("notice", None),
    }
    text = environment().get_template(template).render(bar_values(call, page_path, overview) | frame | values)
    return HTMLResponse(text, status)


def bar_values(call: Call, page_path: str, overview: Overview | None = None) -> dict[str, Any]:
    """Return what the bar shows; `page_path` is the page that its buttons return to."""
    session = call.session
    overview = overview or read_overview(session)
    bar = bar_of(overview, remaining(session.home, overview.live), datetime.now(UTC))
    return {"bar": bar, "announcement": announcement(overview), "here": page_path, "page_token": call.page_token}


def show_bar(call: Call) -> Response:
    """Return the bar alone, for a page whose other parts have not changed."""
    page_path = local_path(call.query("here") or "")
    return HTMLResponse(environment().get_template("bar.html").render(bar_values(call, page_path)))


def announcement(overview: Overview) -> str:
    """Return the text that screen readers read when it changes: the last job that ended, or needs the user."""
    latest = max(
        (*overview.failed, *overview.ended), key=lambda job: (job.finished_at or job.created_at, job.id), default=None
    )
    if latest is None:
        return ""
    return f"{latest.title} {_ENDED[latest.state]}."


def back(call: Call, default: str, done: str, jobs: Sequence[int] = ()) -> Response:
    """Return to the page that a form was on, which then says what was done (form_results.py)."""
    path = local_path((call.form().get("next") or [default])[0], default)
    clean = "&".join(
        part for part in urlsplit(path).query.split("&") if part and part.partition("=")[0] not in ("done", "job")
    )
    query = "&".join([*([clean] if clean else []), f"done={done}", *(f"job={job}" for job in jobs[:5])])
    return RedirectResponse(f"{urlsplit(path).path}?{query}", 303)


def local_path(path: str, default: str = "/queue") -> str:
    """Return the path, if it leads to a page of this server; another site's address is not followed."""
    parts = urlsplit(path)
    is_page = any(parts.path == tab for tab, _ in TABS) or parts.path.startswith(("/jobs/", "/models/", "/installed/"))
    is_local = is_page and not parts.scheme and not parts.netloc and path.startswith("/") and "\\" not in path
    return path if is_local and path.isprintable() else default


def path_of(address: str) -> str:
    """Return path and query of an address of this server, such as a Referer; the queue's for any other."""
    parts = urlsplit(address)
    return local_path(f"{parts.path}?{parts.query}" if parts.query else parts.path)


# Templates and files --------------------------------------------------------------------------------------------------


@cache
def environment() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["asset"] = asset
    templates.filters |= {"commands": with_commands, "bytes": format_bytes, "capital": capital}
    return templates


@cache
def files() -> dict[str, bytes]:
    """Return the files of the folder `static`, by name."""
    return {path.name: path.read_bytes() for path in (FOLDER / "static").iterdir() if path.is_file()}


def asset(name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    return f"/static/{name}?{hashlib.sha256(files()[name]).hexdigest()[:12]}"
