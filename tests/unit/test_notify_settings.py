"""The `[notify]` table: only config.toml sets it, and no output shows its secret."""

import pytest

from flowhub_jobs.errors import SettingInvalid
from flowhub_jobs.settings import Settings, load_settings
from flowhub_jobs.values.notify_settings import NOTICES, Notify


def load(tmp_path, text: str = "", environ: dict[str, str] | None = None, **flags: object) -> Settings:
    (tmp_path / "config.toml").write_text(text)
    return load_settings({"FLOWHUB_HOME": str(tmp_path), **(environ or {})}, **flags)


def test_without_a_table_no_notice_is_sent(tmp_path):
    assert not load(tmp_path).notify
    assert not load(tmp_path, "[notify]\nevery_s = 5").notify
    assert not load(tmp_path, '[notify]\ncommand = ["x"]\non = []').notify


def test_the_table_is_read(tmp_path):
    notify = load(
        tmp_path, '[notify]\ncommand = ["mail", "me"]\nwebhook = "https://h.example/x"\non = ["failed"]\nevery_s = 5'
    ).notify
    assert notify == Notify(("mail", "me"), "https://h.example/x", ("failed",), 5.0)
    assert load(tmp_path, '[notify]\ncommand = ["mail"]').notify == Notify(("mail",), None, NOTICES, 60.0)


@pytest.mark.parametrize("name", ["FLOWHUB_NOTIFY", "FLOWHUB_NOTIFY_COMMAND", "FLOWHUB_NOTIFY_WEBHOOK"])
def test_a_variable_of_notify_is_refused_with_one_clear_error(tmp_path, name):
    with pytest.raises(
        SettingInvalid, match=rf"{name} is set, but flowhub reads the notification settings from config\.toml only"
    ):
        load(tmp_path, "", {name: "/bin/sh"})
    assert not load(tmp_path, "", {name: ""}).notify


def test_a_flag_cannot_set_the_table(tmp_path):
    assert not load(tmp_path, notify=Notify(("/bin/sh",))).notify


@pytest.mark.parametrize(
    "text",
    [
        'notify = "mail"',
        'notify = ["mail"]',
        '[notify]\ncommand = "mail me"',
        "[notify]\ncommand = [1]",
        '[notify]\ncommand = ["a\\u0000b"]',
        '[notify]\non = "failed"',
        '[notify]\non = ["completed"]',
        '[notify]\nshell = "x"',
        "[notify]\nevery_s = true",
        "[notify]\nevery_s = -1",
        '[notify]\nevery_s = "60"',
        "[notify]\nwebhook = 3",
        '[notify]\nwebhook = ""',
        '[notify]\nwebhook = "http://h.example/s3cret"',
        '[notify]\nwebhook = "http://10.0.0.1/s3cret"',
        '[notify]\nwebhook = "https://me:s3cret@h.example/"',
        '[notify]\nwebhook = "file:///s3cret"',
        '[notify]\nwebhook = "ftp://h.example/s3cret"',
    ],
)
def test_an_invalid_table_is_one_clear_error_without_the_address(tmp_path, text):
    with pytest.raises(SettingInvalid, match=r"config\.toml: \[notify\] cannot be used: ") as raised:
        load(tmp_path, text)
    assert raised.value.hint
    assert "s3cret" not in raised.value.message


@pytest.mark.parametrize(
    "url", ["https://h.example/x", "http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]/x"]
)
def test_a_webhook_is_https_or_on_this_machine(tmp_path, url):
    assert load(tmp_path, f'[notify]\nwebhook = "{url}"').notify.webhook == url


def test_neither_the_command_nor_the_webhook_is_shown(tmp_path):
    notify = load(tmp_path, '[notify]\ncommand = ["s3cret"]\nwebhook = "https://h.example/s3cret"')
    assert "s3cret" not in repr(notify)
    assert str(notify.notify) == "command and webhook, on failed, needs_you, update, queue_empty"
    assert str(Notify()) == "-"


@pytest.mark.parametrize(("name", "text"), [("keep_events_days", "0"), ("log_format", "xml"), ("log_format", "JSON")])
def test_the_other_new_settings_are_checked(tmp_path, name, text):
    with pytest.raises(SettingInvalid, match=f"{name} is '{text}'"):
        load(tmp_path, "", {f"FLOWHUB_{name.upper()}": text})
    assert load(tmp_path, 'log_format = "json"\nkeep_events_days = 7').keep_events_days == 7
