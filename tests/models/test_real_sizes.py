"""The catalogue's models at their real sizes, on the meta device: no memory, no weights."""

import re

import pytest
import torch
from transformers import AutoTokenizer, Sam2Model

from benchmarks.model_folder import models_built, write_folder
from benchmarks.model_sizes import BYTES, REAL_MODELS, RealModel, build, fill, n_parameters
from benchmarks.model_timing import Grid
from benchmarks.models import plan, report, siblings
from matir_nb.catalogue import CATALOGUE
from matir_nb.models.registry import MODEL_TYPES
from matir_nb.presets import PRESETS

TINY = RealModel(
    "tiny",
    "Qwen3VLForConditionalGeneration",
    lambda: shrunk(REAL_MODELS["qwen3-vl-2b"].config()),
    0,
)


def shrunk(config):
    config.text_config.update(
        {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 99}
    )
    config.vision_config.update(
        {"hidden_size": 64, "intermediate_size": 64, "depth": 1, "out_hidden_size": 64}
    )
    config.vision_config.deepstack_visual_indexes = [0]
    return config


def mb_on_disk(name: str) -> float:
    """Megabytes of a catalogue entry's weights, once they are here."""
    real = REAL_MODELS[name]
    mb = real.n_parameters * BYTES[real.dtype] / 1e6
    # The hub's CLIP stays beside what was made of it with the checkpoint.
    return mb * 2 if name.startswith("alpha-clip") else mb


def test_every_model_of_the_catalogue_has_its_real_size() -> None:
    assert set(REAL_MODELS) == set(CATALOGUE)


@pytest.mark.parametrize("name", REAL_MODELS)
def test_as_many_parameters_as_published(name) -> None:
    real = REAL_MODELS[name]
    found = n_parameters(real.on_meta())
    if real.is_exact:
        assert found == real.n_parameters
    else:
        assert found == pytest.approx(real.n_parameters, rel=0.002)


@pytest.mark.parametrize("name", REAL_MODELS)
def test_the_catalogue_says_what_is_on_the_disk(name) -> None:
    assert CATALOGUE[name].disk_mb == pytest.approx(mb_on_disk(name), rel=0.05)


@pytest.mark.parametrize("name", REAL_MODELS)
def test_the_model_type_is_one_that_the_registry_knows(name) -> None:
    entry, kind = CATALOGUE[name], REAL_MODELS[name].config().model_type
    expected = {"alpha_clip": "dense_pool", "qwen_reranker": "qwen_vl"}
    assert MODEL_TYPES[kind] == expected.get(entry.adapter, entry.adapter)


@pytest.mark.parametrize("name", [name for name in REAL_MODELS if name.startswith("sam2")])
def test_the_video_checkpoint_covers_the_image_model(name) -> None:
    real = REAL_MODELS[name]
    whole = {key: tensor.shape for key, tensor in real.on_meta().state_dict().items()}
    image = {key: tensor.shape for key, tensor in real.on_meta(whole=False).state_dict().items()}
    assert image.items() <= whole.items()
    ignored = Sam2Model._keys_to_ignore_on_load_unexpected
    assert [
        k for k in whole.keys() - image.keys() if not any(re.search(p, k) for p in ignored)
    ] == []


@pytest.mark.parametrize(
    ("name", "shape", "n_positions"),
    [
        ("clip-b16", (768, 3, 16, 16), 197),
        ("alpha-clip-b16", (768, 4, 16, 16), 197),
        ("alpha-clip-l14", (1024, 4, 14, 14), 257),
        ("alpha-clip-l14-336", (1024, 4, 14, 14), 577),
        ("clip-l14-336", (1024, 3, 14, 14), 577),
        ("siglip2-base-512", (768, 3, 16, 16), 1024),
        ("siglip2-so400m-512", (1152, 3, 16, 16), 1024),
    ],
)
def test_patches_and_positions(name, shape, n_positions) -> None:
    embeddings = REAL_MODELS[name].on_meta().vision_model.embeddings
    assert embeddings.patch_embedding.weight.shape == shape
    assert embeddings.position_embedding.weight.shape == (n_positions, shape[0])


@pytest.mark.parametrize("name", [n for n in REAL_MODELS if "qwen" in n])
def test_rotary_sections_fill_a_head(name) -> None:
    text = REAL_MODELS[name].config().text_config
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    assert sum(text.rope_parameters["mrope_section"]) == head // 2 == 64
    assert text.rope_parameters["rope_theta"] == (5e6 if "qwen3" in name else 1e6)


def test_words_are_tied_where_they_are_published_so() -> None:
    tied = {
        n for n, real in REAL_MODELS.items() if getattr(real.config(), "tie_word_embeddings", 0)
    }
    small = {"qwen3-vl-2b", "qwen3-vl-4b", "qwen3-vl-reranker-2b", "qwen2.5-vl-3b"}
    assert {n for n in tied if "qwen" in n} == small


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_random_weights_come_with_right_buffers(dtype) -> None:
    model = build(TINY, dtype)
    proper = TINY.loaded_class(TINY.config())
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    buffers = dict(model.named_buffers())
    assert buffers.keys() == dict(proper.named_buffers()).keys()
    for name, buffer in proper.named_buffers():
        torch.testing.assert_close(buffers[name], buffer, msg=name)


def test_weights_are_small_numbers_norms_ones_and_biases_zeros() -> None:
    model = build(TINY, torch.float32)
    block = model.model.visual.blocks[0]
    assert bool((block.norm1.weight == 1).all())
    assert bool((block.attn.qkv.bias == 0).all())
    assert float(block.attn.qkv.weight.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_a_weight_longer_than_the_block_is_filled_to_its_end() -> None:
    layer = torch.nn.Linear(7, 9)
    fill(layer, block=16)
    flat = layer.weight.detach().flatten()
    torch.testing.assert_close(flat[16:32], flat[:16])
    torch.testing.assert_close(flat[48:], flat[:15])


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("clip-b16", {"<|startoftext|>": 49406, "<|endoftext|>": 49407}),
        ("qwen2.5-vl-7b", {"<|im_end|>": 151645, "<|image_pad|>": 151655, "<|video_pad|>": 151656}),
        ("florence-2-base-ft", {"<s>": 0, "</s>": 2, "<loc_0>": 50269, "<image>": 51289}),
    ],
)
def test_stand_in_folders_have_the_published_special_tokens(name, ids, tmp_path) -> None:
    write_folder(REAL_MODELS[name], tmp_path / name, {"a": 1})
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / name)
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in ids} == ids
    assert max(tokenizer(" yes, a red ring")["input_ids"]) < len(tokenizer)
    assert (tmp_path / name / "preprocessor_config.json").is_file()
    assert (tmp_path / name / "matir.json").read_text() == '{"a": 1}'


def test_asked_for_a_folder_transformers_gives_random_weights_in_the_precision_asked(
    tmp_path,
) -> None:
    with models_built(TINY) as built:
        model, found = TINY.loaded_class.from_pretrained(
            tmp_path / "nothing", dtype=torch.bfloat16, output_loading_info=True
        )
    assert model.dtype == torch.bfloat16
    assert not any(found.values())
    assert [(b.n_parameters, b.dtype) for b in built] == [(n_parameters(model), "bfloat16")]


def test_the_largest_model_that_fits_is_planned() -> None:
    paper = PRESETS["paper"]
    assert plan(paper, "judge", 40).precision == ""
    half = plan(paper, "judge", 20)
    assert (half.stand_in, half.precision) == (paper.judge, "bf16") == ("qwen2.5-vl-7b", "bf16")
    small = plan(paper, "judge", 10)
    assert (small.stand_in, small.precision) == ("qwen2.5-vl-3b", "bf16")
    assert "does not fit" in small.note
    assert plan(paper, "judge", 4) is None


def test_siblings_are_of_the_same_family_and_no_larger() -> None:
    assert siblings("qwen3-vl-4b") == ["qwen3-vl-4b", "qwen3-vl-2b"]
    assert siblings("qwen3-vl-reranker-2b") == ["qwen3-vl-reranker-2b"]
    assert siblings("alpha-clip-l14-336")[-1] == "alpha-clip-b16"
    assert siblings("sam2.1-hiera-small") == ["sam2.1-hiera-small", "sam2.1-hiera-tiny"]


def test_seconds_grow_with_the_points() -> None:
    small, large = Grid(2, 0.1, 6.0, 3.0, 1), Grid(4, 0.1, 18.0, 9.0, 2)
    grown = large.grown(small, 8)
    assert (grown.side, grown.seconds, grown.cpu_s) == (8, 18.0 + 48, 9.0 + 24)


@pytest.mark.parametrize(
    ("rows", "passed", "line"),
    [
        ([{"peak_mib": 2048.0}], True, "1 of 1 ran; peak 2.0 GiB, bar 20 GiB: pass"),
        ([{"peak_mib": 2048.0}, {"error": "no"}], False, "1 of 2 ran; .*: FAIL"),
        ([{"peak_mib": 30000.0}], False, r"peak 29\.3 GiB, bar 20 GiB: FAIL"),
        ([], False, "0 of 0 ran; .*: FAIL"),
    ],
)
def test_the_verdict_needs_every_model_within_the_bar(rows, passed, line, capsys) -> None:
    assert report(rows, 20)["passed"] is passed
    assert re.search(line, capsys.readouterr().out)
