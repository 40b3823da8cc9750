"""A saved result in any state: the same result, another sound one, or one of our errors."""

import json

import polars as pl
import pytest
from altered import changed, damaged, values
from fakes import bare_hit
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.errors import ConfigError
from matir_nb.results import FILE_KEY, SearchResult
from matir_nb.sealed import write_sealed
from matir_nb.types import Histogram, MaskRLE, Provenance


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a result and its file."""
    hits = (
        bare_hit(mask=MaskRLE((2, 2), b"121"), box_xyxy=(0.0, 0.0, 1.0, 2.0)),
        bare_hit(rank=2, image_id="b.png", p_relevant=0.5, answer="yes"),
    )
    provenance = Provenance("f", {"encoder": "e"}, {"k": 2}, {"matir_nb": "1"}, {"judge": 1.0})
    rest = {"stage1_score": Histogram((0.0, 1.0), (1,))}
    result = SearchResult("a red circle", hits, provenance, rest=rest)
    path = tmp_path_factory.mktemp("saved") / "a.parquet"
    result.save(path)
    return result, path


@fuzzed
@given(data=st.data())
def test_bytes_that_were_altered_are_found(saved, data):
    result, path = saved
    other = path.with_name("altered.parquet")
    other.write_bytes(data.draw(damaged(path.read_bytes())))
    try:
        found = SearchResult.load(other)
    except ConfigError as error:
        assert "altered.parquet" in str(error)  # noqa: PT017 - no error is right, too
        return
    assert found == result


@fuzzed
@given(data=st.data())
def test_a_sealed_file_of_other_values_is_read_or_refused(saved, data):
    result, path = saved
    document = data.draw(changed(json.loads(pl.read_parquet_metadata(path)[FILE_KEY])))
    frame = result.to_polars()
    column = data.draw(st.sampled_from(frame.columns))
    match data.draw(st.sampled_from(["keep", "drop", "text", "null", "list"])):
        case "drop":
            frame = frame.drop(column)
        case "text":
            frame = frame.with_columns(pl.lit(data.draw(st.text(max_size=4))).alias(column))
        case "null":
            frame = frame.with_columns(pl.lit(None).alias(column))
        case "list":
            frame = frame.with_columns(pl.lit([[1]]).first().alias(column))
    other = path.with_name("written.parquet")
    write_sealed(frame, other, {FILE_KEY: json.dumps(document)})
    try:
        assert repr(SearchResult.load(other).hits)
    except ConfigError as error:
        assert "written.parquet" in str(error)  # noqa: PT017 - no error is right, too


@fuzzed
@given(st.one_of(values.map(json.dumps), st.text(max_size=9)))
def test_metadata_of_any_kind_is_refused(saved, text):
    result, path = saved
    other = path.with_name("odd.parquet")
    write_sealed(result.to_polars(), other, {FILE_KEY: text.replace("\x00", "")})
    with pytest.raises(ConfigError, match="is no saved result"):
        SearchResult.load(other)


def test_a_file_without_a_seal_is_read(saved):
    result, path = saved
    other = path.with_name("older.parquet")
    metadata = {FILE_KEY: pl.read_parquet_metadata(path)[FILE_KEY]}
    result.to_polars().write_parquet(other, metadata=metadata)
    assert SearchResult.load(other) == result
