import pytest

from matir_nb import cli
from matir_nb.home import registered, settings


@pytest.fixture
def opening(tmp_path, monkeypatch):
    """Return a function that makes an index the current one, and its models those of presets."""
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    for key in settings.KEYS:
        monkeypatch.delenv(settings.variable_of(key), raising=False)

    def use(index, encoder, judge):
        monkeypatch.setattr("matir_nb.opening.load_encoder", lambda *_: encoder)
        monkeypatch.setattr("matir_nb.opening.load_judge", lambda *_: judge)
        registered.add(index)

    return use


@pytest.fixture
def told(capsys):
    """Return a function that runs a command line and returns its exit code and what it said."""

    def run(*words):
        code = cli.main([str(word) for word in words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run
