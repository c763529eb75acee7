"""Before a fetch, the same bytes are looked for on this machine, and linked: two programs fetch them once."""

import os
import shutil
from pathlib import Path

import pytest
from support.app import app_of
from support.faults import Hold
from support.models import folder_model, gguf, mlx_folder, one_file_model
from support.other_apps import hugging_face, lm_studio, ollama, put, sha256

from flowhub_jobs.errors import SettingInvalid
from flowhub_jobs.jobs.rescue import rescue
from flowhub_jobs.jobs.run_values import LeaseLost
from flowhub_jobs.settings import load_settings
from flowhub_jobs.store import file_hash, install
from flowhub_jobs.store.library_check import is_unchanged
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.values.enums import DigestState, State, StopReason
from flowhub_jobs.worker import fetch_job
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.pipeline import run_job
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


def run(app, ref, **terms):
    job = app.enqueue(ref, **terms)
    app.run_next_job()
    return app.job(job)


def row(app, name):
    return next(entry for entry in app.home.library.entries() if entry.name == name)


@pytest.mark.parametrize("place", ["ollama", "huggingface", "lm-studio"])
def test_what_another_program_has_is_linked_and_nothing_is_fetched(app, user_home, origin, place):
    if place == "lm-studio":
        theirs = lm_studio(user_home, "pub/repo/of another name.gguf", A)
    elif place == "ollama":
        theirs = ollama(user_home, "a", "latest", A)
    else:
        theirs = hugging_face(user_home, "own/a", {"x.gguf": A}) / "blobs" / sha256(A)
    job = run(app, "a")
    assert (job.state, job.sha256_state) == (State.COMPLETED, DigestState.VERIFIED)
    assert (job.bytes_total, job.bytes_done, job.bytes_fetched) == (SIZE, SIZE, 0)
    assert [file.bytes_done for file in job.files] == [SIZE]
    assert origin.sent("/a.gguf") == 0
    assert (app.store / "a.gguf").read_bytes() == A
    assert row(app, "a.gguf").linked_from == str(theirs)
    [event] = [event for event in app.events(job.id) if event.kind == "linked"]
    assert str(theirs) in event.text
    assert "nothing was fetched" in event.text
    assert app.leftover_partials() == []


@pytest.mark.parametrize("place", ["ollama", "huggingface", "lm-studio"])
def test_a_name_or_a_size_that_claims_to_be_it_is_not_believed(app, user_home, origin, place):
    if place == "lm-studio":
        lm_studio(user_home, "pub/repo/a.gguf", B)
    elif place == "ollama":
        ollama(user_home, "a", "latest", A).write_bytes(B)
    else:
        (hugging_face(user_home, "own/a", {"x.gguf": A}) / "blobs" / sha256(A)).write_bytes(B)
    job = run(app, "a")
    assert (job.state, job.bytes_fetched, (app.store / "a.gguf").read_bytes()) == (State.COMPLETED, SIZE, A)
    assert row(app, "a.gguf").linked_from is None


def test_the_same_digest_under_another_name_in_the_store_is_linked_not_fetched(app, origin):
    run(app, "a")
    sent = origin.sent("/a.gguf")
    job = run(app, "again")
    assert (job.bytes_fetched, origin.sent("/a.gguf"), Path(job.target).name) == (0, sent, "again.gguf")
    assert row(app, "again.gguf").linked_from is None
    (app.store / "a.gguf").unlink()
    assert (app.store / "again.gguf").read_bytes() == A


def test_what_turned_on_the_disk_unseen_is_not_linked_again(app, origin):
    """Size and time are those of the installation, the bytes are not."""
    run(app, "a")
    ours = app.store / "a.gguf"
    there = ours.stat()
    ours.write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    os.utime(ours, ns=(there.st_atime_ns, there.st_mtime_ns))
    job = run(app, "again")
    assert (job.bytes_fetched, (app.store / "again.gguf").read_bytes()) == (SIZE, A)


# What changes after it was read ---------------------------------------------------------------------------------------


def flip(path):
    """Write into a file, at a later time than it was read."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    later = path.stat().st_mtime_ns + 1_000_000_000
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(later, later))


def after(monkeypatch, module, name, act):
    """Have something happen right after a step of a job, the first time."""
    real, times = getattr(module, name), []

    def step(*arguments, **options):
        done = real(*arguments, **options)
        times.append(None)
        if len(times) == 1:
            act()
        return done

    monkeypatch.setattr(module, name, step)


@pytest.fixture(params=["hardlink", "symlink"])
def shared(request, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)
    if request.param == "symlink":
        monkeypatch.setattr("flowhub_jobs.store.links._make_hardlink", lambda source, target: False)


def test_a_linked_file_that_is_written_to_while_the_rest_is_fetched_is_fetched_too(
    app, user_home, shared, origin, monkeypatch
):
    theirs = hugging_face(user_home, "own/c", {"model.safetensors": MLX["model.safetensors"]})
    theirs = theirs / "blobs" / sha256(MLX["model.safetensors"])
    after(monkeypatch, fetch_job, "fetch", lambda: flip(theirs))
    job = run(app, "c")
    total = sum(map(len, MLX.values()))
    assert (job.state, job.bytes_fetched, job.bytes_done) == (State.COMPLETED, total, total)
    ours = app.store / "c-mlx-4bit"
    assert {path.name: path.read_bytes() for path in ours.iterdir()} == MLX
    assert row(app, "c-mlx-4bit").linked_from is None
    assert theirs.read_bytes() != MLX["model.safetensors"]
    said = [event.text for event in app.events(job.id) if event.kind == "linked"]
    assert "was written to after it had been read" in said[-1]
    assert app.leftover_partials() == []


@pytest.mark.parametrize("cut_short", [False, True])
def test_a_linked_file_that_is_written_to_before_its_row_counts_as_changed(
    app, user_home, shared, monkeypatch, cut_short
):
    """The time of the bytes that were read is written down, not the time that the file has by then."""
    theirs = hugging_face(user_home, "own/c", {"model.safetensors": MLX["model.safetensors"]})
    theirs = theirs / "blobs" / sha256(MLX["model.safetensors"])

    def act():
        flip(theirs)
        if cut_short:
            raise LeaseLost(1)  # as after a crash: nothing more is written

    after(monkeypatch, install, "rename_into_place", act)
    job = run(app, "c")
    if cut_short:
        assert rescue(app.home.engine, app.home.node, app.home.clock, lambda worker: True) == {job.id: None}
        app.run_next_job()
    assert app.job(job.id).state is State.COMPLETED
    assert not is_unchanged(row(app, "c-mlx-4bit"), app.store / "c-mlx-4bit")


def test_a_path_that_is_no_utf8_is_passed_over_and_the_rest_is_used(app, user_home, origin):
    lm = user_home / ".lmstudio" / "models"
    put(lm / "pub" / os.fsdecode(b"caf\xe9") / "a.gguf", A)
    put(lm / "pub" / os.fsdecode(b"\xff.gguf"), A)
    put(user_home / os.fsdecode(b"\xfe.bin"), A)
    (lm / "pub" / "link.gguf").symlink_to(user_home / os.fsdecode(b"\xfe.bin"))
    job = run(app, "a")
    assert (job.state, job.bytes_fetched) == (State.COMPLETED, SIZE)
    (app.store / "a.gguf").unlink()
    theirs = put(lm / "pub" / "z" / "good.gguf", A)
    job = run(app, "again")
    assert (job.state, job.bytes_fetched, row(app, "again.gguf").linked_from) == (State.COMPLETED, 0, str(theirs))


# A link of ours that leads nowhere ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ref", ["a", "c"])
def test_a_dead_link_of_flowhub_is_replaced_by_a_fetch(app, user_home, monkeypatch, ref):
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)
    monkeypatch.setattr("flowhub_jobs.store.links._make_hardlink", lambda source, target: False)
    if ref == "a":
        lm_studio(user_home, "pub/repo/a.gguf", A)
    else:
        hugging_face(user_home, "own/c", MLX, lfs=("",))
    first = run(app, ref)
    assert first.bytes_fetched == 0
    for path in (".lmstudio", ".cache"):
        shutil.rmtree(user_home / path, ignore_errors=True)
    again = run(app, ref)
    assert (again.state, again.target) == (State.COMPLETED, first.target)
    there = Path(again.target)
    found = {path.name: path.read_bytes() for path in (there.iterdir() if there.is_dir() else [there])}
    assert found == ({"a.gguf": A} if ref == "a" else MLX)


def test_a_dead_link_of_the_user_is_never_replaced(app, user_home):
    app.store.mkdir(exist_ok=True)
    (app.store / "a.gguf").symlink_to(user_home / "gone")
    job = run(app, "a")
    assert (job.state, job.error["code"]) == (State.FAILED, "name_taken")
    assert (app.store / "a.gguf").is_symlink()


def test_a_folder_with_a_dead_link_and_a_file_that_a_person_changed_is_theirs(app, user_home, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)
    monkeypatch.setattr("flowhub_jobs.store.links._make_hardlink", lambda source, target: False)
    theirs = hugging_face(user_home, "own/c", {"model.safetensors": MLX["model.safetensors"]})
    run(app, "c")
    shutil.rmtree(theirs)
    (app.store / "c-mlx-4bit" / "config.json").write_text("mine")
    assert run(app, "c").state is State.FAILED
    assert (app.store / "c-mlx-4bit" / "config.json").read_text() == "mine"


@pytest.mark.parametrize("whole", [True, False])
def test_of_a_folder_what_is_found_is_linked_and_only_the_rest_is_fetched(app, user_home, origin, whole):
    there = MLX if whole else {path: MLX[path] for path in ("config.json", "model.safetensors")}
    hugging_face(user_home, "own/c", there, lfs=("",))
    job = run(app, "c")
    total = sum(map(len, MLX.values()))
    fetched = 0 if whole else len(MLX["tokenizer.json"])
    assert (job.state, job.sha256_state, job.bytes_fetched) == (State.COMPLETED, DigestState.VERIFIED, fetched)
    assert (job.bytes_total, job.bytes_done) == (total, total)
    assert {file.path: file.bytes_done for file in job.files} == {path: len(data) for path, data in MLX.items()}
    ours = app.store / "c-mlx-4bit"
    assert {str(path.relative_to(ours)): path.read_bytes() for path in ours.rglob("*")} == MLX
    assert app.leftover_partials() == []
    assert app.enqueue("c") == job.id


def test_the_screen_counts_what_was_linked_while_the_rest_is_fetched(app, user_home, monkeypatch):
    there = {path: MLX[path] for path in ("config.json", "model.safetensors")}
    hugging_face(user_home, "own/c", there, lfs=("",))
    shown = []
    real = ProgressWriter.show
    monkeypatch.setattr(ProgressWriter, "show", lambda self, seen: (shown.append(seen), real(self, seen)))
    run(app, "c")
    total, linked = sum(map(len, MLX.values())), sum(map(len, there.values()))
    fetching = [seen for seen in shown if seen.files[1].kept]
    assert fetching
    assert {seen.total for seen in shown} == {total}
    assert {len(seen.files) for seen in shown} == {3}
    assert all(linked <= seen.kept <= total for seen in fetching)
    assert [file.number for file in fetching[-1].files] == [0, 1, 2]


def test_an_update_of_a_folder_fetches_only_the_files_that_are_new(app, origin):
    run(app, "c")
    newer = MLX | {"config.json": b'{"newer": 1}'}
    files = {path: (origin.serve(f"/c2/{path}", data), data) for path, data in newer.items()}
    app.set_models(folder_model("c", files))
    job = run(app, "c")
    assert (job.state, job.bytes_fetched) == (State.COMPLETED, len(newer["config.json"]))
    ours = app.store / "c-mlx-4bit"
    assert {path.name: path.read_bytes() for path in ours.iterdir()} == newer


@pytest.mark.parametrize("why", ["forced", "no digest"])
def test_a_forced_job_and_one_without_a_digest_are_fetched_whatever_is_there(app, user_home, why):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    job = run(app, "a", force=True) if why == "forced" else run(app, "free")
    assert (job.state, job.bytes_fetched) == (State.COMPLETED, SIZE)


def test_the_setting_turns_it_off(home, user_home, origin, monkeypatch):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    monkeypatch.setenv("FLOWHUB_LOOK_ELSEWHERE", "off")
    with app_of(home, one_file_model("a", origin.serve("/a.gguf", A), A)) as app:
        assert run(app, "a").bytes_fetched == SIZE


def test_a_linked_file_is_never_written_to_when_the_transfer_continues(app, user_home, origin):
    """The mixed case is cut short, their files go away, and the next attempt fetches all."""
    theirs = hugging_face(user_home, "own/c", {"model.safetensors": MLX["model.safetensors"]})
    blob = theirs / "blobs" / sha256(MLX["model.safetensors"])
    kept = user_home / "kept"
    os.link(blob, kept)
    hold = Hold(after=10)
    origin.break_with(hold.once(), path="/c/tokenizer.json")
    job = app.enqueue("c")
    context = WorkerContext(app.home, 1)
    claimed = context.leases.claim()

    def stop(_seen) -> None:
        for held in context.runs().values():
            held.control.stop(StopReason.WORKER_STOPS)

    monkey = pytest.MonkeyPatch()
    monkey.setattr(
        "flowhub_jobs.worker.progress.ProgressWriter.show", lambda self, seen: stop(seen) if seen.kept else None
    )
    try:
        run_job(context, claimed)
    finally:
        monkey.undo()
        hold.event.set()
        context.close()
    assert app.job(job).state is State.QUEUED
    assert "model.safetensors" not in journal.load(app.partial("c")).files
    blob.unlink()
    app.run_next_job()
    assert app.job(job).state is State.COMPLETED
    assert kept.read_bytes() == MLX["model.safetensors"]
    assert (app.store / "c-mlx-4bit" / "model.safetensors").stat().st_ino != kept.stat().st_ino


@pytest.mark.parametrize("word", ["pause", "cancel"])
def test_a_request_is_carried_out_while_another_programs_file_is_read(app, user_home, word, monkeypatch):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    job = app.enqueue("a")
    context = WorkerContext(app.home, 1)
    claimed = context.leases.claim()
    real = file_hash.read_once

    def read_once(fd, buffer, offset):
        getattr(app.home.commands, word)(job)
        for run in context.runs().values():
            run.control.stop(StopReason.REQUESTED)
        return real(fd, buffer, offset)

    monkeypatch.setattr(file_hash, "read_once", read_once)
    run_job(context, claimed)
    context.close()
    assert app.job(job).state is {"pause": State.PAUSED, "cancel": State.CANCELLED}[word]
    assert not (app.store / "a.gguf").exists()


def test_a_linked_file_that_needs_no_room_is_installed_on_a_full_disk(app, user_home, monkeypatch):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    monkeypatch.setattr("flowhub_jobs.worker.fetch_job.check_need", lambda *_: pytest.fail("it asked for room"))
    assert run(app, "a").state is State.COMPLETED


def test_what_is_no_file_or_cannot_be_read_is_passed_over(app, user_home):
    root = user_home / ".ollama" / "models" / "blobs"
    root.mkdir(parents=True)
    os.mkfifo(root / f"sha256-{sha256(A)}")
    folder = put(user_home / ".lmstudio" / "models" / "x" / "notes.gguf", b"GGUF").parent
    (folder / "loop.gguf").symlink_to("loop.gguf")
    (folder / "up").symlink_to(user_home / ".lmstudio")
    assert run(app, "a").bytes_fetched == SIZE


@pytest.mark.parametrize(("word", "value"), [("off", False), ("0", False), ("TRUE", True), ("on", True)])
def test_the_setting_is_a_switch(home, monkeypatch, word, value):
    monkeypatch.setenv("FLOWHUB_LOOK_ELSEWHERE", word)
    assert load_settings().look_elsewhere is value


def test_a_switch_that_is_neither_on_nor_off_is_refused(home, monkeypatch):
    monkeypatch.setenv("FLOWHUB_LOOK_ELSEWHERE", "maybe")
    with pytest.raises(SettingInvalid, match="neither on nor off"):
        load_settings()
