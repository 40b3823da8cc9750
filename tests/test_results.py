import json
from dataclasses import replace

import polars as pl
import pytest
from fakes import bare_hit
from hypothesis import given, settings
from hypothesis import strategies as st

from matir_nb.errors import ConfigError, IndexMismatchError
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.results import FILE_KEY, FILE_VERSION, SearchResult
from matir_nb.types import Histogram, Hit, MaskRLE, Provenance

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.integers(0, 2**40)
scores = st.floats(allow_nan=False)
boxes = st.tuples(scores, scores, scores, scores)
rles = st.builds(MaskRLE, size=st.tuples(counts, counts), counts=st.binary(max_size=9))
plain = st.recursive(
    st.none() | st.booleans() | counts | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
hits = st.builds(
    Hit,
    rank=counts,
    image_id=texts,
    path=texts,
    width=counts,
    height=counts,
    final_score=scores,
    stage1_rank=counts,
    stage1_score=scores,
    best_region_id=st.none() | counts,
    best_region_score=st.none() | scores,
    runner_up_score=st.none() | scores,
    whole_image_score=scores,
    null_percentile=st.none() | scores,
    judge_rank=st.none() | counts,
    p_relevant=st.none() | scores,
    logit=st.none() | scores,
    answer=st.none() | texts,
    above_cut=st.none() | st.booleans(),
    judged_box_xyxy=st.none() | boxes,
    region_id=st.none() | counts,
    region_score=st.none() | scores,
    align_iou=st.none() | scores,
    box_xyxy=st.none() | boxes,
    mask=st.none() | rles,
    copies=st.lists(texts, max_size=2).map(tuple),
    hub_score=st.none() | scores,
    reference_score=st.none() | scores,
)
provenances = st.builds(
    Provenance,
    index_fingerprint=texts,
    models=st.dictionaries(texts, texts, max_size=2),
    config=st.dictionaries(texts, plain, max_size=2),
    versions=st.dictionaries(texts, texts, max_size=2),
    seconds=st.dictionaries(st.sampled_from(["retrieve", "judge", "align"]), st.floats(0, 99)),
    notices=st.lists(texts, max_size=2).map(tuple),
)

ABSENT = {
    "best_region_id",
    "best_region_score",
    "runner_up_score",
    "hub_score",
    "reference_score",
    "null_percentile",
    "above_cut",
    "judge_rank",
    "p_relevant",
    "logit",
    "answer",
    "judged_box_xyxy",
    "region_id",
    "region_score",
    "align_iou",
    "box_xyxy",
    "mask_height",
    "mask_width",
    "mask_counts",
    "seconds_judge",
}


TABLE_ONLY = {"mask_height", "mask_width", "mask_counts", "seconds_judge"}


def a_provenance() -> Provenance:
    seconds = {"retrieve": 0.25, "align": 0.5}
    return Provenance("f00d", {"encoder": "e"}, {"k": 1}, {"numpy": "2"}, seconds, ("careful",))


def a_bare_hit() -> Hit:
    return bare_hit(image_id="a/b.jpg", path="a/b.jpg", width=4, height=3, whole_image_score=0.25)


histograms = st.lists(counts, max_size=3).map(
    lambda n: Histogram(tuple(float(i) for i in range(len(n) + 1)), tuple(n))
)


@settings(max_examples=40, deadline=None)
@given(
    query=texts,
    found=st.lists(hits, max_size=3).map(tuple),
    provenance=provenances,
    rest=st.dictionaries(texts, histograms, max_size=2),
)
def test_what_was_saved_is_loaded_exactly(tmp_path_factory, query, found, provenance, rest):
    result = SearchResult(query, found, provenance, rest)
    path = tmp_path_factory.mktemp("results") / "r.parquet"
    result.save(path)
    loaded = SearchResult.load(path)
    assert loaded == result
    assert loaded.to_polars().equals(result.to_polars())
    assert pl.read_parquet(path).schema == HIT_SCHEMA


def test_an_empty_result_has_the_full_schema(tmp_path):
    result = SearchResult("nothing", (), a_provenance())
    assert result.to_polars().schema == HIT_SCHEMA
    assert result.to_polars().height == 0
    result.save(tmp_path / "empty.parquet")
    assert SearchResult.load(tmp_path / "empty.parquet") == result


def test_what_did_not_run_is_null_and_never_nan():
    row = SearchResult("q", (a_bare_hit(),), a_provenance()).to_polars()
    assert {name for name in row.columns if row[name][0] is None} == ABSENT
    assert row["seconds_retrieve"][0] == 0.25


def test_boxes_and_masks_have_their_own_columns():
    box = (0.5, 1.0, 3.0, 2.0)
    hit = replace(a_bare_hit(), box_xyxy=box, mask=MaskRLE((3, 4), b"52\x00"))
    row = SearchResult("q", (hit,), a_provenance()).to_polars()
    assert row["box_xyxy"].to_list() == [[0.5, 1.0, 3.0, 2.0]]
    assert row.select("mask_height", "mask_width", "mask_counts").row(0) == (3, 4, b"52\x00")


def test_the_query_and_provenance_are_in_the_file(tmp_path):
    SearchResult("two stars", (), a_provenance()).save(tmp_path / "r.parquet")
    document = json.loads(pl.read_parquet_metadata(tmp_path / "r.parquet")["matir_nb.result"])
    assert document["query"] == "two stars"
    assert document["provenance"]["models"] == {"encoder": "e"}


def test_the_notebook_table_escapes_all_text():
    hit = replace(a_bare_hit(), image_id="<b>.png", answer="<script>alert(1)</script>")
    provenance = replace(a_provenance(), notices=("<i>tiny</i>",))
    page = SearchResult("<img src=x>", (hit,), provenance)._repr_html_()
    for raw in ("<b>", "<script>", "<img", "<i>"):
        assert raw not in page
    assert "&lt;b&gt;.png" in page
    assert "1.500" in page


def test_the_text_form_is_one_line():
    assert repr(SearchResult("q", (), a_provenance())) == "SearchResult('q', 0 hits)"
    result = SearchResult("q", (a_bare_hit(),), a_provenance())
    assert repr(result) == "SearchResult('q', 1 hits, best 'a/b.jpg')"
    assert len(result) == 1
    assert [hit.rank for hit in result] == [1]


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no saved result at"):
        SearchResult.load(tmp_path / "none.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(ConfigError, match="is no saved result"):
        SearchResult.load(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(ConfigError, match="is no saved result"):
        SearchResult.load(tmp_path / "text.parquet")


def test_of_a_file_of_version_1_the_rest_is_loaded(tmp_path):
    result = SearchResult("q", (a_bare_hit(),), a_provenance())
    result.save(tmp_path / "new.parquet")
    document = pl.read_parquet_metadata(tmp_path / "new.parquet")[FILE_KEY]
    old = document.replace(f'"version": {FILE_VERSION}', '"version": 1')
    assert old != document
    table = pl.read_parquet(tmp_path / "new.parquet").drop(
        "best_region_id", "runner_up_score", "null_percentile", "above_cut", "copies"
    )
    table.write_parquet(tmp_path / "old.parquet", metadata={FILE_KEY: old})
    assert SearchResult.load(tmp_path / "old.parquet") == result


def test_a_newer_file_is_refused(tmp_path):
    document = {"version": FILE_VERSION + 1, "query": "q", "provenance": {}}
    table = pl.DataFrame(schema=HIT_SCHEMA)
    metadata = {"matir_nb.result": json.dumps(document)}
    table.write_parquet(tmp_path / "new.parquet", metadata=metadata)
    with pytest.raises(ConfigError, match="newer matir_nb"):
        SearchResult.load(tmp_path / "new.parquet")


class Pictures:
    n_images = 1
    fingerprint = "f00d"

    def has_image(self, image_id):
        return image_id == "a/b.jpg"


def test_a_loaded_result_takes_pictures_from_the_index_that_was_searched(tmp_path):
    result = SearchResult("q", (a_bare_hit(),), a_provenance(), source=Pictures())
    result.save(tmp_path / "r.parquet")
    loaded = SearchResult.load(tmp_path / "r.parquet")
    assert loaded.source is None
    assert loaded == result
    assert loaded.with_source(result.source).source is result.source


def test_another_index_is_no_source():
    other = Pictures()
    other.fingerprint = "beef"
    with pytest.raises(IndexMismatchError, match=r"fingerprint 'f00d'.*'beef'"):
        SearchResult("q", (), a_provenance()).with_source(other)


def test_an_index_without_the_image_is_no_source():
    strange = replace(a_bare_hit(), image_id="strange.png")
    with pytest.raises(IndexMismatchError, match=r"no image 'strange\.png'"):
        SearchResult("q", (strange,), a_provenance()).with_source(Pictures())


def test_a_page_needs_a_name_that_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        SearchResult("q", (), a_provenance()).to_html(tmp_path / "page.png")


def test_a_result_follows_files_that_move():
    second = bare_hit(rank=2, image_id="b.png", path="b.png")
    result = SearchResult("q", (bare_hit(), second), Provenance("f", {}, {}, {}, {}))
    moved = result.renamed({"b.png": "sorted/b.png", "z.png": "y.png"})
    assert [(hit.rank, hit.image_id, hit.path) for hit in moved] == [
        (1, "a.png", "a.png"),
        (2, "sorted/b.png", "sorted/b.png"),
    ]
    assert moved.source is None
    with pytest.raises(ConfigError, match=r"would both be called 'a.png'.*: 'deleted/a.png'$"):
        result.renamed({"b.png": "a.png"})
    kept = result.renamed({"b.png": "a.png", "a.png": "deleted/a.png"})
    assert [hit.image_id for hit in kept] == ["deleted/a.png", "a.png"]
    with pytest.raises(ConfigError, match=r"called 'c.png': give every image a name of its own$"):
        result.renamed({"a.png": "c.png", "b.png": "c.png"})
