"""Move a mask's boundary to where the colours change.

A segmenter draws masks on a grid coarser than the picture. Within a narrow band around the
boundary, each pixel is decided anew: by the segmenter's logit and by whether its colour is more
like the mask's core or like the surroundings. This is one round of the colour models of GrabCut
(Rother et al. 2004), with kernel densities for mixtures and without the graph cut. Knows no model.
"""

import numpy as np
from numpy.typing import NDArray

from matir_nb.types import FloatArray, RGBImage

BoolArray = NDArray[np.bool_]
N_SAMPLES = 64
COLOUR_SIGMA = 18.0
LOGIT_WEIGHT, MAX_LOGIT = 0.6, 4.0
MAX_COLOUR_EVIDENCE = 4.0
DENSITY_FLOOR = 1e-4
CERTAIN = 6.0
MIN_PIXELS = 12


def grow(mask: BoolArray, reach: int) -> BoolArray:
    """Return the mask grown by `reach` pixels in every direction, diagonals included.

    >>> grow(np.array([[False, False, True]]), 1).tolist()
    [[False, True, True]]
    """
    sums = np.pad(mask, ((reach + 1, reach), (reach + 1, reach))).astype(np.int32)
    sums = sums.cumsum(0).cumsum(1)
    width = 2 * reach + 1
    inside = sums[width:, width:] - sums[:-width, width:]
    inside = inside - sums[width:, :-width] + sums[:-width, :-width]
    return np.asarray(inside > 0)


def shrink(mask: BoolArray, reach: int) -> BoolArray:
    """Return the mask shrunk by `reach` pixels; the picture's edge does not eat into it."""
    return ~grow(~mask, reach)


def refine_boundary(image: RGBImage, logits: FloatArray, *, band: int) -> BoolArray:
    """Return the (H, W) mask of `logits` with its boundary moved by at most `band` pixels.

    Args:
        image: (H, W, 3) uint8.
        logits: (H, W) float32, the segmenter's; the mask is where they are positive.
        band: pixels on either side of the boundary that are decided anew; 0 changes nothing.
    """
    mask = np.asarray(logits > 0)
    if band < 1 or mask.sum() < MIN_PIXELS:
        return mask
    window = _window(mask, margin=2 * band + 3)
    refined = mask.copy()
    refined[window] = _refine(image[window].astype(np.float32), logits[window], band)
    return refined


def _window(mask: BoolArray, margin: int) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y0, x0 = max(int(rows[0]) - margin, 0), max(int(columns[0]) - margin, 0)
    return slice(y0, int(rows[-1]) + margin + 1), slice(x0, int(columns[-1]) + margin + 1)


def _refine(pixels: FloatArray, logits: FloatArray, band: int) -> BoolArray:
    mask = np.asarray(logits > 0)
    inner, outer = shrink(mask, band), grow(mask, band)
    core = next((c for c in (inner, shrink(mask, 1)) if c.sum() >= MIN_PIXELS), mask)
    around = grow(outer, band + 2) & ~outer
    if around.sum() < MIN_PIXELS:
        return mask
    unsure = outer & ~inner
    colours = pixels[unsure]
    ratio = np.log(_density(colours, pixels[core]) / _density(colours, pixels[around]))
    evidence = np.where(mask, CERTAIN, -CERTAIN).astype(np.float32)
    evidence[unsure] = LOGIT_WEIGHT * np.clip(logits[unsure], -MAX_LOGIT, MAX_LOGIT)
    evidence[unsure] += np.clip(ratio, -MAX_COLOUR_EVIDENCE, MAX_COLOUR_EVIDENCE)
    return _smooth(evidence) > 0


def _density(colours: FloatArray, samples: FloatArray) -> FloatArray:
    """Return (n,) kernel density of (n, 3) colours among evenly picked (m, 3) samples."""
    picked = samples[np.linspace(0, len(samples) - 1, N_SAMPLES).astype(int)]
    squares = (colours**2).sum(1)[:, None] + (picked**2).sum(1) - 2 * colours @ picked.T
    kernel = np.exp(-np.clip(squares, 0, None) / (2 * COLOUR_SIGMA**2))
    return np.asarray(kernel.mean(1) + DENSITY_FLOOR, dtype=np.float32)


def _smooth(evidence: FloatArray) -> FloatArray:
    """Return each pixel's evidence averaged with its four neighbours', itself counted twice."""
    p = np.pad(evidence, 1, mode="edge")
    total = 2 * evidence + p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]
    return np.asarray(total / 6, dtype=np.float32)
