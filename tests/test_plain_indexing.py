"""The loop that indexing is measured against gives the masks and vectors of the library."""

import numpy as np
import pytest
import torch
from fakes import scene_gallery
from transformers import CLIPModel, Sam2Model

from benchmarks.plain_indexing import PlainLoop, inclusive_box, plain_runs
from matir_nb.config import EncodeConfig, MaskConfig
from matir_nb.geometry.masks import encode, from_runs
from matir_nb.images import load_image
from matir_nb.models.alpha_clip import AlphaClipEncoder
from matir_nb.models.registry import WEIGHTS
from matir_nb.models.sam2 import Sam2MaskSource

RULES = MaskConfig(
    points_per_side=12,
    pred_iou_thresh=0.05,
    stability_score_thresh=0.3,
    max_area_fraction=1.0,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    scenes = scene_gallery(folder, 2)
    return [folder / f"{scene.scene_id}.png" for scene in scenes]


@pytest.fixture(scope="module")
def rows(files):
    loop = PlainLoop(
        Sam2Model.from_pretrained(WEIGHTS / "sam2").float().eval(),
        CLIPModel.from_pretrained(WEIGHTS / "alpha-clip", dtype=torch.float32).eval(),
        RULES,
    )
    found = loop.index(files)
    stages = {"decode", "encode", "decoder", "filter", "run lengths", "embed"}
    assert loop.seconds.keys() == stages
    return found


def test_runs_go_down_the_columns_and_begin_with_background():
    masks = torch.tensor([[[1, 0, 0], [0, 1, 1]], [[0, 0, 0], [0, 0, 0]]], dtype=torch.bool)
    assert plain_runs(masks) == [[0, 1, 2, 1, 1, 1], [6]]
    assert from_runs(plain_runs(masks)[0], 2, 3) == encode(masks[0].numpy())
    assert inclusive_box(masks[0]) == [0, 0, 2, 1]


def test_masks_are_the_same(files, rows):
    images = [load_image(file) for file in files]
    ours = Sam2MaskSource.from_pretrained(WEIGHTS / "sam2", RULES).generate(images)
    assert min(len(row.masks) for row in rows) >= 3
    assert [regions.masks for regions in ours] == [row.masks for row in rows]


def test_vectors_are_the_same(files, rows):
    images = [load_image(file) for file in files]
    encoder = AlphaClipEncoder.from_pretrained(
        WEIGHTS / "alpha-clip", encoding=EncodeConfig("crop"), options={"n_turns": 1}
    )
    ours = encoder.embed_regions(images, [row.masks for row in rows])
    for row, vectors in zip(rows, ours, strict=True):
        np.testing.assert_allclose(row.vectors, vectors, atol=1e-5)
    wholes = encoder.embed_images(images)
    np.testing.assert_allclose(np.stack([row.whole for row in rows]), wholes, atol=1e-5)
