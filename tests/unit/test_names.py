"""Names from outside: which ones a file may get, and which two are the same name."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.fs.names import (
    MAX_PATH_BYTES,
    filename_from_url,
    name_problem,
    path_problem,
    same_name_key,
)


@pytest.mark.parametrize(
    "name",
    [
        "Qwen3-14B-Q4_K_M.gguf",
        "model-00001-of-00002.safetensors",
        "mödel 日本.gguf",
        "a~b",
        "con-model.gguf",
        "com10.gguf",
        "console",
        "nullable.json",
        "x" * 200,
        "é" * 100,
        "100%.gguf",
        "a'b",
    ],
)
def test_an_ordinary_name_is_accepted(name):
    assert name_problem(name) is None
    assert path_problem(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        (".", "begins with a dot"),
        ("..", "begins with a dot"),
        (".hidden", "begins with a dot"),
        ("~root", "begins with '~'"),
        (" model.gguf", "begins with a space"),
        ("model.gguf ", "ends with a space"),
        ("\N{NO-BREAK SPACE}model.gguf", "begins with a space"),
        ("model.gguf.", "ends with a dot"),
        ("a/b", "contains '/'"),
        ("../../etc/passwd", "contains '/'"),
        ("a\\b", "contains '\\'"),
        ("a\x00b", "contains the invisible character U+0000"),
        ("a\x1bb", "contains the invisible character U+001B"),
        ("a\x85b", "contains the invisible character U+0085"),
        ("a\u202ebgpj.exe", "contains the invisible character U+202E"),
        ("a\u200bb", "contains the invisible character U+200B"),
        ("a\u2028b", "contains the invisible character U+2028"),
        ("a\ufeffb", "contains the invisible character U+FEFF"),
        ("a\U000e0041b", "contains the invisible character U+E0041"),
        ("a\udcffb", "contains the invisible character U+DCFF"),
        ("CON", "is a Windows device name (CON)"),
        ("nul.txt", "is a Windows device name (NUL)"),
        ("NUL .tar.gz", "is a Windows device name (NUL)"),
        ("Lpt¹.gguf", "is a Windows device name (LPT¹)"),
        ("conin$", "is a Windows device name (CONIN$)"),
        ("x" * 201, "is 201 bytes long; 200 are allowed"),
        ("é" * 101, "is 202 bytes long; 200 are allowed"),
    ],
)
def test_an_unsafe_name_is_refused_with_its_problem(name, problem):
    assert name_problem(name) == problem


@pytest.mark.parametrize("character", '/\\:*?"<>|')
def test_a_character_that_some_file_system_forbids_is_named(character):
    assert name_problem(f"a{character}b") == f"contains '{character}'"


@pytest.mark.parametrize("port", ["COM", "LPT"])
@pytest.mark.parametrize("number", "0123456789¹²³")
@pytest.mark.parametrize("rest", ["", ".gguf", ".a.b", " .gguf"])
def test_every_port_of_windows_is_refused_with_any_extension(port, number, rest):
    assert name_problem(port + number + rest) == f"is a Windows device name ({port}{number})"
    assert name_problem((port + number + rest).lower()) is not None


@given(st.text(max_size=210))
def test_an_accepted_name_is_one_component_on_the_disk(name):
    if name_problem(name) is None:
        assert name not in {"", ".", ".."}
        assert not set(name) & set("/\\\0")
        assert len(name.encode()) <= 200


@pytest.mark.parametrize("path", ["config.json", "onnx/model.onnx", "a/b/c/d.bin", "/".join(["x" * 200] * 3)])
def test_a_path_of_safe_components_is_accepted(path):
    assert path_problem(path) is None


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("//host/share", "is absolute"),
        ("..", "climbs out with '..'"),
        ("a/../../b", "climbs out with '..'"),
        ("a//b", "has a component '' that is empty"),
        ("a/", "has a component '' that is empty"),
        ("./a", "has a component '.' that begins with a dot"),
        ("a/.git/config", "has a component '.git' that begins with a dot"),
        ("a/nul/b", "has a component 'nul' that is a Windows device name (NUL)"),
        ("a\\..\\b", "contains '\\'"),
        ("C:/x", "has a component 'C:' that contains ':'"),
        ("a/b\u202ec", "has a component 'b\\u202ec' that contains the invisible character U+202E"),
        ("/".join(["x" * 100] * 7), f"is 706 bytes long; {MAX_PATH_BYTES} are allowed"),
    ],
)
def test_an_unsafe_path_is_refused_with_its_problem(path, problem):
    assert path_problem(path) == problem


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/model.gguf", "model.gguf"),
        ("https://h/a/model.gguf?download=true#top", "model.gguf"),
        ("https://h/a/m%C3%B6del%20x.gguf", "mödel x.gguf"),
        ("https://h/a/%252e%252e", "%2e%2e"),
        ("https://h/%2e%2e%2fpasswd", "../passwd"),
        ("https://h/a/", ""),
        ("https://h", ""),
        ("https://h?file=/x.gguf", ""),
        ("https://h/a/%FF.gguf", "\udcff.gguf"),
        ("nonsense", ""),
        ("http://[/x", "x"),
    ],
)
def test_a_filename_is_the_last_segment_decoded_once(url, name):
    assert filename_from_url(url) == name


def test_a_segment_that_is_no_utf8_is_refused_and_not_replaced():
    assert name_problem(filename_from_url("https://h/%FF.gguf")) == "contains the invisible character U+DCFF"


@given(st.text())
def test_any_text_can_be_checked_as_a_name_and_as_a_path(text):
    name_problem(filename_from_url(text))
    path_problem(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Model.GGUF", "model.gguf"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"),
        ("CAF\N{LATIN CAPITAL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"),
        ("\N{KELVIN SIGN}", "k"),
        ("stra\N{LATIN SMALL LETTER SHARP S}e", "STRASSE"),
    ],
)
def test_names_that_a_file_system_may_treat_as_one_have_one_key(one, other):
    assert same_name_key(one) == same_name_key(other)


def test_names_that_no_file_system_confuses_have_two_keys():
    assert same_name_key("a-b") != same_name_key("a_b")
    assert same_name_key("q4_0") != same_name_key("q4_1")


def test_a_key_is_its_own_key_for_every_character():
    for code in range(sys.maxunicode + 1):
        key = same_name_key(chr(code))
        assert same_name_key(key) == key
