"""The `limit` and `priority` commands, and the forecast of `enqueue --dry-run`."""

from datetime import datetime, timedelta

import pytest
from support.cli import cli_app, run_due_jobs
from support.models import gguf, one_file_model
from support.origin import Origin

from flowhub_jobs.jobs.controls import SCHEDULE
from flowhub_jobs.jobs.schedule import Schedule

A = gguf(4096, 1)
KEYS = ["schema", "rate_bps", "rules", "limit_bps", "until", "schedule_bps", "setting_bps", "jobs"]


@pytest.fixture
def app(home, origin: Origin, monkeypatch):
    models = [one_file_model(f"m{number}", origin.serve(f"/m{number}.gguf", A), A) for number in range(9)]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


# limit ---------------------------------------------------------------------------------------------------------------


def test_the_number_of_jobs_at_a_time_is_set_shown_and_removed(cli, app):
    page = cli("limit", "--jobs", "2", "--json").json
    assert (page["jobs"], page["rate_bps"]) == (2, None)
    assert cli("limit").out == "No limit set.\nAt most 2 jobs run at a time.\n"
    assert cli("limit", "5M", "--json").json["jobs"] == 2, "a rate leaves it alone"
    for invalid in ("0", "-1", "x", "1.5", "10000"):
        assert cli("limit", "--jobs", invalid).status == 2
    assert cli("limit", "--jobs", "off", "--json").json["jobs"] is None


def test_without_a_limit_it_says_so(cli, app):
    assert cli("limit").out == "No limit set.\n"
    page = cli("limit", "--json").json
    assert list(page) == KEYS
    assert page == dict.fromkeys(KEYS) | {"schema": "flowhub/limit/1"}


def test_a_limit_applies_until_it_is_removed(cli, app):
    assert cli("limit", "5M").out == "All jobs together are limited to 5.0 MB/s by `flowhub limit`.\n"
    assert cli("limit", "--json").json["rate_bps"] == 5_000_000
    assert cli("limit", "500K", "--json").json["limit_bps"] == 500_000
    assert cli("limit", "off", "--json").json["rules"] is None


@pytest.mark.parametrize("span", ["2h", "+2h", "120m", "7200", "02:30", "3000-01-01T00:00:00Z"])
def test_a_limit_with_a_duration_ends_by_itself(cli, app, span):
    page = cli("limit", "5M", "--for", span, "--json").json
    assert page["until"] is not None
    assert "until" in cli("limit").out
    assert cli("limit", "5M", "--json").json["until"] is None


@pytest.mark.parametrize(
    "arguments",
    [["--for", "2h"], ["off", "--for", "2h"], ["fast"], ["5M", "--for", "0"], ["5M", "--for", "soon"], ["0"]],
)
def test_an_invalid_limit_is_2_and_changes_nothing(cli, app, arguments):
    cli("limit", "7M")
    assert cli("limit", *arguments, "--json").status == 2
    assert cli("limit", "--json").json["limit_bps"] == 7_000_000


def test_the_lowest_limit_applies_and_the_others_are_shown_too(cli, app, monkeypatch):
    in_three_days = (datetime.now() + timedelta(days=3)).strftime("%a").lower()  # the schedule is closed until then
    schedule = Schedule.parse("00:00-00:01", in_three_days, "300K")
    app.home.controls.set(SCHEDULE, schedule.as_json())
    monkeypatch.setenv("FLOWHUB_LIMIT_RATE", "2M")
    cli("limit", "1M")
    page = cli("limit", "--json").json
    assert [page[name] for name in KEYS[1:-1]] == [300_000, "schedule", 1_000_000, None, 300_000, 2_000_000]
    output = cli("limit").out
    assert output.startswith("All jobs together are limited to 300.0 KB/s by the schedule")
    assert "`flowhub limit` allows 1.0 MB/s" in output
    assert "config.toml allows 2.0 MB/s" in output


def test_status_and_overview_show_the_limit_in_force(cli, app):
    app.enqueue("m1")
    assert "limited" not in cli("status").err + cli().out
    cli("limit", "5M", "--for", "2h")
    assert "limited to 5.0 MB/s" in cli("status").err
    assert "limited to 5.0 MB/s" in cli().out


# priority ------------------------------------------------------------------------------------------------------------


def test_a_priority_is_changed_for_ranges_groups_and_all(cli, app):
    for number in range(1, 5):
        app.enqueue(f"m{number}", group="g" if number > 2 else None)
    assert cli("priority", 7, "1-2", "4").out == "Job 1: priority 7.\nJob 2: priority 7.\nJob 4: priority 7.\n"
    assert [job["id"] for job in cli("priority", "-3", "--group", "g", "--json").jobs] == [3, 4]
    assert [app.job(number).priority for number in range(1, 5)] == [7, 7, -3, -3]
    assert {job["priority"] for job in cli("priority", 0, "--all", "--json").jobs} == {0}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["1"], 2), (["x", "1"], 2), (["1", "--wrong"], 2), (["9999999", "1"], 2), (["1", "77"], 3)],
)
def test_an_invalid_priority_or_job_is_refused(cli, app, arguments, status):
    app.enqueue("m1")
    assert cli("priority", *arguments, "--json").status == status


def test_the_priority_of_an_ended_job_cannot_be_changed(cli, app):
    app.enqueue("m1")
    cli("cancel", 1)
    assert cli("priority", 5, 1, "--json").error["code"] == "wrong_state"


# A dry run -----------------------------------------------------------------------------------------------------------


def test_a_dry_run_does_not_guess_a_speed(cli, app):
    page = cli("enqueue", "m1", "--dry-run", "--json").json
    assert (page["usual_bps"], page["done_at"]) == (None, None)
    assert "ETA unknown (no recent downloads)" in cli("enqueue", "m1", "--dry-run").err


def test_a_dry_run_prints_the_action_of_each_model_the_space_afterwards_and_the_end(cli, app):
    app.enqueue("m1")
    run_due_jobs(app)
    app.enqueue("m2")
    page = cli("enqueue", "m1", "m2", "m3", "m4", "--dry-run", "--json").json
    assert [plan["action"] for plan in page["plan"]] == ["installed", "queued", "fetch", "fetch"]
    disk = page["disk"]
    assert (disk["needed_bytes"], disk["queued_bytes"]) == (8192, 4096)
    assert disk["free_after_bytes"] == disk["free_bytes"] - 3 * 4096
    assert page["usual_bps"] > 0
    assert page["done_at"].endswith("Z")
    output = cli("enqueue", "m3", "--dry-run").err
    for part in ("To download: 4.1 KB", "afterwards", "the speed of the last day", "Nothing was queued"):
        assert part in output
    assert "Nothing to download" in cli("enqueue", "m1", "--dry-run").err
