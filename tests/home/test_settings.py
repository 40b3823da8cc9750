"""Settings: file, environment, and every value that is refused."""

import json

import pytest

from matir_nb.errors import ConfigError
from matir_nb.home import settings
from matir_nb.home.settings import Settings


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("MATIR_HOME", str(tmp_path))
    for key in settings.KEYS:
        monkeypatch.delenv(settings.variable_of(key), raising=False)
    return tmp_path / "settings.json"


def test_without_a_file_the_defaults_hold(file):
    assert settings.load() == Settings()
    assert not file.exists()


def test_what_is_kept_holds_and_the_rest_stays(file):
    settings.keep("k", "30")
    assert settings.keep("preview", "never") == Settings(preview="never", k=30)
    assert settings.load() == Settings(preview="never", k=30)
    assert json.loads(file.read_text())["k"] == 30


def test_the_environment_wins_for_this_process_and_is_not_written(file, monkeypatch):
    settings.keep("k", "30")
    monkeypatch.setenv("MATIR_K", "7")
    monkeypatch.setenv("MATIR_TILE_PX", "240")
    assert settings.load() == Settings(k=7, tile_px=240)
    settings.keep("preview", "always")
    assert json.loads(file.read_text()) == {"preview": "always", "k": 30}


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("preview", "sometimes", "preview = 'sometimes' is not allowed: give auto, always, never"),
        ("k", "0", "k = 0 is not allowed: give a whole number from 1 to"),
        ("k", "-4", "k = -4"),
        ("k", "many", "k = 'many'"),
        ("reviewer", "Ada\nL.", "reviewer = .* is not allowed: give a name of one line"),
        ("reviewer", "x" * 81, "reviewer = 'xxx.* is not allowed"),
        ("k", "3.5", r"k = '3\.5'"),
        ("tile_px", "5000", "tile_px = 5000 is not allowed: give a whole number from 96 to 480"),
        ("tile", "100", "unknown setting 'tile': did you mean 'tile_px'"),
    ],
)
def test_a_value_that_is_not_allowed_is_not_written(file, key, text, message):
    with pytest.raises(ConfigError, match=message):
        settings.keep(key, text)
    assert not file.exists()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"k": true}', r"settings\.json': k = True is not allowed"),
        ('{"kk": 3}', "unknown setting 'kk'.*or delete the file"),
        ('{"k": 3', "which keeps the settings, is damaged"),
    ],
)
def test_a_damaged_file_is_said_and_left_alone(file, document, message):
    file.write_text(document)
    with pytest.raises(ConfigError, match=message):
        settings.load()
    with pytest.raises(ConfigError, match=message):
        settings.keep("k", "5")
    assert file.read_text() == document


def test_the_reviewer_is_who_is_logged_in_until_a_name_is_given(file, monkeypatch):
    monkeypatch.setattr(settings, "getuser", lambda: "ada.l")
    assert settings.load().reviewer == "ada.l"
    assert settings.keep("reviewer", "42").reviewer == "42"
    assert json.loads(file.read_text()) == {"reviewer": "42"}
    monkeypatch.setenv("MATIR_REVIEWER", "Ada L.")
    assert settings.load().reviewer == "Ada L."


def test_a_reviewer_can_stay_unnamed(file, monkeypatch):
    monkeypatch.setenv("MATIR_REVIEWER", "")
    assert settings.load().reviewer == ""
    monkeypatch.delenv("MATIR_REVIEWER")
    assert settings.keep("reviewer", "").reviewer == ""
    assert settings.load().reviewer == ""
    assert file.exists()


@pytest.mark.parametrize("error", [OSError, KeyError, ImportError])
def test_a_system_that_knows_no_login_name_is_no_failure(monkeypatch, error):
    def unknown():
        raise error("no such user")

    monkeypatch.setattr(settings, "getuser", unknown)
    assert settings.load().reviewer == ""


def test_other_settings_do_not_write_the_login_name_down(file):
    settings.keep("k", "30")
    assert json.loads(file.read_text()) == {"k": 30}


def test_a_wrong_variable_is_named(monkeypatch):
    monkeypatch.setenv("MATIR_PREVIEW", "maybe")
    with pytest.raises(ConfigError, match="MATIR_PREVIEW in the environment: preview = 'maybe'"):
        settings.load()
