"""The inspection of a catalog reports all faults at once, every unknown field, and every file without a digest."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.catalogs.inspection import inspect, known_fields, nearest_field
from flowhub_jobs.catalogs.schema import (
    DownloadFile,
    DownloadOption,
    Hardware,
    HubCatalog,
    HubModel,
    HubVersion,
    parse_catalog,
)
from flowhub_jobs.cli.search.catalog_format_help import CATALOG_HELP, EXAMPLE, FIELDS
from flowhub_jobs.errors import CatalogMalformed

TOP = Path(__file__).resolve().parents[2]
PARTS = (HubCatalog, HubModel, DownloadOption, DownloadFile, HubVersion, Hardware)
PIN = "ab" * 32


def option(**fields):
    return {"id": "q", "format": "gguf", "url": "https://h.example/m.gguf", "sha256": PIN} | fields


def document(*options, **fields):
    return {"apiVersion": "v1", "models": [{"id": "m", "name": "M", "downloads": list(options)} | fields]}


def inspect_document(catalog):
    return inspect(json.dumps(catalog).encode())


def texts(findings):
    return [finding.text for finding in findings]


# The documentation ---------------------------------------------------------------------------------------------------


def test_the_documented_example_has_no_fault_no_warning_and_no_unpinned_file():
    report = inspect(EXAMPLE.encode())
    assert (report.faults, report.warnings, report.notes, report.models) == ([], [], [], 1)


def test_the_documentation_names_every_field_and_no_other():
    fields = {str(field.alias) for part in PARTS for field in part.model_fields.values()}
    words = set(FIELDS.replace(",", " ").replace("*", " ").replace(":", " ").split())
    assert fields <= words
    assert {name for name in words if name[0].islower() and any(map(str.isupper, name))} <= fields | {"sizeBytes"}


def test_the_page_in_docs_is_what_the_help_prints():
    page = (TOP / "docs" / "catalog.md").read_text(encoding="utf-8")
    assert EXAMPLE in page
    assert FIELDS in page
    assert EXAMPLE.rstrip() in CATALOG_HELP
    assert max(map(len, CATALOG_HELP.splitlines())) <= 80


# Faults --------------------------------------------------------------------------------------------------------------


def test_all_faults_are_named_at_once_with_entry_and_field():
    bad = document(
        option(sizeBytes="12", format="x"),
        {"id": "q", "format": "gguf", "sizeBytes": -1},
        {"id": "f", "format": "mlx", "files": [{"path": "a", "url": "ftp://h/a"}, {"path": "A"}]},
        name=5,
    )
    assert texts(inspect_document(bad).faults) == [
        'model "m", field "name": must be a string, not the number 5',
        'model "m", field "downloads": has \'q\' twice',
        'model "m", option "q", field "format": must be one of '
        "'gguf', 'mlx' or 'safetensors', not the string \"x\"",
        'model "m", option "q", field "sizeBytes": must be a whole number, not the string "12"',
        'model "m", option "q", field "sizeBytes": must be more than 0; leave it out if it is unknown',
        'model "m", option "q": must have either `url` or `files`',
        'model "m", option "f", field "files": has \'a\' twice (case does not count)',
        'model "m", option "f", file "a", field "url": the address ftp://h/a is refused: its scheme is ftp',
        'model "m", option "f", file "A", field "url": is missing',
    ]


def test_bytes_that_are_no_catalog_are_one_fault():
    assert texts(inspect(b"<html>").faults) == ["is a web page (HTML or XML), not a catalog"]
    assert texts(inspect(b"{").faults)[0].startswith("is not JSON: ")


def test_a_model_of_too_many_options_is_refused_by_its_number():
    catalog = document(*(option(id=f"q{number}") for number in range(1001)))
    assert texts(inspect_document(catalog).faults) == [
        'model "m", field "downloads": has more than 1,000 entries, the most that are read'
    ]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"url": 5},
        {"url": None, "files": []},
        {"files": [{"path": "a", "url": "https://h/a"}]},
        {"files": "x"},
        {"filename": "a/b"},
        {"url": "http://h.example/m.gguf", "sha256": None},
        {"url": "https://h.example/"},
        {"sha256": "sha256:" + PIN.upper()},
        {"id": "mlx.", "url": None, "files": [{"path": "a", "url": "https://h/a", "sha256": PIN}]},
    ],
)
def test_an_inspection_finds_a_fault_exactly_where_loading_does(change):
    raw = json.dumps(document(option(**change))).encode()
    try:
        parse_catalog(raw, where="c", error=CatalogMalformed)
    except CatalogMalformed as error:
        faults = texts(inspect(raw).faults)
        first = error.message.removeprefix("c: ")
        assert any(first.startswith(fault) for fault in faults)
    else:
        assert inspect(raw).faults == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.text(max_size=20) | st.just("https://h.example/x.gguf"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS.split()), inner, max_size=4),
    max_leaves=20,
)


@given(
    st.sampled_from(["apiVersion", "models"]), VALUES, st.sampled_from(["id", "url", "files", "sha256", "x"]), VALUES
)
def test_any_document_can_be_inspected(top_field, value, name, other_value):
    inspect_document(copy.deepcopy(document(option())) | {top_field: value})
    inspect_document(document(option(**{name: other_value})))
    inspect_document(document(**{"downloads": value, name: other_value}))


# Warnings and notes --------------------------------------------------------------------------------------------------


def test_a_misspelt_digest_is_a_warning_that_nothing_is_verified():
    report = inspect_document(document(option(shaa256=PIN, sha256=None)))
    assert report.faults == []
    (warning,) = report.warnings
    assert (warning.entry, warning.field) == ('model "m", option "q"', "shaa256")
    assert 'did you mean "sha256"? Nothing is verified without it' in warning.why
    assert texts(report.notes) == ['model "m", option "q": has no sha256: its bytes are not verified']


def test_a_misspelt_field_next_to_the_right_one_is_only_ignored():
    (warning,) = inspect_document(document(option(shaa256=PIN))).warnings
    assert warning.why == 'is not a known field, and ignored; did you mean "sha256"?'


@pytest.mark.parametrize(
    ("part", "typed", "suggested"),
    [
        (DownloadOption, "shaa256", "sha256"),
        (DownloadOption, "SHA256", "sha256"),
        (DownloadOption, "sha_256", "sha256"),
        (DownloadOption, "checksum", "sha256"),
        (DownloadOption, "size", "sizeBytes"),
        (DownloadOption, "sizebytes", "sizeBytes"),
        (DownloadOption, "link", "url"),
        (DownloadOption, "fileName", "filename"),
        (DownloadFile, "filename", "path"),
        (HubModel, "licence", "license"),
        (HubModel, "descripton", "description"),
        (HubModel, "options", "downloads"),
        (HubModel, "context", "contextLength"),
        (HubVersion, "date", "releasedAt"),
        (Hardware, "minRAMGb", "minRamGb"),
        (DownloadOption, "priority", None),
        (DownloadOption, "x", None),
    ],
)
def test_the_field_that_was_probably_meant_is_suggested(part, typed, suggested):
    assert typed not in known_fields(part)
    assert nearest_field(typed, part) == suggested


def test_addresses_of_pages_bad_dates_and_repeated_fields_are_warnings():
    page = option(url="https://huggingface.co/a/b/blob/main/m.gguf")
    report = inspect_document(document(page, versions=[{"version": "1", "releasedAt": "soon"}]))
    assert [(warning.field, warning.why.split(":")[0]) for warning in report.warnings] == [
        ("url", "is the URL of a page; the file is at /resolve/ in its place"),
        ("releasedAt", "is not a date such as 2024-09-19"),
    ]
    repeated = json.dumps(document(option())).replace('"format"', '"format": "mlx", "format"')
    assert texts(inspect(repeated.encode()).warnings) == [
        'field "format": occurs twice in one object; the last one counts'
    ]


def test_an_unknown_platform_is_a_warning():
    report = inspect_document(document(option(), hardware={"platforms": ["Linux", "darwin", "Win32", "amiga"]}))
    assert [(warning.field, warning.why) for warning in report.warnings] == [
        ("hardware.platforms", 'has "amiga"; known are linux, macos, windows')
    ]


@pytest.mark.parametrize(("start", "name"), [(b"\x1f\x8b\x08", "gzip"), (b"PK\x03\x04", "zip")])
def test_the_fault_of_a_packed_catalog_says_that_it_is_packed(start, name):
    assert texts(inspect(start + bytes(50)).faults) == [f"is packed ({name}): unpack it first"]


def test_a_git_digest_verifies_too_and_python_names_are_known():
    report = inspect_document(document(option(sha256=None, git_sha1="ab" * 20, size_bytes=5)))
    assert (report.faults, report.warnings, report.notes) == ([], [], [])


# Encodings and YAML --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_catalog_is_read_in_any_unicode_encoding(encoding):
    raw = json.dumps(document(option(), description="ü"), ensure_ascii=False, indent=1).replace("\n", "\r\n")
    assert inspect(raw.encode(encoding)).models == 1
    assert parse_catalog(raw.encode(encoding), where="c", error=CatalogMalformed).models[0].description == "ü"


def test_a_catalog_is_read_from_yaml_with_its_numbers():
    raw = f"""\
apiVersion: v1
models:
- id: m
  name: M
  contextLength: 4096
  hardware: {{minRamGb: 1.5, diskGb: 2}}
  versions: [{{version: 1.0, releasedAt: 2024-09-19}}]
  downloads:
  - {{id: q, format: gguf, url: "https://h.example/m.gguf", sizeBytes: 12, sha256: {PIN}}}
"""
    assert inspect(raw.encode()).faults == []
    model = parse_catalog(raw.encode(), where="c", error=CatalogMalformed).models[0]
    assert (model.context_length, model.hardware.min_ram_gb, model.downloads[0].size_bytes) == (4096, 1.5, 12)
    assert (model.versions[0].version, model.versions[0].released_at) == ("1.0", "2024-09-19")
    quoted = raw.replace("sizeBytes: 12", "sizeBytes: '12'")
    assert "not the string" in inspect(quoted.encode()).faults[0].why
