"""Gates that hold all jobs of a node: a closed window, an offline machine, settings that were made before the start."""

from pathlib import Path

import pytest
from support.app import App, app_of
from support.cli import Cli
from support.faults import Hold
from support.fork_server import ForkServer
from support.models import gguf_pattern, one_file_model
from support.origin import Origin

from flowhub_jobs.jobs.cap import CAP, Cap
from flowhub_jobs.jobs.controls import NETWORK, SCHEDULE
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.values.enums import Period, Reason, State

MIB = 1 << 20
IN_FLIGHT = MIB  # bytes that an origin counts as sent although its connection was cut
QUICK = {"FLOWHUB_LOOK_AGAIN_S": "0.5"}
NEVER = Schedule.parse("00:00-00:01", "mon")  # one minute of the week


def schedule(app: App, new_schedule: Schedule | None) -> None:
    app.home.controls.set(SCHEDULE, new_schedule.as_json() if new_schedule else None)


# The window ----------------------------------------------------------------------------------------------------------


def test_when_the_window_closes_what_runs_is_handed_back_and_continues_in_the_next_at_no_cost(
    home: Path, origin: Origin, fork_server: ForkServer
) -> None:
    content = gguf_pattern(64 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=8 * MIB)
    with app_of(home, one_file_model("m", url, content)) as app:
        job = app.enqueue("m")
        fork_server.start_worker(app)
        origin.wait_for(lambda: origin.sent("/m.gguf") > 3 * MIB)
        schedule(app, NEVER)
        handed_back = app.until_state(job, State.QUEUED)
        assert (handed_back.reason, handed_back.attempt, handed_back.error) == (Reason.WINDOW, 0, None)
        assert app.events(job)[-1].text == "The schedule's window closed; the job was handed back."
        kept, sent = handed_back.bytes_done, origin.sent("/m.gguf")
        assert kept > 2 * MIB
        origin.limit(total_bps=None)
        schedule(app, None)
        assert app.until_ended(job).state is State.COMPLETED
        assert origin.sent("/m.gguf") - sent <= content.size - kept + IN_FLIGHT
        assert app.job(job).attempt == 1


def test_a_drain_goes_home_when_the_window_closes(home: Path, origin: Origin, fork_server: ForkServer) -> None:
    content = gguf_pattern(MIB, 1)
    hold = Hold(after=100_000)
    url = origin.serve("/m.gguf", content, faults=[hold.once()])
    with app_of(home, one_file_model("m", url, content)) as app:
        job = app.enqueue("m")
        worker = fork_server.start_worker(app, "--drain")
        app.until_state(job, State.RUNNING)
        schedule(app, NEVER)
        assert worker.wait() == 0
        assert app.job(job).reason is Reason.WINDOW
        hold.event.set()


# The cap --------------------------------------------------------------------------------------------------------------


def test_two_workers_stop_at_the_cap_that_they_share_and_continue_when_it_is_gone(
    home: Path, origin: Origin, fork_server: ForkServer
) -> None:
    """The origin sends slowly, so that a worker receives little before it knows the bytes of the other one."""
    contents = [gguf_pattern(64 * MIB, seed) for seed in range(2)]
    urls = [origin.serve(f"/m{n}.gguf", content) for n, content in enumerate(contents)]
    models = [
        one_file_model(f"m{n}", url, content) for n, (url, content) in enumerate(zip(urls, contents, strict=True))
    ]
    origin.limit(total_bps=8 * MIB)
    cap = 12 * MIB
    with app_of(home, *models) as app:
        app.home.controls.set(CAP, Cap(cap, Period.MONTH).as_json())
        jobs = [app.enqueue(f"m{number}") for number in range(2)]
        for _ in range(2):
            fork_server.start_worker(app, FLOWHUB_JOBS="1")
        app.until(lambda: all(app.job(job).reason is Reason.CAP for job in jobs), "both held by the cap")
        assert {(app.job(job).state, app.job(job).error) for job in jobs} == {(State.QUEUED, None)}
        used = app.home.controls.cap()
        assert used is not None
        assert cap <= used.received <= cap + 16 * MIB
        sent = sum(origin.sent(f"/m{n}.gguf") for n in range(2))
        assert used.received <= sent + 64 * 1024
        origin.limit(total_bps=None)
        app.home.controls.set(CAP, None)
        assert {app.until_ended(job).state for job in jobs} == {State.COMPLETED}
        assert {app.job(job).attempt for job in jobs} == {1}


# Offline -------------------------------------------------------------------------------------------------------------


def remote_model(origin: Origin, name: str, host: str, seed: int) -> dict[str, object]:
    """Return a model at a host with a name."""
    content = gguf_pattern(100_000, seed)
    url = origin.serve(f"/{name}.gguf", content).replace("127.0.0.1", host)
    return one_file_model(name, url, content)


def lookups(file: Path) -> list[str]:
    log = Path(f"{file}.log")
    return log.read_text().split() if log.exists() else []


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    """While this file exists, no name resolves for workers with the failpoint `dns`."""
    file = tmp_path / "offline"
    file.touch()
    return file


@pytest.mark.parametrize("hosts", [["one.example"], [f"h{number}.example" for number in range(5)]], ids=["one", "many"])
def test_offline_all_jobs_wait_at_no_cost_for_one_that_looks_and_then_continue(
    home: Path, origin: Origin, fork_server: ForkServer, offline: Path, hosts: list[str]
) -> None:
    models = [remote_model(origin, f"m{number}", hosts[number % len(hosts)], number) for number in range(5)]
    with app_of(home, *models) as app:
        jobs = [app.enqueue(f"m{number}") for number in range(5)]
        for _ in range(2):
            fork_server.start_worker(app, failpoints=f"fast_maintenance dns={offline}", **QUICK)
        app.until(lambda: app.home.controls.get(NETWORK), "the network gate")

        def waits() -> bool:
            """Return whether all wait. A worker that was about to claim a job may still try it once."""
            texts = [" ".join(hold.text or "" for hold in app.home.queries.holds(job)) for job in jobs]
            states = {(job.state, job.reason, job.attempt, job.error) for job in map(app.job, jobs)}
            return states == {(State.QUEUED, Reason.NETWORK, 0, None)} and all(
                "cannot be reached" in it for it in texts
            )

        app.until(waits, "all jobs waiting, without a cost")
        lookups_before = len(lookups(offline))
        assert lookups_before <= 2 * (6 + 4), "one look-up for each running job, and one for each of a few other hosts"
        check_state = app.home.controls.get("network_look")
        assert check_state is not None
        app.until(lambda: (app.home.controls.get("network_look") or check_state)[0]["number"] >= 4, "four checks")
        lookups_after = len(lookups(offline))  # before the number of checks is read, which may rise
        number = (app.home.controls.get("network_look") or check_state)[0]["number"]
        # One more check may have begun, and each worker may have been about to claim a job.
        assert lookups_after - lookups_before <= number + 1 + 2, "one look-up for each check"
        offline.unlink()
        assert {app.until_ended(job).state for job in jobs} == {State.COMPLETED}
        assert {app.job(job).attempt for job in jobs} == {1}
        assert app.home.controls.get(NETWORK) is None


def test_a_name_that_cannot_be_looked_up_while_others_can_holds_up_its_own_job_alone(
    home: Path, origin: Origin, fork_server: ForkServer, offline: Path
) -> None:
    offline.write_text("gone.example")
    models = [
        remote_model(origin, f"m{number}", host, number) for number, host in enumerate(["gone.example", "here.example"])
    ]
    with app_of(home, *models) as app:
        bad, good = (app.enqueue(f"m{number}") for number in range(2))
        fork_server.start_worker(
            app, failpoints=f"fast_maintenance dns={offline}", FLOWHUB_BACKOFF_BASE_S="30", **QUICK
        )
        assert app.until_ended(good).state is State.COMPLETED
        app.until(lambda: app.job(bad).reason is Reason.HOST_WAIT, "a try that failed")
        assert app.home.controls.get(NETWORK) is None


# Before any worker runs -----------------------------------------------------------------------------------------------


def test_what_was_asked_for_while_no_worker_ran_holds_when_one_starts(
    home: Path,
    origin: Origin,
    fork_server: ForkServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli, content = Cli(capsys), gguf_pattern(100_000, 1)
    models = [one_file_model(f"m{n}", origin.serve(f"/m{n}.gguf", content), content) for n in range(1, 7)]
    with app_of(home, *models) as app:
        monkeypatch.setenv("FLOWHUB_CATALOG", str(app.catalog))
        for number in range(1, 7):
            assert app.enqueue(f"m{number}", group="odd" if number % 2 else "even") == number
        assert cli("pause", 1).status == cli("cancel", 2, "--purge").status == 0
        assert cli("priority", 5, "6").status == cli("priority", "-5", "--group", "odd").status == 0
        assert cli("limit", "50M").status == 0
        fork_server.drain(app, FLOWHUB_JOBS="1")
        states = {number: app.job(number).state for number in range(1, 7)}
        assert (states[1], states[2]) == (State.PAUSED, State.CANCELLED)
        assert {states[number] for number in range(3, 7)} == {State.COMPLETED}
        started_at = [app.job(number).started_at for number in (6, 4, 3, 5)]
        assert started_at == sorted(time for time in started_at if time)
        assert cli("limit", "--json").json["limit_bps"] == 50_000_000


# The limit -----------------------------------------------------------------------------------------------------------


def test_two_workers_together_keep_to_the_limit_that_is_set_while_they_run(
    home: Path, origin: Origin, fork_server: ForkServer
) -> None:
    """The test asserts a speed, not a time: a slow machine is slower still."""
    contents = [gguf_pattern(64 * MIB, seed) for seed in range(3)]
    models = [
        one_file_model(f"m{n}", origin.serve(f"/m{n}.gguf", content), content) for n, content in enumerate(contents)
    ]
    origin.limit(total_bps=16 * MIB)
    rate = 2 * MIB
    with app_of(home, *models) as app:
        jobs = [app.enqueue(f"m{number}") for number in range(3)]
        fork_server.start_worker(app, FLOWHUB_JOBS="2")
        fork_server.start_worker(app, FLOWHUB_JOBS="1")
        app.until(lambda: all(app.job(job).bytes_fetched > MIB for job in jobs), "a MiB of each job")

        def fetched() -> int:
            return sum(app.job(job).bytes_fetched for job in jobs)

        app.home.controls.set("limit", {"rate_bps": rate})
        settled = fetched() + 4 * MIB  # received before the limit took effect, and not yet in the rows
        app.until(lambda: fetched() >= settled, "the limit to settle")
        start, begin = fetched(), app.home.clock.awake()
        app.until(lambda: fetched() >= start + 28 * MIB, "some more")
        # A busy worker may write the bytes of the five seconds before `start` to the rows later. If each worker had the
        # whole limit, they would fetch 28 MiB in seven seconds; this allows 25.
        assert fetched() - start <= rate * (1.05 * (app.home.clock.awake() - begin) + 5)
        app.home.controls.set("limit", None)
        origin.limit(total_bps=None)
        assert {app.until_ended(job).state for job in jobs} == {State.COMPLETED}
