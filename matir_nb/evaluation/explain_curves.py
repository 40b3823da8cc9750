"""Deletion and insertion: how fast a hit loses, or gains, its reason as regions go or come.

Petsiuk et al., "RISE" (BMVC 2018, §4.2), with whole regions in place of pixels, for three
measures: the stage-1 score, the judge's p, and the truth of the scene, which no model decides.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from zlib import crc32

import numpy as np

from matir_nb.evaluation.faithfulness import (
    Order,
    occlusion_order,
    oracle_order,
    random_orders,
    truth_curve,
)
from matir_nb.explain.occlusion import auc, deletion_curve
from matir_nb.explain.without_region import ImageScan, ask_again
from matir_nb.results import SearchResult
from matir_nb.stages.seen import SeenImage
from matir_nb.types import FloatArray, Hit, Regions

N_RANDOM = 10
"""Random orders whose areas are averaged."""
STAGE1, TRUTH, JUDGE = "stage 1", "truth", "judge"
CURVES = (STAGE1, TRUTH, JUDGE)
OCCLUSION, RANDOM, ORACLE = "occlusion", "random", "oracle"
ORDERS = (OCCLUSION, RANDOM, ORACLE)

Curve: TypeAlias = Callable[[Order], Sequence[float]]


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """A right hit, its regions and what stage 1 says of each.

    Attributes:
        hit: whose image is relevant.
        regions: of its image, n.
        cosines: (n,) with the query.
        drops: (n,) of the stage-1 score without the region.
        ious: (n,) with the nearest target.
    """

    hit: Hit
    regions: Regions
    cosines: FloatArray
    drops: FloatArray
    ious: FloatArray

    @property
    def best(self) -> int | None:
        """The region whose loss costs most."""
        return int(occlusion_order(self.drops, self.cosines)[0]) if len(self.regions) else None


@dataclass(frozen=True, slots=True)
class Areas:
    """Mean areas under the curves of one measure and order.

    Attributes:
        curve: one of `CURVES`.
        order: one of `ORDERS`.
        deletion: small when the order names the reason first.
        insertion: large when it does.
    """

    curve: str
    order: str
    deletion: float
    insertion: float


def areas(result: SearchResult, seen: Explained, *, asks_judge: bool, seed: int) -> Iterator[Areas]:
    """Yield the areas of every measure and order; none for a hit without regions.

    Args:
        result: the answer.
        seen: one of its right hits.
        asks_judge: measure the judge, too: 2 (n + 1) questions for each order.
        seed: of the random orders.
    """
    n = len(seen.regions)
    if not n:
        return
    orders = {
        OCCLUSION: [occlusion_order(seen.drops, seen.cosines)],
        RANDOM: random_orders(n, N_RANDOM, seed=(seed, crc32(seen.hit.image_id.encode()))),
        ORACLE: [oracle_order(seen.ious)],
    }
    scan = ImageScan.of(result, seen.hit.rank)
    curves: dict[str, Curve] = {
        STAGE1: partial(_stage1_curve, scan.seen),
        TRUTH: partial(truth_curve, seen.ious),
    }
    if asks_judge:
        curves[JUDGE] = partial(_judge_curve, result, scan)
    for name, curve in curves.items():
        for order, some in orders.items():
            # to insert in an order is to delete in the reverse order, seen backwards
            deletion = np.mean([auc(curve(order)) for order in some])
            insertion = np.mean([auc(curve(order[::-1])) for order in some])
            yield Areas(name, order, float(deletion), float(insertion))


def _stage1_curve(seen: SeenImage, order: Order) -> Sequence[float]:
    regions, whole = seen.scores.astype(np.float32), float(seen.whole_score[0])
    scores: list[float] = deletion_curve(regions, whole, order, seen.config).tolist()
    return scores


def _judge_curve(result: SearchResult, scan: ImageScan, order: Order) -> list[float]:
    """Return the judge's p after 0 .. n regions are gone from the picture, in `order`."""
    inputs = [scan.input_without(order[:n_gone]) for n_gone in range(len(order) + 1)]
    return [judgement.p_relevant for judgement in ask_again(result, inputs)]
