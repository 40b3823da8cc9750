"""COCO run-length masks: encode, decode, measure, compare.

pycocotools encodes, joins and compares; outside this module only `evaluation.metrics.coco_boxes`
calls it. Column-major order, half-open boxes and (height, width) sizes are settled here;
`matir_nb.geometry.runs` reads the code. Knows no file format and no model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco

from matir_nb.errors import ShapeError
from matir_nb.geometry.runs import Runs, check_size, runs_of
from matir_nb.types import BoxXYXY, FloatArray, MaskRLE, Regions

BoolArray = NDArray[np.bool_]

MAX_OUTLINE = 1_000_000
"""Pixels along a polygon, of which pycocotools keeps several points each."""


def encode(mask: ArrayLike) -> MaskRLE:
    """Return the run-length code of one (H, W) boolean mask.

    Raises:
        ShapeError: `mask` is not two-dimensional.

    >>> encode(np.eye(3, dtype=bool)).size
    (3, 3)
    """
    array = np.asarray(mask)
    if array.ndim != 2:
        message = f"mask: expected shape (H, W), got {array.shape}"
        raise ShapeError(message)
    return encode_many(array[None])[0]


def encode_many(masks: ArrayLike) -> tuple[MaskRLE, ...]:
    """Return the run-length codes of (n, H, W) boolean masks, in order.

    Raises:
        ShapeError: `masks` is not three-dimensional, or a mask has no pixel.

    >>> [area(rle) for rle in encode_many(np.ones((2, 3, 4), dtype=bool))]
    [12, 12]
    """
    array = np.asarray(masks)
    if array.ndim != 3 or 0 in array.shape[1:]:
        message = f"masks: expected shape (n, H, W) with H, W >= 1, got {array.shape}"
        raise ShapeError(message)
    if not len(array):
        return ()
    columns = np.asfortranarray((array != 0).transpose(1, 2, 0), dtype=np.uint8)
    return tuple(_from_coco(rle) for rle in coco.encode(columns))


def decode(rle: MaskRLE) -> BoolArray:
    """Return the (H, W) boolean mask.

    Raises:
        ShapeError: the runs are broken, or do not add up to the mask's size.

    >>> decode(encode(np.eye(2, dtype=bool))).tolist()
    [[True, False], [False, True]]
    """
    return np.ascontiguousarray(_columns(rle).T)


def decode_coarsely(rle: MaskRLE, step: int) -> BoolArray:
    """Return every `step`-th pixel of a mask, (about H / step, W / step) bool, never empty.

    Much faster than `decode` where a large mask is drawn small.

    Raises:
        ShapeError: as `decode`.

    >>> decode_coarsely(encode(np.eye(4, dtype=bool)), 2).tolist()
    [[True, False], [False, True]]
    """
    height, width = rle.size
    left, top = min(step // 2, width - 1), min(step // 2, height - 1)
    return np.ascontiguousarray(_columns(rle)[left::step, top::step].T)


def decode_many(rles: Sequence[MaskRLE]) -> BoolArray:
    """Return (n, H, W) boolean masks; (0, 0, 0) when there are none.

    Raises:
        ShapeError: the masks differ in size, or one has broken runs.

    >>> decode_many([encode(np.ones((2, 3), dtype=bool))] * 4).shape
    (4, 2, 3)
    """
    _require_one_size(rles)
    if not rles:
        return np.zeros((0, 0, 0), dtype=bool)
    return np.stack([decode(rle) for rle in rles])


def area(rle: MaskRLE) -> int:
    """Return the number of pixels inside.

    Raises:
        ShapeError: the runs are broken, or do not add up to the mask's size.

    >>> area(encode(np.eye(3, dtype=bool)))
    3
    """
    return int(_runs(rle)[1::2].sum())


def tight_box_xyxy(rle: MaskRLE) -> BoxXYXY:
    """Return the smallest half-open box around the mask; zeros when the mask is empty.

    Raises:
        ShapeError: the runs are broken, or do not add up to the mask's size.

    >>> tight_box_xyxy(encode([[0, 0, 0], [0, 1, 1]]))
    (1.0, 1.0, 3.0, 2.0)
    """
    starts, stops = _inside(_runs(rle))
    if not len(starts):
        return (0.0, 0.0, 0.0, 0.0)
    height = rle.size[0]
    first, last = starts // height, (stops - 1) // height
    if (first < last).any():  # what goes on in the next column touches both edges
        y0, y1 = 0, height
    else:
        y0, y1 = (starts - first * height).min(), (stops - first * height).max()
    return (float(first[0]), float(y0), float(last[-1] + 1), float(y1))


def mask_iou(a: Sequence[MaskRLE], b: Sequence[MaskRLE]) -> FloatArray:
    """Return (len(a), len(b)) intersections over unions; 0 where both masks are empty.

    Raises:
        ShapeError: the masks differ in size, or one has broken runs.

    >>> left, both = encode([[1, 0]]), encode([[1, 1]])
    >>> mask_iou([left], [left, both]).tolist()
    [[1.0, 0.5]]
    """
    _require_one_size([*a, *b])
    if not a or not b:
        return np.zeros((len(a), len(b)), dtype=np.float32)
    crowd = [0] * len(b)
    ious = coco.iou([_to_coco(r) for r in a], [_to_coco(r) for r in b], crowd)
    return np.nan_to_num(np.asarray(ious, dtype=np.float32))


def merge(rles: Sequence[MaskRLE]) -> MaskRLE:
    """Return the union of one or more masks of one size.

    Raises:
        ShapeError: there are none, they differ in size, or one has broken runs.

    >>> area(merge([encode([[1, 0]]), encode([[0, 1]])]))
    2
    """
    _require_one_size(rles)
    if not rles:
        message = "merge: expected at least one mask, got none"
        raise ShapeError(message)
    return _from_coco(coco.merge([_to_coco(rle) for rle in rles]))


def from_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> MaskRLE:
    """Return the union of COCO polygons [x0, y0, x1, y1, ...] as one mask.

    Raises:
        ShapeError: a polygon has an odd number of coordinates, fewer than three corners, one
            that is no number, or an outline longer than `MAX_OUTLINE`.

    >>> area(from_polygons([[0, 0, 4, 0, 4, 2, 0, 2]], height=8, width=8))
    8
    """
    check_size(height, width)
    corners = [_corners(polygon) for polygon in polygons]
    if not corners:
        return encode(np.zeros((height, width), dtype=bool))
    return _from_coco(coco.merge(coco.frPyObjects(corners, height, width)))


def _corners(polygon: Sequence[float]) -> list[float]:
    if len(polygon) < 6 or len(polygon) % 2:
        message = f"polygon: expected x, y of at least 3 corners, got {len(polygon)} numbers"
        raise ShapeError(message)
    numbers = np.array([float(v) for v in polygon])
    points = numbers.reshape(-1, 2)
    sides = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1)
    if not (np.abs(numbers).max() <= MAX_OUTLINE and sides.sum() <= MAX_OUTLINE):
        message = f"polygon: expected an outline of at most {MAX_OUTLINE} pixels, got a longer one"
        raise ShapeError(message)
    return [float(v) for v in numbers]


def from_runs(runs: Sequence[int], height: int, width: int) -> MaskRLE:
    """Return the mask of uncompressed COCO runs: background first, column by column.

    Raises:
        ShapeError: a run is negative, or they do not add up to height * width.

    >>> decode(from_runs([1, 2, 1], height=2, width=2)).tolist()
    [[False, True], [True, False]]
    """
    check_size(height, width)
    try:
        lengths = [int(run) for run in runs]
    except (OverflowError, ValueError) as error:
        message = f"runs: expected whole numbers, got one that is none ({error})"
        raise ShapeError(message) from error
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        message = f"runs: expected sum {height * width} ({height} x {width}), got {sum(lengths)}"
        raise ShapeError(message)
    inside = np.arange(len(lengths)) % 2 == 1
    return encode(np.repeat(inside, lengths).reshape(width, height).T)


def segments(rle: MaskRLE) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the mask as vertical lines (x, y0, y1), half-open; it is never unpacked.

    Raises:
        ShapeError: the runs are broken, or do not add up to the mask's size.

    >>> x, y0, y1 = segments(encode([[0, 1], [1, 1], [1, 0]]))
    >>> x.tolist(), y0.tolist(), y1.tolist()
    ([0, 1], [1, 0], [3, 2])
    """
    height = rle.size[0]
    starts, stops = _inside(_runs(rle))
    first, last = starts // height, (stops - 1) // height
    n_columns = last - first + 1
    run = np.repeat(np.arange(len(starts)), n_columns)
    nth = np.arange(len(run)) - np.repeat(np.cumsum(n_columns) - n_columns, n_columns)
    x = first[run] + nth
    y0 = np.maximum(starts[run] - x * height, 0)
    y1 = np.minimum(stops[run] - x * height, height)
    return x, y0, y1


def from_compressed(counts: bytes, height: int, width: int) -> MaskRLE:
    """Return the mask of COCO compressed runs from an untrusted file.

    Raises:
        ShapeError: the runs are broken, or do not add up to height * width.

    >>> from_compressed(b"121", height=2, width=2) == from_runs([1, 2, 1], height=2, width=2)
    True
    """
    runs = runs_of(counts, height, width)
    is_canonical = bool((runs[1:] > 0).all())
    return (
        MaskRLE((height, width), counts)
        if is_canonical
        else from_runs(runs.tolist(), height, width)
    )


def _runs(rle: MaskRLE) -> Runs:
    """Return the runs of a mask, checked: what is stored may have been altered."""
    runs = runs_of(rle.counts, *rle.size)
    if not runs[1:].all():
        message = "runs: expected none of 0 pixels behind the first: see from_compressed"
        raise ShapeError(message)
    return runs


def _columns(rle: MaskRLE) -> BoolArray:
    """Return the mask column by column: (W, H) bool."""
    runs = _runs(rle)
    inside = np.arange(len(runs)) % 2 == 1
    height, width = rle.size
    return np.repeat(inside, runs).reshape(width, height)


def _inside(runs: Runs) -> tuple[Runs, Runs]:
    """Return where the runs inside the mask start and stop, in its pixels column by column."""
    edges = np.cumsum(runs)
    return edges[0 : len(edges) // 2 * 2 : 2], edges[1::2]


def scale(rle: MaskRLE, height: int, width: int) -> MaskRLE:
    """Return the mask at another size, read off its runs: the full mask is never unpacked.

    A pixel is inside when at least two of its 2 x 2 sample points are. A mask too thin for that
    keeps the pixels with any, or, when it lies between all points, its box.

    >>> area(scale(encode(np.ones((6, 4), dtype=bool)), height=3, width=2))
    6
    """
    if rle.size == (height, width):
        return rle
    check_size(height, width)
    x0, y0, x1, y1 = tight_box_xyxy(rle)
    rows = _covered(y0, y1, rle.size[0], height)
    columns = _covered(x0, x1, rle.size[1], width)
    ends = np.cumsum(_runs(rle))
    ys = _sample_points(rows, rle.size[0], height)
    xs = _sample_points(columns, rle.size[1], width)
    places = xs[:, None] * rle.size[0] + ys[None, :]
    inside = np.searchsorted(ends, places, side="right") % 2
    n_inside = inside.reshape(len(columns), 2, len(rows), 2).sum(axis=(1, 3))
    small = np.zeros((height, width), dtype=bool)
    if n_inside.size:
        enough = min(2, int(n_inside.max()))
        small[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = (n_inside >= enough).T
    return encode(small)


def _covered(low: float, high: float, size: int, new_size: int) -> NDArray[np.intp]:
    """Return the new pixels of an axis that `low` to `high` touches."""
    return np.arange(int(low * new_size / size), -int(-high * new_size // size))


def _sample_points(pixels: NDArray[np.intp], size: int, new_size: int) -> NDArray[np.intp]:
    """Return two old pixels for each new one."""
    quarters = (pixels[:, None] + np.array([0.25, 0.75])) * size / new_size
    points: NDArray[np.intp] = np.minimum(quarters.astype(np.intp), size - 1).ravel()
    return points


def regions_from_masks(
    masks: Sequence[MaskRLE],
    predicted_ious: ArrayLike | None = None,
    stability_scores: ArrayLike | None = None,
) -> Regions:
    """Return `Regions` with boxes and areas measured on the masks, in the given order.

    Scores that are not given are 1. Zero masks give empty `Regions`.

    >>> regions_from_masks([encode([[0, 1]])]).boxes_xyxy.tolist()
    [[1.0, 0.0, 2.0, 1.0]]
    """
    _require_one_size(masks)
    ones = np.ones(len(masks), dtype=np.float32)
    return Regions(
        masks=tuple(masks),
        boxes_xyxy=np.array([tight_box_xyxy(m) for m in masks], np.float32).reshape(-1, 4),
        areas=np.array([area(m) for m in masks], np.float32),
        predicted_ious=ones if predicted_ious is None else np.asarray(predicted_ious, np.float32),
        stability_scores=(
            ones if stability_scores is None else np.asarray(stability_scores, np.float32)
        ),
    )


def _require_one_size(rles: Sequence[MaskRLE]) -> None:
    sizes = sorted({rle.size for rle in rles})
    if len(sizes) > 1:
        message = f"masks: expected one (height, width), got {sizes[0]} and {sizes[-1]}"
        raise ShapeError(message)


def _to_coco(rle: MaskRLE) -> dict[str, Any]:
    """Return what pycocotools takes; its C code trusts the runs, so they are checked."""
    _runs(rle)
    return {"size": list(rle.size), "counts": rle.counts}


def _from_coco(rle: dict[str, Any]) -> MaskRLE:
    height, width = rle["size"]
    return MaskRLE(size=(int(height), int(width)), counts=bytes(rle["counts"]))
