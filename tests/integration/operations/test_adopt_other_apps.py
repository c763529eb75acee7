"""`adopt`: the models of other programs, identified by their bytes, linked into the store, listed like flowhub's."""

import json
import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import cli_app, run_due_jobs
from support.gguf_files import GgufFile, llama_8b
from support.models import folder_model, gguf, mlx_folder, one_file_model, safetensors
from support.other_apps import COMMIT, hugging_face, llama_cpp, lm_studio, ollama, sha256, write_file

from flowhub_jobs.cli import output
from flowhub_jobs.fs.names import name_problem
from flowhub_jobs.operations.library import adopt
from flowhub_jobs.operations.library.adopt_scan import AdoptScanner
from flowhub_jobs.operations.library.identify import Identifier
from flowhub_jobs.store.folder_scan import safe_name
from flowhub_jobs.store.other_apps import app_folders

A, B, C, D = (gguf(40_000 + seed, seed) for seed in range(1, 5))
MLX = mlx_folder(seed=7)


@pytest.fixture
def app(home, user_home, monkeypatch):
    files = {path: (f"https://h.example/c/{path}", data) for path, data in MLX.items()}
    models = [one_file_model("a", "https://h.example/A-Q4.gguf", A), folder_model("c", files)]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


def list_models(cli):
    return {model["name"]: model for model in cli("list", "--json").json["models"]}


def by_name(page):
    return {model["name"]: model for model in page["models"]}


def test_the_models_of_each_program_are_identified_by_their_bytes_and_listed(cli, app, user_home):
    lm_studio(user_home, "pub/repo/renamed.gguf", A)
    ollama(user_home, "beta", "7b", B)
    llama_cpp(user_home, "ggml-org_gamma.gguf", C)
    hugging_face(user_home, "own/delta", {"delta-q8.gguf": D, "README.md": b"# delta"})
    page = cli("adopt", "-y", "--json").json
    assert page["schema"] == "flowhub/adopt/1"
    assert {model["state"] for model in page["models"]} == {"adopted"}
    assert {model["program"] for model in page["models"]} == {"lm-studio", "ollama", "llama.cpp", "huggingface"}
    models = list_models(cli)
    assert set(models) == {"A-Q4.gguf", "beta-7b.gguf", "ggml-org_gamma.gguf", "delta-q8.gguf"}
    a, delta = models["A-Q4.gguf"], models["delta-q8.gguf"]
    assert (a["model"], a["option"], a["format"], a["sha256"], a["in_catalog"]) == ("a", "q4", "gguf", sha256(A), True)
    assert (models["beta-7b.gguf"]["model"], models["beta-7b.gguf"]["sha256"]) == (None, sha256(B))
    assert all(model["verified_at"] for model in models.values())
    entries = {entry.name: entry for entry in app.home.library.entries()}
    assert entries["delta-q8.gguf"].ref == "hf:own/delta/delta-q8.gguf"
    assert entries["beta-7b.gguf"].linked_from.endswith(f"blobs/sha256-{sha256(B)}")
    source = app.home.library.artifact("delta-q8.gguf").hub
    assert (source.repo, source.commit, source.path) == ("own/delta", COMMIT, "delta-q8.gguf")
    assert delta["sha256"] == sha256(D)


def test_an_adopted_model_shares_its_bytes_and_leaves_no_partial(cli, app, user_home):
    original = lm_studio(user_home, "pub/repo/a.gguf", A)
    [model] = cli("adopt", "-y", "--json").json["models"]
    installed = app.store / model["name"]
    assert installed.read_bytes() == A
    assert model["how"] in ("hardlink", "reflink")
    assert (installed.stat().st_ino == original.stat().st_ino) is (model["how"] == "hardlink")
    assert app.leftover_partials() == []


def test_an_adopted_model_of_the_catalog_is_installed_for_enqueue(cli, app, user_home):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    cli("adopt", "-y")
    [job] = cli("enqueue", "a", "--json").jobs
    assert (job["state"], job["bytes_fetched"]) == ("completed", 0)


def test_a_folder_is_identified_by_its_pinned_files_and_only_those_are_linked(cli, app, user_home):
    hugging_face(user_home, "mlx-community/c", {**MLX, "README.md": b"# c", ".gitattributes": b"*"})
    [model] = cli("adopt", "-y", "--json").json["models"]
    assert (model["model"], model["option"], model["format"], model["name"]) == ("c", "mlx-4bit", "mlx", "c-mlx-4bit")
    installed = app.store / "c-mlx-4bit"
    assert {path.name: path.read_bytes() for path in installed.iterdir()} == MLX
    assert list_models(cli)["c-mlx-4bit"]["in_catalog"]


def test_a_folder_with_one_byte_of_another_is_not_the_catalog_s(cli, app, user_home):
    weights = next(path for path in MLX if path.endswith(".safetensors"))
    changed = MLX[weights][:-1] + bytes([MLX[weights][-1] ^ 1])
    for path, data in (MLX | {weights: changed}).items():
        lm_studio(user_home, f"pub/c/{path}", data)
    [model] = cli("adopt", "-y", "--json").json["models"]
    assert (model["state"], model["model"]) == ("adopted", None)


def test_a_folder_that_no_catalog_knows_is_listed_as_itself_with_its_repository(cli, app, user_home):
    files = {"config.json": b"{}", "model.safetensors": safetensors(9000, 3), "1_Pooling/config.json": b"{}"}
    hugging_face(user_home, "own/embed", files)
    [model] = cli("adopt", "-y", "--json").json["models"]
    assert (model["ref"], model["format"], model["name"]) == ("hf:own/embed", "safetensors", "embed")
    installed = app.store / "embed"
    assert {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()} == set(files)
    artifact = app.home.library.artifact("embed")
    pins = {file.path: (bool(file.sha256), bool(file.git_sha1)) for file in artifact.files}
    assert pins == {
        "config.json": (False, True),
        "model.safetensors": (True, False),
        "1_Pooling/config.json": (False, True),
    }
    assert artifact.files[0].url == f"https://huggingface.co/own/embed/resolve/{COMMIT}/1_Pooling/config.json"


def test_the_parts_of_a_split_gguf_are_one_model_and_a_part_alone_is_none(cli, app, user_home):
    for number, content in ((1, B), (2, C)):
        lm_studio(user_home, f"pub/big/big-0000{number}-of-00002.gguf", content)
    lm_studio(user_home, "pub/torn/torn-00001-of-00003.gguf", D)
    page = cli("adopt", "-y", "--json").json
    assert [(model["name"], model["format"]) for model in page["models"]] == [("big", "gguf")]
    assert sorted(path.name for path in (app.store / "big").iterdir()) == [
        "big-00001-of-00002.gguf",
        "big-00002-of-00002.gguf",
    ]
    assert "is a part of a model of 3: 1 there" in page["skipped"][0]["why"]


def test_ollama_s_projector_is_a_companion_with_a_name_that_says_so(cli, app, user_home):
    ollama(user_home, "llava", "7b", B, projector=C)
    page = cli("adopt", "-y", "--json").json
    assert {model["name"] for model in page["models"]} == {"llava-7b.gguf", "mmproj-llava-7b.gguf"}


@pytest.mark.parametrize("link", [True, False])
def test_a_model_of_ollama_s_newer_manifests_is_found(cli, app, user_home, link):
    """They are blobs, and each name is a link to one; without support for links, a copy."""
    blob = ollama(user_home, "beta", "7b", B)
    root = blob.parents[1]
    old = root / "manifests" / "registry.ollama.ai" / "library" / "beta" / "7b"
    new = root / "manifests-v2" / "ollama.com" / "library" / "beta" / "7b"
    new.parent.mkdir(parents=True)
    content = old.read_bytes()
    shutil.rmtree(root / "manifests")
    if link:
        new.symlink_to(write_file(root / "blobs" / f"sha256-{sha256(content)}", content))
    else:
        new.write_bytes(content)
    outside = write_file(user_home / "elsewhere", content)
    (new.parent / "outside").symlink_to(outside)
    page = cli("adopt", "--dry-run", "--json").json
    assert [(model["program"], model["name"]) for model in page["models"]] == [("ollama", "beta-7b.gguf")]


@pytest.mark.parametrize("place", ["ollama", "huggingface"])
def test_a_digest_in_a_name_is_not_trusted(cli, app, user_home, place):
    """The blob is named by A's digest, which the catalog knows, and has other bytes."""
    if place == "ollama":
        blob = ollama(user_home, "a", "latest", A)
    else:
        blob = hugging_face(user_home, "own/a", {"a.gguf": A}) / "blobs" / sha256(A)
    blob.write_bytes(B)
    page = cli("adopt", "-y", "--json").json
    assert page["models"] == []
    assert "is damaged: by its name its digest is" in page["skipped"][0]["why"]
    assert list_models(cli) == {}


def test_a_file_that_is_shorter_than_its_header_says_is_not_adopted(cli, app, user_home, tmp_path):
    content = llama_8b(GgufFile(tmp_path / "m.gguf", words=["a", "b"])).read_bytes()
    weights = safetensors(50_000)
    lm_studio(user_home, "pub/repo/cut.gguf", content[:-100])
    lm_studio(user_home, "pub/repo/whole.gguf", content)
    write_file(app.store / "by-hand.gguf", content[:300])
    write_file(app.store / "half.safetensors", weights[: len(weights) // 2])
    page = cli("adopt", "-y", "--json").json
    assert [model["name"] for model in page["models"]] == ["whole.gguf"]
    assert len(page["skipped"]) == 3
    assert all("is cut short: it has" in skipped["why"] for skipped in page["skipped"])


def test_a_model_that_is_in_the_store_already_is_reported_and_skipped(cli, app, user_home):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    ollama(user_home, "a", "latest", A)
    first = cli("adopt", "-y", "--json").json
    assert sorted(model["state"] for model in first["models"]) == ["adopted", "already"]
    again = cli("adopt", "-y", "--json").json
    assert [(model["state"], model["name"]) for model in again["models"]] == [("already", "A-Q4.gguf")] * 2
    assert "in the store already as A-Q4.gguf" in " ".join(cli("adopt", "--dry-run").out.split())
    assert list(list_models(cli)) == ["A-Q4.gguf"]


def test_a_dry_run_changes_nothing_and_says_how_it_would_be_linked(cli, app, user_home):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    page = cli("adopt", "--dry-run", "--json").json
    assert (page["dry_run"], page["models"][0]["state"]) == (True, "found")
    assert page["models"][0]["how"] in ("reflink", "hardlink")
    assert (list_models(cli), app.leftover_partials()) == ({}, [])


def test_without_a_terminal_and_without_y_no_question_is_asked(cli, app, user_home):
    lm_studio(user_home, "pub/repo/a.gguf", A)
    error = cli("adopt", "--json").error
    assert (error["code"], error["message"]) == ("usage", "`flowhub adopt --json` cannot ask for confirmation.")
    assert "`flowhub adopt` asks for confirmation, but stdin is not a terminal." in cli("adopt").error_text
    assert list_models(cli) == {}


@pytest.mark.parametrize("named", ["folder", "file", "program", "its own layout"])
def test_only_the_named_folder_is_searched(cli, app, user_home, tmp_path, named):
    other = write_file(tmp_path / "other disk" / "deep" / "b.gguf", B)
    lm_studio(user_home, "pub/repo/a.gguf", A)
    if named == "its own layout":
        ollama(user_home, "beta", "7b", B)
        shutil.move(user_home / ".ollama" / "models", tmp_path / "moved")
    target = {"folder": tmp_path / "other disk", "file": other, "program": "lm-studio"}.get(named, tmp_path / "moved")
    page = cli("adopt", target, "-y", "--json").json
    name = {"program": "A-Q4.gguf", "its own layout": "beta-7b.gguf"}.get(named, "b.gguf")
    assert [model["name"] for model in page["models"]] == [name]


def test_a_folder_that_does_not_exist_is_named(cli, app):
    result = cli("adopt", "/no/such/folder", "-y")
    assert result.status == 3
    assert "There is no file and no folder '/no/such/folder'" in result.error_text


@pytest.mark.parametrize("when", ["before the link", "before the index"])
def test_a_file_that_changes_between_the_scan_and_the_link_is_not_adopted(cli, app, user_home, monkeypatch, when):
    """Its digest was computed before the change."""
    original = lm_studio(user_home, "pub/repo/a.gguf", A)
    module, name = (adopt, "link") if when == "before the link" else (adopt, "rename_into_place")
    real = getattr(module, name)

    def call_and_write(*arguments, **options):
        if when == "before the link":
            original.write_bytes(B)
            return real(*arguments, **options)
        returned = real(*arguments, **options)
        original.write_bytes(B)
        return returned

    monkeypatch.setattr(module, name, call_and_write)
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)
    result = cli("adopt", "-y", "--json")
    assert json.loads(result.out)["models"][0]["error"]["code"] == "busy"
    assert result.status == 9
    assert app.home.library.entries() == []
    assert not (app.store / "A-Q4.gguf").exists()
    assert original.read_bytes() == B


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("when", ["at the sync", "at the index"])
def test_a_failure_after_the_link_removes_it(cli, app, user_home, monkeypatch, error, when):
    original = lm_studio(user_home, "pub/repo/a.gguf", A)
    failing = {"at the sync": "store.install.sync_path", "at the index": "store.library.Library.record_installed"}[when]

    def fail(*_arguments, **_options):
        assert (app.store / "A-Q4.gguf").exists()
        raise error("on purpose")

    app.home.open_store()
    monkeypatch.setattr(f"flowhub_jobs.{failing}", fail)
    scanner = AdoptScanner(app.home, Identifier(app.session.loaded.catalog), os.environ)
    [offer] = scanner.scan([]).offers
    with closing(adopt.Adoption(app.home)) as adoption, pytest.raises(error, match="on purpose"):
        adoption.adopt(offer)
    assert not (app.store / "A-Q4.gguf").exists()
    assert (original.read_bytes(), app.leftover_partials()) == (A, [])


def test_a_foreign_file_of_that_name_is_never_replaced(cli, app, user_home):
    """Not even if it is created between the scan and the link."""
    lm_studio(user_home, "pub/repo/a.gguf", A)
    (app.store).mkdir(exist_ok=True)
    (app.store / "A-Q4.gguf").write_bytes(b"notes")
    result = cli("adopt", "-y")
    assert (result.status, (app.store / "A-Q4.gguf").read_bytes()) == (1, b"notes")
    assert "was not installed by flowhub" in result.err


def test_two_models_with_the_same_name_get_different_ones(cli, app, user_home):
    lm_studio(user_home, "one/repo/model.gguf", B)
    lm_studio(user_home, "two/repo/model.gguf", C)
    page = cli("adopt", "-y", "--json").json
    assert len({model["name"] for model in page["models"]}) == 2
    assert {model["sha256"] for model in list_models(cli).values()} == {sha256(B), sha256(C)}


# The store itself ----------------------------------------------------------------------------------------------------


def test_a_lost_database_is_rebuilt_from_the_store(cli, home, user_home, origin, monkeypatch):
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in MLX.items()}
    models = [one_file_model("a", origin.serve("/a.gguf", A), A), folder_model("c", files)]
    with cli_app(home, monkeypatch, *models) as app:
        app.enqueue("a")
        app.enqueue("c")
        run_due_jobs(app)
        write_file(app.store / "by hand.gguf", B)
        (app.store / "notes.txt").write_text("hello")
        before = list_models(cli)
        stamps = {path: path.stat().st_mtime_ns for path in app.store.iterdir() if path.name != ".partial"}
    for path in home.glob("*.db*"):
        path.unlink()
    with cli_app(home, monkeypatch, *models) as app:
        write_file(app.store / ".partial" / f"b.gguf.{'0' * 16}.{app.home.node}" / "files" / "b.gguf", b"GGUF")
        assert list_models(cli)["a.gguf"]["model"] is None
        result = cli("adopt", "-y")
        assert result.status == 0
        assert "1 partial download is in the store" in " ".join(result.err.split())
        assert "notes.txt is neither GGUF nor safetensors" in " ".join(result.err.split())
        after = list_models(cli)
        for name in ("a.gguf", "c-mlx-4bit"):
            same = ("model", "option", "format", "bytes", "sha256", "path", "in_catalog")
            assert {key: after[name][key] for key in same} == {key: before[name][key] for key in same}
            assert after[name]["verified_at"]
        assert (after["by hand.gguf"]["sha256"], after["by hand.gguf"]["model"]) == (sha256(B), None)
        assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
        jobs = cli("enqueue", "a", "c", "--json").jobs
        assert [(job["state"], job["bytes_fetched"]) for job in jobs] == [("completed", 0)] * 2
        assert cli("adopt", "-y", "--json").json["models"] == []


def test_a_link_in_the_store_is_indexed_again_after_the_database_was_lost(cli, app, user_home):
    original = lm_studio(user_home, "pub/repo/a.gguf", A)
    app.store.mkdir(exist_ok=True)
    os.link(original, app.store / "A-Q4.gguf")
    (app.store / "sym.gguf").symlink_to(write_file(user_home / "elsewhere" / "b.gguf", B))
    models = by_name(cli("adopt", "-y", "--json").json)
    assert models["sym.gguf"]["how"] == "in place"
    entries = {entry.name: entry for entry in app.home.library.entries()}
    assert entries["A-Q4.gguf"].linked_from == str(original)
    assert entries["sym.gguf"].linked_from == str(user_home / "elsewhere" / "b.gguf")
    assert len(entries) == 2


def test_a_link_without_a_target_is_listed_and_not_adopted(cli, app, user_home):
    original = write_file(user_home / "b.gguf", B)
    app.store.mkdir(exist_ok=True)
    (app.store / "sym.gguf").symlink_to(original)
    cli("adopt", "-y")
    original.unlink()
    assert cli("list").status == 0
    assert list(list_models(cli)) == ["sym.gguf"]
    (app.store / "gone.gguf").symlink_to(original)
    reasons = {Path(skipped["path"]).name: skipped["why"] for skipped in cli("adopt", "-y", "--json").json["skipped"]}
    assert reasons == {"gone.gguf": "is a link that leads nowhere"}


# Hostile content -----------------------------------------------------------------------------------------------------


def test_hostile_content_does_no_harm(cli, app, user_home, tmp_path):
    secret = write_file(tmp_path / "secret.json", b'{"password": 1}')
    folder = lm_studio(user_home, "pub/folder/model.safetensors", safetensors(6000, 2)).parent
    (folder / "config.json").symlink_to(secret)
    hub = user_home / ".cache" / "huggingface" / "hub"
    evil = hugging_face(user_home, "own/evil", {"model.safetensors": safetensors(5000, 1)})
    (evil / "snapshots" / COMMIT / "config.json").symlink_to(secret)
    (evil / "snapshots" / COMMIT / "out.gguf").symlink_to(write_file(tmp_path / "out.gguf", C))
    (hub / "models--..--..").mkdir()
    lm_studio_models = user_home / ".lmstudio" / "models"
    lm_studio(user_home, "pub/repo/bad\x1b[2Jname\n.gguf", B)
    lm_studio(user_home, "pub/repo/not-one.gguf", b"<html>")
    os.mkfifo(lm_studio_models / "pub" / "repo" / "pipe.gguf")
    (lm_studio_models / "loop").symlink_to(lm_studio_models)
    (lm_studio_models / "pub" / "repo" / "self.gguf").symlink_to("self.gguf")
    (lm_studio_models / "pub" / "repo" / "gone.gguf").symlink_to("/nowhere")
    manifests = user_home / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library"
    traversal = {"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../../secret"}]}
    write_file(manifests / "x" / "latest", json.dumps(traversal).encode())
    write_file(manifests / "y" / "latest", b"[" * 100_000)
    write_file(manifests / "z" / "latest", b'{"layers": 3}')
    write_file(user_home / ".lmstudio" / "settings.json", b'{"downloadsFolder": "a\\u0000b"}')
    result = cli("adopt", "-y", "--json")
    names = {model["name"]: model for model in result.json["models"]}
    assert set(names) == {"bad-[2Jname-.gguf"}
    assert not any(path.read_bytes() == secret.read_bytes() for path in app.store.rglob("*") if path.is_file())
    reasons = " ".join(skipped["why"] for skipped in result.json["skipped"])
    for part in (
        "leads out of",
        "neither GGUF",
        "not a regular file",
        "leads nowhere",
        "not a manifest",
        "not a repository's",
    ):
        assert part in reasons
    screen = cli("adopt", "--dry-run")
    assert "\x1b" not in screen.out + screen.err


@pytest.mark.parametrize("as_json", [True, False])
def test_a_name_that_is_not_utf8_is_reported_and_the_other_models_are_adopted(cli, app, user_home, as_json):
    bad = os.fsdecode(b"caf\xe9")
    lm_studio(user_home, f"pub/{bad}/a.gguf", A)
    lm_studio(user_home, f"pub/repo/{bad}.gguf", C)
    lm_studio(user_home, "pub/repo/b.gguf", B)
    write_file(user_home / bad, D)
    (user_home / ".lmstudio" / "models" / "pub" / "link.gguf").symlink_to(user_home / bad)
    ollama(user_home, "beta", bad, D)
    hub = user_home / ".cache" / "huggingface" / "hub"
    hugging_face(user_home, f"own/{bad}", {"delta-q8.gguf": D})
    hugging_face(user_home, "own/epsilon", {f"{bad}.gguf": C, "eps.gguf": gguf(50_000, 9)})
    refs = hub / "models--own--epsilon" / "refs"
    (refs / "main").rename(refs / bad)
    result = cli("adopt", "-y", *(["--json"] if as_json else []))
    assert result.status == 0
    assert set(list_models(cli)) == {"b.gguf", "eps.gguf"}
    if as_json:
        assert {skipped["why"] for skipped in result.json["skipped"]} == {"has a name that is not UTF-8"}
        assert len(result.json["skipped"]) == 6
    else:
        assert "has a name that is not UTF-8" in " ".join(result.err.split())


def test_an_unreadable_folder_is_reported_and_the_other_models_are_adopted(cli, app, user_home, monkeypatch):
    """The test raises the error itself: as root it could read the folder."""
    closed = lm_studio(user_home, "closed/repo/b.gguf", B).parent
    lm_studio(user_home, "open/repo/c.gguf", C)
    real = os.scandir

    def scandir(path):
        if not isinstance(path, int) and Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("flowhub_jobs.store.folder_scan.os.scandir", scandir)
    page = cli("adopt", "-y", "--json").json
    assert [model["name"] for model in page["models"]] == ["c.gguf"]
    assert [skipped["why"] for skipped in page["skipped"]] == ["may not be read"]


def test_weights_without_one_of_their_shards_are_not_a_model(cli, app, user_home):
    index = {"weight_map": {"x": "model-00001-of-00002.safetensors", "y": "model-00002-of-00002.safetensors"}}
    files = {"config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode()}
    hugging_face(user_home, "own/torn", {**files, "model-00001-of-00002.safetensors": safetensors(5000)})
    page = cli("adopt", "-y", "--json").json
    assert page["models"] == []
    assert page["skipped"][0]["why"] == "is not whole: model-00002-of-00002.safetensors is not there"


# Removal -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reflink or hardlink", "symlink"])
@pytest.mark.parametrize("folder", [False, True])
def test_rm_removes_flowhubs_link_and_never_the_other_programs_file(cli, app, user_home, monkeypatch, kind, folder):
    original = hugging_face(user_home, "own/c", MLX) if folder else lm_studio(user_home, "pub/repo/a.gguf", A)
    before = {path: path.read_bytes() for path in user_home.rglob("*") if path.is_file()}
    if kind == "symlink":
        monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)
        monkeypatch.setattr("flowhub_jobs.store.links._make_hardlink", lambda source, target: False)
    [model] = cli("adopt", "-y", "--json").json["models"]
    assert (model["how"] == "symlink") is (kind == "symlink")
    assert original.exists()
    assert cli("rm", model["name"], "-y").status == 0
    assert not (app.store / model["name"]).exists()
    assert {path: path.read_bytes() for path in user_home.rglob("*") if path.is_file()} == before
    assert list_models(cli) == {}


def test_each_text_names_a_link_in_the_same_words(cli, app, user_home, tmp_path, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)
    monkeypatch.setattr(output, "columns", lambda: 200)
    lm_studio(user_home, "pub/repo/a.gguf", A)
    assert "hard link from lm-studio" in cli("adopt", "--dry-run").out
    assert "(hard link)." in cli("adopt", "-y").out
    assert "(hard link)." in cli("place", "A-Q4.gguf", "--in", f"dir:{tmp_path}").out
    assert "  hard link  " in cli("placements").out


def test_a_copy_is_made_only_with_the_option_for_it(cli, app, user_home):
    original = lm_studio(user_home, "pub/repo/a.gguf", A)
    [model] = cli("adopt", "-y", "--copy", "--json").json["models"]
    assert model["how"] in ("copy", "reflink")
    installed = app.store / model["name"]
    assert installed.stat().st_ino != original.stat().st_ino
    assert installed.read_bytes() == A


# The folders of the programs -----------------------------------------------------------------------------------------


def test_the_folders_are_those_that_the_programs_themselves_would_use(tmp_path):
    for folder in ("lm", "hub", "cache/llama.cpp", "home/.ollama/models", "home/.lmstudio/models"):
        (tmp_path / folder).mkdir(parents=True)
    write_file(
        tmp_path / "home" / ".lmstudio" / "settings.json",
        json.dumps({"downloadsFolder": str(tmp_path / "lm")}).encode(),
    )
    environ = {"HF_HUB_CACHE": str(tmp_path / "hub"), "XDG_CACHE_HOME": str(tmp_path / "cache"), "LLAMA_CACHE": ""}
    folders = [folder for folder in app_folders(environ, tmp_path / "home") if folder.root.is_relative_to(tmp_path)]
    assert [(folder.program, str(folder.root.relative_to(tmp_path))) for folder in folders] == [
        ("lm-studio", "lm"),
        ("lm-studio", "home/.lmstudio/models"),
        ("huggingface", "hub"),
        ("ollama", "home/.ollama/models"),
        ("llama.cpp", "cache/llama.cpp"),
    ]
    environ |= {"OLLAMA_MODELS": str(tmp_path / "gone"), "LLAMA_CACHE": str(tmp_path / "gone")}
    assert {folder.program for folder in app_folders(environ, tmp_path / "home")} == {"lm-studio", "huggingface"}


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "a\nb\x1b[0m", "...", "~", " .", "CON.gguf", "x" * 500 + ".gguf", "\u202e"]
)
def test_whatever_a_file_is_called_it_gets_a_name_that_the_store_allows(name):
    assert name_problem(safe_name(name)) is None
