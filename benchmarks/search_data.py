"""Generated indexes of any size, in the real format, kept under ``build/bench`` and used again.

Vectors are like those of an image-text model in what matters to a search: a cone (a direction
that all have in common), a spectrum that decays, rotated so that no axis is special, images that
share a topic, and near-duplicates: two of five regions lie within another region of their image
and differ little from it. Queries lie in a cone of their own, from far away from every stored
region to close to one. Everything comes from one seed.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.index.joining import JOIN_BYTES
from matir_nb.index.manifest import SEGMENTS, Manifest, write_manifest
from matir_nb.index.segments import save_segment
from matir_nb.index.tables import IMAGE_SCHEMA, REGION_SCHEMA

HalfArray = NDArray[np.float16]
FloatArray = NDArray[np.float32]

FOLDER = Path("build/bench")
VERSION = 1
"""Part of the names of what is kept; another number makes everything anew."""
SEED = 6
MEAN_REGIONS = 20
NEAR_DUPLICATES = 0.4
BLOCK_IMAGES = 512
CENTRE, TOPIC, OWN, DIFFERENCE = 1.0, 0.6, 0.8, 0.2
"""Lengths of what a vector is the sum of: the cone, the image's topic, the region's own part; and
of what sets a near-duplicate apart."""
QUERY_CENTRE, QUERY_OWN = 0.3, 0.4
"""Likewise of a query, besides its own cone of length 1: cosines with regions differ by about .04
(standard deviation), as those of texts do."""
WIDTH, HEIGHT = 640, 480
COUNTS = b"PPP43"
"""A mask of a few bytes: a search reads none."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is generated.

    Attributes:
        n_regions: of all images.
        dim: length of the vectors.
        segment_bytes: about so many per segment.
    """

    n_regions: int = 1_000_000
    dim: int = 512
    segment_bytes: int = JOIN_BYTES

    @property
    def name(self) -> str:
        """What the files are called."""
        return f"search-{self.n_regions}x{self.dim}-{VERSION}"

    @property
    def segment_regions(self) -> int:
        """Regions per segment: as many as `matir index` would leave together."""
        return max(self.segment_bytes // (3 * self.dim + 96), 1)


def made_index(size: Size, folder: Path = FOLDER) -> Path:
    """Return the index of that size, which is generated when it is not there yet."""
    path = folder / f"{size.name}.matir"
    if not path.is_dir():
        beside = folder / f"{size.name}.tmp"
        shutil.rmtree(beside, ignore_errors=True)
        write_index(beside, size)
        beside.rename(path)
    return path


def write_index(path: Path, size: Size) -> None:
    """Write an index of several segments."""
    (path / SEGMENTS).mkdir(parents=True)
    counts = region_counts(size)
    per_segment = np.cumsum(counts) // size.segment_regions
    segments, first = [], 0
    for number in range(int(per_segment[-1]) + 1):
        chosen = counts[per_segment == number]
        if len(chosen) == 0:
            continue
        blocks = Blocks(chosen, first, size.dim)
        segments.append(
            save_segment(
                path / SEGMENTS / f"{len(segments) + 1:06d}",
                image_table(chosen, first),
                region_table(int(chosen.sum())),
                region_vectors=blocks.regions(),
                image_vectors=blocks.images(),
                dim=size.dim,
            )
        )
        first += len(chosen)
    made_by = {"encoder": "generated", "segmenter": "generated", "dim": size.dim}
    write_manifest(path, Manifest(made_by, {}, "", tuple(segments)))


def region_counts(size: Size) -> NDArray[np.int64]:
    """Return the number of regions of each image: 0 to twice the mean, `n_regions` in all."""
    rng = np.random.default_rng([SEED, size.n_regions])
    counts = rng.integers(0, 2 * MEAN_REGIONS, size=size.n_regions // 10 + 10)
    n_images = int(np.searchsorted(np.cumsum(counts), size.n_regions)) + 1
    kept = counts[:n_images]
    kept[-1] -= int(kept.sum()) - size.n_regions
    return kept.astype(np.int64)


def image_table(counts: NDArray[np.int64], first: int) -> pl.DataFrame:
    """Return `IMAGE_SCHEMA` for images of so many regions; the first has this number."""
    numbers = pl.int_range(first, first + len(counts), eager=True)
    ids = [f"{number // 1000:03d}/image_{number:07d}.jpg" for number in numbers]
    known = {
        "image_id": ids,
        "path": ids,
        "width": [WIDTH] * len(ids),
        "height": [HEIGHT] * len(ids),
        "fingerprint": [f"{number:064x}" for number in numbers],
        "first_region": np.cumsum(counts) - counts,
        "n_regions": counts,
        "copies": [[] for _ in ids],
    }
    rest = {name: [None] * len(ids) for name in IMAGE_SCHEMA if name not in known}
    return pl.DataFrame(known | rest, schema_overrides=IMAGE_SCHEMA).select(IMAGE_SCHEMA.names())


def region_table(n: int, counts: list[bytes] | None = None) -> pl.DataFrame:
    """Return `REGION_SCHEMA` for `n` regions with these masks; None = a tiny one for all."""
    ones = np.ones(n, np.float32)
    columns = {
        "image_row": np.zeros(n, np.int64),
        "counts": counts if counts is not None else [COUNTS] * n,
        "box_xyxy": np.tile(np.array([8, 8, 200, 100], np.float32), (n, 1)),
        "area": ones * 9000,
        "predicted_iou": ones,
        "stability_score": ones,
    }
    return pl.DataFrame(columns, schema=REGION_SCHEMA)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The vectors of the images of one segment, a block of images at a time.

    Attributes:
        counts: (n_images,) regions of each.
        first: number of the first image.
        dim: length of the vectors.
    """

    counts: NDArray[np.int64]
    first: int
    dim: int

    def regions(self) -> Iterator[HalfArray]:
        """Yield the vectors of the regions of `BLOCK_IMAGES` images."""
        for start in range(0, len(self.counts), BLOCK_IMAGES):
            yield stored(self.residuals(start), self.dim)

    def images(self) -> Iterator[HalfArray]:
        """Yield the vectors of `BLOCK_IMAGES` whole images."""
        for start in range(0, len(self.counts), BLOCK_IMAGES):
            yield stored(self.topics(start), self.dim)

    def topics(self, start: int) -> FloatArray:
        """Return what the regions of each image of a block have in common."""
        n = len(self.counts[start : start + BLOCK_IMAGES])
        return TOPIC * spread(np.random.default_rng([SEED, self.first + start, 0]), n, self.dim)

    def residuals(self, start: int) -> FloatArray:
        """Return the regions of a block of images, without the cone."""
        counts = self.counts[start : start + BLOCK_IMAGES]
        rng = np.random.default_rng([SEED, self.first + start, 1])
        owners = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        own = OWN * spread(rng, len(owners), self.dim)
        # a near-duplicate takes the part of an earlier region of its image, and changes a little
        again = np.flatnonzero((rng.random(len(owners)) < NEAR_DUPLICATES) & (place > 0))
        earlier = again - 1 - (rng.random(len(again)) * place[again]).astype(np.int64)
        own[again] = own[earlier] + DIFFERENCE / OWN * own[again]
        return np.asarray(self.topics(start)[owners] + own, np.float32)


def queries(size: Size, n: int) -> FloatArray:
    """Return (n, d) unit queries, from far away from every stored region to close to one."""
    counts = region_counts(size)
    near = Blocks(counts[:BLOCK_IMAGES], 0, size.dim).residuals(0)
    rng = np.random.default_rng([SEED, 2])
    picked = near[rng.integers(len(near), size=n)]
    closeness = rng.permutation(np.linspace(0, 1, n, dtype=np.float32))[:, None]
    residual = closeness * picked + (1 - closeness) * spread(rng, n, size.dim)
    _, cone, text_cone = frame(size.dim)
    return unit(QUERY_OWN * rotated(residual, size.dim) + QUERY_CENTRE * cone + text_cone)


def spread(rng: np.random.Generator, n: int, dim: int) -> FloatArray:
    """Return (n, dim) random rows of about unit length whose spectrum decays."""
    sigma = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    rows = rng.standard_normal((n, dim), np.float32)
    return np.asarray(rows * (sigma / np.linalg.norm(sigma)), np.float32)


def stored(residuals: FloatArray, dim: int) -> HalfArray:
    """Return unit vectors as they are kept: the cone and what sets each apart."""
    return unit(rotated(residuals, dim) + CENTRE * frame(dim)[1]).astype(np.float16)


def rotated(rows: FloatArray, dim: int) -> FloatArray:
    """Return the rows in a frame whose axes mean nothing."""
    return np.asarray(rows @ frame(dim)[0], np.float32)


@lru_cache(maxsize=4)
def frame(dim: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a rotation, the direction of the cone, and that of the queries' cone."""
    rng = np.random.default_rng([SEED, 3])
    rotation, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    cones = unit(rng.standard_normal((2, dim)).astype(np.float32))
    return rotation.astype(np.float32), cones[0], cones[1]


def unit(rows: FloatArray) -> FloatArray:
    """Return rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
