"""Installations to test: a file or a folder, new or replacing an older version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import artifact_files, artifacts
from flowhub_jobs.values.enums import DigestState, State
from support.app import App
from support.disk_files import files_in
from support.models import folder_model, gguf, mlx_folder, one_file_model
from support.origin import Origin

KINDS = ("new-file", "new-folder", "newer-file", "newer-folder")
# The call that gives the name, by kind.
RENAMES = {
    "new-file": "flowhub_jobs.store.install:rename_new",
    "new-folder": "flowhub_jobs.store.install:rename_new",
    "newer-file": "flowhub_jobs.store.install:_replace",
    "newer-folder": "flowhub_jobs.store.install:swap",
}
Stamp = tuple[int, int, int]


class InstallCase:
    """One model, `m`, at an origin. `prepare` queues its newest version in an app."""

    def __init__(self, origin: Origin, kind: str, *, size: int = 300_000, pin: bool = True) -> None:
        """`size` is about the size of the weights; without `pin` the catalog has no size and no digest."""
        self.origin, self._size, self._pin = origin, size, pin
        self.newer, self.folder = kind.startswith("newer"), kind.endswith("folder")
        self.name = "m-mlx-4bit" if self.folder else "m.gguf"
        self.total = sum(map(len, self.contents.values()))

    @property
    def contents(self) -> Mapping[str, bytes]:
        """The bytes of the newest version, by path."""
        return self._version(2)

    def _version(self, version: int) -> Mapping[str, bytes]:
        # The versions differ in size, and folders in their files: nothing of the old version may remain.
        if not self.folder:
            return {"m.gguf": gguf(self._size + version, version)}
        files = mlx_folder(version, self._size + version)
        return files | ({"old.json": b"{}"} if version == 1 else {"deep/new.json": b"[]"})

    def entry(self, version: int = 2) -> dict[str, Any]:
        files = {path: (self.origin.serve(self.path(path, version), content), content)
                 for path, content in self._version(version).items()}  # fmt: skip
        if self.folder:
            return folder_model("m", files, pin=self._pin)
        return one_file_model("m", *files["m.gguf"], pin=self._pin)

    @staticmethod
    def path(path: str, version: int = 2) -> str:
        return f"/v{version}/{path}"

    def sent(self) -> int:
        """Return the bytes that the origin has sent of the newest version."""
        return sum(self.origin.sent(self.path(path)) for path in self.contents)

    def prepare(self, app: App) -> int:
        """Install the older version, if the case has one, and queue the newest; return its job."""
        if self.newer:
            app.set_models(self.entry(1))
            app.enqueue("m")
            app.run_next_job()
            assert [model.name for model in app.home.store.models()] == [self.name]
        app.home.open_store()  # creates the store's identity: each later rename belongs to the job
        app.set_models(self.entry())
        return app.enqueue("m")

    def check(self, app: App, job: int) -> None:
        """Assert that the job is completed: one right copy under its name and in the library, and no other file."""
        completed = app.job(job)
        digest = DigestState.VERIFIED if self._pin else DigestState.UNPINNED
        assert (completed.state, completed.sha256_state, completed.error) == (State.COMPLETED, digest, None)
        assert (completed.bytes_total, completed.bytes_done, completed.attempt) == (self.total, self.total, 1)
        assert Path(completed.target) == app.store / self.name
        assert sorted(path.name for path in app.store.iterdir()) == sorted([".partial", ".store-id", self.name])
        assert self.installed_files(app) == dict(self.contents)
        assert app.leftover_partials() == []
        [row], files = library_rows(app)
        assert (row["name"], row["ref"], row["job_id"], row["bytes"]) == (self.name, completed.ref, job, self.total)
        expected = {path: (len(content), stamp[2]) for (path, content), stamp
                    in zip(self.contents.items(), self.stamps(app), strict=True)}  # fmt: skip
        assert {file["path"]: (file["bytes"], file["mtime_ns"]) for file in files} == expected
        assert [event.kind for event in app.events(job)].count("completed") == 1

    def installed_files(self, app: App) -> dict[str, bytes]:
        """Return the files under the model's name, by path."""
        place = app.store / self.name
        if not self.folder:
            return {self.name: place.read_bytes()}
        return files_in(place)

    def stamps(self, app: App) -> list[Stamp]:
        """Return inode, size and mtime of each file under the model's name."""
        place = app.store / self.name
        statuses = [(place / path if self.folder else place).stat() for path in self.contents]
        return [(status.st_ino, status.st_size, status.st_mtime_ns) for status in statuses]


def library_rows(app: App) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all rows of the library: artifacts, and their files."""
    with reading(app.home.engine) as tx:
        artifact_rows, file_rows = ([dict(row) for row in tx.execute(sa.select(table)).mappings()]
                         for table in (artifacts, artifact_files))  # fmt: skip
    return artifact_rows, file_rows
