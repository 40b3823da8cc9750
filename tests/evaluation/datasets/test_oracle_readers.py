"""An answer that knows the truth scores 1 with every reader; a shuffled one scores chance."""

from dataclasses import replace
from functools import cache
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from oracle_sets import SETS

from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.datasets.readers import READERS
from matir_nb.evaluation.metrics import chance, ranking
from matir_nb.evaluation.metrics.grounding import (
    best_iou,
    joint_average_precision_at_k,
    union_iou,
)
from matir_nb.evaluation.oracle import Oracle
from matir_nb.geometry.masks import merge
from matir_nb.index.build import build
from matir_nb.opening import open_engine

RANKING = {
    "R@1": lambda ranked, n: ranking.recall_at_k(ranked, n, 1),
    "R@5": lambda ranked, n: ranking.recall_at_k(ranked, n, 5),
    "R@50": lambda ranked, n: ranking.recall_at_k(ranked, n, 50),
    "recall": lambda ranked, n: ranking.share_recall_at_k(ranked, n, ranked.shape[1]),
    "MRR": ranking.reciprocal_rank,
    "nDCG@10": lambda ranked, n: ranking.ndcg_at_k(ranked, n, 10),
    "nDCG@50": lambda ranked, n: ranking.ndcg_at_k(ranked, n, 50),
    "mAP@50": lambda ranked, n: ranking.average_precision_at_k(ranked, n, 50),
    "mAP@50/found": lambda ranked, n: ranking.average_precision_at_k(
        ranked, n, 50, normaliser="found"
    ),
    "mAP/relevant": lambda ranked, n: ranking.average_precision_at_k(
        ranked, n, ranked.shape[1], normaliser="relevant"
    ),
}
CHANCE = {
    "R@2": (
        lambda ranked, n: ranking.recall_at_k(ranked, n, 2),
        lambda n, gallery: chance.expected_recall_at_k(n, gallery, 2),
    ),
    "MRR": (ranking.reciprocal_rank, chance.expected_reciprocal_rank),
    "nDCG@4": (
        lambda ranked, n: ranking.ndcg_at_k(ranked, n, 4),
        lambda n, gallery: chance.expected_ndcg(n, gallery, 4),
    ),
    **{
        f"mAP@4/{z}": (
            lambda ranked, n, z=z: ranking.average_precision_at_k(ranked, n, 4, normaliser=z),
            lambda n, gallery, z=z: chance.expected_average_precision(n, gallery, 4, normaliser=z),
        )
        for z in ranking.NORMALISERS
    },
}
N_SMALL = 6
"""Images of a gallery all of whose orders are tried: 720."""
MAX_QUERIES = 40
OVER_PHOTOS = ("coco", "coco-captions", "coco-panoptic", "d3", "refcoco")


@pytest.fixture(scope="session")
def read(matir_data, tmp_path_factory):
    @cache
    def one(name):
        return SETS[name](matir_data, tmp_path_factory.mktemp(name))

    return one


def searched(dataset, query):
    return [name for name in dataset.image_ids if query.judged is None or name in query.judged]


def rankings(dataset, order):
    """Return (q, n) relevance of the searched images in an order, and how many are relevant."""
    rows = [
        [name in q.relevant for name in order(q, searched(dataset, q))] for q in dataset.queries
    ]
    ranked = np.zeros((len(rows), max(map(len, rows))), bool)
    for row, values in zip(ranked, rows, strict=True):
        row[: len(values)] = values
    return ranked, np.array([len(q.relevant) for q in dataset.queries])


def test_every_reader_has_a_dataset_here():
    assert SETS.keys() == READERS.keys()


@pytest.mark.parametrize("name", SETS)
def test_what_is_relevant_can_be_found(name, read):
    dataset = read(name)
    for query in dataset.queries:
        there = set(searched(dataset, query))
        assert query.relevant <= there
        assert query.masks.keys() | query.boxes_xyxy.keys() <= query.relevant
        for image_id, masks in query.masks.items():
            assert len({mask.size for mask in masks}) <= 1
            assert len(query.boxes_xyxy[image_id]) >= len(masks)


@pytest.mark.parametrize("name", SETS)
def test_a_right_ranking_scores_one(name, read):
    dataset = read(name)
    ranked, n = rankings(dataset, lambda q, ids: sorted(ids, key=lambda i: i not in q.relevant))
    assert (n > 0).any()
    for metric, score in RANKING.items():
        values = score(ranked, n)
        assert values[n > 0] == pytest.approx(1.0, abs=1e-12), metric
        assert np.isnan(values[n == 0]).all(), metric


@pytest.mark.parametrize("name", SETS)
def test_the_true_masks_score_one(name, read):
    dataset = read(name)
    ranked, n = rankings(dataset, lambda q, ids: sorted(ids, key=lambda i: i not in q.relevant))
    for of_one in (
        lambda masks: best_iou(masks[-1], masks),
        lambda masks: union_iou(merge(masks), masks)[0],
    ):
        ious = np.full(ranked.shape, np.nan)
        for row, query in zip(ious, dataset.queries, strict=True):
            order = sorted(searched(dataset, query), key=lambda i: i not in query.relevant)
            for place, image_id in enumerate(order):
                if query.masks.get(image_id):
                    row[place] = of_one(query.masks[image_id])
        assert set(np.unique(ious[~np.isnan(ious)])) <= {1.0}
        values = joint_average_precision_at_k(ranked, ious, n, k=50, tau=0.9)
        assert values[n > 0] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_all_shifts_of_a_gallery_give_chance(name, read):
    dataset = read(name)
    for query in dataset.queries[:MAX_QUERIES]:
        row = np.array([image_id in query.relevant for image_id in searched(dataset, query)])
        n, n_gallery = int(row.sum()), len(row)
        if not n:
            continue
        shifts = np.stack([np.roll(row, shift) for shift in range(n_gallery)])
        counts = np.full(n_gallery, n)
        assert ranking.recall_at_k(shifts, counts, 1).mean() == pytest.approx(n / n_gallery)
        for k in {1, min(2, n_gallery), n_gallery}:
            precision = ranking.precision_at_k(shifts, counts, k).mean()
            assert precision == pytest.approx(n / n_gallery, rel=1e-12)
            assert precision == pytest.approx(chance.expected_precision([n], n_gallery, k)[0])


@pytest.mark.parametrize("name", SETS)
def test_all_orders_of_a_small_gallery_give_chance(name, read):
    dataset = read(name)
    seen = set()
    for query in dataset.queries:
        ids = searched(dataset, query)
        few = [i for i in ids if i in query.relevant][: 1 + len(seen) % 3]
        few += [i for i in ids if i not in query.relevant][: N_SMALL - len(few)]
        row = [image_id in query.relevant for image_id in few]
        if not any(row) or (sum(row), len(row)) in seen:
            continue
        seen.add((sum(row), len(row)))
        orders = np.array(list(permutations(row)))
        counts = np.full(len(orders), sum(row))
        for metric, (score, expected) in CHANCE.items():
            wanted = expected([sum(row)], len(row))[0]
            assert score(orders, counts).mean() == pytest.approx(wanted, rel=1e-12), metric
    assert seen


def together(datasets):
    """Return all in one, each text with its dataset's name before it: one index serves all."""
    queries = [
        replace(query, query_id=f"{name} {query.query_id}", text=f"{name}: {query.text}")
        for name, dataset in datasets.items()
        for query in dataset.queries
    ]
    image_ids = dict.fromkeys(i for dataset in datasets.values() for i in dataset.image_ids)
    first = next(iter(datasets.values()))
    return Dataset("together", first.source, tuple(image_ids), tuple(queries))


@pytest.fixture(scope="session")
def asked(read, matir_data, tmp_path_factory):
    """Give an engine that knows the truth of all, and what each dataset is called in it."""
    photos = matir_data / "photos" / "coco_open"
    names = [path.name for path in photos.iterdir()]
    placed = {name: read(name).placed(names) for name in OVER_PHOTOS}
    oracle = Oracle(together(placed), photos)
    path = tmp_path_factory.mktemp("oracle") / "i.matir"
    build(photos, path, masks=oracle, encoder=oracle)
    return open_engine(path, encoder=oracle, judge=None), placed


@pytest.mark.parametrize("name", OVER_PHOTOS)
def test_the_engine_finds_all_of_the_truth_and_its_masks(name, asked):
    engine, placed = asked
    dataset = placed[name]
    groups = {}
    for query in dataset.queries:
        groups.setdefault(frozenset(searched(dataset, query)), []).append(query)
    for images, queries in groups.items():
        texts = [f"{name}: {query.text}" for query in queries]
        where = pl.col("image_id").is_in(sorted(images))
        k = max(len(query.relevant) for query in queries) + 1
        found = engine.searches(texts, k=k, where=where)
        for query, result in zip(queries, found, strict=True):
            n = len(query.relevant)
            assert {hit.image_id for hit in result.hits[:n]} == query.relevant, query.text
            for hit in result.hits[:n]:
                if hit.image_id in query.masks:
                    masks = query.masks[hit.image_id]
                    assert hit.mask in masks, query.text
                    boxes = query.boxes_xyxy[hit.image_id]
                    assert tuple(boxes[masks.index(hit.mask)]) == hit.box_xyxy
            assert all(hit.stage1_score < 1 for hit in result.hits[n:])
