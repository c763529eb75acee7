"""A model of more files than a process may have open: 256 on a Mac, where large models have 200 files each."""

import errno
import os
import resource
import subprocess
import sys

import pytest
from support.app import app_of
from support.models import folder_model, safetensors, write_catalog

from flowhub_jobs import DownloadOption, download, find, resolve_option
from flowhub_jobs.errors import SourceMissing, TooManyFiles
from flowhub_jobs.home import opened
from flowhub_jobs.settings import load_settings
from flowhub_jobs.system import allow_open_files
from flowhub_jobs.transfer.fetch import RetryLater
from flowhub_jobs.values.enums import State
from flowhub_jobs.worker.release_or_fail import to_flowhub_error

MANY, MAY_BE_OPEN = 400, 250
FILES = {f"model-{number:05}.safetensors": safetensors(300, number) for number in range(MANY)}
JOBS, FEWEST = 12, 48
PATTERN = bytes(range(256)) * 400
LAST = f"model-{MANY - 1:05}.safetensors"
PROGRAM = f"""
import resource, sys
from flowhub_jobs import FlowhubError, download, find, resolve_option
resource.setrlimit(resource.RLIMIT_NOFILE, ({MAY_BE_OPEN}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    download(resolve_option(find("m")), sys.argv[1])
except FlowhubError as error:
    print(error.code, error.message)
"""


@pytest.fixture
def entry(origin):
    return folder_model("m", {path: (origin.serve(f"/m/{path}", data), data) for path, data in FILES.items()})


@pytest.fixture
def option(home, entry, tmp_path, monkeypatch) -> DownloadOption:
    monkeypatch.setenv("FLOWHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    return resolve_option(find("m"))


def download_with_few_open(folder):
    """Return what a program says that may have MAY_BE_OPEN files open."""
    call = [sys.executable, "-c", PROGRAM, str(folder)]
    return subprocess.run(call, capture_output=True, text=True, check=True, env=os.environ).stdout


def sent(origin):
    return sum(origin.sent(f"/m/{path}") for path in FILES)


def all_but_the_last(origin, option, folder):
    """Leave a partial in which one file is missing."""
    origin.remove(f"/m/{LAST}")
    with pytest.raises(SourceMissing):
        download(option, folder)
    origin.serve(f"/m/{LAST}", FILES[LAST])


def test_a_file_that_is_verified_is_not_kept_open(option, tmp_path):
    assert download_with_few_open(tmp_path / "llms") == ""
    [folder] = (path for path in (tmp_path / "llms").iterdir() if not path.name.startswith("."))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def test_a_resume_opens_only_what_it_is_at(origin, option, tmp_path):
    all_but_the_last(origin, option, tmp_path / "llms")
    before = sent(origin)
    assert download_with_few_open(tmp_path / "llms") == ""
    assert sent(origin) - before == len(FILES[LAST])


def test_a_limit_that_is_met_is_named_and_costs_nothing_that_was_kept(origin, option, tmp_path, monkeypatch):
    all_but_the_last(origin, option, tmp_path / "llms")
    before, real = sent(origin), os.open

    def refuse(path, *how, **more):
        if str(path).endswith("model-00300.safetensors"):
            raise OSError(errno.EMFILE, "Too many open files")
        return real(path, *how, **more)

    with monkeypatch.context() as limit:
        limit.setattr(os, "open", refuse)
        with pytest.raises(TooManyFiles, match="cannot be opened: too many files are open already"):
            download(option, tmp_path / "llms")
    download(option, tmp_path / "llms")
    assert sent(origin) - before == len(FILES[LAST])


def test_a_worker_raises_its_limit_as_far_as_it_may(home, origin, entry):
    origin.remove(f"/m/{LAST}")
    with app_of(home, entry) as app:
        job = app.enqueue("m")
        app.run_next_job()
        assert app.job(job).state is State.FAILED
        origin.serve(f"/m/{LAST}", FILES[LAST])
        before = sent(origin)
        app.session.requeue(job, "retry")
        few = [sys.executable, "-c", f"{_limited()}; from flowhub_jobs.cli.main import main; main()"]
        worker = subprocess.run([*few, "worker", "--drain"], env=os.environ | {"FLOWHUB_CATALOG": str(app.catalog)})
        assert worker.returncode == 0
        assert app.job(job).state is State.COMPLETED
        assert sent(origin) - before == len(FILES[LAST])


def test_more_jobs_than_a_worker_may_open_files_for_wait_for_each_other(home, origin, tmp_path):
    urls = [origin.serve(f"/m{number}.bin", PATTERN) for number in range(JOBS)]
    (tmp_path / "list").write_text("\n".join(urls))
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({FEWEST}, {FEWEST}))"
    soon = "from flowhub_jobs.worker import release_or_fail as one; one.FILES_TIGHT_S = 0.1"
    few = [sys.executable, "-c", f"{limit}; {soon}; from flowhub_jobs.cli.main import main; main()"]
    assert subprocess.run([*few, "enqueue", "--no-check", "-f", str(tmp_path / "list")]).returncode == 0
    worker = subprocess.run([*few, "worker", "--drain", "--jobs", "8"])
    assert worker.returncode == 0
    assert len(list((home / "llms").glob("m*.bin"))) == JOBS


@pytest.mark.parametrize("kind", [errno.EMFILE, errno.ENFILE])
def test_a_job_that_finds_no_file_to_open_is_tried_again(home, kind):
    with opened(load_settings()) as place:
        later = to_flowhub_error(place, 1, OSError(kind, os.strerror(kind), "/m.gguf"))
    assert isinstance(later, RetryLater)
    assert isinstance(later.error, TooManyFiles)


@pytest.mark.parametrize("limit", [10, 12, 30])
def test_a_limit_that_no_worker_can_do_with_is_named(home, limit):
    script = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))"
    few = [sys.executable, "-c", f"{script}; from flowhub_jobs.cli.main import main; main()"]
    worker = subprocess.run([*few, "worker", "--drain"], capture_output=True, text=True)
    assert worker.returncode == 1
    assert f"may open only {limit} files" in worker.stderr or f"may open {limit}." in worker.stderr
    assert "queue.db" not in worker.stderr
    assert "ulimit -n" in worker.stderr


def test_a_worker_that_ends_at_once_waits_for_its_certificates(home, tmp_path):
    """OpenSSL crashes in a thread that the end of the process leaves in it."""
    loaded = tmp_path / "loaded"
    script = f"""
import pathlib, resource, threading
from flowhub_jobs.worker import process
ended = threading.main_thread().join
process.warm_trust = lambda: (ended(), pathlib.Path({str(loaded)!r}).write_text(str(threading.current_thread().daemon)))
resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
from flowhub_jobs.cli.main import main
main()
"""
    assert subprocess.run([sys.executable, "-c", script, "worker", "--drain"]).returncode == 1
    assert loaded.read_text() == "False"


def _limited():
    return f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({MAY_BE_OPEN}, 4096))"


@pytest.mark.parametrize(
    ("found", "then"),
    [
        ((256, 4096), (4096, 4096)),
        ((256, resource.RLIM_INFINITY), (10_240, resource.RLIM_INFINITY)),
        ((256, 1 << 20), (10_240, 1 << 20)),
        ((20_000, 1 << 20), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_a_limit_is_raised_and_never_lowered(monkeypatch, found, then):
    set_to = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: found)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
    allow_open_files()
    assert set_to == ([] if then is None else [then])
