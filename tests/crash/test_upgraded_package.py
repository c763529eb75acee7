"""The package is upgraded under a running worker: the files of its modules go away."""

import shutil
from pathlib import Path

from support.app import app_of
from support.faults import Hold
from support.models import gguf_pattern, one_file_model
from support.origin import Origin

import flowhub_jobs
from flowhub_jobs.values.enums import State

MIB = 1 << 20
PACKAGE = Path(flowhub_jobs.__file__).parent


def test_a_worker_whose_package_is_replaced_completes_its_jobs(home: Path, origin: Origin, tmp_path: Path) -> None:
    """Upgrade as `pip install --upgrade` does: first remove the old files."""
    old = tmp_path / "old"
    shutil.copytree(PACKAGE, old / "flowhub_jobs", ignore=shutil.ignore_patterns("__pycache__"))
    for shipped in ("migrations", "hub_catalog.json"):
        (old / shipped).symlink_to(PACKAGE.parent / shipped)
    contents = {name: gguf_pattern(2 * MIB, number) for number, name in enumerate(("first", "second"))}
    models = [one_file_model(name, origin.serve(f"/{name}.gguf", data), data) for name, data in contents.items()]
    hold = Hold(after=MIB)
    origin.break_with(hold.once(), path="/first.gguf")
    with app_of(home, *models) as app:
        first = app.enqueue("first")
        app.start_worker(PYTHONPATH=str(old), PYTHONSAFEPATH="1", PYTHONDONTWRITEBYTECODE="")
        last = old / "flowhub_jobs/worker/__pycache__"
        app.until(lambda: list(last.glob("wakeup_queue_postgresql.*.pyc")), "the last of the modules")
        shutil.rmtree(old / "flowhub_jobs")
        hold.event.set()
        assert app.until_ended(first).state is State.COMPLETED
        assert app.until_ended(app.enqueue("second")).state is State.COMPLETED
        assert "Traceback" not in app.log()
