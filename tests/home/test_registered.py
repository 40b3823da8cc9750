"""Names of indexes."""

import json

import pytest

from matir_nb.errors import ConfigError
from matir_nb.home import registered


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "indexes.json"


@pytest.fixture
def index(tmp_path):
    """Return a function that makes something that looks like an index."""

    def make(name):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        return folder

    return make


def test_a_new_name_is_current_and_found(index):
    photos, scans = index("photos.matir"), index("scans.matir")
    assert registered.add(photos) == "photos"
    assert registered.add(scans, "paper") == "paper"
    assert registered.known().current == "paper"
    assert registered.find("photos") == photos
    registered.make_current("photos")
    assert registered.known().current == "photos"
    assert registered.known().name_of(scans) == "paper"


def test_an_index_keeps_its_name_and_another_of_that_name_gets_a_number(index):
    first = index("a/photos.matir")
    assert registered.add(first, "mine") == "mine"
    assert registered.add(first) == "mine"
    assert registered.add(index("b/mine.matir")) == "mine-2"
    assert registered.add(index("c/.x y.matir.matir")) == "x-y"


def test_a_relative_path_is_kept_as_an_absolute_one(index, monkeypatch, tmp_path):
    index("photos.matir")
    monkeypatch.chdir(tmp_path)
    registered.add(registered.Path("photos.matir"))
    assert registered.find("photos") == tmp_path / "photos.matir"


def test_a_path_needs_no_name_and_a_name_comes_before_a_folder(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain, named = index("photos"), index("elsewhere.matir")
    assert registered.find("photos") == plain.relative_to(tmp_path)
    assert registered.find("gone.matir").name == "gone.matir"
    registered.add(named, "photos")
    assert registered.find("photos") == named
    assert registered.find("./photos") == plain.relative_to(tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest(index):
    with pytest.raises(ConfigError, match="no index is known by name yet, so not 'photos' either"):
        registered.find("photos")
    registered.add(index("photos.matir"))
    for use in (registered.find, registered.make_current, registered.forget):
        with pytest.raises(ConfigError, match="unknown index 'phtos': did you mean 'photos'"):
            use("phtos")


@pytest.mark.parametrize("name", ["a/b", "x.matir", "-k", "", "two words", "a\nb"])
def test_what_can_be_no_name(index, name):
    with pytest.raises(ConfigError, match="can be no name"):
        registered.add(index("p.matir"), name)
    assert registered.known().paths == {}


def test_a_name_is_taken_from_an_index_only_when_it_is_gone(index):
    old, new = index("old.matir"), index("new.matir")
    registered.add(old, "x")
    with pytest.raises(ConfigError, match=r"'x' belongs to the index at '.*old\.matir'"):
        registered.add(new, "x")
    (old / "manifest.json").unlink()
    assert registered.add(new, "x") == "x"
    assert registered.find("x") == new


def test_forgetting_the_current_name_leaves_the_index_and_no_current(index):
    photos = index("photos.matir")
    registered.add(photos)
    assert registered.forget("photos") == photos
    assert registered.known() == registered.Known()
    assert (photos / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "keeps the names of indexes .not the indexes., is damaged"),
        ('{"indexes": ["a"]}', "'indexes' is no object of paths"),
        ('{"indexes": {"a": 1}}', "'indexes' is no object of paths"),
        ('{"version": 9}', "newer matir_nb"),
    ],
)
def test_a_damaged_file_stops_names_but_not_paths(file, index, text, message):
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        registered.find("photos")
    with pytest.raises(ConfigError, match=message):
        registered.add(index("p.matir"))
    assert file.read_text() == text
    assert registered.find("p.matir").name == "p.matir"


def test_a_current_name_that_is_unknown_is_none(file):
    file.parent.mkdir()
    file.write_text(json.dumps({"version": 1, "current": "x", "indexes": {}}))
    assert registered.known().current is None
