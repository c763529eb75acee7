"""Placements by the command line, in any folder: what is made, what stays, and what follows the model."""

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
from flowhub_jobs.store.links import LinkKind

V1, V2 = gguf(4096, 1), gguf(5000, 2)
FOLDER = mlx_folder(seed=4, size=50_000)


def model(origin, version):
    content = {1: V1, 2: V2}[version]
    return one_file_model("a", origin.serve(f"/v{version}/a.gguf", content), content)


def folder(origin):
    return folder_model("c", {path: (origin.serve(f"/c/{path}", data), data) for path, data in FOLDER.items()})


@pytest.fixture
def app(home, origin, monkeypatch, any_database):
    """A home with the file a.gguf and the folder c-mlx-4bit installed, over both databases."""
    if any_database:
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", any_database)
    with cli_app(home, monkeypatch, model(origin, 1), folder(origin)) as app:
        app.enqueue("a")
        app.enqueue("c")
        run_due_jobs(app)
        yield app


@pytest.fixture
def sqlite_app(home, origin, monkeypatch):
    with cli_app(home, monkeypatch, model(origin, 1), folder(origin)) as app:
        app.enqueue("a")
        app.enqueue("c")
        run_due_jobs(app)
        yield app


@pytest.fixture
def theirs(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    return folder


def placed(cli) -> list[tuple[str, str, str]]:
    return [(one["name"], one["how"], one["state"]) for one in cli("placements", "--json").json["placements"]]


# Place and unplace ---------------------------------------------------------------------------------------------------


def test_a_placed_model_is_the_same_file_and_unplace_takes_only_that_name(cli, app, theirs):
    page = cli("place", "a", "c", "--in", f"dir:{theirs}", "--json").json
    [file, whole] = page["placements"]
    assert file == {
        "name": "a.gguf",
        "model": "a",
        "option": "q4",
        "app": f"dir:{theirs}",
        "path": str(theirs / "a.gguf"),
        "how": "hardlink",
        "state": "ok",
        "error": None,
        "next_at": None,
    }
    assert whole["path"] == str(theirs / "c-mlx-4bit")
    assert (theirs / "a.gguf").samefile(app.store / "a.gguf")
    assert files_in(theirs / "c-mlx-4bit") == FOLDER
    assert cli("placements", "--json").json == page
    again = cli("place", "a", "--in", f"dir:{theirs}")
    assert (again.status, again.out.startswith("Placed already: a.gguf")) == (0, True)
    assert [one["name"] for one in cli("unplace", "c", "--json").json["removed"]] == ["c-mlx-4bit"]
    assert sorted(os.listdir(theirs)) == ["a.gguf"]
    assert (
        cli("unplace", "a.gguf", "--in", f"dir:{theirs}").out == f"Removed a.gguf from dir:{theirs}: {theirs}/a.gguf.\n"
    )
    assert os.listdir(theirs) == []
    assert (app.store / "a.gguf").read_bytes() == V1
    assert cli("placements", "--json").json["placements"] == []


def test_a_file_that_flowhub_did_not_create_is_never_replaced(cli, sqlite_app, theirs):
    (theirs / "a.gguf").write_bytes(b"theirs")
    (theirs / "c-mlx-4bit").mkdir()
    (theirs / "c-mlx-4bit" / "model.safetensors").write_bytes(b"theirs, too")
    for ref in ("a", "c"):
        said = cli("place", ref, "--in", f"dir:{theirs}", "--json")
        assert (said.status, said.error["code"]) == (1, "name_taken")
        assert "never replaced" in said.error["message"]
    assert files_in(theirs) == {"a.gguf": b"theirs", "c-mlx-4bit/model.safetensors": b"theirs, too"}
    assert placed(cli) == []


def test_an_empty_file_of_theirs_is_not_replaced_either(cli, sqlite_app, theirs):
    (theirs / "a.gguf").touch()
    assert cli("place", "a", "--in", f"dir:{theirs}", "--json").error["code"] == "name_taken"
    assert (theirs / "a.gguf").stat().st_size == 0


def test_a_file_that_appears_during_a_placement_is_not_replaced(cli, sqlite_app, theirs, monkeypatch):
    from flowhub_jobs.placement import staging

    def put_in_place(*arguments, **options):
        (theirs / "a.gguf").write_bytes(b"theirs")
        return real(*arguments, **options)

    real = staging.put_in_place
    monkeypatch.setattr(staging, "put_in_place", put_in_place)
    assert cli("place", "a", "--in", f"dir:{theirs}", "--json").error["code"] == "name_taken"
    assert files_in(theirs) == {"a.gguf": b"theirs"}
    assert placed(cli) == []


def test_what_the_program_wrote_or_replaced_stays(cli, sqlite_app, theirs):
    cli("place", "a", "c", "--in", f"dir:{theirs}")
    (theirs / "a.gguf").unlink()
    (theirs / "a.gguf").write_bytes(b"theirs")
    (theirs / "c-mlx-4bit" / "notes.txt").write_bytes(b"mine")
    assert placed(cli) == [("a.gguf", "hardlink", "changed"), ("c-mlx-4bit", "hardlink", "ok")]
    assert cli("unplace", "a", "c").status == 0
    assert files_in(theirs) == {"a.gguf": b"theirs", "c-mlx-4bit/notes.txt": b"mine"}


def test_a_folder_with_a_long_path_leaves_no_column_to_be_broken(cli, sqlite_app, tmp_path, monkeypatch):
    monkeypatch.setattr(output, "columns", lambda: 80)
    long = tmp_path / "a-folder-with-a-long-name-for-the-models-of-all-users"
    cli("place", "a", "--in", f"dir:{long}")
    first, second = cli("placements").out.splitlines()
    assert (first, second) == (f"a.gguf, in dir:{long}", f"  hard link, ok, {long / 'a.gguf'}")


def test_a_link_that_was_removed_is_missing_and_placed_again(cli, sqlite_app, theirs):
    cli("place", "c", "--in", f"dir:{theirs}")
    (theirs / "c-mlx-4bit" / "config.json").unlink()
    assert placed(cli) == [("c-mlx-4bit", "hardlink", "missing")]
    said = cli("verify", "c", "--fast")
    assert "is missing" in said.err
    assert "flowhub place c-mlx-4bit --in" in said.err
    assert [one["state"] for one in cli("verify", "c", "--json").json["placements"]] == ["missing"]
    assert cli("place", "c", "--in", f"dir:{theirs}").status == 0
    assert placed(cli) == [("c-mlx-4bit", "hardlink", "ok")]
    assert files_in(theirs / "c-mlx-4bit") == FOLDER


def test_a_model_put_there_by_hand_and_one_that_was_changed_are_refused(cli, sqlite_app, theirs):
    (sqlite_app.store / "hand.gguf").write_bytes(V2)
    assert cli("place", "hand.gguf", "--in", f"dir:{theirs}", "--json").error["code"] == "placement_refused"
    (sqlite_app.store / "a.gguf").write_bytes(b"changed")
    said = cli("place", "a", "--in", f"dir:{theirs}", "--json").error
    assert (said["code"], "--repair" in said["hint"]) == ("placement_refused", True)
    assert os.listdir(theirs) == []


@pytest.mark.parametrize("program", ["nothing", "dir:", "dir:~nobody-here/x"])
def test_an_unknown_program_is_a_usage_error(cli, sqlite_app, program):
    assert cli("place", "a", "--in", program, "--json").status == 2


def test_a_model_that_is_placed_nowhere_is_not_found(cli, sqlite_app):
    assert cli("unplace", "a", "--json").error["code"] == "not_found"


def test_a_folder_on_a_disk_that_is_not_mounted_is_not_made(cli, sqlite_app, tmp_path):
    said = cli("place", "a", "--in", f"dir:{tmp_path}/mnt/models", "--json").error
    assert (said["code"], "mount" in said["hint"]) == ("app_folder_unusable", True)
    assert not (tmp_path / "mnt").exists()


def test_a_folder_that_may_not_be_written_is_named(cli, sqlite_app, theirs, monkeypatch):
    def mkdir(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("flowhub_jobs.placement.carry_out_plan._make_root", lambda context, root, app: mkdir(root))
    said = cli("place", "a", "--in", f"dir:{theirs}", "--json").error
    assert said["message"] == f"{theirs} may not be written: Permission denied."
    assert (said["code"], said["retryable"]) == ("app_folder_unusable", True)
    assert placed(cli) == []


# With the model ------------------------------------------------------------------------------------------------------


def test_rm_removes_the_placements_first_and_frees_all(cli, app, theirs):
    cli("place", "a", "--in", f"dir:{theirs}")
    dry = cli("rm", "a", "--dry-run", "--json").json["removed"]
    assert [(one["bytes"], one["freed"]) for one in dry] == [(4096, 4096)]
    assert f"and from dir:{theirs}" in " ".join(cli("rm", "a", "-y").out.split())
    assert os.listdir(theirs) == []
    assert placed(cli) == []


def test_du_and_list_know_the_placements(cli, sqlite_app, theirs):
    before = cli("du", "--json").json
    cli("place", "a", "c", "--in", f"dir:{theirs}")
    assert cli("du", "--json").json["models"] == before["models"]
    listed = cli("list", "--json").json["models"]
    assert [one["placed_in"] for one in listed] == [[f"dir:{theirs}"]] * 2
    assert "flowhub placements" in cli("list").out + cli("list").err


@pytest.mark.parametrize("replaced", [True, False])
def test_update_moves_a_placement_to_the_new_version(cli, app, origin, theirs, replaced):
    """Also where the new version has a file name of its own, and the old one stays until prune."""
    cli("place", "a", "--in", f"dir:{theirs}")
    newer = model(origin, 2)
    if not replaced:
        newer["downloads"][0]["filename"] = "a-v2.gguf"
    app.set_models(newer, folder(origin))
    name = "a.gguf" if replaced else "a-v2.gguf"
    [job] = cli("update", "a", "--json").jobs
    run_due_jobs(app)
    assert files_in(theirs) == {name: V2}
    assert (theirs / name).samefile(app.store / name)
    assert placed(cli) == [(name, "hardlink", "ok")]
    assert "placed" in [event.kind for event in app.events(job["id"])]


def test_a_placement_that_the_program_changed_is_not_overwritten_by_an_update(cli, sqlite_app, origin, theirs):
    cli("place", "a", "--in", f"dir:{theirs}")
    (theirs / "a.gguf").unlink()
    (theirs / "a.gguf").write_bytes(b"theirs")
    sqlite_app.set_models(model(origin, 2), folder(origin))
    [job] = cli("update", "a", "--json").jobs
    run_due_jobs(sqlite_app)
    assert sqlite_app.job(job["id"]).state == "completed"
    assert files_in(theirs) == {"a.gguf": b"theirs"}
    [failed] = [event for event in sqlite_app.events(job["id"]) if event.kind == "placement_failed"]
    assert failed.code == "name_taken"


def test_prune_finds_a_placement_whose_model_left_the_library(cli, sqlite_app, theirs):
    cli("place", "a", "--in", f"dir:{theirs}")
    sqlite_app.home.library.forget("a.gguf")
    page = cli("prune", "-y", "--json").json
    assert [one["kind"] for one in page["removed"]] == ["placement"]
    assert os.listdir(theirs) == []


# By a job ------------------------------------------------------------------------------------------------------------


def test_enqueue_places_on_completion_and_what_is_installed_at_once(cli, app, origin, theirs):
    app.set_models(model(origin, 2), folder(origin))
    [job] = cli("enqueue", "a", "--place", f"dir:{theirs}", "--json").jobs
    assert os.listdir(theirs) == []
    run_due_jobs(app)
    assert files_in(theirs) == {"a.gguf": V2}
    assert [event.kind for event in app.events(job["id"])][-2:] == ["completed", "placed"]
    said = cli("enqueue", "c", "--place", f"dir:{theirs}")
    assert (said.status, "then placed" in said.out) == (0, False)
    assert files_in(theirs / "c-mlx-4bit") == FOLDER


def test_a_second_enqueue_of_a_queued_job_adds_its_programs(cli, sqlite_app, origin, theirs, tmp_path):
    sqlite_app.set_models(model(origin, 2), folder(origin))
    (tmp_path / "more").mkdir()
    assert f"queued, then placed in dir:{theirs}" in " ".join(
        cli("enqueue", "a", "--place", f"dir:{theirs}").out.split()
    )
    cli("enqueue", "a", "--place", f"dir:{tmp_path}/more")
    run_due_jobs(sqlite_app)
    assert files_in(theirs) == files_in(tmp_path / "more") == {"a.gguf": V2}


def test_a_failed_placement_is_recorded_and_does_not_fail_the_job(cli, sqlite_app, origin, theirs):
    sqlite_app.set_models(model(origin, 2), folder(origin))
    (theirs / "a.gguf").write_bytes(b"theirs")
    [job] = cli("enqueue", "a", "--place", f"dir:{theirs}", "--json").jobs
    run_due_jobs(sqlite_app)
    assert sqlite_app.job(job["id"]).state == "completed"
    assert (theirs / "a.gguf").read_bytes() == b"theirs"
    [failed] = [event for event in sqlite_app.events(job["id"]) if event.kind == "placement_failed"]
    assert failed.code == "name_taken"
    assert "never replaced" in cli("status", str(job["id"])).out
    [need] = [one for one in cli("report", "--json").json["needs_you"] if one["job"] == job["id"]]
    assert (need["code"], "flowhub place" in need["hint"]) == ("name_taken", True)
    said = cli("enqueue", "a", "--place", f"dir:{theirs}")
    assert (said.status, "never replaced" in said.err) == (0, True)


def test_the_programs_of_config_toml_are_the_default(cli, sqlite_app, origin, theirs):
    (sqlite_app.path / "config.toml").write_text('place = ["lm-studio"]\n[apps]\nlm-studio = "%s"\n' % (theirs / "lms"))
    sqlite_app.set_models(model(origin, 2), folder(origin))
    cli("enqueue", "a")
    assert cli("worker", "--drain").status == 0
    [row] = cli("placements", "--json").json["placements"]
    assert (row["app"], Path(row["path"]).is_relative_to(theirs / "lms")) == ("lm-studio", True)


@pytest.mark.parametrize("line", ['place = "hf-cache"', "place = [1]", "apps = 3", "[apps]\nollama = 3"])
def test_a_setting_that_cannot_be_used_is_named(cli, sqlite_app, line):
    (sqlite_app.path / "config.toml").write_text(line + "\n")
    said = cli("placements", "--json")
    if line == 'place = "hf-cache"':
        assert said.status == 0
    else:
        assert said.error["code"] == "setting_invalid"


# Disks ---------------------------------------------------------------------------------------------------------------


def test_on_another_disk_it_is_a_symbolic_link_and_a_copy_where_that_was_asked_for(cli, sqlite_app, tmp_path):
    with tmpfs_disk(tmp_path / "disk") as disk:
        cli("place", "a", "c", "--in", f"dir:{disk.mount_point}")
        assert placed(cli) == [("a.gguf", "symlink", "ok"), ("c-mlx-4bit", "symlink", "ok")]
        assert (disk.mount_point / "a.gguf").readlink() == sqlite_app.store / "a.gguf"
        assert cli("unplace", "a").status == 0
        cli("place", "a", "--in", f"dir:{disk.mount_point}", "--copy")
        assert placed(cli)[0] == ("a.gguf", "copy", "ok")
        assert not (disk.mount_point / "a.gguf").is_symlink()
        assert cli("rm", "a", "c", "-y").status == 0
        assert os.listdir(disk.mount_point) == []


@pytest.fixture
def without_hard_links(monkeypatch):
    """File systems as FAT is: they have no links, no reflinks, and no rename that does not replace."""

    def refuse(*arguments, **options):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(system, "_rename_flags", lambda *arguments, **options: False)
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)


@pytest.mark.usefixtures("without_hard_links")
def test_a_disk_without_links_takes_copies_alone(cli, sqlite_app, theirs):
    said = cli("place", "a", "--in", f"dir:{theirs}", "--json").error
    assert (said["code"], "--copy" in said["hint"]) == ("placement_refused", True)
    assert os.listdir(theirs) == []
    assert cli("place", "a", "c", "--in", f"dir:{theirs}", "--copy").status == 0
    assert placed(cli) == [("a.gguf", "copy", "ok"), ("c-mlx-4bit", "copy", "ok")]
    assert files_in(theirs / "c-mlx-4bit") == FOLDER
    (theirs / "b.gguf").write_bytes(b"theirs")
    assert cli("unplace", "a", "c").status == 0
    assert files_in(theirs) == {"b.gguf": b"theirs"}


@pytest.mark.usefixtures("without_hard_links")
def test_a_file_of_theirs_is_not_replaced_on_a_disk_without_links(cli, sqlite_app, theirs):
    (theirs / "a.gguf").write_bytes(b"")
    assert cli("place", "a", "--in", f"dir:{theirs}", "--copy", "--json").error["code"] == "name_taken"
    assert files_in(theirs) == {"a.gguf": b""}


@pytest.mark.parametrize(("kind", "how"), [("ext4", LinkKind.HARDLINK), ("btrfs", LinkKind.REFLINK)])
def test_a_store_and_a_program_on_one_disk_share_the_bytes(home, origin, monkeypatch, cli, tmp_path, kind, how):
    with image_disk(tmp_path / "image", kind) as place:
        monkeypatch.setenv("FLOWHUB_STORE", str(place / "llms"))
        with cli_app(home, monkeypatch, model(origin, 1)) as app:
            app.enqueue("a")
            run_due_jobs(app)
            assert cli("place", "a", "--in", f"dir:{place}/theirs").status == 0
            assert placed(cli) == [("a.gguf", how, "ok")]
            assert cli("rm", "a", "-y").status == 0
            assert not (place / "theirs" / "a.gguf").exists()


def test_a_repaired_model_is_placed_again_with_its_good_bytes(cli, sqlite_app, theirs):
    """The hard link has the damaged bytes, and the repair installs a new file."""
    cli("place", "a", "--in", f"dir:{theirs}")
    flip_byte(sqlite_app.store / "a.gguf", 2000)
    assert (theirs / "a.gguf").read_bytes() != V1
    assert cli("verify", "a", "--repair").status == 0
    assert files_in(theirs) == {"a.gguf": V1}
    assert placed(cli) == [("a.gguf", "hardlink", "ok")]


@pytest.mark.parametrize("inside", ["", ".partial"])
def test_the_store_and_its_own_folders_are_no_place_for_a_link(cli, sqlite_app, inside):
    folder = sqlite_app.store / inside
    before = files_in(sqlite_app.store)
    told = cli("place", "a", "--in", f"dir:{folder}", "--json")
    assert told.error["code"] == "placement_refused"
    assert "another folder" in told.error["hint"]
    assert files_in(sqlite_app.store) == before
    assert placed(cli) == []
