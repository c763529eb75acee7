"""The tab Schedule in a real browser: the week is painted, the limit is set."""

import pytest
from playwright.sync_api import expect

from flowhub_jobs.jobs.cap import Cap
from flowhub_jobs.jobs.schedule import UNLIMITED, DayWindows, Schedule
from flowhub_jobs.jobs.week_grid import hour_of, minutes_of, share
from flowhub_jobs.operations.limits import in_force
from flowhub_jobs.operations.schedules import set_schedule
from flowhub_jobs.values.enums import Period


@pytest.fixture
def page(visitor_without_javascript):
    return visitor_without_javascript.open("/schedule")


def saved(page):
    expect(page.locator(".notice")).to_contain_text("is saved")


def test_hours_and_days_are_painted_without_javascript(page, app):
    expect(page.locator(".sentence")).to_have_text("No schedule: jobs run at any time.")
    page.get_by_label("Tue 12:00, runs").check()
    page.get_by_label("All of Sun").check()
    page.get_by_role("button", name="Paused").click()
    saved(page)
    minutes = minutes_of(app.home.controls.schedule())
    assert share(minutes, 1, 12) == 0
    assert share(minutes, 6, 5) == 0
    assert share(minutes, 1, 13) == 1
    expect(page.get_by_label("Tue 12:00, paused")).to_be_visible()
    page.get_by_label("Tue 12:00, paused").check()
    page.get_by_role("button", name="Run", exact=True).click()
    saved(page)
    assert share(minutes_of(app.home.controls.schedule()), 1, 12) == 1


def test_the_same_stands_there_as_a_sentence_and_as_a_command(visitor_without_javascript, app):
    set_schedule(app.session, Schedule.parse("23:00-07:00", "mon-fri"))
    page = visitor_without_javascript.open("/schedule")
    expect(page.locator(".sentence")).to_contain_text("Jobs run from 23:00 to 07:00, on mon-fri")
    expect(page.locator(".command code")).to_have_text('flowhub schedule set "23:00-07:00" --days mon-fri')


def test_outside_of_the_hours_jobs_may_run_slowly(visitor_without_javascript, app):
    set_schedule(app.session, Schedule.parse("23:00-07:00"))
    page = visitor_without_javascript.open("/schedule")
    page.get_by_label("Run at most at; empty: pause").fill("0.5")
    page.get_by_role("button", name="Save the rate outside").click()
    saved(page)
    assert app.home.controls.schedule() == Schedule.parse("23:00-07:00", None, "500K")
    expect(page.get_by_label("Mon 12:00, limited")).to_be_visible()


def test_hours_are_painted_with_a_speed(page, app):
    page.get_by_label("All of Tue").check()
    page.get_by_label("Megabytes a second in the chosen hours").fill("2")
    page.get_by_role("button", name="Run at this speed").click()
    saved(page)
    minutes = minutes_of(app.home.controls.schedule())
    assert set(hour_of(minutes, 1, 12)) == {2_000_000}
    assert set(hour_of(minutes, 2, 12)) == {UNLIMITED}
    expect(page.get_by_label("Tue 12:00, runs at 2.0 MB/s")).to_be_visible()
    expect(page.locator(".sentence")).to_contain_text("at 2.0 MB/s")


def test_windows_are_added_changed_and_removed(page, app):
    page.get_by_label("Hours", exact=True).fill("23:00-07:00")
    page.get_by_role("button", name="Add window").click()
    saved(page)
    page.get_by_label("Hours", exact=True).fill("18:00-23:00")
    page.get_by_label("Days; empty: every day").fill("mon-fri")
    page.get_by_label("At most; empty: no limit").fill("2")
    page.get_by_role("button", name="Add window").click()
    saved(page)
    night, evening = DayWindows.parse("23:00-07:00"), DayWindows.parse("18:00-23:00", "mon-fri", "2M")
    assert app.home.controls.schedule() == Schedule((night, evening))
    expect(page.locator(".windows tbody tr")).to_have_count(2)
    commands = 'flowhub schedule set "23:00-07:00" && flowhub schedule add "18:00-23:00" --days mon-fri --rate 2M'
    expect(page.locator(".command code")).to_have_text(commands)
    page.get_by_label("Megabytes a second in window 2").fill("0.5")
    page.get_by_role("button", name="Save the speed of window 2").click()
    saved(page)
    assert app.home.controls.schedule().groups[1].rate_bps == 500_000
    page.get_by_role("button", name="Remove window 1").click()
    saved(page)
    assert [group.rate_bps for group in app.home.controls.schedule().groups] == [500_000]


def test_the_number_of_jobs_at_a_time_is_set_and_removed(page, app):
    page.get_by_label("Jobs at a time at most; empty: every slot").fill("2")
    page.get_by_role("button", name="Save the number of jobs").click()
    saved(page)
    assert app.home.controls.jobs_max() == 2
    page.get_by_label("Jobs at a time at most; empty: every slot").fill("")
    page.get_by_role("button", name="Save the number of jobs").click()
    saved(page)
    assert app.home.controls.jobs_max() is None


def test_a_cap_is_set_and_removed(page, app):
    page.get_by_label("Downloads of this node; empty: no cap").fill("200")
    page.get_by_label("In each").select_option("day")
    page.get_by_role("button", name="Save the cap").click()
    saved(page)
    assert app.home.controls.cap().cap == Cap(200_000_000_000, Period.DAY)
    expect(page.locator("main")).to_contain_text("0 B of 200.0 GB today are used")
    page.get_by_label("Downloads of this node; empty: no cap").fill("")
    page.get_by_role("button", name="Save the cap").click()
    saved(page)
    assert app.home.controls.cap() is None


def test_the_schedule_is_removed(visitor_without_javascript, app):
    set_schedule(app.session, Schedule.parse("23:00-07:00"))
    page = visitor_without_javascript.open("/schedule")
    page.get_by_role("button", name="Remove the schedule").click()
    saved(page)
    assert app.home.controls.schedule() is None


def test_a_limit_is_set_for_a_while_and_removed(page, app):
    page.get_by_label("All jobs together; empty: none").fill("2.5")
    page.get_by_label("How long").select_option("for 2 hours")
    page.get_by_role("button", name="Save the limit").click()
    saved(page)
    found = in_force(app.session)
    assert found.limit == 2_500_000
    assert found.until is not None
    expect(page.locator("main")).to_contain_text("limited to 2.5 MB/s")
    page.get_by_label("All jobs together; empty: none").fill("")
    page.get_by_role("button", name="Save the limit").click()
    saved(page)
    assert in_force(app.session).limit is None


def test_no_choice_and_no_hour_left_are_answered(page, app):
    page.get_by_role("button", name="Paused").click()
    expect(page.get_by_role("alert")).to_contain_text("No hour was chosen.")
    page.get_by_role("link", name="Back").click()
    for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"):
        page.get_by_label(f"All of {day}").check()
    page.get_by_role("button", name="Paused").click()
    expect(page.get_by_role("alert")).to_contain_text("No hour is left in which jobs run.")
    assert app.home.controls.schedule() is None
