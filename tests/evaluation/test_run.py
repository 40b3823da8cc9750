import numpy as np
import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, bare_hit

from matir_nb.errors import ConfigError
from matir_nb.evaluation.gallery import file_name, write_gallery
from matir_nb.evaluation.run import QUERY_SCHEMA, compare, evaluate, score_hits, summarise
from matir_nb.geometry.masks import encode, encode_many
from matir_nb.index.build import build
from matir_nb.opening import open_engine
from matir_nb.scenes.meaning import NounPhrase, Query
from matir_nb.scenes.queries import truth_of
from matir_nb.types import QueryTruth


def mask(*columns):
    pixels = np.zeros((2, 10), bool)
    pixels[0, list(columns)] = True
    return encode(pixels)


def hit(rank, image_id, *, shown=None, p=None):
    return bare_hit(rank=rank, image_id=image_id, p_relevant=p, mask=shown)


def truth(kind, masks):
    return QueryTruth("q", "text", kind, frozenset(masks), masks)


def test_one_query_by_hand():
    right = truth("attribute", {"a": (mask(0, 1),), "b": (mask(4, 5),), "z": (mask(9),)})
    # a: right mask; x: not relevant; b: half right (IoU 1/3); z: not found
    hits = [hit(1, "a", shown=mask(0, 1)), hit(2, "x"), hit(3, "b", shown=mask(5, 6))]
    scores = score_hits(hits, right)
    assert scores["R@1"] == scores["R@10"] == 1.0
    assert scores["mAP@50"] == pytest.approx((1 + 2 / 3) / 3)
    assert scores["mAP@50@50"] == pytest.approx(1 / 3)
    assert scores["mIoU"] == pytest.approx((1 + 1 / 3) / 2)
    assert (scores["n_ious"], scores["n_relevant"]) == (2, 3)
    assert "rejection" not in scores


def test_a_correct_hit_without_a_mask_counts_zero():
    right = truth("relation", {"a": (mask(0),), "b": (mask(1),)})
    scores = score_hits([hit(1, "a"), hit(2, "b", shown=mask(1))], right)
    assert scores["mIoU"] == pytest.approx(0.5)
    assert scores["mAP@50@50"] == pytest.approx((1 / 2) / 2)


def test_no_circle_has_no_mask_metric_and_its_joint_metric_is_relevance_alone():
    right = truth("absence", {"a": (), "b": ()})
    scores = score_hits([hit(1, "a", shown=mask(1)), hit(2, "b")], right)
    assert (scores["mIoU"], scores["n_ious"]) == (None, 0)
    assert scores["mAP@50@50"] == scores["mAP@50"] == 1.0


def test_rejection_counts_wrong_images_and_acceptance_right_ones_wherever_they_stand():
    right = truth("absence", {"a": (), "b": ()})
    shown = [hit(1, "a", p=0.5), hit(2, "x", p=0.6), hit(3, "u")]
    deep = [hit(60, "b", p=0.1), hit(61, "y", p=0.49), hit(62, "z", p=0.0)]
    scores = score_hits([*shown, *deep], right)
    assert scores["rejection"] == pytest.approx(2 / 3)
    assert (scores["acceptance"], scores["n_right_judged"]) == (0.5, 2)
    assert scores["n_wrong_judged"] == 3


def test_hits_beyond_the_best_fifty_do_not_count():
    right = truth("attribute", {"a": (mask(0),)})
    hits = [hit(i + 1, f"x{i}") for i in range(50)] + [hit(51, "a", shown=mask(0))]
    scores = score_hits(hits, right)
    assert scores["mAP@50"] == scores["R@10"] == 0.0
    assert scores["n_ious"] == 0


def frame(rows):
    base = {"text": "t", "n_relevant": 1, "R@1": 0.0, "R@10": 0.0, "mAP@50@50": 0.0}
    return pl.DataFrame([base | row for row in rows], schema=QUERY_SCHEMA)


def test_the_summary_averages_maps_over_queries_and_ious_over_hits():
    table = frame(
        [
            {"query_id": "1", "kind": "count", "mAP@50": 1.0, "mIoU": 0.9, "n_ious": 9},
            {"query_id": "2", "kind": "count", "mAP@50": 0.0, "mIoU": 0.4, "n_ious": 1},
            {"query_id": "3", "kind": "absence", "mAP@50": 0.8, "n_ious": 0, "rejection": 1.0}
            | {"n_wrong_judged": 10, "n_right_judged": 0},
        ]
    )
    summary = summarise(table)
    assert list(summary) == ["overall", "count", "absence"]
    assert summary["count"]["mAP@50"] == pytest.approx(0.5)
    assert summary["count"]["mIoU"] == pytest.approx(0.85)
    assert summary["overall"]["mAP@50"] == pytest.approx(0.6)
    assert summary["absence"]["mIoU"] is None
    assert summary["absence"]["rejection"] == 1.0
    assert summary["absence"]["acceptance"] is None
    assert "rejection" not in summary["overall"]
    low, high = summary["count"]["intervals"]["mAP@50"]
    assert (low, high) == (0.0, 1.0)


def test_gains_are_paired_by_query():
    base = frame([{"query_id": str(i), "kind": "count", "mAP@50": i / 10} for i in range(9)])
    better = base.with_columns(pl.col("mAP@50") + 0.1)
    gain = compare(better, base)["count"]
    assert gain["mAP@50"] == pytest.approx(0.1)
    assert gain["intervals"]["mAP@50"] == pytest.approx((0.1, 0.1))
    with pytest.raises(ConfigError, match="different queries"):
        compare(better, base.head(3))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    scenes = write_gallery(folder / "images", 30, split="test")
    encoder = OracleEncoder(scenes)
    build(folder / "images", folder / "i.matir", masks=OracleMaskSource(scenes), encoder=encoder)
    engine = open_engine(folder / "i.matir", judge=OracleJudge(), encoder=encoder)
    return scenes, engine


def queries_for(scenes, n=6):
    ids = [file_name(scene) for scene in scenes]
    items = [scene.objects[0] for scene in scenes[:n]]
    asked = [Query("attribute", NounPhrase(o.colour, o.shape)) for o in items]
    texts = [f"{o.colour} {o.shape}" for o in items]
    return [
        truth_of(f"q{i}", text, query, scenes, ids)
        for i, (text, query) in enumerate(zip(texts, asked, strict=True))
    ]


def test_an_oracle_scores_one_everywhere_and_a_shuffled_truth_does_not(gallery):
    scenes, engine = gallery
    queries = queries_for(scenes)
    table = evaluate(engine, queries)
    assert table.schema == QUERY_SCHEMA
    assert table["query_id"].to_list() == [q.query_id for q in queries]
    summary = summarise(table)["overall"]
    for metric in ("R@1", "R@10", "mAP@50", "mIoU", "mAP@50@50"):
        assert summary[metric] == pytest.approx(1.0), metric
    rotated = [
        QueryTruth(q.query_id, other.text, q.kind, q.relevant, q.masks)
        for q, other in zip(queries, [*queries[1:], queries[0]], strict=True)
    ]
    assert summarise(evaluate(engine, rotated))["overall"]["mAP@50"] < 0.7


def test_a_true_image_that_shows_the_wrong_object_loses_the_joint_score_only(gallery):
    scenes, engine = gallery
    (one,) = queries_for(scenes, 1)
    elsewhere = {
        image_id: encode_many(np.eye(*masks[0].size, dtype=bool)[None])
        for image_id, masks in one.masks.items()
    }
    wrong = QueryTruth(one.query_id, one.text, one.kind, one.relevant, elsewhere)
    row = evaluate(engine, [wrong]).row(0, named=True)
    assert row["mAP@50"] == pytest.approx(1.0)
    assert row["mAP@50@50"] == 0.0
    assert row["mIoU"] < 0.1


def test_stage_one_alone_rejects_nothing_and_the_judge_sees_all_it_should(gallery):
    scenes, engine = gallery
    (one,) = queries_for(scenes, 1)
    absence = QueryTruth(one.query_id, one.text, "absence", one.relevant, one.masks)
    assert evaluate(engine, [absence], judge=False)["rejection"].to_list() == [None]
    row = evaluate(engine, [absence], n_judged=20).row(0, named=True)
    assert row["n_wrong_judged"] + row["n_right_judged"] == 20
    assert (row["rejection"], row["acceptance"]) == (1.0, 1.0)


def test_queries_about_other_images_are_refused(gallery):
    _, engine = gallery
    stranger = QueryTruth("q", "red", "attribute", frozenset({"elsewhere.png"}))
    with pytest.raises(ConfigError, match=r"'q' is about 'elsewhere.png', which is not in"):
        evaluate(engine, [stranger])
    with pytest.raises(ConfigError, match="no queries"):
        evaluate(engine, [])
