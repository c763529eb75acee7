"""A short chaos run: faults of all kinds for two workers, then calm, then all checks. `scripts/chaos` does more."""

from pathlib import Path

from lib.chaos.checks import violations
from lib.chaos.command import run_rounds
from lib.chaos.run import Wanted, started_run
from lib.chaos.snapshot import Snapshot

ROUNDS = 8
SEED_OF_RESTARTS = 1
SEED = 1355  # its first rounds have eight kinds of faults


def test_after_some_rounds_of_harm_every_job_has_ended_as_asked_once_and_nothing_is_lost_or_left_over(
    tmp_path: Path,
) -> None:
    with started_run(tmp_path, Wanted(SEED)) as run:
        table = list(run_rounds(run, ROUNDS))
    print("\n".join(table))


def test_the_same_over_postgresql_whose_server_is_restarted(tmp_path: Path) -> None:
    with started_run(tmp_path, Wanted(SEED_OF_RESTARTS, 4, "postgresql")) as run:
        table = list(run_rounds(run, ROUNDS))
        assert run.done["restart server"]
    print("\n".join(table))


def test_the_checks_detect_what_is_wrong(tmp_path: Path) -> None:
    with started_run(tmp_path, Wanted(SEED)) as run:
        run.calm()
        assert violations(Snapshot(run)) == []
        store = run.app.store
        with (store / "big.gguf").open("r+b") as file:
            file.write(b"?")
        (store / "stray.gguf").touch()
        (store / ".partial" / "stray").mkdir()
        (run.app.path / "stray.tmp").touch()
        run.network.counts.sent["/big/big.gguf"] += 1 << 30
        words = " ".join(violations(Snapshot(run)))
        for sign in ("big.gguf has the sha256", "'stray.gguf'", ".partial/stray", "'stray.tmp'", "never kept"):
            assert sign in words
