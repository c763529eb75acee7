"""The power fails at any moment: unsynced bytes are lost, torn or kept, and the next worker finishes the job."""

import random
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.app import App, app_of
from support.fork_server import ForkServer
from support.install_cases import KINDS, InstallCase
from support.origin import Origin

from flowhub_jobs.database.engine import reading
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.values.enums import State

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/fd to tell what a descriptor is")

CUTS = 6
# At any call that changes the store, about sixty in a whole job, or in a write of the journal.
MOMENTS = [*(f"{number}" for number in range(3, 60)), *(f"{number}:write" for number in range(2, 30))]
SIZE = 2_000_000
RATE_BPS = 8_000_000
# Commits so frequent that a power failure leaves some parts committed and others not.
FREQUENT_COMMITS = "fast_maintenance journal_period=0.02"
LOG_FRAME = 24 + 4096


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_after_power_cuts_nothing_is_claimed_that_is_gone_and_the_next_worker_finishes(
    home: Path, origin: Origin, fork_server: ForkServer, kind: str, seed: int
) -> None:
    case, generator = InstallCase(origin, kind, size=SIZE), random.Random(f"{kind}/{seed}")
    with app_of(home) as app:
        job = case.prepare(app)
        old = case.installed_files(app) if case.newer else {}
    origin.limit(total_bps=RATE_BPS)
    for _ in range(CUTS):
        databases = run_until_power_fails(
            home, fork_server, f"{FREQUENT_COMMITS} power_loss={seed}:{generator.choice(MOMENTS)}"
        )
        restore_databases(home, databases, generator)
        with app_of(home) as app:
            assert false_claims(case, app) == []
            assert name_is_right(case, app, old)
            assert is_sound(home)
            if app.job(job).state is State.COMPLETED:
                break
    with app_of(home) as app:
        assert fork_server.drain(app) == 0
        case.check(app, job)


def run_until_power_fails(home: Path, fork_server: ForkServer, failpoints: str) -> dict[str, bytes]:
    """Run a worker until its power fails, at the latest at its end; return the databases as it left them."""
    with app_of(home) as app:
        assert fork_server.drain(app, failpoints=failpoints) == -signal.SIGKILL, app.log()
        # Read them now: this process would checkpoint them when it closes them.
        names = ("flowhub.db", "flowhub.db-wal")
        return {name: (home / name).read_bytes() for name in names if (home / name).exists()}


def restore_databases(home: Path, databases: dict[str, bytes], generator: random.Random) -> None:
    """Restore the databases as a power failure leaves them: with a torn write after the last commit."""
    for path in home.glob("flowhub.db*"):
        path.unlink()
    for name, data in databases.items():
        torn = generator.randbytes(generator.randrange(LOG_FRAME)) if name.endswith("-wal") and data else b""
        (home / name).write_bytes(data + torn)


def false_claims(case: InstallCase, app: App) -> list[str]:
    """Return the ranges that the journal claims although their bytes on disk are wrong."""
    if (app.store / case.name).exists() and case.installed_files(app) == dict(case.contents):
        return []  # the parts have been installed
    [partial] = list((app.store / ".partial").glob(f"{case.name}.*")) or [app.store / "none"]
    wrong = []
    for path, file in journal.load(partial).files.items():
        places = (partial / file.part, partial / "files" / path)  # the second: it was being moved to the others
        data = next((place.read_bytes() for place in places if place.exists()), b"")
        expected = case.contents[path]
        wrong += [f"{file.part}: {span}" for span in file.kept if data[slice(*span)] != expected[slice(*span)]]
    return wrong


def name_is_right(case: InstallCase, app: App, old: dict[str, bytes]) -> bool:
    """Return whether the model's name has a whole version, or does not exist."""
    return not (app.store / case.name).exists() or case.installed_files(app) in (old, dict(case.contents))


def is_sound(home: Path) -> bool:
    with closing(sqlite3.connect(home / "flowhub.db")) as database:
        return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_committed_row_survives_a_power_cut(home: Path) -> None:
    """SQLite promises this only in WAL mode with synchronous=FULL (sqlite.org, PRAGMA synchronous)."""
    with app_of(home) as app, reading(app.home.engine) as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2
