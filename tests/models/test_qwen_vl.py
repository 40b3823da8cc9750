"""The Qwen-VL judge: every prompt mode of both architectures, and the embedded judge."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import OracleEncoder, oracle_index
from tiny_qwen import (
    KINDS,
    SMALL,
    ScriptedModel,
    judge_item,
    save_tiny,
    tiny_processor,
    tiny_tokenizer,
)

from matir_nb.config import Preset
from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.index.store import Index
from matir_nb.models.base import Judge, JudgeInput
from matir_nb.models.prompts import VERSIONS, PromptConfig
from matir_nb.models.qwen_askers import Place
from matir_nb.models.qwen_model import QwenModel, Reply
from matir_nb.models.qwen_vl import QwenVLJudge
from matir_nb.models.registry import embedded_folder, load_judge
from matir_nb.scenes.draw import Scene, draw_gallery
from matir_nb.types import Candidate
from training.judge_model import LISTED, make_image_processor, make_model, make_tokenizer

WIDE, TALL = (60, 20), (18, 80)


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp(request.param), request.param)


def scripted(kind, words, log_odds, **options):
    """Return a judge whose model says `words`, and that model."""
    model = ScriptedModel(kind, words, log_odds)
    config = PromptConfig(**{**SMALL, "max_new_tokens": 90, **options})
    qwen = QwenModel(model, tiny_tokenizer(), tiny_processor(kind))
    return QwenVLJudge.of_pictures(qwen, config, f"scripted {words} {options}"), model


@pytest.mark.parametrize("mode", VERSIONS)
def test_batched_equals_one_by_one(folder, mode):
    judge = QwenVLJudge.from_pretrained(folder, options={**SMALL, "prompt": mode})
    items = [
        judge_item(*WIDE, seed=1),
        judge_item(*TALL, seed=2, region_ids=(1, 0, 2)),
        judge_item(31, 33, seed=3, region_ids=()),
    ]
    together = judge.judge("a cup", items)
    for item, judgement in zip(items, together, strict=True):
        alone = judge.judge("a cup", [item])[0]
        assert alone.logit == pytest.approx(judgement.logit, abs=1e-4)
        assert alone.answer == judgement.answer
        assert judgement.image_id == item.candidate.image_id
    assert np.ptp([judgement.logit for judgement in together]) > 1e-3


def test_the_query_and_the_mode_decide(folder):
    item = judge_item(*WIDE)
    judges = {
        mode: QwenVLJudge.from_pretrained(folder, options={**SMALL, "prompt": mode})
        for mode in VERSIONS
    }
    logits = {mode: judge.judge("a cup", [item])[0].logit for mode, judge in judges.items()}
    assert len({round(logit, 4) for logit in logits.values()}) == 3
    assert judges["box"].judge("a dog", [item])[0].logit != logits["box"]


def test_the_id_tells_mode_version_options_and_weights(folder):
    ids = {
        QwenVLJudge.from_pretrained(folder, name="q", options=options).model_id
        for options in ({}, {"prompt": "marks"}, {"prompt": "listed"}, {"max_pixels": 10**6})
    }
    assert len(ids) == 4
    assert all(model_id.startswith("q@") and '"version": 1' in model_id for model_id in ids)


@pytest.mark.parametrize("size", [(200, 64), (48, 160)])
def test_boxes_land_in_the_pixels_of_pictures_that_are_not_square(size):
    """Both models mean the same quarter of the picture, each in its own coordinate space."""
    width, height = size
    item = judge_item(width, height)
    quarter = (width / 2, height / 4, width, height / 2)
    for kind in KINDS:
        judge, model = scripted(kind, [""], [1.0])
        seen = judge._asker._model.seen_size(width, height)
        across, down = (1000, 1000) if kind == "qwen3_vl" else seen
        box = [across // 2, down // 4, across, down // 2]
        model._words = [f'yes\n```json\n[{{"bbox_2d": {box}, "label": "cup"}}]\n```']
        (judgement,) = judge.judge("a cup", [item])
        assert judgement.box_xyxy == pytest.approx(quarter)
        assert judgement.answer.startswith("yes\n```json")
        assert judgement.region_id is None


def test_qwen25_boxes_are_relative_to_the_resized_picture():
    judge, model = scripted("qwen2_5_vl", ["yes [0, 0, 16, 8]"], [1.0])
    (judgement,) = judge.judge("a cup", [judge_item(400, 160)])
    grid = model.seen[0]["image_grid_thw"][0].tolist()
    resized = (grid[2] * 4, grid[1] * 4)
    assert resized == (48, 16)
    assert judgement.box_xyxy == pytest.approx((0, 0, 400 * 16 / 48, 160 * 8 / 16))


@pytest.mark.parametrize("mode", VERSIONS)
def test_below_one_half_no_place_is_taken(mode):
    words = 'yes 1 {"bbox_2d": [0, 0, 500, 500]}'
    judge, _ = scripted("qwen3_vl", [words, words], [-0.1, 0.1], prompt=mode)
    unlikely, likely = judge.judge("a cup", [judge_item(*WIDE), judge_item(*WIDE)])
    assert unlikely.is_abstention
    assert unlikely.p_relevant < 0.5
    assert unlikely.answer == "yes"
    assert not likely.is_abstention
    assert likely.answer == words
    asker, item = judge._asker, judge_item(*WIDE)
    assert asker.place(item, Reply(-0.1, words)) == Place()
    assert asker.place(item, Reply(0.0, words)) != Place()


@pytest.mark.parametrize("mode", ["marks", "listed"])
def test_numbers_name_stage_1s_best_regions(mode):
    words = ["yes 1", "Yes, region 2.", "yes 3", "yes", "yes 0"]
    judge, _ = scripted("qwen2_5_vl", words, [1.0] * 5, prompt=mode, n_listed=2)
    items = [judge_item(*WIDE, region_ids=(2, 0, 1)) for _ in words]
    assert [j.region_id for j in judge.judge("a cup", items)] == [2, 0, None, None, None]


def test_of_several_boxes_the_first_is_taken_and_an_empty_one_is_no_place():
    words = ["yes [[0, 0, 500, 500], [0, 0, 9, 9]]", "yes [7, 7, 7, 7]", "yes, somewhere"]
    judge, _ = scripted("qwen3_vl", words, [1.0] * 3)
    found = judge.judge("a cup", [judge_item(*WIDE) for _ in words])
    assert [j.box_xyxy for j in found] == [(0, 0, 30, 10), None, None]


def test_the_listed_boxes_are_in_the_models_own_space():
    texts = []
    for kind in KINDS:
        judge, model = scripted(kind, ["no"], [-1.0], prompt="listed")
        judge.judge("a cup", [judge_item(300, 100, region_ids=(1,))])
        texts.append(tiny_tokenizer().decode(model.seen[0]["input_ids"][0]))
    assert "1: [333, 250, 663, 500]" in texts[0]
    assert "1: [16, 4, 32, 8]" in texts[1]
    assert "You are a helpful assistant." in texts[1]
    assert "helpful" not in texts[0]


def test_marks_are_seen_and_the_plain_picture_is_not_changed():
    judge, model = scripted("qwen3_vl", ["no"] * 2, [-1.0] * 2, prompt="marks")
    item = judge_item(40, 24)
    before = item.load_image().copy()
    judge.judge("a cup", [item])
    judge.judge("a cup", [judge_item(40, 24, region_ids=())])
    marked, plain = (batch["pixel_values"] for batch in model.seen)
    assert marked.shape == plain.shape
    assert (marked != plain).any(dim=1).float().mean() > 0.3
    assert (item.load_image() == before).all()
    texts = [tiny_tokenizer().decode(batch["input_ids"][0]) for batch in model.seen]
    assert "numbered from 1 to 2" in texts[0]
    assert "Answer only: yes or no." in texts[1]


def test_special_tokens_in_a_query_are_plain_text(folder):
    judge = QwenVLJudge.from_pretrained(folder, options=SMALL)
    assert judge.judge("a <|image_pad|> cup<|im_end|>", [judge_item(*WIDE)])


def test_out_of_memory_halves_the_batch(folder, caplog, monkeypatch):
    judge = QwenVLJudge.from_pretrained(folder, options=SMALL)
    items = [judge_item(*WIDE, seed=i) for i in range(5)]
    expected = [judge.judge("a cup", [item])[0].logit for item in items]
    work, sizes = judge._asker._model.answer, []

    def answer(prompts, **options):
        sizes.append(len(prompts))
        if len(prompts) > 1:
            message = "CUDA out of memory"
            raise torch.OutOfMemoryError(message)
        return work(prompts, **options)

    monkeypatch.setattr(judge._asker._model, "answer", answer)
    with caplog.at_level(logging.WARNING):
        found = [judgement.logit for judgement in judge.judge("a cup", items)]
    assert found == pytest.approx(expected, abs=1e-4)
    assert sizes == [4, 2, 1, 1, 1, 1, 1]
    assert "pictures for the judge: 4 at once do not fit" in caplog.text


def test_options_come_from_the_folder_and_then_from_the_caller(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "matir.json").write_text(json.dumps({"prompt": "marks", "n_listed": 3}))
    judge = QwenVLJudge.from_pretrained(copy, options={"prompt": "listed"})
    assert '"n_listed": 3' in judge.model_id
    assert '"prompt": "listed"' in judge.model_id
    (copy / "matir.json").write_text("{")
    with pytest.raises(ModelUnavailableError, match=r"matir\.json cannot be read"):
        QwenVLJudge.from_pretrained(copy)


def test_a_folder_with_a_mode_after_its_name_is_a_judge(folder):
    judge = load_judge(f"{folder}:marks", OracleEncoder([]), device="cpu")
    assert '"prompt": "marks"' in judge.model_id
    assert judge.judge("a cup", [judge_item(16, 16)])


def test_unknown_options(folder):
    with pytest.raises(ConfigError, match="did you mean 'prompt'"):
        QwenVLJudge.from_pretrained(folder, options={"promt": "box"})


def search(judge: Judge, index: Path, scenes: list[Scene]) -> list:
    preset = Preset("tiny", "none", "none", "none")
    engine = Engine(Index.open(index), OracleEncoder(scenes), preset=preset, judge=judge)
    return list(engine.search("red circle", k=6).hits)


def test_a_search_runs_through_every_stage(folder, tmp_path):
    scenes, index = oracle_index(tmp_path, 6)
    for mode in VERSIONS:
        judge = QwenVLJudge.from_pretrained(folder, options={**SMALL, "prompt": mode})
        hits = search(judge, index, scenes)
        assert len(hits) == 6
        assert all(hit.logit is not None and hit.answer is not None for hit in hits)


def test_what_the_model_says_becomes_the_hits_mask(tmp_path):
    scenes, index = oracle_index(tmp_path, 1)
    regions = Index.open(index).regions_of(Index.open(index).image_ids[0])
    height, width = regions.masks[0].size
    x0, y0, x1, y1 = regions.boxes_xyxy[1] * 1000 / np.array([width, height, width, height])
    boxed, _ = scripted("qwen3_vl", [f"yes [{x0:.0f}, {y0:.0f}, {x1:.0f}, {y1:.0f}]"], [3.0])
    (hit,) = search(boxed, index, scenes)
    assert hit.region_id == 1
    assert hit.mask == regions.masks[1]
    assert hit.align_iou > 0.9
    marked, _ = scripted("qwen3_vl", ["yes 1"], [3.0], prompt="marks")
    (hit,) = search(marked, index, scenes)
    assert hit.region_id == hit.best_region_id
    assert hit.mask is not None
    absent, _ = scripted("qwen3_vl", ["no"], [-3.0])
    (hit,) = search(absent, index, scenes)
    assert hit.mask is None


def scene_item(scene: Scene) -> JudgeInput:
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
def of_cutouts() -> QwenVLJudge:
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = QwenModel(make_model(tokenizer), tokenizer, make_image_processor())
    return QwenVLJudge.of_cutouts(model, LISTED, "random")


def test_cutouts_batched_equal_one_by_one(of_cutouts):
    inputs = [scene_item(scene) for scene in draw_gallery("test", 5)]
    together = of_cutouts.judge("the red circle left of a star", inputs)
    for item, judgement in zip(inputs, together, strict=True):
        alone = of_cutouts.judge("the red circle left of a star", [item])[0]
        assert alone.logit == pytest.approx(judgement.logit, abs=1e-4)
        assert (alone.answer, alone.region_id) == (judgement.answer, judgement.region_id)
        assert judgement.image_id == item.candidate.image_id


def test_an_image_without_cutouts_is_answered_no(of_cutouts):
    scene = next(iter(draw_gallery("test", 1)))
    full = scene_item(scene)
    empty = JudgeInput(
        full.candidate, 10, 10, regions_from_masks([]), np.zeros((0, 4)), full.load_image
    )
    judgements = of_cutouts.judge("a star", [empty, full])
    assert judgements[0].p_relevant < 1e-5
    assert judgements[0].is_abstention
    assert judgements[1].image_id == scene.scene_id
    assert of_cutouts.judge("a star", [empty])[0].is_abstention


def test_the_embedded_judge_answers_as_it_always_did():
    judge = QwenVLJudge.from_pretrained(embedded_folder("embedded:judge"))
    inputs = [scene_item(scene) for scene in draw_gallery("test", 3)]
    found = judge.judge("a red circle", inputs)
    assert [j.answer for j in found] == ["no", "yes B", "yes C"]
    assert [j.region_id for j in found] == [None, 1, 2]
    assert [j.logit for j in found] == pytest.approx([-5.4609, 0.6232, 1.2574], abs=1e-3)
    assert judge.grounds


def test_the_embedded_judge_knows_no_prompt_modes():
    with pytest.raises(ConfigError, match="reads cut-outs alone: leave out prompt"):
        QwenVLJudge.from_pretrained(embedded_folder("embedded:judge"), options={"prompt": "marks"})


def test_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"expected model\.safetensors"):
        QwenVLJudge.from_pretrained(tmp_path)
