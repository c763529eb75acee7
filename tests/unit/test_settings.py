"""Settings: a flag overrides the environment, the file and the default; an invalid value is named with its place."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from flowhub_jobs.cli.help import setting_texts
from flowhub_jobs.errors import SettingInvalid
from flowhub_jobs.settings import HUB, Settings, load_settings
from flowhub_jobs.values.pasted_text import token_note


@pytest.fixture
def home_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def load(home_folder: Path, file: str = "", environ: dict[str, str] | None = None, **flags: object) -> Settings:
    if file:
        (home_folder / "config.toml").write_text(file)
    return load_settings({"FLOWHUB_HOME": str(home_folder), **(environ or {})}, **flags)


CASES = [
    # setting, default, (in the file, its value), (in the environment, its value), flag
    ("jobs", 3, ("4", 4), ("5", 5), 6),
    ("stall_timeout_s", 20.0, ("1.5", 1.5), ("2", 2.0), 2.5),
    ("disk_reserve", 1_000_000_000, ("0", 0), ("10", 10), 20),
    ("store_max", None, ('"2T"', 2_000_000_000_000), ("8GiB", 8 << 30), 5000),
    ("limit_rate", None, ('"5M"', 5_000_000), ("500K", 500_000), 7),
    ("node", None, ('"gpu-01"', "gpu-01"), ("gpu-02", "gpu-02"), "gpu-03"),
    ("catalog", None, ('"/a.json"', "/a.json"), ("/b.json", "/b.json"), "/c.json"),
    ("database_url", None, ('"sqlite:////a.db"', "sqlite:////a.db"), ("sqlite:////b.db",) * 2, "sqlite:////c.db"),
    ("store", None, ('"/a"', Path("/a")), ("/b", Path("/b")), Path("/c")),
]


@pytest.mark.parametrize(("name", "default", "file", "environ", "flag"), CASES, ids=[case[0] for case in CASES])
def test_a_flag_overrides_the_environment_the_file_and_the_default(home_folder, name, default, file, environ, flag):
    variable = {f"FLOWHUB_{name.upper()}": environ[0]}
    if default is not None:
        assert getattr(load(home_folder), name) == default
    assert getattr(load(home_folder, f"{name} = {file[0]}"), name) == file[1]
    assert getattr(load(home_folder, f"{name} = {file[0]}", variable), name) == environ[1]
    assert getattr(load(home_folder, f"{name} = {file[0]}", variable, **{name: flag}), name) == flag


def test_the_flag_off_removes_the_limit_of_the_file_and_of_the_environment(home_folder):
    variable = {"FLOWHUB_LIMIT_RATE": "3M"}
    assert load(home_folder, "limit_rate = '2M'", variable, limit_rate="off").limit_rate is None
    assert load(home_folder, "limit_rate = '2M'", variable, limit_rate="5M").limit_rate == 5_000_000


@pytest.mark.parametrize(
    ("name", "highest"),
    [
        ("jobs", 999),
        ("connections_per_host", 1000),
        ("share_readers", 1000),
        ("keep_events_days", 1_000_000),
        ("faults_max", 1_000_000),
        ("slow_bps", 2**63 - 1),
        ("disk_reserve", 2**63 - 1),
    ],
)
def test_a_whole_number_above_its_maximum_is_refused(home_folder, name, highest):
    assert getattr(load(home_folder, f"{name} = {highest}"), name) == highest
    for file, environ in ((f"{name} = {highest + 1}", {}), ("", {f"FLOWHUB_{name.upper()}": str(highest + 1)})):
        with pytest.raises(SettingInvalid, match=f"{name} is .*{highest + 1}.* to {highest}"):
            load(home_folder, file or "# nothing", environ)


def test_a_flag_that_was_not_given_overrides_nothing(home_folder):
    assert load(home_folder, "jobs = 4", jobs=None).jobs == 4


def test_everything_is_in_the_home_unless_set_otherwise(home_folder):
    settings = load(home_folder)
    assert settings.store == home_folder / "llms"
    assert settings.database_url == f"sqlite:///{home_folder}/flowhub.db"
    assert settings.queue_path == home_folder / "queue.db"
    assert load_settings({}).home == Path("~/.flow-studio").expanduser()


def test_a_relative_store_starts_at_the_folder_of_the_file_that_names_it(home_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load(home_folder, 'store = "models"').store == home_folder / "models"
    assert load(home_folder, 'store = "models"', {"FLOWHUB_STORE": "mine"}).store == tmp_path / "mine"


def test_an_empty_variable_counts_as_unset(home_folder):
    settings = load(home_folder, "jobs = 4", {"FLOWHUB_JOBS": "", "HF_ENDPOINT": "", "HF_TOKEN": ""})
    assert (settings.jobs, settings.hf_endpoint, settings.hf_token) == (4, HUB, None)


def test_the_environment_can_turn_off_the_rate_of_the_file(home_folder):
    assert load(home_folder, 'limit_rate = "5M"', {"FLOWHUB_LIMIT_RATE": "off"}).limit_rate is None


def test_tokens_of_other_origins_come_from_the_file_and_are_never_shown(home_folder):
    settings = load(home_folder, '[tokens]\n"https://h.example" = "s3cret"', {"HF_TOKEN": "hf_s3cret"})
    assert settings.tokens == {"https://h.example": "s3cret"}
    assert settings.hf_token == "hf_s3cret"
    assert "s3cret" not in repr(settings)


WRONG = [
    ("jobs", "0"),
    ("jobs", "-1"),
    ("jobs", "many"),
    ("jobs", "1.5"),
    ("jobs", "²"),
    ("connections_per_host", "0"),
    ("faults_max", "0"),
    ("disk_reserve", "-5"),
    ("store_max", "2"),
    ("store_max", "much"),
    ("stall_timeout_s", "0"),
    ("stall_timeout_s", "nan"),
    ("stall_timeout_s", "inf"),
    ("stall_timeout_s", "soon"),
    ("limit_rate", "fast"),
    ("limit_rate", "0"),
]


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_bad_variable_is_named_with_its_setting_and_its_value(home_folder, name, text):
    with pytest.raises(SettingInvalid) as raised:
        load(home_folder, "", {f"FLOWHUB_{name.upper()}": text})
    assert f"FLOWHUB_{name.upper()}" in raised.value.message
    assert f"{name} is {text!r}" in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, f'"{text}"') for name, text in WRONG),
        ("jobs", "true"),
        ("jobs", "2.0"),
        ("jobs", "[1]"),
        ("stall_timeout_s", "true"),
        ("stall_timeout_s", "[1]"),
        ("limit_rate", "true"),
        ("limit_rate", "-1"),
        ("node", "3"),
        ("store", "3"),
        ("catalog", "false"),
        ("tokens", '"s3cret"'),
        ("tokens", "[3]"),
    ],
)
def test_a_bad_value_in_the_file_is_named_with_the_files_path(home_folder, name, text):
    with pytest.raises(SettingInvalid) as raised:
        load(home_folder, f"{name} = {text}")
    assert str(home_folder / "config.toml") in raised.value.message
    assert name in raised.value.message
    assert "s3cret" not in raised.value.message


def test_an_unknown_setting_is_refused_with_the_known_ones(home_folder):
    with pytest.raises(SettingInvalid, match="'job' that flowhub does not know") as raised:
        load(home_folder, "job = 3")
    assert "jobs" in (raised.value.hint or "")


@pytest.mark.parametrize("name", ["home", "hf_token"])
def test_a_setting_of_the_environment_alone_is_refused_in_the_file(home_folder, name):
    with pytest.raises(SettingInvalid, match=name):
        load(home_folder, f'{name} = "x"')


@pytest.mark.parametrize("content", [b"jobs = ", b"jobs 3", b"\xff", b"jobs = 1\njobs = 2"])
def test_a_file_that_is_not_toml_is_one_clear_error(home_folder, content):
    (home_folder / "config.toml").write_bytes(content)
    with pytest.raises(SettingInvalid, match=r"config\.toml cannot be read"):
        load(home_folder)


def test_a_home_of_an_unknown_user_is_named(tmp_path):
    with pytest.raises(SettingInvalid, match="home '~nobody-of-this-name/flow'"):
        load_settings({"FLOWHUB_HOME": "~nobody-of-this-name/flow"})


def test_a_home_that_is_a_file_has_no_settings_yet(tmp_path):
    (tmp_path / "file").write_text("")
    assert load_settings({"FLOWHUB_HOME": str(tmp_path / "file")}).jobs == 3


@pytest.mark.parametrize("token", ["hf_s3cret\n", "hf_s3cret\r", " hf_s3cret "])
def test_a_token_is_taken_without_the_space_around_it(home_folder, token):
    settings = load(home_folder, f'[tokens]\n"https://h.example" = {json.dumps(token)}', {"HF_TOKEN": token})
    assert settings.hf_token == settings.tokens["https://h.example"] == "hf_s3cret"


@pytest.mark.parametrize("token", ["hf_s3crét", "hf_s3 cret", "hf_\x00s3cret"])
def test_the_error_of_an_unusable_token_names_its_setting_and_does_not_show_it(home_folder, token):
    with pytest.raises(SettingInvalid, match="HF_TOKEN is not a token") as raised:
        load(home_folder, "", {"HF_TOKEN": token})
    assert "s3" not in f"{raised.value.message}{raised.value.hint}"
    with pytest.raises(SettingInvalid, match=r"the token of https.* is not a token"):
        load(home_folder, f'[tokens]\n"https://h.example" = {json.dumps(token)}')


@pytest.mark.parametrize("name", ["h.example", "127.0.0.1", "ftp://h.example", ""])
def test_a_token_of_no_origin_is_refused_by_name(home_folder, name):
    with pytest.raises(SettingInvalid, match=r"under \[tokens\], is not an origin"):
        load(home_folder, f'[tokens]\n"{name}" = "s3cret"')


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfjobs = 7\r\n",
        "jobs = 7\r\n".encode("utf-16"),
        b"\xfe\xff" + "jobs = 7".encode("utf-16-be"),
        "jobs = 7".encode("utf-16-le"),
    ],
)
def test_a_file_with_a_byte_order_mark_or_in_utf_16_is_read(home_folder, content):
    (home_folder / "config.toml").write_bytes(content)
    assert load(home_folder).jobs == 7


@pytest.mark.parametrize("typed", ['"hf_abc"', "'hf_abc'", "Bearer hf_abc", "hf_abc\n", "Authorization: Bearer hf_abc"])
def test_a_token_is_read_without_copied_quotes_and_prefixes_and_a_note_says_so(home_folder, typed):
    assert load(home_folder, "", {"HF_TOKEN": typed}).hf_token == "hf_abc"
    note = token_note({"HF_TOKEN": typed})
    assert (note is None) == (typed.strip() == "hf_abc")
    assert "hf_abc" not in (note or "")


@pytest.mark.parametrize("mark", ["\u200b", "\ufeff"])
def test_the_note_about_a_token_names_the_invisible_character_that_was_left_out(home_folder, mark):
    for typed in (f"{mark}hf_abc", f"hf_abc{mark}"):
        assert load(home_folder, "", {"HF_TOKEN": typed}).hf_token == "hf_abc"
        note = token_note({"HF_TOKEN": typed})
        assert note == f"HF_TOKEN has invisible characters (U+{ord(mark):04X}): they were left out."
    assert "quotes" in (token_note({"HF_TOKEN": '"hf_abc"'}) or "")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("mirror.example", "https://mirror.example"),
        ('"https://mirror.example/hf/"', "https://mirror.example/hf"),
        ("127.0.0.1:8900", "http://127.0.0.1:8900"),
        ("localhost", "http://localhost"),
        ("mirror.example:8443/hf", "https://mirror.example:8443/hf"),
    ],
)
def test_the_hubs_endpoint_may_be_written_without_its_scheme(home_folder, typed, expected):
    assert load(home_folder, "", {"HF_ENDPOINT": typed}).hf_endpoint == expected


def test_a_tokens_file_may_have_a_byte_order_mark_and_quotes(home_folder, tmp_path):
    (tmp_path / "token").write_bytes(b'\xef\xbb\xbf"hf_abc"\r\n')
    assert load(home_folder, "", {"HF_TOKEN_PATH": str(tmp_path / "token")}).hf_token == "hf_abc"


def test_the_hubs_endpoint_may_be_in_the_file_and_the_environment_overrides_it(home_folder):
    assert load(home_folder, 'hf_endpoint = "https://mirror.example/"').hf_endpoint == "https://mirror.example"
    both = load(home_folder, 'hf_endpoint = "https://mirror.example"', {"HF_ENDPOINT": "https://other.example"})
    assert both.hf_endpoint == "https://other.example"


@pytest.mark.parametrize("name", ["FLOWHUB_HOME", "FLOWHUB_STORE"])
def test_a_folder_whose_name_is_not_utf_8_is_refused_with_that_name(home_folder, name):
    with pytest.raises(SettingInvalid, match=r"not UTF-8 text: /data/Mod\\xe8les"):
        load_settings({"FLOWHUB_HOME": str(home_folder), name: os.fsdecode(b"/data/Mod\xe8les")})


def test_mirrors_come_from_the_file_in_order(home_folder):
    text = '[mirrors]\n"https://h.example" = ["http://127.0.0.1:8900/hub", "origin", "https://m.example"]'
    addresses = ("http://127.0.0.1:8900/hub", "origin", "https://m.example")
    assert load(home_folder, text).mirrors == {"https://h.example": addresses}


def test_modelscope_is_a_mirror_at_an_endpoint_of_its_own(home_folder):
    text = '[mirrors]\n"https://huggingface.co" = ["modelscope", "origin"]'
    settings = load(home_folder, text)
    assert settings.mirrors == {"https://huggingface.co": ("modelscope", "origin")}
    assert settings.modelscope_endpoint == "https://modelscope.cn"
    international = load(home_folder, 'modelscope_endpoint = "www.modelscope.ai/"')
    assert international.modelscope_endpoint == "https://www.modelscope.ai"
    with pytest.raises(SettingInvalid, match="modelscope_endpoint"):
        load(home_folder, 'modelscope_endpoint = "ftp://me:s3cret@h"')


BAD_MIRRORS = {
    "not a table": ('mirrors = "https://m.example"', "not a table"),
    "one text": ('[mirrors]\n"https://h.example" = "https://m.example"', "list of addresses"),
    "not an address": ('[mirrors]\n"https://h.example" = ["m.example"]', "refused"),
    "another scheme": ('[mirrors]\n"https://h.example" = ["file:///m"]', "scheme"),
    "a password": ('[mirrors]\n"https://h.example" = ["https://me:s3cret@m.example"]', "user or a password"),
    "a query": ('[mirrors]\n"https://h.example" = ["https://m.example/?key=s3cret"]', "query"),
    "twice": ('[mirrors]\n"https://h.example" = ["origin", "origin"]', "twice"),
    "not an origin": ('[mirrors]\n"origin" = []', "refused"),
}


@pytest.mark.parametrize(("text", "words"), BAD_MIRRORS.values(), ids=BAD_MIRRORS)
def test_an_invalid_table_of_mirrors_is_refused_with_a_reason_and_without_secrets(home_folder, text, words):
    with pytest.raises(SettingInvalid, match=words) as raised:
        load(home_folder, text)
    assert "[mirrors]" in raised.value.message
    assert "s3cret" not in raised.value.message


def test_stores_are_paths_or_tables_and_relative_to_the_file(home_folder):
    file = '[stores]\nfast = "/mnt/fast"\ncold = {path = "cold", reserve = "50G", max = "4T"}\n'
    settings = load(home_folder, file)
    assert settings.stores["fast"].path == Path("/mnt/fast")
    assert settings.stores["cold"].path == home_folder / "cold"
    assert settings.limits_of_store("default") == (1_000_000_000, None)
    assert settings.limits_of_store("fast") == (1_000_000_000, None)
    assert settings.limits_of_store("cold") == (50_000_000_000, 4_000_000_000_000)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('stores = "fast"', "not a table"),
        ('[stores]\ndefault = "/a"', "FLOWHUB_STORE"),
        ('[stores]\n"../a" = "/a"', "no name"),
        ("[stores]\nfast = 5", "has no path"),
        ('[stores]\nfast = {reserve = "5G"}', "has no path"),
        ('[stores]\nfast = {path = "/a", size = "5G"}', "'size'"),
        ('[stores]\nfast = {path = "/a", max = "much"}', "max of fast is not a size"),
        ('[stores]\nfast = "/a"\ncold = "/a/b"', "the store 'cold' is in the folder of the store 'fast'"),
        ('[stores]\nfast = "llms"', "in the folder of the store"),
    ],
)
def test_a_store_that_cannot_be_used_is_named_with_its_reason(home_folder, table, words):
    with pytest.raises(SettingInvalid) as raised:
        load(home_folder, table + "\n")
    assert words in raised.value.message


def test_a_link_to_another_store_is_no_store_of_its_own(home_folder, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(SettingInvalid, match="in the folder of the store"):
        load(home_folder, f'[stores]\na = "{tmp_path / "real"}"\nb = "{tmp_path / "link" / "b"}"\n')


def test_stores_are_read_from_the_file_alone(home_folder):
    assert load(home_folder, "", {"FLOWHUB_STORES": "fast"}).stores == {}


def test_each_setting_has_a_help_text_and_no_text_is_of_a_setting_that_is_gone():
    assert setting_texts.TEXTS.keys() == {field.name for field in dataclasses.fields(Settings)}
