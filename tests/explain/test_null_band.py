import logging
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from fakes import OracleEncoder, OracleJudge, oracle_index

from matir_nb.config import RetrieveConfig
from matir_nb.explain import null_band
from matir_nb.explain.neutral import bank, content_words, unrelated
from matir_nb.explain.null_band import NullBand, percentile, quantiles, stored_vectors
from matir_nb.index.vectors import fuse
from matir_nb.opening import open_engine
from matir_nb.results import SearchResult
from matir_nb.stages.retrieve import retrieve

N = 25
WEIGHTS = RetrieveConfig(region_weight=0.75, image_weight=0.25)


REGIONS = {
    "two": np.array([[1, 0], [0, 1]], np.float32),
    "none": np.zeros((0, 2), np.float32),
    "hub": np.array([[0.8, 0.8]], np.float32),
}
WHOLES = {"two": [0, 0], "none": [0, 0.5], "hub": [0.8, 0.8]}


class HandMadeIndex:
    """Three images in a plane: one with two regions, one with none, one hub near every text."""

    image_ids = ("two", "none", "hub")
    n_images = 3

    def ids_of(self, rows):
        return [self.image_ids[row] for row in rows]

    def region_vectors_of(self, image_id):
        return REGIONS[image_id]

    def image_vector_of(self, image_id):
        return np.array(WHOLES[image_id], np.float32)


def hand_made(vectors=((1, 0), (0, 0.5)), phrases=("a", "b")):
    fused = partial(fuse, config=WEIGHTS)
    return NullBand(HandMadeIndex(), phrases, np.array(vectors, np.float32), fuse=fused)


@pytest.fixture(scope="module")
def scenes_and_path(tmp_path_factory):
    return oracle_index(tmp_path_factory.mktemp("null"), N)


@pytest.fixture
def engine(scenes_and_path):
    scenes, path = scenes_and_path
    return open_engine(path, encoder=OracleEncoder(scenes), judge=OracleJudge())


@pytest.mark.parametrize(
    ("score", "expected"), [(0.0, 0.0), (0.25, 25.0), (0.5, 62.5), (0.75, 87.5), (2.0, 100.0)]
)
def test_percentiles_by_hand_ties_count_half(score, expected):
    assert percentile(score, np.array([0.25, 0.25, 0.75, 0.5], np.float32)) == expected


def test_quantiles_by_hand():
    scores = np.arange(101, dtype=np.float32)[::-1]
    assert quantiles(scores) == (0, 5, 25, 50, 75, 95, 100)


def test_scores_by_hand():
    # a: regions 1, 0 -> 0.75; no region: the whole image, 0, is its own; hub 0.8
    # b: best region 0.5 -> 0.375; 0.25 twice; hub 0.4
    expected = [[0.75, 0.375], [0.0, 0.25], [0.8, 0.4]]
    assert hand_made().scores_of(["two", "none", "hub"]) == pytest.approx(np.array(expected))
    assert hand_made().scores_of(["hub", "two"]) == pytest.approx(np.array(expected)[[2, 0]])
    assert hand_made().best.tolist() == pytest.approx([0.8, 0.4])
    assert hand_made().scores_of([]).shape == (0, 2)


def test_a_hub_image_needs_a_higher_score_for_the_same_percentile():
    phrases = [f"word{i}" for i in range(40)]
    angles = np.linspace(0, np.pi / 2, 40)
    band = hand_made(np.stack([np.cos(angles), np.sin(angles)], axis=1), phrases)
    of_two, of_hub = band.percentiles("q", ["two", "hub"], [0.7, 0.7])
    assert of_hub == 0
    assert of_two == 50
    assert band.percentiles("q", ["hub"], [1.2])[0] == 100


def test_every_hit_agrees_with_searches_for_the_phrases_one_by_one(engine):
    result = engine.search("striped red circle", k=N)
    phrases = bank("scenes")
    kept = unrelated(result.query, [content_words(phrase) for phrase in phrases])
    config = engine.preset.retrieve
    scores = {hit.image_id: [] for hit in result}
    for phrase in phrases:
        found = retrieve(phrase, engine.index, engine.encoder, n_images=N, config=config)
        for candidate in found.candidates:
            scores[candidate.image_id].append(candidate.stage1_score)
    for hit in result:
        null_scores = engine.null_scores_of(hit.image_id)
        assert null_scores == pytest.approx(np.array(scores[hit.image_id]), abs=1e-6)
        assert null_scores.dtype == np.float32
        related_to = engine.null_scores_of(hit.image_id, result.query)
        assert related_to.tolist() == null_scores[kept].tolist()
        assert hit.null_percentile == pytest.approx(percentile(hit.stage1_score, related_to))


def test_the_percentile_survives_table_and_file(engine, tmp_path):
    result = engine.search("green star", k=5)
    assert result.to_polars()["null_percentile"].null_count() == 0
    assert result.to_polars()["above_cut"].null_count() == 0
    result.save(tmp_path / "r.parquet")
    assert SearchResult.load(tmp_path / "r.parquet") == result
    assert result.provenance.config["null_band"] == {"bank": "scenes", "n_phrases": 256}


def test_the_bank_is_encoded_once_and_kept_beside_the_index(scenes_and_path):
    scenes, path = scenes_and_path

    class Counting(OracleEncoder):
        n_texts = 0

        def embed_texts(self, texts):
            self.n_texts += len(texts)
            return super().embed_texts(texts)

    counts = []
    for _ in range(2):
        encoder = Counting(scenes, model_id="oracle-encoder")
        engine = open_engine(path, encoder=encoder, judge=None)
        engine.search("red", k=3)
        engine.search("blue", k=3)
        counts.append(encoder.n_texts)
    assert counts[1] == 2


def encoded(n=2):
    return np.arange(2 * n, dtype=np.float32).reshape(n, 2)


def test_vectors_are_stored_by_encoder_and_phrases(tmp_path):
    first = stored_vectors(tmp_path, ["a", "b"], "e", encoded)
    assert stored_vectors(tmp_path, ["a", "b"], "e", pytest.fail).tolist() == first.tolist()
    for phrases, encoder_id in ((["a", "c"], "e"), (["a", "b"], "f")):
        other = stored_vectors(tmp_path, phrases, encoder_id, lambda: encoded() + 1)
        assert other.tolist() == (encoded() + 1).tolist()
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY"])
def test_a_damaged_file_costs_only_time(tmp_path, content, caplog):
    stored_vectors(tmp_path, ["a", "b"], "e", encoded)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = stored_vectors(tmp_path, ["a", "b"], "e", encoded)
    assert again.tolist() == encoded().tolist()
    assert "written again" in caplog.text
    assert stored_vectors(tmp_path, ["a", "b"], "e", pytest.fail).tolist() == encoded().tolist()


def test_a_file_of_another_shape_is_written_again(tmp_path, caplog):
    stored_vectors(tmp_path, ["a", "b"], "e", encoded)
    (file,) = tmp_path.iterdir()
    np.save(file, encoded(3))
    assert stored_vectors(tmp_path, ["a", "b"], "e", encoded).tolist() == encoded().tolist()
    assert "holds no vectors" in caplog.text


def test_where_nothing_can_be_written_the_vectors_are_still_there(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file, no folder")
    vectors = stored_vectors(tmp_path / "cache", ["a", "b"], "e", encoded)
    assert vectors.tolist() == encoded().tolist()
    assert "is not kept" in caplog.text


def test_of_a_large_index_a_sample_is_scored_and_its_maxima_grow_with_the_rest(monkeypatch):
    rng = np.random.default_rng(0)
    n, t = 4096, 60

    class Noise:
        n_images = n
        scores = rng.gumbel(size=(n, t)).astype(np.float32)

        def ids_of(self, rows):
            return [f"{row:05}" for row in rows]

        def region_vectors_of(self, _image_id):
            return np.zeros((0, t), np.float32)

        def image_vector_of(self, image_id):
            return self.scores[int(image_id)]

    fused = partial(fuse, config=RetrieveConfig(region_weight=1.0, image_weight=0.0))
    eye, phrases = np.eye(t, dtype=np.float32), [str(i) for i in range(t)]
    monkeypatch.setattr(null_band, "SAMPLE_IMAGES", n)
    exact = NullBand(Noise(), phrases, eye, fuse=fused).best
    assert exact.tolist() == Noise.scores.max(axis=0).tolist()
    monkeypatch.setattr(null_band, "SAMPLE_IMAGES", 256)
    sampled = NullBand(Noise(), phrases, eye, fuse=fused)
    raw = Noise.scores[::16].max(axis=0)
    # Gumbel maxima grow by ln 16 = 2.77 from 256 to 4096
    assert np.median(sampled.best - raw) == pytest.approx(np.log(16), abs=0.8)
    assert len(np.unique(np.round(sampled.best - raw, 3))) == 1


def test_what_is_remembered_stays_within_bounds(engine, monkeypatch):
    monkeypatch.setattr(null_band, "MAX_REMEMBERED", 4)
    monkeypatch.setattr(null_band, "BLOCK_IMAGES", 3)
    band = engine._yardstick.band(replace(engine.preset.retrieve, image_weight=0.2))
    ids = engine.index.image_ids
    whole = band.scores_of(ids)
    assert band.scores_of(ids[:2]).tolist() == whole[:2].tolist()
    assert len(band._known) == 4
