from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from matir_nb.config import RetrieveConfig
from matir_nb.errors import ConfigError
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.index.adjust import Hubs
from matir_nb.index.extra import ExtraColumns, ExtraDimensions
from matir_nb.index.store import Index
from matir_nb.index.tables import IndexedImage
from matir_nb.index.writer import IndexWriter
from matir_nb.stages.retrieve import retrieve, scan
from matir_nb.types import ImageRef


class TwoWords:
    """Embeds "x" and "y" as the two axes."""

    model_id, dim = "e", 2

    def embed_texts(self, texts):
        return np.array([[text == "x", text == "y"] for text in texts], np.float32)


def an_index(tmp_path: Path, images: dict[str, tuple[list[float], float]]) -> Index:
    """Make an index whose regions and images have the given cosines with "x"."""
    made_by = {"segmenter": "s", "encoder": "e", "dim": 2, "masks": None}
    rows = []
    for name, (regions, whole) in images.items():
        masks = regions_from_masks([encode(np.ones((2, 2), bool))] * len(regions))
        vectors = np.array([unit(c) for c in regions], np.float32).reshape(-1, 2)
        ref = ImageRef(name, tmp_path / name, 2, 2, "f")
        rows.append(IndexedImage(ref, masks, vectors, unit(whole)))
    path = tmp_path / "i.matir"
    with IndexWriter.create_or_resume(path, made_by=made_by, preset={}, root=tmp_path) as writer:
        for row in rows:
            writer.add([row])
    return Index.open(path)


def unit(cosine: float) -> np.ndarray:
    return np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)


def search(index: Index, n_images: int = 10, **options: float):
    config = RetrieveConfig(**{"region_weight": 0.75, "image_weight": 0.25} | options)
    return retrieve("x", index, TwoWords(), n_images=n_images, config=config).candidates


def test_the_score_is_the_weighted_sum_of_best_region_and_whole_image(tmp_path):
    found = search(an_index(tmp_path, {"a": ([0.25, 0.5], 0.0), "b": ([1.0], 0.5)}))
    assert [c.image_id for c in found] == ["b", "a"]
    assert [c.stage1_rank for c in found] == [1, 2]
    best, other = found
    assert best.stage1_score == pytest.approx(0.75 * 1.0 + 0.25 * 0.5)
    assert (best.best_region_score, best.whole_image_score) == (1.0, 0.5)
    assert other.stage1_score == pytest.approx(0.75 * 0.5)
    assert other.region_ids == (1, 0)
    assert other.region_scores.tolist() == [0.5, 0.25]


def test_an_image_without_regions_is_its_own_region(tmp_path):
    found = search(an_index(tmp_path, {"a": ([], 0.5), "b": ([0.25], 0.25), "c": ([], 0.0)}))
    assert [c.image_id for c in found] == ["a", "b", "c"]
    assert found[0].stage1_score == pytest.approx(0.5)
    assert found[0].best_region_score is None
    assert found[0].region_ids == ()


def test_equal_scores_are_ordered_by_image_id(tmp_path):
    images = {name: ([0.5], 0.5) for name in ("d", "b", "a", "c")}
    index = an_index(tmp_path, images)
    assert [c.image_id for c in search(index)] == ["a", "b", "c", "d"]
    assert [c.image_id for c in search(index, n_images=2)] == ["a", "b"]


def test_only_the_m_best_regions_are_kept_and_ties_go_to_the_first(tmp_path):
    index = an_index(tmp_path, {"a": ([0.5, 0.25, 0.75, 0.5, 0.5], 0.0)})
    assert search(index, m_regions=3)[0].region_ids == (2, 0, 3)
    assert search(index, m_regions=1)[0].region_ids == (2,)


@pytest.mark.parametrize("options", [{"dehub_beta": 20.0}, {"refine_weight": 0.5}])
def test_what_options_add_has_to_be_given_and_nothing_else(tmp_path, options):
    index = an_index(tmp_path, {"a": ([0.5], 0.5)})
    with pytest.raises(
        ConfigError, match=r"let Engine\.search or Engine\.scan bring both together"
    ):
        search(index, **options)
    config = RetrieveConfig(**options)
    hubs = Hubs(unit(0.5)[None], 20.0)
    extra = ExtraDimensions(ExtraColumns(index), config, [hubs])
    for other in (RetrieveConfig(), replace(config, region_weight=0.5)):
        with pytest.raises(ConfigError, match="extra is not made for it"):
            scan("x", index, TwoWords(), config=other, extra=extra)


def test_a_scan_and_a_search_describe_an_image_alike(tmp_path):
    images = {"a": ([0.25, 0.5, 0.75], 0.25), "b": ([], 0.5), "c": ([0.5, 0.5], 0.0)}
    index = an_index(tmp_path, images)
    hubs = Hubs(np.array([unit(0.5), unit(0.9)]), 20.0)
    for config, given in ((RetrieveConfig(), []), (RetrieveConfig(dehub_beta=20.0), [hubs])):
        extra = ExtraDimensions(ExtraColumns(index), config, given) if given else None
        asked = {"config": config, "extra": extra}
        found = retrieve("x", index, TwoWords(), n_images=3, **asked).candidates
        scanned = scan("x", index, TwoWords(), **asked)
        for place, row in enumerate(scanned.order(3).tolist()):
            mine, its = asdict(scanned.candidate(row, place + 1)), asdict(found[place])
            assert mine.pop("region_scores").tolist() == its.pop("region_scores").tolist()
            assert mine == its
            seen = scanned.image(found[place].image_id)
            assert seen.stage1_score == found[place].stage1_score


def test_a_region_that_other_texts_are_near_wins_no_longer(tmp_path):
    """0.75 - (0.8 * 0.75 - 0.6 * 0.66) = 0.55, and 0.5 - (0.8 * 0.5 - 0.6 * 0.87) = 0.62."""
    index = an_index(tmp_path, {"a": ([0.75, 0.5], 0.0)})
    config = RetrieveConfig(dehub_beta=20.0, image_weight=0.0, region_weight=1.0)
    hubs = Hubs(np.array([[0.8, -0.6]], np.float32), 20.0)
    extra = ExtraDimensions(ExtraColumns(index), config, [hubs])
    (found,) = retrieve("x", index, TwoWords(), n_images=1, config=config, extra=extra).candidates
    assert (found.region_ids, found.best_region_score) == ((1, 0), 0.5)
    assert found.region_scores.tolist() == [0.5, 0.75]
    assert found.stage1_score == pytest.approx(0.62, abs=1e-3)
    assert found.hub_score == pytest.approx(-0.12, abs=1e-3)
    assert found.reference_score is None


def test_nothing_is_found_in_an_empty_index(tmp_path):
    assert search(an_index(tmp_path, {})) == ()
