"""What a query means, without words or pixels."""

from dataclasses import dataclass

from matir_nb.scenes.draw import SceneObject

KINDS = ("attribute", "relation", "count", "absence", "superlative")
ATTRIBUTES = ("colour", "shape", "size", "texture")


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A set of objects by attributes; None = any."""

    colour: str | None = None
    shape: str | None = None
    size: str | None = None
    texture: str | None = None

    def matches(self, item: SceneObject) -> bool:
        """Return whether `item` has every attribute that is named."""
        return all(getattr(self, a) in (None, getattr(item, a)) for a in ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class Query:
    """The meaning of a query.

    Attributes:
        kind: one of `KINDS`.
        subject: what is looked for (or, with `is_none`, must not be there).
        relation: "relation" only: subject `relation` other.
        other: see relation.
        count: "count" only: the image has exactly so many subjects.
        without: "absence" only: the subject must not match this.
        is_none: "absence" only: the image has no subject at all.
        superlative: "superlative" only.
    """

    kind: str
    subject: NounPhrase
    relation: str | None = None
    other: NounPhrase | None = None
    count: int | None = None
    without: NounPhrase | None = None
    is_none: bool = False
    superlative: str | None = None
