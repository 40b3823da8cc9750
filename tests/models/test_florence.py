"""The Florence-2 judge: a tiny model of the architecture, random weights, through its own files."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import OracleEncoder, oracle_index
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from matir_nb.errors import ConfigError, ModelUnavailableError, QueryError
from matir_nb.geometry.masks import regions_from_masks
from matir_nb.models.base import JudgeInput, grounds_of
from matir_nb.models.florence import MAX_TOKENS, FlorenceJudge, FlorenceOptions, first_box
from matir_nb.models.registry import load_judge
from matir_nb.models.runtime import Runtime
from matir_nb.opening import open_engine
from matir_nb.types import Candidate

SIDE = 64
QUERY = "a red circle left of a star"
FRAME = ["<s>", "<pad>", "</s>", "<unk>", "<image>"]
SPECIAL = [*FRAME, *(f"<loc_{i}>" for i in range(1000))]
MEAN = np.round(255 * np.array(CLIPImageProcessorPil.image_mean)).astype(np.uint8)
CORPUS = [QUERY, "What does the image describe? Locate the phrases in the caption: A Red Circle"]


def tiny_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 20, trainer)
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def tiny_model(tokenizer):
    heads = {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    layers = {f"{part}_layers": 1 for part in ("encoder", "decoder")}
    text = {
        "model_type": "bart",
        "vocab_size": len(tokenizer),
        "d_model": 32,
        "max_position_embeddings": 512,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "init_std": 0.5,
    }
    vision = {
        "embed_dim": [8, 16, 32, 64],
        "num_heads": [1, 2, 4, 8],
        "num_groups": [1, 2, 4, 8],
        "depths": [1, 1, 1, 1],
        "window_size": 2,
        "projection_dim": 32,
    }
    config = Florence2Config(
        text_config=text | heads | layers,
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(0)
    model = Florence2ForConditionalGeneration(config).eval()
    with torch.no_grad():
        # at its usual start the projection says almost nothing of the picture
        model.model.multi_modal_projector.image_projection.weight.normal_(0, 1)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("florence") / "Florence-2-tiny"
    tokenizer = tiny_tokenizer()
    tiny_model(tokenizer).save_pretrained(path)
    tokenizer.save_pretrained(path)
    CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, do_center_crop=False, resample=3
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def judge(folder):
    """Words without a picture are worth very little to it, so that each picture is grounded."""
    return eager(FlorenceJudge.from_pretrained(folder, options={"max_new_tokens": 8}))


def eager(judge):
    inner = judge._read
    judge._read = lambda query: replace(inner(query), prior=-99.0)
    return judge


def picture(seed, width, height):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST))


def judge_input(seed, width=60, height=40):
    return JudgeInput(
        candidate=Candidate(f"{seed}.png", 1, 0.5, None, 0.5, (), np.zeros(0, np.float32)),
        width=width,
        height=height,
        regions=regions_from_masks([]),
        region_vectors=np.zeros((0, 4), np.float32),
        load_image=lambda: picture(seed, width, height),
    )


INPUTS = [judge_input(i, *size) for i, size in enumerate([(60, 40), (40, 90), (64, 64), (99, 9)])]


def mean_log_p(folder, pixels, words):
    """Return the mean log p of the words' tokens by transformers' own forward pass, from files."""
    model = Florence2ForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = tiny_tokenizer()
    n = model.get_image_features(pixels).pooler_output.shape[1]
    text = f"{'<image>' * n}<s>What does the image describe?</s>"
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    caption = tokenizer(words, add_special_tokens=False)["input_ids"]
    labels = torch.tensor([[0, *caption, 2]])
    with torch.inference_mode():
        out = model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixels,
            labels=labels,
        )
    log_p = out.logits.log_softmax(-1)[0, range(labels.shape[1]), labels[0]]
    return float(log_p[1:-1].mean())


def test_the_score_is_what_the_picture_adds_to_each_token(folder):
    """Against transformers' own forward pass with labels, image tokens and pixels."""
    options = {"scale": 3.0, "bias": -0.5}
    (found,) = FlorenceJudge.from_pretrained(folder, options=options).judge(QUERY, INPUTS[1:2])
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    grey = np.broadcast_to(MEAN, (SIDE, SIDE, 3))
    seen, blank = (
        processor(images=[image], return_tensors="pt")["pixel_values"]
        for image in (INPUTS[1].load_image(), grey)
    )
    words = "A red circle left of a star"
    gain = mean_log_p(folder, seen, words) - mean_log_p(folder, blank, words)
    assert abs(gain) > 0.01
    assert found.logit == pytest.approx(3 * gain - 0.5, abs=1e-4)
    assert found.p_relevant == pytest.approx(1 / (1 + math.exp(-found.logit)))
    assert found.answer.startswith(f"{gain:+.3f} nats per token")


def test_a_picture_of_the_mean_colour_says_nothing(folder):
    judge = FlorenceJudge.from_pretrained(folder)
    grey = replace(INPUTS[0], load_image=lambda: np.broadcast_to(MEAN, (40, 60, 3)).copy())
    seen, other = judge.judge(QUERY, [grey, INPUTS[0]])
    assert seen.logit == pytest.approx(FlorenceOptions().bias, abs=1e-4)
    assert abs(other.logit - seen.logit) > 0.05


def test_batched_equals_one_by_one(judge):
    together = judge.judge(QUERY, INPUTS)
    assert len({round(one.logit, 3) for one in together}) == len(INPUTS)
    for item, judgement in zip(INPUTS, together, strict=True):
        (alone,) = judge.judge(QUERY, [item])
        assert alone.logit == pytest.approx(judgement.logit, abs=1e-4)
        assert (alone.answer, alone.box_xyxy) == (judgement.answer, judgement.box_xyxy)
        assert judgement.image_id == item.candidate.image_id


def test_one_batch_equals_several(folder):
    judge = FlorenceJudge.from_pretrained(folder)
    few = judge.judge(QUERY, INPUTS)
    judge._batches.size = 4
    for one, other in zip(few, judge.judge(QUERY, INPUTS), strict=True):
        assert one.logit == pytest.approx(other.logit, abs=1e-4)


def test_boxes_land_in_pixels_of_pictures_that_are_not_square(judge, monkeypatch):
    words = "red circle<loc_0><loc_250><loc_499><loc_999> star<loc_1><loc_1><loc_2><loc_2>"
    ids = judge._tokenizer(f"</s><s>{words}</s>", add_special_tokens=False)["input_ids"]

    def generate(*, encoder_outputs, **_):
        return torch.tensor([ids] * len(encoder_outputs.last_hidden_state))

    monkeypatch.setattr(judge._model, "generate", generate)
    for item, found in zip(INPUTS, judge.judge(QUERY, INPUTS), strict=True):
        w, h = item.width, item.height
        wanted = (0.0005 * w, 0.2505 * h, 0.4995 * w, 0.9995 * h)
        assert found.box_xyxy == pytest.approx(wanted)
        assert found.region_id is None
        assert found.answer.endswith(f"nats per token {words}")


@pytest.mark.parametrize(
    ("words", "box"),
    [
        ("circle<loc_500><loc_600><loc_100><loc_200>", (10.05, 20.05, 50.05, 60.05)),
        ("circle <loc_100> <loc_200> <loc_500> <loc_600>", (10.05, 20.05, 50.05, 60.05)),
        ("circle<loc_100><loc_200><loc_500>", None),
        ("circle<loc_100><loc_200><loc_100><loc_200>", None),
        ("a circle", None),
        ("", None),
    ],
)
def test_what_the_answer_names(words, box):
    found = first_box(words, 100, 100)
    assert found == (None if box is None else pytest.approx(box))


def test_only_what_says_more_than_a_blank_picture_is_grounded(folder, monkeypatch):
    judge = FlorenceJudge.from_pretrained(folder)
    options = judge._options
    gains = [(one.logit - options.bias) / options.scale for one in judge.judge(QUERY, INPUTS)]
    middle = sum(sorted(gains)[1:3]) / 2
    asked = judge._asked(QUERY)
    judge._last = (QUERY, replace(asked, prior=asked.prior + middle))
    seen = []
    monkeypatch.setattr(
        judge, "_located", lambda images, _: seen.append(len(images)) or ["x"] * len(images)
    )
    found = judge.judge(QUERY, INPUTS)
    assert sum(seen) == 2
    assert [one.answer.endswith("x") for one in found] == [gain > middle for gain in gains]


def test_the_words_without_a_picture_are_read_once_per_query(folder, monkeypatch):
    judge = FlorenceJudge.from_pretrained(folder)
    read = []
    inner = judge._read
    monkeypatch.setattr(judge, "_read", lambda query: read.append(query) or inner(query))
    for query in ("a star", "a star", "a ring"):
        judge.judge(query, INPUTS[:1])
    assert read == ["a star", "a ring"]


def test_the_id_holds_questions_and_worth_and_not_the_folder(folder):
    plain = FlorenceJudge.from_pretrained(folder, name="florence-2-base-ft").model_id
    assert plain.startswith("florence-2-base-ft@")
    other = FlorenceJudge.from_pretrained(folder, name="florence-2-base-ft", options={"scale": 5})
    assert other.model_id != plain
    assert FlorenceJudge.from_pretrained(folder).model_id.startswith("Florence-2-tiny@")


def test_what_cannot_be_used_says_why(folder, tmp_path, judge):
    with pytest.raises(ModelUnavailableError, match=r"expected model\.safetensors there"):
        FlorenceJudge.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="cannot be asked with 'marks': it reads one phrase"):
        FlorenceJudge.from_pretrained(folder, options={"prompt": "marks"})
    with pytest.raises(ConfigError, match="option 'scal'"):
        FlorenceJudge.from_pretrained(folder, options={"scal": 2})
    with pytest.raises(QueryError, match=rf"tokens for the judge: use 1 to {MAX_TOKENS}"):
        judge.judge("circle " * MAX_TOKENS * 4, INPUTS[:1])


def test_a_folder_that_lacks_something_is_refused(folder, tmp_path):
    """Left to itself, transformers would fill in random numbers."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    gone = next(name for name in weights if "image_projection" in name)
    save_file({name: t for name, t in weights.items() if name != gone}, copy / "model.safetensors")
    with pytest.raises(ModelUnavailableError, match=r"lacks weights .*image_projection"):
        FlorenceJudge.from_pretrained(copy)
    save_file({**weights, gone: weights[gone][:1].clone()}, copy / "model.safetensors")
    with pytest.raises(ModelUnavailableError, match=r"cannot be loaded .*: fetch it again"):
        FlorenceJudge.from_pretrained(copy)
    (copy / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelUnavailableError, match=r"cannot be loaded .*: fetch it again"):
        FlorenceJudge.from_pretrained(copy)
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ModelUnavailableError, match=r"expected model\.safetensors there"):
        FlorenceJudge.from_pretrained(copy)


def test_a_search_from_end_to_end(folder, tmp_path):
    scenes, path = oracle_index(tmp_path, 5)
    encoder = OracleEncoder(scenes)
    judge = load_judge(str(folder), encoder, "cpu")
    assert isinstance(judge, FlorenceJudge)
    assert grounds_of(judge)
    engine = open_engine(path, encoder=encoder, judge=judge)
    result = engine.search("a red circle", k=5, n_judged=3)
    judged = [hit for hit in result if hit.judge_rank is not None]
    assert len(judged) == 3
    assert all("nats per token" in hit.answer for hit in judged)
    for rank in range(1, 6):
        total = result.ledger(rank)["contribution"].sum()
        assert total == pytest.approx(result.hits[rank - 1].final_score, abs=1e-6)
    again = load_judge(f"{folder}:box", encoder, "cpu")
    assert again.model_id == judge.model_id


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_changes_digits_and_no_id(folder, judge, dtype):
    runtime = Runtime(dtype=dtype)
    options = {"max_new_tokens": 8}
    half = eager(FlorenceJudge.from_pretrained(folder, runtime=runtime, options=options))
    assert half.model_id == judge.model_id
    for one, other in zip(judge.judge(QUERY, INPUTS), half.judge(QUERY, INPUTS), strict=True):
        assert other.logit == pytest.approx(one.logit, abs=0.6)
        assert other.logit != one.logit
