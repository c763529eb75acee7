"""A real full disk: a small file system of its own. The job is parked, and goes on by itself when there is room."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.models import gguf_pattern, one_file_model
from support.origin import Origin
from support.shop import shop_of

from flowhub_jobs.records import Reason, State

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 32 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("known", [True, False], ids=["size known beforehand", "size unknown"])
def test_a_full_disk_parks_the_job_which_goes_on_by_itself_when_there_is_room(
    home: Path, origin: Origin, small_disk: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setenv("FLOWHUB_STORE", str(small_disk / "llms"))
    (small_disk / "other").write_bytes(os.urandom(20 * MIB))
    content = gguf_pattern(20 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=8 * MIB)
    entry = one_file_model("m", url, content, pin=known)
    with shop_of(home, entry) as shop:
        job = shop.enqueue("m")
        shop.worker(FLOWHUB_LOOK_AGAIN_S="1")
        shop.until(lambda: shop.job(job).reason is Reason.DISK, "a wait for the disk")
        parked = shop.job(job)
        assert (parked.state, parked.attempt) == (State.QUEUED, 0)
        assert parked.not_before is not None
        assert "free" in (shop.home.reports.wait_text(job) or "") or "full" in (shop.home.reports.wait_text(job) or "")
        assert (origin.sent("/m.gguf") == 0) is known
        (small_disk / "other").unlink()
        done = shop.until_ended(job)
        assert done.state is State.COMPLETED
        assert (shop.store / "m.gguf").read_bytes() == content.read()
        # Where the size is not known beforehand, it is by the first answer: no more than a second's worth is lost.
        assert origin.sent("/m.gguf") <= content.size + (0 if known else 8 * MIB)
