"""Settings: a flag over the environment over the file over the default; what is wrong is named, with its place."""

import json
import os
from pathlib import Path

import pytest

from flowhub_jobs.errors import SettingInvalid
from flowhub_jobs.settings import HUB, Settings, load_settings
from flowhub_jobs.values.pasted_text import token_note


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def load(place: Path, file: str = "", environ: dict[str, str] | None = None, **flags: object) -> Settings:
    if file:
        (place / "config.toml").write_text(file)
    return load_settings({"FLOWHUB_HOME": str(place), **(environ or {})}, **flags)


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
def test_a_flag_goes_over_the_environment_over_the_file_over_the_default(place, name, default, file, environ, flag):
    variable = {f"FLOWHUB_{name.upper()}": environ[0]}
    if default is not None:
        assert getattr(load(place), name) == default
    assert getattr(load(place, f"{name} = {file[0]}"), name) == file[1]
    assert getattr(load(place, f"{name} = {file[0]}", variable), name) == environ[1]
    assert getattr(load(place, f"{name} = {file[0]}", variable, **{name: flag}), name) == flag


def test_the_flag_off_removes_the_limit_of_the_file_and_of_the_environment(place):
    variable = {"FLOWHUB_LIMIT_RATE": "3M"}
    assert load(place, "limit_rate = '2M'", variable, limit_rate="off").limit_rate is None
    assert load(place, "limit_rate = '2M'", variable, limit_rate="5M").limit_rate == 5_000_000


@pytest.mark.parametrize(
    ("name", "most"),
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
def test_a_whole_number_that_no_machine_can_obey_is_refused(place, name, most):
    assert getattr(load(place, f"{name} = {most}"), name) == most
    for file, environ in ((f"{name} = {most + 1}", {}), ("", {f"FLOWHUB_{name.upper()}": str(most + 1)})):
        with pytest.raises(SettingInvalid, match=f"{name} is .*{most + 1}.* to {most}"):
            load(place, file or "# nothing", environ)


def test_a_flag_that_was_not_given_hides_nothing(place):
    assert load(place, "jobs = 4", jobs=None).jobs == 4


def test_everything_is_in_the_home_unless_set_otherwise(place):
    settings = load(place)
    assert settings.store == place / "llms"
    assert settings.database_url == f"sqlite:///{place}/flowhub.db"
    assert settings.queue_path == place / "queue.db"
    assert load_settings({}).home == Path("~/.flow-studio").expanduser()


def test_a_relative_store_starts_at_the_folder_of_the_file_that_names_it(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load(place, 'store = "models"').store == place / "models"
    assert load(place, 'store = "models"', {"FLOWHUB_STORE": "mine"}).store == tmp_path / "mine"


def test_an_empty_variable_is_none(place):
    settings = load(place, "jobs = 4", {"FLOWHUB_JOBS": "", "HF_ENDPOINT": "", "HF_TOKEN": ""})
    assert (settings.jobs, settings.hf_endpoint, settings.hf_token) == (4, HUB, None)


def test_a_rate_can_be_turned_off_over_the_file(place):
    assert load(place, 'limit_rate = "5M"', {"FLOWHUB_LIMIT_RATE": "off"}).limit_rate is None


def test_tokens_of_other_origins_come_from_the_file_and_are_never_shown(place):
    settings = load(place, '[tokens]\n"https://h.example" = "s3cret"', {"HF_TOKEN": "hf_s3cret"})
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
def test_a_bad_variable_is_named_with_its_setting_and_its_value(place, name, text):
    with pytest.raises(SettingInvalid) as caught:
        load(place, "", {f"FLOWHUB_{name.upper()}": text})
    assert f"FLOWHUB_{name.upper()}" in caught.value.message
    assert f"{name} is {text!r}" in caught.value.message
    assert caught.value.hint


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
def test_a_bad_value_in_the_file_is_named_with_the_files_path(place, name, text):
    with pytest.raises(SettingInvalid) as caught:
        load(place, f"{name} = {text}")
    assert str(place / "config.toml") in caught.value.message
    assert name in caught.value.message
    assert "s3cret" not in caught.value.message


def test_a_setting_that_does_not_exist_is_answered_with_those_that_do(place):
    with pytest.raises(SettingInvalid, match="'job' that flowhub does not know") as caught:
        load(place, "job = 3")
    assert "jobs" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["home", "hf_token"])
def test_what_only_the_environment_may_say_is_refused_in_the_file(place, name):
    with pytest.raises(SettingInvalid, match=name):
        load(place, f'{name} = "x"')


@pytest.mark.parametrize("content", [b"jobs = ", b"jobs 3", b"\xff", b"jobs = 1\njobs = 2"])
def test_a_file_that_is_no_toml_is_one_clear_error(place, content):
    (place / "config.toml").write_bytes(content)
    with pytest.raises(SettingInvalid, match=r"config\.toml cannot be read"):
        load(place)


def test_a_home_of_an_unknown_user_is_named(tmp_path):
    with pytest.raises(SettingInvalid, match="home '~nobody-of-this-name/flow'"):
        load_settings({"FLOWHUB_HOME": "~nobody-of-this-name/flow"})


def test_a_home_that_is_a_file_has_no_settings_yet(tmp_path):
    (tmp_path / "file").write_text("")
    assert load_settings({"FLOWHUB_HOME": str(tmp_path / "file")}).jobs == 3


@pytest.mark.parametrize("token", ["hf_s3cret\n", "hf_s3cret\r", " hf_s3cret "])
def test_a_token_is_taken_without_the_space_around_it(place, token):
    found = load(place, f'[tokens]\n"https://h.example" = {json.dumps(token)}', {"HF_TOKEN": token})
    assert found.hf_token == found.tokens["https://h.example"] == "hf_s3cret"


@pytest.mark.parametrize("token", ["hf_s3crét", "hf_s3 cret", "hf_\x00s3cret"])
def test_the_error_of_an_unusable_token_names_its_setting_and_does_not_show_it(place, token):
    with pytest.raises(SettingInvalid, match="HF_TOKEN is not a token") as caught:
        load(place, "", {"HF_TOKEN": token})
    assert "s3" not in f"{caught.value.message}{caught.value.hint}"
    with pytest.raises(SettingInvalid, match=r"the token of https.* is not a token"):
        load(place, f'[tokens]\n"https://h.example" = {json.dumps(token)}')


@pytest.mark.parametrize("name", ["h.example", "127.0.0.1", "ftp://h.example", ""])
def test_a_token_of_no_origin_is_refused_by_name(place, name):
    with pytest.raises(SettingInvalid, match=r"under \[tokens\], is not an origin"):
        load(place, f'[tokens]\n"{name}" = "s3cret"')


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfjobs = 7\r\n",
        "jobs = 7\r\n".encode("utf-16"),
        b"\xfe\xff" + "jobs = 7".encode("utf-16-be"),
        "jobs = 7".encode("utf-16-le"),
    ],
)
def test_a_file_with_a_byte_order_mark_or_in_utf_16_is_read(place, content):
    (place / "config.toml").write_bytes(content)
    assert load(place).jobs == 7


@pytest.mark.parametrize("typed", ['"hf_abc"', "'hf_abc'", "Bearer hf_abc", "hf_abc\n", "Authorization: Bearer hf_abc"])
def test_a_token_is_read_without_what_was_copied_along_and_that_is_noted(place, typed):
    assert load(place, "", {"HF_TOKEN": typed}).hf_token == "hf_abc"
    note = token_note({"HF_TOKEN": typed})
    assert (note is None) == (typed.strip() == "hf_abc")
    assert "hf_abc" not in (note or "")


@pytest.mark.parametrize("mark", ["\u200b", "\ufeff"])
def test_the_note_about_a_token_names_the_invisible_character_that_was_left_out(place, mark):
    for typed in (f"{mark}hf_abc", f"hf_abc{mark}"):
        assert load(place, "", {"HF_TOKEN": typed}).hf_token == "hf_abc"
        note = token_note({"HF_TOKEN": typed})
        assert note == f"HF_TOKEN has invisible characters (U+{ord(mark):04X}): they were left out."
    assert "quotes" in (token_note({"HF_TOKEN": '"hf_abc"'}) or "")


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("mirror.example", "https://mirror.example"),
        ('"https://mirror.example/hf/"', "https://mirror.example/hf"),
        ("127.0.0.1:8900", "http://127.0.0.1:8900"),
        ("localhost", "http://localhost"),
        ("mirror.example:8443/hf", "https://mirror.example:8443/hf"),
    ],
)
def test_what_stands_in_for_the_hub_may_be_written_without_its_scheme(place, typed, asked):
    assert load(place, "", {"HF_ENDPOINT": typed}).hf_endpoint == asked


def test_a_tokens_file_may_have_a_mark_and_quotes(place, tmp_path):
    (tmp_path / "token").write_bytes(b'\xef\xbb\xbf"hf_abc"\r\n')
    assert load(place, "", {"HF_TOKEN_PATH": str(tmp_path / "token")}).hf_token == "hf_abc"


def test_what_stands_in_for_the_hub_may_be_named_in_the_file_and_the_environment_goes_before_it(place):
    assert load(place, 'hf_endpoint = "https://mirror.example/"').hf_endpoint == "https://mirror.example"
    both = load(place, 'hf_endpoint = "https://mirror.example"', {"HF_ENDPOINT": "https://other.example"})
    assert both.hf_endpoint == "https://other.example"


@pytest.mark.parametrize("name", ["FLOWHUB_HOME", "FLOWHUB_STORE"])
def test_a_folder_whose_name_is_no_utf_8_is_refused_by_that_name(place, name):
    with pytest.raises(SettingInvalid, match=r"not UTF-8 text: /data/Mod\\xe8les"):
        load_settings({"FLOWHUB_HOME": str(place), name: os.fsdecode(b"/data/Mod\xe8les")})


def test_mirrors_come_from_the_file_in_order(place):
    text = '[mirrors]\n"https://h.example" = ["http://127.0.0.1:8900/hub", "origin", "https://m.example"]'
    places = ("http://127.0.0.1:8900/hub", "origin", "https://m.example")
    assert load(place, text).mirrors == {"https://h.example": places}


def test_modelscope_is_a_mirror_at_an_endpoint_of_its_own(place):
    text = '[mirrors]\n"https://huggingface.co" = ["modelscope", "origin"]'
    settings = load(place, text)
    assert settings.mirrors == {"https://huggingface.co": ("modelscope", "origin")}
    assert settings.modelscope_endpoint == "https://modelscope.cn"
    international = load(place, 'modelscope_endpoint = "www.modelscope.ai/"')
    assert international.modelscope_endpoint == "https://www.modelscope.ai"
    with pytest.raises(SettingInvalid, match="modelscope_endpoint"):
        load(place, 'modelscope_endpoint = "ftp://me:s3cret@h"')


BAD_MIRRORS = {
    "no table": ('mirrors = "https://m.example"', "not a table"),
    "one text": ('[mirrors]\n"https://h.example" = "https://m.example"', "list of addresses"),
    "no address": ('[mirrors]\n"https://h.example" = ["m.example"]', "refused"),
    "another scheme": ('[mirrors]\n"https://h.example" = ["file:///m"]', "scheme"),
    "a password": ('[mirrors]\n"https://h.example" = ["https://me:s3cret@m.example"]', "user or a password"),
    "a query": ('[mirrors]\n"https://h.example" = ["https://m.example/?key=s3cret"]', "query"),
    "twice": ('[mirrors]\n"https://h.example" = ["origin", "origin"]', "twice"),
    "no prefix": ('[mirrors]\n"origin" = []', "refused"),
}


@pytest.mark.parametrize(("text", "says"), BAD_MIRRORS.values(), ids=BAD_MIRRORS)
def test_a_table_of_mirrors_that_cannot_be_used_says_why_and_no_secret(place, text, says):
    with pytest.raises(SettingInvalid, match=says) as caught:
        load(place, text)
    assert "[mirrors]" in caught.value.message
    assert "s3cret" not in caught.value.message


def test_stores_are_paths_or_tables_and_relative_to_the_file(place):
    file = '[stores]\nfast = "/mnt/fast"\ncold = {path = "cold", reserve = "50G", max = "4T"}\n'
    settings = load(place, file)
    assert settings.stores["fast"].path == Path("/mnt/fast")
    assert settings.stores["cold"].path == place / "cold"
    assert settings.limits_of_store("default") == (1_000_000_000, None)
    assert settings.limits_of_store("fast") == (1_000_000_000, None)
    assert settings.limits_of_store("cold") == (50_000_000_000, 4_000_000_000_000)


@pytest.mark.parametrize(
    ("table", "said"),
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
def test_a_store_that_cannot_be_used_is_named_with_its_reason(place, table, said):
    with pytest.raises(SettingInvalid) as caught:
        load(place, table + "\n")
    assert said in caught.value.message


def test_a_link_to_another_store_is_no_store_of_its_own(place, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(SettingInvalid, match="in the folder of the store"):
        load(place, f'[stores]\na = "{tmp_path / "real"}"\nb = "{tmp_path / "link" / "b"}"\n')


def test_stores_are_of_the_file_alone(place):
    assert load(place, "", {"FLOWHUB_STORES": "fast"}).stores == {}
