"""The names that `from flowhub_jobs import …` promises: added to, never taken away."""

import subprocess
import sys

import pytest

import flowhub_jobs

NAMES = {
    "catalog",
    "find",
    "resolve_option",
    "download",
    "list_local_llms",
    "delete_local_llm",
    "search",
    "machine",
    "fits",
    "installed",
    "outdated",
    "path",
    "HubCatalog",
    "HubModel",
    "HubVersion",
    "DownloadOption",
    "Hardware",
    "InstalledModel",
    "LocalLlm",
    "HubFormat",
    "Offload",
    "FlowhubError",
    "__version__",
}


def test_the_public_names_are_these():
    assert set(flowhub_jobs.__all__) == NAMES
    assert len(flowhub_jobs.__all__) == len(NAMES)
    assert set(dir(flowhub_jobs)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_public_name_is_there_and_documented(name):
    found = getattr(flowhub_jobs, name)
    assert name == "__version__" or found.__doc__ or isinstance(found, type)


def test_the_words_of_the_contract_are_the_values_of_its_types():
    assert [str(word) for word in flowhub_jobs.HubFormat] == ["gguf", "mlx", "safetensors"]
    assert [str(word) for word in flowhub_jobs.Offload] == ["full", "partial", "none"]


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = flowhub_jobs.no_such_name


def test_to_import_the_package_loads_nothing_heavy():
    heavy = ["pydantic", "httpx", "sqlalchemy", "huey", "alembic", "psutil", "typer"]
    code = f"import flowhub_jobs, sys; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_fetch_does_not_pay_for_the_command_line_of_httpx():
    code = "import flowhub_jobs.transfer.fetch, sys; print([name for name in ('click', 'rich') if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("first", ["httpx", "flowhub_jobs.net.httpx_lean"])
def test_who_calls_the_command_line_of_httpx_still_gets_it(first):
    pytest.importorskip("rich")
    code = f"import {first}, flowhub_jobs.net.httpx_lean, httpx; httpx.main(['--help'], standalone_mode=False)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--help" in shown.stdout


def test_httpx_has_no_other_names_than_it_has_by_itself():
    from flowhub_jobs.net.httpx_lean import httpx

    with pytest.raises(AttributeError, match="no_such_name"):
        _ = httpx.no_such_name
