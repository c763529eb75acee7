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

FILE_COUNT, OPEN_FILES_LIMIT = 400, 250
FILES = {f"model-{number:05}.safetensors": safetensors(300, number) for number in range(FILE_COUNT)}
JOBS, LOW_LIMIT = 12, 48
PATTERN = bytes(range(256)) * 400
LAST = f"model-{FILE_COUNT - 1:05}.safetensors"
PROGRAM = f"""
import resource, sys
from flowhub_jobs import FlowhubError, download, find, resolve_option
resource.setrlimit(resource.RLIMIT_NOFILE, ({OPEN_FILES_LIMIT}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    download(resolve_option(find("m")), sys.argv[1])
except FlowhubError as error:
    print(error.code, error.message)
"""


@pytest.fixture
def model(origin):
    return folder_model("m", {path: (origin.serve(f"/m/{path}", data), data) for path, data in FILES.items()})


@pytest.fixture
def option(home, model, tmp_path, monkeypatch) -> DownloadOption:
    monkeypatch.setenv("FLOWHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", model)))
    return resolve_option(find("m"))


def download_with_few_open(folder):
    """Run a download in a process that may open OPEN_FILES_LIMIT files; return its output."""
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout


def bytes_sent(origin):
    return sum(origin.sent(f"/m/{path}") for path in FILES)


def fetch_all_but_last(origin, option, folder):
    """Leave a partial in which the last file is missing."""
    origin.remove(f"/m/{LAST}")
    with pytest.raises(SourceMissing):
        download(option, folder)
    origin.serve(f"/m/{LAST}", FILES[LAST])


def test_a_file_that_is_verified_is_not_kept_open(option, tmp_path):
    assert download_with_few_open(tmp_path / "llms") == ""
    [folder] = (path for path in (tmp_path / "llms").iterdir() if not path.name.startswith("."))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def test_a_resume_opens_only_the_missing_file(origin, option, tmp_path):
    fetch_all_but_last(origin, option, tmp_path / "llms")
    before = bytes_sent(origin)
    assert download_with_few_open(tmp_path / "llms") == ""
    assert bytes_sent(origin) - before == len(FILES[LAST])


def test_a_limit_that_is_reached_is_named_and_costs_no_kept_byte(origin, option, tmp_path, monkeypatch):
    fetch_all_but_last(origin, option, tmp_path / "llms")
    before, real = bytes_sent(origin), os.open

    def refuse(path, *flags, **more):
        if str(path).endswith("model-00300.safetensors"):
            raise OSError(errno.EMFILE, "Too many open files")
        return real(path, *flags, **more)

    with monkeypatch.context() as limit:
        limit.setattr(os, "open", refuse)
        with pytest.raises(TooManyFiles, match="cannot be opened: too many files are open already"):
            download(option, tmp_path / "llms")
    download(option, tmp_path / "llms")
    assert bytes_sent(origin) - before == len(FILES[LAST])


def test_a_worker_raises_its_limit_as_far_as_it_may(home, origin, model):
    origin.remove(f"/m/{LAST}")
    with app_of(home, model) as app:
        job = app.enqueue("m")
        app.run_next_job()
        assert app.job(job).state is State.FAILED
        origin.serve(f"/m/{LAST}", FILES[LAST])
        before = bytes_sent(origin)
        app.session.requeue(job, "retry")
        limited_python = [sys.executable, "-c", f"{set_limit_script()}; from flowhub_jobs.cli.main import main; main()"]
        worker = subprocess.run(
            [*limited_python, "worker", "--drain"], env=os.environ | {"FLOWHUB_CATALOG": str(app.catalog)}
        )
        assert worker.returncode == 0
        assert app.job(job).state is State.COMPLETED
        assert bytes_sent(origin) - before == len(FILES[LAST])


def test_more_jobs_than_a_worker_may_open_files_for_wait_for_each_other(home, origin, tmp_path):
    urls = [origin.serve(f"/m{number}.bin", PATTERN) for number in range(JOBS)]
    (tmp_path / "list").write_text("\n".join(urls))
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({LOW_LIMIT}, {LOW_LIMIT}))"
    short_retry = "from flowhub_jobs.worker import release_or_fail; release_or_fail.FILES_TIGHT_S = 0.1"
    limited_python = [sys.executable, "-c", f"{limit}; {short_retry}; from flowhub_jobs.cli.main import main; main()"]
    assert subprocess.run([*limited_python, "enqueue", "--no-check", "-f", str(tmp_path / "list")]).returncode == 0
    worker = subprocess.run([*limited_python, "worker", "--drain", "--jobs", "8"])
    assert worker.returncode == 0
    assert len(list((home / "llms").glob("m*.bin"))) == JOBS


@pytest.mark.parametrize("kind", [errno.EMFILE, errno.ENFILE])
def test_a_job_that_may_open_no_more_files_is_tried_again(home, kind):
    with opened(load_settings()) as opened_home:
        retry = to_flowhub_error(opened_home, 1, OSError(kind, os.strerror(kind), "/m.gguf"))
    assert isinstance(retry, RetryLater)
    assert isinstance(retry.error, TooManyFiles)


@pytest.mark.parametrize("limit", [10, 12, 30])
def test_a_limit_that_is_too_low_for_any_worker_is_named(home, limit):
    script = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))"
    limited_python = [sys.executable, "-c", f"{script}; from flowhub_jobs.cli.main import main; main()"]
    worker = subprocess.run([*limited_python, "worker", "--drain"], capture_output=True, text=True)
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
wait_for_end = threading.main_thread().join
def preload_ssl_context():
    wait_for_end()
    pathlib.Path({str(loaded)!r}).write_text(str(threading.current_thread().daemon))
process.preload_ssl_context = preload_ssl_context
resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
from flowhub_jobs.cli.main import main
main()
"""
    assert subprocess.run([sys.executable, "-c", script, "worker", "--drain"]).returncode == 1
    assert loaded.read_text() == "False"


def set_limit_script():
    return f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({OPEN_FILES_LIMIT}, 4096))"


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ((256, 4096), (4096, 4096)),
        ((256, resource.RLIM_INFINITY), (10_240, resource.RLIM_INFINITY)),
        ((256, 1 << 20), (10_240, 1 << 20)),
        ((20_000, 1 << 20), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_a_limit_is_raised_and_never_lowered(monkeypatch, current, expected):
    limits_set = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: current)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: limits_set.append(limits))
    allow_open_files()
    assert limits_set == ([] if expected is None else [expected])
