"""What a generated object can be, and which combinations each split may show.

Splits are disjoint in three ways: seeds, colour x shape x texture triples, and phrase templates
(`matir_nb.scenes.phrases`). Of the 256 triples, 32 appear in test scenes only and 16 in
validation scenes only; training sees the other 208. This module knows no pixels and no words.
"""

import hashlib
from functools import cache
from itertools import product
from typing import Literal, TypeAlias

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "crescent")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SIZES = ("small", "medium", "large")
TEXTURES = ("plain", "striped", "dotted", "checkered")
VALUES = {"colour": COLOURS, "shape": SHAPES, "size": SIZES, "texture": TEXTURES}
"""Attribute -> what it can be."""

RGB: dict[str, tuple[int, int, int]] = {
    "red": (208, 28, 32),
    "orange": (240, 124, 16),
    "yellow": (240, 214, 32),
    "green": (40, 150, 50),
    "cyan": (40, 200, 210),
    "blue": (36, 66, 206),
    "purple": (122, 40, 160),
    "pink": (246, 138, 186),
}

DIAMETERS: dict[str, tuple[float, float]] = {
    "small": (0.17, 0.21),
    "medium": (0.28, 0.34),
    "large": (0.44, 0.52),
}
"""Diameter of the object's circumscribed circle, as a fraction of the image's short side."""

Triple: TypeAlias = tuple[str, str, str]
"""(colour, shape, texture)."""

N_TEST_ONLY = 32
N_VALIDATION_ONLY = 16


@cache
def _shuffled_triples() -> tuple[Triple, ...]:
    """Return all triples in an order fixed by their own hash."""
    triples = product(COLOURS, SHAPES, TEXTURES)
    return tuple(sorted(triples, key=lambda t: hashlib.sha256("/".join(t).encode()).digest()))


def held_out_triples(split: Split) -> tuple[Triple, ...]:
    """Return the triples that only scenes of `split` show (none for "train").

    >>> len(held_out_triples("test")), len(held_out_triples("train"))
    (32, 0)
    """
    triples = _shuffled_triples()
    if split == "test":
        return triples[:N_TEST_ONLY]
    if split == "validation":
        return triples[N_TEST_ONLY : N_TEST_ONLY + N_VALIDATION_ONLY]
    return ()


def common_triples() -> tuple[Triple, ...]:
    """Return the triples that training sees, and every split shows."""
    return _shuffled_triples()[N_TEST_ONLY + N_VALIDATION_ONLY :]
