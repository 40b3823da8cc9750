import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matir_nb.config import RetrieveConfig
from matir_nb.errors import QueryError, ShapeError
from matir_nb.index import certified
from matir_nb.index.certified import exact_scores, first_pass, search
from matir_nb.index.codes import bound, encode_queries, encode_vectors
from matir_nb.index.manifest import Manifest, write_manifest
from matir_nb.index.segments import save_segment
from matir_nb.index.store import Index
from matir_nb.index.tables import IMAGE_SCHEMA, REGION_SCHEMA
from matir_nb.index.vectors import fuse, top_k

CONFIG = RetrieveConfig(region_weight=0.75, image_weight=0.25)
DIM = 16


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def an_index(path, rng, counts: list[list[int]], *, dropped=(), spread: float = 1.0) -> Index:
    """Write an index whose images of each segment have so many regions, in a cone."""
    segments = []
    cone = rng.normal(size=DIM)
    for number, images in enumerate(counts):
        ids = [f"{rng.integers(1 << 30):08x}-{number}-{row}" for row in range(len(images))]
        values = {"image_id": ids, "path": ids, "n_regions": images, "copies": [[]] * len(images)}
        rest = {name: [None] * len(images) for name in IMAGE_SCHEMA if name not in values}
        n = sum(images)
        regions = pl.DataFrame({"counts": [b"1"] * n}, schema_overrides=REGION_SCHEMA)
        missing = [pl.lit(None, dtype).alias(c) for c, dtype in REGION_SCHEMA.items()]
        vectors = unit(cone + spread * rng.normal(size=(n, DIM)))
        vectors[: n // 4] = vectors[n // 4 : n // 4 + 1] if n else vectors[:0]
        wholes = unit(cone + spread * rng.normal(size=(len(images), DIM)))
        segment = save_segment(
            path / f"segments/{number + 1:06d}",
            pl.DataFrame(values | rest, schema=IMAGE_SCHEMA),
            regions.with_columns(missing[:1] + missing[2:]).select(REGION_SCHEMA.names()),
            region_vectors=[vectors[:3], vectors[3:]],
            image_vectors=[wholes],
            dim=DIM,
        )
        segments.append(segment.without(dropped if number == 0 else ()))
    made_by = {"segmenter": "s", "encoder": "e", "dim": DIM}
    write_manifest(path, Manifest(made_by, {}, "..", tuple(segments)))
    return Index.open(path)


def full_scan(index: Index, query: np.ndarray, k: int, keep=None):
    best, whole = index.best_region_scores(query[None])[0], index.whole_image_scores(query[None])[0]
    scores = fuse(best, whole, CONFIG)
    if keep is not None:
        scores = np.where(keep, scores, -np.inf)
    rows = top_k(scores, k, index.id_ranks)
    return rows[np.isfinite(scores[rows])], scores


@pytest.fixture(autouse=True)
def without_the_short_way(monkeypatch):
    monkeypatch.setattr(certified, "FEW_NUMBERS", 0)
    monkeypatch.setattr(certified, "BLOCK_SCORES", 40)
    monkeypatch.setattr(certified, "BLOCK_ROWS", 40)


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=30), min_size=1, max_size=3),
    st.integers(1, 12),
    st.integers(1, 4),
    st.floats(0.001, 2),
    st.integers(0, 1 << 30),
)
@settings(max_examples=60, deadline=None)
def test_the_answer_is_that_of_the_full_scan(tmp_path_factory, counts, k, n_queries, spread, seed):
    rng = np.random.default_rng(seed)
    dropped = range(0, len(counts[0]) - 1, 3)
    path = tmp_path_factory.mktemp("i")
    index = an_index(path, rng, counts, dropped=dropped, spread=spread)
    queries = unit(rng.normal(size=(n_queries, DIM)))
    for keep in (None, rng.random(index.n_images) < 0.5):
        found = search(index, queries, k=k, config=CONFIG, keep=keep)
        for query, best in zip(queries, found, strict=True):
            rows, scores = full_scan(index, query, k, keep)
            assert best.rows.tolist() == rows.tolist()
            np.testing.assert_array_equal(best.scores, scores[rows])


def test_few_images_are_scored_exactly_of_many(tmp_path):
    rng = np.random.default_rng(3)
    index = an_index(tmp_path, rng, [[4] * 400, [0, 9] * 100], spread=0.6)
    query = unit(rng.normal(size=(1, DIM)))
    best = search(index, query, k=5, config=CONFIG)[0]
    rows, scores = full_scan(index, query[0], 5)
    assert best.rows.tolist() == rows.tolist()
    assert 5 <= best.n_exact < 100
    assert np.abs(best.estimates - scores).max() < 0.02


def test_no_score_is_further_off_than_its_bound(tmp_path):
    rng = np.random.default_rng(5)
    index = an_index(tmp_path, rng, [[3, 0, 1] * 40, [2] * 30], dropped=[1, 2], spread=0.3)
    queries = unit(rng.normal(size=(7, DIM)))
    estimates, bounds, _ = first_pass(index, queries, CONFIG)
    for query, estimate, off in zip(queries, estimates, bounds, strict=True):
        exact = exact_scores(index, query, np.arange(index.n_images), CONFIG)
        assert (np.abs(exact - estimate) <= off).all()


@given(st.integers(0, 1 << 30), st.floats(1e-3, 100))
def test_the_bound_of_codes_holds_for_any_size(seed, size):
    rng = np.random.default_rng(seed)
    vectors = (size * rng.normal(size=(20, 8)) ** 3).astype(np.float16)
    queries = (rng.normal(size=(3, 8)) / size).astype(np.float32)
    found = encode_vectors(vectors, vectors.astype(np.float32).mean(axis=0))
    asked = encode_queries(queries)
    products = asked.codes.astype(np.int32) @ found.codes.astype(np.int32).T
    scores = asked.scales[:, None] * products * found.scales[0] + (queries @ found.centre)[:, None]
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    assert (np.abs(scores - exact) <= bound(asked, found.scales[1], found.scales[2])).all()


def test_an_empty_index_has_no_best_images(tmp_path):
    write_manifest(tmp_path, Manifest({"segmenter": "s", "encoder": "e", "dim": DIM}, {}, ".."))
    (best,) = search(Index.open(tmp_path), np.ones((1, DIM), np.float32), k=3, config=CONFIG)
    assert (len(best.rows), len(best.estimates)) == (0, 0)


def test_queries_of_another_length_are_refused(tmp_path):
    index = an_index(tmp_path, np.random.default_rng(0), [[1, 2]])
    with pytest.raises(ShapeError, match=r"expected shape \(q, 16\), got \(1, 3\)"):
        search(index, np.ones((1, 3), np.float32), k=1, config=CONFIG)
    with pytest.raises(ShapeError, match=r"keep: expected shape \(2,\), got \(3,\)"):
        search(index, np.ones((1, DIM), np.float32), k=1, config=CONFIG, keep=np.ones(3, bool))


@pytest.mark.parametrize("kernels", ["AVX2", "AVX512_CORE", "DEFAULT"])
def test_products_are_exact_on_processors_of_every_age(kernels):
    """Older kernels saturate: they are asked for where the processor has newer ones."""
    code = (
        "import numpy as np\n"
        "from matir_nb.index.certified import _products\n"
        "from matir_nb.index.codes import LARGEST\n"
        "for n, q, d in [(1, 1, 8), (3, 1, 512), (300, 1, 768), (300, 7, 512), (70, 100, 33)]:\n"
        "    for sign in (1, -1, 0):\n"
        "        stored = np.full((n, d), LARGEST, np.int8)\n"
        "        asked = np.full((q, d), sign * LARGEST, np.int8)\n"
        "        if not sign:\n"
        "            draw = np.random.default_rng(n * d).integers\n"
        "            stored = draw(-LARGEST, LARGEST + 1, (n, d), np.int8)\n"
        "            asked = draw(-LARGEST, LARGEST + 1, (q, d), np.int8)\n"
        "        exact = asked.astype(np.int64) @ stored.astype(np.int64).T\n"
        "        assert (_products(asked, stored) == exact).all(), (n, q, d, sign)\n"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": kernels}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("weights", [(0.001, 1000.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_the_answer_is_that_of_the_full_scan_for_any_weights(tmp_path, weights):
    config = RetrieveConfig(region_weight=weights[0], image_weight=weights[1])
    for seed in range(10):
        rng = np.random.default_rng(seed)
        index = an_index(tmp_path / str(seed), rng, [[2, 0, 3] * 10], spread=0.3)
        query = unit(rng.normal(size=(1, DIM)))
        best, whole = index.best_region_scores(query)[0], index.whole_image_scores(query)[0]
        scores = fuse(best, whole, config)
        found = search(index, query, k=4, config=config)[0]
        assert found.rows.tolist() == top_k(scores, 4, index.id_ranks).tolist()


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    index = an_index(tmp_path, np.random.default_rng(0), [[1, 2]])
    with pytest.raises(QueryError, match="not finite"):
        search(index, np.full((1, DIM), np.nan, np.float32), k=1, config=CONFIG)
    with pytest.raises(ValueError, match="not finite"):
        encode_vectors(np.full((1, 2), np.inf, np.float16), np.zeros(2, np.float32))
