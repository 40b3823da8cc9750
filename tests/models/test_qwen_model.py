"""Qwen-VL models: loading, glue, log-odds, what decides them and what does not."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_qwen import (
    KINDS,
    PATCH,
    ScriptedModel,
    picture,
    save_tiny,
    tiny_model,
    tiny_processor,
    tiny_tokenizer,
)
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from matir_nb.errors import ModelUnavailableError
from matir_nb.models.prompts import IMAGE, chat
from matir_nb.models.qwen_inputs import Prompt, glue, single_tokens, tame
from matir_nb.models.qwen_model import QwenModel
from matir_nb.models.runtime import Runtime

BF16 = Runtime(dtype=torch.bfloat16)
SIZES = [(40, 16), (16, 40), (24, 24), (90, 9)]


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp(request.param), request.param)


def asked(*sizes, question="A cup?"):
    return [
        Prompt(chat(f"{IMAGE}{question}"), (picture(*size, seed=i),))
        for i, size in enumerate(sizes)
    ]


def loaded(folder, runtime=None):
    model = QwenModel.load(folder, runtime)
    model.limit_pixels(16 * 16, 24 * 40)
    return model


def test_batched_equals_one_by_one(folder):
    model = loaded(folder)
    prompts = [*asked(*SIZES[:2]), *asked(*SIZES[2:], question="Is a much longer thing there?")]
    together = model.answer(prompts, max_new_tokens=4, is_brief=False)
    alone = [model.answer([p], max_new_tokens=4, is_brief=False)[0] for p in prompts]
    assert [r.logit for r in together] == pytest.approx([r.logit for r in alone], abs=1e-4)
    assert [r.words for r in together] == [r.words for r in alone]
    scores = model.log_odds(prompts, "yes", "no")
    assert scores == pytest.approx([model.log_odds([p], "yes", "no")[0] for p in prompts], abs=1e-4)
    assert np.ptp([r.logit for r in together]) > 0.01


def test_log_odds_are_of_all_single_token_variants(folder):
    model, (prompt,) = loaded(folder), asked((32, 16))
    tokenizer = tiny_tokenizer()
    batch = glue(tokenizer, model._image_processor, [prompt.text], prompt.images)
    with torch.inference_mode():
        logits = model._model(**batch).logits[0, -1]
    sums = []
    for words in (("yes", "Yes", "YES"), ("no", "No", "NO")):
        variants = [text for word in words for text in (word, f" {word}")]
        ids = [tokenizer(v, add_special_tokens=False)["input_ids"] for v in variants]
        one = sorted({i[0] for i in ids if len(i) == 1})
        assert len(one) >= 4
        sums.append(torch.log(torch.exp(logits[one]).sum()))
    reply = model.answer([prompt], max_new_tokens=1)[0]
    assert reply.logit == pytest.approx(float(sums[0] - sums[1]), abs=1e-4)
    plain = {w: logits[tokenizer.convert_tokens_to_ids(w)] for w in ("yes", "no")}
    difference = float(plain["yes"] - plain["no"])
    assert model.log_odds([prompt], "yes", "no")[0] == pytest.approx(difference, abs=1e-4)


def test_the_size_that_the_model_sees_is_that_of_its_patches(folder):
    model = loaded(folder)
    for width, height in [(640, 200), (200, 640), (33, 31), (1, 700), (2000, 3), (9, 9)]:
        image = tame(picture(width, height))
        grid = model._image_processor(images=[image], return_tensors="pt")["image_grid_thw"][0]
        seen = (int(grid[2]) * PATCH, int(grid[1]) * PATCH)
        assert model.seen_size(width, height) == seen
        assert seen[0] * seen[1] <= 24 * 40 or min(seen) == 2 * PATCH


def test_slivers_can_be_judged(folder):
    replies = loaded(folder).answer(asked((1, 700), (900, 2), (1, 1)), max_new_tokens=2)
    assert len(replies) == 3


def test_what_a_checkpoint_says_about_sampling_changes_nothing(folder, tmp_path):
    model = tiny_model(json.loads((folder / "config.json").read_text())["model_type"])
    model.generation_config.do_sample = True
    model.generation_config.repetition_penalty = 5.0
    model.generation_config.temperature = 0.1
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    replies = [
        loaded(place).answer(asked(*SIZES), max_new_tokens=5, is_brief=False)
        for place in (folder, tmp_path)
    ]
    assert replies[0] == replies[1]


def test_a_lower_precision_keeps_the_rotary_frequencies(folder):
    model = loaded(folder, BF16)
    buffers = {n: b.dtype for n, b in model._model.named_buffers() if "inv_freq" in n}
    assert buffers
    assert set(buffers.values()) == {torch.float32}
    assert {p.dtype for p in model._model.parameters()} == {torch.bfloat16}
    low, high = (
        [r.logit for r in m.answer(asked(*SIZES), max_new_tokens=1)]
        for m in (model, loaded(folder))
    )
    assert low == pytest.approx(high, abs=0.2)


def test_preprocessing_files_as_the_hub_has_them(folder, tmp_path):
    """Older files give min_pixels and max_pixels, and name a class that needs torchvision."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    file = tmp_path / "preprocessor_config.json"
    values = json.loads(file.read_text())
    del values["size"]
    values |= {"min_pixels": 3136, "max_pixels": 12845056, "processor_class": "Qwen2_5_VLProcessor"}
    file.write_text(json.dumps({**values, "image_processor_type": "Qwen2VLImageProcessorFast"}))
    prompts = asked(*SIZES)
    ours, theirs = (loaded(f).answer(prompts, max_new_tokens=2) for f in (folder, tmp_path))
    assert ours == theirs
    assert QwenModel.load(tmp_path).seen_size(4000, 4000) == (3584, 3584)


def scripted(words, log_odds):
    model = ScriptedModel("qwen3_vl", words, log_odds)
    return QwenModel(model, tiny_tokenizer(), tiny_processor("qwen3_vl"))


def test_words_are_kept_and_a_brief_no_ends_at_once():
    words = ["yes [1, 2, 3, 4]", "no, there is [1, 2, 3, 4]"]
    brief = scripted(words, [2.0, -1.0]).answer(asked(*SIZES[:2]), max_new_tokens=40)
    assert [r.words for r in brief] == ["yes [1, 2, 3, 4]", "no"]
    full = scripted(words, [2.0, -1.0]).answer(asked(*SIZES[:2]), max_new_tokens=40, is_brief=False)
    assert [r.words for r in full] == words
    assert brief[1].logit == full[1].logit < 0


def test_long_answers_are_cut_off():
    (reply,) = scripted(["yes " + "1" * 90], [1.0]).answer(asked((16, 16)), max_new_tokens=5)
    assert reply.words == "yes 111"


def test_log_odds_that_are_no_numbers_name_the_remedy():
    with pytest.raises(ModelUnavailableError, match="precision='bf16' or 'fp32'"):
        scripted(["yes"], [float("nan")]).answer(asked((16, 16)), max_new_tokens=2)


def test_each_image_gets_as_many_tokens_as_it_has():
    images = [picture(16, 16), picture(24, 16), picture(16, 40)]
    texts = [f"A{IMAGE} B{IMAGE}", IMAGE]
    processor = tiny_processor("qwen3_vl")
    processor.size = {"shortest_edge": 256, "longest_edge": 4096}
    batch = glue(tiny_tokenizer(), processor, texts, images)
    assert batch["mm_token_type_ids"].sum(1).tolist() == [4 + 6, 10]
    assert batch["attention_mask"][1].tolist()[:2] == [0, 0]


def test_words_that_are_no_single_token():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({"y": 0}, [])))
    with pytest.raises(ModelUnavailableError, match="no single token for 'yes'"):
        single_tokens(tokenizer, ("yes", "Yes"))


def test_missing_files_and_other_models(folder, tmp_path):
    with pytest.raises(ModelUnavailableError, match=r"expected model\.safetensors"):
        QwenModel.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        QwenModel.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(ModelUnavailableError, match=r"'llava'.*qwen3_vl, qwen2_5_vl"):
        QwenModel.load(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        QwenModel.load(tmp_path)


def published(folder, to, *, change=lambda _tensors, _config: None):
    """Copy a folder's files, with other tensors and another config.json."""
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    change(tensors, config)
    save_file(tensors, to / "model.safetensors", {"format": "pt"})
    (to / "config.json").write_text(json.dumps(config))
    return to


def test_a_tensor_that_is_missing_is_not_drawn_at_random(folder, tmp_path):
    def lose(tensors, _config):
        del tensors[next(name for name in tensors if "mlp.up_proj" in name)]

    with pytest.raises(ModelUnavailableError, match=r"lacks weights \(.*up_proj.*fetch it again"):
        QwenModel.load(published(folder, tmp_path, change=lose))


def test_damaged_weights_are_told_from_others(folder, tmp_path):
    published(folder, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        QwenModel.load(tmp_path)


def test_a_head_that_is_the_embeddings_may_be_said_of_the_language_model_alone(folder, tmp_path):
    def tie(tensors, config):
        tensors.pop("lm_head.weight", None)
        config.pop("tie_word_embeddings", None)
        config["text_config"]["tie_word_embeddings"] = True

    model = QwenModel.load(published(folder, tmp_path, change=tie))._model
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_published_qwen25_files_have_other_names(tmp_path):
    """Their config.json is flat, and the parts have no common prefix."""
    before = save_tiny(tmp_path / "now", "qwen2_5_vl")

    def flatten(tensors, config):
        for name in list(tensors):
            own = name.replace("model.visual.", "visual.").replace("model.language_model", "model")
            tensors[own] = tensors.pop(name)
        text = config.pop("text_config")
        rope = text.pop("rope_parameters")
        config |= {name: value for name, value in text.items() if name != "model_type"}
        config["rope_theta"] = rope["rope_theta"]
        config["rope_scaling"] = {"type": "mrope", "mrope_section": rope["mrope_section"]}
        config["vision_config"].pop("model_type")

    after = tmp_path / "published"
    after.mkdir()
    model = loaded(published(before, after, change=flatten))
    prompts = asked(*SIZES[:2])
    scores = model.log_odds(prompts, "yes", "no")
    assert scores == pytest.approx(loaded(before).log_odds(prompts, "yes", "no"), abs=1e-6)
