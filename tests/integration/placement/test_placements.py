"""Tests of placements in any folder by the command line: links, files of other programs, updates and removal."""

import errno
import os
from pathlib import Path

import pytest
from support.cli import cli_app, run_due_jobs
from support.disk_files import files_in, flip_byte
from support.disks import image_disk, tmpfs_disk
from support.models import folder_model, gguf, mlx_folder, one_file_model

from flowhub_jobs import system
from flowhub_jobs.cli import output
from flowhub_jobs.placement import staging
from flowhub_jobs.store.links import LinkKind

V1, V2 = gguf(4096, 1), gguf(5000, 2)
FOLDER = mlx_folder(seed=4, size=50_000)


def file_model(origin, version):
    content = {1: V1, 2: V2}[version]
    return one_file_model("a", origin.serve(f"/v{version}/a.gguf", content), content)


def mlx_model(origin):
    return folder_model("c", {path: (origin.serve(f"/c/{path}", data), data) for path, data in FOLDER.items()})


@pytest.fixture
def app(home, origin, monkeypatch, any_database):
    """A home with the file a.gguf and the folder c-mlx-4bit installed, over both databases."""
    if any_database:
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", any_database)
    with cli_app(home, monkeypatch, file_model(origin, 1), mlx_model(origin)) as app:
        app.enqueue("a")
        app.enqueue("c")
        run_due_jobs(app)
        yield app


@pytest.fixture
def sqlite_app(home, origin, monkeypatch):
    with cli_app(home, monkeypatch, file_model(origin, 1), mlx_model(origin)) as app:
        app.enqueue("a")
        app.enqueue("c")
        run_due_jobs(app)
        yield app


@pytest.fixture
def app_folder(tmp_path):
    folder = tmp_path / "app-folder"
    folder.mkdir()
    return folder


def list_placements(cli) -> list[tuple[str, str, str]]:
    return [(row["name"], row["how"], row["state"]) for row in cli("placements", "--json").json["placements"]]


# Place and unplace ---------------------------------------------------------------------------------------------------


def test_a_placed_model_is_the_same_file_and_unplace_removes_only_that_name(cli, app, app_folder):
    page = cli("place", "a", "c", "--in", f"dir:{app_folder}", "--json").json
    [file, folder] = page["placements"]
    assert file == {
        "name": "a.gguf",
        "model": "a",
        "option": "q4",
        "app": f"dir:{app_folder}",
        "path": str(app_folder / "a.gguf"),
        "how": "hardlink",
        "state": "ok",
        "error": None,
        "next_at": None,
    }
    assert folder["path"] == str(app_folder / "c-mlx-4bit")
    assert (app_folder / "a.gguf").samefile(app.store / "a.gguf")
    assert files_in(app_folder / "c-mlx-4bit") == FOLDER
    assert cli("placements", "--json").json == page
    result = cli("place", "a", "--in", f"dir:{app_folder}")
    assert (result.status, result.out.startswith("Placed already: a.gguf")) == (0, True)
    assert [row["name"] for row in cli("unplace", "c", "--json").json["removed"]] == ["c-mlx-4bit"]
    assert sorted(os.listdir(app_folder)) == ["a.gguf"]
    assert (
        cli("unplace", "a.gguf", "--in", f"dir:{app_folder}").out
        == f"Removed a.gguf from dir:{app_folder}: {app_folder}/a.gguf.\n"
    )
    assert os.listdir(app_folder) == []
    assert (app.store / "a.gguf").read_bytes() == V1
    assert cli("placements", "--json").json["placements"] == []


def test_a_file_that_flowhub_did_not_create_is_never_replaced(cli, sqlite_app, app_folder):
    (app_folder / "a.gguf").write_bytes(b"of the program")
    (app_folder / "c-mlx-4bit").mkdir()
    (app_folder / "c-mlx-4bit" / "model.safetensors").write_bytes(b"also of the program")
    for ref in ("a", "c"):
        result = cli("place", ref, "--in", f"dir:{app_folder}", "--json")
        assert (result.status, result.error["code"]) == (1, "name_taken")
        assert "never replaced" in result.error["message"]
    assert files_in(app_folder) == {"a.gguf": b"of the program", "c-mlx-4bit/model.safetensors": b"also of the program"}
    assert list_placements(cli) == []


def test_an_empty_file_of_the_program_is_not_replaced_either(cli, sqlite_app, app_folder):
    (app_folder / "a.gguf").touch()
    assert cli("place", "a", "--in", f"dir:{app_folder}", "--json").error["code"] == "name_taken"
    assert (app_folder / "a.gguf").stat().st_size == 0


def test_a_file_that_appears_during_a_placement_is_not_replaced(cli, sqlite_app, app_folder, monkeypatch):
    def put_in_place(*arguments, **options):
        (app_folder / "a.gguf").write_bytes(b"of the program")
        return original(*arguments, **options)

    original = staging.put_in_place
    monkeypatch.setattr(staging, "put_in_place", put_in_place)
    assert cli("place", "a", "--in", f"dir:{app_folder}", "--json").error["code"] == "name_taken"
    assert files_in(app_folder) == {"a.gguf": b"of the program"}
    assert list_placements(cli) == []


def test_what_the_program_wrote_or_replaced_stays(cli, sqlite_app, app_folder):
    cli("place", "a", "c", "--in", f"dir:{app_folder}")
    (app_folder / "a.gguf").unlink()
    (app_folder / "a.gguf").write_bytes(b"of the program")
    (app_folder / "c-mlx-4bit" / "notes.txt").write_bytes(b"of the user")
    assert list_placements(cli) == [("a.gguf", "hardlink", "changed"), ("c-mlx-4bit", "hardlink", "ok")]
    assert cli("unplace", "a", "c").status == 0
    assert files_in(app_folder) == {"a.gguf": b"of the program", "c-mlx-4bit/notes.txt": b"of the user"}


def test_a_folder_with_a_long_path_is_printed_unbroken(cli, sqlite_app, tmp_path, monkeypatch):
    monkeypatch.setattr(output, "columns", lambda: 80)
    long = tmp_path / "a-folder-with-a-long-name-for-the-models-of-all-users"
    cli("place", "a", "--in", f"dir:{long}")
    first, second = cli("placements").out.splitlines()
    assert (first, second) == (f"a.gguf, in dir:{long}", f"  hard link, ok, {long / 'a.gguf'}")


def test_a_link_that_was_removed_is_missing_and_placed_again(cli, sqlite_app, app_folder):
    cli("place", "c", "--in", f"dir:{app_folder}")
    (app_folder / "c-mlx-4bit" / "config.json").unlink()
    assert list_placements(cli) == [("c-mlx-4bit", "hardlink", "missing")]
    result = cli("verify", "c", "--fast")
    assert "is missing" in result.err
    assert "flowhub place c-mlx-4bit --in" in result.err
    assert [row["state"] for row in cli("verify", "c", "--json").json["placements"]] == ["missing"]
    assert cli("place", "c", "--in", f"dir:{app_folder}").status == 0
    assert list_placements(cli) == [("c-mlx-4bit", "hardlink", "ok")]
    assert files_in(app_folder / "c-mlx-4bit") == FOLDER


def test_a_model_put_there_by_hand_and_one_that_was_changed_are_refused(cli, sqlite_app, app_folder):
    (sqlite_app.store / "hand.gguf").write_bytes(V2)
    assert cli("place", "hand.gguf", "--in", f"dir:{app_folder}", "--json").error["code"] == "placement_refused"
    (sqlite_app.store / "a.gguf").write_bytes(b"changed")
    error = cli("place", "a", "--in", f"dir:{app_folder}", "--json").error
    assert (error["code"], "--repair" in error["hint"]) == ("placement_refused", True)
    assert os.listdir(app_folder) == []


@pytest.mark.parametrize("program", ["nothing", "dir:", "dir:~no-such-user/x"])
def test_an_unknown_program_is_a_usage_error(cli, sqlite_app, program):
    assert cli("place", "a", "--in", program, "--json").status == 2


def test_a_model_that_is_placed_nowhere_is_not_found(cli, sqlite_app):
    assert cli("unplace", "a", "--json").error["code"] == "not_found"


def test_a_folder_on_a_disk_that_is_not_mounted_is_not_made(cli, sqlite_app, tmp_path):
    error = cli("place", "a", "--in", f"dir:{tmp_path}/mnt/models", "--json").error
    assert (error["code"], "mount" in error["hint"]) == ("app_folder_unusable", True)
    assert not (tmp_path / "mnt").exists()


def test_a_folder_that_may_not_be_written_is_named(cli, sqlite_app, app_folder, monkeypatch):
    def mkdir(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("flowhub_jobs.placement.carry_out_plan._make_root", lambda context, root, app: mkdir(root))
    error = cli("place", "a", "--in", f"dir:{app_folder}", "--json").error
    assert error["message"] == f"{app_folder} may not be written: Permission denied."
    assert (error["code"], error["retryable"]) == ("app_folder_unusable", True)
    assert list_placements(cli) == []


# With the model ------------------------------------------------------------------------------------------------------


def test_rm_removes_the_placements_first_and_frees_all(cli, app, app_folder):
    cli("place", "a", "--in", f"dir:{app_folder}")
    removals = cli("rm", "a", "--dry-run", "--json").json["removed"]
    assert [(row["bytes"], row["freed"]) for row in removals] == [(4096, 4096)]
    assert f"and from dir:{app_folder}" in " ".join(cli("rm", "a", "-y").out.split())
    assert os.listdir(app_folder) == []
    assert list_placements(cli) == []


def test_du_counts_no_placement_twice_and_list_shows_them(cli, sqlite_app, app_folder):
    before = cli("du", "--json").json
    cli("place", "a", "c", "--in", f"dir:{app_folder}")
    assert cli("du", "--json").json["models"] == before["models"]
    models = cli("list", "--json").json["models"]
    assert [row["placed_in"] for row in models] == [[f"dir:{app_folder}"]] * 2
    assert "flowhub placements" in cli("list").out + cli("list").err


@pytest.mark.parametrize("replaced", [True, False])
def test_update_moves_a_placement_to_the_new_version(cli, app, origin, app_folder, replaced):
    """The new version may have another file name: then the old one stays until prune."""
    cli("place", "a", "--in", f"dir:{app_folder}")
    newer = file_model(origin, 2)
    if not replaced:
        newer["downloads"][0]["filename"] = "a-v2.gguf"
    app.set_models(newer, mlx_model(origin))
    name = "a.gguf" if replaced else "a-v2.gguf"
    [job] = cli("update", "a", "--json").jobs
    run_due_jobs(app)
    assert files_in(app_folder) == {name: V2}
    assert (app_folder / name).samefile(app.store / name)
    assert list_placements(cli) == [(name, "hardlink", "ok")]
    assert "placed" in [event.kind for event in app.events(job["id"])]


def test_a_placement_that_the_program_changed_is_not_overwritten_by_an_update(cli, sqlite_app, origin, app_folder):
    cli("place", "a", "--in", f"dir:{app_folder}")
    (app_folder / "a.gguf").unlink()
    (app_folder / "a.gguf").write_bytes(b"of the program")
    sqlite_app.set_models(file_model(origin, 2), mlx_model(origin))
    [job] = cli("update", "a", "--json").jobs
    run_due_jobs(sqlite_app)
    assert sqlite_app.job(job["id"]).state == "completed"
    assert files_in(app_folder) == {"a.gguf": b"of the program"}
    [failed] = [event for event in sqlite_app.events(job["id"]) if event.kind == "placement_failed"]
    assert failed.code == "name_taken"


def test_prune_finds_a_placement_whose_model_left_the_library(cli, sqlite_app, app_folder):
    cli("place", "a", "--in", f"dir:{app_folder}")
    sqlite_app.home.library.forget("a.gguf")
    page = cli("prune", "-y", "--json").json
    assert [row["kind"] for row in page["removed"]] == ["placement"]
    assert os.listdir(app_folder) == []


# By a job ------------------------------------------------------------------------------------------------------------


def test_enqueue_places_on_completion_and_an_installed_model_at_once(cli, app, origin, app_folder):
    app.set_models(file_model(origin, 2), mlx_model(origin))
    [job] = cli("enqueue", "a", "--place", f"dir:{app_folder}", "--json").jobs
    assert os.listdir(app_folder) == []
    run_due_jobs(app)
    assert files_in(app_folder) == {"a.gguf": V2}
    assert [event.kind for event in app.events(job["id"])][-2:] == ["completed", "placed"]
    result = cli("enqueue", "c", "--place", f"dir:{app_folder}")
    assert (result.status, "then placed" in result.out) == (0, False)
    assert files_in(app_folder / "c-mlx-4bit") == FOLDER


def test_a_second_enqueue_of_a_queued_job_adds_its_programs(cli, sqlite_app, origin, app_folder, tmp_path):
    sqlite_app.set_models(file_model(origin, 2), mlx_model(origin))
    (tmp_path / "more").mkdir()
    assert f"queued, then placed in dir:{app_folder}" in " ".join(
        cli("enqueue", "a", "--place", f"dir:{app_folder}").out.split()
    )
    cli("enqueue", "a", "--place", f"dir:{tmp_path}/more")
    run_due_jobs(sqlite_app)
    assert files_in(app_folder) == files_in(tmp_path / "more") == {"a.gguf": V2}


def test_a_failed_placement_is_recorded_and_does_not_fail_the_job(cli, sqlite_app, origin, app_folder):
    sqlite_app.set_models(file_model(origin, 2), mlx_model(origin))
    (app_folder / "a.gguf").write_bytes(b"of the program")
    [job] = cli("enqueue", "a", "--place", f"dir:{app_folder}", "--json").jobs
    run_due_jobs(sqlite_app)
    assert sqlite_app.job(job["id"]).state == "completed"
    assert (app_folder / "a.gguf").read_bytes() == b"of the program"
    [failed] = [event for event in sqlite_app.events(job["id"]) if event.kind == "placement_failed"]
    assert failed.code == "name_taken"
    assert "never replaced" in cli("status", str(job["id"])).out
    [entry] = [row for row in cli("report", "--json").json["needs_you"] if row["job"] == job["id"]]
    assert (entry["code"], "flowhub place" in entry["hint"]) == ("name_taken", True)
    result = cli("enqueue", "a", "--place", f"dir:{app_folder}")
    assert (result.status, "never replaced" in result.err) == (0, True)


def test_the_programs_of_config_toml_are_the_default(cli, sqlite_app, origin, app_folder):
    (sqlite_app.path / "config.toml").write_text(
        'place = ["lm-studio"]\n[apps]\nlm-studio = "%s"\n' % (app_folder / "lms")
    )
    sqlite_app.set_models(file_model(origin, 2), mlx_model(origin))
    cli("enqueue", "a")
    assert cli("worker", "--drain").status == 0
    [row] = cli("placements", "--json").json["placements"]
    assert (row["app"], Path(row["path"]).is_relative_to(app_folder / "lms")) == ("lm-studio", True)


@pytest.mark.parametrize("line", ['place = "hf-cache"', "place = [1]", "apps = 3", "[apps]\nollama = 3"])
def test_a_setting_that_cannot_be_used_is_named(cli, sqlite_app, line):
    (sqlite_app.path / "config.toml").write_text(line + "\n")
    result = cli("placements", "--json")
    if line == 'place = "hf-cache"':
        assert result.status == 0
    else:
        assert result.error["code"] == "setting_invalid"


# Disks ---------------------------------------------------------------------------------------------------------------


def test_on_another_disk_a_placement_is_a_symbolic_link_unless_a_copy_is_requested(cli, sqlite_app, tmp_path):
    with tmpfs_disk(tmp_path / "disk") as disk:
        cli("place", "a", "c", "--in", f"dir:{disk.mount_point}")
        assert list_placements(cli) == [("a.gguf", "symlink", "ok"), ("c-mlx-4bit", "symlink", "ok")]
        assert (disk.mount_point / "a.gguf").readlink() == sqlite_app.store / "a.gguf"
        assert cli("unplace", "a").status == 0
        cli("place", "a", "--in", f"dir:{disk.mount_point}", "--copy")
        assert list_placements(cli)[0] == ("a.gguf", "copy", "ok")
        assert not (disk.mount_point / "a.gguf").is_symlink()
        assert cli("rm", "a", "c", "-y").status == 0
        assert os.listdir(disk.mount_point) == []


@pytest.fixture
def without_hard_links(monkeypatch):
    """A file system such as FAT: it has no links, no reflinks, and no rename that refuses to replace."""

    def refuse(*arguments, **options):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(system, "_rename_flags", lambda *arguments, **options: False)
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)


@pytest.mark.usefixtures("without_hard_links")
def test_a_disk_without_links_gets_copies_alone(cli, sqlite_app, app_folder):
    error = cli("place", "a", "--in", f"dir:{app_folder}", "--json").error
    assert (error["code"], "--copy" in error["hint"]) == ("placement_refused", True)
    assert os.listdir(app_folder) == []
    assert cli("place", "a", "c", "--in", f"dir:{app_folder}", "--copy").status == 0
    assert list_placements(cli) == [("a.gguf", "copy", "ok"), ("c-mlx-4bit", "copy", "ok")]
    assert files_in(app_folder / "c-mlx-4bit") == FOLDER
    (app_folder / "b.gguf").write_bytes(b"of the program")
    assert cli("unplace", "a", "c").status == 0
    assert files_in(app_folder) == {"b.gguf": b"of the program"}


@pytest.mark.usefixtures("without_hard_links")
def test_a_file_of_the_program_is_not_replaced_on_a_disk_without_links(cli, sqlite_app, app_folder):
    (app_folder / "a.gguf").write_bytes(b"")
    assert cli("place", "a", "--in", f"dir:{app_folder}", "--copy", "--json").error["code"] == "name_taken"
    assert files_in(app_folder) == {"a.gguf": b""}


@pytest.mark.parametrize(("kind", "how"), [("ext4", LinkKind.HARDLINK), ("btrfs", LinkKind.REFLINK)])
def test_a_store_and_a_program_on_one_disk_share_the_bytes(home, origin, monkeypatch, cli, tmp_path, kind, how):
    with image_disk(tmp_path / "image", kind) as mount_point:
        monkeypatch.setenv("FLOWHUB_STORE", str(mount_point / "llms"))
        with cli_app(home, monkeypatch, file_model(origin, 1)) as app:
            app.enqueue("a")
            run_due_jobs(app)
            assert cli("place", "a", "--in", f"dir:{mount_point}/app-folder").status == 0
            assert list_placements(cli) == [("a.gguf", how, "ok")]
            assert cli("rm", "a", "-y").status == 0
            assert not (mount_point / "app-folder" / "a.gguf").exists()


def test_a_repaired_model_is_placed_again_with_its_good_bytes(cli, sqlite_app, app_folder):
    """The hard link has the damaged bytes, and the repair installs a new file."""
    cli("place", "a", "--in", f"dir:{app_folder}")
    flip_byte(sqlite_app.store / "a.gguf", 2000)
    assert (app_folder / "a.gguf").read_bytes() != V1
    assert cli("verify", "a", "--repair").status == 0
    assert files_in(app_folder) == {"a.gguf": V1}
    assert list_placements(cli) == [("a.gguf", "hardlink", "ok")]


@pytest.mark.parametrize("subfolder", ["", ".partial"])
def test_no_model_is_placed_in_the_store_or_a_folder_of_it(cli, sqlite_app, subfolder):
    folder = sqlite_app.store / subfolder
    before = files_in(sqlite_app.store)
    result = cli("place", "a", "--in", f"dir:{folder}", "--json")
    assert result.error["code"] == "placement_refused"
    assert "another folder" in result.error["hint"]
    assert files_in(sqlite_app.store) == before
    assert list_placements(cli) == []
