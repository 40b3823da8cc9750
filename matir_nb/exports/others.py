"""A result as objects of other libraries: FiftyOne and supervision.

Both are imported when they are asked for, and are no dependencies of this package.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.exports.coco import probability
from matir_nb.geometry.masks import decode, tight_box_xyxy
from matir_nb.results import SearchResult
from matir_nb.types import BoxXYXY, Hit

NUMBERS = (
    "rank",
    "final_score",
    "stage1_rank",
    "stage1_score",
    "judge_rank",
    "p_relevant",
    "region_id",
    "align_iou",
)


class DetectionsByImage(Mapping[str, Any]):
    """Image id -> `supervision.Detections`, made when asked for: masks are large once decoded."""

    def __init__(self, result: SearchResult) -> None:
        """Look up the hits of `result`."""
        self._query = result.query
        self._hits = {hit.image_id: hit for hit in result.hits}

    def __getitem__(self, image_id: str) -> Any:
        """Return what was found in one image: one detection, or none without a mask."""
        return _detections(self._hits[image_id], self._query)

    def __iter__(self) -> Iterator[str]:
        """Yield the image ids, best first."""
        return iter(self._hits)

    def __len__(self) -> int:
        """Return the number of hits."""
        return len(self._hits)


def to_supervision(result: SearchResult) -> DetectionsByImage:
    """Return the `supervision.Detections` of every hit, by image id, best first.

    A hit with a mask is one detection: `mask` (1, H, W), `xyxy` its tight box, `confidence` the
    logistic of the final score, `class_id` 0, and in `data` the query as "class_name" and the
    hit's scores and ranks (None = the stage did not run or found nothing). A hit without a mask
    has no detection.

    Raises:
        ModelUnavailableError: supervision is not installed.
    """
    _supervision()
    return DetectionsByImage(result)


def to_fiftyone(
    result: SearchResult,
    *,
    images: str | Path | None = None,
    marks: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Any:
    """Return a `fiftyone.Dataset` with one sample per hit, best first (see `samples`).

    The query and where the result comes from are in the dataset's `info`.

    Args:
        result: what to show.
        images: folder that holds the images; None = that of the result's index.
        marks: image id -> mark, which becomes the sample's tag.
        name: of the dataset; None = one that FiftyOne makes up.

    Raises:
        ModelUnavailableError: fiftyone is not installed.
        ConfigError: the images' folder is not known.
    """
    fiftyone = _fiftyone()
    made = samples(result, images=images, marks=marks)
    dataset = fiftyone.Dataset(name)
    if made:
        dataset.add_samples(made, progress=False)
    provenance = result.provenance
    dataset.info = {
        "query": result.query,
        "index_fingerprint": provenance.index_fingerprint,
        "models": dict(provenance.models),
        "notices": list(provenance.notices),
    }
    dataset.save()
    return dataset


def samples(
    result: SearchResult,
    *,
    images: str | Path | None = None,
    marks: Mapping[str, str] | None = None,
) -> list[Any]:
    """Return a `fiftyone.Sample` per hit, in no dataset yet; needs no database.

    A sample has the hit's scores and ranks, the judge's `answer`, `found` (one detection labelled
    with the query: mask, box, and as confidence the logistic of the final score) and
    `judged_box`. What a stage did not find is None.

    Args:
        result: what to show.
        images: folder that holds the images; None = that of the result's index.
        marks: image id -> mark, which becomes the sample's tag.

    Raises:
        ModelUnavailableError: fiftyone is not installed.
        ConfigError: the images' folder is not known.
    """
    fiftyone = _fiftyone()
    root = _image_root(result, images)
    tags = marks or {}
    return [
        fiftyone.Sample(
            filepath=str(root / hit.path),
            tags=[tags[hit.image_id]] if hit.image_id in tags else [],
            metadata=fiftyone.ImageMetadata(width=hit.width, height=hit.height),
            image_id=hit.image_id,
            **{field: getattr(hit, field) for field in NUMBERS},
            answer=hit.answer,
            found=_found(fiftyone, hit, result.query),
            judged_box=_judged_box(fiftyone, hit),
        )
        for hit in result.hits
    ]


def _supervision() -> Any:
    try:
        import supervision
    except ImportError as error:
        message = f"to_supervision needs supervision ({error}): pip install supervision"
        raise ModelUnavailableError(message) from error
    return supervision


def _fiftyone() -> Any:
    try:
        import fiftyone
    except ImportError as error:
        message = f"to_fiftyone needs fiftyone ({error}): pip install fiftyone"
        raise ModelUnavailableError(message) from error
    return fiftyone


def _image_root(result: SearchResult, images: str | Path | None) -> Path:
    root = images or getattr(result.source, "image_root", None)
    if root is None:
        message = "FiftyOne needs the image files: give their folder, to_fiftyone(images=FOLDER)"
        raise ConfigError(message)
    return Path(root).resolve()


def _detections(hit: Hit, query: str) -> Any:
    hits, masks = ([], []) if hit.mask is None else ([hit], [decode(hit.mask)])
    size = (hit.height, hit.width) if hit.mask is None else hit.mask.size
    data = {name: _column([getattr(hit, name) for hit in hits]) for name in NUMBERS}
    return _supervision().Detections(
        xyxy=np.array([_box(hit) for hit in hits], np.float32).reshape(-1, 4),
        mask=np.array(masks, bool).reshape(len(masks), *size),
        confidence=np.array([probability(hit.final_score) for hit in hits], np.float32),
        class_id=np.zeros(len(hits), np.int64),
        data={
            "class_name": np.array([query] * len(hits), np.str_),
            "image_id": np.array([hit.image_id for hit in hits], np.str_),
            **data,
        },
    )


def _column(values: list[float | None]) -> Any:
    """Return an array that keeps None as it is."""
    return np.array(values, object if None in values else None)


def _box(hit: Hit) -> BoxXYXY:
    assert hit.mask is not None
    return hit.box_xyxy or tight_box_xyxy(hit.mask)


def _found(fiftyone: Any, hit: Hit, query: str) -> Any:
    if hit.mask is None:
        return None
    x0, y0, x1, y1 = (round(v) for v in tight_box_xyxy(hit.mask))
    inside = decode(hit.mask)[y0:y1, x0:x1]
    if not inside.size:
        return None
    detection = fiftyone.Detection(
        label=query,
        bounding_box=_relative((x0, y0, x1, y1), hit),
        mask=inside,
        confidence=probability(hit.final_score),
    )
    return fiftyone.Detections(detections=[detection])


def _judged_box(fiftyone: Any, hit: Hit) -> Any:
    if hit.judged_box_xyxy is None:
        return None
    box = _relative(hit.judged_box_xyxy, hit)
    detection = fiftyone.Detection(label="judged box", bounding_box=box, confidence=hit.p_relevant)
    return fiftyone.Detections(detections=[detection])


def _relative(box_xyxy: BoxXYXY, hit: Hit) -> list[float]:
    """Return [x, y, width, height] as fractions of the image."""
    x0, y0, x1, y1 = box_xyxy
    return [x0 / hit.width, y0 / hit.height, (x1 - x0) / hit.width, (y1 - y0) / hit.height]
