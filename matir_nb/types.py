"""The domain types: what flows from a folder of images to a ranked, explained result.

All are frozen; arrays are made read-only at birth and shape errors say expected and got.
Boxes are ``xyxy`` = (x0, y0, x1, y1): absolute pixels of the upright image, origin top-left,
half-open (width = x1 - x0). Higher scores are better, always; ``None`` means that a stage did
not run or found nothing. This module knows no file format, no model and no codec
(`matir_nb.geometry.masks` encodes and decodes `MaskRLE`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matir_nb.errors import ShapeError

BoxXYXY: TypeAlias = tuple[float, float, float, float]
RGBImage: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8, upright."""
FloatArray: TypeAlias = NDArray[np.float32]
MARKS = ("relevant", "not relevant", "unsure")
"""What a person may say of a hit."""


def _read_only(name: str, array: object, shape: tuple[int | None, ...]) -> FloatArray:
    """Return `array` as float32, read-only, after checking its shape (None = any length)."""
    result = np.array(array, dtype=np.float32)
    fits = result.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(shape, result.shape, strict=False)
    )
    if not fits:
        expected = "(" + ", ".join("n" if n is None else str(n) for n in shape) + ")"
        message = f"{name}: expected shape {expected}, got {result.shape}"
        raise ShapeError(message)
    result.setflags(write=False)
    return result


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What an image file says of itself; None = not known.

    Attributes:
        n_bytes: size of the file.
        modified: when the file was last written, UTC.
        format: as Pillow names it: "JPEG", "PNG", ...
        taken: when the picture was taken, by the camera's clock, without a zone (EXIF).
        camera: make and model (EXIF).
        lens: model (EXIF).
        iso: sensitivity (EXIF).
        exposure_s: seconds (EXIF).
        f_number: (EXIF).
        focal_mm: focal length, as it is engraved (EXIF).
        latitude: degrees, north positive (EXIF).
        longitude: degrees, east positive (EXIF).
    """

    n_bytes: int | None = None
    modified: datetime | None = None
    format: str | None = None
    taken: datetime | None = None
    camera: str | None = None
    lens: str | None = None
    iso: int | None = None
    exposure_s: float | None = None
    f_number: float | None = None
    focal_mm: float | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One readable image of a folder.

    Attributes:
        image_id: posix path under the root.
        path: where the file is now.
        width: pixels, after EXIF orientation.
        height: pixels, after EXIF orientation.
        fingerprint: hex digest of the file's bytes.
        facts: what the file says of itself.
    """

    image_id: str
    path: Path
    width: int
    height: int
    fingerprint: str
    facts: FileFacts = FileFacts()


@dataclass(frozen=True, slots=True)
class MaskRLE:
    """A binary mask as COCO compressed run-length encoding (column-major).

    Attributes:
        size: (height, width) in pixels.
        counts: the compressed runs, as pycocotools writes them.
    """

    size: tuple[int, int]
    counts: bytes


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of one image, n rows, columnar; row number = region id.

    Attributes:
        masks: n masks, all of the image's size.
        boxes_xyxy: (n, 4) float32, tight half-open boxes of the masks.
        areas: (n,) float32, pixels.
        predicted_ious: (n,) float32, the segmenter's own estimate; 1 for given masks that say none.
        stability_scores: (n,) float32 in [0, 1]; 1 for given masks that say none.
    """

    masks: tuple[MaskRLE, ...]
    boxes_xyxy: FloatArray
    areas: FloatArray
    predicted_ious: FloatArray
    stability_scores: FloatArray

    def __post_init__(self) -> None:
        """Check that every column has one row per mask."""
        n = len(self.masks)
        object.__setattr__(self, "masks", tuple(self.masks))
        boxes = np.asarray(self.boxes_xyxy, dtype=np.float32)
        boxes = boxes.reshape(0, 4) if n == 0 and boxes.size == 0 else boxes
        object.__setattr__(self, "boxes_xyxy", _read_only("boxes_xyxy", boxes, (n, 4)))
        for name in ("areas", "predicted_ious", "stability_scores"):
            object.__setattr__(self, name, _read_only(name, getattr(self, name), (n,)))

    def __len__(self) -> int:
        """Return the number of regions."""
        return len(self.masks)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> "Regions":
        """Return the regions of `rows`, in that order."""
        picked = [int(row) for row in rows]
        return Regions(
            masks=tuple(self.masks[row] for row in picked),
            boxes_xyxy=self.boxes_xyxy[picked],
            areas=self.areas[picked],
            predicted_ious=self.predicted_ious[picked],
            stability_scores=self.stability_scores[picked],
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image as stage 1 sees it.

    Attributes:
        image_id: posix path under the root.
        stage1_rank: 1 = best.
        stage1_score: region_weight * best_region_score + image_weight * whole_image_score
            - hub_score + refine_weight * reference_score; what is None is not in it.
        best_region_score: cosine of the query with the best region; None without regions.
        whole_image_score: cosine of the query with the whole image.
        region_ids: (m,) rows of the image's regions, best first.
        region_scores: (m,) float32 cosines; descending, where nothing is added to them.
        hub_score: what neutral phrases score in that region and image (`index.adjust.Hubs`),
            weighed as the cosines are; None = not de-hubbed.
        reference_score: how alike query and these lie among the references, weighed likewise;
            None = there are none.
    """

    image_id: str
    stage1_rank: int
    stage1_score: float
    best_region_score: float | None
    whole_image_score: float
    region_ids: tuple[int, ...]
    region_scores: FloatArray
    hub_score: float | None = None
    reference_score: float | None = None

    def __post_init__(self) -> None:
        """Check that ids and scores pair up."""
        ids = tuple(int(i) for i in self.region_ids)
        object.__setattr__(self, "region_ids", ids)
        scores = _read_only("region_scores", self.region_scores, (len(ids),))
        object.__setattr__(self, "region_scores", scores)

    @property
    def runner_up_score(self) -> float | None:
        """Cosine with the second-best region; None where fewer than two are known."""
        return float(self.region_scores[1]) if len(self.region_scores) > 1 else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What stage 2 says of one image.

    Attributes:
        image_id: posix path under the root.
        p_relevant: probability in [0, 1] that the image shows the query.
        logit: the raw log-odds behind `p_relevant`.
        box_xyxy: where, in pixels of the upright image; None = no box given.
        region_id: which stored region; None = none named.
        answer: the model's words, unedited.
    """

    image_id: str
    p_relevant: float
    logit: float
    box_xyxy: BoxXYXY | None
    region_id: int | None
    answer: str

    @property
    def is_abstention(self) -> bool:
        """True when the judge named neither a box nor a region: "not here"."""
        return self.box_xyxy is None and self.region_id is None


@dataclass(frozen=True, slots=True)
class Hit:
    """One row of a result: an image, every stage's score and rank, and the mask.

    Attributes:
        rank: 1 = best, by `final_score`.
        image_id: posix path under the root.
        path: the image file; relative to the index's image root.
        width: pixels of the upright image.
        height: pixels of the upright image.
        final_score: log-odds; the sum that `matir_nb.stages.align.final_score` documents.
        stage1_rank: rank after stage 1.
        stage1_score: fused cosine of stage 1, with what de-hubbing and references add.
        best_region_id: the best region: of the highest cosine, where nothing is added to
            cosines; None without regions.
        best_region_score: its cosine; None without regions.
        runner_up_score: cosine of the second-best region; None where fewer than two are known.
        whole_image_score: cosine with the whole image.
        null_percentile: percent of the unrelated phrases (neutral ones that share no word with
            the query) that score lower in this image, 0 to 100; None = not known.
        judge_rank: rank by the judge's logit among the judged; None = not judged.
        p_relevant: the judge's probability; None = not judged.
        logit: the judge's raw log-odds; None = not judged.
        answer: the judge's words; None = not judged.
        above_cut: whether this query's cut keeps it; None = there is no cut, or a judge decides
            and did not see it.
        judged_box_xyxy: the judge's box; None = none given or not judged.
        region_id: the region shown for the hit; None = nothing found.
        region_score: that region's stage-1 cosine; None = no region, or not among the m best.
        align_iou: box IoU of the judged box with that region, or with the best one where that
            is too little for a mask; None = no box was aligned.
        box_xyxy: tight box of the mask; None = no mask.
        mask: the mask; None = no mask.
        copies: image ids of other files with the same bytes.
        hub_score: what neutral phrases score here, which stage 1 subtracts; None = not de-hubbed.
        reference_score: how alike query and hit lie among the references, of which stage 1 adds
            a part; None = there are none.
    """

    rank: int
    image_id: str
    path: str
    width: int
    height: int
    final_score: float
    stage1_rank: int
    stage1_score: float
    best_region_id: int | None
    best_region_score: float | None
    runner_up_score: float | None
    whole_image_score: float
    null_percentile: float | None
    judge_rank: int | None
    p_relevant: float | None
    logit: float | None
    answer: str | None
    above_cut: bool | None
    judged_box_xyxy: BoxXYXY | None
    region_id: int | None
    region_score: float | None
    align_iou: float | None
    box_xyxy: BoxXYXY | None
    mask: MaskRLE | None
    copies: tuple[str, ...] = ()
    hub_score: float | None = None
    reference_score: float | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a result comes from, enough to ask again.

    Attributes:
        index_fingerprint: hex digest that ties the index to models, configs and preprocessing.
        models: role ("segmenter", "encoder", "judge") -> model id and revision.
        config: every stage's options, plain JSON values.
        versions: package -> version.
        seconds: stage -> seconds of this search.
        notices: what a reader of the scores must know (e.g. embedded models).
    """

    index_fingerprint: str
    models: Mapping[str, str]
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    seconds: Mapping[str, float]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogOdds:
    """What a cosine of an encoder is worth as evidence: log-odds = scale * cosine + bias.

    Attributes:
        scale: positive.
        bias: log-odds at cosine 0.
    """

    scale: float
    bias: float

    def of(self, cosine: float) -> float:
        """Return the log-odds of one cosine.

        >>> LogOdds(scale=10, bias=-4).of(0.5)
        1.0
        """
        return self.scale * cosine + self.bias


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many scores lie between neighbouring edges; the last bin holds its upper edge, too.

    Attributes:
        edges: n + 1, ascending.
        counts: n.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that there is one more edge than there are bins."""
        object.__setattr__(self, "edges", tuple(float(edge) for edge in self.edges))
        object.__setattr__(self, "counts", tuple(int(count) for count in self.counts))
        if len(self.edges) != len(self.counts) + 1:
            message = f"edges: expected {len(self.counts) + 1}, got {len(self.edges)}"
            raise ShapeError(message)

    @classmethod
    def of(cls, scores: FloatArray, *, covering: Sequence[float], n_bins: int = 24) -> "Histogram":
        """Count `scores` in `n_bins` equal bins; their range covers the scores of `covering`, too.

        >>> scores = np.array([0.0, 1.0, 1.0], np.float32)
        >>> Histogram.of(scores, covering=[2.0], n_bins=2)
        Histogram(edges=(0.0, 1.0, 2.0), counts=(1, 2))
        """
        everything = np.concatenate([scores, np.asarray(covering, np.float32)])
        span = (everything.min(), everything.max()) if len(everything) else (0.0, 1.0)
        counts, edges = np.histogram(scores, n_bins, span)
        return cls(tuple(edges), tuple(counts))


@dataclass(frozen=True, slots=True)
class QueryTruth:
    """What is right for one query over a gallery.

    Attributes:
        query_id: unique within the query set.
        text: the query.
        kind: group for reports ("attribute", "relation", "count", ...).
        relevant: image ids that show the query.
        masks: image id -> the masks that answer the query there (empty = no place to point at).
        boxes_xyxy: image id -> (n, 4) boxes of those masks.
        judged: image ids of which is known whether they are relevant, the relevant among them;
            others are not searched for this query. None = the whole gallery.
    """

    query_id: str
    text: str
    kind: str
    relevant: frozenset[str]
    masks: Mapping[str, tuple[MaskRLE, ...]] = field(default_factory=dict)
    boxes_xyxy: Mapping[str, FloatArray] = field(default_factory=dict)
    judged: frozenset[str] | None = None
