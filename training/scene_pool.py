"""Draw training scenes once and keep them on disk; every training script reads the same pool.

    python -m training.scene_pool --split train --n 12000 --out build/pool/train

A pool is one folder of shards; a shard is an .npz of flat pixel and label arrays with a JSON
description of its objects. A shard that exists is not drawn again, so the command resumes.
"""

import argparse
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from matir_nb.scenes.draw import Scene, SceneObject, draw_scene
from matir_nb.scenes.vocabulary import SPLITS, Split

SHARD_SIZE = 500


def _write_shard(split: Split, shard: int, folder: Path) -> Path:
    path = folder / f"{shard:05d}.npz"
    if path.exists():
        return path
    scenes = [draw_scene(split, shard * SHARD_SIZE + i, seed=1) for i in range(SHARD_SIZE)]
    description = [
        {
            "scene_id": scene.scene_id,
            "size_hw": scene.labels.shape,
            "objects": [asdict(o) for o in scene.objects],
            "covered": scene.covered.tolist(),
            "enclosed": scene.enclosed.tolist(),
        }
        for scene in scenes
    ]
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        pixels=np.concatenate([scene.image.reshape(-1) for scene in scenes]),
        labels=np.concatenate([scene.labels.reshape(-1) for scene in scenes]),
        description=np.frombuffer(json.dumps(description).encode(), np.uint8),
    )
    partial.replace(path)
    return path


def _read_shard(path: Path) -> Iterator[Scene]:
    with np.load(path) as data:
        pixels, labels = data["pixels"], data["labels"]
        description = json.loads(data["description"].tobytes())
    start = 0
    for row in description:
        height, width = row["size_hw"]
        n = height * width
        n_objects = len(row["objects"])
        yield Scene(
            row["scene_id"],
            pixels[3 * start : 3 * (start + n)].reshape(height, width, 3),
            labels[start : start + n].reshape(height, width),
            tuple(SceneObject(**{**o, "centre_xy": tuple(o["centre_xy"])}) for o in row["objects"]),
            np.array(row["covered"], np.float32).reshape(n_objects, n_objects),
            np.array(row["enclosed"], np.float32).reshape(n_objects, n_objects),
        )
        start += n


def load_pool(folder: Path, n: int | None = None) -> list[Scene]:
    """Return the first `n` scenes of a pool (None = all that are drawn)."""
    scenes: list[Scene] = []
    for path in sorted(p for p in folder.glob("*.npz") if ".partial" not in p.name):
        scenes.extend(_read_shard(path))
        if n is not None and len(scenes) >= n:
            break
    return scenes[:n]


def main() -> None:
    """Draw what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--n", type=int, default=12000)
    parser.add_argument("--out", type=Path, default=Path("build/pool/train"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    shards = range(-(-args.n // SHARD_SIZE))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_write_shard, args.split, shard, args.out) for shard in shards]
        for job in jobs:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
