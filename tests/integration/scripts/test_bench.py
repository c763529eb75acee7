"""Tests of the bench: its list of cases, its calculations, and small runs. No test asserts a speed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lib.bench.case_last_byte import last_end
from lib.bench.cases import CASES
from lib.bench.command import parse_arguments
from lib.bench.figures import (
    GIB,
    MIB,
    Claim,
    Row,
    Run,
    at_least,
    claims_table,
    level_with_best,
    markdown,
    rows_table,
    speed_ratio,
)
from lib.bench.machine import version_in
from lib.bench.processes import BenchFailed, measured
from lib.bench.runs import turned
from lib.bench.smoothness import window_deviation, worst_to_best

BENCH = Path(__file__).parents[3] / "scripts" / "bench"
SMALL_RUN = ["--only", "plain", "--size", "16M", "--rounds", "1", "--python", sys.executable]
needs_servers = pytest.mark.skipif(
    not all(map(shutil.which, ("nginx", "openssl", "curl"))), reason="needs nginx, openssl and curl"
)


def row(who: str, *walls: float, cpu: float = 1.0, size: int = GIB) -> Row:
    return Row(who, "", size, tuple(Run(wall, cpu) for wall in walls))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_list_names_every_case_and_what_it_measures():
    output = subprocess.run([BENCH, "--list"], capture_output=True, text=True, check=True).stdout
    lines = output.splitlines()
    assert [line.split()[0] for line in lines] == list(CASES)
    assert all(len(line.split()) > 3 for line in lines), output


def test_a_case_that_there_is_not_is_a_usage_error():
    assert subprocess.run([BENCH, "--only", "plian"], capture_output=True).returncode == 2


def test_a_row_shows_its_median_and_its_spread():
    five = row("flowhub", 2.0, 1.0, 9.0, 2.5, 1.5)
    assert five.wall_s == 2.0
    assert five.mib_s == 512
    assert five.spread == 8.0
    assert row("flowhub", 1.0, cpu=3.0, size=GIB // 2).cpu_per_gib == 6.0


def test_a_ratio_above_one_means_that_we_are_faster():
    assert speed_ratio(row("flowhub", 1.0), row("aria2c", 4.0)) == 4.0


def test_an_aim_is_met_missed_or_not_measured():
    rows = [row("flowhub", 1.0), row("limit", 0.8), row("curl", 2.0)]
    assert at_least("w", rows, "curl", 1.8, "").met is True
    assert at_least("w", rows, "limit", 0.85, "").met is False
    assert at_least("w", rows, "hf", 3.5, "") == Claim("w", "", "hf was not run", None)


def test_the_level_is_that_of_the_best_competitor_and_never_of_the_limit():
    rows = [row("flowhub", 1.0), row("limit", 0.1), row("aria2c", 0.96), row("curl", 5.0)]
    assert level_with_best("w", rows, "").met is True
    assert level_with_best("w", [*rows, row("wget", 0.9)], "").met is False
    assert level_with_best("w", rows[:1], "").met is None


def test_tables_are_markdown_with_columns_in_line():
    assert markdown(("a", "long"), [("first", "b")]) == "| a     | long |\n| ----- | ---- |\n| first | b    |"
    first, second = rows_table([row("limit", 4.0, cpu=1.0), row("flowhub", 2.0, 3.0, cpu=2.0)]).splitlines()[2:]
    assert cells(first) == ["flowhub", "2.50", "2.00..3.00", "410", "2.00", "1.00 x", "1.00 x"]
    assert cells(second) == ["limit", "4.00", "4.00..4.00", "256", "1.00", "1.60 x", "0.50 x"]
    assert claims_table([Claim("w", "fast", "slow", False), Claim("v", "x", "y")]).count("\n") == 3


def test_sizes_are_read_in_binary_units_and_quick_is_small():
    assert parse_arguments(["--size", "512M"]).size == 512 * MIB
    assert parse_arguments(["--size", "2g"]).size == 2 * GIB
    quick = parse_arguments(["--quick"])
    assert (quick.size, quick.rounds) == (256 * MIB, 1)


def test_each_round_begins_with_another():
    assert [turned(["a", "b", "c"], number)[0] for number in range(4)] == ["a", "b", "c", "a"]


def test_a_flow_is_compared_with_its_rate_in_every_window():
    steady = [(step / 10, step * 10) for step in range(201)]
    assert window_deviation(steady, 100, 10) == pytest.approx(0, abs=1e-9)
    assert worst_to_best(steady, 0.5) == pytest.approx(1)
    late_burst = [(at, sent + (100 if at >= 15 else 0)) for at, sent in steady]
    assert window_deviation(late_burst, 100, 10) == pytest.approx(0.1)
    assert worst_to_best(late_burst, 0.5) == pytest.approx(3.0)
    stopped = [(at, min(sent, 1000)) for at, sent in steady]
    assert worst_to_best(stopped, 0.5) == float("inf")
    assert window_deviation(stopped, 100, 10) == pytest.approx(-1)


def test_the_last_end_is_read_from_a_log_that_tells_of_every_byte():
    log = "100.250 60 206\n100.125 40 206\n"
    assert last_end(log, 100) == 100.25
    with pytest.raises(BenchFailed):
        last_end(log, 101)


def test_a_version_is_the_first_number_that_a_tool_says():
    assert version_in("nginx version: nginx/1.22.1") == "1.22.1"
    assert version_in("OpenSSL 3.0.22 9 Jun 2026") == "3.0.22"
    assert version_in("?") == "?"


def test_what_is_measured_includes_the_cpu_of_a_grandchild(tmp_path):
    burn = "sum(range(10_000_000))"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{burn}'], check=True)"
    with_child = measured([sys.executable, "-c", nested], tmp_path, os.environ)
    without = measured([sys.executable, "-c", nested.replace(burn, "0")], tmp_path, os.environ)
    assert with_child.cpu_s > without.cpu_s


def test_a_program_that_fails_ends_the_bench_with_its_output(tmp_path):
    with pytest.raises(BenchFailed, match="no such bytes"):
        measured([sys.executable, "-c", "import sys; sys.exit('no such bytes')"], tmp_path, os.environ)


@needs_servers
def test_a_small_run_prints_its_table_and_keeps_its_figures(tmp_path):
    raw = tmp_path / "raw.json"
    result = subprocess.run(
        [BENCH, *SMALL_RUN, "--dir", tmp_path, "--json", raw], capture_output=True, text=True, timeout=170
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| who " in result.stdout
    assert "| work " in result.stdout
    rows = json.loads(raw.read_text())["cases"]["plain"]["rows"]
    assert {"flowhub", "limit", "curl"} <= {row["who"] for row in rows}
    assert [path.name for path in tmp_path.iterdir()] == ["raw.json"]


@needs_servers
def test_a_bench_that_is_interrupted_leaves_nothing_behind(tmp_path):
    command = [BENCH, *SMALL_RUN, "--dir", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as bench:
        assert bench.stdout is not None
        next(line for line in bench.stdout if line.startswith("## plain"))
        [pid_file] = tmp_path.glob("*/nginx/nginx.pid")
        nginx = int(pid_file.read_text())
        bench.send_signal(signal.SIGINT)
        output = bench.stdout.read()
    assert bench.returncode == 128 + signal.SIGINT, output
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(nginx, 0)
