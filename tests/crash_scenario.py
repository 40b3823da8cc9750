"""A small index that is made, changed, shrunk and compacted, by a driver that can go on.

Every picture is made from its name and version alone, and every number in its vectors is a
multiple of 1/16: sums of their products are exact in any order, so equal indexes give equal bytes.
"""

import random
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from matir_nb.config import RetrieveConfig
from matir_nb.errors import IndexNotFoundError
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.index.manifest import BACKUP_NAME
from matir_nb.index.store import Index
from matir_nb.index.tables import IndexedImage
from matir_nb.index.verify import verify
from matir_nb.index.writer import IndexWriter
from matir_nb.stages.retrieve import retrieve
from matir_nb.types import FileFacts, ImageRef

DIM = 16
MADE_BY = {"segmenter": "s", "encoder": "e", "dim": DIM, "masks": None}
BATCH = 2
HEIGHT, WIDTH = 6, 8
QUERIES = ("0", "1", "2")
State = dict[str, str]
"""Image id -> fingerprint."""


@dataclass(frozen=True)
class Stage:
    """What a run of the driver leads to."""

    pictures: tuple[tuple[str, int], ...]
    is_compacted: bool = False
    is_finished: bool = True

    @property
    def state(self) -> State:
        return {name: fingerprint(name, version) for name, version in self.pictures}


FIRST = tuple((f"{i}.png", 1) for i in range(5))
SECOND = (*FIRST[:1], ("1.png", 2), *FIRST[3:], ("new.png", 1))
THIRD = SECOND[1:]
STAGES = (Stage(FIRST, is_finished=False), Stage(SECOND), Stage(THIRD, is_compacted=True))
NO_BACKUP = (BACKUP_NAME, "is missing")
SKIPPED = (("bad.png", "odd"),)


def fingerprint(name: str, version: int) -> str:
    return f"{zlib.crc32(name.encode()):08x}{version}"


def picture(root: Path, name: str, version: int) -> IndexedImage:
    rng = random.Random(fingerprint(name, version))
    n = rng.randrange(4)
    masks = [np.zeros((HEIGHT, WIDTH), bool) for _ in range(n)]
    for mask in masks:
        y, x = rng.randrange(HEIGHT - 1), rng.randrange(WIDTH - 1)
        mask[y : y + 1 + rng.randrange(HEIGHT), x : x + 1 + rng.randrange(WIDTH)] = True
    scores = np.array([rng.randrange(16) / 16 for _ in masks])
    vectors = np.array([sixteenths(rng) for _ in range(n + 1)], np.float32)
    facts = FileFacts(n_bytes=100 + version, format="PNG")
    ref = ImageRef(name, root / name, WIDTH, HEIGHT, fingerprint(name, version), facts)
    regions = regions_from_masks([encode(mask) for mask in masks], scores, scores)
    return IndexedImage(ref, regions, vectors[:n], vectors[n])


def sixteenths(rng: random.Random) -> list[float]:
    return [rng.randrange(-8, 9) / 16 for _ in range(DIM)]


class Texts:
    """An encoder of the texts in `QUERIES` only."""

    model_id = "e"
    dim = DIM
    log_odds = None

    def embed_texts(self, texts):
        return np.array([sixteenths(random.Random(text)) for text in texts], np.float32)


def open_writer(path: Path, root: Path) -> IndexWriter:
    return IndexWriter.create_or_resume(path, made_by=MADE_BY, preset={"name": "p"}, root=root)


def go_on(path: Path, root: Path, stage: Stage, report=lambda _event, _state: None) -> None:
    """Bring the index to what `stage` says, whatever it is now.

    Args:
        path: the index.
        root: folder of the pictures.
        stage: where to.
        report: called with "begin" and the state to come, "done" and the state that is there.
    """
    with open_writer(path, root) as writer:
        state = state_of(writer)
        report("done", dict(state))

        def step(act, after: State) -> None:
            report("begin", dict(after))
            act()
            report("done", dict(after))
            assert state_of(writer) == after

        wanted = stage.state
        gone = {name for name, mark in state.items() if wanted.get(name) != mark}
        if gone:
            state = {name: mark for name, mark in state.items() if name not in gone}
            step(lambda: writer.drop(gone), state)
        new = [item for item in stage.pictures if item[0] not in state]
        for start in range(0, len(new), BATCH):
            batch = [picture(root, *item) for item in new[start : start + BATCH]]
            state = state | {row.ref.image_id: row.ref.fingerprint for row in batch}
            step(lambda batch=batch: writer.add(batch), state)
        if stage.is_compacted:
            step(writer.compact, state)
        if stage.is_finished:
            step(lambda: writer.finish(SKIPPED), state)


def state_of(writer: IndexWriter) -> State:
    return {name: known.fingerprint for name, known in writer.known.items()}


def state_in(path: Path) -> State | None:
    """Return what the index holds; None = there is no index yet.

    Raises:
        IndexCorruptError: it is damaged.
    """
    try:
        index = Index.open(path)
    except IndexNotFoundError:
        return None
    # the first manifest may be there, and its backup not yet
    broken = [item for item in verify(path).broken if (item.file, item.what) != NO_BACKUP]
    assert not broken
    return {name: index.ref_of(name).fingerprint for name in index.image_ids}


def content(index: Index) -> dict[str, tuple]:
    """Return all that the index holds, by image id."""
    found = {}
    for name in index.image_ids:
        regions, ref = index.regions_of(name), index.ref_of(name)
        found[name] = (
            (ref.fingerprint, ref.width, ref.height, ref.facts, index.copies_of(name)),
            regions.masks,
            *(
                getattr(regions, column).tobytes()
                for column in ("boxes_xyxy", "areas", "predicted_ious", "stability_scores")
            ),
            index.region_vectors_of(name).tobytes(),
            index.image_vector_of(name).tobytes(),
        )
    return found


def answers(index: Index, k: int = 4) -> tuple:
    """Return what a few searches find, to the last bit."""
    found = []
    for text in QUERIES:
        got = retrieve(text, index, Texts(), n_images=k, config=RetrieveConfig())
        for item in got.candidates:
            scores = (item.stage1_score, item.best_region_score, item.whole_image_score)
            found.append((item.image_id, scores, item.region_ids, item.region_scores.tobytes()))
    return tuple(found)


def everything(path: Path) -> tuple:
    """Return content and answers of the index at `path`, after a look at every byte."""
    index = Index.open(path)
    assert verify(path).is_sound
    return content(index), answers(index), index.manifest.skipped
