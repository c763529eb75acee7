"""Tests of `from flowhub_jobs import …`: the catalog, a download without queue or database, the store."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.cli import cli_app, lease_store_of
from support.faults import Hold, Reset
from support.models import folder_model, gguf, gguf_pattern, mlx_folder, one_file_model, write_catalog

from flowhub_jobs import (
    DownloadOption,
    FlowhubError,
    Hardware,
    HubCatalog,
    HubFormat,
    HubModel,
    HubVersion,
    InstalledModel,
    LocalLlm,
    Offload,
    catalog,
    delete_local_llm,
    download,
    find,
    list_local_llms,
    resolve_option,
)
from flowhub_jobs.errors import (
    Busy,
    DigestMismatch,
    NameTaken,
    NotFound,
    SizeMismatch,
    SourceMissing,
    StorageFailed,
    UsageInvalid,
)

MIB = 1 << 20
CONTENT = gguf(300_000, 1)


@dataclass
class ProgressCalls:
    """The calls of `on_progress`, with their arguments."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, *, stage: str, bytes_done: int, bytes_total: int | None) -> None:
        self.calls.append({"stage": stage, "done": bytes_done, "total": bytes_total})


@pytest.fixture
def option_of(home, tmp_path, monkeypatch):
    """Return a function that writes a catalog of these models and returns the first option of the first one."""

    def write(*models: dict[str, Any]) -> DownloadOption:
        monkeypatch.setenv("FLOWHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", *models)))
        return resolve_option(find(models[0]["id"]))

    return write


def names_in(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".store-id"
    )


# The catalog ---------------------------------------------------------------------------------------------------------


def test_the_shipped_catalog_is_typed(home):
    shipped = catalog()
    assert isinstance(shipped, HubCatalog)
    model = find("qwen3-8b")
    assert isinstance(model, HubModel)
    assert isinstance(model.hardware, Hardware)
    assert all(isinstance(version, HubVersion) for version in model.versions or [])
    option = resolve_option(model)
    assert isinstance(option, DownloadOption)
    assert (option.format, option.offload) == (HubFormat.GGUF, Offload.FULL)
    assert resolve_option(model, "mlx-4bit").format is HubFormat.MLX
    assert not home.exists()


def test_the_error_of_an_unknown_model_or_option_names_the_nearest(home):
    with pytest.raises(NotFound) as unknown_model:
        find("qwen3-8bb")
    assert "qwen3-8b" in str(unknown_model.value.hint)
    with pytest.raises(NotFound) as unknown_option:
        resolve_option(find("qwen3-8b"), "q4_k_n")
    assert "q4_k_m" in str(unknown_option.value.hint)
    assert isinstance(unknown_option.value, FlowhubError)


# download ------------------------------------------------------------------------------------------------------------


def test_a_file_is_downloaded_verified_and_installed_without_a_database(home, origin, option_of, tmp_path):
    option, progress = option_of(one_file_model("a", origin.serve("/a.gguf", CONTENT), CONTENT)), ProgressCalls()
    path = download(option, tmp_path / "models", progress)
    assert path == tmp_path / "models" / "a.gguf"
    assert path.read_bytes() == CONTENT
    assert names_in(tmp_path / "models") == ["a.gguf"]
    assert not home.exists() or not [entry for entry in home.rglob("*") if entry.suffix == ".db"]
    assert progress.calls
    assert progress.calls[-1]["done"] == progress.calls[-1]["total"] == len(CONTENT)
    assert {call["stage"] for call in progress.calls} <= {"resolve", "download", "verify", "install"}


def test_every_file_of_a_folder_is_downloaded(home, origin, option_of, tmp_path):
    files = mlx_folder(size=200_000)
    option = option_of(
        folder_model("c", {path: (origin.serve(f"/c/{path}", data), data) for path, data in files.items()})
    )
    path = download(option, str(tmp_path / "models"))
    assert path.is_dir()
    assert {name: (path / name).read_bytes() for name in names_in(path)} == files
    assert [entry.name for entry in path.parent.iterdir() if entry.name[0] != "."] == [path.name]


def test_an_interrupted_download_is_resumed(home, origin, option_of, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWHUB_FAULTS_MAX", "1")
    content = gguf_pattern(8 * MIB, 4)
    url = origin.serve("/a.gguf", content, faults=[Reset(after=2 * MIB).from_byte(3 * MIB)])
    option = option_of(one_file_model("a", url, content))

    class Interrupted(Exception):
        pass

    def interrupt(*, stage: str, bytes_done: int, bytes_total: int | None) -> None:
        if bytes_done > MIB:
            raise Interrupted

    origin.limit(total_bps=6 * MIB)
    with pytest.raises(Interrupted):
        download(option, tmp_path, interrupt)
    assert not (tmp_path / "a.gguf").exists()
    sent_before = origin.sent("/a.gguf")
    origin.limit(total_bps=None)
    origin.serve("/a.gguf", content)
    assert download(option, tmp_path).stat().st_size == content.size
    assert origin.sent("/a.gguf") - sent_before < content.size


def test_of_two_calls_for_the_same_file_one_fetches_and_the_other_fails(home, origin, option_of, tmp_path):
    hold = Hold(after=1000)
    option = option_of(one_file_model("a", origin.serve("/a.gguf", CONTENT, faults=[hold.once()]), CONTENT))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(download, option, tmp_path / "models")
        origin.wait_for(lambda: origin.sent("/a.gguf") >= 1000)
        with pytest.raises(Busy, match="Another process is fetching"):
            download(option, tmp_path / "models")
        hold.event.set()
        assert first.result(30).read_bytes() == CONTENT
    assert download(option, tmp_path / "models").read_bytes() == CONTENT
    assert origin.sent("/a.gguf") == len(CONTENT)


def test_a_disk_error_at_the_lock_is_not_reported_as_another_process(home, origin, option_of, tmp_path, monkeypatch):
    option = option_of(one_file_model("a", origin.serve("/a.gguf", CONTENT), CONTENT))

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("flowhub_jobs.transfer.partial.owner_lock.LockFile", refuse)
    with pytest.raises(StorageFailed, match="Permission denied"):
        download(option, tmp_path)


def test_an_existing_file_with_the_same_bytes_is_used_without_a_download(home, origin, option_of, tmp_path):
    option = option_of(one_file_model("a", origin.serve("/a.gguf", CONTENT), CONTENT))
    (tmp_path / "a.gguf").write_bytes(CONTENT)
    assert download(option, tmp_path) == tmp_path / "a.gguf"
    assert origin.sent("/a.gguf") == 0


def test_an_existing_file_with_other_bytes_is_never_replaced(home, origin, option_of, tmp_path):
    option = option_of(one_file_model("a", origin.serve("/a.gguf", CONTENT), CONTENT))
    (tmp_path / "a.gguf").write_bytes(b"mine")
    with pytest.raises(NameTaken):
        download(option, tmp_path)
    assert (tmp_path / "a.gguf").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("served", "error"), [(gguf(300_000, 2), DigestMismatch), (gguf(9, 1), SizeMismatch), (None, SourceMissing)]
)
def test_a_failed_download_raises_and_installs_nothing(home, origin, option_of, tmp_path, served, error):
    url = origin.serve("/a.gguf", served) if served else origin.url("/a.gguf")
    with pytest.raises(error) as raised:
        download(option_of(one_file_model("a", url, CONTENT)), tmp_path / "models")
    assert set(raised.value.as_dict()) == {"code", "message", "hint", "retryable"}
    assert not (tmp_path / "models" / "a.gguf").exists()


# The store -----------------------------------------------------------------------------------------------------------


def test_local_models_are_files_and_folders_by_name(home):
    store = home / "llms"
    (store / "folder").mkdir(parents=True)
    (store / "folder" / "model.safetensors").write_bytes(b"12345678")
    (store / "b.gguf").write_bytes(b"GGUF")
    (store / ".hidden").write_bytes(b"x")
    file, folder = list_local_llms()
    assert isinstance(file, LocalLlm)
    assert (file.name, file.path, file.bytes, file.format) == ("b.gguf", store / "b.gguf", 4, HubFormat.GGUF)
    assert (folder.name, folder.bytes, folder.format) == ("folder", 8, HubFormat.SAFETENSORS)
    assert file.modified_at.utcoffset() is not None
    assert not (home / "flowhub.db").exists()


def test_without_a_store_no_models_are_listed(home):
    assert list_local_llms() == []


def test_delete_removes_a_file_and_a_whole_folder(home):
    store = home / "llms"
    (store / "folder" / "deep").mkdir(parents=True)
    (store / "folder" / "deep" / "x").write_bytes(b"123")
    (store / "b.gguf").write_bytes(b"GGUF")
    delete_local_llm("folder")
    delete_local_llm("b.gguf")
    assert list_local_llms() == []


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/b", "", ".", "..", ".partial", "~", "a\0b"])
def test_delete_accepts_only_a_bare_name(home, tmp_path, name):
    (tmp_path / "outside").write_text("mine")
    with pytest.raises(UsageInvalid):
        delete_local_llm(name)
    assert (tmp_path / "outside").read_text() == "mine"


def test_delete_of_a_missing_model_is_not_found(home):
    with pytest.raises(NotFound):
        delete_local_llm("none.gguf")


def test_delete_is_refused_while_a_job_works_on_it(home, monkeypatch):
    with cli_app(home, monkeypatch, one_file_model("a", "https://h.example/a.gguf", CONTENT)) as app:
        app.store.mkdir()
        (app.store / "a.gguf").write_bytes(b"GGUF")
        app.enqueue("a")
        assert lease_store_of(app).claim() is not None
        with pytest.raises(Busy, match="job 1"):
            delete_local_llm("a.gguf")
        assert (app.store / "a.gguf").exists()


def test_the_row_of_an_installed_model_is_public():
    assert "in_catalog" in InstalledModel.__slots__


@pytest.mark.parametrize(
    "dest", ["a\0b", "n" * 300, "/".join(["n" * 200] * 30), "\udcff\ud800", "/dev/null/x", "file/x"]
)
def test_an_unusable_folder_is_a_flowhub_error(home, origin, option_of, tmp_path, monkeypatch, dest):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FlowhubError) as raised:
        download(option_of(one_file_model("a", origin.serve("/a.gguf", CONTENT), CONTENT)), dest)
    assert raised.value.hint
