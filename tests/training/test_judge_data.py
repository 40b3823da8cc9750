"""Packed questions: each is answered as if it stood alone, by the public forward pass."""

import numpy as np
import pytest
import torch

from matir_nb.scenes.draw import draw_gallery
from training.judge import LanguagePhase, VisionPhase, all_tokens, patches, region_tokens
from training.judge_data import N_QUESTIONS, Packer, cut_regions, mutate
from training.judge_model import make_image_processor, make_model, make_tokenizer


@pytest.fixture(scope="module")
def phase() -> LanguagePhase:
    torch.manual_seed(0)
    scenes = list(draw_gallery("train", 6))
    tokenizer, regions = make_tokenizer(), cut_regions(scenes, seed=0)
    model = make_model(tokenizer)
    visual = VisionPhase(model, tokenizer, seed=0).visual
    packer = Packer(tokenizer, scenes, regions, "train")
    return LanguagePhase(model, packer, all_tokens(visual, regions), seed=0)


def test_patches_are_laid_out_as_the_image_processor_does(phase: LanguagePhase) -> None:
    cutouts = phase.packer.regions.cutouts[:5]
    expected = make_image_processor()(images=list(cutouts), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(patches(cutouts), expected)


def test_batched_vision_equals_one_image_at_a_time(phase: LanguagePhase) -> None:
    visual = phase.model.model.visual
    cutouts = phase.packer.regions.cutouts[:4]
    with torch.inference_mode():
        together = region_tokens(visual, patches(cutouts))
        alone = torch.cat([region_tokens(visual, patches(cutouts[i : i + 1])) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_packed_question_is_answered_as_if_alone(phase: LanguagePhase) -> None:
    batch = phase.packer.pack(np.random.default_rng(1), [2])
    with torch.inference_mode():
        packed = phase.hidden(batch, phase.tokens, noise=0.0)[0]
    shared = batch.allowed[0, 0].all(0).nonzero().max().item() + 1
    for number, (_, at, _, _) in enumerate(batch.verdicts):
        own = batch.allowed[0, 0, at].nonzero()[:, 0]
        alone = phase.packer.pack(np.random.default_rng(1), [2])
        alone.ids, alone.positions = batch.ids[:, own], batch.positions[:, :, own]
        alone.image_slots = batch.image_slots[:, own]
        alone.allowed = torch.ones(1, 1, len(own), len(own), dtype=torch.bool).tril()
        with torch.inference_mode():
            state = phase.hidden(alone, phase.tokens, noise=0.0)[0, -1]
        torch.testing.assert_close(state, packed[at], atol=1e-4, rtol=1e-4)
        assert number < N_QUESTIONS
    assert shared > 0


def test_positions_are_those_of_the_public_model(phase: LanguagePhase) -> None:
    batch = phase.packer.pack(np.random.default_rng(3), [0])
    at = batch.verdicts[0][1]
    own = batch.allowed[0, 0, at].nonzero()[:, 0]
    ids = batch.ids[:, own]
    n_images = int((ids == phase.packer.image_id).sum()) // 4
    expected, _ = phase.model.model.get_rope_index(
        ids, (ids == phase.packer.image_id).int(), torch.tensor([[1, 4, 4]] * n_images)
    )
    torch.testing.assert_close(batch.positions[:, :, own], expected)


def test_mutation_changes_one_thing() -> None:
    from matir_nb.scenes.meaning import NounPhrase, Query

    rng = np.random.default_rng(0)
    query = Query(
        "relation", NounPhrase(shape="ring"), relation="left", other=NounPhrase(size="small")
    )
    changed = [mutate(rng, query) for _ in range(60)]
    assert any(c != query for c in changed)
    for other in changed:
        same = (
            other.subject == query.subject,
            other.relation == query.relation,
            other.other == query.other,
        )
        assert sum(same) >= 2
