"""Where each image of an index is, and what is known of its file: what a writer remembers."""

from collections.abc import Iterator
from dataclasses import dataclass

from matir_nb.index.changes import KnownFile
from matir_nb.index.segments import OpenSegment
from matir_nb.index.tables import IndexedImage


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is, and what is known of its file.

    Attributes:
        segment: name of its segment.
        row: of the segment's image table.
        n_regions: of the image.
        file: what is known.
    """

    segment: str
    row: int
    n_regions: int
    file: KnownFile


def place_of(segment: str, number: int, row: IndexedImage) -> Place:
    """Return the place of an image that was just written."""
    facts = row.ref.facts
    file = KnownFile(row.ref.fingerprint, facts.n_bytes, facts.modified, row.copies)
    return Place(segment, number, len(row.regions), file)


def places_in(part: OpenSegment) -> Iterator[tuple[str, Place]]:
    """Yield image id and place of every image of a segment that is in the index."""
    names = ("image_id", "n_regions", "fingerprint", "n_bytes", "modified", "copies")
    images = part.image_frame().select(names)
    for row, values in zip(part.live.tolist(), images.iter_rows(), strict=True):
        image_id, n_regions, fingerprint, n_bytes, modified, copies = values
        file = KnownFile(fingerprint, n_bytes, modified, tuple(copies or ()))
        yield image_id, Place(part.name, row, n_regions, file)
