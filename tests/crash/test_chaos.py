"""Chaos in small: harm of all kinds to two workers, then calm, then a look at everything. `scripts/chaos` does more."""

from pathlib import Path

from chaos_parts.campaign import campaign
from chaos_parts.command import run
from chaos_parts.evidence import Evidence
from chaos_parts.judgement import complaints

ROUNDS = 8
SEED = 1355  # whose first rounds are of eight kinds


def test_after_some_rounds_of_harm_every_job_has_ended_as_asked_once_and_nothing_is_lost_or_left_over(
    tmp_path: Path,
) -> None:
    with campaign(tmp_path, SEED) as under_way:
        table = list(run(under_way, ROUNDS))
    print("\n".join(table))


def test_the_judges_see_what_is_wrong(tmp_path: Path) -> None:
    with campaign(tmp_path, SEED) as under_way:
        under_way.calm()
        assert complaints(Evidence(under_way)) == []
        store = under_way.shop.store
        with (store / "big.gguf").open("r+b") as file:
            file.write(b"?")
        (store / "stray.gguf").touch()
        (store / ".partial" / "stray").mkdir()
        (under_way.shop.path / "stray.tmp").touch()
        under_way.line.counts.sent["/big/big.gguf"] += 1 << 30
        words = " ".join(complaints(Evidence(under_way)))
        for sign in ("big.gguf has the sha256", "'stray.gguf'", ".partial/stray", "'stray.tmp'", "never kept"):
            assert sign in words
