"""Results made by hand, and pictures from memory."""

import numpy as np
from fakes import bare_hit

from matir_nb.errors import ImageError
from matir_nb.exports.drawing import MASK
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.results import SearchResult
from matir_nb.types import Provenance

HEIGHT, WIDTH = 40, 80
SQUARE = np.zeros((HEIGHT, WIDTH), bool)
SQUARE[10:30, 20:40] = True
HOSTILE = "</script><script>window.hacked=1</script><!--<img src=x onerror=window.hacked=1>&\u2028"
CONFIG = {
    "retrieve": {"region_weight": 0.9, "image_weight": 0.1},
    "judging": {"weight": 1.0, "stage1_weight": 0.5, "max_logit": 6.0},
    "align": {"min_align_iou": 0.3},
    "log_odds": {"scale": 20.0, "bias": -9.0},
    "n_images": 100,
    "n_judged_done": None,
}


def hit(rank=1, **changes):
    name = f"image-{rank}.png"
    own = {"rank": rank, "image_id": name, "path": name, "width": WIDTH, "height": HEIGHT}
    return bare_hit(**own | {"stage1_rank": rank, "mask": encode(SQUARE)} | changes)


def result(*hits, query="a blue square", notices=(), source=None):
    provenance = Provenance("f00d", {"encoder": "e"}, CONFIG, {"matir_nb": "1"}, {}, notices)
    return SearchResult(query, hits, provenance, source=source)


def results_of(n, **options):
    return result(*(hit(rank, final_score=3 - rank / 10) for rank in range(1, n + 1)), **options)


def grey(_hit):
    return np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def gone(_hit):
    raise ImageError("gone")


def is_mask_coloured(pixels):
    return (np.abs(np.asarray(pixels).astype(int) - MASK).max(axis=-1) < 60).any()


class MadeUpSource:
    """Grey pictures with one region each, or whatever `draw` gives for an image id."""

    n_images = 100
    fingerprint = "f00d"

    def __init__(self, draw=None, *, missing=()):
        self._draw = draw or (lambda _: np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
        self._missing = missing
        self.n_loaded = 0
        self.sides = []

    def load_image(self, image_id, *, max_side=None):
        self.n_loaded += 1
        self.sides.append(max_side)
        if image_id in self._missing:
            message = f"{image_id} is gone"
            raise ImageError(message)
        return self._draw(image_id)

    def regions_of(self, _image_id):
        return regions_from_masks([encode(SQUARE)])

    def region_scores_of(self, _query, _image_id):
        return np.array([0.25], np.float32)

    def text_scores_of(self, texts, _image_id):
        """One region: what a text has in letters, it has in hundredths."""
        scores = np.array([len(text) / 100 for text in texts], np.float32)
        return scores[:, None], scores / 2
