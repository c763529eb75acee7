"""Tests of scripts/fleet: its calculations, and a small run that leaves no file. No test asserts a speed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lib.fleet.figures import Figures, table, verdicts
from lib.fleet.simulation import Network, Simulation
from support.postgres import SKIP_REASON, binary

FLEET = Path(__file__).parents[3] / "scripts" / "fleet"


def make_figures(**changes):
    defaults = {
        "nodes": 2,
        "finished": 0,
        "origin_ratio": 1.0,
        "right": 8,
        "wanted": 8,
        "claims_ms": (2.0, 9.0, 1.0),
        "cpu": 0.02,
        "worker_connections": 6,
        "all_connections": 8,
        "wall_s": 3.0,
    }
    return Figures(**defaults | changes)


def cells(text, name):
    line = next(line for line in text.splitlines() if name in line)
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_table_has_a_column_for_each_run():
    text = table([make_figures(), make_figures(finished=100_000, right=7)])
    assert cells(text, "finished jobs") == ["", "0", "100,000"]
    assert cells(text, "right digests") == ["all", "8 of 8", "7 of 8"]
    assert cells(text, "milliseconds a claim") == ["< 50", "2.0 (9.0)", "2.0 (9.0)"]
    assert cells(text, "connections") == ["<= 6", "6 (8)", "6 (8)"]


@pytest.mark.parametrize("wrong", [{"right": 7}, {"origin_ratio": 2.1}, {"worker_connections": 7}])
def test_what_no_slow_machine_excuses_is_wrong_on_any_machine(wrong):
    assert make_figures(cpu=0.9, claims_ms=(900.0,)).correct
    assert not make_figures(**wrong).correct


def test_each_limit_of_each_run_has_a_verdict():
    lines = verdicts([make_figures(), make_figures(cpu=0.05, claims_ms=())]).splitlines()
    assert len(lines) == 10
    assert [line for line in lines if "MISSED" in line] == [
        "run 2: MISSED: milliseconds a claim",
        "run 2: MISSED: CPU of the database",
    ]


@pytest.mark.skipif(binary("initdb") is None, reason=SKIP_REASON)
def test_a_small_fleet_prints_its_table_and_leaves_nothing_behind(tmp_path):
    arguments = ["--nodes", "3", "--size", "0.25", "--rate", "0", "--finished", "7"]
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, FLEET, *arguments], capture_output=True, text=True, timeout=170, env=environ
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert cells(result.stdout, "right digests") == ["all", "12 of 12"]
    assert cells(result.stdout, "finished jobs") == ["", "7"]
    assert 1 <= float(cells(result.stdout, "bytes of the origin")[1]) <= 2
    assert "run 1: met: digests" in result.stdout
    assert list(tmp_path.iterdir()) == []


# In virtual time -----------------------------------------------------------------------------------------------------


def network(nodes):
    return Network(nodes=nodes, files=2, size=1e9, origin_bps=1e8, node_bps=1e8)


def test_without_shares_the_origin_sends_every_file_to_every_node():
    outcome = Simulation(network(10), share=False).run()
    assert outcome.origin_bytes == pytest.approx(20e9)
    assert outcome.seconds == pytest.approx(200)


def test_with_shares_the_origin_sends_each_file_about_once():
    assert Simulation(network(1), share=True).run().origin_bytes == pytest.approx(2e9)
    assert Simulation(network(30), share=True).run().origin_bytes < 2 * 2e9


def test_a_large_fleet_has_all_files_sooner_with_shares():
    with_shares, without = (Simulation(network(60), share=share).run().seconds for share in (True, False))
    assert with_shares < without / 2
