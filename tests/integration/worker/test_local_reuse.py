"""Tests of local reuse: before it fetches, a job searches this machine for the same bytes, and links them."""

import os
import shutil
from pathlib import Path

import pytest
from support.app import app_of
from support.faults import Hold
from support.models import folder_model, gguf, mlx_folder, one_file_model
from support.other_apps import hugging_face, lm_studio, ollama, sha256, write_file

from flowhub_jobs.errors import SettingInvalid
from flowhub_jobs.jobs.rescue import rescue
from flowhub_jobs.jobs.run_values import LeaseLost
from flowhub_jobs.settings import load_settings
from flowhub_jobs.store import file_hash, install
from flowhub_jobs.store.library_check import is_unchanged
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.values.enums import DigestState, State, StopReason
from flowhub_jobs.worker import fetch_step, pipeline
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.progress import ProgressWriter

SIZE = (1 << 20) + 5
A, B = gguf(SIZE, 1), gguf(SIZE, 2)
MLX = mlx_folder(seed=7, size=300_000)


@pytest.fixture
def app(home, user_home, origin, monkeypatch):
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in MLX.items()}
    models = [
        one_file_model("a", origin.serve("/a.gguf", A), A),
        one_file_model("again", origin.url("/a.gguf"), A, filename="again.gguf"),
        one_file_model("free", origin.url("/a.gguf"), A, pin=False, filename="free.gguf"),
        folder_model("c", files),
    ]
    with app_of(home, *models) as app:
        yield app


def run_job(app, ref, **terms):
    job = app.enqueue(ref, **terms)
    app.run_next_job()
    return app.job(job)


def library_entry(app, name):
    return next(entry for entry in app.home.library.entries() if entry.name == name)


@pytest.mark.parametrize("program", ["ollama", "huggingface", "lm-studio"])
def test_a_file_of_another_program_is_linked_and_nothing_is_fetched(app, user_home, origin, program):
    if program == "lm-studio":
        source = lm_studio(user_home, "pub/repo/of another name.gguf", A)
    elif program == "ollama":
        source = ollama(user_home, "a", "latest", A)
    else:
        source = hugging_face(user_home, "own/a", {"x.gguf": A}) / "blobs" / sha256(A)
    job = run_job(app, "a")
    assert (job.state, job.sha256_state) == (State.COMPLETED, DigestState.VERIFIED)
    assert (job.bytes_total, job.bytes_done, job.bytes_fetched) == (SIZE, SIZE, 0)
    assert [file.bytes_done for file in job.files] == [SIZE]
    assert origin.sent("/a.gguf") == 0
    assert (app.store / "a.gguf").read_bytes() == A
    assert library_entry(app, "a.gguf").linked_from == str(source)
    [event] = [event for event in app.events(job.id) if event.kind == "linked"]
    assert str(source) in event.text
    assert "nothing was downloaded" in event.text
    assert app.leftover_partials() == []


@pytest.mark.parametrize("program", ["ollama", "huggingface", "lm-studio"])
def test_a_file_of_the_same_name_or_size_with_other_bytes_is_not_linked(app, user_home, origin, program):
    if program == "lm-studio":
        lm_studio(user_home, "pub/repo/a.gguf", B)
    elif program == "ollama":
        ollama(user_home, "a", "latest", A).write_bytes(B)
    else:
        (hugging_face(user_home, "own/a", {"x.gguf": A}) / "blobs" / sha256(A)).write_bytes(B)
    job = run_job(app, "a")
    assert (job.state, job.bytes_fetched, (app.store / "a.gguf").read_bytes()) == (State.COMPLETED, SIZE, A)
    assert library_entry(app, "a.gguf").linked_from is None


def test_the_same_digest_under_another_name_in_the_store_is_linked_not_fetched(app, origin):
    run_job(app, "a")
    sent = origin.sent("/a.gguf")
    job = run_job(app, "again")
    assert (job.bytes_fetched, origin.sent("/a.gguf"), Path(job.target).name) == (0, sent, "again.gguf")
    assert library_entry(app, "again.gguf").linked_from is None
    (app.store / "a.gguf").unlink()
    assert (app.store / "again.gguf").read_bytes() == A


def test_a_file_with_a_flipped_byte_and_its_old_times_is_not_linked(app, origin):
    """Size and time are those of the installation, and a byte differs."""
    run_job(app, "a")
    path = app.store / "a.gguf"
    before = path.stat()
    path.write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    job = run_job(app, "again")
    assert (job.bytes_fetched, (app.store / "again.gguf").read_bytes()) == (SIZE, A)


# Changes after the reading --------------------------------------------------------------------------------------------


def flip_last_byte(path):
    """Change the last byte of a file, and set a later modification time."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    later = path.stat().st_mtime_ns + 1_000_000_000
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(later, later))


def act_after(monkeypatch, module, name, act):
    """Call `act` right after the first call of a function."""
    function, calls = getattr(module, name), []

    def step(*arguments, **options):
        value = function(*arguments, **options)
        calls.append(None)
        if len(calls) == 1:
            act()
        return value

    monkeypatch.setattr(module, name, step)


@pytest.fixture(params=["hardlink", "symlink"])
def without_reflinks(request, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)
    if request.param == "symlink":
        monkeypatch.setattr("flowhub_jobs.store.links._make_hardlink", lambda source, target: False)


def test_a_linked_file_that_is_written_to_while_the_rest_is_fetched_is_fetched_too(
    app, user_home, without_reflinks, origin, monkeypatch
):
    cache = hugging_face(user_home, "own/c", {"model.safetensors": MLX["model.safetensors"]})
    blob = cache / "blobs" / sha256(MLX["model.safetensors"])
    act_after(monkeypatch, fetch_step, "fetch", lambda: flip_last_byte(blob))
    job = run_job(app, "c")
    total = sum(map(len, MLX.values()))
    assert (job.state, job.bytes_fetched, job.bytes_done) == (State.COMPLETED, total, total)
    folder = app.store / "c-mlx-4bit"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MLX
    assert library_entry(app, "c-mlx-4bit").linked_from is None
    assert blob.read_bytes() != MLX["model.safetensors"]
    texts = [event.text for event in app.events(job.id) if event.kind == "linked"]
    assert "was written to after it had been read" in texts[-1]
    assert app.leftover_partials() == []


@pytest.mark.parametrize("crashes", [False, True])
def test_a_linked_file_that_is_written_to_before_its_row_counts_as_changed(
    app, user_home, without_reflinks, monkeypatch, crashes
):
    """The row has the modification time of the bytes that were read, not the file's later one."""
    cache = hugging_face(user_home, "own/c", {"model.safetensors": MLX["model.safetensors"]})
    blob = cache / "blobs" / sha256(MLX["model.safetensors"])

    def change():
        flip_last_byte(blob)
        if crashes:
            raise LeaseLost(1)  # as after a crash: the job writes nothing more

    act_after(monkeypatch, install, "rename_into_place", change)
    job = run_job(app, "c")
    if crashes:
        assert rescue(app.home.engine, app.home.node, app.home.clock, lambda worker: True) == {job.id: None}
        app.run_next_job()
    assert app.job(job.id).state is State.COMPLETED
    assert not is_unchanged(library_entry(app, "c-mlx-4bit"), app.store / "c-mlx-4bit")


def test_a_path_that_is_not_utf8_is_skipped_and_the_rest_is_used(app, user_home, origin):
    models = user_home / ".lmstudio" / "models"
    write_file(models / "pub" / os.fsdecode(b"caf\xe9") / "a.gguf", A)
    write_file(models / "pub" / os.fsdecode(b"\xff.gguf"), A)
    write_file(user_home / os.fsdecode(b"\xfe.bin"), A)
    (models / "pub" / "link.gguf").symlink_to(user_home / os.fsdecode(b"\xfe.bin"))
    job = run_job(app, "a")
    assert (job.state, job.bytes_fetched) == (State.COMPLETED, SIZE)
    (app.store / "a.gguf").unlink()
    file = write_file(models / "pub" / "z" / "good.gguf", A)
    job = run_job(app, "again")
    assert (job.state, job.bytes_fetched) == (State.COMPLETED, 0)
    assert library_entry(app, "again.gguf").linked_from == str(file)


# Dead links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ref", ["a", "c"])
def test_a_dead_link_of_flowhub_is_replaced_by_a_fetch(app, user_home, monkeypatch, ref):
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)
    monkeypatch.setattr("flowhub_jobs.store.links._make_hardlink", lambda source, target: False)
    if ref == "a":
        lm_studio(user_home, "pub/repo/a.gguf", A)
    else:
        hugging_face(user_home, "own/c", MLX, lfs=("",))
    first = run_job(app, ref)
    assert first.bytes_fetched == 0
    for path in (".lmstudio", ".cache"):
        shutil.rmtree(user_home / path, ignore_errors=True)
    second = run_job(app, ref)
    assert (second.state, second.target) == (State.COMPLETED, first.target)
    target = Path(second.target)
    contents = {path.name: path.read_bytes() for path in (target.iterdir() if target.is_dir() else [target])}
    assert contents == ({"a.gguf": A} if ref == "a" else MLX)


def test_a_dead_link_of_the_user_is_never_replaced(app, user_home):
    app.store.mkdir(exist_ok=True)
    (app.store / "a.gguf").symlink_to(user_home / "gone")
    job = run_job(app, "a")
    assert (job.state, job.error["code"]) == (State.FAILED, "name_taken")
    assert (app.store / "a.gguf").is_symlink()


def test_a_folder_with_a_dead_link_and_a_file_that_the_user_changed_is_not_replaced(app, user_home, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)
    monkeypatch.setattr("flowhub_jobs.store.links._make_hardlink", lambda source, target: False)
    cache = hugging_face(user_home, "own/c", {"model.safetensors": MLX["model.safetensors"]})
    run_job(app, "c")
    shutil.rmtree(cache)
    (app.store / "c-mlx-4bit" / "config.json").write_text("mine")
    assert run_job(app, "c").state is State.FAILED
    assert (app.store / "c-mlx-4bit" / "config.json").read_text() == "mine"


@pytest.mark.parametrize("complete", [True, False])
def test_the_files_of_a_folder_that_are_found_are_linked_and_only_the_rest_is_fetched(app, user_home, origin, complete):
    local = MLX if complete else {path: MLX[path] for path in ("config.json", "model.safetensors")}
    hugging_face(user_home, "own/c", local, lfs=("",))
    job = run_job(app, "c")
    total = sum(map(len, MLX.values()))
    fetched = 0 if complete else len(MLX["tokenizer.json"])
    assert (job.state, job.sha256_state, job.bytes_fetched) == (State.COMPLETED, DigestState.VERIFIED, fetched)
    assert (job.bytes_total, job.bytes_done) == (total, total)
    assert {file.path: file.bytes_done for file in job.files} == {path: len(data) for path, data in MLX.items()}
    folder = app.store / "c-mlx-4bit"
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")} == MLX
    assert app.leftover_partials() == []
    assert app.enqueue("c") == job.id


def test_the_progress_counts_linked_bytes_while_the_rest_is_fetched(app, user_home, monkeypatch):
    local = {path: MLX[path] for path in ("config.json", "model.safetensors")}
    hugging_face(user_home, "own/c", local, lfs=("",))
    reports = []
    show = ProgressWriter.show
    monkeypatch.setattr(ProgressWriter, "show", lambda self, progress: (reports.append(progress), show(self, progress)))
    run_job(app, "c")
    total, linked = sum(map(len, MLX.values())), sum(map(len, local.values()))
    fetching = [progress for progress in reports if progress.files[1].kept]
    assert fetching
    assert {progress.total for progress in reports} == {total}
    assert {len(progress.files) for progress in reports} == {3}
    assert all(linked <= progress.kept <= total for progress in fetching)
    assert [file.number for file in fetching[-1].files] == [0, 1, 2]


def test_an_update_of_a_folder_fetches_only_the_files_that_are_new(app, origin):
    run_job(app, "c")
    newer = MLX | {"config.json": b'{"newer": 1}'}
    files = {path: (origin.serve(f"/c2/{path}", data), data) for path, data in newer.items()}
    app.set_models(folder_model("c", files))
    job = run_job(app, "c")
    assert (job.state, job.bytes_fetched) == (State.COMPLETED, len(newer["config.json"]))
    folder = app.store / "c-mlx-4bit"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == newer


@pytest.mark.parametrize("reason", ["forced", "no digest"])
def test_a_forced_job_and_one_without_a_digest_link_no_local_file(app, user_home, reason):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    job = run_job(app, "a", force=True) if reason == "forced" else run_job(app, "free")
    assert (job.state, job.bytes_fetched) == (State.COMPLETED, SIZE)


def test_the_setting_turns_local_reuse_off(home, user_home, origin, monkeypatch):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    monkeypatch.setenv("FLOWHUB_LOOK_ELSEWHERE", "off")
    with app_of(home, one_file_model("a", origin.serve("/a.gguf", A), A)) as app:
        assert run_job(app, "a").bytes_fetched == SIZE


def test_a_linked_file_is_never_written_to_when_the_transfer_continues(app, user_home, origin):
    """An attempt that linked one file is interrupted, that file is deleted, and the next attempt fetches all."""
    cache = hugging_face(user_home, "own/c", {"model.safetensors": MLX["model.safetensors"]})
    blob = cache / "blobs" / sha256(MLX["model.safetensors"])
    second_link = user_home / "second-link"
    os.link(blob, second_link)
    hold = Hold(after=10)
    origin.break_with(hold.once(), path="/c/tokenizer.json")
    job = app.enqueue("c")
    context = WorkerContext(app.home, 1)
    claimed = context.leases.claim()

    def stop_after_first_bytes(_, progress) -> None:
        if progress.kept:
            for run in context.runs().values():
                run.cancel.stop(StopReason.WORKER_STOPS)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ProgressWriter, "show", stop_after_first_bytes)
            pipeline.run_job(context, claimed)
    finally:
        hold.event.set()
        context.close()
    assert app.job(job).state is State.QUEUED
    assert "model.safetensors" not in journal.load(app.partial("c")).files
    blob.unlink()
    app.run_next_job()
    assert app.job(job).state is State.COMPLETED
    assert second_link.read_bytes() == MLX["model.safetensors"]
    assert (app.store / "c-mlx-4bit" / "model.safetensors").stat().st_ino != second_link.stat().st_ino


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_request_is_carried_out_while_another_programs_file_is_read(app, user_home, action, monkeypatch):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    job = app.enqueue("a")
    context = WorkerContext(app.home, 1)
    claimed = context.leases.claim()
    original_read_once = file_hash.read_once

    def read_once(fd, buffer, offset):
        getattr(app.home.commands, action)(job)
        for run in context.runs().values():
            run.cancel.stop(StopReason.REQUESTED)
        return original_read_once(fd, buffer, offset)

    monkeypatch.setattr(file_hash, "read_once", read_once)
    pipeline.run_job(context, claimed)
    context.close()
    assert app.job(job).state is {"pause": State.PAUSED, "cancel": State.CANCELLED}[action]
    assert not (app.store / "a.gguf").exists()


def test_a_linked_file_that_needs_no_room_is_installed_on_a_full_disk(app, user_home, monkeypatch):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    monkeypatch.setattr("flowhub_jobs.worker.fetch_step.check_need", lambda *_: pytest.fail("it checked for room"))
    assert run_job(app, "a").state is State.COMPLETED


def test_an_entry_that_is_no_file_or_cannot_be_read_is_skipped(app, user_home):
    root = user_home / ".ollama" / "models" / "blobs"
    root.mkdir(parents=True)
    os.mkfifo(root / f"sha256-{sha256(A)}")
    folder = write_file(user_home / ".lmstudio" / "models" / "x" / "notes.gguf", b"GGUF").parent
    (folder / "loop.gguf").symlink_to("loop.gguf")
    (folder / "up").symlink_to(user_home / ".lmstudio")
    assert run_job(app, "a").bytes_fetched == SIZE


@pytest.mark.parametrize(("text", "value"), [("off", False), ("0", False), ("TRUE", True), ("on", True)])
def test_the_setting_is_a_switch(home, monkeypatch, text, value):
    monkeypatch.setenv("FLOWHUB_LOOK_ELSEWHERE", text)
    assert load_settings().look_elsewhere is value


def test_a_switch_that_is_neither_on_nor_off_is_refused(home, monkeypatch):
    monkeypatch.setenv("FLOWHUB_LOOK_ELSEWHERE", "maybe")
    with pytest.raises(SettingInvalid, match="neither on nor off"):
        load_settings()
