"""The order that survives a power cut: bytes before their journal record, all bytes before the name, then the index."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.app import app_of
from support.forgetful_disk import ForgetfulDisk
from support.models import folder_model, gguf_pattern, mlx_folder, one_file_model
from support.origin import Origin

from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.pieces.ranges import Ranges
from flowhub_jobs.store import install
from flowhub_jobs.values.enums import State

MIB = 1 << 20
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/fd to tell what a descriptor is")


def test_the_journal_never_claims_a_byte_that_is_not_on_the_disk(
    home: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = gguf_pattern(24 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=24 * MIB)
    claims: list[int] = []
    with app_of(home, one_file_model("m", url, content)) as app:
        disk = ForgetfulDisk(monkeypatch)

        def compare_with_disk(line: bytes) -> None:
            record = json.loads(line.partition(b" ")[2])
            for file in record.get("files", {}).values():
                ranges = Ranges((start, end) for start, end in file["kept"])
                if ranges.total:
                    durable = disk.durable_bytes(app.partial("m") / "files" / "m.gguf")
                    assert not [gap for start, end in ranges for gap in durable.gaps(start, end)]
                    claims.append(ranges.total)

        disk.at_journal = compare_with_disk
        job = app.enqueue("m")
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert claims[-1] == content.size
        assert len(claims) > 2


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_synced_bytes_get_the_name_and_the_index_is_written_after_the_name_is_durable(
    home: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    entry, paths = _model(origin, kind)
    with app_of(home, entry) as app:
        disk = ForgetfulDisk(monkeypatch)
        order: list[str] = []
        real_place, real_complete = install.rename_into_place, LeaseStore.complete

        def place(staged: Path, name: str, *rest: Any, **options: Any) -> Path:
            for path in paths:
                staged_file = staged / path if kind == "folder" else staged
                assert list(disk.durable_bytes(staged_file)) == [(0, staged_file.stat().st_size)]
                if kind == "folder":
                    assert staged_file.parent in disk.synced_folders
            order.append("named")
            disk.synced_folders.clear()
            return real_place(staged, name, *rest, **options)

        def complete(*arguments: Any, **options: Any) -> None:
            assert app.store in disk.synced_folders
            order.append("indexed")
            real_complete(*arguments, **options)

        monkeypatch.setattr(install, "rename_into_place", place)
        monkeypatch.setattr(LeaseStore, "complete", complete)
        job = app.enqueue("m")
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert order == ["named", "indexed"]


def _model(origin: Origin, kind: str) -> tuple[dict[str, Any], list[str]]:
    if kind == "file":
        content = gguf_pattern(3 * MIB, 4)
        return one_file_model("m", origin.serve("/m.gguf", content), content), ["m.gguf"]
    files = mlx_folder(5) | {"deep/er/config.json": b"{}"}
    urls = {path: (origin.serve(f"/m/{path}", content), content) for path, content in files.items()}
    return folder_model("m", urls), list(files)
