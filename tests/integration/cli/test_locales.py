"""Tests of terminals and locales: characters that a stream cannot encode end no command, and JSON is always ASCII."""

import json
import os
import subprocess

import pytest
from support.app import app_of
from support.cli import PROGRAM
from support.models import gguf, one_file_model

CONTENT = gguf(50_000, 1)
NAME = "模型-é.gguf"
LOCALES = {
    "LANG=C": {"LANG": "C", "LC_ALL": "C"},
    "ASCII file names": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "an ASCII terminal": {"PYTHONIOENCODING": "ascii"},
    "a strict ASCII terminal": {"PYTHONIOENCODING": "ascii:strict"},
    "a Latin-1 terminal": {"PYTHONIOENCODING": "latin-1"},
    "a dumb terminal": {"TERM": "dumb"},
}
VERBS = [
    ["status"],
    ["status", "1"],
    ["list"],
    ["show", "wide"],
    ["search", "wide"],
    ["report"],
    ["help", "settings"],
]
JSON_VERBS = [["status", "--json"], ["list", "--json"], ["path", "wide", "--json"]]


@pytest.fixture
def app(tmp_path, home, origin, monkeypatch):
    """A home and a store with names beyond Latin-1, and a model that is installed there."""
    wide = one_file_model("wide", origin.serve("/wide.gguf", CONTENT), CONTENT, filename=NAME, name="通义千问 8B 🦙")
    folder = tmp_path / "höme-量"
    monkeypatch.setenv("FLOWHUB_HOME", str(folder))
    with app_of(folder, wide) as app:
        monkeypatch.setenv("FLOWHUB_CATALOG", str(app.catalog))
        app.enqueue("wide")
        app.run_next_job()
        app.close_home()
        yield app


def run_verb(arguments, environ):
    process = subprocess.run([*PROGRAM, *arguments], capture_output=True, env=os.environ | environ, timeout=60)
    return process.returncode, process.stdout, process.stderr


@pytest.mark.parametrize("locale", LOCALES)
def test_every_verb_prints_in_every_locale(app, locale):
    for verb in VERBS:
        status, out, err = run_verb(verb, LOCALES[locale])
        assert status == 0, (verb, out, err)
        assert out.strip()
        assert b"\x1b" not in out


@pytest.mark.parametrize("locale", LOCALES)
def test_json_is_ascii_in_every_locale_and_names_the_same_path(app, locale):
    for verb in JSON_VERBS:
        status, out, err = run_verb(verb, LOCALES[locale])
        assert (status, err) == (0, b"")
        assert out.isascii()
        assert NAME in json.dumps(json.loads(out), ensure_ascii=False), verb


@pytest.mark.parametrize("locale", LOCALES)
def test_a_path_is_printed_with_the_bytes_of_the_file(app, locale):
    status, out, _ = run_verb(["path", "wide"], LOCALES[locale])
    assert status == 0
    assert out == os.fsencode(app.store / NAME) + b"\n"
    assert os.path.exists(out.rstrip(b"\n"))


@pytest.mark.parametrize("locale", ["ASCII file names"])
@pytest.mark.parametrize("argument", [b"\xff\xfe", "模型☃".encode(), b"hf:o/\xff"])
def test_an_argument_in_any_encoding_is_answered_with_a_sentence(app, locale, argument):
    for verb in ([b"show", argument], [b"enqueue", argument], [argument], [b"path", argument]):
        status, _, err = run_verb(verb, LOCALES[locale])
        assert status not in (0, None)
        assert err.startswith(b"flowhub: ")
        assert b"Traceback" not in err
        assert b"A fault of" not in err
    status, _, err = run_verb([b"show", argument, b"--json"], LOCALES[locale])
    assert err.isascii()
    assert json.loads(err)["error"]["code"] in ("usage", "not_found", "address_refused")


@pytest.mark.parametrize("zone", ["UTC+26", "XYZ-30", "<nowhere>99"])
def test_a_time_zone_that_python_refuses_is_replaced_by_utc(app, zone):
    process = subprocess.run(
        [*PROGRAM, "status", "--all"], env=os.environ | {"TZ": zone}, capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr.splitlines()[0]) == (
        0,
        f"flowhub: TZ={zone} is not a time zone; times are in UTC.",
    )
