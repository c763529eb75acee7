"""The `follow` and `unfollow` commands: subscriptions, their first check, and refused references."""

import threading

import pytest
import sqlalchemy as sa
from support.cli import cli_app, run_due_jobs
from support.models import gguf, one_file_model

from flowhub_jobs.cli.jobs.followed_list_file import read_followed_list
from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import subscriptions
from flowhub_jobs.operations.subscriptions.checker import SubscriptionChecker
from flowhub_jobs.operations.subscriptions.follow import all_subscriptions

V1, V2 = gguf(4096, 1), gguf(5000, 2)
REPO = "org/Tiny-GGUF"


@pytest.fixture
def app(home, origin, hub, monkeypatch):
    hub.add(REPO, "Tiny-Q4_K_M.gguf", V1)
    hub.add(REPO, "Tiny-Q8_0.gguf", gguf(4096, 8))
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    with cli_app(home, monkeypatch, catalog_model(origin, V1)) as app:
        yield app


def catalog_model(origin, content):
    return one_file_model("a", origin.serve(f"/{len(content)}/a.gguf", content), content)


def listed_subscriptions(cli) -> list[dict]:
    return cli("follow", "--list", "--json").json["subscriptions"]


def job_refs(cli) -> list[str]:
    return [job["ref"] for job in cli("status", "--all", "--json").jobs]


def test_a_model_that_is_not_installed_is_queued_at_once_and_the_next_check_is_a_day_later(cli, app):
    [row] = cli("follow", "a", "--json").json["subscriptions"]
    assert (row["ref"], row["every_s"], row["at"], row["keep"], row["error"]) == ("a@q4", 86_400, None, None, None)
    [job] = cli("status", "--all", "--json").jobs
    assert (job["ref"], job["state"], row["job"]) == ("a@q4", "queued", job["id"])
    assert row["checked_at"] < row["next_at"]
    assert listed_subscriptions(cli) == [row]
    assert "a@q4" in cli("follow", "--list").out


def test_an_installed_model_is_not_queued_and_status_shows_the_next_check(cli, app):
    app.enqueue("a")
    run_due_jobs(app)
    result = cli("follow", "a")
    assert (result.status, "a@q4: nothing new; next check" in result.out) == (0, True)
    assert len(job_refs(cli)) == 1
    assert "1 reference; next check" in cli("status").out
    assert "Followed:" in cli().out


def test_a_repository_is_followed_with_the_quant_that_is_chosen_now(cli, app):
    [row] = cli("follow", f"hf:{REPO}", "--at", "02:30", "--every", "7d", "--keep", "2", "--json").json["subscriptions"]
    assert (row["ref"], row["at"], row["every_s"], row["keep"]) == (f"hf:{REPO}:Q4_K_M", "02:30", 604_800, 2)
    assert job_refs(cli) == [f"hf:{REPO}:Q4_K_M"]
    changed = cli("follow", f"hf:{REPO}:Q4_K_M", "--every", "1d", "--json").json["subscriptions"]
    assert [(row["at"], row["every_s"], row["keep"]) for row in changed] == [("02:30", 86_400, 2)]
    assert len(job_refs(cli)) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "neither was given"),
        (["a", "-f", "list"], 2, "both were given"),
        (["-f", "-"], 2, "stdin"),
        (["--list", "a"], 2, "--list takes no reference"),
        (["nothing"], 3, "nothing"),
        (["hf:org/Absent"], 4, "Absent"),
        (["https://h.example/a.gguf"], 2, "cannot know of a newer version"),
        (["hf:org/"], 2, "--include"),
        (["hf:nobody/", "--include", "*"], 3, "nobody"),
        (["a", "--every", "1m"], 2, "15m to 366d"),
        (["a", "--every", "1h", "--at", "02:30"], 2, "--at is a time of day"),
        (["a", "--at", "soon"], 2, "soon"),
        (["-f", "absent.txt"], 2, "cannot be read"),
    ],
)
def test_an_invalid_subscription_is_refused_and_nothing_is_stored(cli, app, arguments, status, words):
    result = cli("follow", *arguments)
    assert (result.status, words in result.error_text) == (status, True)
    assert listed_subscriptions(cli) == []
    assert job_refs(cli) == []


def test_a_hub_that_does_not_answer_is_asked_again_later(cli, app, hub):
    hub.close()
    result = cli("follow", f"hf:{REPO}:Q4_K_M")
    assert (result.status, "could not be checked now" in result.out) == (0, True)
    [row] = listed_subscriptions(cli)
    assert (row["error"]["retryable"], row["job"]) == (True, None)
    assert "1 could not be checked" in cli().out


def test_unfollow_accepts_a_listed_reference_a_model_or_all(cli, app):
    for ref in ("a", f"hf:{REPO}:Q4_K_M", f"hf:{REPO}:Q8_0"):
        assert cli("follow", ref).status == 0
    assert cli("unfollow", "b").status == 3
    assert [row["ref"] for row in cli("unfollow", "a", "--json").json["subscriptions"]] == ["a@q4"]
    assert len(cli("unfollow", f"hf:{REPO}", "--json").json["subscriptions"]) == 2
    assert listed_subscriptions(cli) == []
    assert len(job_refs(cli)) == 3  # what was queued stays
    cli("follow", "a")
    assert "a@q4 is not followed any more." in cli("unfollow", "--all").out
    assert cli("unfollow", "--all").status == 0
    assert cli("unfollow").status == 2


def test_rm_says_that_a_model_is_followed(cli, app):
    cli("follow", "a")
    run_due_jobs(app)
    assert "a@q4 is followed" in cli("rm", "a", "-y").err
    cli("unfollow", "a")
    app.enqueue("a")
    run_due_jobs(app)
    assert "followed" not in cli("rm", "a", "-y").err


def test_a_list_is_followed_by_its_path_and_refused_if_a_line_is_invalid(cli, app, tmp_path):
    list_file = tmp_path / "models.txt"
    list_file.write_text(f"# mine\na --priority 3\nhf:{REPO}:Q8_0\nabsent\n")
    result = cli("follow", "-f", list_file)
    assert (result.status, "Line 4" in result.error_text) == (3, True)
    assert job_refs(cli) == []
    list_file.write_text(f"# mine\na --priority 3\nhf:{REPO}:Q8_0\n")
    [row] = cli("follow", "-f", list_file, "--json").json["subscriptions"]
    assert (row["ref"], row["kind"]) == (str(list_file), "list")
    assert [(job["ref"], job["priority"]) for job in cli("status", "--all", "--json").jobs] == [
        ("a@q4", 3),
        (f"hf:{REPO}:Q8_0", 0),
    ]
    assert [row["ref"] for row in cli("unfollow", list_file, "--json").json["subscriptions"]] == [str(list_file)]


def test_a_worker_that_drains_checks_what_is_due_and_downloads_the_new_version(cli, app, origin):
    cli("follow", "a")
    assert app.drain() == 0
    assert (app.store / "a.gguf").read_bytes() == V1
    app.set_models(catalog_model(origin, V2))
    assert app.drain() == 0  # no check is due
    assert (app.store / "a.gguf").read_bytes() == V1
    with writing(app.home.engine) as tx:
        tx.execute(sa.update(subscriptions).values(next_at=0))
    assert app.drain() == 0
    assert (app.store / "a.gguf").read_bytes() == V2
    [row] = listed_subscriptions(cli)
    assert (row["job"], row["error"]) == (2, None)


def test_report_names_subscriptions_that_cannot_be_checked(cli, app, hub):
    cli("follow", f"hf:{REPO}:Q4_K_M")
    hub.facts.disabled.add(REPO)
    with writing(app.home.engine) as tx:
        tx.execute(sa.update(subscriptions).values(next_at=0))
    checker = SubscriptionChecker(app.home, read_followed_list)
    [due] = all_subscriptions(app.session)
    checker.check(due, threading.Event())
    [need] = [need for need in cli("report", "--json").json["needs_you"] if need["code"] == "source_refused"]
    assert (need["job"], "is followed" in need["message"], "unfollow" in need["hint"]) == (None, True, True)
