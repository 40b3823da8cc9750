import errno
import hashlib
import os

import polars as pl
import pytest

from matir_nb.errors import ConfigError, IndexCorruptError
from matir_nb.index import disk
from matir_nb.index.columns import (
    FILE,
    INDEX_COLUMNS,
    AddedColumns,
    add_columns,
    drop_columns,
    read_columns,
)
from matir_nb.index.lock import write_lock
from matir_nb.sealed import DIGEST_MARK

IDS = ["a.jpg", "beach/b.jpg", "beach/c.jpg", "hill/c.jpg", "it's \N{SNOWMAN}.png"]


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "x.matir"
    folder.mkdir()
    return folder


def stars(**more):
    return pl.DataFrame({"image_id": IDS[:3], "stars": [5, 1, None], **more})


def test_columns_are_kept_by_image_id(index):
    assert read_columns(index).to_dict(as_series=False) == {"image_id": []}
    assert add_columns(index, stars(), IDS) == AddedColumns(("stars",), 3, 3, ())
    assert read_columns(index).equals(stars())
    assert pl.read_parquet(index / FILE).equals(stars())


def test_a_column_of_the_same_name_is_replaced_as_a_whole_and_others_stay(index):
    add_columns(index, stars(who=["me", "me", "you"]), IDS)
    again = pl.DataFrame({"image_id": [IDS[3], IDS[0]], "stars": ["high", "low"]})
    add_columns(index, again, IDS)
    assert read_columns(index).rows(named=True) == [
        {"image_id": IDS[0], "who": "me", "stars": "low"},
        {"image_id": IDS[1], "who": "me", "stars": None},
        {"image_id": IDS[2], "who": "you", "stars": None},
        {"image_id": IDS[3], "who": None, "stars": "high"},
    ]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl", "ndjson", "CSV"])
def test_tables_are_read_from_files(index, tmp_path, suffix):
    table = stars(day=pl.Series(["2024-05-01"] * 3).str.to_date(), odd=[True, None, False])
    file = tmp_path / f"t.{suffix}"
    write = {
        "csv": table.write_csv,
        "tsv": lambda path: table.write_csv(path, separator="\t"),
        "parquet": table.write_parquet,
    }.get(suffix.lower(), table.write_ndjson)
    write(file)
    assert add_columns(index, str(file), IDS).n_matched == 3
    found = read_columns(index)
    assert found["stars"].to_list() == [5, 1, None]
    assert found["odd"].to_list() == [True, None, False]
    if "json" not in suffix:
        assert found.schema["day"] == pl.Date


@pytest.mark.parametrize(
    ("key", "image_id"),
    [
        ("beach/b.jpg", "beach/b.jpg"),
        ("./beach//b.jpg", "beach/b.jpg"),
        ("/data/photos/beach/b.jpg", "beach/b.jpg"),
        ("b.jpg", "beach/b.jpg"),
        (IDS[4], IDS[4]),
        ("c.jpg", None),
        ("hill/b.jpg", None),
        ("b", None),
        ("../beach/b.jpg", None),
        ("/elsewhere/beach/b.jpg", None),
        ("", None),
        (None, None),
    ],
)
def test_a_key_is_an_id_a_path_or_a_name_that_one_image_has(index, tmp_path, key, image_id):
    table = pl.DataFrame({"file": [key, "a.jpg"], "stars": [3, 4]})
    root = tmp_path.__class__("/data/photos")
    added = add_columns(index, table, IDS, key="file", image_root=root)
    expected = {"a.jpg": 4} | ({} if image_id is None else {image_id: 3})
    assert dict(read_columns(index).iter_rows()) == expected
    assert added.n_matched == len(expected)
    assert added.unmatched == (() if image_id else (str(key),))


def test_the_id_wins_where_it_is_also_the_name_of_another(index):
    table = pl.DataFrame({"image_id": ["c.jpg"], "stars": [3]})
    add_columns(index, table, ["c.jpg", "beach/c.jpg"])
    assert dict(read_columns(index).iter_rows()) == {"c.jpg": 3}


def test_at_most_three_rows_without_an_image_are_named(index):
    table = pl.DataFrame({"image_id": ["a.jpg", *"vwxyz"], "stars": [1] * 6})
    assert add_columns(index, table, IDS) == AddedColumns(("stars",), 6, 1, ("v", "w", "x"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": ["a.jpg"], "s": [1]}, r"no column 'image_id' .* \(--key\): id, s"),
        ({"image_id": ["a.jpg"]}, "no column besides 'image_id': there is nothing to add"),
        ({"image_id": ["a.jpg"], "width": [1]}, "has a column 'width' of its own: rename"),
        ({"image_id": ["a.jpg"], "folder": [1]}, "has a column 'folder' of its own"),
        (
            {"image_id": ["p.jpg", "q.jpg"], "s": [1, 2]},
            r"its keys are 'p.jpg', 'q.jpg', the images 'a.jpg', 'beach/b.jpg', 'beach/c.jpg', ...",
        ),
        ({"image_id": [], "s": []}, "its keys are none, the images 'a.jpg'"),
        ({"image_id": ["a.jpg", "a.jpg"], "s": [1, 2]}, "2 rows .* are about the image 'a.jpg'"),
        ({"image_id": ["b.jpg", IDS[1]], "s": [1, 2]}, "2 rows .* the image 'beach/b.jpg'"),
        ({"image_id": ["a.jpg"], "s": [object()]}, "a column cannot be kept as Parquet"),
    ],
)
def test_a_table_that_cannot_be_used_changes_nothing(index, table, message):
    add_columns(index, stars(), IDS)
    with pytest.raises(ConfigError, match=message):
        add_columns(index, pl.DataFrame(table), IDS)
    assert read_columns(index).equals(stars())


def test_every_name_of_the_index_is_refused(index):
    for name in INDEX_COLUMNS:
        key = "key" if name == "image_id" else "image_id"
        with pytest.raises(ConfigError, match=f"'{name}' of its own"):
            add_columns(index, pl.DataFrame({key: ["a.jpg"], name: [1]}), IDS, key=key)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"", "give a file that ends in .csv, .tsv, .parquet, .jsonl, .ndjson"),
        ("t.parquet", b"PAR1", "cannot read the table '.*t.parquet': "),
        ("t.csv", b"", "cannot read the table '.*t.csv': "),
        ("t.jsonl", b"{", "cannot read the table '.*t.jsonl': "),
        ("t.csv", b"image_id,s\n\xff\xfe,1\n", "cannot read the table '.*t.csv': "),
        ("gone.csv", None, "cannot read the table '.*gone.csv': "),
    ],
)
def test_a_file_that_is_no_table_is_said_so(index, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        add_columns(index, tmp_path / name, IDS)


def test_columns_are_dropped(index):
    add_columns(index, stars(who=["me", "me", "you"]), IDS)
    drop_columns(index, ["stars"])
    assert read_columns(index).columns == ["image_id", "who"]
    with pytest.raises(ConfigError, match="unknown column of yours 'whp': did you mean 'who'"):
        drop_columns(index, ["whp"])
    drop_columns(index, ["who"])
    assert not (index / FILE).exists()
    with pytest.raises(ConfigError, match="unknown column of yours 'who': there is none"):
        drop_columns(index, ["who"])


def test_another_writer_is_waited_for_by_the_user(index):
    with write_lock(index), pytest.raises(ConfigError, match="writ"):
        add_columns(index, stars(), IDS)
    add_columns(index, stars(), IDS)


def test_any_flipped_bit_is_found(index):
    add_columns(index, stars(), IDS)
    file = index / FILE
    content = file.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(IndexCorruptError, match=r"your own columns.*remove it"):
            read_columns(index)
    with pytest.raises(IndexCorruptError):  # what is damaged is not written over
        add_columns(index, stars(), IDS)
    for length in (0, 1, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(IndexCorruptError, match="your own columns"):
            read_columns(index)
    file.write_bytes(content)
    assert read_columns(index).equals(stars())


def test_the_digest_is_computed_with_zeros_in_its_place(index):
    add_columns(index, stars(), IDS)
    head, mark, tail = (index / FILE).read_bytes().rpartition(DIGEST_MARK)
    zeroed = head + mark + b"0" * 64 + tail[64:]
    assert hashlib.sha256(zeroed).hexdigest().encode() == tail[:64]


def test_a_parquet_file_of_somebody_else_is_not_taken(index):
    stars().write_parquet(index / FILE)
    with pytest.raises(IndexCorruptError, match="not those that were written"):
        read_columns(index)


@pytest.mark.parametrize("step", ["write_some", "flush", "replace_file"])
def test_a_full_disk_leaves_what_was_there(index, monkeypatch, step):
    add_columns(index, stars(), IDS)

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, step, fail)
    with pytest.raises(OSError, match="No space left"):
        add_columns(index, stars(more=[1, 2, 3]), IDS)
    monkeypatch.undo()
    assert read_columns(index).equals(stars())
    add_columns(index, stars(more=[1, 2, 3]), IDS)


def test_odd_values_survive(index):
    table = pl.DataFrame(
        {
            "image_id": IDS[:3],
            "a b; --": [float("nan"), float("inf"), None],
            "tags": [["x"], [], None],
            "nothing": [None, None, None],
            "text": ["\0", "🦊", "'"],
        }
    )
    add_columns(index, table, IDS)
    assert read_columns(index).equals(table)
