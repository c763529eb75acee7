"""`/api/v1/events`: a change of the rows arrives, and a reader that was away gets what it missed."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import httpx
import pytest
from support.cli import run_due_jobs
from support.event_loops import run_to_end
from support.fake_clock import FakeClock
from support.problems import assert_problem
from support.web import web_server

from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.operations.session import Session
from flowhub_jobs.web.live import LiveChanges

EVENTS, JOBS = "/api/v1/events", "/api/v1/jobs"


@dataclass(frozen=True)
class Event:
    id: str
    kind: str
    data: dict


class Stream:
    """Reads Server-Sent Events; `id` is that of the last block, also of one without data."""

    def __init__(self, response: httpx.Response) -> None:
        self.response, self.id = response, ""
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        fields: dict[str, str] = {}
        for line in self._lines:
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
                continue
            self.id = fields.get("id", self.id)
            if "data" in fields:
                return Event(self.id, fields["event"], json.loads(fields["data"]))
            fields = {}
        raise AssertionError("the stream ended")

    def until_open(self) -> str:
        """Return the position with which the stream begins."""
        for line in self._lines:
            if line.startswith("id:"):
                self.id = line.partition(":")[2].strip()
                return self.id
        raise AssertionError("the stream ended")

    def until(self, kind: str, **wanted: object) -> Event:
        return next(
            event
            for event in self
            if event.kind == kind and all(event.data.get(name) == value for name, value in wanted.items())
        )


@contextlib.contextmanager
def listening(client: httpx.Client, seen: str | None = None) -> Iterator[Stream]:
    headers = {"Last-Event-ID": seen} if seen is not None else {}
    with client.stream("GET", EVENTS, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


def test_a_new_job_and_its_change_arrive(api_client, app):
    with listening(api_client) as stream:
        stream.until_open()
        number = app.enqueue("a")
        assert stream.until("job", id=number, state="queued").data == api_client.get(JOBS).json()["jobs"][0]
        app.home.commands.pause(number)
        stream.until("job", id=number, state="paused")


def test_an_installed_model_arrives(api_client, app, cli):
    with listening(api_client) as stream:
        stream.until_open()
        app.enqueue("a")
        run_due_jobs(app)
        event = stream.until("installed")
        assert [model["name"] for model in event.data["models"]] == ["a.gguf"]
        assert event.data["schema"] == "flowhub/installed/1"
        assert cli("rm", "a.gguf", "-y").status == 0
        assert stream.until("installed").data["models"] == []


def test_the_limit_and_the_schedule_arrive(api_client, cli):
    with listening(api_client) as stream:
        stream.until_open()
        cli("limit", "5M")
        assert stream.until("controls").data["limit"] == cli("limit", "--json").json
        cli("schedule", "set", "23:00-07:00")
        assert stream.until("controls").data["schedule"] == cli("schedule", "show", "--json").json


@pytest.mark.parametrize("set_back", [False, True], ids=["time passes", "the clock is set back"])
def test_a_window_that_opens_or_closes_and_a_limit_that_ends_send_an_event(app, set_back):
    """Nothing is written at that moment."""
    clock = FakeClock()
    home = replace(app.home, clock=clock.clock)
    clock.set_to("2026-12-05T12:00+00:00")
    opens = Schedule.parse(local("2026-12-05T13:00+00:00", "2026-12-05T15:00+00:00"))

    async def follow() -> list[tuple[bool, int | None]]:
        live = LiveChanges(lambda: Session(home), lambda _home: None)
        reader = asyncio.create_task(live.run())
        seen = []
        async with live.subscribe(None) as subscriber:

            async def next_controls() -> None:
                batch = await subscriber.next(60)
                assert batch is not None
                data = json.loads(batch.events[-1].data)
                seen.append((data["schedule"]["open"], data["limit"]["limit_bps"]))

            await asyncio.to_thread(home.controls.set, "schedule", opens.as_json())
            await next_controls()
            await asyncio.to_thread(home.controls.set, "limit", {"rate_bps": 5}, until_us=clock.us_from_now(5400))
            await next_controls()
            if set_back:
                clock.shift_calendar(-82_800)  # to 13:00 of the day before
                await next_controls()
                reader.cancel()
                return seen
            clock.advance(3601)  # the window opens
            await next_controls()
            clock.advance(1800)  # the limit ends
            await next_controls()
            clock.advance(5400)  # the window closes
            await next_controls()
        reader.cancel()
        return seen

    expected = [(False, None), (False, 5), (True, 5), (True, None), (False, None)]
    assert run_to_end(follow()) == expected[: 3 if set_back else 5]


def local(*moments: str) -> str:
    """Return the window between two moments as the local clock shows them."""
    return "-".join(datetime.fromisoformat(moment).astimezone().strftime("%H:%M") for moment in moments)


def test_a_reader_that_was_away_gets_what_it_missed_and_no_more(api_client, app):
    with listening(api_client) as stream:
        stream.until_open()
        first = app.enqueue("a")
        seen = stream.until("job", id=first).id
    second = app.enqueue("b")
    with listening(api_client, seen) as stream:
        event = next(stream)
        assert (event.kind, event.data["id"]) == ("job", second)
        app.home.commands.pause(first)
        assert next(stream).data["id"] == first


def test_a_reader_resumes_after_a_restart_of_the_server(app):
    with web_server(app.settings) as web, listening(web.api_client) as stream:
        seen = stream.until_open()
    number = app.enqueue("a")
    with web_server(app.settings) as web, listening(web.api_client, seen) as stream:
        assert stream.until("job").data["id"] == number


@pytest.mark.parametrize("seen", ["x", "999999-0-0", "1-2", "0-0-0"])
def test_an_id_that_is_not_known_gets_the_whole_state(api_client, app, seen):
    number = app.enqueue("a")
    with listening(api_client, seen) as stream:
        kinds = {event.kind for event in (next(stream), next(stream), next(stream))}
    assert kinds == {"job", "installed", "controls"}
    assert number == 1


def test_every_subscriber_gets_every_change(web, app):
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(listening(web.client(headers=web.api_client.headers))) for _ in range(8)]
        for stream in streams:
            stream.until_open()
        number = app.enqueue("a")
        for stream in streams:
            assert stream.until("job").data["id"] == number


def test_a_subscriber_that_does_not_read_is_dropped_and_the_others_get_every_change(app, monkeypatch):
    """What is kept for it has an end: it connects again, says what it has seen, and gets the state of that moment."""
    monkeypatch.setattr("flowhub_jobs.web.live.BATCHES_MAX", 2)

    async def follow() -> tuple[list[int], object]:
        live = LiveChanges(lambda: Session(app.home), lambda _home: None)
        reader = asyncio.create_task(live.run())
        async with live.subscribe(None) as quick, live.subscribe(None) as slow:
            seen = []
            for rate in range(1, 6):
                await asyncio.to_thread(app.home.controls.set, "limit", {"rate_bps": rate})
                batch = await quick.next(60)
                assert batch is not None
                seen.append(json.loads(batch.events[-1].data)["limit"]["limit_bps"])
            ended = await slow.next(60)
        reader.cancel()
        return seen, ended

    assert run_to_end(follow()) == ([1, 2, 3, 4, 5], None)


def test_head_ends_at_once(api_client):
    response = api_client.head(EVENTS)
    assert (response.status_code, response.content) == (200, b"")


def test_events_need_a_sign_in(web):
    assert_problem(web.anonymous.get(EVENTS), 401, "sign_in_required")


def test_an_open_stream_does_not_hold_up_the_servers_end(app):
    with web_server(app.settings) as web, listening(web.api_client) as stream:
        stream.until_open()
        web.stop()
        with pytest.raises((AssertionError, httpx.RemoteProtocolError)):
            next(stream)
