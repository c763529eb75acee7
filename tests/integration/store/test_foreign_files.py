"""What an attacker tried, and what a person does to a store by hand: what is not ours never changes."""

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


def test_a_file_that_replaced_an_installed_one_is_the_users(home: Path, model: dict[str, Any]) -> None:
    with app_of(home, model) as shop:
        shop.enqueue("m")
        shop.work_here()
        own = shop.store / "m.gguf"
        own.unlink()
        own.write_bytes(b"GGUF by hand")
        job = shop.enqueue("m")
        shop.work_here()
        failed = shop.job(job)
        assert (failed.state, failed.error and failed.error["code"]) == (State.FAILED, "name_taken")
        assert own.read_bytes() == b"GGUF by hand"


def test_a_file_that_a_person_added_to_our_folder_is_never_swapped_away(home: Path, origin: Origin) -> None:
    files = mlx_folder(5)
    urls = {path: (origin.serve(f"/m/{path}", content), content) for path, content in files.items()}
    with app_of(home, folder_model("m", urls)) as shop:
        shop.enqueue("m")
        shop.work_here()
        (shop.store / "m-mlx-4bit" / "lora.safetensors").write_bytes(b"mine")
        job = shop.enqueue("m", force=True)
        shop.work_here()
        failed = shop.job(job)
        assert failed.error is not None
        assert (failed.error["code"], "lora.safetensors" in failed.error["message"]) == ("name_taken", True)
        assert (shop.store / "m-mlx-4bit" / "lora.safetensors").read_bytes() == b"mine"


DESKTOP_FILES = [".DS_Store", "._config.json", "Thumbs.db", "desktop.ini", ".directory", "@eaDir/model@SynoEAStream"]


@pytest.mark.parametrize("made", DESKTOP_FILES)
def test_a_folder_that_a_desktop_has_shown_is_repaired_and_recognized(home: Path, origin: Origin, made: str) -> None:
    """The desktop's file is none of the user's: it goes with the old folder."""
    files = mlx_folder(5)
    urls = {path: (origin.serve(f"/m/{path}", content), content) for path, content in files.items()}
    with app_of(home, folder_model("m", urls)) as shop:
        shop.enqueue("m")
        shop.work_here()
        folder = shop.store / "m-mlx-4bit"
        (folder / made).parent.mkdir(exist_ok=True)
        (folder / made).write_bytes(b"view")
        for path in files:  # as after a copy that keeps no times: recognized by its digests
            os.utime(folder / path, (1, 1))
        sent = len(origin.requests())
        job = shop.enqueue("m")
        shop.work_here()
        assert (shop.job(job).state, len(origin.requests())) == (State.COMPLETED, sent)
        (folder / "config.json").write_bytes(b"{}")
        job = shop.enqueue("m", force=True)
        shop.work_here()
        assert shop.job(job).state is State.COMPLETED
        assert (folder / "config.json").read_bytes() == files["config.json"]


def test_a_model_of_which_nothing_is_published_is_recognized_although_its_time_was_changed(
    home: Path, origin: Origin
) -> None:
    """As after a copy of the store that keeps no times. A changed byte is noticed."""
    url = origin.serve("/m.gguf", gguf_pattern(SIZE, 1))
    with app_of(home) as shop:
        shop.enqueue(url)
        shop.work_here()
        os.utime(shop.store / "m.gguf", (1, 1))
        sent = origin.sent("/m.gguf")
        job = shop.enqueue(url)
        shop.work_here()
        assert (shop.job(job).state, origin.sent("/m.gguf")) == (State.COMPLETED, sent)
        assert shop.job(job).sha256_state is DigestState.UNPINNED
        changed = bytearray((shop.store / "m.gguf").read_bytes())
        changed[SIZE // 2] ^= 1
        (shop.store / "m.gguf").write_bytes(changed)
        job = shop.enqueue(url)
        shop.work_here()
        failed = shop.job(job)
        assert failed.error is not None
        assert failed.error["code"] == "name_taken"


def test_two_addresses_that_differ_only_in_their_query_do_not_take_each_others_name(home: Path, origin: Origin) -> None:
    versions = [gguf_pattern(SIZE, 1), gguf_pattern(SIZE, 2)]
    with app_of(home) as shop:
        for number, content in enumerate(versions):
            shop.enqueue(f"{origin.serve('/d.gguf', content)}?id={number}")
            shop.work_here()
        contents = {path.read_bytes() for path in shop.store.glob("*.gguf")}
        assert contents == {content.read() for content in versions}


def test_two_models_with_one_filename_both_arrive_though_both_run_at_once(home: Path, origin: Origin) -> None:
    contents = [gguf_pattern(SIZE, seed) for seed in range(6)]
    models = [
        one_file_model(f"m{seed}", origin.serve(f"/{seed}/model.gguf", content), content)
        for seed, content in enumerate(contents)
    ]
    with app_of(home, *models) as shop:
        numbers = [shop.enqueue(f"m{seed}") for seed in range(6)]
        assert shop.drain("--jobs", "6") == 0
        assert {shop.job(number).state for number in numbers} == {State.COMPLETED}
        assert {path.read_bytes() for path in shop.store.glob("*.gguf")} == {content.read() for content in contents}


def test_purging_an_old_job_leaves_the_partial_to_the_job_that_goes_on_with_it(
    home: Path, model: dict[str, Any]
) -> None:
    with app_of(home, model) as shop:
        old = shop.enqueue("m")
        shop.session.cancel(old)
        shop.partial("m").mkdir(parents=True)
        (shop.partial("m") / "journal").write_bytes(b"")
        shop.enqueue("m")
        shop.session.cancel(old, purge=True)
        assert (shop.partial("m") / "journal").exists()


def test_a_partial_that_is_a_link_leads_nowhere(home: Path, model: dict[str, Any], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "files").mkdir(parents=True)
    (outside / "files" / "m.gguf").write_bytes(b"mine")
    with app_of(home, model) as shop:
        shop.partial("m").parent.mkdir(parents=True)
        shop.partial("m").symlink_to(outside)
        job = shop.enqueue("m")
        shop.work_here()
        assert shop.job(job).state is State.COMPLETED  # in a partial of its own
        assert sorted(path.name for path in outside.rglob("*")) == ["files", "m.gguf"]
        assert (outside / "files" / "m.gguf").read_bytes() == b"mine"


def test_a_pipe_under_the_name_is_not_read(home: Path, model: dict[str, Any]) -> None:
    with app_of(home, model) as shop:
        shop.store.mkdir(parents=True)
        os.mkfifo(shop.store / "m.gguf")
        job = shop.enqueue("m")
        shop.work_here()
        failed = shop.job(job)
        assert failed.error is not None
        assert failed.error["code"] == "name_taken"


def test_a_job_whose_model_another_job_has_installed_meanwhile_fetches_nothing(
    home: Path, origin: Origin, model: dict[str, Any]
) -> None:
    with app_of(home, model) as shop:
        first = shop.enqueue("m")
        shop.session.cancel(first)
        shop.enqueue("m")
        shop.work_here()
        shop.session.again(first, "retry")
        shop.work_here()
        assert shop.job(first).state is State.COMPLETED
        assert origin.sent("/m.gguf") == SIZE


@pytest.mark.parametrize("secret", ["hf_abcdefghijklmnopqrstuvwxyz", "plain-secret-0123456789"])
def test_a_host_that_says_the_token_back_does_not_get_it_into_a_row(
    home: Path, origin: Origin, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    said = {"X-Error-Message": f"bad token {secret} \x1b[2J"}
    origin.break_with(Status(401, said), path="/m.gguf")
    home.mkdir()
    (home / "config.toml").write_text(f'[tokens]\n"{origin.url("")}" = "{secret}"\n')
    with app_of(home, model) as shop:
        job = shop.enqueue("m")
        shop.work_here()
        failed = shop.job(job)
        assert failed.error is not None
        assert failed.error["code"] == "token_refused"
        written = b"".join(path.read_bytes() for path in home.iterdir() if path.is_file() and path.suffix != ".toml")
        assert secret.encode() not in written
        assert "\x1b" not in failed.error["message"]
