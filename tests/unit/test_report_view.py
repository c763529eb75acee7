"""The report as values and as a screen: what it counts, and ten models on one screen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flowhub_jobs.cli.worker import report_view
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.attempts_and_events import Attempt
from flowhub_jobs.jobs.remedies import what_to_do
from flowhub_jobs.jobs.report_recoveries import ORDER, Recovered
from flowhub_jobs.jobs.report_values import Report, RoomNeeded, make_report
from flowhub_jobs.operations.report import report_begins
from flowhub_jobs.values.enums import DigestState, HubFormat, JobKind, Reason, State
from flowhub_jobs.values.jobs import Event, Job, Wait

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
SINCE = NOW - timedelta(hours=9)
GB = 1_000_000_000
JOB = Job(
    id=1,
    ref="qwen3-8b@q4_k_m",
    model="qwen3-8b",
    option="q4_k_m",
    format=HubFormat.GGUF,
    node="n-7f3a",
    state=State.COMPLETED,
    stage=None,
    reason=None,
    priority=0,
    group=None,
    attempt=1,
    bytes_total=5 * GB,
    bytes_done=5 * GB,
    bytes_fetched=5 * GB,
    rate_bps=None,
    eta_s=None,
    not_before=None,
    sha256_state=DigestState.VERIFIED,
    target="/llms/m.gguf",
    files=(),
    created_at=SINCE,
    started_at=SINCE,
    finished_at=SINCE + timedelta(hours=1),
    error=None,
)
GATED = {
    "code": "gated",
    "message": "huggingface.co gives this model only to those who accepted its terms, and it says so at some length.",
    "hint": "Accept the model's terms on its page at the Hub, then {retry}.",
    "retryable": False,
}


def job(number: int, state: State = State.COMPLETED, **changes: object) -> Job:
    return replace(JOB, id=number, ref=f"model-{number}@q4_k_m", state=state, **changes)  # type: ignore[arg-type]


def attempt(number: int, begin_min: float, end_min: float) -> Attempt:
    begin, end = (SINCE + timedelta(minutes=minutes) for minutes in (begin_min, end_min))
    return Attempt(number, 1, "w-1", begin, end, "completed", end)


def report(*jobs: Job, attempts: list[Attempt] | None = None, events: dict[int, list[Event]] | None = None) -> Report:
    by_job: dict[int, list[Attempt]] = {}
    for it in attempts or []:
        by_job.setdefault(it.job, []).append(it)
    return make_report(jobs, by_job, events or {}, workers=1, since=SINCE, until=NOW)


# The start -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hour", [0, 7, 17, 18, 23])
def test_last_night_begins_at_six_in_the_evening_of_yesterday_at_any_hour(hour):
    now = datetime(2026, 11, 23, hour, 30).astimezone()
    assert report_begins("last-night", now) == datetime(2026, 11, 22, 18).astimezone()
    assert report_begins(" Last-Night", now) == datetime(2026, 11, 22, 18).astimezone()


def test_any_other_start_is_a_time_as_in_other_verbs():
    now = NOW.astimezone()
    assert report_begins("3h", now) == NOW - timedelta(hours=3)
    assert report_begins("2026-11-22T00:00:00Z", now) == datetime(2026, 11, 22, tzinfo=UTC)
    with pytest.raises(UsageInvalid):
        report_begins("yesteryear", now)


# The counts ----------------------------------------------------------------------------------------------------------


def test_a_models_speed_is_over_all_its_attempts_and_no_time_is_counted_twice():
    summary = report(job(1), job(2), attempts=[attempt(1, 0, 10), attempt(1, 30, 40), attempt(2, 5, 15)])
    assert [model.seconds for model in summary.completed] == [1200, 600]
    assert summary.completed[0].rate_bps == round(5 * GB / 1200)
    assert summary.totals.work_s == 25 * 60
    assert summary.totals.rate_bps == round(10 * GB / 1500)


def test_a_model_that_was_present_already_has_no_speed():
    [model] = report(job(1, bytes_fetched=0)).completed
    assert (model.seconds, model.rate_bps) == (None, None)


def test_bytes_beyond_the_size_of_the_model_were_fetched_twice():
    summary = report(
        job(1, bytes_fetched=6 * GB),
        job(2, State.RUNNING, bytes_done=GB, bytes_fetched=GB + 7),
        job(3, State.CANCELLED, bytes_done=0, bytes_fetched=GB),  # cancelled by the user
        job(4, bytes_fetched=0),
    )
    assert summary.totals.twice == GB + 7
    assert summary.totals.fetched == 8 * GB + 7
    assert summary.totals.bytes == 10 * GB


def test_only_a_job_that_waits_for_a_disk_needs_the_user():
    waiting = {
        reason: job(place, State.QUEUED, reason=reason, finished_at=None)
        for place, reason in enumerate(Reason, start=1)
    }
    summary = report(*waiting.values())
    assert [need.code for need in summary.needs] == ["store_offline", "disk_full"]
    assert {job.reason for job in summary.unfinished} == set(Reason) - {Reason.DISK, Reason.STORE_OFFLINE}


def test_without_a_worker_a_queued_job_needs_one():
    jobs = [job(1, State.QUEUED)]
    assert (
        make_report(jobs, {}, {}, workers=0, since=SINCE, until=NOW).needs[0].hint == "Start one with `flowhub worker`."
    )
    assert make_report([job(1, State.PAUSED)], {}, {}, workers=0, since=SINCE, until=NOW).needs == ()


def test_a_failed_job_that_was_queued_again_is_reported_by_the_last_job_alone():
    failed = replace(job(1, State.FAILED, error=GATED), ref="m@q4")
    assert [need.job.id for need in report(failed, replace(failed, id=2)).needs if need.job] == [2]
    assert report(failed, replace(job(2), ref="m@q4")).needs == ()
    assert len(report(replace(job(2), ref="m@q4"), replace(failed, id=3)).needs) == 1


def test_the_fault_of_a_failed_or_waiting_job_is_no_recovery():
    fault, waits = Event(NOW, "fault", "It fell.", "stalled"), Event(NOW, "waits", "It has no room.", "disk_full")
    events = {number: [fault, waits] for number in (1, 2, 3)}
    summary = report(job(1), job(2, State.FAILED, error=GATED), job(3, State.QUEUED), events=events)
    assert summary.recoveries == (Recovered("retry", 2, (1, 3)), Recovered("parked", 1, (1,)))


def test_repeated_waits_of_a_job_are_one_recovery():
    waits = Event(NOW, "waits", "It is not there.", "store_offline")
    assert report(job(1), events={1: [waits] * 100}).recoveries == (Recovered("parked", 1, (1,)),)


def test_a_network_that_came_back_is_a_recovery_and_a_stopped_worker_is_none():
    offline = Event(NOW, "handed_back", "This machine is offline; the job was handed back.", "network")
    stopped = Event(NOW, "handed_back", "The worker stopped; the job was handed back.")
    summary = report(job(1), job(2, State.QUEUED), events={1: [offline, stopped], 2: [offline]})
    assert summary.recoveries == (Recovered("offline", 1, (1,)),)


@pytest.mark.parametrize(
    ("code", "hint", "advice"),
    [
        ("source_refused", "Look at it.", "Look at it. Then `flowhub retry 7`."),
        ("name_taken", "Move it, then {retry}.", "Move it, then `flowhub retry 7`."),
        ("failed", None, "`flowhub retry 7`"),
        ("source_missing", "Look for it.", "`flowhub show m` lists its other variants."),
        (
            "size_mismatch",
            "It is out of date.",
            "The catalog is out of date: `flowhub catalog update`, then `flowhub enqueue m@q4`.",
        ),
    ],
)
def test_each_thing_to_do_names_a_command(code, hint, advice):
    assert what_to_do(7, "m@q4", "m", {"code": code, "hint": hint}) == advice


@pytest.mark.parametrize(("ref", "model"), [("m@q4", "m"), ("hf:o/r:Q4", None), ("https://h.example/m.gguf", None)])
@pytest.mark.parametrize("code", ["gated", "digest_mismatch"])
def test_a_fault_that_no_retry_can_cure_never_suggests_a_retry(code, ref, model):
    hint = "{New_try} fetches it again."
    advice = what_to_do(7, ref, model, {"code": code, "hint": hint})
    assert "retry" not in advice
    assert "`flowhub enqueue" in advice


def test_a_gated_repository_is_reported_with_its_page():
    advice = what_to_do(7, "hf:own.er/re-po@main:Q4", None, {"code": "gated", "hint": None})
    assert "https://huggingface.co/own.er/re-po " in advice


def test_a_damaged_model_is_repaired_not_retried():
    advice = what_to_do(7, "m@q4", "m", {"code": "digest_mismatch", "hint": None}, JobKind.VERIFY)
    assert advice == "`flowhub verify --repair m@q4` downloads the damaged part again."


# The screen ----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")


LONG = "mistral-small-24b-instruct-2501@q4_k_m-with-a-very-long-name-of-an-option-too"


def long_report() -> Report:
    """Six models completed, two jobs unfinished, two that need the user, and recoveries."""
    jobs = [job(number) for number in range(101, 106)] + [replace(job(106), ref=LONG)]
    jobs += [job(107, State.RUNNING, rate_bps=22_900_000, eta_s=141, finished_at=None)]
    later = NOW + timedelta(minutes=20)
    jobs += [replace(job(108, State.QUEUED, reason=Reason.HOST_WAIT, not_before=later, finished_at=None), ref=LONG)]
    jobs += [job(109, State.FAILED, error=GATED), replace(job(110, State.FAILED, error=GATED), ref=LONG)]
    summary = report(*jobs, attempts=[attempt(number, 0, 60) for number in range(101, 111)])
    return replace(
        summary, recoveries=(Recovered("rescue", 1, (103,)), Recovered("retry", 12, (101, 102, 103, 104, 105, 106)))
    )


def test_ten_models_fit_on_a_screen_of_80_by_24():
    lines = report_view.lines(long_report())
    assert len(lines) < 24
    assert [line for line in lines if len(line) > 80] == [f"{' ' * 5}{LONG}`."], "a reference is not broken"


def test_the_same_text_about_several_jobs_is_printed_once():
    lines = report_view.lines(report(*[job(number, State.FAILED, error=GATED) for number in (1, 2, 3, 9)]))
    text = " ".join(" ".join(lines).split())
    assert text.count("only to those who accepted its terms") == 1
    assert "model-1@q4_k_m and 3 more (jobs 2-3 9): huggingface.co gives this model only" in text
    assert "`flowhub enqueue model-1@q4_k_m model-2@q4_k_m model-3@q4_k_m …`" in text


def test_faults_that_differ_only_by_names_are_one_entry():
    broken = {**GATED, "code": "failed"}
    failed = [
        job(number, State.FAILED, model=f"m-{number}", error={**broken, "message": f"m-{number} broke."})
        for number in (1, 2)
    ]
    text = " ".join(report_view.lines(report(*failed)))
    assert "model-1@q4_k_m: m-1 broke. The same problem: job 2." in text
    assert "`flowhub retry 1-2`" in text


def test_jobs_without_room_are_one_entry_with_what_is_missing():
    waiting = [job(number, State.QUEUED, reason=Reason.DISK, finished_at=None) for number in range(1, 20)]
    summary = replace(report(*waiting), room=RoomNeeded("/models", 393_000_000, 363_000_000))
    text = " ".join(" ".join(report_view.lines(summary)).split())
    assert "19 jobs wait for 363.0 MB on the disk of /models: the queue needs 393.0 MB." in text
    assert text.count("Free some space") == 1


def test_an_untrusted_certificate_needs_the_user_although_it_is_tried_again():
    wait = Wait("h.example: its certificate is not trusted.", "tls_untrusted", "h.example")
    summary = report(job(1, State.QUEUED, reason=Reason.HOST_WAIT, wait=wait, finished_at=None))
    assert [need.code for need in summary.needs] == ["tls_untrusted"]


def test_a_fault_is_printed_whole_at_eighty_columns():
    long = {**GATED, "message": "word " * 60 + "end."}
    lines = report_view.lines(report(job(1, State.FAILED, error=long)))
    assert "…" not in " ".join(lines)
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("end.") for line in lines)


def test_a_failed_job_counts_the_bytes_that_it_fetched_twice():
    summary = report(job(1, State.FAILED, bytes_total=7, bytes_done=0, bytes_fetched=15, error=GATED))
    assert summary.totals.twice == 8
    once = report(job(1, State.FAILED, bytes_total=7, bytes_done=0, bytes_fetched=7, error=GATED))
    assert once.totals.twice == 0


def test_the_headline_counts_and_sections_are_separated_where_there_is_room():
    first, blank, *_ = report_view.lines(report(job(1)))
    assert first.endswith(": 1 completed.")
    assert blank == ""
    assert report_view.lines(long_report())[0].endswith(": 6 completed, 2 unfinished, 2 need you.")


def test_each_row_says_size_time_speed_and_whether_it_was_verified():
    lines = report_view.lines(
        report(job(1), job(2, sha256_state=DigestState.UNPINNED, bytes_fetched=0), attempts=[attempt(1, 0, 5)])
    )
    [verified] = [line for line in lines if line.startswith("  1  model-1@q4_k_m")]
    [unpinned] = [line for line in lines if line.startswith("  2  model-2@q4_k_m")]
    at = (SINCE + timedelta(hours=1)).astimezone().strftime("%a %H:%M")
    assert verified.split() == ["1", "model-1@q4_k_m", "5.0", "GB", *at.split(), "16.7", "MB/s", "verified"]
    assert unpinned.split()[-3:] == ["already", "present", "unpinned"]


def test_a_waiting_job_shows_its_time_and_a_paused_one_its_remedy():
    later = NOW + timedelta(hours=1)
    lines = report_view.lines(
        report(
            job(1, State.PAUSED), job(2, State.QUEUED, reason=Reason.BACKOFF, not_before=later), job(3, State.QUEUED)
        )
    )
    text = "\n".join(lines)
    assert "paused: `flowhub resume 1`" in text
    assert f"next try until {later.astimezone():%H:%M}" not in text
    assert f"next try at {later.astimezone():%H:%M}" in text
    assert "is next" in text


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ORDER)
def test_each_recovery_is_a_sentence_that_fits_its_line(kind, count):
    jobs = tuple(range(1001, 1001 + 5 * count - 4))
    lines = report_view.lines(replace(report(job(1)), recoveries=(Recovered(kind, count, jobs),)))
    [line] = [line for line in lines if line.startswith("  ") and line.endswith(").")]
    assert len(line) <= 80
    assert ("2" in line.split("(")[0]) == (count == 2)
    assert ("(jobs 1001, 1002 and 4 more)" in line) == (count == 2)


def test_an_empty_report_says_so_plainly():
    [line] = report_view.lines(report())
    assert line.endswith(": nothing happened.")


def test_a_foreign_name_cannot_control_the_terminal():
    summary = report(replace(job(1), ref="a\x1b[31m"), replace(job(2, State.FAILED, error=GATED), ref="b\nc"))
    assert not set("".join(report_view.lines(summary))) & {"\x1b", "\n"}


def test_jobs_beyond_the_limit_are_counted_not_listed():
    lines = report_view.lines(report(*[job(number) for number in range(1, 101)]))
    assert "     … and 60 more: `flowhub status --all`" in lines


def test_the_faults_of_a_host_that_is_still_unreachable_are_no_recovery():
    rescued, fault, wait = (Event(NOW, kind, "It fell.") for kind in ("rescued", "fault", "waits"))
    unreachable = job(1, State.QUEUED, reason=Reason.HOST_WAIT)
    summary = report(unreachable, events={1: [rescued, fault, fault, wait, wait]})
    assert summary.recoveries == (Recovered("rescue", 1, (1,)),)


@pytest.mark.parametrize("kind", [JobKind.IMPORT, JobKind.EXPORT])
def test_a_damaged_copy_is_no_fault_of_the_catalog(kind):
    advice = what_to_do(4, "m@q4", "m", {"code": "digest_mismatch", "hint": "Copy it there again."}, kind)
    assert advice == "Copy it there again. Then `flowhub retry 4`."
