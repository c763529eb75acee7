"""Folders in which other programs look for models: from their variables, then their settings, then their defaults."""

import json

import pytest

from flowhub_jobs.store.app_folders import UserFolders, model_folder, model_folders

HOME_DEFAULTS = [
    ("lm-studio", ".lmstudio/models"),
    ("huggingface", ".cache/huggingface/hub"),
    ("ollama", ".ollama/models"),
    ("llama.cpp", ".cache/huggingface/hub"),
    ("modelscope", ".cache/modelscope"),
    ("jan", ".local/share/Jan/data"),
]


def user_folders(home, macos=False, **environ):
    return UserFolders(environ, home, macos)


def write_settings(path, **values):
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(("program", "folder"), HOME_DEFAULTS)
def test_a_program_has_its_default_folder_below_the_home(tmp_path, program, folder):
    assert model_folders(program, user_folders(tmp_path))[0] == tmp_path / folder


@pytest.mark.parametrize("program", ["localai", "comfyui"])
def test_a_program_with_models_in_its_own_folder_has_none_until_that_is_found(tmp_path, program, monkeypatch):
    monkeypatch.setattr("flowhub_jobs.store.app_folders._is_folder", lambda path: path.is_relative_to(tmp_path))
    folder = model_folder(program, user_folders(tmp_path))
    monkeypatch.setattr("flowhub_jobs.store.app_folders._is_folder", lambda path: False)
    assert model_folder(program, user_folders(tmp_path)) is None
    assert folder in (tmp_path / ".localai" / "models", tmp_path / "ComfyUI" / "models")


@pytest.mark.parametrize(
    ("program", "variables", "folder"),
    [
        ("huggingface", {"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ("huggingface", {"HUGGINGFACE_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ("huggingface", {"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, "/b/hub"),
        ("huggingface", {"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ("llama.cpp", {"LLAMA_CACHE": "/l", "HF_HUB_CACHE": "/a"}, "/l"),
        ("llama.cpp", {"LLAMA_CACHE": "", "HF_HUB_CACHE": "/a"}, "/a"),
        ("ollama", {"OLLAMA_MODELS": "/o"}, "/o"),
        ("modelscope", {"MODELSCOPE_CACHE": "/m"}, "/m"),
        ("localai", {"LOCALAI_MODELS_PATH": "/x", "MODELS_PATH": "/y"}, "/x"),
        ("localai", {"MODELS_PATH": "/y"}, "/y"),
        ("comfyui", {"COMFYUI_PATH": "/ui"}, "/ui/models"),
        ("jan", {"XDG_DATA_HOME": "/d"}, "/d/Jan/data"),
    ],
)
def test_a_variable_of_the_program_wins(tmp_path, program, variables, folder):
    assert str(model_folder(program, user_folders(tmp_path, **variables))) == folder


def test_a_tilde_in_a_variable_is_this_users_home(tmp_path):
    assert model_folder("ollama", user_folders(tmp_path, OLLAMA_MODELS="~/o")) == tmp_path / "o"


def test_lm_studio_uses_the_folder_that_its_user_chose(tmp_path):
    write_settings(tmp_path / ".lmstudio" / "settings.json", downloadsFolder="~/big/lms")
    assert model_folder("lm-studio", user_folders(tmp_path)) == tmp_path / "big" / "lms"


def test_lm_studio_keeps_its_older_home_where_that_exists(tmp_path):
    (tmp_path / ".cache" / "lm-studio").mkdir(parents=True)
    assert model_folder("lm-studio", user_folders(tmp_path)) == tmp_path / ".cache" / "lm-studio" / "models"


def test_lm_studios_home_is_where_its_pointer_file_leads(tmp_path):
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path}/moved\n")
    write_settings(tmp_path / "moved" / "settings.json", downloadsFolder="/big/lms")
    assert [str(folder) for folder in model_folders("lm-studio", user_folders(tmp_path))[:2]] == [
        "/big/lms",
        f"{tmp_path}/moved/models",
    ]


@pytest.mark.parametrize("content", ['{"downloadsFolder": "a\\u0000b"}', "[]", "{", '{"downloadsFolder": 3}', ""])
def test_unreadable_settings_leave_the_default(tmp_path, content):
    write_settings(tmp_path / ".lmstudio" / "settings.json")
    (tmp_path / ".lmstudio" / "settings.json").write_text(content)
    assert model_folder("lm-studio", user_folders(tmp_path)) == tmp_path / ".lmstudio" / "models"


def test_jans_data_folder_may_be_moved(tmp_path):
    write_settings(tmp_path / ".local" / "share" / "Jan" / "settings.json", data_folder="/big/jan")
    assert str(model_folder("jan", user_folders(tmp_path))) == "/big/jan"
    assert model_folder("jan", user_folders(tmp_path, macos=True)) == tmp_path / "Library/Application Support/Jan/data"


def test_the_folder_of_ollamas_service_is_used_where_the_user_has_none(tmp_path, monkeypatch):
    service = "/usr/share/ollama/.ollama/models"
    monkeypatch.setattr("flowhub_jobs.store.app_folders._is_folder", lambda path: str(path) == service)
    assert str(model_folder("ollama", user_folders(tmp_path))) == service
    monkeypatch.setattr("flowhub_jobs.store.app_folders._is_folder", lambda path: True)
    assert model_folder("ollama", user_folders(tmp_path)) == tmp_path / ".ollama" / "models"
