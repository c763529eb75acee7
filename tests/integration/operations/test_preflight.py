"""The preflight of `enqueue`: it requests the first bytes of each file before it queues a job."""

import hashlib
from pathlib import Path

import pytest
from support.answer_faults import FalseContentEncoding, LoginPage, Redirect, Status
from support.cli import cli_app
from support.range_faults import IgnoreRange, PartAs200, WrongTotal

from flowhub_jobs.operations.preflight import probe
from flowhub_jobs.values.enums import State

DATA = b"GGUF" + bytes(range(256)) * 16


@pytest.fixture(autouse=True)
def preflight(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWHUB_CHECK", "true")
    for limit in ("CALL_S", "FILE_S", "CONNECT_S"):
        monkeypatch.setattr(probe, limit, 60.0)  # a busy machine answers late


@pytest.fixture
def app(home, monkeypatch):
    with cli_app(home, monkeypatch) as app:
        yield app


@pytest.mark.parametrize(
    ("status", "headers", "code", "exit_status"),
    [
        (401, {}, "token_missing", 4),
        (403, {"X-Error-Code": "GatedRepo"}, "gated", 4),
        (404, {}, "source_missing", 5),
        (410, {}, "source_missing", 5),
    ],
)
def test_a_permanent_refusal_is_an_error_before_anything_is_queued(
    cli, app, origin, status, headers, code, exit_status
):
    url = origin.serve("m.gguf", DATA, faults=[Status(status, headers)])
    result = cli("enqueue", url, "--json")
    assert (result.status, result.error["code"]) == (exit_status, code)
    assert app.home.queries.in_state(list(State)) == []


def test_the_digest_of_an_empty_file_is_refused_for_a_file_with_bytes(cli, app, origin):
    """`curl … | sha256sum` prints it after a failed download."""
    result = cli("enqueue", origin.serve("m.gguf", DATA), "--sha256", hashlib.sha256(b"").hexdigest(), "--json")
    assert (result.status, result.error["code"]) == (8, "digest_mismatch")
    assert str(len(DATA)) in result.error["message"]
    assert "read nothing" in result.error["hint"]
    assert app.home.queries.in_state(list(State)) == []


@pytest.mark.parametrize("status", [403, 406, 408, 416, 429, 500, 503, 520])
def test_a_status_that_may_pass_is_left_to_the_worker(cli, app, origin, status):
    url = origin.serve("m.gguf", DATA, faults=[Status(status)])
    result = cli("enqueue", url)
    assert result.status == 0
    assert "could not be checked" in result.err
    assert len(app.home.queries.in_state([State.QUEUED])) == 1


def test_a_server_that_refuses_ranges_is_asked_for_the_whole_file(cli, app, origin):
    url = origin.serve("m.gguf", DATA, faults=[Status(400).first(1)])
    result = cli("enqueue", url)
    assert (result.status, "not looked at" in result.err) == (0, False)


def test_an_unreachable_source_is_asked_once_and_its_jobs_are_queued(cli, app):
    origin = "http://127.0.0.1:1"
    result = cli("enqueue", f"{origin}/a.gguf", f"{origin}/b.gguf", "--no-check", "--dry-run")
    assert "not be checked" not in result.err
    result = cli("enqueue", f"{origin}/a.gguf", f"{origin}/b.gguf")
    assert result.status == 0
    assert "could not be checked (2 in all)" in result.err


def test_a_web_page_instead_of_a_file_is_refused(cli, app, origin):
    url = origin.serve("m.gguf", DATA, faults=[LoginPage()])
    assert cli("enqueue", url, "--json").error["code"] == "wrong_content"
    assert cli("enqueue", url, "--sha256", "ab" * 32, "--json").error["code"] == "wrong_content"
    assert "browser" in cli("enqueue", url).error_text
    url = origin.serve("m.bin", b"x" * 40, faults=[LoginPage()])
    assert cli("enqueue", url, "--json").error["code"] == "wrong_content"


def test_first_bytes_of_another_format_do_not_count_against_a_digest(cli, app, origin):
    url = origin.serve("m.gguf", b"\x00" * 400)
    assert cli("enqueue", url, "--json").error["code"] == "wrong_content"
    assert cli("enqueue", url, "--sha256", "ab" * 32).status == 0


def test_the_size_is_known_before_the_job_begins_and_is_not_pinned(cli, app, origin):
    url = origin.serve("m.gguf", DATA)
    job = cli("enqueue", url, "--json").jobs[0]
    assert (job["bytes_total"], job["files"][0]["bytes"]) == (len(DATA), None)
    assert cli("enqueue", origin.serve("n.gguf", DATA), "--dry-run", "--json").json["plan"][0]["bytes_total"] == len(
        DATA
    )


def test_a_queued_file_is_not_requested_again(cli, app, origin):
    url = origin.serve("m.gguf", DATA)
    cli("enqueue", url)
    before = len(origin.requests("m.gguf"))
    assert cli("enqueue", url).status == 0
    assert len(origin.requests("m.gguf")) == before == 1


def test_every_bad_line_of_a_list_is_reported_at_once(cli, app, origin, tmp_path):
    good = origin.serve("m.gguf", DATA)
    (tmp_path / "list").write_text(f"{good}\nno such thing\n{origin.url('gone.gguf')}\nftp://h/x.gguf\n")
    result = cli("enqueue", "-f", tmp_path / "list", "--json")
    assert result.error["message"].startswith("3 of 4 cannot be queued, so nothing was.")
    assert all(f"Line {number}" in result.error["message"] for number in (2, 3, 4))
    result = cli("enqueue", "-f", tmp_path / "list")
    positions = [result.err.find(f"Line {number}:") for number in (2, 3, 4)]
    assert positions == sorted(positions)
    assert -1 not in positions
    assert app.home.queries.in_state(list(State)) == []
    result = cli("enqueue", "-f", tmp_path / "list", "--keep-going", "--quiet")
    assert (result.status, result.out) == (10, "1\n")


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "header", "name"),
    [
        ("1234", 'attachment; filename="My Model.gguf"', "My Model.gguf"),
        ("api/download/models/1234", "attachment; filename*=UTF-8''m%C3%B6del.gguf", "mödel.gguf"),
        ("get.php", 'attachment; filename="../../.bashrc"', "bashrc"),
        ("", "attachment; filename=a:b?.gguf", "a-b-.gguf"),
        ("m.gguf", 'attachment; filename="other.gguf"', "m.gguf"),
        ("1234", 'attachment; filename=".."', "1234"),
        ("1234", "inline", "1234"),
    ],
)
def test_without_a_name_in_the_url_the_servers_is_used_and_confined(cli, app, origin, path, header, name):
    url = origin.serve(path, DATA, headers={"Content-Disposition": header.encode().decode("latin-1")})
    job = cli("enqueue", url, "--json").jobs[0]
    assert Path(job["target"]) == app.home.store.root / name
    assert job["format"] == ("gguf" if name.endswith(".gguf") else None)
    again = cli("enqueue", url, "--json").jobs[0]
    assert again["id"] == job["id"]


def test_a_name_is_that_of_the_address_to_which_the_server_redirects(cli, app, origin):
    origin.serve("files/real.gguf", DATA)
    url = origin.serve("1234", b"", faults=[Redirect(302, "/files/real.gguf?sig=1")])
    assert cli("enqueue", url, "--json").jobs[0]["target"].endswith("/real.gguf")


def test_a_redirect_may_suggest_a_name_itself(cli, app, origin):
    origin.serve("blob", DATA)
    headers = {"Location": "/blob", "Content-Disposition": 'attachment; filename="hop.gguf"'}
    url = origin.serve("1234", b"", faults=[Status(302, headers)])
    assert cli("enqueue", url, "--json").jobs[0]["target"].endswith("/hop.gguf")


def test_a_file_that_is_in_the_store_needs_no_source(cli, app, origin):
    app.home.open_store()
    (app.home.store.root / "m.gguf").write_bytes(DATA)
    url = origin.url("m.gguf")
    assert cli("enqueue", url, "--json").error["code"] == "source_missing"
    cli("enqueue", url, "--sha256", hashlib.sha256(DATA).hexdigest())
    assert cli("worker", "--drain").status == 0
    assert cli("status", "1", "--json").jobs[0]["state"] == "completed"


def test_a_pasted_address_may_have_spaces(cli, app, origin):
    origin.serve("my%20model.gguf", DATA)
    job = cli("enqueue", f"{origin.address}/my model.gguf", "--json").jobs[0]
    assert job["target"].endswith("/my model.gguf")


@pytest.mark.parametrize("pattern", ["<{}>", '"{}"', " {} "])
def test_characters_around_a_pasted_reference_are_removed(cli, app, origin, pattern):
    url = origin.serve("m.gguf", DATA)
    assert cli("enqueue", pattern.format(url), "--json").jobs[0]["target"].endswith("/m.gguf")


def test_a_url_without_a_name_needs_the_option_for_it(cli, app, origin):
    url = origin.serve("", DATA)
    error = cli("enqueue", url, "--json").error
    assert (error["code"], "--name" in error["hint"]) == ("usage", True)
    assert cli("enqueue", url, "--no-check", "--json").error["code"] == "usage"
    assert cli("enqueue", url, "--name", "m.gguf", "--json").jobs[0]["target"].endswith("/m.gguf")
    assert cli("enqueue", url, "--name", "../m.gguf", "--json").error["code"] == "usage"
    assert cli("enqueue", "hf:o/r", "--name", "m.gguf", "--json").error["code"] == "usage"


def test_a_file_under_the_name_that_its_server_gave_it_is_fetched(cli, app, origin):
    url = origin.serve("1234", DATA, headers={"Content-Disposition": 'attachment; filename="m.gguf"'})
    cli("enqueue", url)
    assert cli("worker", "--drain").status == 0
    assert (app.home.store.root / "m.gguf").read_bytes() == DATA
    assert cli("status", "1", "--json").jobs[0]["state"] == "completed"


# Repositories --------------------------------------------------------------------------------------------------------


def test_the_error_of_a_gated_repository_names_its_page(cli, app, hub, monkeypatch):
    hub.add("o/r", "m-Q4_K_M.gguf", DATA)
    hub.access.gated.add("o/r")
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    error = cli("enqueue", "hf:o/r", "--json").error
    assert error["code"] == "gated"
    assert "https://huggingface.co/o/r" in error["hint"]


def test_a_web_page_does_not_contradict_the_size_in_the_catalog(cli, app, origin):
    """A captive portal: the catalog is not out of date."""
    option = {"id": "q", "format": "gguf", "filename": "m.gguf", "sizeBytes": len(DATA)}
    option |= {"url": origin.serve("m.gguf", DATA, faults=[LoginPage()]), "sha256": hashlib.sha256(DATA).hexdigest()}
    app.set_models({"id": "m", "name": "M", "downloads": [option]})
    error = cli("enqueue", "m@q", "--check", "--json").error
    assert error["code"] == "wrong_content"
    assert "a web page" in error["message"]


def test_the_hint_for_a_contradicted_size_names_the_catalog_only_where_that_states_it(
    cli, app, origin, hub, monkeypatch
):
    option = {"id": "q", "format": "gguf", "filename": "m.gguf", "url": origin.serve("m.gguf", DATA)}
    app.set_models({"id": "m", "name": "M", "downloads": [option | {"sizeBytes": len(DATA) + 1}]})
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    hub.add("o/r", "m-Q4_K_M.gguf", DATA)
    hub.break_cdn(WrongTotal())
    catalog_error, hub_error = (cli("enqueue", ref, "--check", "--json").error for ref in ("m", "hf:o/r"))
    assert (catalog_error["code"], hub_error["code"]) == ("size_mismatch", "size_mismatch")
    assert "update the catalog" in catalog_error["hint"]
    assert "catalog" not in hub_error["hint"]
    assert "The Hub lists another size" in hub_error["hint"]


def test_a_data_set_is_fetched_as_a_folder(cli, app, hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    hub.add("datasets/o/d", "README.md", b"# data", lfs=False)
    hub.add("datasets/o/d", "data/a.parquet", b"PAR1" + bytes(5000))
    assert cli("enqueue", "hf:datasets/o/d").status == 0
    assert cli("worker", "--drain").status == 0
    assert (app.home.store.root / "d" / "data" / "a.parquet").stat().st_size == 5004
    assert cli("list", "--json").json["models"][0]["format"] is None


def test_a_branch_with_slashes_is_found_however_they_are_written(cli, app, hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    hub.add("o/r", "sub/m-Q4_K_M.gguf", DATA, revision="feature/x")
    for ref in (
        "hf:o/r@feature%2Fx",
        "hf:o/r@feature/x",
        "hf:o/r@feature/x/sub/m-Q4_K_M.gguf",
        "hf:o/r@feature/x:Q4_K_M",
    ):
        page = cli("enqueue", ref, "--dry-run", "--json").json
        assert page["plan"][0]["ref"].startswith("hf:o/r@feature%2Fx"), ref


def test_a_web_page_with_the_published_size_and_digest_is_a_file(cli, app, hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    hub.add("o/r", "config.json", b"{}", lfs=False)
    hub.add("o/r", "model.safetensors", b"\x02" + bytes(7) + b"{}")
    hub.add("o/r", "notes.json", b"<html>odd</html>", lfs=False)
    assert cli("enqueue", "hf:o/r").status == 0
    assert cli("worker", "--drain").status == 0
    assert (app.home.store.root / "r" / "notes.json").read_bytes() == b"<html>odd</html>"


def test_a_part_sent_as_the_whole_file_does_not_contradict_a_published_size(cli, app, origin):
    url = origin.serve("m.gguf", DATA, faults=[PartAs200(content_range=False)])
    option = {"id": "q", "format": "gguf", "filename": "m.gguf", "url": url, "sizeBytes": len(DATA)}
    app.set_models({"id": "m", "name": "M", "downloads": [option]})
    assert cli("enqueue", "m", "--check").status == 0
    app.run_next_job()
    assert app.job(1).state is State.COMPLETED


def test_an_unknown_coding_does_not_hide_the_size(cli, app, origin):
    url = origin.serve("m.gguf", DATA, faults=[IgnoreRange(), FalseContentEncoding("aws-chunked")])
    assert cli("enqueue", url, "--json").jobs[0]["bytes_total"] == len(DATA)
