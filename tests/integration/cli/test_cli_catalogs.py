"""The `catalog` commands: other catalogs are imported next to the base one, and none of them can break it."""

import contextlib
import json
import os
import pty
import sys
from pathlib import Path

import pytest
from support.answer_faults import LoginPage, Redirect, Status
from support.cli import cli_app, run_command, run_due_jobs
from support.models import gguf, one_file_model

from flowhub_jobs.operations.catalogs.active import catalog_files, catalog_in_force, catalog_signature
from flowhub_jobs.settings import load_settings

DATA = Path(__file__).parents[2] / "data" / "catalogs"
A, B = gguf(4096, 1), gguf(5000, 2)
ROW = ["name", "format", "models", "hidden", "damaged", "source", "imported_at", "checked_at"]


@pytest.fixture
def app(home, origin, monkeypatch):
    """A base with one model, `m`."""
    with cli_app(home, monkeypatch, one_file_model("m", origin.serve("/m.gguf", A), A)) as app:
        yield app


def gpt4all(*entries):
    """Return a catalog in GPT4All's format of these (name, url, filename)."""
    return json.dumps(
        [
            {"name": name, "url": url, "filename": file, "md5sum": "ab" * 16, "filesize": "5000"}
            for name, url, file in entries
        ]
    ).encode()


def snapshot(home):
    """Return the files in the folder of catalogs: names and bytes."""
    return {str(path): path.read_bytes() for path in sorted((home / "catalogs").rglob("*")) if path.is_file()}


def rows(cli):
    return {row["name"]: row for row in cli("catalog", "list", "--json").json["catalogs"]}


# Import --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "name", "models"),
    [("lmstudio.json", "lmstudio", 4), ("gpt4all.json", "gpt4all", 5), ("localai.yaml", "localai", 6)],
)
def test_each_format_is_detected_by_its_content(cli, app, tmp_path, file, name, models):
    disguised = tmp_path / "download"
    disguised.write_bytes((DATA / file).read_bytes())
    page = cli("catalog", "import", disguised, "--json").json
    assert page["schema"] == "flowhub/catalog-import/1"
    assert (page["name"], page["format"], page["taken"], page["source"]) == (name, name, models, str(disguised))
    assert rows(cli)[name]["models"] == models
    refused = [entry for entry in page["entries"] if entry["kind"] == "refused"]
    assert {entry["reason"] for entry in refused} == set(page["refused"])


def test_an_imported_model_is_shown_queued_fetched_and_listed(cli, app, origin, tmp_path):
    source = tmp_path / "models3.json"
    source.write_bytes(gpt4all(("Other Model", origin.serve("/o.gguf", B), "other.Q4_0.gguf")))
    assert cli("catalog", "import", source).status == 0
    assert cli("show", "other-model", "--json").json["variants"][0]["ref"] == "other-model@q4_0"
    [job] = cli("enqueue", "other-model", "--json").jobs
    run_due_jobs(app)
    assert (app.store / "other.Q4_0.gguf").read_bytes() == B
    assert app.job(job["id"]).sha256_state == "unpinned"
    [model] = cli("list", "--json").json["models"]
    assert (model["model"], model["option"], model["in_catalog"]) == ("other-model", "q4_0", True)


def test_an_id_that_is_taken_gets_the_catalogs_name_and_keeps_it(cli, app, tmp_path):
    source = tmp_path / "c.json"
    source.write_bytes(
        gpt4all(("M", "https://h.example/m.gguf", "m.gguf"), ("N", "https://h.example/n.gguf", "n.gguf"))
    )
    assert cli("catalog", "import", source, "--name", "one", "--json").json["renamed"] == {"m": "m-one"}
    assert cli("catalog", "import", source, "--name", "two", "--json").json["renamed"] == {"m": "m-two", "n": "n-two"}
    assert [model.id for model in catalog_in_force(load_settings()).catalog.models] == [
        "m",
        "m-one",
        "n",
        "m-two",
        "n-two",
    ]
    cli("catalog", "remove", "one", "-y")
    # Ids that were given stay: a user may have installed `n-two`.
    source.write_bytes(
        gpt4all(("N", "https://h.example/n.gguf", "n.gguf"), ("O", "https://h.example/o.gguf", "o.gguf"))
    )
    [row] = cli("catalog", "update", "--json").json["catalogs"]
    assert (row["new"], row["changed"], row["gone"]) == (["o"], [], ["m-two"])
    assert catalog_in_force(load_settings()).imported == {"n-two": "two", "o": "two"}


def test_an_id_that_the_base_took_later_hides_the_imported_one_and_is_counted(cli, app, tmp_path):
    source = tmp_path / "c.json"
    source.write_bytes(
        gpt4all(("New", "https://h.example/n.gguf", "n.gguf"), ("Old", "https://h.example/o.gguf", "o.gguf"))
    )
    cli("catalog", "import", source)
    app.set_models(one_file_model("new", "https://h.example/base.gguf", A))
    row = rows(cli)["gpt4all"]
    assert (row["models"], row["hidden"], row["damaged"]) == (1, 1, False)
    loaded = catalog_in_force(load_settings())
    assert loaded.warning is None
    assert loaded.catalog.by_id["new"].downloads[0].url == "https://h.example/base.gguf"
    source.write_bytes(source.read_bytes() + b"\n")
    cli("catalog", "update")
    assert {"new", "new-gpt4all"} <= set(catalog_in_force(load_settings()).catalog.by_id)


def test_a_second_source_of_a_format_needs_a_name(cli, app, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes((DATA / "gpt4all.json").read_bytes())
    assert cli("catalog", "import", tmp_path / "a").status == 0
    before = snapshot(app.path)
    result = cli("catalog", "import", tmp_path / "b")
    assert result.status == 2
    assert "--name" in result.error_text
    assert snapshot(app.path) == before
    assert cli("catalog", "import", tmp_path / "b", "--name", "gpt4all").status == 0  # an explicit name confirms it
    assert cli("catalog", "import", tmp_path / "b").status == 0  # the same source again


@pytest.mark.parametrize("name", ["base", "A", "", "../x", "a/b", "x.facts", "con", "-x", "a" * 41, ".x"])
def test_an_invalid_name_of_a_catalog_is_2(cli, app, name):
    result = cli("catalog", "import", DATA / "gpt4all.json", f"--name={name}")
    assert result.status == 2
    assert result.error_text
    assert snapshot(app.path) == {}


def test_a_catalog_in_flowhubs_format_is_named_after_its_file(cli, app, tmp_path):
    source = tmp_path / "Team Models (v2).json"
    source.write_text(json.dumps({"apiVersion": "v1", "models": [one_file_model("t", "https://h.example/t.gguf", A)]}))
    assert cli("catalog", "import", source, "--json").json["name"] == "team-models-v2"


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"<html>", 1), (b"", 1), (b"[]", 1), (b"- &a [*a]", 1), (b'[{"name": "x", "files": []}]', 1), (b"\0\1\2", 1)],
)
def test_a_file_that_is_no_catalog_is_1_and_changes_nothing(cli, app, tmp_path, content, status):
    cli("catalog", "import", DATA / "gpt4all.json")
    before = snapshot(app.path)
    (tmp_path / "bad").write_bytes(content)
    result = cli("catalog", "import", tmp_path / "bad", "--name", "gpt4all")
    assert result.status == status
    assert str(tmp_path / "bad") in result.error_text
    assert cli("catalog", "import", tmp_path / "bad", "--json").error["code"] == "catalog_malformed"
    assert snapshot(app.path) == before


def test_a_file_of_200_mb_is_refused_unread(cli, app, tmp_path):
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(200_000_000)
    result = cli("catalog", "import", tmp_path / "huge.json")
    assert result.status == 1
    assert "is 200 MB; flowhub reads at most 50 MB" in result.error_text


@pytest.mark.parametrize("source", [".", "none.json", "/dev/zero", "a\0b"])
def test_an_unreadable_source_is_1(cli, app, source):
    assert cli("catalog", "import", source, "--json").error["code"] == "catalog_unreadable"


@pytest.mark.parametrize(
    "source", ["ftp://h/c.json", "file:///etc/passwd", "http://h.example/c.json", "https://u:pw@h.example/c"]
)
def test_a_forbidden_address_is_2_and_its_password_is_not_shown(cli, app, source):
    result = cli("catalog", "import", source)
    assert result.status == 2
    assert "pw" not in result.error_text


# A URL ---------------------------------------------------------------------------------------------------------------


def test_a_token_in_the_query_is_stored_for_the_update_and_never_shown(cli, app, origin):
    origin.serve("/c.json", gpt4all(("N", "https://h.example/n.gguf", "n.gguf")))
    url = origin.url("/c.json?token=s3cret")
    results = [
        cli("catalog", *verb)
        for verb in (("import", url), ("list",), ("update",), ("list", "--json"), ("validate", url))
    ]
    assert [result.status for result in results] == [0] * 5
    assert "s3cret" not in "".join(result.out + result.err for result in results)
    assert {request.query for request in origin.requests("/c.json")} == {"token=s3cret"}
    folder = app.path / "catalogs" / "overlays"
    assert [oct(path.stat().st_mode & 0o777) for path in folder.glob("*.facts.json")] == ["0o600"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (LoginPage(), "catalog_source_malformed"),
        (Status(404), "catalog_unreachable"),
        (Status(503), "catalog_unreachable"),
        (Redirect(location="http://h.example/c.json"), "catalog_unreachable"),
    ],
    ids=["page", "gone", "busy", "unsafe"],
)
def test_a_url_that_fails_is_5_and_changes_nothing(cli, app, origin, fault, code):
    url = origin.serve("/c.json", gpt4all(("N", "https://h.example/n.gguf", "n.gguf")))
    cli("catalog", "import", url)
    before = snapshot(app.path)
    origin.break_with(fault, path="/c.json")
    for verb in (("update",), ("update", "gpt4all"), ("import", url), ("validate", url)):
        result = cli("catalog", *verb, "--json")
        assert (result.status, result.error["code"]) == (5, code)
    assert cli("catalog", "update").error_text
    assert snapshot(app.path) == before
    assert rows(cli)["gpt4all"]["models"] == 1


def test_an_unchanged_catalog_is_not_downloaded_again_and_a_changed_one_is_reported(cli, app, origin):
    url = origin.serve(
        "/c.json", gpt4all(("N", "https://h.example/n.gguf", "n.gguf"), ("O", "https://h.example/o.gguf", "o.gguf"))
    )
    cli("catalog", "import", url)
    [row] = cli("catalog", "update", "--json").json["catalogs"]
    assert (row["outcome"], row["models"], row["error"]) == ("unchanged", 2, None)
    assert [request.status for request in origin.requests("/c.json")] == [200, 304]
    origin.serve(
        "/c.json", gpt4all(("N", "https://h.example/n2.gguf", "n.gguf"), ("P", "https://h.example/p.gguf", "p.gguf"))
    )
    [row] = cli("catalog", "update", "gpt4all", "--json").json["catalogs"]
    assert (row["outcome"], row["new"], row["changed"], row["gone"]) == ("changed", ["p"], ["n"], ["o"])
    assert "nothing new" in cli("catalog", "update").out


@pytest.mark.parametrize("damage", [b"{}", b"", b'{"apiVersion": "v1", "models": [{"id": "n"}]}'])
def test_a_damaged_copy_is_downloaded_again_by_an_update(cli, app, origin, damage):
    url = origin.serve("/c.json", gpt4all(("N", "https://h.example/n.gguf", "n.gguf")))
    cli("catalog", "import", url)
    (app.path / "catalogs" / "overlays" / "gpt4all.json").write_bytes(damage)
    cli("catalog", "update")
    assert [request.status for request in origin.requests("/c.json")] == [200, 200]
    assert rows(cli)["gpt4all"]["models"] == 1


def test_a_catalog_that_fails_does_not_stop_the_update_of_the_others(cli, app, origin, tmp_path):
    cli("catalog", "import", origin.serve("/c.json", gpt4all(("N", "https://h.example/n.gguf", "n.gguf"))))
    file = tmp_path / "l.yaml"
    file.write_bytes((DATA / "localai.yaml").read_bytes())
    cli("catalog", "import", file)
    file.unlink()
    origin.serve("/c.json", gpt4all(("P", "https://h.example/p.gguf", "p.gguf")))
    result = cli("catalog", "update", "--json")
    assert result.status == 10
    good, bad = json.loads(result.out)["catalogs"]
    assert (good["name"], good["new"]) == ("gpt4all", ["p"])
    assert (bad["name"], bad["outcome"], bad["error"]["code"]) == ("localai", "failed", "catalog_unreadable")
    assert rows(cli)["localai"]["models"] == 6
    assert "the previous import stays" in cli("catalog", "update").out


def test_the_base_at_a_url_is_updated_too(cli, home, origin, monkeypatch):
    def serve(model):
        entry = one_file_model(model, "https://h.example/x.gguf", A)
        return origin.serve("/base.json", json.dumps({"apiVersion": "v1", "models": [entry]}).encode())

    monkeypatch.setenv("FLOWHUB_CATALOG", serve("one"))
    catalog_in_force(load_settings())
    serve("two")
    [row] = cli("catalog", "update", "--json").json["catalogs"]
    assert (row["name"], row["new"], row["gone"]) == ("base", ["two"], ["one"])
    origin.remove("/base.json")
    assert cli("catalog", "update", "base", "--json").error["code"] == "catalog_unreachable"


def test_a_base_catalog_in_a_file_needs_no_request(cli, app):
    assert cli("catalog", "update").status == 0
    assert cli("catalog", "update", "base", "--json").error["code"] == "usage"


# In force ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    ["{}", "", "\0", '{"apiVersion": "v1", "models": [{}]}', None],
    ids=["empty", "cut", "nul", "wrong", "folder"],
)
def test_a_damaged_import_is_skipped_with_a_warning_and_the_other_catalogs_stay_in_force(cli, app, damage):
    cli("catalog", "import", DATA / "gpt4all.json")
    cli("catalog", "import", DATA / "lmstudio.json")
    damaged = app.path / "catalogs" / "overlays" / "gpt4all.json"
    damaged.unlink()
    damaged.mkdir() if damage is None else damaged.write_text(damage)
    result = cli("show", "m")
    assert result.status == 0
    for word in ("gpt4all", "catalog update gpt4all", "catalog remove gpt4all"):
        assert word in result.err
    assert cli("show", "zephyr-7b").status == 0
    row = rows(cli)["gpt4all"]
    assert (row["damaged"], row["models"]) == (True, 0)
    assert "damaged" in cli("catalog", "list").out
    assert cli("catalog", "validate", "--json").error["code"] == "catalog_malformed"


@pytest.mark.parametrize(
    "facts", ["{}", "[]", "\0", '{"source": 5, "format": "gpt4all"}', '{"source": "/x", "format": "no"}']
)
def test_damaged_facts_leave_the_models_in_force(cli, app, facts):
    cli("catalog", "import", DATA / "gpt4all.json")
    (app.path / "catalogs" / "overlays" / "gpt4all.facts.json").write_text(facts)
    row = rows(cli)["gpt4all"]
    assert (row["models"], row["source"]) == (5, None)
    assert cli("catalog", "list").status == 0
    result = cli("catalog", "update")
    assert result.status == 1
    assert "catalog import" in result.error_text


def test_without_imports_there_is_one_row_and_no_folder(cli, app):
    assert list(rows(cli)) == ["base"]
    assert list(rows(cli)["base"]) == ROW
    assert not (app.path / "catalogs").exists()


def test_the_signature_changes_with_each_file_in_force(cli, app):
    settings = load_settings()
    signatures = [catalog_signature(settings)]
    cli("catalog", "import", DATA / "gpt4all.json")
    signatures.append(catalog_signature(settings))
    cli("catalog", "remove", "gpt4all", "-y")
    app.set_models(one_file_model("other", "https://h.example/m.gguf", A))
    signatures.append(catalog_signature(settings))
    assert len(set(signatures)) == 3
    assert catalog_files(settings) == (app.catalog,)


# Remove --------------------------------------------------------------------------------------------------------------


def test_remove_requires_yes_and_removes_the_models(cli, app):
    cli("catalog", "import", DATA / "gpt4all.json")
    assert cli("catalog", "remove", "gpt4all").status == 2
    assert cli("catalog", "remove", "gpt4all", "--json").error["code"] == "usage"
    page = cli("catalog", "remove", "gpt4all", "-y", "--json").json
    assert page == {"schema": "flowhub/catalog-removed/1", "removed": ["gpt4all"]}
    assert snapshot(app.path) == {}
    assert cli("show", "reasoner-v1").status == 3


@pytest.mark.parametrize(("answer", "remains"), [(b"y\n", False), (b"\n", True), (b"no\n", True)])
def test_remove_asks_on_a_terminal(cli, app, answer, remains):
    cli("catalog", "import", DATA / "gpt4all.json")
    main_fd, terminal_fd = pty.openpty()
    try:
        os.write(main_fd, answer)
        with open(terminal_fd, closefd=False) as terminal, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", terminal)
            result = cli("catalog", "remove", "gpt4all")
    finally:
        for fd in (main_fd, terminal_fd):
            with contextlib.suppress(OSError):
                os.close(fd)
    assert result.status == 0
    assert "Remove the imported catalog gpt4all? [y/N]" in result.err
    assert ("gpt4all" in rows(cli)) is remains


def test_an_unknown_name_is_3_with_the_nearest_and_removes_nothing(cli, app):
    cli("catalog", "import", DATA / "gpt4all.json")
    for arguments in (("remove", "-y"), ("update",)):
        result = cli("catalog", arguments[0], "gpt4al", *arguments[1:])
        assert result.status == 3
        assert "gpt4all" in result.error_text
    assert cli("catalog", "remove", "gpt4all", "nope", "-y").status == 3
    assert "gpt4all" in rows(cli)
    assert cli("catalog", "remove", "base", "-y").status == 2


# Validate ------------------------------------------------------------------------------------------------------------


def test_validate_counts_the_models_of_an_import_and_writes_nothing(cli, app):
    page = cli("catalog", "validate", DATA / "localai.yaml", "--json").json
    assert (page["schema"], page["format"], page["models"]) == ("flowhub/catalog-validate/1", "localai", 6)
    assert page["refused"]["name would leave the store"] == 1
    assert "would be taken" in cli("catalog", "validate", DATA / "localai.yaml").out
    assert not (app.path / "catalogs").exists()


def test_validate_of_a_flowhub_catalog_names_the_entry_and_the_field(cli, app, tmp_path):
    assert cli("catalog", "validate", app.catalog, "--json").json["models"] == 1
    (tmp_path / "bad.json").write_text('{"apiVersion": "v1", "models": [{"id": "x", "name": "X", "downloads": []}]}')
    result = cli("catalog", "validate", tmp_path / "bad.json")
    assert result.status == 1
    assert 'model "x", field "downloads"' in result.error_text


def test_validate_without_a_source_checks_the_catalogs_in_force(cli, app):
    cli("catalog", "import", DATA / "gpt4all.json")
    assert cli("catalog", "validate", "--json").json["models"] == 6
    app.catalog.write_text("{}")
    assert cli("catalog", "validate").status == 1


def test_two_models_of_one_id_are_one_fault_of_a_flowhub_catalog(cli, app, tmp_path):
    twice = json.loads(app.catalog.read_text())
    twice["models"] *= 2
    (tmp_path / "twice.json").write_text(json.dumps(twice))
    (tmp_path / "twice.yaml").write_text(f"apiVersion: v1\nmodels: {json.dumps(twice['models'])}\n")
    for verb in ("import", "validate"):
        for file in ("twice.json", "twice.yaml"):
            result = cli("catalog", verb, tmp_path / file)
            assert result.status == 1
            assert "field \"models\": has 'm' twice" in result.error_text
    assert not (app.path / "catalogs").exists()


# Pipes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["gpt4all.json", "gpt4all.facts.json"])
def test_a_named_pipe_among_the_imported_catalogs_does_not_block(cli, app, file):
    cli("catalog", "import", DATA / "gpt4all.json")
    path = app.path / "catalogs" / "overlays" / file
    path.unlink()
    os.mkfifo(path)
    damaged = file == "gpt4all.json"
    result = run_command("catalog", "list", "--json")
    assert result.status == 0
    assert [row["damaged"] for row in json.loads(result.out)["catalogs"]] == [False, damaged]
    result = run_command("show", "m")
    assert result.status == 0
    assert ("it is not a regular file" in result.err) is damaged
    assert run_command("catalog", "remove", "gpt4all", "-y").status == 0


# Screens -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_no_screen_is_wider_than_the_terminal(app, columns):
    for verb in (
        ["import", DATA / "localai.yaml"],
        ["list"],
        ["update"],
        ["validate", DATA / "gpt4all.json"],
        ["validate"],
    ):
        result = run_command("catalog", *verb, COLUMNS=columns)
        assert result.status == 0
        lines = (result.out + result.err).splitlines()
        # A path stays in one piece, so that it can be copied.
        assert [line for line in lines if len(line) > int(columns) and " " in line.strip()] == []


def test_a_wrong_format_and_a_bare_catalog_are_2(cli, app):
    assert cli("catalog", "import", DATA / "gpt4all.json", "--format", "ollama").status == 2
    assert cli("catalog").status == 2
    assert cli("catalog", "import", DATA / "lmstudio.json", "--format", "GPT4All").status == 1


def test_validate_prints_every_fault_and_exits_as_a_malformed_catalog(cli, tmp_path):
    option = {"id": "q", "format": "gguf", "url": "https://h.example/m.gguf", "shaa256": "ab", "size": "12"}
    bad = {"apiVersion": "v1", "models": [{"id": "x", "downloads": [option, {"id": "r", "format": "gguf"}]}]}
    (tmp_path / "bad.json").write_text(json.dumps(bad))
    result = cli("catalog", "validate", tmp_path / "bad.json")
    assert result.status == 1
    output = " ".join(result.out.split())
    assert 'model "x", field "name": is missing.' in output
    assert 'option "r": must have either `url` or `files`.' in output
    assert 'did you mean "sha256"? Nothing is verified without it.' in output
    assert "2 faults" in output
    assert "and 1 more" in result.error_text
    assert "flowhub help catalog" in result.error_text
    page = run_command("catalog", "validate", str(tmp_path / "bad.json"), "--json")
    assert page.status == 1
    assert [fault["field"] for fault in json.loads(page.out)["faults"]] == ["name", None]
    assert [warning["field"] for warning in json.loads(page.out)["warnings"]] == ["shaa256", "size"]
    assert json.loads(page.err)["error"]["code"] == "catalog_malformed"


def test_validate_of_a_sound_catalog_names_the_files_that_nothing_verifies(cli, tmp_path):
    option = {"id": "q", "format": "gguf", "url": "https://h.example/m.gguf"}
    good = {"apiVersion": "v1", "models": [{"id": "x", "name": "X", "downloads": [option]}]}
    (tmp_path / "good.json").write_text(json.dumps(good), encoding="utf-16")
    result = cli("catalog", "validate", tmp_path / "good.json")
    assert result.status == 0
    assert "1 file has no sha256" in result.out


def test_the_help_on_catalogs_shows_an_example_that_can_be_copied(cli, tmp_path):
    text = cli("help", "catalog").out
    example = text[text.index("{") : text.rindex("}") + 1]
    (tmp_path / "copied.json").write_text(example)
    assert cli("catalog", "validate", tmp_path / "copied.json").out.strip().endswith("1 model without a fault.")


def test_an_import_of_flowhubs_format_warns_of_a_misspelt_digest(cli, tmp_path):
    option = {"id": "q", "format": "gguf", "url": "https://h.example/m.gguf", "shaa256": "ab" * 32}
    catalog = {"apiVersion": "v1", "models": [{"id": "x", "name": "X", "downloads": [option]}]}
    (tmp_path / "misspelt.json").write_text(json.dumps(catalog))
    output = " ".join(cli("catalog", "import", tmp_path / "misspelt.json").out.split())
    assert 'option "q", field "shaa256": is not a known field' in output
    assert 'did you mean "sha256"? Nothing is verified without it' in output
