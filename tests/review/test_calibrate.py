"""Calibration from marks to searches: a judge that is far too sure is put right by people."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from fakes import OracleEncoder, OracleMaskSource, oracle_index, scene_gallery

from matir_nb.config import JudgeConfig
from matir_nb.errors import ConfigError
from matir_nb.index.build import build
from matir_nb.index.calibrations import FILE_NAME, Calibrations
from matir_nb.opening import open_engine
from matir_nb.results import SearchResult
from matir_nb.review.calibrate import labels_of
from matir_nb.review.ledger import Review
from matir_nb.types import Judgement

N = 60
COLOURS = ("red", "green", "blue", "yellow", "cyan", "orange", "purple", "pink")
QUERIES = [f"{colour} {shape}" for colour in COLOURS for shape in ("circle", "ring")]
SCALE, BIAS = 4.0, 3.0
"""Of the distortion."""


def chance(text):
    digest = hashlib.sha256(text.encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


def true_logit(query, image_id):
    p = chance(f"{query} {image_id}")
    return 1.5 * math.log(p / (1 - p)) - 0.5


def is_relevant(query, image_id):
    return chance(f"luck {query} {image_id}") < 1 / (1 + math.exp(-true_logit(query, image_id)))


class TooSure:
    """Knows the true chance of every pair, and says four times its log-odds, shifted."""

    def __init__(self, model_id="too sure", sign=1):
        self.model_id = model_id
        self.sign = sign
        self.n_seen = 0

    def judge(self, query, inputs):
        self.n_seen += len(inputs)
        return [self._one(query, item.candidate.image_id) for item in inputs]

    def _one(self, query, image_id):
        z = self.sign * (SCALE * true_logit(query, image_id) + BIAS)
        return Judgement(image_id, 1 / (1 + math.exp(-z)), z, None, 0 if z > 0 else None, "so")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    return oracle_index(tmp_path_factory.mktemp("calibrate"), N)


@pytest.fixture
def engine(gallery, request):
    scenes, path = gallery
    engine = open_engine(path, encoder=OracleEncoder(scenes), judge=TooSure(request.node.name))
    yield engine
    (path / FILE_NAME).unlink(missing_ok=True)


def rows_of(engine, queries=QUERIES):
    ids = engine.index.image_ids
    return [(query, name, is_relevant(query, name)) for query in queries for name in ids]


def judged(engine, queries=QUERIES, **options):
    """Return p and truth of every image, over several searches."""
    found = [(q, hit) for q in queries for hit in engine.search(q, k=N, **options)]
    p = np.array([hit.p_relevant for _, hit in found])
    return p, np.array([is_relevant(query, hit.image_id) for query, hit in found])


def calibration_error(p, truth, n_bins=8):
    """Return the expected calibration error (Naeini et al., AAAI 2015) in equal-count bins."""
    parts = np.array_split(np.argsort(p), n_bins)
    return sum(len(part) * abs(p[part].mean() - truth[part].mean()) for part in parts) / len(p)


def loss(p, truth):
    return -np.log(np.clip(np.where(truth, p, 1 - p), 1e-12, 1)).mean()


def test_after_calibration_p_is_how_often_it_is_so(engine):
    """Fitted on one half of the queries, measured on the other."""
    before, truth = judged(engine, QUERIES[1::2])
    made = engine.calibrate(rows_of(engine, QUERIES[::2]))
    after, _ = judged(engine, QUERIES[1::2])
    assert (made.n_relevant + made.n_not_relevant, made.judge) == (8 * N, engine.judge.model_id)
    assert made.scale == pytest.approx(1 / SCALE, rel=0.2)
    assert made.bias == pytest.approx(-BIAS / SCALE, abs=0.25)
    assert made.log_loss_after < 0.6 * made.log_loss_before
    assert loss(after, truth) < 0.6 * loss(before, truth)
    assert calibration_error(before, truth) > 0.12
    assert calibration_error(after, truth) < 0.06


def test_the_judges_order_and_its_log_odds_stay(engine):
    before = engine.search(QUERIES[0], k=N)
    engine.calibrate(rows_of(engine))
    after = engine.search(QUERIES[0], k=N)

    def by_judge(result):
        return {hit.image_id: (hit.judge_rank, hit.logit) for hit in result}

    assert by_judge(before) == by_judge(after)
    assert [h.p_relevant for h in before] != [h.p_relevant for h in after]


def test_every_entry_of_a_calibrated_score_adds_up(engine):
    made = engine.calibrate(rows_of(engine))
    result = engine.search(QUERIES[1], k=N, n_judged=40)
    config = result.provenance.config["judging"]
    assert (config["calibration_scale"], config["calibration_bias"]) == (made.scale, made.bias)
    for hit in result:
        frame = result.ledger(hit.rank)
        assert frame["contribution"].sum() == pytest.approx(hit.final_score, abs=1e-6)
        if hit.logit is None:
            continue
        worth = made.scale * hit.logit + made.bias
        values = dict(frame.select("name", "contribution").iter_rows())
        assert values["judge"] == pytest.approx(hit.logit)
        assert values["calibration"] == pytest.approx(worth - hit.logit)
        assert hit.p_relevant == pytest.approx(1 / (1 + math.exp(-worth)))
    total = result.why(1, 2)["contribution"].sum()
    assert total == pytest.approx(result.hits[0].final_score - result.hits[1].final_score)


def test_it_is_kept_with_the_index_and_forgotten_with_the_file(engine, gallery):
    scenes, path = gallery
    plain = engine.search(QUERIES[0], k=5).hits
    fingerprint = engine.fingerprint
    engine.calibrate(rows_of(engine))
    again = open_engine(path, encoder=OracleEncoder(scenes), judge=engine.judge)
    assert again.fingerprint == fingerprint
    assert again.search(QUERIES[0], k=5).hits == engine.search(QUERIES[0], k=5).hits
    other = open_engine(path, encoder=OracleEncoder(scenes), judge=TooSure("another"))
    assert other.search(QUERIES[0], k=5).hits == plain
    assert Calibrations(path).forget(engine.judge.model_id)
    assert engine.search(QUERIES[0], k=5).hits == plain


def test_a_presets_own_calibration_wins(engine):
    engine.calibrate(rows_of(engine))
    judging = JudgeConfig(calibration_scale=0.5)
    engine.preset = replace(engine.preset, judging=judging)
    (hit,) = engine.search(QUERIES[0], k=1)
    assert hit.p_relevant == pytest.approx(1 / (1 + math.exp(-0.5 * hit.logit)))


def test_what_the_judge_has_said_is_not_asked_again(engine):
    judged(engine)
    n_seen = engine.judge.n_seen
    engine.calibrate(rows_of(engine))
    assert engine.judge.n_seen == n_seen
    told = []
    engine.calibrate(rows_of(engine), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (16 * N, 16 * N)


def test_judging_more_goes_by_the_results_own_calibration(engine):
    first = engine.search(QUERIES[0], k=6, n_judged=3)
    alone = engine.search(QUERIES[0], k=6, judge=False)
    engine.calibrate(rows_of(engine))
    config = first.judge_more(4).provenance.config["judging"]
    assert (config["calibration_scale"], config["calibration_bias"]) == (1.0, 0.0)
    assert alone.judge_more(7).hits == engine.search(QUERIES[0], k=6, n_judged=7).hits


@pytest.mark.parametrize("n_judged", [5, 20])
def test_a_trace_and_an_occlusion_agree_with_the_search(engine, n_judged):
    engine.calibrate(rows_of(engine))
    result = engine.search(QUERIES[2], k=N, n_judged=n_judged)
    for hit in result.hits[::7]:
        traced = engine.trace(QUERIES[2], hit.image_id, k=4, n_judged=n_judged)
        assert (traced.final_rank, traced.hit.logit) == (hit.rank, hit.logit)
        assert traced.hit.p_relevant == hit.p_relevant
        assert traced.hit.final_score == pytest.approx(hit.final_score, abs=1e-9)
        total = math.fsum(entry.contribution for entry in traced.entries)
        assert total == pytest.approx(hit.final_score, abs=1e-6)
        assert traced.is_found == (hit.rank <= 4)
    frame = result.occlusion(1, judge=True)
    assert frame["p_relevant"].to_list() == [result.hits[0].p_relevant] * frame.height


def test_the_cut_is_on_the_judges_log_odds_and_speaks_of_calibrated_p(engine):
    made = engine.calibrate(rows_of(engine))
    result = engine.search(QUERIES[0], k=N)
    cut = result.provenance.config["cut"]
    worth = made.scale * cut["min_logit"] + made.bias
    assert cut["min_p"] == pytest.approx(1 / (1 + math.exp(-worth)))
    for hit in result:
        assert hit.above_cut == (hit.logit >= cut["min_logit"]) == (hit.p_relevant >= cut["min_p"])


def test_a_saved_result_explains_itself(engine, tmp_path):
    engine.calibrate(rows_of(engine))
    result = engine.search(QUERIES[0], k=5)
    result.save(tmp_path / "r.parquet")
    loaded = SearchResult.load(tmp_path / "r.parquet")
    assert loaded.ledger(1).equals(result.ledger(1))


# what marks can be


def reviewed(engine, queries, *, n_unsure=0):
    review = Review("Ada")
    for query in queries:
        result = engine.search(query, k=N)
        ids = [hit.image_id for hit in result]
        marks = {i: "relevant" if is_relevant(query, i) else "not relevant" for i in ids}
        review.mark(result, marks | dict.fromkeys(ids[:n_unsure], "unsure"))
    return review


def test_a_review_is_its_marks_that_hold(engine, tmp_path):
    review = reviewed(engine, QUERIES[:3], n_unsure=2)
    result = engine.search(QUERIES[0], k=N)
    name = result.hits[5].image_id
    wrong = {name: "not relevant" if is_relevant(QUERIES[0], name) else "relevant"}
    review.mark(result, review.marks(result) | wrong, who="Bob")
    review.save(tmp_path / "r.parquet")
    labels = labels_of(engine, Review.load(tmp_path / "r.parquet"))
    assert len(labels) == 3 * (N - 2)
    assert labels[QUERIES[0], name] != is_relevant(QUERIES[0], name)
    assert engine.calibrate(review).n_relevant == sum(labels.values())


def test_a_table_and_rows_are_the_same(engine):
    rows = rows_of(engine, QUERIES[:2])
    table = pl.DataFrame(rows, schema=["query", "image_id", "relevant"], orient="row")
    assert engine.calibrate(table) == engine.calibrate(rows)


def test_marks_that_cannot_be_used_say_why(engine):
    name = engine.index.image_ids[0]
    wrong = [
        ([(QUERIES[0], name, 1)], r"give \(query, image id, True or False\)"),
        ([QUERIES[0]], "the mark 'red circle' cannot be used"),
        ([(QUERIES[0], "no.png", True)], "image 'no.png'"),
        ([(QUERIES[0], name, True), (QUERIES[0], name, False)], "is both relevant and not"),
        (pl.DataFrame({"query": [], "image_id": [], "mark": []}), "column 'relevant'"),
        ([], "0 marks relevant and 0 not relevant are too few"),
    ]
    for marks, message in wrong:
        with pytest.raises(ConfigError, match=message):
            engine.calibrate(marks)


def test_a_review_of_another_index_is_refused(engine, tmp_path):
    scenes = scene_gallery(tmp_path / "scenes", 3)
    encoder = OracleEncoder(scenes, model_id="another encoder")
    path = tmp_path / "other.matir"
    build(tmp_path / "scenes", path, masks=OracleMaskSource(scenes), encoder=encoder)
    result = open_engine(path, encoder=encoder, judge=None).search("red circle", k=2)
    review = Review("Ada")
    review.mark(result, {result.hits[0].image_id: "relevant"})
    with pytest.raises(ConfigError, match="the review is of another index"):
        labels_of(engine, review)


def test_a_judge_that_ranks_against_the_marks_is_refused_and_nothing_is_kept(gallery, request):
    scenes, path = gallery
    judge = TooSure(request.node.name, sign=-1)
    engine = open_engine(path, encoder=OracleEncoder(scenes), judge=judge)
    with pytest.raises(ConfigError, match="ranks against your marks"):
        engine.calibrate(rows_of(engine))
    assert not (path / FILE_NAME).exists()
    none = open_engine(path, encoder=OracleEncoder(scenes), judge=None)
    with pytest.raises(ConfigError, match="opened without one: give one by name"):
        none.calibrate(rows_of(none))
