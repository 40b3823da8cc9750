import polars as pl
import pytest

from matir_nb.errors import IndexCorruptError
from matir_nb.index.arrow_map import ArrowMap


@pytest.fixture
def opened(tmp_path):
    """Return a function that opens a table of a name and a list of names after altering it."""

    def opened(altered: bytes) -> ArrowMap:
        file = tmp_path / "t.arrow"
        table = pl.DataFrame({"name": ["plain-name"], "names": [["first-name", "other-name"]]})
        table.write_ipc(file, compat_level=pl.CompatLevel.oldest())
        content = file.read_bytes()
        assert content.count(altered) == 1
        file.write_bytes(content.replace(altered, b"\xff" * len(altered)))
        return ArrowMap.open(file, {"name": "text", "names": "texts"})

    return opened


def test_text_that_is_no_utf8_is_corrupt(opened):
    table = opened(b"plain-name")
    assert table.value("names", 0) == ["first-name", "other-name"]
    with pytest.raises(IndexCorruptError, match="column 'name' of the index is damaged"):
        table.value("name", 0)


def test_a_list_of_texts_that_are_no_utf8_is_corrupt(opened):
    table = opened(b"other-name")
    assert table.value("name", 0) == "plain-name"
    with pytest.raises(IndexCorruptError, match="column 'names' of the index is damaged"):
        table.value("names", 0)
