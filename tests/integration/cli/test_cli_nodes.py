"""The `nodes` command, `--on` and `--node`: two homes, each as a machine, over one PostgreSQL database."""

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.app import App, app_of
from support.cli import run_command
from support.models import gguf_pattern, one_file_model
from support.origin import Origin

from flowhub_jobs.cli import output
from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import jobs, nodes, workers
from flowhub_jobs.values.enums import State

NODE_KEYS = [
    *("node", "hostname", "state", "seen_at", "workers", "slots", "store", "disk_free", "ram", "gpus", "share_url")
]
KIB = 1 << 10


class Fleet:
    """Homes that share a database. A command runs on the machine that the last call of `use` chose."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, models: list[dict], closing) -> None:
        self._folder, self._patch, self._models, self._closing = folder, monkeypatch, models, closing
        self.homes: dict[str, App] = {}

    def use(self, name: str) -> App:
        """Run the next commands on this machine. Its first use creates its home."""
        self._patch.setenv("FLOWHUB_HOME", str(self._folder / name))
        self._patch.setenv("FLOWHUB_NODE", name)
        if name not in self.homes:
            self.homes[name] = self._closing.enter_context(app_of(self._folder / name, *self._models))
        self._patch.setenv("FLOWHUB_CATALOG", str(self.homes[name].catalog))
        return self.homes[name]

    def register(self, name: str, **facts: object) -> App:
        """Register a machine that is alive but has no process: it has the row of a worker."""
        app = self.use(name)
        with writing(app.home.engine) as tx:
            app.home.registry.register(tx, f"host-{name}", str(app.store), "1")
            later = app.home.clock.now_us() + 3_600_000_000
            row = {"worker": f"{name}-x", "node": name, "pid": 1, "slots": 2, "started_at": later, "seen_at": later}
            tx.execute(workers.insert().values(**row))
        app.home.registry.describe({"ram": None} | facts)
        return app

    def set_gone(self, name: str) -> None:
        with writing(self.homes[name].home.engine) as tx:
            tx.execute(sa.delete(workers).where(workers.c.node == name))
            tx.execute(sa.update(nodes).where(nodes.c.node == name).values(seen_at=0))

    def shift_seen_at(self, name: str, seconds: int) -> None:
        """Shift the time at which the machine was last seen: a minute into the past ends its leases."""
        with writing(self.homes[name].home.engine) as tx:
            for table in (workers, nodes):
                shifted = table.c.seen_at + seconds * 1_000_000
                tx.execute(sa.update(table).where(table.c.node == name).values(seen_at=shifted))

    def worker(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        app = self.use(name)
        return app.start_worker(*arguments, FLOWHUB_HOME=str(self._folder / name), FLOWHUB_NODE=name)


@pytest.fixture
def fleet(
    tmp_path: Path, home: Path, postgres_url: str, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    contents = {name: gguf_pattern(64 * KIB, number) for number, name in enumerate("mno")}
    models = [one_file_model(name, origin.serve(f"/{name}.gguf", data), data) for name, data in contents.items()]
    with contextlib.ExitStack() as closing:
        yield Fleet(tmp_path, monkeypatch, models, closing)


# Real workers --------------------------------------------------------------------------------------------------------


def test_two_machines_install_the_same_model_by_one_command(fleet, cli, origin):
    first, second = fleet.worker("gpu-01"), fleet.worker("gpu-02")
    app = fleet.use("gpu-01")
    app.until(lambda: len(cli("nodes", "--json").json["nodes"]) == 2, "two nodes")
    listed = cli("nodes", "--json").json
    assert listed["schema"] == "flowhub/nodes/1"
    assert [list(node) for node in listed["nodes"]] == [NODE_KEYS, NODE_KEYS]
    assert [(node["node"], node["state"], node["workers"], node["slots"]) for node in listed["nodes"]] == [
        ("gpu-01", "alive", 1, 3),
        ("gpu-02", "alive", 1, 3),
    ]
    queued = cli("enqueue", "m", "--on", "all", "--json").jobs
    assert [job["node"] for job in queued] == ["gpu-01", "gpu-02"]
    assert cli("wait", *(job["id"] for job in queued), "--timeout", "60s").status == 0
    assert [(app.store / "m.gguf").is_file() for app in fleet.homes.values()] == [True, True]
    assert queued[1]["target"] == str(fleet.homes["gpu-02"].store / "m.gguf")
    repeated = cli("enqueue", "m", "--on", "gpu-02,gpu-01", "--json").jobs
    assert [(job["id"], job["state"]) for job in repeated] == [(job["id"], "completed") for job in reversed(queued)]
    assert cli("enqueue", "m", "--on", "any", "--json").jobs[0]["id"] in {job["id"] for job in queued}
    table = cli("list", "--node", "all").out.splitlines()
    assert [line.split() for line in table] == [["MODEL", "gpu-01", "gpu-02"], ["m@q4", "ok", "ok"]]
    for worker in (first, second):
        worker.terminate()
        assert worker.wait(60) == 0
    assert {node["state"] for node in cli("nodes", "--json").json["nodes"]} == {"gone"}


def test_the_models_of_a_node_have_the_keys_of_a_list(fleet, cli, tmp_path):
    fleet.use("gpu-01")
    not_mounted = f"dir:{tmp_path / 'usb' / 'links'}"  # so this placement waits
    cli("enqueue", "m", "--place", not_mounted, "--json")
    assert fleet.worker("gpu-01", "--drain").wait(60) == 0
    assert cli("pin", "m").status == 0
    assert cli("place", "m", "--in", f"dir:{tmp_path / 'links'}").status == 0
    [local] = cli("list", "--json").json["models"]
    fleet.use("desk")
    [remote] = cli("list", "--node", "gpu-01", "--json").json["models"]
    assert remote == local | {"in_catalog": None, "node": "gpu-01"}
    assert (remote["pinned"], remote["placed_in"]) == (True, [f"dir:{tmp_path / 'links'}"])
    assert cli("list", "--node", "all", "--json").json["models"] == [remote]


def test_a_job_goes_to_the_named_store_of_another_node(fleet, cli, tmp_path):
    (tmp_path / "gpu-01").mkdir()
    (tmp_path / "gpu-01" / "config.toml").write_text(f'[stores]\nfast = "{tmp_path / "fast"}"\n')
    fleet.use("gpu-01")
    assert cli("enqueue", "m", "--store", "fast").status == 0
    assert fleet.worker("gpu-01", "--drain").wait(60) == 0
    fleet.use("desk")
    assert cli("enqueue", "n", "--on", "gpu-01", "--store", "fast", "--dry-run", "--check").status == 0
    [job] = cli("enqueue", "n", "--on", "gpu-01", "--store", "fast", "--json").jobs
    assert (job["store"], job["target"]) == ("fast", str(tmp_path / "fast" / "n.gguf"))
    assert cli("status", str(job["id"])).status == 0
    assert fleet.worker("gpu-01", "--drain").wait(60) == 0
    assert (tmp_path / "fast" / "n.gguf").stat().st_size == 64 * KIB


def test_a_store_that_a_node_does_not_have_is_refused(fleet, cli):
    fleet.register("gpu-01")
    fleet.use("desk")

    def usage_error(*arguments: str) -> str:
        result = cli("enqueue", "m", *arguments, "--json")
        assert (result.status, result.error["code"]) == (2, "usage")
        return f"{result.error['message']} {result.error['hint']}"

    assert "The node gpu-01 has no store named 'fast'. Name one of: default." in usage_error(
        "--store", "fast", "--on", "gpu-01"
    )
    assert "not known yet which node" in usage_error("--store", "fast", "--on", "any")
    assert "No store is named 'fast'" in usage_error("--store", "fast", "--on", "desk")
    queued = cli("enqueue", "m", "--store", "default", "--on", "desk,gpu-01", "--json").jobs
    assert [job["store"] for job in queued] == ["default", "default"]


def test_a_node_that_registers_again_after_its_removal_has_its_library(fleet, cli):
    fleet.use("gpu-01")
    cli("enqueue", "m", "--json")
    assert fleet.worker("gpu-01", "--drain").wait(60) == 0
    before = cli("list", "--node", "gpu-01", "--json").json["models"]
    fleet.set_gone("gpu-01")
    assert cli("nodes", "remove", "gpu-01").status == 0
    fleet.use("desk")
    assert cli("list", "--node", "gpu-01").status == 3
    assert cli("list", "--node", "all", "--json").json["models"] == []
    assert fleet.worker("gpu-01", "--drain").wait(60) == 0  # it registers and has no job
    assert cli("list", "--node", "gpu-01", "--json").json["models"] == before != []


def test_a_machine_without_a_worker_is_no_node(fleet, cli):
    """`doctor` opens the store of the machine from which jobs are queued for others."""
    fleet.use("desk")
    assert cli("doctor", "--json").json["schema"] == "flowhub/doctor/1"
    assert cli("nodes", "--json").json["nodes"] == []
    fleet.register("gpu-01")
    fleet.use("desk")
    assert [node["node"] for node in cli("nodes", "--json").json["nodes"]] == ["gpu-01"]
    assert [job["node"] for job in cli("enqueue", "m", "--on", "all", "--json").jobs] == ["gpu-01"]


def test_a_job_for_any_node_runs_once(fleet, cli):
    fleet.use("gpu-02")
    fleet.use("gpu-01")
    queued = cli("enqueue", "m", "n", "o", "--on", "any", "--json").jobs
    assert {(job["node"], job["target"]) for job in queued} == {(None, None)}
    fleet.worker("gpu-01"), fleet.worker("gpu-02")
    assert cli("wait", *(job["id"] for job in queued), "--timeout", "60s").status == 0
    completed = cli("status", *(job["id"] for job in queued), "--json").jobs
    assert {job["state"] for job in completed} == {"completed"}
    stores = {name: app.store for name, app in fleet.homes.items()}
    for job in completed:
        assert job["target"] == str(stores[job["node"]] / f"{job['model']}.gguf")
        assert sum((store / f"{job['model']}.gguf").exists() for store in stores.values()) == 1


def test_a_worker_that_drains_also_runs_jobs_for_any_node(fleet, cli):
    fleet.use("gpu-01")
    [job] = cli("enqueue", "m", "--on", "any", "--json").jobs
    assert fleet.worker("gpu-01", "--drain").wait(60) == 0
    assert cli("status", job["id"], "--json").jobs[0]["state"] == "completed"


def test_a_second_machine_under_the_name_of_the_first_is_refused(fleet, tmp_path):
    first = fleet.worker("gpu-01")
    app = fleet.homes["gpu-01"]
    app.until(app.home.queries.workers, "a worker")
    other = run_command("worker", FLOWHUB_HOME=str(tmp_path / "copy"), FLOWHUB_NODE="gpu-01")
    assert other.status == 9
    assert str(tmp_path / "copy") in other.err
    assert str(tmp_path / "gpu-01") in other.err
    assert first.poll() is None


def test_the_worker_of_a_node_that_is_removed_by_force_ends(fleet, cli):
    worker = fleet.worker("gpu-01")
    fleet.homes["gpu-01"].until(lambda: cli("nodes", "--json").json["nodes"], "a node")
    assert cli("nodes", "remove", "gpu-01", "--force").status == 0
    assert worker.wait(60) == 9
    assert "was removed" in fleet.homes["gpu-01"].log()


def test_a_machine_without_a_worker_says_where_workers_run(fleet, cli):
    fleet.register("b")
    fleet.use("a")
    assert "Workers run on b" in cli("enqueue", "m").err


def test_commands_of_a_copied_home_leave_the_workers_of_the_original_alone(fleet, cli, tmp_path, monkeypatch):
    """The locks that show whether the workers are alive are in the original home."""
    fleet.register("gpu-01")
    [job] = cli("enqueue", "m", "--json").jobs
    monkeypatch.setenv("FLOWHUB_HOME", str(tmp_path / "copy"))
    assert cli("pause", job["id"]).status == 0
    assert fleet.homes["gpu-01"].home.queries.workers() == ["gpu-01-x"]
    assert cli("nodes", "--json").json["nodes"][0]["state"] == "alive"


# enqueue --on --------------------------------------------------------------------------------------------------------


def test_a_job_for_another_machine_is_queued_there_and_listed_here(fleet, cli):
    fleet.register("gpu-02")
    fleet.use("gpu-01")
    [job] = cli("enqueue", "m", "--on", "gpu-02", "--json").jobs
    assert cli("status", "--json").jobs == []
    assert [row["id"] for row in cli("status", "--node", "gpu-02", "--json").jobs] == [job["id"]]
    assert [row["id"] for row in cli("status", "--node", "all", "--json").jobs] == [job["id"]]
    assert cli("enqueue", "m", "--on", "gpu-02", "--json").jobs[0]["id"] == job["id"]
    assert "on gpu-02" in cli("enqueue", "m", "--on", "gpu-02").out


def test_an_unknown_node_is_exit_3_with_the_nearest_names(fleet, cli):
    fleet.register("gpu-02")
    result = cli("enqueue", "m", "--on", "gpu-2", "--json")
    assert result.status == 3
    assert "gpu-02" in result.error["hint"]
    assert cli("status", "--all", "--json").jobs == []
    assert [cli(verb, "--node", "gpu-2").status for verb in ("status", "list", "report")] == [3, 3, 3]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("vram>=24G", ["big", "two"]),
        ("vram >= 48G", ["two"]),
        ("vram>=24G,ram>=100G", ["two"]),
        ("gpus=1", ["big"]),
        ("disk>1T", ["small"]),
        ("vram<1G", ["small"]),
    ],
)
def test_nodes_are_chosen_by_what_they_have(fleet, cli, condition, names):
    card = {"name": "RTX", "vendor": "NVIDIA", "vram_total_bytes": 24 * 2**30 - 2**24}
    fleet.register("big", gpus=[card], ram=64 * 10**9, disk_free=10**9)
    fleet.register("two", gpus=[card, card], ram=128 * 10**9, disk_free=10**9)
    fleet.register("small", gpus=[], ram=16 * 10**9, disk_free=2 * 10**12)
    queued = cli("enqueue", "m", "--on", condition, "--json").jobs
    assert [job["node"] for job in queued] == names


def test_the_hint_of_a_condition_that_no_node_meets_has_the_nodes_figures(fleet, cli):
    fleet.register("a", gpus=[{"name": "T4", "vram_total_bytes": 16 * 10**9}])
    result = cli("enqueue", "m", "--on", "vram>=24G", "--json")
    assert result.status == 3
    assert "a 16.0 GB" in result.error["hint"]


@pytest.mark.parametrize("text", ["vram>=24", "cores>=4", "vram=>24G", ",", "all,a", "gpus>=2G"])
def test_a_condition_that_is_not_understood_is_exit_2(fleet, cli, text):
    fleet.register("a")
    assert cli("enqueue", "m", "--on", text, "--json").status == 2


def test_options_about_this_machine_are_refused_with_other_nodes(fleet, cli):
    fleet.register("b")
    fleet.use("a")
    assert cli("enqueue", "m", "--on", "b", "--require-fit").status == 2


def test_a_node_without_a_worker_is_named_when_something_is_queued_for_it(fleet, cli):
    fleet.register("b")
    fleet.set_gone("b")
    fleet.use("a")
    assert "No worker runs on b" in cli("enqueue", "m", "--on", "b").err


def test_a_dry_run_for_other_machines_queues_nothing(fleet, cli):
    fleet.register("b")
    fleet.use("a")
    result = cli("enqueue", "m", "--on", "all", "--dry-run", "--json")
    assert result.status == 0
    assert cli("status", "--node", "all", "--json").jobs == []


def test_a_home_with_a_database_of_its_own_has_one_node(home, cli, monkeypatch, origin):
    content = gguf_pattern(KIB, 1)
    with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as app:
        monkeypatch.setenv("FLOWHUB_CATALOG", str(app.catalog))
        result = cli("enqueue", "m", "--on", "gpu-02", "--json")
        assert result.status == 2
        assert "FLOWHUB_DATABASE_URL" in result.error["hint"]
        for target in ("all", "any", app.home.node):
            assert cli("enqueue", "m", "--on", target, "--json").jobs[0]["node"] == app.home.node
        assert cli("status", "--node", "all", "--json").jobs == cli("status", "--json").jobs != []
        app.run_next_job()
        table = cli("list", "--node", "all").out.splitlines()
        assert [line.split() for line in table] == [["MODEL", app.home.node], ["m@q4", "ok"]]


# Commands from another machine ---------------------------------------------------------------------------------------


def test_jobs_of_another_machine_are_changed_by_their_numbers(fleet, cli):
    fleet.register("b")
    fleet.use("a")
    [job] = cli("enqueue", "m", "--on", "b", "--json").jobs
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued")):
        assert cli(verb, job["id"], "--json").jobs[0]["state"] == state
    result = cli("cancel", job["id"], "--purge", "--json")
    assert result.status == 1
    assert "node b" in result.error["message"]


def test_all_means_the_jobs_of_this_machine(fleet, cli):
    fleet.register("b")
    fleet.use("a")
    [job] = cli("enqueue", "m", "--on", "b", "--json").jobs
    cli("cancel", "--all", "--json")
    assert cli("status", job["id"], "--json").jobs[0]["state"] == "queued"


# Screens -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def longest_line(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Print to 80 columns, and return a function that returns a text's longest line."""
    monkeypatch.setattr(output, "columns", lambda: 80)
    return lambda text: max(text.splitlines(), key=len, default="")


def test_the_queue_of_all_nodes_fits_into_80_columns(fleet, cli, longest_line):
    for name in ("a-node-with-a-long-name-01", "b"):
        fleet.register(name)
    cli("enqueue", "m", "n", "--on", "all")
    cli("enqueue", "o", "--on", "any")
    screen = cli("status", "--node", "all").out
    assert len(longest_line(screen)) <= 80
    assert "NODE" in screen.splitlines()[0]
    assert "(any)" in screen
    assert "5 queued on 2 nodes" in screen
    assert "1 job is queued for any node" in cli("status").err


def test_the_list_of_nodes_fits_into_80_columns(fleet, cli, longest_line):
    gpu = {"name": "NVIDIA H100 80GB HBM3", "vram_total_bytes": 80 * 10**9}
    fleet.register("gpu-01", gpus=[gpu] * 8, ram=2 * 10**12, disk_free=30 * 10**12)
    fleet.register("gpu-02")
    fleet.set_gone("gpu-02")
    screen = cli("nodes").out
    assert len(longest_line(screen)) <= 80
    assert "8 x NVIDIA" in screen
    assert "gone" in screen.splitlines()[2]


def test_a_node_with_the_longest_allowed_name_works_like_any_other(fleet, cli):
    node = fleet.use("n" * 64)
    [job] = cli("enqueue", "m", "--json").jobs
    assert fleet.worker("n" * 64, "--drain").wait(60) == 0
    assert node.job(job["id"]).state is State.COMPLETED
    assert cli("nodes", "--json").json["nodes"][0]["node"] == "n" * 64


def test_nodes_with_long_names_are_paragraphs_that_name_each_figure(fleet, cli, longest_line):
    name = "a-node-with-a-name-as-long-as-those-in-the-clouds-012345678"
    fleet.register(name, ram=2 * 10**12, disk_free=30 * 10**12)
    screen = cli("nodes").out
    assert len(longest_line(screen)) <= 80
    assert screen.splitlines()[0] == name
    assert "disk 30.0 TB free, RAM 2.0 TB, GPUs -" in screen


def test_a_matrix_that_is_too_wide_becomes_one_line_per_model(fleet, cli, longest_line):
    for number in range(12):
        fleet.register(f"gpu-{number:02}")
    cli("enqueue", "m", "--on", "gpu-03")
    screen = cli("list", "--node", "all").out
    assert len(longest_line(screen)) <= 80
    assert "on 0 of 12" in screen
    assert "queued on gpu-03" in screen


def test_the_report_of_another_node_and_of_all(fleet, cli):
    fleet.register("b")
    fleet.use("a")
    cli("enqueue", "m", "--on", "b")
    assert cli("report", "--json").json["going"] == []
    for name in ("b", "all"):
        report = cli("report", "--node", name, "--json").json
        assert report["node"] == name
        assert len(report["going"]) == 1
    screen = [line.split() for line in cli("report", "--node", "all").out.splitlines()]
    assert ["JOB", "UNFINISHED", "NODE", "DONE"] in screen
    assert ["1", "m@q4", "b", "0", "%", "is", "next"] in screen
    assert "NODE" not in cli("report", "--node", "b").out


def test_status_of_a_job_of_a_dead_worker_on_another_node_names_the_node(fleet, cli):
    fleet.register("b")
    fleet.use("b")
    [job] = cli("enqueue", "m", "--json").jobs
    with writing(fleet.homes["b"].home.engine) as tx:
        tx.execute(sa.update(jobs).where(jobs.c.id == job["id"]).values(state="running", stage="download"))
    fleet.set_gone("b")
    fleet.use("a")
    assert "flowhub nodes remove b --requeue" in cli("status", job["id"]).out


# nodes remove --------------------------------------------------------------------------------------------------------


def test_a_node_that_is_gone_is_removed_and_its_jobs_are_requeued(fleet, cli):
    fleet.register("b")
    fleet.use("a")
    [job] = cli("enqueue", "m", "--on", "b", "--json").jobs
    assert cli("nodes", "remove", "b", "--requeue").status == 9
    fleet.set_gone("b")
    assert cli("nodes", "remove", "b").status == 2
    assert cli("nodes", "remove", "b", "--requeue", "--cancel").status == 2
    removed = cli("nodes", "remove", "b", "--requeue", "--json").json
    assert removed == {"schema": "flowhub/node-removed/1", "node": "b", "requeued": [job["id"]], "cancelled": []}
    assert cli("nodes", "remove", "b").status == 3
    assert fleet.worker("a", "--drain").wait(60) == 0
    assert cli("status", job["id"], "--json").jobs[0]["node"] == "a"


# A machine that dies -------------------------------------------------------------------------------------------------


def test_a_machine_that_wakes_after_another_took_its_job_installs_nothing(fleet, cli, origin):
    origin.limit(total_bps=16 * KIB)
    suspended_worker = fleet.worker("gpu-01")
    fleet.use("gpu-01")
    [job] = cli("enqueue", "m", "--on", "any", "--json").jobs
    app = fleet.homes["gpu-01"]
    app.until(lambda: app.job(job["id"]).state is State.RUNNING and origin.sent("/m.gguf") > KIB, "a transfer")
    suspended_worker.send_signal(signal.SIGSTOP)
    fleet.worker("gpu-02")
    origin.limit(total_bps=None)
    fleet.shift_seen_at("gpu-01", -60)
    assert app.until_ended(job["id"]).node == "gpu-02"
    suspended_worker.send_signal(signal.SIGCONT)
    app.until(
        lambda: "writes nothing more" in app.log() or "lease" in app.log(), "the end of the run that lost its lease"
    )
    suspended_worker.terminate()
    assert suspended_worker.wait(60) == 0
    assert not (app.store / "m.gguf").exists()
    assert sum(event.kind == "completed" for event in app.events(job["id"])) == 1


def test_a_job_for_any_node_continues_on_another_when_its_machine_dies(fleet, cli, origin):
    """No heartbeat of the killed worker arrives for the length of a lease; then the other machine takes the job."""
    origin.limit(total_bps=16 * KIB)
    killed_worker = fleet.worker("gpu-01")
    fleet.use("gpu-01")
    [job] = cli("enqueue", "m", "--on", "any", "--json").jobs
    app = fleet.homes["gpu-01"]
    app.until(lambda: app.job(job["id"]).state is State.RUNNING and origin.sent("/m.gguf") > KIB, "a transfer")
    killed_worker.kill()
    killed_worker.wait()
    fleet.shift_seen_at("gpu-01", 3600)  # its lease stays valid, however long the start of the next worker takes
    fleet.worker("gpu-02")
    app.until(lambda: len(cli("nodes", "--json").json["nodes"]) == 2, "the second node")
    assert app.job(job["id"]).node == "gpu-01"
    origin.limit(total_bps=None)
    fleet.shift_seen_at("gpu-01", -3660)
    ended = app.until_ended(job["id"])
    assert (ended.state, ended.node) == (State.COMPLETED, "gpu-02")
    assert (fleet.homes["gpu-02"].store / "m.gguf").is_file()
    assert not (app.store / "m.gguf").exists()


def test_status_of_a_job_of_another_node_names_the_node_and_the_reason(fleet, cli):
    fleet.register("b")
    fleet.set_gone("b")
    fleet.use("a")
    [job] = cli("enqueue", "m", "--on", "b", "--json").jobs
    screen = cli("status", job["id"]).out
    assert "It is on b." in screen
    assert "No worker is running" in screen
