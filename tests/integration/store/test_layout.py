"""The folder of a store: no name leads out of it, its models are listed, and a removal removes nothing else."""

import errno
import os
from pathlib import Path

import pytest
from support.job_store import artifact

from flowhub_jobs.errors import NotFound, StorageFailed, StoreOffline, StoreUnusable, UsageInvalid
from flowhub_jobs.store.layout import PARTIAL, STORE_ID, Store, format_of
from flowhub_jobs.values.enums import HubFormat


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


# Names ---------------------------------------------------------------------------------------------------------------

REFUSED = [
    *("", ".", "..", ".hidden", "~root", " m.gguf", "m.gguf ", "m.gguf.", "a/b", "../m", "/etc/passwd", "a\\b"),
    *("a:b", "a*b", "a?b", 'a"b', "a<b", "a>b", "a|b", "a\0b", "a\nb", "a\x1bb", "a\u202eb", "a\u200bb", "a\u2028b"),
    *("CON", "nul.gguf", "com1", "LPT9.txt", "aux .gguf", "x" * 201, "é" * 101, "\udcff"),
]


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_an_invalid_name_is_refused_and_nothing_is_touched(store, tmp_path, name):
    (tmp_path / "outside").write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(UsageInvalid, match="is not a name of a model"):
        store.path_of(name)
    with pytest.raises(UsageInvalid):
        store.remove(name)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["m.gguf", "mödel 日本.gguf", "x" * 200, "a~b", "con-model"])
def test_an_ordinary_name_is_in_the_store(store, name):
    assert store.path_of(name) == store.root / name


def test_the_partial_of_an_artifact_is_one_short_name_in_the_partials_folder(store):
    long = artifact("m" * 150, option="ü" * 40)
    partial = store.partial_of(long, "n-1")
    assert partial.parent == store.root / PARTIAL
    assert len(partial.name.encode()) <= 255
    assert partial != store.partial_of(long, "n-2")
    assert partial != store.partial_of(artifact("m" * 150, option="ü" * 40, sha256="cd" * 32), "n-1")


@pytest.mark.parametrize("name", ["Model.gguf", "model.GGUF", "MODEL.gguf"])
def test_a_name_that_differs_only_in_case_is_taken(store, name):
    (store.root / "model.gguf").write_text("x")
    taken = store.taken(name)
    assert taken is not None
    assert taken.samefile(store.root / "model.gguf")


def test_a_dangling_link_takes_its_name(store):
    (store.root / "m.gguf").symlink_to("nowhere")
    assert store.taken("m.gguf") == store.root / "m.gguf"
    assert store.taken("other.gguf") is None


# Listing models ------------------------------------------------------------------------------------------------------


def test_files_and_folders_are_models_and_hidden_names_are_not(store):
    (store.root / "b.gguf").write_bytes(b"12345")
    (store.root / "a-mlx" / "sub").mkdir(parents=True)
    (store.root / "a-mlx" / "model.safetensors").write_bytes(b"123")
    (store.root / "a-mlx" / "sub" / "config.json").write_bytes(b"{}")
    (store.root / ".DS_Store").write_bytes(b"x")
    (store.root / ".git").mkdir()
    models = [(model.name, model.bytes, model.format, model.path) for model in store.models()]
    assert models == [
        ("a-mlx", 5, HubFormat.SAFETENSORS, store.root / "a-mlx"),
        ("b.gguf", 5, HubFormat.GGUF, store.root / "b.gguf"),
    ]


def test_a_folder_is_as_young_as_its_youngest_file(store):
    folder = store.root / "m"
    folder.mkdir()
    for name, time in (("old", 1_000_000_000), ("young", 1_700_000_000)):
        (folder / name).write_text("")
        os.utime(folder / name, (time, time))
    assert store.models()[0].modified_at.timestamp() == 1_700_000_000


def test_links_to_models_are_listed_and_dangling_ones_are_not(store, tmp_path):
    (tmp_path / "big.gguf").write_bytes(b"1234")
    (store.root / "link.gguf").symlink_to(tmp_path / "big.gguf")
    (store.root / "gone.gguf").symlink_to(tmp_path / "gone.gguf")
    os.mkfifo(store.root / "pipe")
    assert [(model.name, model.bytes) for model in store.models()] == [("link.gguf", 4)]


def test_a_folder_that_links_to_itself_is_listed_once(store):
    (store.root / "m").mkdir()
    (store.root / "m" / "f.gguf").write_bytes(b"1")
    (store.root / "m" / "loop").symlink_to(store.root / "m")
    assert [(model.name, model.bytes) for model in store.models()] == [("m", 1)]


def test_a_missing_store_has_no_models(tmp_path):
    assert Store(tmp_path / "none").models() == []
    (tmp_path / "file").write_text("")
    assert Store(tmp_path / "file").models() == []


@pytest.mark.parametrize(
    ("name", "kind"), [("m.GGUF", "gguf"), ("m.safetensors", "safetensors"), ("m.bin", None), ("gguf", None)]
)
def test_a_file_has_the_format_of_its_suffix(store, name, kind):
    assert format_of(store.root / name) == kind


def test_a_folder_of_two_formats_has_none(store):
    (store.root / "m").mkdir()
    for name in ("a.gguf", "b.safetensors"):
        (store.root / "m" / name).write_text("")
    assert format_of(store.root / "m") is None


# Removal -------------------------------------------------------------------------------------------------------------


def test_a_model_is_removed_whole_and_its_bytes_are_returned(store):
    (store.root / "keep.gguf").write_text("k")
    (store.root / "file.gguf").write_bytes(b"123")
    (store.root / "folder" / "sub").mkdir(parents=True)
    (store.root / "folder" / "sub" / "f").write_bytes(b"12345")
    assert store.remove("file.gguf") == 3
    assert store.remove("folder") == 5
    assert [model.name for model in store.models()] == ["keep.gguf"]
    assert list((store.root / PARTIAL).iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_target_of_a_removed_link_stays(store, tmp_path, kind):
    target = tmp_path / "outside"
    if kind == "folder":
        target.mkdir()
        (target / "f").write_text("mine")
    else:
        target.write_text("mine")
    (store.root / "link").symlink_to(target)
    before = snapshot(target)
    store.remove("link")
    assert target.exists()
    assert snapshot(target) == before
    assert store.taken("link") is None


def test_a_missing_model_cannot_be_removed(store):
    with pytest.raises(NotFound, match=r"'m\.gguf'"):
        store.remove("m.gguf")


# The store's identity ------------------------------------------------------------------------------------------------


def test_a_store_gets_an_identity_once(tmp_path):
    store = Store(tmp_path / "deep" / "llms")
    identity = store.open(None, own=True)
    assert store.identity() == identity
    assert store.open(identity, own=False) == identity
    assert (store.root / PARTIAL).is_dir()


@pytest.mark.parametrize("bare", ["an empty folder", "no folder"])
def test_a_known_store_that_is_bare_is_offline_and_nothing_is_made_there(tmp_path, bare):
    root = tmp_path / "mnt"
    if bare == "an empty folder":
        root.mkdir()
    with pytest.raises(StoreOffline, match=str(root)):
        Store(root).open("abc", own=False)
    assert not root.exists() or list(root.iterdir()) == []


@pytest.mark.parametrize("known", [None, "abc"])
@pytest.mark.parametrize("below", ["", "llms"])
def test_a_store_behind_a_link_to_nothing_is_offline_until_the_links_target_exists(tmp_path, known, below):
    disk, link = tmp_path / "disk2", tmp_path / "link"
    link.symlink_to(disk)
    with pytest.raises(StoreOffline, match=f"{link}.* is a link to {disk}, which is not there"):
        Store(link / below).open(known, own=True)
    assert not disk.exists()
    (disk / below).mkdir(parents=True)
    assert Store(link / below).open(None, own=True)


def test_a_store_that_is_a_link_to_itself_cannot_be_used(tmp_path):
    (tmp_path / "llms").symlink_to("llms")
    with pytest.raises(StoreUnusable):
        Store(tmp_path / "llms").open(None, own=True)


def test_a_store_of_the_home_that_was_removed_is_made_again_as_the_same(tmp_path):
    assert Store(tmp_path / "llms").open("abc", own=True) == "abc"


def test_a_bare_folder_that_was_never_a_store_becomes_one(tmp_path):
    (tmp_path / "mnt").mkdir()
    assert Store(tmp_path / "mnt").open(None, own=False)


def test_a_store_whose_identity_alone_was_removed_is_not_offline(tmp_path):
    store = Store(tmp_path / "mnt")
    identity = store.open(None, own=False)
    (store.root / "m.gguf").write_text("x")
    (store.root / STORE_ID).unlink()
    assert store.open(identity, own=False) == store.identity()


@pytest.mark.parametrize("own", [True, False])
def test_a_store_that_is_a_file_or_below_one_is_unusable(tmp_path, own):
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file" / "llms"):
        with pytest.raises(StoreUnusable, match=str(root)):
            Store(root).open(None, own=own)
    assert (tmp_path / "file").read_text() == "mine"


AWAY = [errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.ENODEV, errno.EROFS, errno.EBUSY]


@pytest.mark.parametrize("code", AWAY, ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("call", ["mkdir", "exists"])
def test_a_store_whose_disk_is_away_for_a_moment_is_offline(tmp_path, monkeypatch, code, call):
    """A share whose server restarts, a FUSE program that has ended: the job waits for the disk."""

    def refuse(*_args, **_settings):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, call, refuse)
    with pytest.raises(StoreOffline, match=str(tmp_path)):
        Store(tmp_path / "llms").open(None, own=False)


def test_a_store_on_a_broken_disk_is_a_storage_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", lambda *args, **settings: os.close(-1) if args else None)
    with pytest.raises(StorageFailed, match="Bad file descriptor") as raised:
        Store(tmp_path / "llms").open(None, own=False)
    assert "Look at the disk" in str(raised.value.hint)


def test_the_folder_lost_and_found_is_no_model(store):
    (store.root / "lost+found").mkdir()
    (store.root / "m.gguf").write_bytes(b"GGUF")
    assert [model.name for model in store.models()] == ["m.gguf"]
