"""Fixtures that all tests share. Puts `support` and the scripts' `lib` on the path."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
for folder in (TESTS, TESTS.parent / "scripts"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from support.ci_skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401
from support.examples import load_profile  # noqa: E402
from support.hub import Hub  # noqa: E402
from support.origin import Origin  # noqa: E402
from support.postgres import Server, close_server, fresh_database, server  # noqa: E402

from flowhub_jobs.net import tls_context  # noqa: E402

load_profile()

ENVIRONMENT_PREFIXES = ("FLOWHUB_", "HF_", "SSL_CERT_")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts pytest in its background ignores Ctrl-C for it, and all child processes would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_user_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the models that the developer has in other programs."""
    user_home = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(user_home))
        patch.setenv(
            "OLLAMA_MODELS", str(user_home / ".ollama" / "models")
        )  # else the system's own folder would be read too
        for name in ("XDG_CACHE_HOME", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A real HTTP origin, empty."""
    with Origin() as origin:
        yield origin


@pytest.fixture(scope="session", autouse=True)
def _close_postgres() -> Iterator[None]:
    yield
    close_server()


@pytest.fixture
def postgres() -> Server:
    """A real PostgreSQL server. The test is skipped where none is installed."""
    return server()


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A fresh PostgreSQL database, migrated."""
    with fresh_database() as url:
        yield url


@pytest.fixture
def hub() -> Iterator[Hub]:
    """An empty Hub-shaped origin; `hub.endpoint` is the value for HF_ENDPOINT."""
    with Hub({}) as hub:
        yield hub


@pytest.fixture
def uncached_trust() -> Iterator[None]:
    """Read the trusted certificates again in this test and after it: they are cached for the process."""
    tls_context.ssl_context.cache_clear()
    yield
    tls_context.ssl_context.cache_clear()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new home in FLOWHUB_HOME; other variables that flowhub reads are cleared."""
    for name in os.environ:
        if name.startswith(ENVIRONMENT_PREFIXES) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("FLOWHUB_HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))  # the developer's own may have a real token
    monkeypatch.setenv("FLOWHUB_CHECK", "false")  # an origin's faults are for the worker; tests of the preflight set it
    return home


@pytest.fixture
def user_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a user with other programs."""
    user_home = tmp_path / "user"
    user_home.mkdir()
    monkeypatch.setenv("HOME", str(user_home))
    monkeypatch.setenv("OLLAMA_MODELS", str(user_home / ".ollama" / "models"))
    monkeypatch.delenv("HF_HOME")
    return user_home


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """The folder to which models are exported; it does not exist yet."""
    return tmp_path / "drive"


@pytest.fixture
def quick_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit the journal every 20 ms instead of every 250 ms."""
    monkeypatch.setattr("flowhub_jobs.transfer.committer.PERIOD_S", 0.02)
