"""Pixels, masks and details of a result as JSON and bytes: the replies of ``js/src/protocol.ts``.

A view asks for them (`matir_nb.widgets.requests`), a page holds them all. Together with
`matir_nb.widgets.table` this module is all that knows the wire; it knows no widget.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TypeAlias

from matir_nb.errors import ConfigError, ImageError, MatirError
from matir_nb.geometry.boxes import pairwise_iou
from matir_nb.geometry.masks import scale
from matir_nb.results import SearchResult, Source
from matir_nb.terms import stage1_terms
from matir_nb.types import FloatArray, Hit, MaskRLE, Regions
from matir_nb.widgets.accounts import ledger_parts
from matir_nb.widgets.table import JSON, abstained
from matir_nb.widgets.thumbnails import Thumbnails, jpeg

MAX_TILES = 60
MAX_TILE_SIDE = 512
MAX_IMAGE_SIDE = 2048
IMAGE_QUALITY = 88

Answer: TypeAlias = tuple[JSON, list[bytes]]


def tiles(
    result: SearchResult,
    rows: Sequence[int],
    side: int,
    *,
    regions: bool = False,
    thumbnails: Thumbnails | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Answer:
    """Return `TilesReply` and its JPEGs.

    A picture that cannot be read gives a tile that says why.

    Args:
        result: what is shown.
        rows: of the table, at most `MAX_TILES`.
        side: longest side of a thumbnail, pixels, 16 to 512.
        regions: also the masks and scores of all regions.
        thumbnails: pictures made before.
        is_cancelled: asked before each tile; once it says yes, the rest is left out.

    Raises:
        ConfigError: a row is not in the table, there are too many, or `side` is out of range.
    """
    if len(rows) > MAX_TILES:
        message = f"{len(rows)} tiles asked for at once: ask for at most {MAX_TILES}"
        raise ConfigError(message)
    _check_side(side, 16, MAX_TILE_SIDE)
    kept = thumbnails or Thumbnails()
    found: list[JSON] = []
    buffers: list[bytes] = []
    for row in rows:
        if is_cancelled():
            break
        found.append(_tile(result, row, side, buffers, kept, with_regions=regions))
    return {"tiles": found}, buffers


def _tile(
    result: SearchResult,
    row: int,
    side: int,
    buffers: list[bytes],
    thumbnails: Thumbnails,
    *,
    with_regions: bool,
) -> JSON:
    hit = _hit(result, row)
    tile: JSON = {"row": row, "buffer": None, "error": None, "regions": None}
    width, height = _fitted((hit.width, hit.height), side)
    try:
        data, (width, height) = thumbnails.get(_source(result), hit.image_id, side)
        tile["buffer"] = len(buffers)
        buffers.append(data)
        if with_regions:
            tile |= _tile_regions(result, hit, (width, height))
    except MatirError as error:
        tile["error"] = str(error)
    mask = None if hit.mask is None else rle_json(scale(hit.mask, height, width))
    tile |= {
        "width": width,
        "height": height,
        "mask": mask,
        "region_scores": tile.get("region_scores"),
    }
    return tile | {"judged_box": _fractions(hit)}


def _tile_regions(result: SearchResult, hit: Hit, size: tuple[int, int]) -> JSON:
    source = _source(result)
    masks = source.regions_of(hit.image_id).masks
    scores = source.region_scores_of(result.query, hit.image_id)
    return {
        "regions": [rle_json(scale(mask, size[1], size[0])) for mask in masks],
        "region_scores": [round(float(score), 4) for score in scores],
    }


def image(result: SearchResult, row: int, side: int) -> Answer:
    """Return `ImageReply` and its JPEG.

    Args:
        result: what is shown.
        row: of the table.
        side: longest side, pixels, 16 to 2048; a smaller picture comes as it is.

    Raises:
        ConfigError: `row` is not in the table, or `side` is out of range.
    """
    _check_side(side, 16, MAX_IMAGE_SIDE)
    hit = _hit(result, row)
    body: JSON = {"row": row, "buffer": None, "width": hit.width, "height": hit.height}
    try:
        pixels = _source(result).load_image(hit.image_id, max_side=side)
    except MatirError as error:
        return body | {"error": str(error)}, []
    size = {"width": pixels.shape[1], "height": pixels.shape[0]}
    return body | size | {"buffer": 0, "error": None}, [jpeg(pixels, IMAGE_QUALITY)]


def inspect(result: SearchResult, row: int, side: int) -> Answer:
    """Return `InspectReply`; it has no buffers.

    Args:
        result: what is shown.
        row: of the table.
        side: longest side of the masks, pixels, 16 to 2048; smaller masks come as they are.

    Raises:
        ConfigError: `row` is not in the table, or `side` is out of range.
    """
    _check_side(side, 16, MAX_IMAGE_SIDE)
    hit = _hit(result, row)
    size = _fitted((hit.width, hit.height), side)
    regions, notes = _regions(result, hit, size)
    config = result.provenance.config
    body = {
        "row": row,
        "image_id": hit.image_id,
        "width": hit.width,
        "height": hit.height,
        "mask_size": [size[1], size[0]],
        "regions": regions,
        "chosen": hit.region_id,
        "mask": _own_mask(hit, size),
        "judged_box": hit.judged_box_xyxy,
        "align_iou": hit.align_iou,
        "min_align_iou": config.get("align", {}).get("min_align_iou"),
        "judge": _judge(hit),
        "stage1_terms": [asdict(term) for term in stage1_terms(hit, config)],
        "stage1_score": hit.stage1_score,
        "final_score": hit.final_score,
        **ledger_parts(result, hit),
        "ranks": {"stage1": hit.stage1_rank, "judge": hit.judge_rank, "final": hit.rank},
        "notes": notes,
    }
    return body, []


def _regions(result: SearchResult, hit: Hit, size: tuple[int, int]) -> tuple[list[JSON], list[str]]:
    """Return the image's regions, and why there are none or why something is missing."""
    try:
        source = _source(result)
        regions = source.regions_of(hit.image_id)
        scores = source.region_scores_of(result.query, hit.image_id)
    except MatirError as error:
        return [], [str(error)]
    ious = _ious(hit, regions)
    rows = [
        {
            "id": i,
            "mask": rle_json(scale(mask, size[1], size[0])),
            "box": [round(float(v), 2) for v in regions.boxes_xyxy[i]],
            "area": int(regions.areas[i]),
            "score": round(float(scores[i]), 5),
            "predicted_iou": round(float(regions.predicted_ious[i]), 4),
            "stability_score": round(float(regions.stability_scores[i]), 4),
            "box_iou": None if ious is None else round(float(ious[i]), 4),
        }
        for i, mask in enumerate(regions.masks)
    ]
    return rows, [] if rows else ["the segmenter found no region in this image"]


def _ious(hit: Hit, regions: Regions) -> FloatArray | None:
    if hit.judged_box_xyxy is None or not len(regions):
        return None
    ious: FloatArray = pairwise_iou([hit.judged_box_xyxy], regions.boxes_xyxy)[0]
    return ious


def _own_mask(hit: Hit, size: tuple[int, int]) -> JSON | None:
    """Return the mask of a hit that points at no stored region."""
    if hit.mask is None or hit.region_id is not None:
        return None
    return rle_json(scale(hit.mask, size[1], size[0]))


def _judge(hit: Hit) -> JSON | None:
    if hit.p_relevant is None:
        return None
    return {
        "p_relevant": hit.p_relevant,
        "logit": hit.logit,
        "answer": hit.answer or "",
        "abstained": abstained(hit),
    }


def rle_json(mask: MaskRLE) -> JSON:
    """Return `Rle` of ``protocol.ts``."""
    return {"size": list(mask.size), "counts": mask.counts.decode("ascii")}


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return (width, height) shrunk to a longer side of `side`, as Pillow's thumbnails are."""
    width, height = size
    if max(size) <= side:
        return size
    scale = side / max(size)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _fractions(hit: Hit) -> list[float] | None:
    if hit.judged_box_xyxy is None:
        return None
    x0, y0, x1, y1 = hit.judged_box_xyxy
    width, height = hit.width, hit.height
    return [round(v, 5) for v in (x0 / width, y0 / height, x1 / width, y1 / height)]


def _hit(result: SearchResult, row: int) -> Hit:
    if not 0 <= row < len(result.hits):
        message = f"row {row} is not in the table of {len(result.hits)} hits"
        raise ConfigError(message)
    return result.hits[row]


def _source(result: SearchResult) -> Source:
    if result.source is None:
        message = (
            "this result was loaded without its index: "
            "result.with_source(matir.open(...)) gives it pictures"
        )
        raise ImageError(message)
    return result.source


def _check_side(side: int, low: int, high: int) -> None:
    if not low <= side <= high:
        message = f"side = {side} is not allowed: give {low} to {high} pixels"
        raise ConfigError(message)
