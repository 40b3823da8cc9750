"""What the children of `crash_server` do; importing this imports all that they need."""

import hashlib
import os
import random
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from crash_scenario import DIM, STAGES, Texts, go_on, sixteenths, state_of
from crash_server import report
from PIL import Image

from matir_nb import images
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.index import rows, update
from matir_nb.index.build import build
from matir_nb.index.writer import IndexWriter
from matir_nb.types import FileFacts

SIDE = 8
FOLDERS = ("first", "second")


def write(path, root, start):
    """Bring an index through all stages from `start` on, by its writer."""
    for number, stage in list(enumerate(STAGES))[int(start) :]:
        go_on(Path(path), Path(root), stage, lambda *words, at=number: report(at, *words))


def index(path, root, start):
    """Build an index of the folder ``first``, then of ``second``; pictures are decoded here."""
    images.decode_ahead = decoded
    rows.MODEL_IMAGES = update.SEGMENT_IMAGES = 2
    for number, name in list(enumerate(FOLDERS))[int(start) :]:
        with reporting(number):
            folder, masks, encoder = Path(root) / name, Halves(), Sixteenths()
            build(folder, path, masks=masks, encoder=encoder, progress=lambda *_: None)


@contextmanager
def reporting(number):
    """Let the writer say, when a change is done, what is in the index."""

    def saying(method):
        def done(self, *args, **options):
            method(self, *args, **options)
            report(number, "done", state_of(self))

        return done

    real = {name: getattr(IndexWriter, name) for name in ("add", "drop", "finish")}
    for name, method in real.items():
        setattr(IndexWriter, name, saying(method))
    yield
    for name, method in real.items():
        setattr(IndexWriter, name, method)


def folders(root: Path):
    """Draw what `index` reads: pictures; then one changed, one moved, one gone, one twice."""
    first, second = (root / name for name in FOLDERS)
    first.mkdir(parents=True)
    for number in range(6):
        draw(first / f"{number}.png", number)
    shutil.copytree(first, second)
    (second / "0.png").rename(second / "moved.png")
    (second / "1.png").unlink()
    draw(second / "2.png", 12)
    shutil.copy2(second / "3.png", second / "copy.png")
    draw(second / "new.png", 13)


def draw(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    os.utime(path, (1_700_000_000 + seed,) * 2)  # a file written just now would be read again


def decoded(paths, _limits):
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with Image.open(path) as image:
            yield digest, np.asarray(image.convert("RGB")), FileFacts()


class Halves:
    """Finds the left half and the upper half of every picture."""

    model_id = "halves"

    def generate(self, images):
        masks = np.zeros((2, SIDE, SIDE), bool)
        masks[0, :, : SIDE // 2] = masks[1, : SIDE // 2] = True
        scores = np.array([0.5, 0.25])
        return [regions_from_masks([encode(m) for m in masks], scores, scores) for _ in images]


class Sixteenths(Texts):
    """Gives every picture and region the numbers that its pixels lead to."""

    def embed_regions(self, images, masks):
        return [self._vectors(i, len(m)) for i, m in zip(images, masks, strict=True)]

    def embed_images(self, images):
        return np.concatenate([self._vectors(image, 1) for image in images])

    def _vectors(self, image, n):
        rng = random.Random(image.tobytes())
        return np.array([sixteenths(rng) for _ in range(n)], np.float32).reshape(n, DIM)
