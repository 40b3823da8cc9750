"""Extra dimensions: the search is that of the definition, and the cache is only a cache."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from matir_nb.config import RetrieveConfig
from matir_nb.errors import QueryError, ShapeError
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.index import extra as extra_module
from matir_nb.index.adjust import Hubs, References
from matir_nb.index.extra import ExtendedIndex, ExtraColumns, ExtraDimensions, sampled_regions
from matir_nb.index.manifest import write_manifest
from matir_nb.index.store import Index
from matir_nb.index.tables import IndexedImage
from matir_nb.index.verify import verify
from matir_nb.index.writer import IndexWriter
from matir_nb.types import ImageRef

DIM = 8
CONFIG = RetrieveConfig(
    region_weight=0.75, image_weight=0.25, dehub_beta=20.0, refine_weight=0.5, n_references=3
)
COUNTS = [[3, 0, 5, 1], [2, 2, 0], [4]]


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def an_index(folder, counts=COUNTS, *, seed=0):
    """Write an index whose images of each segment have so many regions."""
    rng = np.random.default_rng(seed)
    made_by = {"segmenter": "s", "encoder": "e", "dim": DIM, "masks": None}
    path, number = folder / "i.matir", 0
    with IndexWriter.create_or_resume(path, made_by=made_by, preset={}, root=folder) as writer:
        for segment in counts:
            rows = []
            for n in segment:
                masks = regions_from_masks([encode(np.ones((2, 2), bool))] * n)
                name = f"{number:02}.png"
                ref = ImageRef(name, folder / name, 2, 2, f"f{number}")
                vectors = unit(rng.normal(size=(n, DIM)) + 1)
                rows.append(IndexedImage(ref, masks, vectors, unit(rng.normal(size=DIM) + 1)))
                number += 1
            writer.add(rows)
    return Index.open(path)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return an_index(tmp_path_factory.mktemp("extra"))


def adjustments(seed=1):
    rng = np.random.default_rng(seed)
    bank, centroids = (unit(rng.normal(size=(n, DIM)) + 1) for n in (40, 3))
    return [Hubs(bank, CONFIG.dehub_beta), References(centroids, 0.1, CONFIG.refine_weight)]


def an_extra(index, config=CONFIG, chosen=None):
    return ExtraDimensions(ExtraColumns(index), config, chosen or adjustments())


def by_definition(index, query, chosen):
    """Return each image's score, with nothing but the vectors and the formulas."""
    hubs, references = chosen
    bank, beta = hubs.bank.astype(float), hubs.beta

    def placed(vector):
        powers = np.exp(references.centroids.astype(float) @ vector / references.temperature)
        return powers / powers.sum()

    def score(vector):
        vector = vector.astype(float)
        hub = np.log(np.mean(np.exp(beta * bank @ vector))) / beta
        mine, its = placed(query.astype(float)), placed(vector)
        near = mine @ its / np.linalg.norm(mine) / np.linalg.norm(its)
        return query.astype(float) @ vector - hub + references.weight * near

    scores = []
    for image_id in index.image_ids:
        whole = score(index.image_vector_of(image_id))
        regions = [score(vector) for vector in index.region_vectors_of(image_id)]
        scores.append(0.75 * max(regions, default=whole) + 0.25 * whole)
    return np.array(scores)


@pytest.mark.parametrize("block", [1, 20, 1 << 18])
def test_every_score_is_that_of_the_definition(index, block, monkeypatch):
    monkeypatch.setattr(extra_module, "BLOCK_SCORES", block)
    queries = unit(np.random.default_rng(5).normal(size=(3, DIM)) + 1)
    extra = an_extra(index)
    for query, scores in zip(queries, extra.stage1_scores(queries), strict=True):
        assert scores == pytest.approx(by_definition(index, query, adjustments()), abs=1e-6)
    together = extra.search(queries, k=4)
    for query, best, scores in zip(queries, together, extra.stage1_scores(queries), strict=True):
        assert best.rows.tolist() == np.argsort(-scores)[:4].tolist()
        assert best.scores.tolist() == scores[best.rows].tolist()
        (alone,) = extra.search(query[None], k=4)
        assert alone.rows.tolist() == best.rows.tolist()
        assert alone.scores.tolist() == best.scores.tolist()


def test_images_that_left_the_index_are_neither_found_nor_sampled(tmp_path):
    whole = an_index(tmp_path)
    first, second, third = whole.manifest.segments
    segments = (first.without((0, 2)), second, third.without((0,)))
    write_manifest(whole.path, replace(whole.manifest, segments=segments))
    index = Index.open(whole.path)
    assert index.image_ids == ("01.png", "03.png", "04.png", "05.png", "06.png")
    query = unit(np.ones(DIM))
    (best,) = an_extra(index).search(query[None], k=5)
    wanted = by_definition(index, query, adjustments())
    assert best.rows.tolist() == np.argsort(-wanted).tolist()
    assert best.scores == pytest.approx(np.sort(wanted)[::-1], abs=1e-6)
    vectors = np.concatenate([index.region_vectors_of(i) for i in index.image_ids])
    np.testing.assert_array_equal(sampled_regions(index), vectors)


def test_a_filter_leaves_out_and_k_may_be_more_than_there_are(index):
    keep = np.arange(index.n_images) % 3 == 1
    (best,) = an_extra(index).search(unit(np.ones((1, DIM))), k=100, keep=keep)
    assert sorted(best.rows.tolist()) == np.flatnonzero(keep).tolist()
    assert np.isneginf(best.estimates[~keep]).all()
    assert np.isfinite(best.estimates[keep]).all()


def test_equal_scores_are_ordered_by_image_id(index):
    still = RetrieveConfig(region_weight=0.0, image_weight=0.0, dehub_beta=1.0)
    (best,) = an_extra(index, still).search(unit(np.ones((1, DIM))), k=3)
    assert index.ids_of(best.rows.tolist()) == ["00.png", "01.png", "02.png"]


def test_what_does_not_fit_is_refused(index):
    with pytest.raises(ShapeError, match=r"expected shape \(q, 8\), got \(1, 3\)"):
        an_extra(index).search(np.ones((1, 3), np.float32), k=1)
    with pytest.raises(QueryError, match="not finite"):
        an_extra(index).search(np.full((1, DIM), np.nan, np.float32), k=1)


def test_what_is_added_to_one_image_adds_up_to_its_score(index):
    query = unit(np.arange(DIM) + 1.0)
    extra = an_extra(index)
    scores = extra.stage1_scores(query[None])[0]
    for row, image_id in enumerate(index.image_ids):
        added = extra.added(query, image_id)
        cosines = index.region_vectors_of(image_id) @ query
        ranked_by = cosines + added.weights @ added.regions
        best = int(ranked_by.argmax()) if len(cosines) else None
        whole = float(index.image_vector_of(image_id) @ query)
        parts = added.parts(best, CONFIG)
        assert parts.keys() == {"hub_score", "reference_score"}
        of_region = whole if best is None else float(cosines[best])
        total = 0.75 * of_region + 0.25 * whole - parts["hub_score"]
        assert total + 0.5 * parts["reference_score"] == pytest.approx(scores[row], abs=1e-6)


def test_products_of_extended_vectors_are_the_scores(index):
    query = unit(np.arange(DIM) + 1.0)
    extra = an_extra(index)
    view = ExtendedIndex(extra)
    asked = extra.extended(query[None])[0]
    assert asked.shape == (DIM + 1 + 3,)
    assert (view.n_images, view.ids_of([2])) == (index.n_images, ["02.png"])
    for image_id in index.image_ids:
        added = extra.added(query, image_id)
        cosines = index.region_vectors_of(image_id) @ query
        wanted = cosines + added.weights @ added.regions
        assert view.region_vectors_of(image_id) @ asked == pytest.approx(wanted, abs=1e-6)
        whole = index.image_vector_of(image_id) @ query + added.weights @ added.whole
        assert view.image_vector_of(image_id) @ asked == pytest.approx(whole, abs=1e-6)


def test_an_index_of_nothing_has_no_best_images(tmp_path):
    empty = an_index(tmp_path, [])
    (best,) = an_extra(empty).search(np.ones((1, DIM), np.float32), k=3)
    assert (len(best.rows), len(best.estimates)) == (0, 0)
    assert sampled_regions(empty).shape == (0, DIM)


def test_the_sample_is_spread_evenly_over_all_segments(index):
    vectors = np.concatenate([index.region_vectors_of(i) for i in index.image_ids])
    np.testing.assert_array_equal(sampled_regions(index), vectors)
    np.testing.assert_array_equal(sampled_regions(index, 6), vectors[::3])


def test_without_regions_whole_images_are_sampled(tmp_path):
    index = an_index(tmp_path, [[0, 0], [0]])
    wholes = [index.image_vector_of(image_id) for image_id in index.image_ids]
    np.testing.assert_array_equal(sampled_regions(index), np.array(wholes))


class Refusing:
    """Says what an adjustment is, and computes nothing."""

    def __init__(self, adjustment):
        self.key, self.width = adjustment.key, adjustment.width

    def of_stored(self, _vectors):
        pytest.fail("computed again")


def files_of(index):
    return sorted((index.path / "cache").glob("extra-*.npy"))


def columns_of(index, adjustment):
    return [
        array
        for one in ExtraColumns(index).of(adjustment).values()
        for array in (one.regions, one.wholes)
    ]


def test_the_numbers_are_computed_once_and_kept_beside_the_index(tmp_path):
    index = an_index(tmp_path)
    before = index.fingerprint
    for number, one in enumerate(adjustments(), start=1):
        made = columns_of(index, one)
        assert len(files_of(index)) == 3 * number
        for first, again in zip(made, columns_of(index, Refusing(one)), strict=True):
            np.testing.assert_array_equal(first, again)
    assert Index.open(index.path).fingerprint == before
    assert verify(index.path).is_sound
    for file in files_of(index):
        file.unlink()
    for first, again in zip(made, columns_of(index, one), strict=True):
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("damage", ["empty", "truncated", "altered", "longer", "other header"])
def test_a_damaged_file_is_computed_again(tmp_path, damage, caplog):
    index = an_index(tmp_path)
    one = adjustments()[1]
    made = columns_of(index, one)
    for file in files_of(index):
        content = bytearray(file.read_bytes())
        content[-9] ^= damage == "altered"
        content[64] ^= damage == "other header"
        end = {"empty": 0, "truncated": len(content) // 2}.get(damage, len(content))
        file.write_bytes(content[:end] + b"x" * (damage == "longer"))
    with caplog.at_level(logging.WARNING):
        again = columns_of(index, one)
    assert caplog.text.count("written again") == 3
    for first, second in zip(made, again, strict=True):
        np.testing.assert_array_equal(first, second)
    columns_of(index, Refusing(one))


def test_where_nothing_can_be_written_the_numbers_are_still_there(tmp_path, caplog):
    index = an_index(tmp_path)
    (index.path / "cache").write_text("a file, no folder")
    one = adjustments()[0]
    assert columns_of(index, one)[0].shape == (9, 1)
    assert "is not kept" in caplog.text


def test_other_options_have_files_of_their_own_and_lost_segments_none(tmp_path):
    index = an_index(tmp_path)
    hubs, _ = adjustments()
    columns_of(index, hubs)
    columns_of(index, Hubs(hubs.bank, 5.0))
    assert len(files_of(index)) == 6
    lost = index.path / "cache" / f"extra-{'0' * 16}-{'1' * 16}.npy"
    lost.write_bytes(b"of a segment that was compacted away")
    columns_of(index, Hubs(hubs.bank, 7.0))
    assert not lost.exists()
    assert len(files_of(index)) == 9


def test_only_the_latest_adjustments_are_held(index):
    columns = ExtraColumns(index)
    hubs, _ = adjustments()
    for beta in range(1, 12):
        columns.of(Hubs(hubs.bank, float(beta)))
    assert len(columns._known) == 8
