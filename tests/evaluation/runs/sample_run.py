"""A made-up run: two arms, thirty queries over sixty pictures, with masks, boxes and a judge."""

from types import SimpleNamespace

import numpy as np
import polars as pl

from matir_nb.errors import ImageError
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.measures import measured
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA
from matir_nb.evaluation.runs.summary import summarise
from matir_nb.geometry.masks import area, encode, regions_from_masks
from matir_nb.types import QueryTruth

N_QUERIES, N_IMAGES, DEPTH = 30, 60, 60
IMAGES = tuple(f"photos/{i:03}.jpg" for i in range(N_IMAGES))
HOSTILE = "</td><script>globalThis.pwned=1</script>|*x* `y` [z](http://e.vil)\u202e\n$1$"


def mask_at(place, side):
    """Return a square of a 48 x 64 picture."""
    inside = np.zeros((48, 64), bool)
    x, y = place * 7 % 40, place * 5 % 24
    inside[y : y + side, x : x + side] = True
    return encode(inside)


def sample_dataset():
    rng = np.random.default_rng(1)
    queries = []
    for i in range(N_QUERIES):
        n = 0 if i % 10 == 9 else 1 + i % 4
        relevant = sorted(rng.choice(N_IMAGES, n, replace=False).tolist())
        masks = {IMAGES[r]: (mask_at(r, 3 if r % 5 == 0 else 20),) for r in relevant}
        kind = "absence" if n == 0 else ("attribute", "relation")[i % 2]
        text = HOSTILE if i == 3 else f"the red thing number {i}"
        queries.append(QueryTruth(f"q{i:02}", text, kind, frozenset(masks), masks))
    source = Source(
        "Made-up photographs (Nobody, 2026)", "https://example.org/d?a=1&b=2", "CC0-1.0"
    )
    protocol = {"relevant": "has at least one instance", "gallery": "all <60> images"}
    return Dataset("sample", source, IMAGES, tuple(queries), protocol, depth=DEPTH)


def _hit(rank, row, truth, rng, *, is_judged):
    name = IMAGES[row]
    is_relevant = name in truth.relevant
    p = float(np.clip(0.75 * is_relevant + rng.uniform(0, 0.3), 0.01, 0.99))
    iou = float(rng.uniform(0.3, 1.0))
    return {
        "image_id": name,
        "rank": rank,
        "score": 8.0 - rank * 0.4 + float(rng.normal(0, 0.1)),
        "stage1_rank": rank,
        "stage1_score": 0.5 - rank / 100,
        "p_relevant": p if is_judged and rank <= 12 else None,
        "above_cut": p > 0.5 if is_judged else None,
        "is_relevant": is_relevant,
        "region_id": 0,
        "mask_iou": iou if is_relevant else None,
        "union_iou": iou if is_relevant else None,
        "intersection_px": int(400 * iou) if is_relevant else None,
        "union_px": 400 if is_relevant else None,
        "box_iou": None,
        "box_xyxy": [4.0, 4.0, 30.0, 30.0],
    }


def _row(arm, truth, boost, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, N_IMAGES)
    scores[:2] += 1.2  # hubs
    scores[[IMAGES.index(name) for name in truth.relevant]] += boost
    order = np.argsort(-scores)[:DEPTH]
    judged = arm != "stage1"
    hits = [_hit(i, r, truth, rng, is_judged=judged) for i, r in enumerate(order.tolist(), 1)]
    targets = [
        {"image_id": n, "n_targets": 1, "area_px": float(area(m)), "area_fraction": area(m) / 3072}
        for n, (m,) in sorted(truth.masks.items())
    ]
    return {
        "arm": arm,
        "query_id": truth.query_id,
        "text": truth.text,
        "kind": truth.kind,
        "n_relevant": len(truth.relevant),
        "n_gallery": N_IMAGES,
        "seconds": 0.1 if arm == "stage1" else 0.4,
        "hits": hits,
        "targets": targets,
    }


def sample_run(folder, *, second="structured", boosts=(1.0, 2.4)):
    """Return a run whose second arm is better, and its dataset."""
    dataset = sample_dataset()
    rows = [
        _row(arm, truth, boost, seed)
        for arm, boost in zip(("stage1", second), boosts, strict=True)
        for seed, truth in enumerate(dataset.queries)
    ]
    queries = measured(pl.DataFrame(rows, OBSERVED_SCHEMA))
    provenance = {
        "dataset": {
            "name": dataset.name,
            "source": {
                "title": dataset.source.title,
                "url": dataset.source.url,
                "licence": dataset.source.licence,
            },
            "protocol": dict(dataset.protocol),
            "headline": list(dataset.headline),
            "depth": dataset.depth,
            "n_images": len(dataset.image_ids),
            "digest": "d" * 64,
        },
        "arms": {
            "stage1": {"judge": False, "options": {}, "n_judged": 0},
            second: {"judge": "structured", "options": {"retrieve.region_weight": 0.5}},
        },
        "models": {"segmenter": "embedded:sam2@1", "encoder": "embedded:alpha-clip@1"},
        "index": {"path": "/home/somebody/i.matir", "n_images": N_IMAGES},
        "notices": [],
        "versions": {"matir_nb": "0.1", "numpy": "2"},
        "seed": 0,
        "command": "matir eval sample",
        "seconds": {"total": 12.5},
    }
    return Run(folder, queries, summarise(queries, dataset), provenance), dataset


class FakeIndex:
    """Pictures and regions of the sample; one picture cannot be read."""

    image_ids = IMAGES

    def has_image(self, image_id):
        return image_id in IMAGES

    def holder_of(self, _names):
        return None

    def load_image(self, image_id):
        if image_id == IMAGES[7]:
            raise ImageError("gone")
        pixels = np.full((48, 64, 3), 90, np.uint8)
        pixels[..., 0] = IMAGES.index(image_id) * 4
        return pixels

    def regions_of(self, image_id):
        return regions_from_masks([mask_at(IMAGES.index(image_id) + 1, 18)])


ENGINE = SimpleNamespace(index=FakeIndex())
