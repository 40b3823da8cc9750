import csv
import shutil

import polars as pl
import pytest

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.evaluation.datasets.inquire import read_inquire

QUERIES = (
    ",query_id,query_text,supercategory,category,iconic_group\n"
    "4,10,a bird in flight ,Behavior,Flight,Birds\n"
    "9,20,a sick plant,Appearance,Health,Plants\n"
)
ANNOTATIONS = "query_id,image_id,image_path\n10,1,train/a.jpg\n10,2,train/b.jpg\n99,3,train/c.jpg\n"


def write(folder, **tables):
    for name, content in ({"queries_val": QUERIES, "annotations": ANNOTATIONS} | tables).items():
        (folder / f"inquire_{name}.csv").write_text(content)
    return folder


def test_full_searches_what_is_annotated_and_says_that_it_is_too_easy(tmp_path):
    dataset = read_inquire(write(tmp_path))
    bird, plant = dataset.queries
    assert (bird.query_id, bird.text, bird.kind) == ("10", "a bird in flight", "Behavior")
    assert (bird.relevant, bird.judged) == ({"train/a.jpg", "train/b.jpg"}, None)
    assert (plant.relevant, plant.masks) == (frozenset(), {})
    assert dataset.image_ids == ("train/a.jpg", "train/b.jpg", "train/c.jpg")
    assert "far easier" in dataset.protocol["gallery"]
    assert dataset.headline == ("mAP@50", "nDCG@50", "MRR", "P@10")


@pytest.mark.parametrize("column", ["image_path", "file_name"])
def test_a_table_names_the_images_that_are_searched(tmp_path, column):
    table = tmp_path / "inat24.csv"
    table.write_text(f"{column}\ntrain/z.jpg\ntrain/a.jpg\n")
    dataset = read_inquire(write(tmp_path), gallery=str(table))
    assert set(dataset.image_ids) == {f"train/{name}.jpg" for name in "abcz"}
    said = "2 images of inat24.csv; 2 annotated ones are not among them"
    assert dataset.protocol["gallery"] == said


def test_a_folder_names_the_images_that_are_searched(tmp_path):
    train = tmp_path / "inat24" / "train"
    train.mkdir(parents=True)
    for name in ("z.jpg", "a.jpg", "notes.txt"):
        (train / name).touch()
    dataset = read_inquire(write(tmp_path), gallery=str(tmp_path / "inat24"))
    assert set(dataset.image_ids) == {f"train/{name}.jpg" for name in "abcz"}
    inner = read_inquire(tmp_path, gallery=str(train))
    assert set(inner.image_ids) == {"a.jpg", "z.jpg", "train/b.jpg", "train/c.jpg"}
    assert inner.queries[0].relevant == {"a.jpg", "train/b.jpg"}


def test_a_gallery_must_be_the_right_one(tmp_path):
    write(tmp_path)
    with pytest.raises(AnnotationError, match="give gallery a table of images, or their folder"):
        read_inquire(tmp_path, gallery=str(tmp_path / "none"))
    (tmp_path / "other").mkdir()
    with pytest.raises(AnnotationError, match="none of the 3 images of inquire is there"):
        read_inquire(tmp_path, gallery=str(tmp_path / "other"))


EXPORT = (
    "query,relevant,clip_score,inat24_image_id,inat24_file_name\n"
    "a bird in flight ,1,0.3,1,train/a.jpg\n"
    "a bird in flight ,0,0.2,5,train/n.jpg\n"
    "of another split,1,0.2,6,train/o.jpg\n"
)
PLAIN = "query_id,image_path\n10,train/a.jpg\n10,train/n.jpg\n77,train/o.jpg\n"


@pytest.mark.parametrize(
    "tables",
    [
        {"rerank": EXPORT},
        {"rerank_val": EXPORT},
        {"rerank": PLAIN},
        {"rerank": EXPORT.replace("inat24_file_name", "file_name")},
    ],
    ids=["export", "of the split", "by id", "authors' own"],
)
def test_rerank_searches_the_list_of_each_query(tmp_path, tables):
    dataset = read_inquire(write(tmp_path, **tables), protocol="rerank")
    (bird,) = dataset.queries
    assert bird.judged == {"train/a.jpg", "train/n.jpg"} == set(dataset.image_ids)
    assert bird.relevant == {"train/a.jpg"}
    assert "1 queries without a list are left out" in dataset.protocol["gallery"]


def test_rerank_of_parquet(tmp_path):
    frame = pl.DataFrame(
        {"query": ["a sick plant "], "relevant": [1], "inat24_file_name": ["train/p.jpg"]}
    )
    frame.write_parquet(write(tmp_path) / "inquire_rerank_val.parquet")
    (plant,) = read_inquire(tmp_path, protocol="rerank").queries
    assert (plant.query_id, plant.relevant) == ("20", {"train/p.jpg"})


def test_missing_files(tmp_path):
    with pytest.raises(AnnotationError, match=r"inquire_queries_val\.csv.*CC BY-NC"):
        read_inquire(tmp_path)
    write(tmp_path)
    with pytest.raises(AnnotationError, match=r"inquire_rerank_val\.csv.*inat24_file_name"):
        read_inquire(tmp_path, protocol="rerank")
    (tmp_path / "inquire_annotations.csv").unlink()
    with pytest.raises(AnnotationError, match=r"there is no .*inquire_annotations\.csv"):
        read_inquire(tmp_path)


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"queries_val": "query_id,query_text\nx,y\n"}, r"queries_val\.csv .*ValueError"),
        ({"annotations": "query_id\n10\n"}, r"annotations\.csv .*KeyError: 'image_path'"),
        ({"rerank": "query,relevant\na,1\n"}, "no column inat24_file_name or image_path"),
        ({"rerank": "query_id,file_name\n5,a.jpg\n"}, "no list for any query of the val split"),
        ({"rerank": EXPORT.replace(",0,", ",no,")}, r"rerank\.csv .*ValueError"),
    ],
)
def test_broken_files_are_named(tmp_path, tables, says):
    protocol = "rerank" if "rerank" in tables else "full"
    with pytest.raises(AnnotationError, match=says):
        read_inquire(write(tmp_path, **tables), protocol=protocol)


def test_an_unknown_protocol(tmp_path):
    with pytest.raises(ConfigError, match="unknown protocol 'fullrank': did you mean 'full'"):
        read_inquire(tmp_path, protocol="fullrank")


def test_the_published_queries(matir_data, tmp_path):
    published = matir_data / "annotations" / "formats" / "inquire_queries_val.csv"
    shutil.copy(published, write(tmp_path))
    dataset = read_inquire(tmp_path)
    assert len(dataset.queries) == 50
    assert all(query.text == query.text.strip() for query in dataset.queries)
    with published.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {q.kind for q in dataset.queries} == {row["supercategory"] for row in rows}
