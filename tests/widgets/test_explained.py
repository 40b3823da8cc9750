import json

import numpy as np
import pytest
from fakes import (
    OracleEncoder,
    OracleJudge,
    oracle_index,
    words_of,
)
from stand_in import Page

from matir_nb.errors import ConfigError
from matir_nb.explain.entries import difference_entries
from matir_nb.explain.occlusion import occlude
from matir_nb.opening import open_engine
from matir_nb.results import SearchResult
from matir_nb.scenes.draw import draw_gallery
from matir_nb.widgets import explained
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.table import table_document

N = 12
QUERY = "a red circle and a blue star"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    scenes, path = oracle_index(tmp_path_factory.mktemp("explained"), N)
    return open_engine(path, encoder=OracleEncoder(scenes), judge=OracleJudge())


@pytest.fixture(scope="module")
def result(engine):
    return engine.search(QUERY, k=N)


def bare(result):
    return SearchResult(result.query, result.hits, result.provenance)


def test_words_are_the_matrix_of_the_hit(result):
    body, buffers = explained.words(result, 3)
    matrix = result.words(4)
    assert buffers == []
    assert body["row"] == 3
    assert body["words"] == list(matrix.words) == QUERY.split()
    assert [p["text"] for p in body["phrases"]] == [p.text for p in matrix.phrases]
    for phrase in body["phrases"]:
        assert " ".join(body["words"][i] for i in phrase["words"]) == phrase["text"]
    assert body["base"] == pytest.approx(matrix.base.tolist(), abs=1e-5)
    for name, wanted in (("by_word", matrix.by_word), ("by_phrase", matrix.by_phrase)):
        assert np.array(body[name]).shape == wanted.shape
        np.testing.assert_allclose(body[name], wanted, atol=1e-5)
    assert np.abs(body["by_word"]).max() > 0.01


def test_words_are_short_on_the_wire(result):
    body, _ = explained.words(result, 0)
    n = sum(np.size(body[name]) for name in ("base", "by_word", "by_phrase"))
    text = json.dumps([body[name] for name in ("base", "by_word", "by_phrase")])
    assert len(text) < 11 * n


def test_why_adds_up_to_the_difference_of_the_scores(result):
    body, buffers = explained.why(result, 0, 7)
    hit, other = result.hits[0], result.hits[7]
    wanted = difference_entries(hit, other, result.provenance.config)
    assert buffers == []
    assert body["other"] == 7
    assert body["difference"] == hit.final_score - other.final_score != 0
    total = sum(entry["contribution"] for entry in body["entries"])
    assert total == pytest.approx(body["difference"], abs=1e-6)
    assert [entry["name"] for entry in body["entries"]] == [entry.name for entry in wanted]
    assert set(body["entries"][0]) == {"stage", "name", "value", "formula", "contribution"}


def test_why_needs_no_index(result):
    assert explained.why(bare(result), 1, 0) == explained.why(result, 1, 0)


def test_without_a_region_stage_1_and_the_judge_answer_again(engine):
    scene = next(iter(draw_gallery("test", N, seed=0)))
    result = engine.search(" ".join(words_of(scene.objects[0])), k=N)
    hit = result.hits[0]
    body, buffers = explained.occlude(result, hit.rank - 1, hit.region_id)
    wanted = occlude(result, hit.rank, hit.region_id)
    assert buffers == []
    assert (body["row"], body["region"], body["note"]) == (hit.rank - 1, hit.region_id, "")
    for name in ("stage1_score", "stage1_rank", "p_relevant", "logit", "answer"):
        assert body[name] == getattr(wanted, name)
    assert body["p_relevant"] < hit.p_relevant
    json.dumps(body)


def test_without_a_judge_the_answer_says_so(engine):
    result = engine.search(QUERY, k=3, judge=False)
    lone = open_engine(engine.index.path, encoder=engine.encoder, judge=None)
    body, _ = explained.occlude(result.with_source(lone), 0, 0)
    assert body["p_relevant"] is body["logit"] is body["answer"] is None
    assert "judge" in body["note"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: explained.words(r, N), "rank = 13 is not allowed: give 1 to 12"),
        (lambda r: explained.words(r, -1), "rank = 0 is not allowed"),
        (lambda r: explained.why(r, 0, N), "rank = 13 is not allowed"),
        (lambda r: explained.occlude(r, 0, 99), "region 99 is not allowed"),
        (lambda r: explained.words(bare(r), 0), "with_source"),
        (lambda r: explained.occlude(bare(r), 0, 0), "with_source"),
    ],
)
def test_what_cannot_be_answered_is_refused(result, ask, message):
    with pytest.raises(ConfigError, match=message):
        ask(result)


@pytest.mark.usefixtures("static", "mock_comm")
def test_a_view_answers_all_three(result):
    grid = ResultGrid(result)
    page = Page(grid)
    shown = table_document(result)["id"]
    asked = [
        (page.ask("words", result=shown, row=2), explained.words(result, 2)),
        (page.ask("why", result=shown, row=0, other=4), explained.why(result, 0, 4)),
        (page.ask("occlude", result=shown, row=0, region=1), explained.occlude(result, 0, 1)),
    ]
    for request_id, (body, _) in asked:
        reply = page.reply(request_id).content
        assert reply["ok"], reply
        assert reply["body"] == body
    wrong = page.reply(page.ask("occlude", result=shown, row=0, region=99)).content
    assert "region 99 is not allowed" in wrong["error"]
    unknown = page.reply(page.ask("why", result="other", row=0, other=1)).content
    assert "not shown any more" in unknown["error"]
    grid.close()
