"""What the kernel of `grid.py` imports: hits over given pictures, and the overlay by hand."""

import io
import json
from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from matir_nb.geometry.masks import decode, regions_from_masks
from matir_nb.results import SearchResult
from matir_nb.types import FloatArray, Hit, MaskRLE, Provenance, Regions, RGBImage

SIZE = (640, 480)


class Pictures:
    """The source of the result: pictures from files, one region for each."""

    fingerprint = "benchmark"

    def __init__(self, folder: Path, masks: dict[str, MaskRLE]) -> None:
        """Show the pictures in `folder`, named by `masks`."""
        self.image_root, self.masks, self.n_images = folder, masks, len(masks)

    def has_image(self, image_id: str) -> bool:
        """Tell whether there is such a picture."""
        return image_id in self.masks

    def load_image(self, image_id: str, *, max_side: int | None = None) -> RGBImage:
        """Return pixels, shrunk while they are decoded."""
        with Image.open(self.image_root / image_id) as image:
            if max_side is not None:
                image.draft("RGB", (max_side, max_side))
                image.thumbnail((max_side, max_side))
            return np.asarray(image.convert("RGB"))

    @cache  # noqa: B019 - lives as long as the kernel
    def regions_of(self, image_id: str) -> Regions:
        """Return the one region."""
        return regions_from_masks([self.masks[image_id]])

    def region_scores_of(self, _query: str, _image_id: str) -> FloatArray:
        """Return the one score."""
        return np.zeros(1, np.float32)


def result_of(folder: str) -> SearchResult:
    """Return a result whose hits are all pictures of `folder`."""
    document = json.loads((Path(folder) / "masks.json").read_text())
    masks = {
        name: MaskRLE(tuple(size), counts.encode()) for name, (size, counts) in document.items()
    }
    source = Pictures(Path(folder) / "images", masks)
    nothing = dict.fromkeys(field.name for field in fields(Hit))
    hits = tuple(
        Hit(**nothing | _values(source, name, rank)) for rank, name in enumerate(masks, start=1)
    )
    provenance = Provenance("benchmark", {}, {}, {}, {"retrieve": 0.1})
    return SearchResult("benchmark", hits, provenance, source=source)  # type: ignore[arg-type] # no engine


def _values(source: Pictures, name: str, rank: int) -> dict[str, object]:
    n = source.n_images
    box = tuple(map(float, source.regions_of(name).boxes_xyxy[0]))
    return {
        "rank": rank,
        "image_id": name,
        "path": name,
        "width": SIZE[0],
        "height": SIZE[1],
        "final_score": 5 - 10 * rank / n,
        "stage1_rank": n + 1 - rank,
        "stage1_score": 0.3,
        "best_region_score": 0.3,
        "whole_image_score": 0.2,
        "judge_rank": rank,
        "p_relevant": 0.5,
        "logit": 0.0,
        "answer": "yes",
        "region_id": 0,
        "region_score": 0.3,
        "box_xyxy": box,
        "mask": source.masks[name],
    }


def overlaid(result: SearchResult, hit: Hit) -> bytes:
    """Return the picture at full size with its mask in magenta, as JPEG."""
    assert result.source is not None
    assert hit.mask is not None
    pixels = result.source.load_image(hit.image_id).astype(np.float32)
    mask = decode(hit.mask)
    pixels[mask] = 0.5 * pixels[mask] + 0.5 * np.array([230, 0, 126], np.float32)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
