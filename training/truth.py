"""Scenes as arrays, and the truth of many queries over many regions at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matir_nb.scenes.draw import MAX_OBJECTS, Scene, SceneObject
from matir_nb.scenes.meaning import ATTRIBUTES, NounPhrase, Query
from matir_nb.scenes.queries import RELATIONS, holds
from matir_nb.scenes.vocabulary import COLOURS, SHAPES, SIZES, TEXTURES

VALUES: dict[str, tuple[str, ...]] = {
    "colour": COLOURS,
    "shape": SHAPES,
    "size": SIZES,
    "texture": TEXTURES,
}
JUNK = -9
"""Attribute code of a region that is no object: it matches no phrase."""


def object_codes(item: SceneObject) -> list[int]:
    """Return the attribute numbers of an object, in the order of `ATTRIBUTES`."""
    return [VALUES[a].index(getattr(item, a)) for a in ATTRIBUTES]


def phrase_codes(phrase: NounPhrase | None) -> list[int]:
    """Return attribute numbers; -1 = any."""
    if phrase is None:
        return [-1] * len(ATTRIBUTES)
    values = [getattr(phrase, a) for a in ATTRIBUTES]
    return [VALUES[a].index(v) if v else -1 for a, v in zip(ATTRIBUTES, values, strict=True)]


def matches(phrases: NDArray[np.int64], objects: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (c, *n) bool for (c, 4) phrases and (*n, 4) objects."""
    wide = phrases.reshape(len(phrases), *(1,) * (objects.ndim - 1), 4)
    found: NDArray[np.bool_] = ((wide == -1) | (wide == objects[None])).all(-1)
    return np.asarray(found & (objects[..., 0] != JUNK))


@dataclass(frozen=True, slots=True)
class SceneTable:
    """Scenes as arrays: codes (s, 8, 4), JUNK where there is no object; relations (8, s, 8, 8)."""

    codes: NDArray[np.int64]
    relations: NDArray[np.bool_]

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> "SceneTable":
        """Tabulate `scenes`."""
        codes = np.full((len(scenes), MAX_OBJECTS, 4), JUNK, np.int64)
        relations = np.zeros((len(RELATIONS), len(scenes), MAX_OBJECTS, MAX_OBJECTS), bool)
        for s, scene in enumerate(scenes):
            n = len(scene.objects)
            codes[s, :n] = [object_codes(item) for item in scene.objects]
            for r, relation in enumerate(RELATIONS):
                for i in range(n):
                    for j in range(n):
                        relations[r, s, i, j] = i != j and holds(scene, relation, i, j)
        return cls(codes, relations)

    def take(self, rows: NDArray[np.intp]) -> "SceneTable":
        """Return the table of some scenes."""
        return SceneTable(self.codes[rows], self.relations[:, rows])


def subject_truth(queries: Sequence[Query], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (c, *n): does each object fit the query's subject and not its exclusion?"""
    subject = np.array([phrase_codes(q.subject) for q in queries])
    truth = matches(subject, codes)
    excluding = [c for c, q in enumerate(queries) if q.without is not None]
    if excluding:
        without = np.array([phrase_codes(queries[c].without) for c in excluding])
        truth[excluding] &= ~matches(without, codes)
    return truth


def image_truth(queries: Sequence[Query], table: SceneTable) -> NDArray[np.bool_]:
    """Return (c, s): is each scene relevant? Equals `entails(...).is_relevant`."""
    found = subject_truth(queries, table.codes)
    related = [c for c, q in enumerate(queries) if q.relation is not None]
    if related:
        other = matches(np.array([phrase_codes(queries[c].other) for c in related]), table.codes)
        kinds = [RELATIONS.index(str(queries[c].relation)) for c in related]
        pairs = table.relations[kinds] & other[:, :, None, :]
        found[related] &= pairs.any(-1)
    n_found = found.sum(-1)
    truth: NDArray[np.bool_] = n_found > 0
    for c, query in enumerate(queries):
        if query.is_none:
            truth[c] = n_found[c] == 0
        elif query.count is not None:
            truth[c] = n_found[c] == query.count
    return truth


def junk_mask(rng: np.random.Generator, scene: Scene) -> NDArray[np.bool_]:
    """Return a mask that is no object: a blob of background, or several objects at once."""
    if len(scene.objects) > 1 and rng.random() < 0.4:
        chosen = rng.permutation(len(scene.objects))[: int(rng.integers(2, 4))] + 1
        return np.asarray(np.isin(scene.labels, chosen))
    height, width = scene.labels.shape
    y, x = np.mgrid[0:height, 0:width]
    ry, rx = rng.uniform(0.06, 0.3, 2) * min(height, width)
    cy, cx = rng.uniform(0, height), rng.uniform(0, width)
    blob = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
    return np.asarray(blob & (scene.labels == 0))
