"""Files in the store that flowhub did not write, by a user or an attacker: flowhub never changes them."""

import os
from pathlib import Path
from typing import Any

import pytest
from support.app import app_of
from support.faults import Status
from support.models import folder_model, gguf_pattern, mlx_folder, one_file_model
from support.origin import Origin

from flowhub_jobs.values.enums import DigestState, State

SIZE = 200_000


@pytest.fixture
def model(origin: Origin) -> dict[str, Any]:
    content = gguf_pattern(SIZE, 1)
    return one_file_model("m", origin.serve("/m.gguf", content), content)


def test_a_file_that_replaced_an_installed_one_is_not_overwritten(home: Path, model: dict[str, Any]) -> None:
    with app_of(home, model) as app:
        app.enqueue("m")
        app.run_next_job()
        users_file = app.store / "m.gguf"
        users_file.unlink()
        users_file.write_bytes(b"GGUF by hand")
        job = app.enqueue("m")
        app.run_next_job()
        failed = app.job(job)
        assert (failed.state, failed.error and failed.error["code"]) == (State.FAILED, "name_taken")
        assert users_file.read_bytes() == b"GGUF by hand"


def test_a_folder_to_which_a_user_added_a_file_is_never_replaced(home: Path, origin: Origin) -> None:
    files = mlx_folder(5)
    urls = {path: (origin.serve(f"/m/{path}", content), content) for path, content in files.items()}
    with app_of(home, folder_model("m", urls)) as app:
        app.enqueue("m")
        app.run_next_job()
        (app.store / "m-mlx-4bit" / "lora.safetensors").write_bytes(b"mine")
        job = app.enqueue("m", force=True)
        app.run_next_job()
        failed = app.job(job)
        assert failed.error is not None
        assert (failed.error["code"], "lora.safetensors" in failed.error["message"]) == ("name_taken", True)
        assert (app.store / "m-mlx-4bit" / "lora.safetensors").read_bytes() == b"mine"


DESKTOP_FILES = [".DS_Store", "._config.json", "Thumbs.db", "desktop.ini", ".directory", "@eaDir/model@SynoEAStream"]


@pytest.mark.parametrize("desktop_file", DESKTOP_FILES)
def test_a_folder_that_a_desktop_has_shown_is_repaired_and_recognized(
    home: Path, origin: Origin, desktop_file: str
) -> None:
    """The desktop's file is not the user's: it is removed with the old folder."""
    files = mlx_folder(5)
    urls = {path: (origin.serve(f"/m/{path}", content), content) for path, content in files.items()}
    with app_of(home, folder_model("m", urls)) as app:
        app.enqueue("m")
        app.run_next_job()
        folder = app.store / "m-mlx-4bit"
        (folder / desktop_file).parent.mkdir(exist_ok=True)
        (folder / desktop_file).write_bytes(b"view")
        for path in files:  # as a copy that keeps no times does: the digests identify it
            os.utime(folder / path, (1, 1))
        sent = len(origin.requests())
        job = app.enqueue("m")
        app.run_next_job()
        assert (app.job(job).state, len(origin.requests())) == (State.COMPLETED, sent)
        (folder / "config.json").write_bytes(b"{}")
        job = app.enqueue("m", force=True)
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert (folder / "config.json").read_bytes() == files["config.json"]


def test_an_unpinned_model_is_recognized_although_its_time_was_changed(home: Path, origin: Origin) -> None:
    """A copy of the store may keep no times. A changed byte is noticed."""
    url = origin.serve("/m.gguf", gguf_pattern(SIZE, 1))
    with app_of(home) as app:
        app.enqueue(url)
        app.run_next_job()
        os.utime(app.store / "m.gguf", (1, 1))
        sent = origin.sent("/m.gguf")
        job = app.enqueue(url)
        app.run_next_job()
        assert (app.job(job).state, origin.sent("/m.gguf")) == (State.COMPLETED, sent)
        assert app.job(job).sha256_state is DigestState.UNPINNED
        changed = bytearray((app.store / "m.gguf").read_bytes())
        changed[SIZE // 2] ^= 1
        (app.store / "m.gguf").write_bytes(changed)
        job = app.enqueue(url)
        app.run_next_job()
        failed = app.job(job)
        assert failed.error is not None
        assert failed.error["code"] == "name_taken"


def test_two_addresses_that_differ_only_in_their_query_do_not_take_each_others_name(home: Path, origin: Origin) -> None:
    versions = [gguf_pattern(SIZE, 1), gguf_pattern(SIZE, 2)]
    with app_of(home) as app:
        for number, content in enumerate(versions):
            app.enqueue(f"{origin.serve('/d.gguf', content)}?id={number}")
            app.run_next_job()
        contents = {path.read_bytes() for path in app.store.glob("*.gguf")}
        assert contents == {content.read() for content in versions}


def test_two_models_with_one_filename_both_arrive_though_both_run_at_once(home: Path, origin: Origin) -> None:
    contents = [gguf_pattern(SIZE, seed) for seed in range(6)]
    models = [
        one_file_model(f"m{seed}", origin.serve(f"/{seed}/model.gguf", content), content)
        for seed, content in enumerate(contents)
    ]
    with app_of(home, *models) as app:
        numbers = [app.enqueue(f"m{seed}") for seed in range(6)]
        assert app.drain("--jobs", "6") == 0
        assert {app.job(number).state for number in numbers} == {State.COMPLETED}
        assert {path.read_bytes() for path in app.store.glob("*.gguf")} == {content.read() for content in contents}


def test_purging_an_old_job_leaves_the_partial_to_the_job_that_resumes_it(home: Path, model: dict[str, Any]) -> None:
    with app_of(home, model) as app:
        old = app.enqueue("m")
        app.session.cancel(old)
        app.partial("m").mkdir(parents=True)
        (app.partial("m") / "journal").write_bytes(b"")
        app.enqueue("m")
        app.session.cancel(old, purge=True)
        assert (app.partial("m") / "journal").exists()


def test_a_partial_that_is_a_link_is_not_followed(home: Path, model: dict[str, Any], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "files").mkdir(parents=True)
    (outside / "files" / "m.gguf").write_bytes(b"mine")
    with app_of(home, model) as app:
        app.partial("m").parent.mkdir(parents=True)
        app.partial("m").symlink_to(outside)
        job = app.enqueue("m")
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED  # in another partial
        assert sorted(path.name for path in outside.rglob("*")) == ["files", "m.gguf"]
        assert (outside / "files" / "m.gguf").read_bytes() == b"mine"


def test_a_pipe_under_the_name_is_not_read(home: Path, model: dict[str, Any]) -> None:
    with app_of(home, model) as app:
        app.store.mkdir(parents=True)
        os.mkfifo(app.store / "m.gguf")
        job = app.enqueue("m")
        app.run_next_job()
        failed = app.job(job)
        assert failed.error is not None
        assert failed.error["code"] == "name_taken"


def test_a_job_whose_model_another_job_has_installed_fetches_nothing(
    home: Path, origin: Origin, model: dict[str, Any]
) -> None:
    with app_of(home, model) as app:
        first = app.enqueue("m")
        app.session.cancel(first)
        app.enqueue("m")
        app.run_next_job()
        app.session.requeue(first, "retry")
        app.run_next_job()
        assert app.job(first).state is State.COMPLETED
        assert origin.sent("/m.gguf") == SIZE


@pytest.mark.parametrize("secret", ["hf_abcdefghijklmnopqrstuvwxyz", "plain-secret-0123456789"])
def test_a_token_that_a_host_echoes_is_not_written_to_the_database(
    home: Path, origin: Origin, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    headers = {"X-Error-Message": f"bad token {secret} \x1b[2J"}
    origin.break_with(Status(401, headers), path="/m.gguf")
    home.mkdir()
    (home / "config.toml").write_text(f'[tokens]\n"{origin.url("")}" = "{secret}"\n')
    with app_of(home, model) as app:
        job = app.enqueue("m")
        app.run_next_job()
        failed = app.job(job)
        assert failed.error is not None
        assert failed.error["code"] == "token_refused"
        stored = b"".join(path.read_bytes() for path in home.iterdir() if path.is_file() and path.suffix != ".toml")
        assert secret.encode() not in stored
        assert "\x1b" not in failed.error["message"]
