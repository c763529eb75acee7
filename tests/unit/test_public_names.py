"""The public names of `flowhub_jobs`: names may be added, and none may be removed."""

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
def test_each_public_name_exists_and_is_documented(name):
    value = getattr(flowhub_jobs, name)
    assert name == "__version__" or value.__doc__ or isinstance(value, type)


def test_the_public_enumerations_have_the_values_of_the_contract():
    assert [str(member) for member in flowhub_jobs.HubFormat] == ["gguf", "mlx", "safetensors"]
    assert [str(member) for member in flowhub_jobs.Offload] == ["full", "partial", "none"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = flowhub_jobs.no_such_name


def test_importing_the_package_loads_no_heavy_module():
    heavy = ["pydantic", "httpx", "sqlalchemy", "huey", "alembic", "psutil", "typer"]
    code = f"import flowhub_jobs, sys; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_fetch_does_not_import_the_command_line_of_httpx():
    code = "import flowhub_jobs.transfer.fetch, sys; print([name for name in ('click', 'rich') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("first", ["httpx", "flowhub_jobs.net.httpx_lean"])
def test_the_command_line_of_httpx_still_works(first):
    pytest.importorskip("rich")
    code = f"import {first}, flowhub_jobs.net.httpx_lean, httpx; httpx.main(['--help'], standalone_mode=False)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--help" in result.stdout


def test_the_lean_httpx_has_no_names_of_its_own():
    from flowhub_jobs.net.httpx_lean import httpx

    with pytest.raises(AttributeError, match="no_such_name"):
        _ = httpx.no_such_name
