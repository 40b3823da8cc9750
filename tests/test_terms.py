import math
from dataclasses import replace

import pytest
from fakes import OracleEncoder, bare_hit, oracle_index

from matir_nb.config import RetrieveConfig
from matir_nb.opening import open_engine
from matir_nb.presets import PRESETS
from matir_nb.terms import stage1_terms

N = 12

HIT = bare_hit(stage1_score=0.2373, best_region_score=0.277, whole_image_score=-0.12)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    scenes, path = oracle_index(tmp_path_factory.mktemp("terms"), N)
    return path, OracleEncoder(scenes)


OPTIONS = [
    RetrieveConfig(),
    RetrieveConfig(region_weight=0.0, image_weight=2.0),
    RetrieveConfig(region_weight=1.0, image_weight=0.0),
    RetrieveConfig(dehub_beta=20.0, refine_weight=0.25, n_references=4),
]


@pytest.mark.parametrize("retrieve", OPTIONS)
def test_the_terms_of_every_hit_add_up_and_multiply(gallery, retrieve):
    path, encoder = gallery
    preset = replace(PRESETS["embedded"], retrieve=retrieve)
    engine = open_engine(path, encoder=encoder, judge=None, preset=preset)
    result = engine.search("a red circle", k=N)
    assert len(result) == N
    for hit in result:
        terms = stage1_terms(hit, result.provenance.config)
        assert sum(term.value for term in terms) == pytest.approx(hit.stage1_score, abs=1e-6)
        for term in terms:
            assert product_of(term.formula) == pytest.approx(term.value, abs=0.5e-4)


def product_of(formula):
    assert "-" not in formula
    return math.prod(map(float, formula.replace("−", "-").split(" × ")))


CONFIG = {"retrieve": {"region_weight": 0.9, "image_weight": 0.1}}


def test_the_terms_by_hand():
    region, whole = stage1_terms(HIT, CONFIG)
    assert (region.name, region.formula) == ("best region", "0.9 × 0.277")
    assert (whole.name, whole.formula) == ("whole image", "0.1 × −0.12")
    assert (region.value, whole.value) == pytest.approx((0.2493, -0.012))


def test_an_image_without_regions_is_its_own():
    region, whole = stage1_terms(replace(HIT, best_region_score=None), CONFIG)
    assert (region.name, region.formula) == ("whole image as only region", "0.9 × −0.12")
    assert whole.value == pytest.approx(-0.012)


def test_what_is_added_to_cosines_by_hand():
    config = {"retrieve": CONFIG["retrieve"] | {"refine_weight": 0.5}}
    hit = replace(HIT, hub_score=-0.25, reference_score=0.8)
    _, _, hubs, references = stage1_terms(hit, config)
    assert (hubs.name, hubs.formula, hubs.value) == ("de-hubbing", "−1 × −0.25", 0.25)
    assert (references.name, references.formula) == ("references", "0.5 × 0.8")
    assert references.value == pytest.approx(0.4)


def test_a_result_that_does_not_say_how_it_was_made_has_no_terms():
    assert stage1_terms(HIT, {}) == ()
