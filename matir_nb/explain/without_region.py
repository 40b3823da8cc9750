"""One image of a result as the stages would see it without some of its regions.

Its stage-1 score and rank follow from stored cosines, and what is added to them. A judge is shown
the picture with those regions blanked, and neither them nor their vectors; the other regions move
up, so a judgement's region numbers are translated back (`judgement_of_image`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import JudgeConfig, RetrieveConfig
from matir_nb.errors import ConfigError, ShapeError
from matir_nb.explain.ledger import hit_of
from matir_nb.geometry.boundary import grow
from matir_nb.geometry.masks import decode, merge
from matir_nb.index.store import Index
from matir_nb.models.base import JudgeInput
from matir_nb.results import SearchResult
from matir_nb.stages.judge import calibrated
from matir_nb.stages.retrieve import Scan
from matir_nb.stages.seen import SeenImage
from matir_nb.types import FloatArray, Judgement, MaskRLE, RGBImage

RING = 0.1
"""Width of the ring whose colour fills a blanked region; 1 = the square root of its area."""
MIN_RING_PX = 2
REGION_NUMBER = re.compile(r"\bregion (\d+)\b")
RegionIds: TypeAlias = Sequence[int] | NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class ImageScan:
    """One image among all images of an index, as stage 1 scores them for one query.

    Attributes:
        image_id: of the index.
        row: its row there.
        seen: its scores, by region id.
        found: the scores of all images.
    """

    image_id: str
    row: int
    seen: SeenImage
    found: Scan

    @classmethod
    def of(cls, result: SearchResult, rank: int) -> "ImageScan":
        """Score all images for the query of `result`; show the hit at `rank`.

        Raises:
            ConfigError: no such rank, no source, or the result's options are not known.
        """
        hit, source = hit_of(result, rank), result.source_for("occlusions need")
        if "retrieve" not in result.provenance.config:
            message = "the result does not say how stage 1 weighed its cosines: search again"
            raise ConfigError(message)
        engine = source.engine()
        config = RetrieveConfig(**result.provenance.config["retrieve"])
        keep = engine.kept_by(result.provenance)
        found = engine.scan(result.query, config=config, keep=keep)
        row = int(engine.index.rows_of([hit.image_id])[0])
        return cls(hit.image_id, row, found.image(hit.image_id), found)

    @property
    def cosines(self) -> FloatArray:
        """(n,) float32 of the query with the regions, by region id."""
        return self.seen.cosines

    @property
    def stage1_score(self) -> float:
        """Stage-1 score with all regions."""
        return float(self.found.stage1_scores[self.row])

    def best_first(self) -> list[int]:
        """Return the region ids by what stage 1 ranks them by; equal ones by id."""
        return self.seen.best_first()

    def score_without(self, gone: RegionIds) -> float:
        """Return the stage-1 score without the regions `gone` (`index.vectors.fuse`)."""
        return self.seen.take(self._without(gone)).stage1_score

    def rank_of(self, score: float) -> int:
        """Return the image's rank among all once its score is `score`; equal ones by image id."""
        return rank_of(score, self.row, self.found.stage1_scores, self.found.index.id_ranks)

    def input_without(self, gone: RegionIds) -> JudgeInput:
        """Return what a judge may look at: the blanked picture, the other regions, their vectors.

        The picture is read and blanked when the judge loads it.
        """
        index: Index = self.found.index
        ref, regions = index.ref_of(self.image_id), index.regions_of(self.image_id)
        kept, score = self._without(gone), self.score_without(gone)
        load = partial(_blanked, index, self.image_id, regions.take(gone).masks)
        return JudgeInput(
            candidate=self.seen.take(kept).candidate(self.rank_of(score), score),
            width=ref.width,
            height=ref.height,
            regions=regions.take(kept),
            region_vectors=index.region_vectors_of(self.image_id)[kept],
            load_image=load,
        )

    def _without(self, gone: RegionIds) -> NDArray[np.intp]:
        return np.setdiff1d(np.arange(len(self.cosines)), gone)


def rank_of(
    score: float, row: int, scores: NDArray[np.floating], id_ranks: NDArray[np.int64]
) -> int:
    """Return the rank that the image of `row` would have with another score; 1 = best.

    Args:
        score: of that image.
        row: its row.
        scores: (images,) of all images.
        id_ranks: (images,) place of each image by id, which settles equal scores.

    >>> rank_of(2.0, 0, np.array([3.0, 2.0, 1.0]), np.array([1, 0, 2]))
    2
    """
    ahead = (scores > score) | ((scores == score) & (id_ranks < id_ranks[row]))
    ahead[row] = False
    return int(ahead.sum()) + 1


def ask_again(result: SearchResult, inputs: Sequence[JudgeInput]) -> list[Judgement]:
    """Return what the judge behind `result` says of each of `inputs`; nothing is remembered.

    Its p is calibrated as in `result`.

    Raises:
        ConfigError: there is no judge.
    """
    judge = result.source_for("occlusions need").engine().judge_of(result)
    judging = JudgeConfig(**result.provenance.config["judging"])
    told: list[Judgement] = []
    for start in range(0, len(inputs), judging.chunk_size):
        told += judge.judge(result.query, inputs[start : start + judging.chunk_size])
    if len(told) != len(inputs):
        message = f"judge {judge.model_id!r}: expected {len(inputs)} judgements, got {len(told)}"
        raise ShapeError(message)
    return [calibrated(judgement, judging) for judgement in told]


def judgement_of_image(judgement: Judgement, *, gone: int) -> Judgement:
    """Return a judgement made without region `gone`, its region numbers being the image's own.

    Numbers in the words, too, where a judge writes "region 3"; letters of a judge's own list stay.

    >>> told = Judgement("a.png", 0.9, 2.2, None, 3, "yes: region 3 is red, region 0 is not")
    >>> own = judgement_of_image(told, gone=1)
    >>> own.region_id, own.answer
    (4, 'yes: region 4 is red, region 0 is not')
    """

    def own(row: int) -> int:
        return row + (row >= gone)

    region_id = judgement.region_id
    return replace(
        judgement,
        region_id=None if region_id is None else own(region_id),
        answer=REGION_NUMBER.sub(lambda found: f"region {own(int(found[1]))}", judgement.answer),
    )


def blank(image: RGBImage, mask: MaskRLE) -> RGBImage:
    """Return the picture with the mask's pixels in the mean colour of the ring around it.

    The ring is as wide as `RING` says; a mask without surroundings gets the picture's mean.

    >>> from matir_nb.geometry.masks import encode
    >>> image = np.zeros((1, 3, 3), np.uint8)
    >>> image[0, :, 0] = 90, 200, 50
    >>> blank(image, encode([[False, True, False]]))[0, :, 0].tolist()
    [90, 70, 50]
    """
    inside = decode(mask)
    reach = max(MIN_RING_PX, round(RING * float(inside.sum()) ** 0.5))
    ring = grow(inside, reach) & ~inside
    around = image[ring] if ring.any() else image.reshape(-1, 3)
    blanked = image.copy()
    blanked[inside] = np.round(around.mean(axis=0)).astype(np.uint8)
    return blanked


def _blanked(index: Index, image_id: str, masks: Sequence[MaskRLE]) -> RGBImage:
    image = index.load_image(image_id)
    return blank(image, merge(masks)) if masks else image
