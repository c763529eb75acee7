"""The `schedule` command, `--tonight` and `--after`, and the reasons for a wait that `status JOB` prints."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.app import App
from support.cli import Cli, cli_app, lease_store_of
from support.fake_clock import micros_of
from support.models import gguf, one_file_model
from support.time_zones import local_time_zone

from flowhub_jobs.errors import ServerBusy
from flowhub_jobs.jobs.controls import NETWORK
from flowhub_jobs.operations.enqueue_option_parser import OptionReader
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import Reason

MINUTE_US = 60_000_000
MODELS = [one_file_model(name, f"https://h.example/{name}.gguf", gguf(4096, 1)) for name in "abcdef"]


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    with cli_app(home, monkeypatch, *MODELS) as app:
        yield app


def window(begins: int, ends: int) -> str:
    """Return a window that begins and ends this many hours from now; negative numbers are in the past."""
    hours = [(datetime.now() + timedelta(hours=away)).hour for away in (begins, ends)]
    return f"{hours[0]}:00-{hours[1]}:00"


def set_closed_schedule(cli: Cli) -> None:
    """Set a schedule that is closed now, at any time of day."""
    assert cli("schedule", "set", window(12, 13)).status == 0


# schedule ------------------------------------------------------------------------------------------------------------


def test_a_schedule_is_set_shown_and_removed(cli, app):
    page = cli("schedule", "set", "23:00-7:00,12:00-13:00", "--days", "mon-fri", "--json").json
    assert page["schema"] == "flowhub/schedule/1"
    assert page["windows"] == ["12:00-13:00", "23:00-07:00"]
    assert page["days"] == ["mon", "tue", "wed", "thu", "fri"]
    assert page["outside_bps"] is None
    assert isinstance(page["open"], bool)
    assert page["next_change"].endswith("Z")
    assert cli("schedule", "show", "--json").json == page
    output = cli("schedule", "show").out
    assert "from 12:00 to 13:00 and 23:00 to 07:00, on mon-fri; outside, nothing runs." in output
    assert "in " in output.splitlines()[-1]
    no_schedule = {
        "windows": [],
        "days": [],
        "rate_bps": None,
        "outside_bps": None,
        "more": [],
        "open": True,
        "next_change": None,
    }
    assert cli("schedule", "off", "--json").json == {"schema": "flowhub/schedule/1", **no_schedule}
    assert cli("schedule", "show", "--json").json == {"schema": "flowhub/schedule/1", **no_schedule}
    assert cli("schedule", "show").out == "No schedule: jobs run at any time.\n"


def test_a_rate_may_apply_outside_of_the_windows(cli, app):
    page = cli("schedule", "set", "23:00-07:00", "--outside", "500K", "--json").json
    assert page["outside_bps"] == 500_000
    assert "every day; outside, at 500.0 KB/s for all jobs together." in cli("schedule", "show").out


def test_a_schedule_that_never_closes_says_so(cli, app):
    assert cli("schedule", "set", "00:00-24:00").out.endswith("The window is open now and never closes.\n")


def test_windows_are_added_with_days_and_a_rate_and_removed_by_their_number(cli, app):
    cli("schedule", "set", "23:00-07:00")
    page = cli("schedule", "add", "18:00-23:00", "--days", "mon-fri", "--rate", "2M", "--json").json
    assert (page["windows"], page["rate_bps"]) == (["23:00-07:00"], None)
    days = ["mon", "tue", "wed", "thu", "fri"]
    assert page["more"] == [{"windows": ["18:00-23:00"], "days": days, "rate_bps": 2_000_000}]
    output = cli("schedule", "show").out
    rows = [line.split("  ") for line in output.splitlines()[1:3]]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["1", "23:00-07:00", "every day", "no limit"],
        ["2", "18:00-23:00", "mon-fri", "2.0 MB/s"],
    ]
    assert "Outside, nothing runs." in output
    assert "Where windows overlap, the highest rate applies." in output
    changed = cli("schedule", "add", "18:00-23:00", "--days", "mon-fri", "--rate", "3M", "--json").json
    assert [group["rate_bps"] for group in changed["more"]] == [3_000_000], "the same windows take the new rate"
    assert cli("schedule", "remove", "3").status == 2
    assert cli("schedule", "remove", "1", "--json").json["windows"] == ["18:00-23:00"]
    assert cli("schedule", "remove", "1").out == "No schedule: jobs run at any time.\n"
    assert cli("schedule", "remove", "1").status == 2


def test_the_first_window_that_is_added_makes_a_schedule_and_set_replaces_all(cli, app):
    cli("schedule", "add", "01:00-02:00", "--rate", "500K")
    cli("schedule", "add", "03:00-04:00")
    page = cli("schedule", "show", "--json").json
    assert (page["windows"], page["rate_bps"], page["outside_bps"]) == (["01:00-02:00"], 500_000, None)
    assert cli("schedule", "set", "05:00-06:00", "--rate", "1M", "--json").json["more"] == []


def test_a_rate_of_the_window_that_is_open_now_is_the_limit_in_force(cli, app):
    cli("schedule", "set", window(0, 2), "--rate", "2M")
    page = cli("limit", "--json").json
    assert (page["rate_bps"], page["rules"], page["schedule_bps"]) == (2_000_000, "schedule", 2_000_000)
    assert "by the schedule." in cli("limit").out
    assert "It allows 2.0 MB/s now" in cli("schedule", "show").out
    cli("schedule", "add", window(-1, 2))
    assert cli("limit", "--json").json["rate_bps"] is None


def test_tonight_in_an_open_window_says_its_speed(cli, app):
    cli("schedule", "set", window(0, 2), "--rate", "2M")
    output = " ".join(cli("enqueue", "a", "--tonight").err.split())
    assert "so the job begins now, at 2.0 MB/s for all jobs together." in output


def test_more_windows_than_a_schedule_can_have_are_refused(cli, app):
    for minute in range(50):
        assert cli("schedule", "add", f"01:{minute:02}-02:{minute:02}").status == 0
    result = cli("schedule", "add", "03:00-04:00")
    assert result.status == 2
    assert "50" in result.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["schedule"], "Missing command: one of set, add, remove, off, show."),
        (["schedule", "tomorrow"], "tomorrow"),
        (["schedule", "set"], "WINDOWS"),
        (["schedule", "set", "23-7"], "23-7"),
        (["schedule", "set", "7:00-7:00"], "begins and ends at the same time"),
        (["schedule", "set", "23:00-07:00", "--days", "someday"], "someday"),
        (["schedule", "set", "23:00-07:00", "--outside", "off"], "would mean nothing"),
        (["schedule", "set", "23:00-07:00", "--outside", "fast"], "fast"),
        (["schedule", "off", "now"], "now"),
    ],
)
def test_an_invalid_schedule_is_2_and_changes_nothing(cli, app, arguments, word):
    cli("schedule", "set", "23:00-07:00")
    before = cli("schedule", "show").out.splitlines()[0]
    assert word in cli(*arguments).error_text
    assert cli(*arguments, "--json").error["code"] == "usage"
    assert cli(*arguments).status == 2
    assert cli("schedule", "show").out.splitlines()[0] == before


def test_each_part_of_schedule_has_its_help(cli, home):
    for verb in ("set", "off", "show"):
        assert cli("schedule", verb, "--help").out.startswith(f"Usage: flowhub schedule {verb}")


# --tonight -----------------------------------------------------------------------------------------------------------


def test_tonight_is_the_next_opening_of_the_schedule(cli, app):
    set_closed_schedule(cli)
    opening = cli("schedule", "show", "--json").json["next_change"]
    [job] = cli("enqueue", "a", "--tonight", "--json").jobs
    assert (job["reason"], job["not_before"]) == ("at", opening)


def test_tonight_is_now_while_a_window_is_open(cli, app):
    cli("schedule", "set", window(-1, 2))
    assert cli("schedule", "show", "--json").json["open"]
    [job] = cli("enqueue", "a", "--tonight", "--json").jobs
    assert (job["reason"], job["not_before"]) == (None, None)
    assert "the schedule's window is open, so the job begins now" in cli("enqueue", "b", "--tonight").err


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        ("2026-11-23T22:59+01:00", "2026-11-23T23:00+01:00"),
        ("2026-11-23T23:00+01:00", None),
        ("2026-11-23T23:18+01:00", None),
        ("2026-11-24T06:59+01:00", None),
        ("2026-11-24T07:00+01:00", "2026-11-24T23:00+01:00"),
    ],
)
def test_without_a_schedule_tonight_is_between_23_and_7(app, now, begins):
    """At 23:18 the night has begun: the job starts now, not at 23:00 of the next day."""
    with local_time_zone("Europe/Berlin"):
        app.session.home = replace(app.home, clock=Clock(now_us=lambda: micros_of(now)))
        reader = OptionReader(app.session)
        options = dict.fromkeys(("at", "priority", "group", "force", "after"))
        assert reader.terms(options | {"tonight": True}).not_before == (micros_of(begins) if begins else None)


def test_the_time_in_a_line_replaces_the_time_of_the_call(cli, app, tmp_path):
    set_closed_schedule(cli)
    (tmp_path / "list").write_text("a --at 2090-01-01T00:00:00Z\nb\nc --tonight\n")
    first, second, third = cli("enqueue", "-f", tmp_path / "list", "--tonight", "--json").jobs
    assert first["not_before"] == "2090-01-01T00:00:00.000000Z"
    assert second["not_before"] == third["not_before"] < "2090"


# --after -------------------------------------------------------------------------------------------------------------


def test_a_job_waits_for_jobs_given_as_numbers_lists_and_ranges(cli, app):
    cli("enqueue", "a", "b", "c", "d")
    [job] = cli("enqueue", "e", "--after", "1", "--after", "2,3-4", "--json").jobs
    assert (job["reason"], job["not_before"]) == ("after", None)
    out = cli("status", 5).out
    assert "It waits for other jobs to finish or fail." in out
    assert "Still to end: job 1 (queued), job 2 (queued), job 3 (queued) and 1 more." in out
    cli("cancel", "1-4")
    assert cli("status", 5, "--json").jobs[0]["reason"] is None


def test_each_line_of_a_list_may_wait_for_its_own_jobs(cli, app, tmp_path):
    cli("enqueue", "a", "b")
    (tmp_path / "list").write_text("c --after 1\nd\n")
    jobs = cli("enqueue", "-f", tmp_path / "list", "--after", "2", "--json").jobs
    assert [job["reason"] for job in jobs] == ["after", "after"]
    cli("cancel", 2)
    assert [job["reason"] for job in cli("status", "3-4", "--json").jobs] == ["after", None]


@pytest.mark.parametrize("after", ["2", "1,7", "1-3"])
def test_a_missing_job_is_3_and_nothing_is_queued(cli, app, after):
    cli("enqueue", "a")
    result = cli("enqueue", "b", "--after", after)
    assert result.status == 3
    assert "There is no job" in result.error_text
    assert cli("enqueue", "b", "--after", after, "--json").error["code"] == "not_found"
    assert len(cli("status", "--json").jobs) == 1


def test_a_line_that_waits_for_a_missing_job_is_named_by_its_number(cli, app, tmp_path):
    cli("enqueue", "a")
    (tmp_path / "list").write_text("b --after 1\nc --after 9\n")
    result = cli("enqueue", "-f", tmp_path / "list")
    assert (result.status, "Line 2: There is no job 9" in result.error_text) == (3, True)
    partly_queued = cli("enqueue", "-f", tmp_path / "list", "--keep-going")
    assert (partly_queued.status, len(cli("status", "--json").jobs)) == (10, 2)


@pytest.mark.parametrize("after", ["", "a", "1,", "0", "-1", "1-2000"])
def test_an_invalid_job_number_is_2(cli, app, after):
    cli("enqueue", "a")
    result = cli("enqueue", "b", f"--after={after}")
    assert result.status == 2
    assert result.error_text


# Reasons for a wait --------------------------------------------------------------------------------------------------


def wait_text(cli: Cli, job: int) -> str:
    """Return the text that `status JOB` prints above the table."""
    return cli("status", job).out.split("\n\n")[0]


def test_a_closed_window_is_shown_with_its_opening_and_a_remedy(cli, app):
    set_closed_schedule(cli)
    cli("enqueue", "a")
    text = wait_text(cli, 1)
    assert re.search("The schedule's window is closed; it opens (on [A-Z][a-z]+ )?at ", text)
    assert "`flowhub start 1` starts it now" in text


def test_a_job_for_later_is_shown_with_its_time_and_its_other_holds(cli, app):
    set_closed_schedule(cli)
    cli("enqueue", "a")
    cli("enqueue", "b", "--at", "2090-01-01T00:00:00Z", "--after", "1")
    text = wait_text(cli, 2)
    assert "It has a later start time; it starts on 20" in text
    assert "`flowhub start 2` starts it now." in text
    assert "Then it waits for other jobs to end." in text
    assert "window" not in text, "it will be open by then"


def test_holds_that_outlast_the_reason_are_shown_too(cli, app):
    set_closed_schedule(cli)
    cli("enqueue", "a", "--at", "+5m")
    assert "Then it waits for the schedule's window (until " in wait_text(cli, 1)


def test_a_network_that_is_down_is_shown_with_the_text_of_its_observer(cli, app):
    cli("enqueue", "a")
    app.home.controls.set(NETWORK, {"text": "No name can be resolved."}, until_us=app.home.clock.now_us() + MINUTE_US)
    text = wait_text(cli, 1)
    assert "This machine is offline; the next check is at " in text
    assert "No name can be resolved." in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.STORE_OFFLINE, "The store's disk is not mounted; the next check is at "),
        (Reason.DISK, "The store's disk has not enough free space; the next check is at "),
        (Reason.NETWORK, "This machine is offline; the next check is at "),
        (Reason.HOST_WAIT, "The host says 503.\n  The next try is at "),
        (Reason.BACKOFF, "The last try failed; the next one is at "),
    ],
)
def test_the_wait_after_an_attempt_is_shown_with_its_time_and_its_text(cli, app, reason, words):
    cli("enqueue", "a")
    leases = lease_store_of(app)
    until = app.home.clock.now_us() + MINUTE_US
    claimed = leases.claim()
    assert claimed is not None
    leases.requeue_after(
        claimed.lease, until, reason, ServerBusy("The host says 503."), faults=1, counts_as_attempt=True
    )
    text = wait_text(cli, 1)
    assert words in text
    assert "The host says 503." in text


def test_busy_workers_are_shown_with_a_remedy(cli, app):
    cli("enqueue", "a", "b")
    leases = lease_store_of(app)
    leases.register(1, 1)
    leases.claim()
    assert "All workers are busy; it starts when a slot is free." in wait_text(cli, 2)
    assert "`flowhub worker --jobs N` runs more jobs at a time." in wait_text(cli, 2)


def test_every_reason_is_explained_in_the_help_in_its_order(cli, home):
    lines = cli("help", "reasons").out.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == [str(reason) for reason in Reason]


# Output of `enqueue` and `wait` --------------------------------------------------------------------------------------


def test_enqueue_says_when_a_job_begins(cli, app):
    assert ", queued, starts " in cli("enqueue", "a", "--at", "+3h").out
    set_closed_schedule(cli)
    assert "window opens " in " ".join(cli("enqueue", "b").out.split())


def test_enqueue_says_that_an_already_queued_job_keeps_its_own_terms(cli, app):
    cli("enqueue", "a")
    assert cli("enqueue", "a").out.endswith("already queued\n")
    repeated = cli("enqueue", "a", "--priority", "9", "--at", "+3h")
    assert "already queued, with its own time, priority and group" in " ".join(repeated.out.split())
    assert app.job(1).priority == 0


def test_wait_names_the_jobs_and_says_that_no_worker_runs(cli, app):
    cli("enqueue", "a", "b")
    result = cli("wait", "--all", "--timeout", "0.1")
    assert result.status == 124
    assert "Waiting for jobs 1, 2; Ctrl-C stops waiting" in result.err
    assert "No worker is running" in result.err
    assert list(cli("wait", "1", "--timeout", "0.1", "--json").error) == ["code", "message", "hint", "retryable"]
