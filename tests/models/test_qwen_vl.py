"""The Qwen-VL judge: prompt, glue and answers, with random weights of the shipped architecture."""

from pathlib import Path

import numpy as np
import pytest
import torch

from matir_nb.errors import ModelUnavailableError
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.models.base import JudgeInput
from matir_nb.models.qwen_vl import (
    ListedRegions,
    QwenVLJudge,
    box_words,
    glue,
    prompt_content,
    region_cutouts,
)
from matir_nb.models.views import View
from matir_nb.scenes.draw import Scene, draw_gallery
from matir_nb.types import Candidate
from training.judge_model import LISTED, SIDE, make_image_processor, make_model, make_tokenizer


def judge_input(scene: Scene) -> JudgeInput:
    masks = [encode(scene.visible_mask(i)) for i in range(len(scene.objects))]
    height, width = scene.labels.shape
    return JudgeInput(
        candidate=Candidate(scene.scene_id, 1, 0.5, 0.5, 0.5, (0,), np.array([0.5], np.float32)),
        width=width,
        height=height,
        regions=regions_from_masks(masks),
        region_vectors=np.zeros((len(masks), 4), np.float32),
        load_image=lambda: scene.image,
    )


@pytest.fixture(scope="module")
def judge() -> QwenVLJudge:
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    return QwenVLJudge(
        make_model(tokenizer),
        tokenizer,
        make_image_processor(),
        listed=LISTED,
        model_id="random",
    )


def test_boxes_are_written_on_the_grid_of_a_non_square_picture() -> None:
    assert box_words((0, 0, 320, 90), width=640, height=180, step=1) == "0 0 500 500"
    assert box_words((13, 13, 613, 173), width=640, height=180, step=25) == "25 75 950 950"


def test_the_prompt_lists_letters_images_and_boxes() -> None:
    boxes = np.array([[0, 0, 50, 50], [50, 0, 100, 50]], np.float32)
    content = prompt_content(boxes, 100, 100, ListedRegions(instruction="Look."))
    assert [part.get("text", "*") for part in content] == [
        "Look.",
        " A",
        "*",
        " 0 0 500 500",
        " B",
        "*",
        " 500 0 1000 500",
    ]


def test_cutouts_show_the_region_on_plain_grey() -> None:
    image = np.zeros((60, 120, 3), np.uint8)
    image[:, :, 0] = 200
    mask = np.zeros((60, 120), bool)
    mask[10:50, 20:60] = True
    listed = ListedRegions(view=View(scale=1.5, power=0.0), side=60, fill=77)
    (cutout,) = region_cutouts(image, [mask], np.array([[20, 10, 60, 50]], np.float32), listed)
    assert cutout.shape == (60, 60, 3)
    assert cutout[30, 30].tolist() == [200, 0, 0]
    assert cutout[3, 3].tolist() == [77, 77, 77]
    assert ((cutout[..., 0] > 140).sum() / 3600) == pytest.approx(1 / 1.5**2, rel=0.05)


def test_each_image_gets_as_many_tokens_as_it_has() -> None:
    tokenizer, processor = make_tokenizer(), make_image_processor()
    images = [np.zeros((SIDE, SIDE, 3), np.uint8)] * 3
    batch = glue(tokenizer, processor, [" A<|image_pad|> B<|image_pad|>", "<|image_pad|>"], images)
    assert batch["mm_token_type_ids"].sum(1).tolist() == [8, 4]
    assert batch["attention_mask"][1].tolist()[:2] == [0, 0]


def test_batched_equals_one_by_one(judge: QwenVLJudge) -> None:
    inputs = [judge_input(scene) for scene in draw_gallery("test", 5)]
    together = judge.judge("the red circle left of a star", inputs)
    for item, judgement in zip(inputs, together, strict=True):
        alone = judge.judge("the red circle left of a star", [item])[0]
        assert alone.logit == pytest.approx(judgement.logit, abs=1e-4)
        assert (alone.answer, alone.region_id) == (judgement.answer, judgement.region_id)
        assert judgement.image_id == item.candidate.image_id


def test_an_image_without_regions_is_answered_no(judge: QwenVLJudge) -> None:
    scene = next(iter(draw_gallery("test", 1)))
    full = judge_input(scene)
    empty = JudgeInput(
        full.candidate, 10, 10, regions_from_masks([]), np.zeros((0, 4)), full.load_image
    )
    judgements = judge.judge("a star", [empty, full])
    assert judgements[0].p_relevant < 1e-5
    assert judgements[0].is_abstention
    assert judgements[1].image_id == scene.scene_id


def test_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"expected model\.safetensors"):
        QwenVLJudge.from_pretrained(tmp_path)
