"""Catalogs are parsed strictly; an error names the entry and the field in plain words."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from flowhub_jobs.catalogs.schema import DownloadOption, HubCatalog, artifact, parse_catalog
from flowhub_jobs.errors import CatalogMalformed
from flowhub_jobs.values.artifacts import ArtifactFile
from flowhub_jobs.values.enums import HubFormat

Edit = Callable[[dict[str, Any]], None]

GOOD: dict[str, Any] = {
    "apiVersion": "v1",
    "models": [
        {
            "id": "foo",
            "name": "Foo",
            "downloads": [
                {"id": "q4", "format": "gguf", "url": "https://h.example/a/x%20y.gguf", "sizeBytes": 5},
                {
                    "id": "mlx-4bit",
                    "format": "mlx",
                    "files": [
                        {"path": "a/b.json", "url": "https://h.example/b", "sizeBytes": 7, "gitSha1": "AB" * 20},
                        {"path": "c", "url": "https://h.example/c", "sizeBytes": 0},
                    ],
                },
            ],
        }
    ],
}


def parse(raw: bytes) -> HubCatalog:
    return parse_catalog(raw, where="catalog file /x.json", error=CatalogMalformed)


def catalog_with(edit: Edit) -> bytes:
    document = copy.deepcopy(GOOD)
    edit(document)
    return json.dumps(document).encode()


def error_text(raw: bytes) -> str:
    with pytest.raises(CatalogMalformed) as raised:
        parse(raw)
    message = raised.value.message
    assert "\n" not in message
    assert message.startswith("catalog file /x.json: ")
    return message.removeprefix("catalog file /x.json: ")


# Each of these returns an edit of GOOD: it sets fields of the catalog, a model, an option or a file, or deletes one.


def top(**change: Any) -> Edit:
    return lambda document: document.update(change)


def model(**change: Any) -> Edit:
    return lambda document: document["models"][0].update(change)


def option(**change: Any) -> Edit:
    return lambda document: document["models"][0]["downloads"][0].update(change)


def file(**change: Any) -> Edit:
    return lambda document: document["models"][0]["downloads"][1]["files"][0].update(change)


def without(name: str, *path: Any) -> Edit:
    def edit(document: Any) -> None:
        for step in path:
            document = document[step]
        del document[name]

    return edit


FIELDS = [
    (top(apiVersion="v2"), "field \"apiVersion\": is 'v2'; this flowhub reads version v1"),
    (top(apiVersion="v10"), "field \"apiVersion\": is 'v10'"),
    (top(apiVersion=1), 'field "apiVersion": must be a string'),
    (top(models={}), 'field "models": must be a list'),
    (top(models=["x"]), "model number 1: must be an object"),
    (without("models"), 'field "models": is missing'),
    (without("id", "models", 0), 'model number 1, field "id": is missing'),
    (without("name", "models", 0), 'model "foo", field "name": is missing'),
    (without("downloads", "models", 0), 'model "foo", field "downloads": is missing'),
    (model(id="Foo Bar"), 'model "Foo Bar", field "id": must be of a-z'),
    (model(id="\x1b[31mfoo"), 'model "\\x1b[31mfoo", field "id"'),
    (model(id="../foo"), 'field "id"'),
    (model(name=" "), 'model "foo", field "name": is empty'),
    (model(name="\ud800"), 'model "foo", field "name": holds the character U+D800'),
    (model(description="a \x1b[2J b"), 'field "description": holds the character U+001B'),
    (model(downloads=[]), 'field "downloads": is empty'),
    (model(tags="chat"), 'field "tags": must be a list'),
    (model(tags=["chat", 1]), 'field "tags[1]": must be a string'),
    (model(contextLength="8192"), 'field "contextLength": must be a whole number'),
    (model(contextLength=0), 'field "contextLength": must be more than 0'),
    (model(homepage="javascript:alert(1)"), 'field "homepage": must begin with https://'),
    (model(hardware={"minRamGb": "8"}), 'field "hardware.minRamGb": must be a number'),
    (model(hardware={"diskGb": 0}), 'field "hardware.diskGb": must be more than 0; leave it out'),
    (option(id="Q4"), 'option "Q4", field "id": must be of a-z'),
    (option(format="onnx"), 'option "q4", field "format": must be one of'),
    (option(offload="most"), 'option "q4", field "offload": must be one of'),
    (option(sizeBytes="123"), 'model "foo", option "q4", field "sizeBytes": must be a whole number'),
    (option(sizeBytes=123.5), 'field "sizeBytes": must be a whole number'),
    (option(sizeBytes=True), 'field "sizeBytes": must be a whole number'),
    (option(sizeBytes=0), 'field "sizeBytes": must be more than 0; leave it out if it is unknown'),
    (option(sizeBytes=-1), 'field "sizeBytes": must be more than 0'),
    (option(sizeBytes=10**30), 'field "sizeBytes": is too large'),
    (option(sha256="q" * 64), 'model "foo", option "q4", field "sha256": is not 64 hex digits'),
    (option(sha256="ab" * 16), 'field "sha256": is not 64 hex digits'),
    (option(sha256=""), 'field "sha256": is not 64 hex digits'),
    (option(gitSha1="ab"), 'field "gitSha1": is not 40 hex digits'),
    (option(filename=""), 'field "filename": is empty'),
    (option(filename="../x.gguf"), 'field "filename": contains'),
    (option(filename="nul.gguf"), 'field "filename": is a Windows device name'),
    (option(url="https://h.example/"), 'field "url": ends in no usable file name (it is empty)'),
    (option(url="https://h.example/%2e%2e%2fx"), 'field "url": ends in no usable file name'),
    (option(url="file:///etc/passwd"), 'field "url": '),
    (option(url="http://h.example/x.gguf"), 'option "q4", field "url": '),
    (option(files=[]), 'option "q4": must have either `url` or `files`, not both'),
    (without("url", "models", 0, "downloads", 0), 'option "q4": must have either `url` or `files`'),
    (without("format", "models", 0, "downloads", 0), 'option "q4", field "format": is missing'),
    (file(path="../../x"), 'option "mlx-4bit", file "../../x", field "path": climbs out'),
    (file(path="/etc/x"), 'field "path": is absolute'),
    (file(path="C"), "field \"files\": has 'c' twice (case does not count)"),
    (file(path="c/d"), "field \"files\": has 'c' both as a file and as a folder"),
    (file(url="http://h.example/b"), 'file "a/b.json", field "url": '),
    (file(sizeBytes=-1), 'file "a/b.json", field "sizeBytes": must not be negative'),
    (without("url", "models", 0, "downloads", 1, "files", 0), 'file "a/b.json", field "url": is missing'),
    (lambda d: d["models"].append(d["models"][0]), "field \"models\": has 'foo' twice"),
    (lambda d: d["models"][0]["downloads"].append(d["models"][0]["downloads"][0]), "has 'q4' twice"),
    (lambda d: d["models"][0]["downloads"][1].update(files=[]), 'option "mlx-4bit", field "files": is empty'),
    (lambda d: d["models"][0]["downloads"][1].update(id="mlx."), "gives no usable folder name: ends with a dot"),
]


@pytest.mark.parametrize(("edit", "expected"), FIELDS, ids=[expected for _, expected in FIELDS])
def test_a_fault_is_named_by_entry_and_field(edit: Edit, expected: str) -> None:
    assert expected in error_text(catalog_with(edit))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<!DOCTYPE html><html>", "is a web page (HTML or XML)"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"a":', "is not JSON: Expecting value, line 1, column 6"),
        ("{}".encode("utf-16")[:-1], "is not UTF-16 text (byte 4"),
        (b"just words", "must be a JSON object"),
        (b"a: [", "is not YAML"),
        (b'{"a": "\xff"}', "is not UTF-8 text (byte 7"),
        (b"[" * 100_000, "nests lists or objects too deeply"),
        (b'{"a":' * 100_000, "nests lists or objects too deeply"),
        (b'{"a": NaN}', "holds NaN, which is not JSON"),
        (b'{"a": -Infinity}', "holds -Infinity, which is not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "holds a number too long to be read"),
    ],
)
def test_the_error_for_bytes_that_are_no_catalog_says_what_they_are(raw: bytes, expected: str) -> None:
    assert expected in error_text(raw)


@pytest.mark.parametrize("number", [b"60000", b"60000.0", b"6e4"])
def test_a_whole_number_may_be_written_as_a_float(number) -> None:
    raw = catalog_with(option(sizeBytes=12345)).replace(b"12345", number)
    size = parse_catalog(raw, where="test", error=CatalogMalformed).models[0].downloads[0].size_bytes
    assert (size, type(size)) == (60000, int)


@pytest.mark.parametrize("number", [b"60000.5", b"1e999", b"-6e4", b"1e17"])
def test_a_float_that_is_no_size_is_refused(number) -> None:
    raw = catalog_with(option(sizeBytes=12345)).replace(b"12345", number)
    assert 'field "sizeBytes"' in error_text(raw)


def test_a_number_too_large_for_a_float_is_refused() -> None:
    raw = catalog_with(model(hardware={"minRamGb": 1.5})).replace(b"1.5", b"1e999")
    assert error_text(raw) == 'model "foo", field "hardware.minRamGb": must be a finite number'


def test_the_error_counts_further_faults() -> None:
    assert error_text(b"{}") == 'field "apiVersion": is missing (and 1 more)'


def test_a_deeply_nested_list_in_place_of_a_model_is_one_error() -> None:
    junk = b"[" * 900 + b"]" * 900
    assert "must be an object" in error_text(b'{"apiVersion": "v1", "models": ' + junk + b"}")


def test_unknown_fields_a_minor_version_and_null_for_absent_are_accepted() -> None:
    def newer(document: dict[str, Any]) -> None:
        document.update(apiVersion="v1.7", signature={"deep": [1, {"x": None}]})
        document["models"][0].update(rating=5, tags=None, hardware=None, versions=[{"version": "1.0.0", "x": 1}])
        document["models"][0]["downloads"][0].update(filename=None, sha256=None)

    model = parse(catalog_with(newer)).models[0]
    assert model.tags == ()
    assert model.hardware is None
    assert model.versions[0].version == "1.0.0"


def test_a_single_file_becomes_an_artifact_named_by_the_decoded_end_of_its_address() -> None:
    model = parse(json.dumps(GOOD).encode()).models[0]
    single = artifact(model, model.downloads[0])
    assert (single.ref, single.name, single.folder, single.format) == ("foo@q4", "x y.gguf", False, HubFormat.GGUF)
    assert single.files == (ArtifactFile("x y.gguf", "https://h.example/a/x%20y.gguf", 5),)


def test_files_become_a_folder_named_by_model_and_option() -> None:
    model = parse(json.dumps(GOOD).encode()).models[0]
    folder = artifact(model, model.downloads[1])
    assert (folder.ref, folder.name, folder.folder) == ("foo@mlx-4bit", "foo-mlx-4bit", True)
    assert folder.files[0] == ArtifactFile("a/b.json", "https://h.example/b", 7, None, "ab" * 20)


def test_an_option_taken_alone_still_knows_its_model() -> None:
    option = parse(json.dumps(GOOD).encode()).models[0].downloads[1]
    assert option.model_id == "foo"
    assert artifact(None, option).name == "foo-mlx-4bit"


def test_an_option_made_by_hand_has_no_model() -> None:
    option = DownloadOption(id="q4", format=HubFormat.GGUF, url="https://h.example/x.gguf")
    assert option.model_id is None
    assert artifact(None, option).ref == "q4"


def test_the_total_size_is_unknown_where_one_file_has_none() -> None:
    first, folder = parse(json.dumps(GOOD).encode()).models[0].downloads
    assert (first.size_bytes_total, folder.size_bytes_total) == (5, 7)
    unknown = parse(catalog_with(without("sizeBytes", "models", 0, "downloads", 1, "files", 0)))
    assert unknown.models[0].downloads[1].size_bytes_total is None


def test_digests_are_lower_cased_and_plain_http_is_accepted_with_one() -> None:
    download = parse(catalog_with(option(url="http://h.example/x.gguf", sha256="AB" * 32))).models[0].downloads[0]
    assert download.sha256 == "ab" * 32
