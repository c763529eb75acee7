"""Tests of `on_progress` of `download()`: its arguments, and the README's progress bar; hints for programs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.models import gguf, one_file_model, write_catalog

from flowhub_jobs import download, find, resolve_option
from flowhub_jobs.errors import DigestMismatch, SourceMissing

A = gguf(300_000, 1)
README = Path(__file__).parents[3] / "README.md"


@pytest.fixture
def option(home, origin, tmp_path, monkeypatch):
    model = one_file_model("qwen3-8b", origin.serve("/a.gguf", A), A, option="q4_k_m")
    monkeypatch.setenv("FLOWHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", model)))
    return resolve_option(find("qwen3-8b"), "q4_k_m")


def _positional_names(calls):
    def bar(stage, done, total):
        calls.append((stage, done, total))

    return bar


def _keywords_only(calls):
    def bar(*, bytes_total, bytes_done, stage):
        calls.append((stage, bytes_done, bytes_total))

    return bar


def _any_number(calls):
    return lambda *values: calls.append(values)


def _any_keywords(calls):
    return lambda **named: calls.append((named["stage"], named["bytes_done"], named["bytes_total"]))


@pytest.mark.parametrize("bar_factory", [_positional_names, _keywords_only, _any_number, _any_keywords])
def test_a_function_of_any_shape_gets_the_stage_the_bytes_and_the_total(option, tmp_path, bar_factory):
    calls = []
    download(option, tmp_path / "models", bar_factory(calls))
    assert {stage for stage, _, _ in calls} <= {"resolve", "download", "verify", "install"}
    assert calls[0] == ("download", 0, len(A)), "a small file has a first call too"
    assert calls[-1][1:] == (len(A), len(A))


def test_the_bar_of_the_readme_works(option, tmp_path):
    [snippet] = [code for code in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if "bar(" in code]
    process = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert f"{'#' * 30} 100%" in process.stdout
    assert process.stdout.endswith(f"\n{tmp_path}/models/a.gguf\n")
    assert (tmp_path / "models" / "a.gguf").read_bytes() == A


@pytest.mark.parametrize("fault", ["gone", "other bytes"])
def test_the_hint_of_an_error_names_no_command_and_no_job(home, origin, tmp_path, monkeypatch, fault):
    url = origin.serve("/a.gguf", A)
    model = one_file_model("m", url if fault == "other bytes" else origin.url("/none.gguf"), gguf(300_000, 2))
    monkeypatch.setenv("FLOWHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", model)))
    with pytest.raises(DigestMismatch if fault == "other bytes" else SourceMissing) as raised:
        download(resolve_option(find("m")), tmp_path / "models")
    assert raised.value.hint
    assert "flowhub" not in raised.value.hint
    assert "job" not in raised.value.hint
