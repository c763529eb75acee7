"""The `enqueue` command: the queued jobs, their order and terms, lists of references, the exit status of `--wait`."""

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest
from support.cli import cli_app, run_command, start_command
from support.faults import StallAfterHeaders
from support.hub import Hub
from support.models import folder_model, gguf, mlx_folder, one_file_model

from flowhub_jobs.jobs.remedies import NO_WORKER
from flowhub_jobs.values.enums import State

KEYS = ["id", "ref", "model", "option", "format", "node", "state", "stage", "reason", "priority", "group", "attempt", "bytes_total", "bytes_done", "bytes_fetched", "rate_bps", "eta_s", "not_before", "sha256_state", "target", "files", "created_at", "started_at", "finished_at", "error", "kind", "wait", "limit_bps", "sources", "store"]  # fmt: skip  # noqa: E501
FILE_KEYS = ["path", "bytes", "bytes_done", "sha256"]
A, B = gguf(4096, 1), gguf(8192, 2)


@pytest.fixture
def app(home, origin, monkeypatch):
    models = [
        one_file_model("a", origin.serve("/a.gguf", A), A),
        one_file_model("a", origin.serve("/a8.gguf", B), B, option="q8"),
        one_file_model("b", origin.serve("/b.gguf", B), B, pin=False),
        folder_model("c", {path: (origin.serve(f"/c/{path}", data), data) for path, data in mlx_folder().items()}),
    ]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


def write_list(folder: Path, text: str) -> Path:
    path = folder / "list.txt"
    path.write_text(text)
    return path


# Jobs ----------------------------------------------------------------------------------------------------------------


def test_a_queued_job_has_every_key_in_the_types_of_the_contract(cli, app):
    [job] = cli("enqueue", "a@q8", "--priority", "7", "--group", "night", "--json").jobs
    assert list(job) == KEYS
    assert (job["id"], job["ref"], job["model"], job["option"], job["format"]) == (1, "a@q8", "a", "q8", "gguf")
    assert (job["node"], job["state"], job["priority"], job["group"]) == (app.home.node, "queued", 7, "night")
    assert [job[key] for key in ("attempt", "bytes_total", "bytes_done", "bytes_fetched")] == [0, 8192, 0, 0]
    null_keys = ("stage", "reason", "rate_bps", "eta_s", "not_before", "started_at", "finished_at", "error")
    assert {job[key] for key in null_keys} == {None}
    assert (job["sha256_state"], job["target"]) == ("pending", str(app.store / "a8.gguf"))
    assert [list(file) for file in job["files"]] == [FILE_KEYS]
    assert len(job["created_at"]) == len("2026-11-22T23:00:00.123456Z")
    assert job["created_at"].endswith("Z")


def test_an_option_follows_an_at_sign_or_a_colon_and_the_first_one_is_the_default(cli, app):
    refs = [cli("enqueue", ref, "--json").jobs[0]["ref"] for ref in ("a", "a@q8", "a:q8", "A@Q8")]
    assert refs == ["a@q4", "a@q8", "a@q8", "a@q8"]


def test_the_jobs_are_listed_in_the_order_of_the_references_with_duplicates(cli, app):
    assert [job["ref"] for job in cli("enqueue", "c", "a", "b", "a@q4", "--json").jobs] == [
        "c@mlx-4bit",
        "a@q4",
        "b@q4",
        "a@q4",
    ]
    assert [job["id"] for job in cli("enqueue", "a", "c", "--json").jobs] == [2, 1]  # live jobs, as they are


def test_a_url_is_queued_with_and_without_its_digest(cli, app, origin):
    [plain] = cli("enqueue", origin.url("/a.gguf"), "--json").jobs
    assert (plain["model"], plain["option"], plain["format"], plain["bytes_total"]) == (None, None, "gguf", None)
    [pinned] = cli("enqueue", origin.url("/b.gguf"), "--sha256", "AB" * 32, "--json").jobs
    assert pinned["files"][0]["sha256"] == "ab" * 32


def test_without_json_it_says_the_job_the_size_and_whether_it_fits(cli, app):
    result = cli("enqueue", "a", "b")
    assert result.status == 0
    assert result.out.startswith("Job 1: a@q4, 4.1 KB, queued; ")
    assert "Job 2: b@q4, size unknown, queued" in result.out
    assert "No worker is running" in result.err


def test_a_job_for_later_has_a_reason_and_a_time(cli, app):
    [job] = cli("enqueue", "a", "--at", "2090-01-01T00:00:00+01:00", "--json").jobs
    assert (job["reason"], job["not_before"]) == ("at", "2089-12-31T23:00:00.000000Z")


def test_a_cancelled_job_is_not_reused_for_a_new_request(cli, app):
    first = cli("enqueue", "a", "--json").jobs[0]["id"]
    cli("cancel", first)
    assert cli("enqueue", "a", "--json").jobs[0]["id"] == first + 1


# Dry run -------------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_fetched_and_queues_nothing(cli, app):
    page = cli("enqueue", "a", "b", "--dry-run", "--json").json
    assert page["schema"] == "flowhub/plan/1"
    assert [(row["ref"], row["action"], row["bytes_to_fetch"]) for row in page["plan"]] == [
        ("a@q4", "fetch", 4096),
        ("b@q4", "fetch", None),
    ]
    assert {"free_bytes", "reserve_bytes", "needed_bytes"} <= set(page["disk"])
    assert "Nothing was queued" in cli("enqueue", "a", "--dry-run").err
    assert cli("status", "--json").jobs == []


def test_a_dry_run_counts_an_artifact_once_however_many_lines_name_it(cli, app, origin, tmp_path):
    url = origin.url("/b.gguf")
    path = write_list(tmp_path, f"a\na@q4\n{url}\n{url}#part\na@q8\n")
    page = cli("enqueue", "-f", path, "--dry-run", "--json").json
    assert [row["ref"] for row in page["plan"]] == ["a@q4", url, "a@q8"]
    assert page["disk"]["needed_bytes"] == 4096 + 8192  # the URL's size is unknown
    assert len({job["id"] for job in cli("enqueue", "-f", path, "--json").jobs}) == 3


@pytest.mark.parametrize("lines", ["a\na --force\n", "a --force\na\n"])
def test_a_dry_run_counts_what_any_line_downloads_again(cli, app, tmp_path, lines):
    cli("enqueue", "a")
    app.run_next_job()
    page = cli("enqueue", "-f", write_list(tmp_path, lines), "--dry-run", "--json").json
    assert [row["action"] for row in page["plan"]] == ["fetch"]


def test_the_fragment_of_a_url_is_no_part_of_it_but_a_sha256_in_it_is_the_pin(cli, app, origin):
    url, pin = origin.url("/a.gguf"), hashlib.sha256(A).hexdigest()
    [plain, other] = cli("enqueue", url, f"{url}#frag", "--json").jobs
    assert plain["id"] == other["id"]
    [pinned] = cli("enqueue", f"{url}#sha256={pin.upper()}", "--json").jobs
    assert (pinned["ref"], pinned["files"][0]["sha256"]) == (url, pin)
    assert cli("enqueue", url, "--sha256", pin, "--json").jobs[0]["id"] == pinned["id"]
    result = cli("enqueue", f"{url}#sha256={pin}", "--sha256", "ab" * 32, "--json")
    assert (result.status, result.error["code"]) == (2, "usage")
    assert pin in result.error["message"]
    assert "ab" * 32 in result.error["message"]


# Lists ---------------------------------------------------------------------------------------------------------------


def test_a_list_queues_its_lines_on_their_own_terms_over_those_of_the_call(cli, app, tmp_path):
    path = write_list(tmp_path, "\ufeff# these\n\na --priority 9\nb  # it's plain\nc --group mine --priority 1\na@q4\n")
    jobs = cli("enqueue", "-f", path, "--priority", "5", "--group", "all", "--json").jobs
    assert [(job["ref"], job["priority"], job["group"]) for job in jobs] == [
        ("a@q4", 9, "all"),
        ("b@q4", 5, "all"),
        ("c@mlx-4bit", 1, "mine"),
        ("a@q4", 9, "all"),
    ]


def test_a_bad_line_is_named_and_nothing_is_queued(cli, app, tmp_path):
    result = cli("enqueue", "-f", write_list(tmp_path, "a\n\n# x\nno-such-model\nb\n"), "--json")
    assert (result.status, result.out) == (3, "")
    assert result.error["message"].startswith("Line 4: ")
    assert cli("status", "--json").jobs == []


def test_keep_going_queues_the_others_and_says_so_with_10(cli, app, tmp_path):
    result = cli("enqueue", "-f", write_list(tmp_path, "a\nnope\nb --nonsense\nc\n"), "--keep-going", "--json")
    assert result.status == 10
    assert result.error["message"].startswith("2 of 4 were not queued. Line 2: ")
    assert [job["ref"] for job in cli("status", "--json").jobs] == ["a@q4", "c@mlx-4bit"]


def test_keep_going_with_one_bad_reference_alone_is_that_error(cli, app):
    assert cli("enqueue", "nope", "--keep-going", "--json").status == 3


def test_a_list_that_names_nothing_queues_nothing(cli, app, tmp_path):
    result = cli("enqueue", "-f", write_list(tmp_path, "# nothing\n"))
    assert (result.status, result.out) == (0, "")
    assert "The list is empty" in result.err


def test_a_list_comes_from_stdin(app):
    result = run_command("enqueue", "-f", "-", "--json", stdin=b"a\nb --priority 3\n")
    assert [(job["ref"], job["priority"]) for job in result.jobs] == [("a@q4", 0), ("b@q4", 3)]


def test_ten_thousand_lines_are_queued_by_one_call(cli, app, tmp_path):
    lines = [f"https://h.example/{number}.gguf --priority {number % 9}" for number in range(9_999)]
    result = cli("enqueue", "-f", write_list(tmp_path, "\n".join([*lines, lines[0]])))
    assert result.status == 0
    assert result.out.splitlines()[0].startswith("Job 1: https://h.example/0.gguf, size unknown, queued")
    assert len(result.out.splitlines()) == 41
    assert "and 9960 more" in result.out
    assert len(app.home.queries.live_jobs()) == 9_999


# Usage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "neither"),
        (["a", "-f", "list"], "both"),
        (["-f", "no-such-list"], "No such file"),
        (["a", "--at", "noon"], "noon"),
        (["a", "--at", "+999999999d"], "too far"),
        (["a", "--at", "02:30", "--tonight"], "cannot be used together"),
        (["a", "--priority", "high"], "high"),
        (["a", "--priority", "9" * 30], "out of range"),
        (["a", "--group", ""], "group"),
        (["a", "--group", "a\x1b[31m"], "group"),
        (["a", "--sha256", "ab" * 32], "is a model"),
        (["a", "b", "--sha256", "ab" * 32], "exactly one URL"),
        (["https://h.example/f.gguf", "--sha256", "xyz"], "64 hex"),
        (["ftp://h.example/f.gguf"], "scheme"),
        (["file:///etc/passwd"], "scheme"),
        (["http://h.example/f.gguf"], "http"),
        (["a b"], "not a reference"),
        ([""], "not a reference"),
        (["../../etc/passwd"], "not a reference"),
        (["a", "--nonsense"], "--nonsense"),
    ],
)
def test_an_invalid_argument_is_2_and_queues_nothing(cli, app, arguments, word):
    result = cli("enqueue", *arguments, "--json")
    assert (result.status, result.out) == (2, "")
    assert word in result.error["message"]
    assert result.error["hint"]
    assert cli("enqueue", *arguments).error_text
    assert cli("status", "--json").jobs == []


@pytest.mark.parametrize(("ref", "near"), [("aa@q4", "a"), ("a@q5", "q4"), ("a@", None)])
def test_the_error_of_an_unknown_model_or_option_names_the_nearest(cli, app, ref, near):
    result = cli("enqueue", ref, "--json")
    assert result.status == (3 if near else 2)
    assert near is None or near in result.error["hint"]


# Waiting -------------------------------------------------------------------------------------------------------------


def test_wait_exits_with_the_status_of_the_jobs_error(cli, home, origin, monkeypatch):
    """5 for a 404, 8 for a wrong digest or size, 4 for a gated repository, 10 if only some jobs failed, else 0."""
    with Hub({}) as hub:
        hub.access.gated.add("org/gated")
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        models = [
            one_file_model("good", origin.serve("/good.gguf", A), A),
            # Each model has its own bytes: bytes that the store has under another name are not downloaded.
            one_file_model("gone", origin.url("/gone.gguf"), gguf(4096, 3)),
            one_file_model("altered", origin.serve("/altered.gguf", gguf(4096, 9)), gguf(4096, 4)),
            one_file_model("long", origin.serve("/long.gguf", B), gguf(4096, 5)),
            one_file_model("gated", hub.add("org/gated", "gated.gguf", gguf(4096, 6)), gguf(4096, 6)),
        ]
        with cli_app(home, monkeypatch, *models) as app:
            app.start_worker()
            completed = cli("enqueue", "good", "--wait", "--json")
            assert (completed.status, completed.jobs[0]["state"], completed.jobs[0]["sha256_state"]) == (
                0,
                "completed",
                "verified",
            )
            codes = {"gone": (5, "source_missing"), "altered": (8, "digest_mismatch"), "long": (8, "size_mismatch")}
            codes["gated"] = (4, "gated")
            for model, (status, code) in codes.items():
                result = cli("enqueue", model, "--wait", "--json")
                assert (result.status, result.error["code"]) == (status, code), model
                assert [job["error"]["code"] for job in cli("status", "--state", "failed", "--json").jobs][-1] == code
            several = cli("enqueue", "good", "gone", "--wait", "--json")
            assert (several.status, several.error["code"]) == (10, "some_failed")
            assert [job["state"] for job in json.loads(several.out)["jobs"]] == ["completed", "failed"]
            # An installed, unchanged model is answered with the job that installed it; `--force` downloads it again.
            assert cli("enqueue", "good", "--json").jobs[0]["id"] == completed.jobs[0]["id"]
            forced = cli("enqueue", "good", "--force", "--wait", "--json").jobs[0]
            assert (forced["id"] > completed.jobs[0]["id"], forced["bytes_fetched"]) == (True, 4096)


def test_watch_without_a_terminal_writes_lines_and_ends_with_the_last_job(cli, app):
    app.start_worker()
    result = cli("enqueue", "a", "c", "--watch")
    assert result.status == 0
    assert "\x1b" not in result.out
    assert "completed" in result.out


def test_status_watches_by_its_short_option_too(cli, app):
    job = cli("enqueue", "a", "--json").jobs[0]["id"]
    cli("cancel", job)
    short, long = cli("status", "-w", job), cli("status", "--watch", job)
    assert (short.status, short.out, short.err) == (long.status, long.out, long.err)


@pytest.mark.parametrize(("signal_name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_it_watches_cancels_nothing(app, origin, signal_name, status):
    origin.serve("/a.gguf", A, faults=[StallAfterHeaders()])
    app.start_worker()
    with start_command("enqueue", "a", "--watch") as watching:
        assert watching.stdout.readline()
        watching.send_signal(getattr(signal, signal_name))
        _, err = watching.communicate(timeout=60)
    assert watching.returncode == status
    assert err.removeprefix(f"{NO_WORKER}\n").startswith("flowhub: ")  # the worker may not have started yet
    assert "Traceback" not in err
    assert app.job(1).state in (State.QUEUED, State.RUNNING)


def test_the_environment_names_the_catalog_and_the_home(tmp_path, app):
    """Another home is another queue."""
    other = run_command("enqueue", "a", "--json", FLOWHUB_HOME=str(tmp_path / "other"))
    assert other.jobs[0]["id"] == 1
    assert app.home.queries.live_jobs() == {}
    assert os.path.isfile(tmp_path / "other" / "flowhub.db")
