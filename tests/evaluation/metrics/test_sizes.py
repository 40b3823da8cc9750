import polars as pl
import pytest

from matir_nb.errors import ConfigError
from matir_nb.evaluation.metrics.sizes import SIZE_SCHEMA, SIZES, recall_by_size
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA


def query(arm, query_id, found, targets):
    """Return a row: images found, best first, and (image, area, share of the picture)."""
    return {
        "arm": arm,
        "query_id": query_id,
        "hits": [{"image_id": name, "rank": rank} for rank, name in enumerate(found, start=1)],
        "targets": [
            {"image_id": name, "n_targets": 1, "area_px": area, "area_fraction": share}
            for name, area, share in targets
        ],
    }


def frame(*rows):
    return pl.DataFrame(list(rows), schema=OBSERVED_SCHEMA)


OBSERVED = frame(
    query("b", "q1", ["x", "y", "z"], [("y", 100.0, 0.0005), ("w", 1023.9, 0.002)]),
    query("b", "q2", ["z"], [("x", 1024.0, 0.05), ("z", 9216.0, 0.5), ("y", None, None)]),
    query("a", "q1", [], [("y", 100.0, 0.0005), ("w", 1023.9, 0.002)]),
    query("b", "q3", ["x"], []),
)


def test_recall_by_size_by_hand():
    table = recall_by_size(OBSERVED, 10)
    assert table.schema == SIZE_SCHEMA
    assert table.rows() == [
        # y was found, w was not; x and z are targets of the second query
        ("b", "small", 0.5, 2, 1),
        ("b", "medium", 0.0, 1, 0),
        ("b", "large", 1.0, 1, 1),
        ("a", "small", 0.0, 2, 0),
    ]


def test_a_hit_below_k_is_not_found():
    assert recall_by_size(OBSERVED, 1)["n_found"].to_list() == [0, 0, 1, 0]
    assert recall_by_size(OBSERVED, 2)["n_found"].to_list() == [1, 0, 1, 0]
    with pytest.raises(ConfigError, match="k = 0"):
        recall_by_size(OBSERVED, 0)


def test_an_image_found_by_another_query_does_not_count():
    table = recall_by_size(
        frame(
            query("a", "q1", ["x"], [("y", 1.0, 0.1)]), query("a", "q2", ["y"], [("x", 1.0, 0.1)])
        ),
        10,
    )
    assert table.select("n", "n_found").rows() == [(2, 0)]


def test_arms_that_take_turns_stay_apart():
    rows = [query(arm, q, ["y"], [("y", 1.0, 0.1)]) for q in ("q1", "q2") for arm in ("b", "a")]
    table = recall_by_size(frame(*rows), 10)
    assert table.select("arm", "n", "n_found").rows() == [("b", 2, 2), ("a", 2, 2)]


@pytest.mark.parametrize(
    "observed", [frame(), frame(query("a", "q", ["x"], [])), frame(query("a", "q", [], []))]
)
def test_without_targets_there_are_no_sizes(observed):
    assert recall_by_size(observed, 10).rows() == []
    assert recall_by_size(observed, 10).schema == SIZE_SCHEMA


def test_all_sizes_together_are_the_share_of_targets_found():
    table = recall_by_size(OBSERVED, 10).filter(pl.col("arm") == "b")
    assert table["n_found"].sum() / table["n"].sum() == 2 / 4
    assert set(table["size"]) == set(SIZES)
