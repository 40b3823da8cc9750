"""The reranker: its layout, its score, and that it names no place."""

import json
import shutil

import numpy as np
import pytest
import torch
from fakes import OracleEncoder, oracle_index
from tiny_qwen import judge_item, save_tiny, tiny_tokenizer

from matir_nb.config import Preset
from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.index.store import Index
from matir_nb.models.answers import sigmoid
from matir_nb.models.qwen_reranker import QwenReranker, layout
from matir_nb.models.runtime import Runtime

OPTIONS = {"min_pixels": 256, "max_pixels": 960}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("reranker"), "qwen3_vl")


@pytest.fixture(scope="module")
def reranker(folder):
    return QwenReranker.from_pretrained(folder, name="r", options=OPTIONS)


def test_the_layout_is_the_one_it_was_trained_with():
    assert layout("Find it.", "a cup\n") == (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
        'and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
        "<|im_start|>user\n<Instruct>: Find it.<Query>:a cup\n"
        "<Document>:<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_batched_equals_one_by_one(reranker):
    items = [judge_item(60, 20, seed=1), judge_item(18, 80, seed=2), judge_item(9, 9, seed=3)]
    together = reranker.judge("a cup", items)
    alone = [reranker.judge("a cup", [item])[0] for item in items]
    assert [j.logit for j in together] == pytest.approx([j.logit for j in alone], abs=1e-4)
    assert [j.image_id for j in together] == ["1.png", "2.png", "3.png"]
    assert np.ptp([j.logit for j in together]) > 1e-3
    assert reranker.judge("a dog", items)[0].logit != together[0].logit


def test_the_score_is_the_difference_of_two_tokens(reranker):
    (judgement,) = reranker.judge("a cup", [judge_item(40, 24)])
    model, hidden = reranker._model._model, []
    handle = model.lm_head.register_forward_hook(
        lambda _m, args, _o: hidden.append(args[0].clone())
    )
    reranker.judge("a cup", [judge_item(40, 24)])
    handle.remove()
    assert hidden[0].shape[1] == 1
    rows = [tiny_tokenizer().convert_tokens_to_ids(word) for word in ("yes", "no")]
    weight = model.lm_head.weight.detach()
    expected = float(hidden[0][0, -1] @ (weight[rows[0]] - weight[rows[1]]))
    assert judgement.logit == pytest.approx(expected, abs=1e-4)
    assert judgement.p_relevant == sigmoid(judgement.logit)


def test_it_names_no_place(reranker):
    assert not reranker.grounds
    (judgement,) = reranker.judge("a cup", [judge_item(40, 24)])
    assert judgement.is_abstention
    assert judgement.answer == ""


def test_the_id_tells_instruction_and_layout(folder, reranker):
    other = QwenReranker.from_pretrained(folder, name="r", options={"instruction": "Find dogs."})
    assert reranker.model_id.startswith("r@")
    assert '"layout": 1' in reranker.model_id
    assert other.model_id != reranker.model_id
    items = [judge_item(40, 24)]
    assert other.judge("a cup", items)[0].logit != reranker.judge("a cup", items)[0].logit


def test_its_folder_may_say_how_it_is_asked(folder, reranker, tmp_path):
    own = shutil.copytree(folder, tmp_path / "own")
    stored = {"adapter": "qwen_reranker", "instruction": "Find dogs.", **OPTIONS}
    (own / "matir.json").write_text(json.dumps(stored))
    read = QwenReranker.from_pretrained(own, name="r")
    given = {"instruction": "Find dogs.", **OPTIONS}
    assert read.model_id == QwenReranker.from_pretrained(folder, name="r", options=given).model_id
    options = {"instruction": "Find cats."}
    assert "Find cats." in QwenReranker.from_pretrained(own, options=options).model_id
    items = [judge_item(40, 24)]
    assert read.judge("a cup", items)[0].logit != reranker.judge("a cup", items)[0].logit


@pytest.mark.parametrize(
    ("stored", "error", "message"),
    [
        ('{"instrction": "x"}', ConfigError, "did you mean 'instruction'"),
        ('{"instruction": 3}', ConfigError, "instruction = 3 is not allowed"),
        ('{"min_pixels": 9, "max_pixels": 8}', ConfigError, r"\(9, 8\) are not allowed"),
        ('{"max_pixels": "8"}', ConfigError, "min_pixels, max_pixels = .* are not allowed"),
        ("{", ModelUnavailableError, r"options in .*matir\.json cannot be read"),
    ],
)
def test_options_that_cannot_be_used_are_said(tmp_path, stored, error, message):
    (tmp_path / "matir.json").write_text(stored)
    with pytest.raises(error, match=message):
        QwenReranker.from_pretrained(tmp_path)


@pytest.mark.parametrize("asked", [torch.float16, torch.bfloat16])
def test_half_precision_is_bf16(folder, reranker, asked):
    half = QwenReranker.from_pretrained(folder, options=OPTIONS, runtime=Runtime(dtype=asked))
    model = half._model
    assert model.runtime == Runtime(dtype=torch.bfloat16)
    assert {p.dtype for p in model._model.parameters()} == {torch.bfloat16}
    items = [judge_item(40, 24)]
    expected = reranker.judge("a cup", items)[0].logit
    assert half.judge("a cup", items)[0].logit == pytest.approx(expected, abs=0.5)


def test_a_search_runs_through_every_stage(reranker, tmp_path):
    scenes, index = oracle_index(tmp_path, 4)
    preset = Preset("tiny", "none", "none", "none")
    engine = Engine(Index.open(index), OracleEncoder(scenes), preset=preset, judge=reranker)
    hits = engine.search("red circle", k=4).hits
    assert len(hits) == 4
    for hit in hits:
        likely = hit.p_relevant >= 0.5
        assert hit.region_id == (hit.best_region_id if likely else None)


def test_prompt_modes_and_missing_weights(folder, tmp_path):
    with pytest.raises(ConfigError, match="judge that scores only 'prompt'"):
        QwenReranker.from_pretrained(folder, options={"prompt": "marks"})
    with pytest.raises(ModelUnavailableError, match=r"expected model\.safetensors"):
        QwenReranker.from_pretrained(tmp_path)
