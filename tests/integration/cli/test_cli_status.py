"""The `flowhub`, `status` and `wait` commands: the queue as text and as JSON, without a worker."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys

import psutil
import pytest
from support.cli import PROGRAM, cli_app, fail_next_job, lease_store_of, run_command, start_command
from support.models import gguf, one_file_model

from flowhub_jobs.errors import DigestMismatch, Gated, SourceMissing
from flowhub_jobs.jobs.run_values import FileCounts, Progress
from flowhub_jobs.values.enums import DigestState, Stage

A = gguf(4096, 1)
HEAVY = ["pydantic", "httpx", "sqlalchemy.dialects.postgresql", "alembic", "huey", "psutil", "pygments", "rich"]


@pytest.fixture
def app(home, monkeypatch):
    models = [one_file_model(f"m{number}", f"https://h.example/m{number}.gguf", A) for number in range(40)]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


def enqueue_six_states(app):
    """Queue six jobs and bring them into the six states, in the order of `State`."""
    numbers = [app.enqueue(f"m{index}", priority=10 - index) for index in range(6)]
    leases = lease_store_of(app)
    failed = leases.claim()
    leases.fail(failed.lease, SourceMissing("m0.gguf is not there (status 404)."))
    running = leases.claim()
    file = FileCounts(0, 4096, 1024, None, "etag", DigestState.RUNNING)
    leases.progress(running.lease, Progress(Stage.DOWNLOAD, 4096, 1024, 1024, 100, DigestState.RUNNING, (file,)))
    app.home.commands.pause(numbers[2])
    app.home.commands.cancel(numbers[3])
    return numbers


# JSON ----------------------------------------------------------------------------------------------------------------


def test_an_empty_queue_is_an_empty_list(cli, app):
    assert cli("status", "--json").json == {"schema": "flowhub/jobs/1", "jobs": []}


def test_the_attempt_of_a_job_is_that_of_its_events_also_after_it_was_handed_back(cli, app):
    number = str(app.enqueue("m0"))
    leases = lease_store_of(app)
    assert "attempt    0\n" in cli("status", number).out
    lease = leases.claim().lease
    assert "attempt    1\n" in cli("status", number).out
    leases.hand_back(lease)
    output = cli("status", number).out
    assert "attempt    1 (handed back, not counted)\n" in output
    assert "Attempt 1 began." in output
    leases.claim()
    assert "attempt    1\n" in cli("status", number).out


def test_each_state_has_its_fields(cli, app):
    enqueue_six_states(app)
    jobs = cli("status", "--json").jobs
    assert [job["state"] for job in jobs] == ["running", "failed", "queued", "queued", "paused", "cancelled"]
    running, failed, *_ = jobs
    assert failed["error"]["code"] == "source_missing"
    assert list(failed["error"]) == ["code", "message", "hint", "retryable"]
    assert failed["finished_at"] > failed["created_at"]
    assert (running["stage"], running["bytes_done"], running["rate_bps"], running["eta_s"]) == (
        "download",
        1024,
        100,
        31,
    )
    assert running["attempt"] == 1
    assert {job["stage"] for job in jobs if job["state"] != "running"} == {None}


def test_the_status_of_one_job_shows_its_history(cli, app):
    numbers = enqueue_six_states(app)
    [job] = cli("status", numbers[0], "--json").jobs
    assert job["events"][0]["kind"] == "queued"
    assert list(job["events"][0]) == ["at", "kind", "text", "code"]
    assert "events" not in cli("status", "1-2", "--json").jobs[0]


def test_numbers_and_ranges_are_arguments(cli, app):
    enqueue_six_states(app)
    assert [job["id"] for job in cli("status", "5", "1-3", "2", "--json").jobs] == [5, 1, 2, 3]
    assert [job["id"] for job in cli("status", "1-6", "--state", "queued", "--json").jobs] == [5, 6]


def test_state_since_and_all_select_jobs(cli, app):
    enqueue_six_states(app)
    assert [job["id"] for job in cli("status", "--state", "failed", "--json").jobs] == [1]
    assert [job["id"] for job in cli("status", "--state", "FAILED", "--since", "1h", "--json").jobs] == [1]
    assert len(cli("status", "--since", "1h", "--json").jobs) == 6
    assert cli("status", "--since", "2090-01-01T00:00:00Z", "--json").error["code"] == "usage"


def test_without_all_status_lists_live_jobs_and_the_last_20_ended_ones(cli, app):
    for index in range(25):
        app.home.commands.cancel(app.enqueue(f"m{index}"))
    live = app.enqueue("m30")
    assert [job["id"] for job in cli("status", "--json").jobs] == [live, *range(25, 5, -1)]
    assert len(cli("status", "--all", "--json").jobs) == 26


@pytest.mark.parametrize(
    "arguments",
    [
        ["x"],
        ["0"],
        ["3-1"],
        ["1-"],
        ["-1"],
        ["1-999999"],
        ["\u0661"],
        ["--state", "done"],
        ["--since", "noon"],
        ["--since", "999999999d"],
    ],
)
def test_an_invalid_argument_is_2(cli, app, arguments):
    result = cli("status", *arguments, "--json")
    assert (result.status, result.out, result.error["code"]) == (2, "", "usage")
    assert result.error["hint"]


def test_a_missing_job_is_3_and_the_hint_names_the_last(cli, app):
    app.enqueue("m1")
    result = cli("status", "1-3", "--json")
    assert (result.status, result.error["code"]) == (3, "not_found")
    assert "The last job is 1" in result.error["hint"]
    assert cli("wait", "9", "--json").status == 3


# Text ----------------------------------------------------------------------------------------------------------------


def test_the_table_has_a_line_per_job_and_a_hint_that_no_worker_runs(cli, app):
    enqueue_six_states(app)
    result = cli("status")
    lines = result.out.splitlines()
    assert [line.split()[0] for line in lines] == ["JOB", "2", "1", "5", "6", "3", "4", "1", "1"]
    assert "4.1 KB  25 %  100 B/s, 31 s left" in lines[1]
    assert "source_missing" in lines[2]
    assert lines[7].startswith("1 running, 2 queued, 1 paused: 11.3 KB of 12.3 KB left, at 100 B/s; all done ")
    assert lines[8] == "1 failed job needs you: `flowhub report` says what to do."
    assert result.err == "No worker is running; start one with `flowhub worker`.\n"


def test_a_failed_download_stays_listed_after_many_later_jobs(cli, app):
    fail_next_job(app, app.enqueue("m0"), SourceMissing("It is gone."))
    for index in range(1, 30):
        app.home.commands.cancel(app.enqueue(f"m{index}"))
    assert cli("status", "--json").jobs[0]["id"] == 1
    assert "Failed:    1 needs you" in cli().out
    assert cli("--json").json["need_you"] == [1]


def test_a_failed_job_needs_no_user_if_a_later_job_has_the_same_files(cli, app):
    fail_next_job(app, app.enqueue("m0"), SourceMissing("It is gone."))
    later = app.enqueue("m0")
    assert cli("--json").json["need_you"] == []
    assert [job["id"] for job in cli("status", "--json").jobs] == [later, 1]
    app.home.commands.cancel(later)
    assert cli("--json").json["need_you"] == [1]


def test_status_of_a_group_lists_its_jobs_alone(cli, app):
    night_job = app.enqueue("m1", group="night")
    app.enqueue("m2", group="day")
    assert [job["id"] for job in cli("status", "--group", "night", "--json").jobs] == [night_job]
    assert cli("status", "--group", "none").err.startswith("No job matches.")


def test_quiet_prints_numbers_alone(cli, app):
    enqueue_six_states(app)
    assert cli("status", "-q").out == "2\n1\n5\n6\n3\n4\n"
    assert cli("status", "--quiet", "--state", "queued").out == "5\n6\n"


@pytest.mark.parametrize("height", [14, 24, 40])
def test_the_overview_fits_a_terminal_and_counts_what_it_leaves_out(app, height):
    for index in range(38):
        number = app.enqueue(f"m{index}")
        if index % 2:
            app.home.commands.cancel(number)
    lines = overview_on_terminal(height)
    assert len(lines) <= height
    assert any(re.match("     … and [0-9]+ more: `flowhub status --(state queued|all)`", line) for line in lines)
    assert any("19 queued" in line for line in lines)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "Job 1: m0@q4 has failed.\n  m0.gguf is not there (status 404).\n  `flowhub show m0` lists its other"),
        (2, "Job 2: m1@q4 is running (download).\n  Its worker is gone."),
        (3, "Job 3: m2@q4 is paused.\n  `flowhub resume 3`"),
        (4, "Job 4: m3@q4 was cancelled.\n  `flowhub retry 4` queues it again."),
        (5, "Job 5: m4@q4 is queued.\n  No worker is running"),
    ],
)
def test_status_of_one_job_begins_with_its_state_and_the_reason(cli, app, number, words):
    enqueue_six_states(app)
    result = cli("status", number)
    assert result.out.startswith(words)
    assert "Events" in result.out


def test_status_of_a_waiting_job_has_its_start_time(cli, app):
    app.enqueue("m1", not_before=32_503_680_000_000_000)
    assert "it starts on 3000-01-01" in cli("status", 1).out


def test_nothing_to_show_says_what_to_do(cli, app):
    assert "flowhub enqueue MODEL" in cli("status").err
    assert "flowhub status --all" in cli("status", "--state", "failed").err


def test_bare_flowhub_is_one_screen(cli, app):
    for index in range(40):
        app.enqueue(f"m{index}")
    lines = cli().out.splitlines()
    assert lines[0].startswith("Workers:   none running")
    assert lines[1] == "Queue:     40 queued"
    assert lines[2] == "To come:   163.8 KB of 163.8 KB left; ETA unknown (no recent downloads)."
    assert lines[3].startswith("Installed: 0 models")
    assert "27 more" in lines[-1]
    assert len(lines) <= 23
    page = cli("--json").json
    assert (len(page["jobs"]), page["workers"], page["installed"]["models"]) == (40, 0, 0)


def test_with_a_worker_no_hint_says_that_there_is_none(cli, app, home):
    app.start_worker()
    app.until(app.home.living_workers, "a worker")
    app.enqueue("m1", not_before=32_503_680_000_000_000)
    assert cli("status").err == ""
    assert cli().out.startswith("Workers:   1 running")


def test_no_colour_into_a_pipe_and_no_line_is_cut(cli, app):
    enqueue_six_states(app)
    result = run_command("status")
    assert "\x1b" not in result.out
    assert "…" not in result.out


# Waiting -------------------------------------------------------------------------------------------------------------


def test_wait_for_an_ended_job_exits_with_the_status_of_its_error(cli, app):
    for error in (Gated("It is gated."), DigestMismatch("It differs.")):
        fail_next_job(app, app.enqueue("m1"), error)
    app.home.commands.cancel(app.enqueue("m2"))
    assert [cli("wait", number, "--json").status for number in (1, 2, 3)] == [4, 8, 1]
    three_jobs = cli("wait", "1-3", "--json")
    assert (three_jobs.status, three_jobs.error["code"]) == (10, "some_failed")
    assert cli("wait", 3, "--json").error["code"] == "cancelled"


def test_wait_with_a_timeout_ends_with_124_and_leaves_the_jobs(cli, app):
    app.enqueue("m1")
    result = cli("wait", "--all", "--timeout", "0", "--json")
    assert (result.status, result.error["code"]) == (124, "timeout")
    assert cli("status", "--json").jobs[0]["state"] == "queued"


def test_wait_without_jobs_ends_at_once(cli, app):
    assert cli("wait", "--all", "--json").jobs == []
    assert cli("wait", "--all").status == 0
    assert cli("wait", "--group", "none").status == 0


@pytest.mark.parametrize(
    "arguments", [[], ["1", "--all"], ["--all", "--timeout", "soon"], ["--all", "--timeout", "-1"]]
)
def test_wait_requires_a_choice_of_jobs(cli, app, arguments):
    assert cli("wait", *arguments, "--json").status == 2


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_wait_and_no_job(app, signum, status):
    app.enqueue("m1")
    with start_command("wait", "1", "--json") as waiting:
        # The command waits once it has opened the database, which the open files of its process show.
        app.until(lambda: has_open(waiting.pid, "flowhub.db"), "the wait")
        waiting.send_signal(signum)
        out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == status
    assert (out, err.count("\n")) == ("", 1)
    assert '"code": "' in err
    assert app.job(1).live


def has_open(pid: int, name: str) -> bool:
    return any(file.path.endswith(name) for file in psutil.Process(pid).open_files())


# Speed ---------------------------------------------------------------------------------------------------------------


def imported_modules(arguments: list[str], names: list[str]) -> list[str]:
    """Return which of these modules a command imports."""
    code = (
        "import sys; from flowhub_jobs.cli.main import run; status = run(sys.argv[1:]); sys.stdout.flush();"
        f"sys.stderr.write('\\nHEAVY ' + ' '.join(name for name in {names} if name in sys.modules)); sys.exit(status)"
    )
    process = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=os.environ)
    assert process.returncode == 0, process.stderr
    return process.stderr.rsplit("HEAVY", 1)[1].split()


READERS = [
    *(["status"], ["status", "--json"], ["status", "1"], ["status", "1", "--json"], ["status", "--all"]),
    *([], ["--json"], ["report"], ["logs", "1"], ["list"], ["list", "--json"], ["path", "by-hand.gguf"], ["du"]),
]


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_a_command_that_only_reads_imports_neither_sqlalchemy_nor_pydantic(app, cli, arguments):
    """Other programs ask `flowhub status` every second, and SQLAlchemy's import takes longer than all the rest."""
    app.store.mkdir()
    (app.store / "by-hand.gguf").write_bytes(A)
    app.enqueue("m1")
    assert cli("list").status == 0  # it makes the index of the catalog, once for all others
    assert imported_modules(arguments, [*HEAVY, "sqlalchemy"]) == []


@pytest.mark.parametrize(
    "arguments", [["show", "m2"], ["show", "m1@q4", "--json"], ["show", "by-hand.gguf"]], ids=" ".join
)
def test_show_imports_neither_sqlalchemy_nor_pydantic(app, cli, arguments):
    """It reads the machine with psutil; the catalog comes from its index, the library and the queue by plain SQL."""
    app.store.mkdir()
    (app.store / "by-hand.gguf").write_bytes(A)
    assert cli("list").status == 0  # it makes the index of the catalog, once for all others
    assert imported_modules(arguments, [*HEAVY, "sqlalchemy", "flowhub_jobs.huggingface.hub_client"]) == ["psutil"]


def test_pause_imports_nothing_heavy_but_sqlalchemy(app):
    """It loads no model of the catalog, no client, no queue."""
    app.enqueue("m1")
    assert imported_modules(["pause", "1"], HEAVY) == []


def test_wait_ends_when_its_database_is_replaced(app):
    """A command that reads for a long time notices it: the file that it opened receives no changes any more."""
    app.enqueue("m1")
    with start_command("wait", "1") as waiting:
        assert waiting.stderr.readline().startswith("Waiting for job 1")
        (app.path / "flowhub.db").replace(app.path / "elsewhere.db")
        _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert "was removed while it was open" in err


def test_help_imports_no_database(home):
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flowhub_jobs.cli.main", "--help"], capture_output=True
    )
    names = {line.rsplit("|", 1)[-1].strip() for line in process.stderr.decode().splitlines() if "|" in line}
    assert "typer" in names
    assert not names & {*HEAVY, "sqlalchemy", "asyncio", "sqlite3"}


def overview_on_terminal(height: int) -> list[str]:
    """Return the lines that `status` prints on a terminal of this height."""
    main_fd, terminal_fd = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": str(height)}
    process = subprocess.Popen(
        [*PROGRAM, "status"], stdout=terminal_fd, stderr=terminal_fd, stdin=terminal_fd, env=environ
    )
    os.close(terminal_fd)
    printed = b""
    with contextlib.suppress(OSError):  # the process closed its side
        while more := os.read(main_fd, 65536):
            printed += more
    assert process.wait() == 0
    os.close(main_fd)
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode()).splitlines()
