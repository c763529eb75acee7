"""Hostile foreign catalogs do no harm: a catalog is refused as a whole with one error, or entry by entry."""

import json
import tracemalloc

import pytest
import yaml

from flowhub_jobs.catalogs.importers import yaml_events
from flowhub_jobs.catalogs.importers.detect import read_catalog
from flowhub_jobs.catalogs.importers.yaml_events import NotYaml, read_yaml
from flowhub_jobs.errors import CatalogMalformed, CatalogSourceMalformed

SHA = "ab" * 32
LAUGHS = "- &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"- &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(12)
)
WIDE = "- &a {" + ", ".join(f"k{n}: v" for n in range(2000)) + "}\n"
MERGES = WIDE + "".join(f"- &{chr(98 + n)} {{<<: [{','.join([f'*{chr(97 + n)}'] * 10)}]}}\n" for n in range(12))


@pytest.fixture(params=["libyaml", "python"])
def loader(request, monkeypatch):
    """Both parsers: wheels have libyaml, a local build may not."""
    if request.param == "python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("needs libyaml")


def read(raw, shape=None, error=CatalogMalformed):
    return read_catalog(raw, where="The catalog x", error=error, shape=shape)


def error_text(raw, **more):
    with pytest.raises(CatalogMalformed) as raised:
        read(raw, **more)
    message = raised.value.message
    assert message.startswith("The catalog x: ")
    assert message.isprintable()
    return message


# YAML ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bomb", [LAUGHS, MERGES], ids=["laughs", "merges"])
def test_a_bomb_is_refused_before_it_grows(loader, bomb):
    tracemalloc.start()
    try:
        with pytest.raises(NotYaml, match="it may be a bomb"):
            read_yaml(bomb.encode())
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["&a [*a]", "&a {b: *a}", "- &a\n  <<: *a\n  b: 1"])
def test_a_value_that_holds_itself_is_refused(loader, text):
    with pytest.raises(NotYaml, match="holds itself"):
        read_yaml(text.encode())


@pytest.mark.parametrize("text", ["[" * 5000, "- " * 5000 + "x", "{a: " * 5000], ids=["flow", "block", "objects"])
def test_deep_nesting_is_refused(loader, text):
    with pytest.raises(NotYaml, match="too deeply"):
        read_yaml(text.encode())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: b: c", "is not YAML"),
        ("- *unknown", "anchor"),
        ("--- a\n--- b", "several YAML documents"),
        ("a: \0", "is not YAML"),
        ("a: \x1b[2J", "is not YAML"),
        ("- <<: text", "merge key"),
        ("- <<: [text]", "merge key"),
        ("\t- a", "is not YAML"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused_with_a_reason(loader, text, why):
    with pytest.raises(NotYaml, match=why):
        read_yaml(text.encode())


def test_bytes_that_are_no_text_are_refused_with_a_reason(loader):
    with pytest.raises(NotYaml, match="is not YAML"):
        read_yaml(b"- \xff\xfe\xfa")


def test_yaml_beyond_the_cap_is_refused_unread(monkeypatch):
    monkeypatch.setattr(yaml_events, "BYTES_MAX", 100)
    with pytest.raises(NotYaml, match="MB of YAML"):
        read_yaml(b"- a\n" * 30)


def test_values_are_text_lists_and_objects_and_a_tag_constructs_nothing(loader):
    text = (
        '- {a: 1, b: true, c: 2026-01-01, d: ~, e: "", "<<": 5, [x]: y}\n- !!python/object/apply:os.system [id]\n- <<'
    )
    assert read_yaml(text.encode()) == [
        {"a": "1", "b": "true", "c": "2026-01-01", "d": None, "e": "", "<<": "5"},
        ["id"],
        "<<",
    ]


@pytest.mark.parametrize("key", ["<<", "!!merge <<", "!!merge '<<'"])
def test_merge_keys_are_those_of_yaml(loader, key):
    text = f"- &a {{x: 1, y: 1}}\n- &b {{y: 2, z: 2}}\n- {{z: 3, {key}: [*a, *b]}}\n- {{{key}: *b, z: 4}}\n"
    assert read_yaml(text.encode())[2:] == [{"x": "1", "y": "1", "z": "3"}, {"y": "2", "z": "4"}]


# Whole catalogs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\xef\xbb\xbf  <html>", "web page"),
        (b'[{"name": "\0"}]', "is not JSON"),
        (b"[" * 100_000, "too deeply"),
        (b'{"a":' * 100_000, "too deeply"),
        (b'[{"name": NaN}]', "NaN"),
        (b"[1" + b"0" * 5000 + b"]", "too long"),
        (b'[{"name": "cut', "is not JSON"),
        ('[{"a": 1}]'.encode("utf-16"), "no format"),
        (b"[{'a': 1}]", "is not JSON"),
        (b"[]", "no format that flowhub knows"),
        (b"{}", "no format that flowhub knows"),
        (b'[1, "a", null]', "no format that flowhub knows"),
        (b"just words", "no format that flowhub knows"),
        (b'{"apiVersion": "v2", "models": []}', "apiVersion"),
        (b'{"apiVersion": "v1", "models": {}}', "no list of models"),
        (b'{"apiVersion": 1, "models": []}', "apiVersion"),
    ],
)
def test_bytes_that_are_no_catalog_are_one_error(raw, why):
    assert why in error_text(raw)


def test_a_catalog_of_another_shape_than_the_named_one_is_one_error():
    assert "no list of models" in error_text(b'{"apiVersion": "v1", "models": []}', shape="gpt4all")
    assert "apiVersion" in error_text(b"[]", shape="flowhub")


def test_the_same_fault_from_a_url_is_an_error_of_the_source():
    with pytest.raises(CatalogSourceMalformed):
        read(b"<html>", error=CatalogSourceMalformed)


def test_a_byte_order_mark_does_no_harm():
    assert len(read(b"\xef\xbb\xbf" + json.dumps([gpt4all()]).encode()).models) == 1
    assert len(read(b"\xef\xbb\xbf- name: m\n  files: [{filename: m.gguf, uri: 'hf://o/r/m.gguf'}]\n").models) == 1


# Entries -------------------------------------------------------------------------------------------------------------


def gpt4all(**change):
    return {"name": "M", "filename": "m.Q4_0.gguf", "url": "https://h.example/m.gguf", "sha256sum": SHA} | change


def refusal_reason(**change):
    [reason] = read(json.dumps([gpt4all(**change)]).encode(), shape="gpt4all").refused
    return reason


@pytest.mark.parametrize(
    "name",
    ["../m.gguf", "a/../../m.gguf", "/etc/m.gguf", "\\\\host\\m.gguf", "~/m.gguf", "C:\\m.gguf", "..\\m.gguf"],
)
def test_a_name_that_would_leave_the_store_is_refused(name):
    assert refusal_reason(filename=name) == "name would leave the store"


@pytest.mark.parametrize(
    "name",
    ["con.gguf", "nul", ".gguf", "a:b.gguf", "m.gguf ", "m\u202e.gguf", "x" * 300 + ".gguf", "a//m.gguf", "m\n.gguf"],
)
def test_a_name_that_no_store_takes_is_refused(name):
    assert refusal_reason(filename=name) == "file name not allowed"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": None}, "no address"),
        ({"url": ""}, "no address"),
        ({"url": 5}, "no address"),
        ({"url": ["https://h.example/m.gguf"]}, "no address"),
        ({"url": "ollama://llama3"}, "unknown scheme"),
        ({"url": "file:///etc/passwd"}, "unknown scheme"),
        ({"url": "javascript:alert(1)"}, "unknown scheme"),
        ({"url": "m.gguf"}, "address refused"),
        ({"url": "https://user:pw@h.example/m.gguf"}, "address refused"),
        ({"url": "https://h.example/a b.gguf"}, "address refused"),
        ({"url": "http://h.example/m.gguf", "sha256sum": "", "md5sum": "ab" * 16}, "no sha256 and plain http"),
        ({"filename": "ggml-model.bin"}, "not a GGUF or safetensors file"),
        ({"filename": "m.gguf.gz"}, "not a GGUF or safetensors file"),
        ({"name": None}, "no name"),
        ({"name": "\u202e"}, "no name"),
        ({"name": {"a": 1}}, "no name"),
    ],
)
def test_an_entry_that_cannot_be_taken_has_one_reason(change, reason):
    assert refusal_reason(**change) == reason


def test_plain_http_with_a_sha256_is_taken():
    assert len(read(json.dumps([gpt4all(url="http://h.example/m.gguf")]).encode()).models) == 1


@pytest.mark.parametrize("digest", ["ab" * 16, "ab" * 20, "xy" * 32, "", None, 5, ["ab" * 32], "ab" * 33])
def test_a_malformed_sha256_is_never_a_pin(digest):
    [model] = read(json.dumps([gpt4all(sha256sum=digest, md5sum=digest)]).encode()).models
    assert "sha256" not in model["downloads"][0]


def test_a_digest_in_capitals_is_a_pin():
    [model] = read(json.dumps([gpt4all(sha256sum=f" {SHA.upper()}\n")]).encode()).models
    assert model["downloads"][0]["sha256"] == SHA


@pytest.mark.parametrize(
    ("filesize", "expected"),
    [("5", 5), (5, 5), ("0", None), (0, None), (-1, None), ("5 GB", None), (True, None), (1.5, None), (10**20, None)],
)
def test_a_size_is_a_number_or_its_digits_and_never_0(filesize, expected):
    [model] = read(json.dumps([gpt4all(filesize=filesize)]).encode()).models
    assert model["downloads"][0].get("sizeBytes") == expected


def test_texts_lose_control_characters_and_are_limited_in_length():
    entry = gpt4all(
        name="A\x1b[31m\u202eB\r\nC", description="<p>x\x07y</p><script>evil()</script>" + "<li>z" * 9999, type=7
    )
    [model] = read(json.dumps([entry]).encode()).models
    assert model["name"] == "A[31mB C"
    assert model["description"].startswith("xy. z.")
    assert len(model["description"]) <= 4000
    assert "family" not in model


def test_equal_names_get_ids_of_their_own():
    result = read(json.dumps([gpt4all(), gpt4all(name="m!"), gpt4all(name="Ω"), gpt4all(name="con")]).encode())
    assert [model["id"] for model in result.models] == ["m", "m-2", "model", "con"]


def test_malformed_entries_are_counted_next_to_good_ones():
    raw = json.dumps([gpt4all(), None, 5, [gpt4all()], "x", {"name": "empty"}]).encode()
    result = read(raw)
    assert len(result.models) == 1
    assert {reason: len(named) for reason, named in result.refused.items()} == {"not an object": 4, "no address": 1}


@pytest.mark.parametrize("wrong_value", [None, 5, "x", [], {}, [None], [[]], {"all": 5}, {"all": [None, {}]}])
def test_a_field_of_the_wrong_type_does_not_stop_an_import(wrong_value):
    """Each field of each format in turn has a value of the wrong type."""
    file = {"filename": "m.gguf", "uri": "hf://o/r/m.gguf", "sha256": SHA}
    localai = {"name": "l", "urls": ["https://h/x"], "files": [file], "tags": ["a"], "license": "mit"}
    localai |= {"description": "d", "overrides": {"parameters": {"model": "m.gguf"}}}
    files = {"highlighted": {"economical": {"name": "m"}}, "all": [{"name": "m.gguf", "url": "https://h/m.gguf"}]}
    lmstudio = {"name": "s", "author": {"name": "n"}, "resources": {}, "arch": "a", "files": files}
    lmstudio |= {"datePublished": "2024-01-01T00:00:00", "numParameters": "unknown", "trainedFor": "other"}
    for shape, entry in (("localai", localai), ("lmstudio", lmstudio), ("gpt4all", gpt4all())):
        assert len(read(json.dumps([entry]).encode(), shape=shape).models) == 1
        for field in entry:
            assert read(json.dumps([entry | {field: wrong_value}]).encode(), shape=shape).entries == 1


def localai(*files):
    """Import one entry of LocalAI's with these files: (filename, uri)."""
    listed = [{"filename": name, "uri": uri, "sha256": SHA} for name, uri in files]
    return read(json.dumps([{"name": "l", "files": listed}]).encode(), shape="localai")


def test_an_entry_that_lacks_a_file_it_needs_is_refused_as_a_whole():
    result = localai(("m.gguf", "hf://o/r/m.gguf"), ("clip.safetensors", "oci://x/clip"))
    assert (result.models, list(result.refused)) == ([], ["unknown scheme"])


@pytest.mark.parametrize(
    "more", [[], [("mmproj-F16.gguf", "hf://o/r/mmproj-F16.gguf")]], ids=["of one projector", "of two projectors"]
)
def test_a_model_is_taken_alone_where_its_projector_is_left_out(more):
    result = localai(("m.Q8_0.gguf", "hf://o/r/m.gguf"), ("../mmproj.gguf", "hf://o/r/mmproj.gguf"), *more)
    assert [option["id"] for option in result.models[0]["downloads"]] == ["q8_0"]
    assert result.left_out == {"name would leave the store": ["../mmproj.gguf"]}


def test_the_schema_refuses_what_an_importer_overlooks():
    """The folders of two files of one name differ in case alone: some file systems hold only one of them."""
    result = localai(("A/m.gguf", "hf://o/r/m.gguf"), ("a/m.gguf", "hf://o/r/n.gguf"))
    assert (result.models, list(result.refused)) == ([], ["against the catalog's rules"])


def test_many_entries_of_one_name_get_different_ids():
    entry = {"name": "x", "filename": "x.gguf", "url": "https://h.example/x.gguf", "md5sum": "ab" * 16}
    result = read(json.dumps([entry] * 2000).encode(), shape="gpt4all")
    assert [model["id"] for model in result.models[:3]] == ["x", "x-2", "x-3"]
    assert len({model["id"] for model in result.models}) == 2000


def test_many_entries_of_one_id_refuse_a_flowhub_catalog_whole():
    entry = {"id": "x", "name": "X", "downloads": [{"id": "q4", "format": "gguf", "url": "https://h.example/x.gguf"}]}
    assert "has 'x' twice" in error_text(json.dumps({"apiVersion": "v1", "models": [entry] * 20_000}).encode())
