"""Shell completion: the scripts, their candidates in a real bash, and the imports of a single Tab."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import cli_app, fail_next_job, run_command
from support.job_store import JobStore
from support.models import gguf, one_file_model

from flowhub_jobs.cli.app import VERBS
from flowhub_jobs.cli.completion import candidates
from flowhub_jobs.cli.completion.candidates import KINDS
from flowhub_jobs.cli.completion.scripts import NAMES, OPTION_NAMES, SHELLS, VALUES
from flowhub_jobs.cli.help.help_json import manual_json
from flowhub_jobs.database.engine import writing
from flowhub_jobs.errors import SourceMissing
from flowhub_jobs.home import opened
from flowhub_jobs.settings import load_settings

A = gguf(4096, 1)
HEAVY = ["typer", "sqlalchemy", "pydantic", "httpx", "huey", "rich"]


@pytest.fixture
def app(home, monkeypatch):
    models = [one_file_model(name, f"https://h.example/{name}.gguf", A) for name in ("alpha", "alpine", "beta")]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


@functools.cache
def bash_script() -> str:
    return run_command("completion", "bash").out


def complete(*words: str) -> set[str]:
    """Return what bash offers for the last word of a command line that begins with flowhub."""
    line = " ".join(f"'{word}'" for word in ("flowhub", *words))
    code = f"{bash_script()}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _flowhub; "
    code += 'printf "%s\\n" "${COMPREPLY[@]}"'
    folder = str(Path(sys.executable).parent)
    environ = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    bash = shutil.which("bash")
    assert bash
    process = subprocess.run([bash, "--norc", "-c", code], capture_output=True, text=True, env=environ)
    assert process.stderr == ""
    return set(process.stdout.split())


def test_bash_completes_verbs_options_models_and_jobs(app):
    first, second = app.enqueue("alpha"), app.enqueue("beta")
    fail_next_job(app, first, SourceMissing("It is gone."))
    assert complete("enq") == {"enqueue"}
    assert {"schedule", "search", "show", "start", "status"} == complete("s")
    assert complete("enqueue", "al") == {"alpha", "alpine"}
    assert complete("enqueue", "--to") == {"--tonight"}
    assert complete("retry", "") == {str(first)}
    assert complete("pause", "") == {str(second)}
    assert complete("status", "") == {str(first), str(second)}
    assert complete("status", "--state", "fa") == {"failed"}
    assert complete("worker", "un") == {"uninstall"}
    assert complete("schedule", "set", "--da") == {"--days"}
    app.store.mkdir()
    (app.store / "hand.gguf").write_bytes(A)
    assert complete("path", "h") == {"hand.gguf"}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script_with_every_verb(cli, home, shell):
    result = cli("completion", shell)
    assert (result.status, result.err) == (0, "")
    for names in VERBS.values():
        for name in names:
            assert name in result.out
    assert not home.exists()
    if program := shutil.which(shell):
        process = subprocess.run([program, "-n"], input=result.out, capture_output=True, text=True)
        assert (process.returncode, process.stderr) == (0, "")


def test_an_unknown_shell_is_2(cli, home):
    assert "bash, zsh, fish" in cli("completion", "tcsh").error_text


def test_no_verb_offers_another_completion(cli, home):
    for verb in ("", *(name for names in VERBS.values() for name in names)):
        assert "install-completion" not in cli(*verb.split(), "--help").out


def test_a_tab_imports_little_and_an_empty_home_is_no_error(home):
    code = (
        "import sys; from flowhub_jobs.cli.main import main\n"
        "sys.argv[1:] = ['__complete', sys.argv[1]]\n"
        "try: main()\n"
        f"finally: sys.stderr.write(' '.join(name for name in {HEAVY} if name in sys.modules))"
    )
    for kind in (*KINDS, "nonsense"):
        process = subprocess.run([sys.executable, "-c", code, kind], capture_output=True, text=True, env=os.environ)
        assert (process.returncode, process.stderr) == (0, "")
    assert not home.exists()


def test_an_unreadable_database_prints_nothing_to_the_shell(home):
    home.mkdir()
    (home / "flowhub.db").write_bytes(b"not a database")
    result = run_command("__complete", "jobs")
    assert (result.status, result.out, result.err) == (0, "", "")


def test_each_kind_of_candidate_can_be_listed():
    assert {*NAMES.values(), *OPTION_NAMES.values()} <= set(KINDS)


def test_each_completed_verb_and_option_is_in_the_manual():
    verbs = {verb["name"]: verb for verb in manual_json()["verbs"]}
    options = {(name, option) for name, verb in verbs.items() for entry in verb["options"] for option in entry["names"]}
    assert set(NAMES) <= set(verbs)
    assert set(OPTION_NAMES) <= options
    assert set(VALUES) <= {option for _, option in options}


@pytest.fixture
def two_nodes(app):
    with writing(app.home.engine) as tx:
        for name in ("gpu-01", "gpu-02"):
            app.home.of_nodes((name,)).registry.register(tx, f"host-{name}", str(app.store), "1")


def test_nodes_are_completed_where_an_option_takes_them(two_nodes, app):
    assert complete("enqueue", "alpha", "--on", "") == {"all", "any", "gpu-01", "gpu-02"}
    assert complete("enqueue", "--on", "gpu-01,") == {"gpu-01,gpu-02"}
    assert complete("enqueue", "--on", "gpu-01,gpu-02,") == set()
    for verb in ("status", "list", "report"):
        assert complete(verb, "--node", "") == {"all", "gpu-01", "gpu-02"}
    assert complete("nodes", "remove", "") == {"gpu-01", "gpu-02"}
    assert complete("enqueue", "--place", "hf") == {"hf-cache"}
    (app.path / "config.toml").write_text(f'[stores]\nfast = "{app.path / "fast"}"\n')
    assert complete("enqueue", "--store", "") == {"default", "fast"}


def test_help_completes_topics_and_verbs(app):
    assert complete("help", "sta") == {"states", "start", "status"}


def test_jobs_in_postgresql_are_completed_newest_first(home, postgres_url, monkeypatch):
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    settings = load_settings()
    with opened(settings) as open_home:
        store = JobStore(home / "jobs", open_home.node, postgres_url)
        jobs = store.enqueue("a", "b", "c")
        store.commands.pause(jobs[1])
        store.close()
    assert candidates._names_of_kind("queued", settings) == ["3", "2", "1"]
    assert candidates._names_of_kind("paused", settings) == ["2"]
    assert candidates._names_of_kind("jobs", settings) == ["3", "2", "1"]
    with opened(settings) as open_home, writing(open_home.engine) as tx:
        open_home.registry.register(tx, "host", str(home), "1")
    assert candidates._node_lists(settings, "") == ["all", "any", open_home.node]
