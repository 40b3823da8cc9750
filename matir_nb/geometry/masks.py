"""COCO run-length masks: encode, decode, measure, compare.

pycocotools does the work; outside this module nobody calls it. Column-major order, half-open
boxes and (height, width) sizes are settled here. Knows no file format and no model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco

from matir_nb.errors import ShapeError
from matir_nb.types import BoxXYXY, FloatArray, MaskRLE, Regions

BoolArray = NDArray[np.bool_]


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

    >>> decode(encode(np.eye(2, dtype=bool))).tolist()
    [[True, False], [False, True]]
    """
    result: BoolArray = np.ascontiguousarray(_unpacked(_to_coco(rle)).astype(bool))
    return result


def decode_many(rles: Sequence[MaskRLE]) -> BoolArray:
    """Return (n, H, W) boolean masks; (0, 0, 0) when there are none.

    Raises:
        ShapeError: the masks differ in size.

    >>> decode_many([encode(np.ones((2, 3), dtype=bool))] * 4).shape
    (4, 2, 3)
    """
    _require_one_size(rles)
    if not rles:
        return np.zeros((0, 0, 0), dtype=bool)
    stacked = _unpacked([_to_coco(rle) for rle in rles])
    return np.ascontiguousarray(stacked.transpose(2, 0, 1).astype(bool))


def _unpacked(coded: Any) -> NDArray[np.uint8]:
    """Return pycocotools' pixels of one mask (H, W) or of several (H, W, n).

    Its own array class lacks numpy 2's `copy` keyword, so numpy asks twice; a Ctrl-C that comes
    in the first time is lost in a TypeError, which nothing else here can raise.
    """
    try:
        pixels: NDArray[np.uint8] = coco.decode(coded)
    except TypeError as error:
        if "copy" not in str(error):
            raise
        raise KeyboardInterrupt from error
    return pixels


def area(rle: MaskRLE) -> int:
    """Return the number of pixels inside.

    >>> area(encode(np.eye(3, dtype=bool)))
    3
    """
    return int(coco.area(_to_coco(rle)))


def tight_box_xyxy(rle: MaskRLE) -> BoxXYXY:
    """Return the smallest half-open box around the mask; zeros when the mask is empty.

    >>> tight_box_xyxy(encode([[0, 0, 0], [0, 1, 1]]))
    (1.0, 1.0, 3.0, 2.0)
    """
    x, y, width, height = (float(v) for v in coco.toBbox(_to_coco(rle)))
    return (x, y, x + width, y + height)


def mask_iou(a: Sequence[MaskRLE], b: Sequence[MaskRLE]) -> FloatArray:
    """Return (len(a), len(b)) intersections over unions; 0 where both masks are empty.

    Raises:
        ShapeError: the masks differ in size.

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
        ShapeError: there are none, or they differ in size.

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
        ShapeError: a polygon has an odd number of coordinates, or fewer than three corners.

    >>> area(from_polygons([[0, 0, 4, 0, 4, 2, 0, 2]], height=8, width=8))
    8
    """
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            message = f"polygon: expected x, y of at least 3 corners, got {len(polygon)} numbers"
            raise ShapeError(message)
    if not polygons:
        return encode(np.zeros((height, width), dtype=bool))
    corners = [[float(v) for v in polygon] for polygon in polygons]
    return _from_coco(coco.merge(coco.frPyObjects(corners, height, width)))


def from_runs(runs: Sequence[int], height: int, width: int) -> MaskRLE:
    """Return the mask of uncompressed COCO runs: background first, column by column.

    Raises:
        ShapeError: a run is negative, or they do not add up to height * width.

    >>> decode(from_runs([1, 2, 1], height=2, width=2)).tolist()
    [[False, True], [True, False]]
    """
    lengths = [int(run) for run in runs]
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        message = f"runs: expected sum {height * width} ({height} x {width}), got {sum(lengths)}"
        raise ShapeError(message)
    inside = np.arange(len(lengths)) % 2 == 1
    return encode(np.repeat(inside, lengths).reshape(width, height).T)


def segments(rle: MaskRLE) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the mask as vertical lines (x, y0, y1), half-open; it is never unpacked.

    >>> x, y0, y1 = segments(encode([[0, 1], [1, 1], [1, 0]]))
    >>> x.tolist(), y0.tolist(), y1.tolist()
    ([0, 1], [1, 0], [3, 2])
    """
    height = rle.size[0]
    edges = np.cumsum(_uncompressed(rle.counts), dtype=np.intp)
    starts, stops = edges[0 : len(edges) // 2 * 2 : 2], edges[1::2]
    first, last = starts // height, (stops - 1) // height
    n_columns = np.maximum(last - first + 1, 0)
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
    runs = _uncompressed(counts)
    mask = from_runs(runs, height, width)
    is_canonical = all(run > 0 for run in runs[1:])
    return MaskRLE((height, width), counts) if is_canonical else mask


def _uncompressed(counts: bytes) -> list[int]:
    """Return the runs: 5 bits per byte, lowest first; from the fourth on, change since run - 2."""
    runs: list[int] = []
    value, shift = 0, 0
    for byte in counts:
        bits = byte - 48
        if not 0 <= bits < 64:
            message = f"runs: expected bytes '0' to 'o', got {bytes([byte])!r}"
            raise ShapeError(message)
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (1 << shift) if bits & 0x10 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    if shift:
        message = "runs: expected a finished number at the end, got a truncated one"
        raise ShapeError(message)
    return runs


def scale(rle: MaskRLE, height: int, width: int) -> MaskRLE:
    """Return the mask at another size, read off its runs: the full mask is never unpacked.

    A pixel is inside when at least two of its 2 x 2 sample points are. A mask too thin for that
    keeps the pixels with any, or, when it lies between all points, its box.

    >>> area(scale(encode(np.ones((6, 4), dtype=bool)), height=3, width=2))
    6
    """
    if rle.size == (height, width):
        return rle
    x0, y0, x1, y1 = tight_box_xyxy(rle)
    rows = _covered(y0, y1, rle.size[0], height)
    columns = _covered(x0, x1, rle.size[1], width)
    ends = np.cumsum(_uncompressed(rle.counts))
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
    return {"size": list(rle.size), "counts": rle.counts}


def _from_coco(rle: dict[str, Any]) -> MaskRLE:
    height, width = rle["size"]
    return MaskRLE(size=(int(height), int(width)), counts=bytes(rle["counts"]))
