"""The `cap` command, the messages of other commands about a cap, and `enqueue --rate`."""

from collections.abc import Iterator

import pytest
from support.cli import cli_app
from support.models import gguf, one_file_model
from support.origin import Origin
from support.time_zones import local_midday

from flowhub_jobs.jobs.wire_bytes import add_received

A = gguf(4096, 1)
KEYS = ["schema", "cap_bytes", "per", "received_bytes", "left_bytes", "turns_at", "day_bytes", "month_bytes"]


@pytest.fixture(autouse=True)
def midday() -> Iterator[None]:
    with local_midday():
        yield


@pytest.fixture
def app(home, origin: Origin, monkeypatch):
    models = [one_file_model(f"m{number}", origin.serve(f"/m{number}.gguf", A), A) for number in range(3)]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


def receive(app, count: int) -> None:
    add_received(app.home.engine, app.home.node, app.home.clock, count)


def test_without_a_cap_the_output_shows_that_and_the_downloaded_bytes(cli, app):
    receive(app, 3_000_000)
    assert cli("cap").out == "No cap set.\nDownloaded by this node: 3.0 MB today, 3.0 MB this month.\n"
    page = cli("cap", "--json").json
    assert list(page) == KEYS
    no_cap = dict.fromkeys(KEYS) | {"schema": "flowhub/cap/1", "day_bytes": 3_000_000, "month_bytes": 3_000_000}
    assert page == no_cap


def test_a_cap_is_set_printed_and_removed(cli, app):
    receive(app, 50_000_000_000)
    page = cli("cap", "200G", "--json").json
    assert (page["cap_bytes"], page["per"]) == (200_000_000_000, "month")
    assert (page["received_bytes"], page["left_bytes"]) == (50_000_000_000, 150_000_000_000)
    assert page["turns_at"].endswith("Z")
    assert "Cap: 50.0 GB of 200.0 GB this month are used; the next month begins" in cli("cap").out
    assert cli("cap", "10G", "--per", "day", "--json").json["per"] == "day"
    assert "50.0 GB of 10.0 GB today are used; nothing is downloaded until the next day begins" in cli("cap").out
    assert cli("cap", "off", "--json").json["cap_bytes"] is None


def test_the_commands_say_that_the_cap_is_reached_and_what_to_do(cli, app):
    job = app.enqueue("m0")
    cli("cap", "1K", "--per", "day")
    receive(app, 1000)
    assert cli("status", job, "--json").json["jobs"][0]["reason"] == "cap"
    output = " ".join(cli("status", job).out.split())
    assert "The cap on downloaded bytes is reached; the next period begins" in output
    assert "`flowhub cap off`" in output
    assert "cap reached, until" in cli("status").out
    assert "nothing is downloaded until" in " ".join(cli("status").err.split())
    assert "Cap:" in cli().out


def test_enqueue_prints_that_the_cap_is_reached(cli, app):
    cli("cap", "1K", "--per", "day")
    assert "Cap:" not in cli("enqueue", "m0").err
    receive(app, 1000)
    assert "nothing is downloaded until the next day begins" in " ".join(cli("enqueue", "m1").err.split())


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["200"], "no unit"),
        (["-5G"], ""),
        (["much"], "not understood"),
        (["200G", "--per", "week"], "--per day or --per month"),
        (["off", "--per", "day"], "--per needs a size"),
        (["--per", "day"], "--per needs a size"),
    ],
)
def test_an_invalid_cap_is_refused_and_changes_nothing(cli, app, arguments, word):
    cli("cap", "5G")
    result = cli("cap", *arguments)
    assert result.status == 2
    assert word in result.err
    assert cli("cap", "--json").json["cap_bytes"] == 5_000_000_000


# enqueue --rate ------------------------------------------------------------------------------------------------------


def test_a_job_has_a_rate_of_its_own(cli, app, tmp_path):
    [job] = cli("enqueue", "m0", "--rate", "2M", "--json").json["jobs"]
    assert job["limit_bps"] == 2_000_000
    assert "2.0 MB/s" in cli("status", job["id"]).out
    cli("cancel", job["id"])
    cli("retry", job["id"])
    assert cli("status", job["id"], "--json").json["jobs"][0]["limit_bps"] == 2_000_000, "retry keeps it"
    list_file = tmp_path / "models.txt"
    list_file.write_text("m1 --rate 500K\nm2\n")
    jobs = cli("enqueue", "-f", list_file, "--json").json["jobs"]
    assert [job["limit_bps"] for job in jobs] == [500_000, None]


@pytest.mark.parametrize("rate", ["5", "fast", "-1"])
def test_an_invalid_rate_is_refused_and_nothing_is_queued(cli, app, rate):
    assert cli("enqueue", "m0", "--rate", rate).status == 2
    assert cli("status", "--json").json["jobs"] == []
