"""Mask sensitivity: how much a region's embedding moves when its mask moves and nothing else.

An encoder that is given a mask may hardly look at it: Alpha-CLIP's users found cosines above 0.97
between any two masks of one picture. Then a region's score says little more than its box's does.

What is measured: 1 - mean cosine of a region's vector with those of its mask moved by half its
box to the left, right, up and down, cut off at the box. Two pixels in opposite corners keep the
moved masks' tight box as it was: encoders cut their window by that box
(`matir_nb.models.views.View`), so that window and pixels stay the same and only the mask differs.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from matir_nb.engine import Engine, require_count
from matir_nb.errors import ConfigError, nearest
from matir_nb.geometry.masks import decode, encode_many, tight_box_xyxy
from matir_nb.index.cache import CACHE_FOLDER, keep_file
from matir_nb.index.store import Index
from matir_nb.models.base import RegionEncoder
from matir_nb.types import MaskRLE

T = TypeVar("T")
LOG = logging.getLogger(__name__)
FILE = Path(CACHE_FOLDER, "mask-sensitivity.json")
VERSION = 1
DAMAGED = (ValueError, KeyError, TypeError, OverflowError, pl.exceptions.PolarsError)
N_MOVES = 4
MAX_COSINE = 0.97
"""Above this median cosine the encoder hardly looks at the mask."""
REGIONS_PER_IMAGE = 8
"""Of a sampled image, so many regions at most are measured."""
SENSITIVITY_SCHEMA = pl.Schema(
    {"image_id": pl.String, "region_id": pl.UInt32, "sensitivity": pl.Float64}
)


@dataclass(frozen=True, slots=True, eq=False)
class Sensitivity:
    """How much the embeddings of some regions depend on their masks.

    Attributes:
        regions: one row per region, with `SENSITIVITY_SCHEMA`; 0 = not at all.
    """

    regions: pl.DataFrame

    @property
    def median(self) -> float | None:
        """Median over the regions; None without any."""
        values = self.regions["sensitivity"].to_numpy()
        return float(np.median(values)) if len(values) else None

    @property
    def warning(self) -> str:
        """What a reader of region scores must know; empty = nothing."""
        return _warning(self.median)

    def to_polars(self) -> pl.DataFrame:
        """Return one row per region, with `SENSITIVITY_SCHEMA`."""
        return self.regions


def mask_sensitivity(
    engine: Engine,
    *,
    image_ids: Sequence[str] | None = None,
    n_images: int = 32,
    seed: int = 0,
) -> Sensitivity:
    """Measure how much embeddings depend on masks: of given images, or of a sample of the index.

    The largest sample's is kept beside the index and measured once for the models that made it;
    searches then carry its warning as a notice.

    Args:
        engine: an open index; its pictures are read.
        image_ids: all regions of these images; None = a sample.
        n_images: images in the sample, of each at most `REGIONS_PER_IMAGE` regions.
        seed: draws the sample.

    Raises:
        ConfigError: an image is not in the index, or `n_images` < 1.
        ImageError: a picture is gone or cannot be read.
    """
    require_count("n_images", n_images)
    index, encoder = engine.index, engine.encoder
    if image_ids is not None:
        _require_images(image_ids, index)
        picked = [(i, list(range(len(index.regions_of(i))))) for i in dict.fromkeys(image_ids)]
        return _measured(picked, index, encoder)
    asked = {"n_images": n_images, "seed": seed}
    stored = _stored(index)
    if stored is not None and stored[0] == asked:
        return stored[1]
    found = _measured(_sample(index, n_images, seed), index, encoder)
    # what a search says of an index rests on the largest sample
    if stored is None or stored[0]["n_images"] <= n_images:
        _keep(index, found, asked)
    return found


def stored_warning(index: Index) -> str:
    """Return the warning of what was measured before; empty = none, or nothing was measured."""
    try:
        found = (index.path / FILE).stat()
    except OSError:
        return ""
    stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
    return _kept_warning(index.path, index.fingerprint, stamp)


@lru_cache(maxsize=16)
def _kept_warning(index_path: Path, fingerprint: str, _stamp: tuple[int, ...]) -> str:
    """Return the warning in the file that has this stamp: every search asks for it."""
    return _read(index_path, fingerprint, lambda document: _warning(document["median"])) or ""


def moved_masks(mask: MaskRLE) -> tuple[MaskRLE, ...]:
    """Return the mask moved by half its box: left, right, up, down; the tight box stays.

    What leaves the box is cut off, and the box's top left and bottom right pixel are set.

    >>> from matir_nb.geometry.masks import decode, encode
    >>> left, right, up, down = moved_masks(encode(np.ones((1, 6), dtype=bool)))
    >>> decode(left).astype(int).tolist(), decode(right).astype(int).tolist()
    ([[1, 1, 1, 0, 0, 1]], [[1, 0, 0, 1, 1, 1]])
    """
    whole = decode(mask)
    x0, y0, x1, y1 = (int(v) for v in tight_box_xyxy(mask))
    inside = whole[y0:y1, x0:x1]
    height, width = inside.shape
    dx, dy = max(width // 2, 1), max(height // 2, 1)
    moved = np.zeros((N_MOVES, *whole.shape), dtype=bool)
    in_box = moved[:, y0:y1, x0:x1]
    in_box[0, :, : width - dx] = inside[:, dx:]
    in_box[1, :, dx:] = inside[:, : width - dx]
    in_box[2, : height - dy] = inside[dy:]
    in_box[3, dy:] = inside[: height - dy]
    in_box[:, 0, 0] = in_box[:, -1, -1] = True
    return encode_many(moved)


def _measured(
    picked: Sequence[tuple[str, list[int]]], index: Index, encoder: RegionEncoder
) -> Sensitivity:
    rows = [row for image_id, ids in picked for row in _of_image(image_id, ids, index, encoder)]
    return Sensitivity(pl.DataFrame(rows, schema=SENSITIVITY_SCHEMA, orient="row"))


def _of_image(
    image_id: str, region_ids: Sequence[int], index: Index, encoder: RegionEncoder
) -> Iterator[tuple[str, int, float]]:
    regions = index.regions_of(image_id)
    ids = [region_id for region_id in region_ids if regions.areas[region_id] > 0]
    if not ids:
        return
    moved = [mask for region_id in ids for mask in moved_masks(regions.masks[region_id])]
    vectors = encoder.embed_regions([index.load_image(image_id)], [moved])[0]
    stored = index.region_vectors_of(image_id)[ids]
    # stored in half precision, they are not quite of length 1
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    cosines = np.einsum("nd,nmd->nm", stored, vectors.reshape(len(ids), N_MOVES, -1))
    for region_id, cosine in zip(ids, cosines.mean(axis=1).tolist(), strict=True):
        yield image_id, region_id, max(1 - cosine, 0.0)


def _sample(index: Index, n_images: int, seed: int) -> list[tuple[str, list[int]]]:
    """Return images that have regions, and of each some of its regions, ascending."""
    rng = np.random.default_rng(seed)
    counts = index.region_counts
    filled = np.flatnonzero(counts)
    by_id = filled[np.argsort(index.id_ranks[filled])]
    return [
        (index.image_ids[row], sorted(rng.permutation(counts[row])[:REGIONS_PER_IMAGE].tolist()))
        for row in rng.permutation(by_id)[:n_images].tolist()
    ]


def _require_images(image_ids: Sequence[str], index: Index) -> None:
    if isinstance(image_ids, str):
        message = f"image_ids = {image_ids!r:.80} is no list: give a list of ids"
        raise ConfigError(message)
    for image_id in image_ids:
        if not index.has_image(image_id):
            message = f"this index has no image {image_id!r}: {nearest(image_id, index.image_ids)}"
            raise ConfigError(message)


def _warning(median: float | None) -> str:
    if median is None or 1 - median <= MAX_COSINE:
        return ""
    return (
        f"the encoder hardly looks at the masks of this index: a mask that moves by half its "
        f"box keeps a cosine of {1 - median:.3f} (median; above {MAX_COSINE} says little): "
        f"regions with like boxes score alike, whatever their masks"
    )


def _stored(index: Index) -> tuple[dict[str, int], Sensitivity] | None:
    """Return the sample's options and what was measured; None = nothing, or images are gone."""
    stored = _read(index.path, index.fingerprint, _asked_and_found)
    is_here = stored is not None and all(map(index.has_image, stored[1].regions["image_id"]))
    return stored if is_here else None


def _asked_and_found(document: dict[str, Any]) -> tuple[dict[str, int], Sensitivity]:
    regions = pl.DataFrame(document["regions"], schema=SENSITIVITY_SCHEMA)
    return document["asked"], Sensitivity(regions)


def _read(index_path: Path, fingerprint: str, part: Callable[[dict[str, Any]], T]) -> T | None:
    """Return a part of what was kept for the models of this index; None = nothing that holds."""
    file = index_path / FILE
    try:
        document = json.loads(file.read_text())
        is_ours = (document["version"], document["fingerprint"]) == (VERSION, fingerprint)
        return part(document) if is_ours else None
    except FileNotFoundError:
        return None
    except DAMAGED as error:
        LOG.warning("%s cannot be read and is thrown away: %s", file, error)
        with contextlib.suppress(OSError):
            file.unlink()
    except OSError as error:
        LOG.warning("%s cannot be read: %s", file, error)
    return None


def _keep(index: Index, found: Sensitivity, asked: dict[str, int]) -> None:
    document = {
        "version": VERSION,
        "fingerprint": index.fingerprint,
        "asked": asked,
        "median": found.median,
        "regions": found.regions.to_dict(as_series=False),
    }
    keep_file(index.path / FILE, json.dumps(document).encode())
