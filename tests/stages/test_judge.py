import logging
import math
import sqlite3
from dataclasses import replace

import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, scene_gallery

from matir_nb.config import JudgeConfig, RetrieveConfig
from matir_nb.errors import ShapeError
from matir_nb.index.build import build
from matir_nb.index.cache import JudgementCache
from matir_nb.index.store import Index
from matir_nb.stages.judge import cache_key, judge
from matir_nb.stages.retrieve import retrieve
from matir_nb.types import Judgement

QUERY = "red circle"
CONFIG = JudgeConfig(n_judged=7, chunk_size=3)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    scenes = scene_gallery(folder / "scenes", 10)
    encoder = OracleEncoder(scenes)
    build(folder / "scenes", folder / "i.matir", masks=OracleMaskSource(scenes), encoder=encoder)
    index = Index.open(folder / "i.matir")
    config = RetrieveConfig()
    return index, retrieve(QUERY, index, encoder, n_images=10, config=config).candidates


def test_the_best_candidates_are_judged_in_chunks(gallery):
    index, candidates = gallery
    oracle, steps = OracleJudge(), []
    found = judge(
        QUERY, candidates, index, oracle, config=CONFIG, progress=lambda *step: steps.append(step)
    )
    ids = [c.image_id for c in candidates]
    assert [j.image_id for j in found] == ids[:7]
    assert oracle.seen == [ids[:3], ids[3:6], ids[6:7]]
    assert steps == [(0, 7), (3, 7), (6, 7), (7, 7)]


def test_inputs_hold_all_regions_of_the_image_and_its_pixels(gallery):
    index, candidates = gallery
    got = []

    class Looker(OracleJudge):
        def judge(self, query, inputs):
            got.extend(inputs)
            return super().judge(query, inputs)

    judge(QUERY, candidates, index, Looker(), config=CONFIG)
    for item in got:
        height, width = item.load_image().shape[:2]
        assert (item.width, item.height) == (width, height)
        assert item.region_vectors.shape == (len(item.regions), index.dim)
        assert item.regions.masks[0].size == (height, width)


def test_cancelling_keeps_what_was_judged(gallery):
    index, candidates = gallery
    oracle = OracleJudge()
    found = judge(
        QUERY, candidates, index, oracle, config=CONFIG, cancel=lambda: len(oracle.seen) == 2
    )
    assert [j.image_id for j in found] == [c.image_id for c in candidates[:6]]
    assert judge(QUERY, candidates, index, oracle, config=CONFIG, cancel=lambda: True) == []


def test_what_was_judged_once_is_not_asked_again(gallery, tmp_path):
    index, candidates = gallery
    cache = JudgementCache(tmp_path / "c" / "j.sqlite")
    first = judge(
        QUERY, candidates, index, OracleJudge(), config=JudgeConfig(n_judged=4), cache=cache
    )
    for again in (cache, JudgementCache(tmp_path / "c" / "j.sqlite")):
        oracle = OracleJudge()
        found = judge(QUERY, candidates, index, oracle, config=CONFIG, cache=again)
        assert found[:4] == first
        if again is cache:
            assert oracle.seen == [[c.image_id for c in candidates[4:7]]]
        else:
            assert oracle.seen == []


def test_p_is_calibrated_and_what_is_remembered_is_not(gallery, tmp_path):
    index, candidates = gallery
    file = tmp_path / "j.sqlite"
    calibrated = replace(CONFIG, calibration_scale=0.5, calibration_bias=1.0)
    first = judge(
        QUERY, candidates, index, OracleJudge(), config=calibrated, cache=JudgementCache(file)
    )
    again = judge(
        QUERY, candidates, index, OracleJudge(), config=CONFIG, cache=JudgementCache(file)
    )
    assert len(first) == CONFIG.n_judged
    for one, raw in zip(first, again, strict=True):
        assert one.p_relevant == pytest.approx(1 / (1 + math.exp(-(0.5 * one.logit + 1))))
        assert one == replace(raw, p_relevant=one.p_relevant)
        assert raw.p_relevant in (0.98, 0.02)


def test_the_key_tells_queries_pictures_and_judges_apart(gallery):
    index, candidates = gallery
    one, two = candidates[:2]
    keys = {
        cache_key(QUERY, one, index, OracleJudge()),
        cache_key("blue circle", one, index, OracleJudge()),
        cache_key(QUERY, two, index, OracleJudge()),
        cache_key(QUERY, one, index, OracleJudge(model_id="another")),
    }
    assert len(keys) == 4


def test_judgements_survive_the_disk_exactly(tmp_path):
    judgements = {
        "a": Judgement("ä.png", 0.1 + 0.2, float("inf"), (0.1, 2.0, 3.5, 4.0), None, "yes «1»"),
        "b": Judgement("b.png", 0.0, -12.25, None, 3, ""),
    }
    JudgementCache(tmp_path / "j.sqlite").put(judgements)
    assert JudgementCache(tmp_path / "j.sqlite").get(["b", "a", "c"]) == judgements


def test_a_broken_cache_costs_only_time(tmp_path, caplog):
    (tmp_path / "j.sqlite").write_bytes(b"not a database" * 99)
    cache = JudgementCache(tmp_path / "j.sqlite")
    judgement = Judgement("a", 0.5, 0.0, None, None, "")
    with caplog.at_level(logging.WARNING):
        assert cache.get(["a"]) == {}
        cache.put({"a": judgement})
    assert cache.get(["a"]) == {"a": judgement}
    assert not (tmp_path / "j.sqlite").exists()
    assert [r.message.partition(":")[0] for r in caplog.records] == [
        f"judgements are not kept in {tmp_path / 'j.sqlite'}"
    ]


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = JudgementCache(tmp_path / "cache" / "j.sqlite")
    cache.put({"a": Judgement("a", 0.5, 0.0, None, None, "")})
    assert list(cache.get(["a"])) == ["a"]
    assert "judgements are not kept" in caplog.text


def test_an_unreadable_entry_is_judged_again(tmp_path):
    cache = JudgementCache(tmp_path / "j.sqlite")
    cache.put({"a": Judgement("a", 0.5, 0.0, None, None, "")})
    connection = sqlite3.connect(tmp_path / "j.sqlite")
    connection.execute("UPDATE judgements SET value = '{'")
    connection.commit()
    connection.close()
    assert JudgementCache(tmp_path / "j.sqlite").get(["a"]) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answers: answers[1:], "expected judgements of"),
        (lambda answers: answers[::-1], "expected judgements of"),
        (lambda answers: [Judgement(a.image_id, 1, 9, None, 99, "") for a in answers], "region 99"),
        (
            lambda answers: [Judgement(a.image_id, 1.5, 9, None, None, "") for a in answers],
            "impossible score 1.5",
        ),
        (
            lambda answers: [Judgement(a.image_id, 1, float("nan"), None, 0, "") for a in answers],
            "impossible score 1, nan",
        ),
    ],
)
def test_a_judge_that_breaks_its_promise_is_named(gallery, change, message):
    index, candidates = gallery

    class Broken(OracleJudge):
        def judge(self, query, inputs):
            return change(super().judge(query, inputs))

    with pytest.raises(ShapeError, match=f"judge 'oracle-judge': {message}"):
        judge(QUERY, candidates, index, Broken(), config=CONFIG)
