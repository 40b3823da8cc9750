import numpy as np
import pytest
from fakes import OracleMaskSource

from matir_nb.errors import ConfigError
from matir_nb.evaluation.absence import (
    absence_of,
    far_absent,
    judged,
    near_absent,
    null_of,
    present,
)
from matir_nb.evaluation.gallery import file_name, write_gallery
from matir_nb.explain.cut import JudgeNull
from matir_nb.index.build import build
from matir_nb.models.clauses import parse
from matir_nb.opening import open_engine
from matir_nb.scenes.meaning import NounPhrase
from matir_nb.scenes.phrases import WORDS
from matir_nb.scenes.vocabulary import VALUES

N_SCENES, N_QUERIES = 80, 60
BAR = 0.10
"""Share of queries for something absent that may have a hit above the cut."""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("absence")
    scenes = write_gallery(folder / "images", N_SCENES, split="test", seed=4)
    build(folder / "images", folder / "i.matir", masks=OracleMaskSource(scenes))
    return scenes, open_engine(folder / "i.matir", device="cpu")


@pytest.fixture(scope="module")
def report(gallery):
    scenes, engine = gallery
    return absence_of(engine, scenes, split="test", n_queries=N_QUERIES)


@pytest.mark.parametrize("arm", ["default", "stage1"])
@pytest.mark.parametrize("kind", ["near", "far"])
def test_few_queries_for_something_absent_have_a_hit_above_the_cut(report, arm, kind):
    assert report[arm][kind]["n"] == N_QUERIES
    assert report[arm][kind]["alarms"] <= BAR


@pytest.mark.parametrize(("arm", "found", "recall"), [("default", 0.7, 0.5), ("stage1", 0.5, 0.3)])
def test_the_cut_keeps_most_of_what_is_there(report, arm, found, recall):
    here = report[arm]["present"]
    assert here["found"] >= found
    assert here["recall"] >= recall
    assert here["precision"] >= 0.8


def named_in(text):
    """Return the attributes that a caption names, read from its words alone."""
    words = parse(text.replace(",", " ")).subject.replace("-", " ").split()
    nouns = {"stripes": "striped", "dots": "dotted", "spots": "dotted", "checks": "checkered"}
    usual = {word.split("-")[0]: value for value, own in WORDS.items() for word in own} | nouns
    found = {usual[word] for word in words if word in usual}
    return NounPhrase(
        **{name: value for name, own in VALUES.items() for value in own if value in found}
    )


def test_absent_captions_are_true_of_no_object_and_present_ones_of_all_they_list(gallery):
    scenes, _ = gallery
    absent = near_absent(scenes, 40, split="test")
    assert len({asked.text for asked in absent}) == 40
    for asked in absent:
        phrase = named_in(asked.text)
        assert phrase != NounPhrase()
        assert not any(phrase.matches(item) for scene in scenes for item in scene.objects)
    for asked in present(scenes, 40, split="test"):
        phrase = named_in(asked.text)
        right = {file_name(s) for s in scenes if any(phrase.matches(i) for i in s.objects)}
        assert asked.relevant == right != set()


def test_captions_of_photographs_depend_on_the_seed_only():
    assert far_absent(20) == far_absent(20) != far_absent(20, seed=1)
    assert len({asked.text for asked in far_absent(20)}) == 20


def test_the_judge_is_asked_of_every_image(gallery):
    scenes, engine = gallery
    asked = present(scenes, 2, split="test")
    logits, relevant = judged(engine, asked)
    assert logits.shape == relevant.shape == (2, N_SCENES)
    for row, one in enumerate(asked):
        hits = {h.image_id: h.logit for h in engine.search(one.text, k=N_SCENES)}
        assert logits[row].tolist() == pytest.approx([hits[i] for i in engine.index.image_ids])
        right = np.array(engine.index.image_ids)[relevant[row]]
        assert set(right) == one.relevant


def test_a_fitted_null_recovers_the_one_that_made_the_judge():
    truth = JudgeNull(location=-2.0, scale=0.4)
    rng = np.random.default_rng(0)
    logits = rng.gumbel(truth.location, truth.scale, (1500, 256)).astype(np.float32)
    relevant = rng.random(logits.shape) < 0.002
    logits[relevant] += 5
    fitted = null_of(logits, relevant, error_rate=0.1)
    assert fitted.scale == pytest.approx(truth.scale, abs=0.05)
    for n_images in (30, 250):
        wanted = truth.min_logit(n_images, 0.1)
        assert fitted.min_logit(n_images, 0.1) == pytest.approx(wanted, abs=0.12)


def test_too_few_images_for_a_fit_are_refused():
    logits = np.zeros((5, 9), np.float32)
    with pytest.raises(ConfigError, match="9 images are too few to fit a judge's null"):
        null_of(logits, logits > 0, error_rate=0.05)
