"""The `outdated` and `update` commands: the old version stays until the new one is verified."""

import os
from dataclasses import replace

import pytest
from support.cli import cli_app, run_due_jobs
from support.models import folder_model, gguf, mlx_folder, one_file_model

from flowhub_jobs.errors import SourceMissing
from flowhub_jobs.operations.library.outdated import check_outdated

V1, V2, V3 = gguf(4096, 1), gguf(5000, 2), gguf(5000, 3)


@pytest.fixture
def app(home, origin, monkeypatch):
    with cli_app(home, monkeypatch, catalog_model(origin, 1), catalog_folder(origin, 1)) as app:
        app.enqueue("a")
        app.enqueue("c")
        run_due_jobs(app)
        yield app


def catalog_model(origin, version, content=None, **more):
    """Return this version of the model `a` for the catalog. The origin may serve other `content`."""
    pinned = {1: V1, 2: V2}[version]
    url = origin.serve(f"/v{version}/a.gguf", pinned if content is None else content)
    return one_file_model("a", url, pinned, **more)


def catalog_folder(origin, version):
    files = mlx_folder(version)
    return folder_model("c", {path: (origin.serve(f"/v{version}/{path}", data), data) for path, data in files.items()})


def outdated_names(cli) -> list[str]:
    return [row["name"] for row in cli("outdated", "--json").json["outdated"]]


def test_a_model_with_the_digest_of_the_catalog_is_not_outdated(cli, app):
    page = cli("outdated", "--json").json
    assert page == {"schema": "flowhub/outdated/1", "outdated": [], "unknown": [], "failed": []}
    assert cli("outdated").err == "Nothing is outdated, of 2 models.\n"
    assert cli("update", "--all").err == "Nothing is outdated, of 2 models.\n"
    assert cli("update", "--all", "--json").json == {"schema": "flowhub/jobs/1", "jobs": []}


def test_another_digest_in_the_catalog_is_outdated_and_update_fetches_it(cli, app, origin):
    app.set_models(catalog_model(origin, 2), catalog_folder(origin, 2))
    page = cli("outdated", "--json").json
    file_row, folder_row = page["outdated"]
    assert (file_row["name"], file_row["ref"], file_row["bytes_to_fetch"]) == ("a.gguf", "a@q4", 5000)
    assert file_row["installed"]["sha256"] != file_row["available"]["sha256"]
    assert (folder_row["name"], folder_row["installed"]["sha256"]) == ("c-mlx-4bit", None)
    result = cli("outdated")
    assert (result.status, "a.gguf" in result.out, "flowhub update --all" in result.err) == (0, True, True)
    plan = cli("update", "--all", "--dry-run", "--json").json
    assert [row["action"] for row in plan["plan"]] == ["fetch", "fetch"]
    jobs = cli("update", "--all", "--group", "newer", "--json").jobs
    assert [(job["ref"], job["state"], job["group"]) for job in jobs] == [
        ("a@q4", "queued", "newer"),
        ("c@mlx-4bit", "queued", "newer"),
    ]
    assert (app.store / "a.gguf").read_bytes() == V1
    assert app.drain() == 0
    assert (app.store / "a.gguf").read_bytes() == V2
    assert {path.name: path.read_bytes() for path in (app.store / "c-mlx-4bit").iterdir()} == mlx_folder(2)
    assert outdated_names(cli) == []
    assert len(cli("list", "--json").json["models"]) == 2


def test_a_newer_version_whose_bytes_are_wrong_leaves_the_old_one(cli, app, origin):
    app.set_models(catalog_model(origin, 2, content=V3), catalog_folder(origin, 1))
    [job] = cli("update", "a", "--json").jobs
    assert app.drain() == 10
    assert app.job(job["id"]).error["code"] == "digest_mismatch"
    assert (app.store / "a.gguf").read_bytes() == V1
    [a, _] = cli("list", "--json").json["models"]
    assert (a["name"], a["condition"]) == ("a.gguf", "ok")
    assert outdated_names(cli) == ["a.gguf"]


def test_a_newer_version_under_another_name_leaves_the_old_one_for_prune(cli, app, origin):
    app.set_models(catalog_model(origin, 2, filename="a-2.gguf"), catalog_folder(origin, 1))
    cli("update", "a")
    run_due_jobs(app)
    assert (app.store / "a.gguf").read_bytes() == V1
    assert (app.store / "a-2.gguf").read_bytes() == V2
    assert cli("path", "a").out == f"{app.store / 'a-2.gguf'}\n"
    assert outdated_names(cli) == []
    assert "Old versions: a.gguf" in cli("list").err
    [old] = cli("prune", "--old", "-y", "--json").json["removed"]
    assert (old["kind"], old["name"], old["freed"]) == ("old version", "a.gguf", 4096)
    assert sorted(path.name for path in app.store.glob("*.gguf")) == ["a-2.gguf"]


@pytest.mark.parametrize("sound", [False, True])
def test_an_old_version_stays_while_the_new_one_is_not_sound(cli, app, origin, sound):
    app.set_models(catalog_model(origin, 2, filename="a-2.gguf"), catalog_folder(origin, 1))
    cli("update", "a")
    run_due_jobs(app)
    if not sound:
        os.utime(app.store / "a-2.gguf", (1, 1))
    cli("prune", "-y")
    assert (app.store / "a.gguf").exists() is not sound


def test_the_same_bytes_under_another_name_are_not_outdated(cli, app, origin):
    app.set_models(catalog_model(origin, 1, filename="renamed.gguf"), catalog_folder(origin, 1))
    assert outdated_names(cli) == []


def test_a_file_that_was_changed_by_hand_is_replaced_only_by_force(cli, app, origin):
    own_bytes = b"GGUF" + b"mine" * 1000
    (app.store / "a.gguf").write_bytes(own_bytes)
    app.set_models(catalog_model(origin, 2), catalog_folder(origin, 2))
    result = cli("update", "a", "--json")
    assert (result.status, result.error["code"]) == (1, "name_taken")
    assert "--force" in result.error["hint"]
    result = cli("update", "--all")
    assert (result.status, "a.gguf was changed by hand" in result.err) == (0, True)
    assert [job.ref for job in app.home.queries.overview() if job.live] == ["c@mlx-4bit"]
    run_due_jobs(app)
    assert (app.store / "a.gguf").read_bytes() == own_bytes
    cli("update", "a", "--force")
    run_due_jobs(app)
    assert (app.store / "a.gguf").read_bytes() == V2


def test_a_folder_with_a_file_of_the_user_is_not_replaced_even_by_force(cli, app, origin):
    (app.store / "c-mlx-4bit" / "mine.txt").write_text("mine")
    app.set_models(catalog_model(origin, 1), catalog_folder(origin, 2))
    result = cli("update", "c", "--force", "--json")
    assert (result.status, result.error["code"]) == (1, "name_taken")
    assert (app.store / "c-mlx-4bit" / "mine.txt").exists()


def test_a_model_without_a_known_version_is_unknown_and_no_error(cli, app, origin):
    url = origin.serve("/plain.gguf", V1)
    cli("enqueue", url)
    run_due_jobs(app)
    (app.store / "hand.gguf").write_bytes(b"GGUF")
    app.set_models(catalog_folder(origin, 1))
    request_count = len(origin.requests())
    page = cli("outdated", "--json").json
    reasons = {row["name"]: row["why"] for row in page["unknown"]}
    assert reasons["a.gguf"] == "it is no longer in the catalog"
    assert "names no version" in reasons["plain.gguf"]
    assert len(origin.requests()) == request_count
    assert [row["why"] for row in cli("outdated", "hand.gguf", "--json").json["unknown"]] == [
        "it was put there by hand"
    ]


@pytest.mark.parametrize("arguments", [(), ("a", "--all")])
def test_update_requires_names_or_all(cli, app, arguments):
    assert cli("update", *arguments, "--json").error["code"] == "usage"


def test_update_of_a_model_that_is_not_installed_is_3(cli, app):
    assert cli("update", "b", "--json").status == 3
    assert cli("outdated", "b", "--json").status == 3


# The Hub -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def repos(cli, app, hub, monkeypatch):
    """Two installed models of the Hub's repositories org/x and org/y."""
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    for repo in ("org/x", "org/y"):
        hub.add(repo, f"{repo[-1]}-Q4_K_M.gguf", V1)
        assert cli("enqueue", f"hf:{repo}:Q4_K_M").status == 0
    assert app.drain() == 0
    return hub


def test_another_commit_with_other_bytes_is_outdated_and_update_fetches_it(cli, app, repos):
    assert outdated_names(cli) == []
    repos.add("org/x", "README.md", b"another commit, the same model", lfs=False)
    assert outdated_names(cli) == []
    repos.add("org/x", "x-Q4_K_M.gguf", V2)
    [newer] = cli("outdated", "--json").json["outdated"]
    assert newer["name"] == "x-Q4_K_M.gguf"
    assert len(newer["installed"]["commit"]) == 40
    assert newer["installed"]["sha256"] != newer["available"]["sha256"]
    assert newer["bytes_to_fetch"] == 5000
    assert cli("update", "hf:org/x:Q4_K_M").status == 0
    assert app.drain() == 0
    assert (app.store / "x-Q4_K_M.gguf").read_bytes() == V2
    assert outdated_names(cli) == []


def test_a_repository_that_fails_does_not_stop_the_check_of_the_others(cli, app, repos):
    repos.add("org/x", "x-Q4_K_M.gguf", V2)
    del repos.repositories.files["org/y", "main", "y-Q4_K_M.gguf"]
    result = cli("outdated")
    assert result.status == 10
    assert "x-Q4_K_M.gguf" in result.out
    assert "y-Q4_K_M.gguf: could not be checked" in result.err
    result = cli("outdated", "y-Q4_K_M.gguf", "--json")
    assert (result.status, result.error["code"]) == (4, "token_missing")  # the Hub's answer for a removed repository


@pytest.mark.parametrize(
    "ref", ["hf:org/x", "hf:org/x:Q4_K_M", "hf:ORG/X:q4_k_m", "hf:org/x:Q4", "hf:org/x/x-Q4_K_M.gguf"]
)
def test_path_finds_a_model_of_the_hub_without_a_request(cli, app, repos, ref):
    repos.close()
    assert cli("path", ref).out == f"{app.store / 'x-Q4_K_M.gguf'}\n"
    assert cli("path", "hf:org/x:Q8_0", "--json").status == 3


def test_all_repositories_are_checked_even_if_the_first_fails(app, repos):
    def latest(_settings, artifact):
        if artifact.hub.repo == "org/x":
            raise SourceMissing("It is gone.")
        return artifact

    versions = check_outdated(app.session, None, latest)
    assert list(versions.failed) == ["x-Q4_K_M.gguf"]
    assert "y-Q4_K_M.gguf" in versions.current


def test_a_model_of_a_renamed_repository_keeps_its_reference(app, repos):
    """Otherwise its newer version would not replace the old one."""

    def latest(_settings, artifact):
        [file] = artifact.files
        return replace(artifact, ref="hf:org/renamed:Q4_K_M", files=(replace(file, sha256="ab" * 32),))

    versions = check_outdated(app.session, ["x-Q4_K_M.gguf"], latest)
    assert [newer.artifact.ref for newer in versions.outdated] == ["hf:org/x:Q4_K_M"]
