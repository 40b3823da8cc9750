import contextlib
import io
import json
from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.metrics.coco_boxes import ALL, FoundBox, TrueBox, precision_tables
from matir_nb.evaluation.metrics.detection import (
    AP_SCHEMA,
    d3_average_precision,
    found_boxes,
)
from matir_nb.evaluation.metrics.sizes import SIZES
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA
from matir_nb.geometry.boxes import xywh_to_xyxy
from matir_nb.types import QueryTruth

NAMES = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")


def coco_of(dataset):
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def cocoeval(truth, results):
    """Return the six AP of COCOeval itself, with all queries and images at once."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_of(truth)
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, evaluation.stats[:6], strict=True))


def true(image_id, box, query_id="q", **options):
    return TrueBox(query_id, image_id, box, **options)


def shown(image_id, box, score, query_id="q"):
    return FoundBox(query_id, image_id, box, score)


def coco_average_precision(truths, found):
    """Return the six means of the tables of all queries, as COCOeval sums up; None = no truth."""
    tables = precision_tables(truths, found, areas=(*ALL, *SIZES)).values()
    parts = [(slice(None), 0), (0, 0), (5, 0), *((slice(None), n) for n in (1, 2, 3))]
    means = []
    for rows, area in parts:
        known = [table[rows, area] for table in tables if not np.isnan(table[0, area])]
        means.append(float(np.mean(known)) if known else None)
    return dict(zip(NAMES, means, strict=True))


SQUARE = (0.0, 0.0, 10.0, 10.0)
ELSEWHERE = (50.0, 50.0, 60.0, 60.0)


def test_a_right_box_first_is_all():
    got = coco_average_precision([true("a", SQUARE)], [shown("a", SQUARE, 0.9)])
    assert got == {
        **dict.fromkeys(NAMES[:4], pytest.approx(1.0)),
        "AP medium": None,
        "AP large": None,
    }


def test_a_wrong_box_first_halves_the_precision():
    found = [shown("a", SQUARE, 0.5), shown("b", ELSEWHERE, 0.9)]
    assert coco_average_precision([true("a", SQUARE)], found)["AP"] == pytest.approx(0.5)


def test_one_box_of_two_reaches_half_the_recall():
    truths = [true("a", SQUARE), true("a", ELSEWHERE)]
    got = coco_average_precision(truths, [shown("a", SQUARE, 0.9)])
    # 51 of the 101 recall points are at most .5
    assert got["AP"] == pytest.approx(51 / 101)


def test_the_mean_is_over_queries_with_a_true_box():
    truths = [true("a", SQUARE), true("a", SQUARE, "missed")]
    found = [shown("a", SQUARE, 0.9), shown("a", SQUARE, 0.9, "no truth")]
    assert coco_average_precision(truths, found)["AP"] == pytest.approx(0.5)
    assert list(precision_tables(truths, found)) == ["q", "missed"]


def test_an_image_of_another_query_does_not_matter():
    truths = [true("a", SQUARE), true("b", SQUARE, "other")]
    found = [shown("a", SQUARE, 0.1), shown("b", SQUARE, 0.9, "other")]
    assert coco_average_precision(truths, found)["AP"] == pytest.approx(1.0)


def test_nothing_to_find_is_none_and_nothing_found_is_zero():
    assert coco_average_precision([], [shown("a", SQUARE, 0.9)]) == dict.fromkeys(NAMES)
    assert coco_average_precision([true("a", SQUARE)], [])["AP"] == 0.0


def test_a_crowd_is_neither_right_nor_wrong():
    truths = [true("a", SQUARE), true("a", ELSEWHERE, is_crowd=True)]
    # any number of boxes in the crowd, or none: one box is to be found
    for n_in_crowd in (0, 1, 2):
        found = [shown("a", ELSEWHERE, 0.9)] * n_in_crowd + [shown("a", SQUARE, 0.5)]
        assert coco_average_precision(truths, found)["AP"] == pytest.approx(1.0)


def test_the_area_is_of_the_object_where_it_is_given():
    got = coco_average_precision([true("a", SQUARE, area_px=5000.0)], [shown("a", SQUARE, 0.9)])
    assert got["AP small"] is None
    assert got["AP medium"] == pytest.approx(1.0)


def test_coco_counts_an_edge_in_both_sizes():
    box = (0.0, 0.0, 32.0, 32.0)
    got = coco_average_precision([true("a", box)], [shown("a", box, 0.9)])
    assert got["AP small"] == got["AP medium"] == pytest.approx(1.0)


def test_more_boxes_than_coco_allows_do_not_count():
    many = [shown("a", ELSEWHERE, 1 - n / 1000) for n in range(100)]
    assert coco_average_precision([true("a", SQUARE)], [*many, shown("a", SQUARE, 0.1)])["AP"] == 0
    fewer = coco_average_precision([true("a", SQUARE)], [*many[1:], shown("a", SQUARE, 0.1)])
    assert fewer["AP"] == pytest.approx(1 / 100)


def test_it_says_nothing(capfd):
    coco_average_precision([true("a", SQUARE)], [shown("a", SQUARE, 0.9)])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "box", [(5.0, 0.0, 4.0, 9.0), (0.0, 0.0, float("nan"), 1.0), (0.0, 0.0, float("inf"), 1.0)]
)
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(AnnotationError, match="is none"):
        coco_average_precision([true("a", SQUARE)], [shown("a", box, 0.9)])


def test_a_box_without_area_finds_nothing():
    got = coco_average_precision([true("a", SQUARE)], [shown("a", (3.0, 3.0, 3.0, 3.0), 0.9)])
    assert got["AP"] == 0.0


CORNERS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 5), st.integers(1, 5))
BOXES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), CORNERS), max_size=12)


def xyxy(corners):
    x, y, width, height = (40.0 * value for value in corners)
    return (x, y, x + width, y + height)


@settings(max_examples=25)
@given(truths=BOXES.filter(bool), found=BOXES.filter(bool), data=st.data())
def test_against_cocoeval_with_everything_at_once(truths, found, data):
    scores = data.draw(st.lists(st.integers(0, 5), min_size=len(found), max_size=len(found)))
    annotations = [
        {"id": n, "image_id": i, "category_id": q, "bbox": [40.0 * v for v in box], "iscrowd": 0}
        | {"area": 1600.0 * box[2] * box[3]}
        for n, (i, q, box) in enumerate(truths, start=1)
    ]
    numbers = [{"id": n} for n in (1, 2, 3)]
    truth = {"images": numbers, "categories": numbers, "annotations": annotations}
    results = [
        {"image_id": i, "category_id": q, "bbox": [40.0 * v for v in box], "score": score / 5}
        for (i, q, box), score in zip(found, scores, strict=True)
    ]
    expected = cocoeval(truth, results)
    got = coco_average_precision(
        [true(str(i), xyxy(box), str(q)) for i, q, box in truths],
        [
            shown(str(i), xyxy(box), score / 5, str(q))
            for (i, q, box), score in zip(found, scores, strict=True)
        ],
    )
    for name in NAMES:
        assert (-1 if got[name] is None else got[name]) == pytest.approx(expected[name], abs=1e-9)


@pytest.fixture(scope="module")
def d3_files(matir_data):
    folder = matir_data / "annotations" / "d3_format_derived"
    parts = ("full", "pres", "abs")
    return {p: json.loads((folder / f"d3_{p}_annotations.json").read_text()) for p in parts}


@pytest.fixture(scope="module")
def d3(d3_files):
    """Return the D3 sample as a dataset: sentences 1 to 10 are asked of images with even ids."""
    full, absence = d3_files["full"], {c["id"] for c in d3_files["abs"]["categories"]}
    names = {image["id"]: image["file_name"] for image in full["images"]}
    boxes = defaultdict(lambda: defaultdict(list))
    for row in full["annotations"]:
        boxes[row["category_id"]][names[row["image_id"]]].append(row["bbox"])
    queries = tuple(
        QueryTruth(
            query_id=str(sentence["id"]),
            text=sentence["name"],
            kind="absence" if sentence["id"] in absence else "presence",
            relevant=frozenset(boxes[sentence["id"]]),
            boxes_xyxy={name: xywh_to_xyxy(b) for name, b in boxes[sentence["id"]].items()},
            judged=frozenset(n for i, n in names.items() if (i % 2 == 0) == (sentence["id"] <= 10)),
        )
        for sentence in full["categories"]
    )
    return Dataset("d3", Source("D3", "", ""), tuple(names.values()), queries)


@pytest.fixture(scope="module")
def d3_observed(d3):
    """Return an answer to each sentence: every image once, right boxes moved or of elsewhere."""
    rng = np.random.default_rng(5)
    rows = []
    for query in d3.queries:
        images = sorted(d3.image_ids, key=lambda n: rng.random() - 0.3 * (n in query.relevant))
        hits = []
        for rank, name in enumerate(images, start=1):
            there = query.boxes_xyxy.get(name)
            if there is None:
                box = [10.0, 10.0, 60.0, 60.0] if rng.random() < 0.7 else None
            else:
                x0, y0, x1, y1 = (float(v) for v in there[rng.integers(len(there))])
                dx, dy = rng.normal(0, 0.1, 2) * (x1 - x0, y1 - y0)
                box = [x0 + dx, y0 + dy, x1 + dx, y1 + dy]
            hits.append({"image_id": name, "rank": rank, "box_xyxy": box})
        rows.append({"arm": "stage1", "query_id": query.query_id, "hits": hits})
    return pl.DataFrame(rows, schema=OBSERVED_SCHEMA)


def d3_results(observed, d3, files, *, separated):
    """Return what a D3 evaluation submits: COCO results, in the intra setting of the group."""
    ids = {image["file_name"]: image["id"] for image in files["full"]["images"]}
    judged = {query.query_id: query.judged for query in d3.queries}
    return [
        {
            "image_id": ids[box.image_id],
            "category_id": int(box.query_id),
            "bbox": [*box.box_xyxy[:2], *np.subtract(box.box_xyxy[2:], box.box_xyxy[:2])],
            "score": box.score,
        }
        for box in found_boxes(observed)
        if not separated or box.image_id in judged[box.query_id]
    ]


def counted_from_one(truth):
    rows = [row | {"id": row["id"] + 1} for row in truth["annotations"]]
    return truth | {"annotations": rows}


def value(table, group, metric="AP"):
    wanted = (pl.col("group") == group) & (pl.col("metric") == metric)
    return table.filter(wanted)["value"].item()


@pytest.mark.parametrize(
    ("part", "group"), [("full", "overall"), ("pres", "presence"), ("abs", "absence")]
)
def test_d3_within_groups_is_what_its_own_evaluation_gives(d3, d3_observed, d3_files, part, group):
    table = d3_average_precision(d3_observed, d3)
    assert table.schema == AP_SCHEMA
    wanted = {c["id"] for c in d3_files[part]["categories"]}
    results = d3_results(d3_observed, d3, d3_files, separated=True)
    results = [row for row in results if row["category_id"] in wanted]
    expected = cocoeval(counted_from_one(d3_files[part]), results)
    for metric in ("AP", "AP50", "AP75"):
        assert value(table, group, metric) == pytest.approx(expected[metric], abs=1e-9)
    assert 0.05 < expected["AP"] < 0.95


def test_d3_by_size_is_what_cocoeval_gives_for_the_areas_of_the_boxes(d3, d3_observed, d3_files):
    table = d3_average_precision(d3_observed, d3)
    truth = counted_from_one(d3_files["full"])
    of_boxes = [row | {"area": row["bbox"][2] * row["bbox"][3]} for row in truth["annotations"]]
    results = d3_results(d3_observed, d3, d3_files, separated=True)
    expected = cocoeval(truth | {"annotations": of_boxes}, results)
    for size in SIZES:
        found = value(table, f"size: {size}")
        assert found == pytest.approx(expected[f"AP {size}"], abs=1e-9)
        assert 0 < found < 1


def test_d3_over_all_groups_sees_the_wrong_boxes_of_other_groups(d3, d3_observed, d3_files):
    everywhere = tuple(
        QueryTruth(q.query_id, q.text, q.kind, q.relevant, boxes_xyxy=q.boxes_xyxy)
        for q in d3.queries
    )
    inter = Dataset("d3", d3.source, d3.image_ids, everywhere)
    got = value(d3_average_precision(d3_observed, inter), "overall")
    results = d3_results(d3_observed, d3, d3_files, separated=False)
    expected = cocoeval(counted_from_one(d3_files["full"]), results)
    assert got == pytest.approx(expected["AP"], abs=1e-9)
    assert got < value(d3_average_precision(d3_observed, d3), "overall")


def test_d3_by_length_of_the_sentence(d3, d3_observed):
    table = d3_average_precision(d3_observed, d3)
    n = {row["group"]: row["n"] for row in table.filter(pl.col("metric") == "AP").to_dicts()}
    n = {group: count for group, count in n.items() if not group.startswith("size: ")}
    # "a knife" ... 10 of 2 or 3 words, 5 of 7 or 8, "a person in a picture without any knife" 8
    kinds, lengths = {"presence": 15, "absence": 5}, {"1–3 words": 10, "7–9 words": 10}
    assert n == {"overall": 20} | kinds | lengths
    short, long = value(table, "1–3 words"), value(table, "7–9 words")
    assert value(table, "overall") == pytest.approx((10 * short + 10 * long) / 20)


def test_the_released_files_count_from_zero_and_lose_their_first_box(d3_files):
    """COCOeval takes the true box with id 0 for "not matched": a perfect answer is below 1."""
    truth = d3_files["full"]
    results = [
        {"image_id": r["image_id"], "category_id": r["category_id"], "bbox": r["bbox"], "score": 1}
        for r in truth["annotations"]
    ]
    assert cocoeval(counted_from_one(truth), results)["AP"] == pytest.approx(1.0)
    assert cocoeval(truth, results)["AP"] < 0.999


def test_d3_of_several_arms_is_refused(d3, d3_observed):
    two = pl.concat([d3_observed, d3_observed.with_columns(arm=pl.lit("judged"))])
    with pytest.raises(ConfigError, match="several arms"):
        d3_average_precision(two, d3)


def test_d3_of_nothing_has_no_rows(d3, d3_observed):
    assert d3_average_precision(d3_observed.clear(), d3).rows() == []
