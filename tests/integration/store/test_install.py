"""Installation: verified bytes get a name in an order that survives a crash; a foreign file is never replaced."""

import os
from pathlib import Path

import pytest
from support.job_store import artifact, file_digests, folder_artifact

from flowhub_jobs import system
from flowhub_jobs.errors import NameTaken, StorageFailed
from flowhub_jobs.jobs.run_values import LeaseLost
from flowhub_jobs.store.install import (
    ArtifactParts,
    Installer,
    choose_name,
    find_installed,
    new_intent,
    remove_partial,
    rename_into_place,
    stage,
)
from flowhub_jobs.store.layout import Store
from flowhub_jobs.values.artifacts import Artifact


@pytest.fixture
def flags(request, monkeypatch) -> bool:
    if not request.param:
        monkeypatch.setattr(system, "_rename_flags", lambda *names, **flags: False)
    return request.param


WITH_AND_WITHOUT_RENAMEAT2 = pytest.mark.parametrize(
    "flags", [True, False], ids=["renameat2", "without renameat2"], indirect=True
)


def staged_file(store: Store, content: str = "new") -> Path:
    path = store.root / ".partial" / "staged"
    path.write_text(content)
    return path


def staged_folder(store: Store, **files: str) -> Path:
    folder = store.root / ".partial" / "staged-folder"
    folder.mkdir()
    for name, content in (files or {"new": "new"}).items():
        (folder / name).write_text(content)
    return folder


def stage_parts(wanted: Artifact, partial: Path, parts: list[Path]) -> Path:
    return stage(wanted, partial, parts, [(part.lstat().st_ino,) for part in parts])


def keep_lease() -> None:
    """Do what the check of a run does while it has its lease."""


# The name ------------------------------------------------------------------------------------------------------------

WANTED = artifact("tiny")
OWNED, OWNED_BY_OTHER = {WANTED.name: WANTED.ref}, {WANTED.name: "other@q4"}


def choose(store: Store, owners: dict[str, str]) -> str:
    return choose_name(WANTED, store, owners.get)


def test_a_free_name_is_chosen(store):
    assert choose(store, {}) == WANTED.name


def test_a_name_that_the_artifact_had_already_is_chosen_again(store):
    (store.root / WANTED.name).write_text("old")
    assert choose(store, OWNED) == WANTED.name


def test_where_another_installed_artifact_has_the_name_the_second_is_chosen(store):
    (store.root / WANTED.name).write_text("other")
    assert choose(store, OWNED_BY_OTHER) == f"tiny-q4-{WANTED.name}"
    (store.root / f"tiny-q4-{WANTED.name}").write_text("old")
    assert choose(store, OWNED_BY_OTHER | {f"tiny-q4-{WANTED.name}": WANTED.ref}) == f"tiny-q4-{WANTED.name}"


def test_where_both_names_belong_to_other_models_none_is_chosen(store):
    for name in (WANTED.name, WANTED.second_name()):
        (store.root / name).write_text("other")
    with pytest.raises(NameTaken, match="other models"):
        choose(store, OWNED_BY_OTHER | {WANTED.second_name(): "third@q4"})


@pytest.mark.parametrize("taken_by", ["file", "folder", "dangling link"])
def test_the_name_of_a_foreign_file_is_never_chosen(store, taken_by):
    existing = store.root / WANTED.name
    {"file": existing.touch, "folder": existing.mkdir, "dangling link": lambda: existing.symlink_to("nowhere")}[
        taken_by
    ]()
    with pytest.raises(NameTaken, match="does not replace it") as raised:
        choose(store, {})
    assert raised.value.hint


def test_a_second_name_of_a_foreign_file_is_never_chosen(store):
    (store.root / WANTED.name).write_text("other")
    (store.root / WANTED.second_name()).write_text("by hand")
    with pytest.raises(NameTaken, match="does not replace it"):
        choose(store, OWNED_BY_OTHER)


def test_a_name_that_differs_only_in_case_is_the_same_name(store):
    (store.root / WANTED.name.upper()).write_text("by hand")
    with pytest.raises(NameTaken):
        choose(store, {})
    assert choose(store, {WANTED.name.upper(): "other@q4"}) == WANTED.second_name()


# The one thing to rename ---------------------------------------------------------------------------------------------


def test_a_single_file_is_renamed_as_it_is(store):
    part = staged_file(store)
    assert stage_parts(WANTED, part.parent, [part]) == part


def test_a_folder_is_staged_with_the_artifacts_files_and_nothing_else(store):
    wanted = folder_artifact(sizes={"config.json": 2, "deep/er/w.safetensors": 3})
    partial = store.root / ".partial" / "p"
    files, fresh = partial / "files", partial / "fresh"
    for path, content in {
        files / "config.json": "{}",
        files / "deep/er/w.safetensors": "old",
        files / "stray": "x",
        files / "was/nested/stray": "x",
        files / "deep/er/.w.safetensors.journal": "x",
        fresh / "w.safetensors": "new",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (files / "stray link").symlink_to(store.root)
    staged = stage_parts(wanted, partial, [files / "config.json", fresh / "w.safetensors"])
    assert staged == files
    assert {str(path.relative_to(staged)) for path in staged.rglob("*")} == {
        "config.json",
        "deep",
        "deep/er",
        "deep/er/w.safetensors",
    }
    assert (staged / "deep/er/w.safetensors").read_text() == "new"
    assert store.root.is_dir()


# The rename ----------------------------------------------------------------------------------------------------------


@WITH_AND_WITHOUT_RENAMEAT2
@pytest.mark.parametrize("make", [staged_file, staged_folder])
def test_a_staged_artifact_gets_its_name_and_nothing_stays_behind(store, flags, make):
    staged = make(store)
    path = rename_into_place(staged, "m", store, replace_own=False, may_write=keep_lease)
    assert path == store.root / "m"
    assert (path / "new" if path.is_dir() else path).read_text() == "new"
    assert list((store.root / ".partial").iterdir()) == []


@WITH_AND_WITHOUT_RENAMEAT2
@pytest.mark.parametrize("make", [staged_file, staged_folder])
@pytest.mark.parametrize("existing", ["file", "folder", "empty folder", "link", "dangling link"])
def test_a_name_that_was_taken_since_it_was_chosen_is_not_replaced(store, flags, make, existing):
    staged = make(store)
    assert choose_name(artifact("m"), store, {}.get) == "m-q4.gguf"
    target = store.root / "m-q4.gguf"
    if existing.endswith("folder"):
        target.mkdir()
    if existing == "folder":
        (target / "mine").write_text("mine")
    if existing == "file":
        target.write_text("mine")
    if existing.endswith("link"):
        target.symlink_to(store.root if existing == "link" else "nowhere")
    before = target.lstat()
    with pytest.raises(NameTaken, match="appeared while"):
        rename_into_place(staged, target.name, store, replace_own=False, may_write=keep_lease)
    assert (target.lstat().st_ino, target.lstat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert staged.exists()


@WITH_AND_WITHOUT_RENAMEAT2
@pytest.mark.parametrize("old", ["file", "folder"])
@pytest.mark.parametrize("make", [staged_file, staged_folder])
def test_an_older_installed_version_is_replaced(store, flags, old, make):
    target = store.root / "m"
    if old == "folder":
        target.mkdir()
        (target / "old").write_text("old")
    else:
        target.write_text("old")
    rename_into_place(make(store), "m", store, replace_own=True, may_write=keep_lease)
    assert (target / "new" if make is staged_folder else target).read_text() == "new"
    assert not (target / "old").exists()


@WITH_AND_WITHOUT_RENAMEAT2
def test_the_old_folder_is_removed_with_the_partial(store, flags):
    (store.root / "m").mkdir()
    (store.root / "m" / "old").write_text("old")
    staged = staged_folder(store)
    rename_into_place(staged, "m", store, replace_own=True, may_write=keep_lease)
    assert (staged / "old").read_text() == "old"
    remove_partial(staged)
    assert not staged.exists()
    remove_partial(staged)


def test_an_older_version_that_is_gone_by_now_is_no_obstacle(store):
    assert (
        rename_into_place(staged_file(store), "m", store, replace_own=True, may_write=keep_lease).read_text() == "new"
    )


@pytest.mark.parametrize("replace_own", [True, False])
def test_a_run_without_its_lease_renames_nothing(store, replace_own):
    def lost() -> None:
        raise LeaseLost(1)

    (store.root / "m").write_text("old")
    staged = staged_file(store)
    with pytest.raises(LeaseLost):
        rename_into_place(staged, "m" if replace_own else "n", store, replace_own=replace_own, may_write=lost)
    assert (store.root / "m").read_text() == "old"
    assert not (store.root / "n").exists()
    assert staged.exists()


# After a crash between the rename and the index ----------------------------------------------------------------------


@pytest.mark.parametrize("folder", [False, True])
def test_the_file_that_a_crashed_run_had_placed_is_known_by_its_inode(store, folder):
    wanted = folder_artifact(sizes={"new": 3}) if folder else WANTED
    staged = staged_folder(store) if folder else staged_file(store)
    intent = new_intent("m", staged, file_digests(wanted))
    assert find_installed(intent, store) is None
    rename_into_place(staged, "m", store, replace_own=False, may_write=keep_lease)
    installed = find_installed(intent, store)
    assert installed is not None
    assert (installed.name, installed.path, installed.files) == ("m", store.root / "m", file_digests(wanted))


def test_another_file_under_that_name_is_not_taken_for_the_installed_one(store):
    staged = staged_file(store)
    intent = new_intent("m", staged, file_digests(WANTED))
    (store.root / "m").write_text("new")
    assert find_installed(intent, store) is None
    assert find_installed(None, store) is None


def test_a_link_to_the_staged_file_is_not_taken_for_it(store):
    staged = staged_file(store)
    intent = new_intent("m", staged, file_digests(WANTED))
    os.symlink(staged, store.root / "m")
    assert find_installed(intent, store) is None


def test_a_part_that_was_replaced_is_not_installed(store):
    """The verified file gets the name, not a file that replaced it."""
    part = staged_file(store)
    verified_inode = (part.lstat().st_ino,)
    other = part.with_name("other")
    other.write_text("evil")
    other.replace(part)
    with pytest.raises(StorageFailed, match="replaced"):
        stage(WANTED, part.parent, [part], [verified_inode])


def test_an_intent_whose_inode_was_reused_does_not_adopt_another_file(store):
    part = staged_file(store)
    intent = new_intent("tiny.gguf", part, file_digests(WANTED))
    part.rename(store.root / "tiny.gguf")
    (store.root / "tiny.gguf").write_text("written by hand, into the same inode")
    assert find_installed(intent, store) is None


# The save order as a whole -------------------------------------------------------------------------------------------


class MemoryLog:
    """An intent log in memory; `at_write` is called before each write."""

    def __init__(self, at_write=lambda: None) -> None:
        self.intent, self._at_write = None, at_write

    def read_intent(self):
        return self.intent

    def write_intent(self, intent) -> None:
        self._at_write()
        self.intent = intent


def installer_of(store: Store, log: MemoryLog, **changes) -> Installer:
    return Installer(
        **{"store": store, "log": log, "owner": {}.get, "check": keep_lease, "may_write": keep_lease} | changes
    )


def parts_of(part: Path) -> ArtifactParts:
    return ArtifactParts(file_digests(WANTED), (part,), ((part.lstat().st_ino,),), linked_from="/other")


def lost() -> None:
    raise LeaseLost(1)


def test_the_intent_is_written_before_the_rename(store):
    part, target = staged_file(store), store.root / WANTED.name
    existed = []
    log = MemoryLog(lambda: existed.append((part.exists(), target.exists())))
    installed = installer_of(store, log).install(WANTED, part.parent, parts_of(part))
    assert existed == [(True, False)]
    assert (installed.path, installed.files, installed.linked_from) == (target, file_digests(WANTED), "/other")
    assert installer_of(store, log).recover() == installed


@pytest.mark.parametrize("stopped_by", ["owner", "check", "log", "may_write"])
def test_an_installation_that_is_stopped_renames_nothing(store, stopped_by):
    part = staged_file(store)
    log = MemoryLog(lost if stopped_by == "log" else lambda: None)
    stops = {} if stopped_by == "log" else {stopped_by: lambda *_: lost()}
    if stopped_by == "owner":
        (store.root / WANTED.name).write_text("other")
    with pytest.raises(LeaseLost):
        installer_of(store, log, **stops).install(WANTED, part.parent, parts_of(part))
    assert part.read_text() == "new"
    assert store.taken(WANTED.name) is None or store.taken(WANTED.name).read_text() == "other"
    assert (log.intent is not None) == (stopped_by == "may_write")


@pytest.mark.parametrize("folder", [False, True])
def test_a_name_that_a_crashed_run_had_only_reserved_is_released(store, folder):
    staged, target = staged_folder(store) if folder else staged_file(store), store.root / "m"
    log = MemoryLog()
    log.intent = new_intent("m", staged, file_digests(WANTED))
    target.mkdir() if folder else target.touch()
    with pytest.raises(LeaseLost):
        installer_of(store, log, check=lost).recover()
    assert target.exists()
    assert installer_of(store, log).recover() is None
    assert not target.exists()


@pytest.mark.parametrize("folder", [False, True])
def test_a_reserved_name_with_content_is_not_released(store, folder):
    log, target = MemoryLog(), store.root / "m"
    log.intent = new_intent("m", staged_file(store), file_digests(WANTED))
    if folder:
        target.mkdir()
    (target / "mine" if folder else target).write_text("mine")
    assert installer_of(store, log).recover() is None
    assert (target / "mine" if folder else target).read_text() == "mine"
