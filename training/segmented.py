"""Regions as the embedded SAM 2 finds them on training scenes, with the attributes they show.

    python -m training.segmented --n 1000 --out build/segmented

Alpha-CLIP first learns from exact masks; what it will see is a segmenter's. A found mask with an
IoU of at least `SAME` with an object shows that object; one below `OTHER` with every object shows
none; the rest are left out as neither. The command resumes from the part files it wrote.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from matir_nb.geometry.masks import decode_many, encode, mask_iou
from matir_nb.models.registry import embedded_folder
from matir_nb.models.sam2 import Sam2MaskSource
from matir_nb.presets import preset_named
from matir_nb.scenes.draw import Scene
from matir_nb.types import Regions
from training.scene_pool import load_pool
from training.truth import JUNK, object_codes

SAME, OTHER = 0.6, 0.4
SCENES_PER_PART = 40


def label(scene: Scene, regions: Regions) -> NDArray[np.int64]:
    """Return (n, 4) attribute codes of the found regions; JUNK = no object, -1 = neither."""
    codes = np.full((len(regions), 4), -1, np.int64)
    truth = [encode(scene.visible_mask(i)) for i in range(len(scene.objects))]
    ious = mask_iou(regions.masks, truth)
    for row, own in enumerate(ious):
        best = int(own.argmax())
        if own[best] >= SAME:
            codes[row] = object_codes(scene.objects[best])
        elif own[best] < OTHER:
            codes[row] = JUNK
    return codes


def _write_part(path: Path, source: Sam2MaskSource, scenes: Sequence[Scene], first: int) -> None:
    rows, codes, masks = [], [], []
    for start in range(0, len(scenes), 8):
        part = scenes[start : start + 8]
        for i, regions in enumerate(source.generate([s.image for s in part])):
            found = label(part[i], regions)
            for mask, code in zip(decode_many(regions.masks), found, strict=True):
                if code[0] != -1:
                    rows.append(first + start + i)
                    codes.append(code)
                    masks.append(np.packbits(mask))
    lengths = np.array([len(m) for m in masks])
    np.savez(
        path,
        rows=np.array(rows),
        codes=np.array(codes),
        lengths=lengths,
        bits=np.concatenate(masks),
    )


def load_segmented(
    folder: Path, scenes: Sequence[Scene]
) -> list[tuple[int, NDArray[np.bool_], NDArray[np.int64]]]:
    """Return (scene row, mask, attribute codes) of every kept region."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as data:
            rows, codes, bits = data["rows"], data["codes"], data["bits"]
            starts = np.concatenate([[0], data["lengths"].cumsum()])
        for k, row in enumerate(rows.tolist()):
            shape = scenes[row].labels.shape
            flat = np.unpackbits(bits[starts[k] : starts[k + 1]], count=shape[0] * shape[1])
            found.append((row, flat.reshape(shape).astype(bool), codes[k]))
    return found


def main() -> None:
    """Segment what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--pool", type=Path, default=Path("build/pool/train"))
    parser.add_argument("--out", type=Path, default=Path("build/segmented"))
    parser.add_argument("--points-per-side", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    config = replace(preset_named("embedded").masks, points_per_side=args.points_per_side)
    source = Sam2MaskSource.from_pretrained(embedded_folder("embedded:sam2"), config)
    scenes = load_pool(args.pool, args.n)
    for first in range(0, len(scenes), SCENES_PER_PART):
        path = args.out / f"{first:05d}.npz"
        if not path.exists():
            _write_part(path, source, scenes[first : first + SCENES_PER_PART], first)
            print(path, flush=True)


if __name__ == "__main__":
    main()
