"""Write an index anew without what was dropped, in as few segments as may be. Knows no model."""

from dataclasses import dataclass
from pathlib import Path

from matir_nb.index.manifest import Segment, read_manifest
from matir_nb.index.writer import IndexWriter


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What compacting came to.

    Attributes:
        path: the index.
        n_images: in it, before and after.
        n_segments: (before, after).
        n_bytes: (before, after).
        was_version: format version that it had.
    """

    path: Path
    n_images: int
    n_segments: tuple[int, int]
    n_bytes: tuple[int, int]
    was_version: int

    def __str__(self) -> str:
        """Return one line."""
        before, after = (f"{n / 1e6:.1f} MB" for n in self.n_bytes)
        return (
            f"{self.n_images} images: segments {self.n_segments[0]} → {self.n_segments[1]}, "
            f"{before} → {after}"
        )


def compact(path: str | Path) -> CompactReport:
    """Join the segments of an index, and leave out the bytes of images that were dropped.

    An index of format version 1 becomes one of the present version. Readers that have the index
    open keep what they have.

    Raises:
        ConfigError: another process is writing to the index.
        IndexNotFoundError: there is none.
        IndexCorruptError: it is damaged.
        OSError: the disk is full or fails; the index is as it was.
    """
    path = Path(path)
    old = read_manifest(path)
    with IndexWriter.resume(path) as writer:
        writer.compact()
    new = read_manifest(path)
    return CompactReport(
        path=path,
        n_images=sum(segment.n_live for segment in new.segments),
        n_segments=(len(old.segments), len(new.segments)),
        n_bytes=(_n_bytes(old.segments), _n_bytes(new.segments)),
        was_version=old.version,
    )


def _n_bytes(segments: tuple[Segment, ...]) -> int:
    return sum(segment.n_bytes for segment in segments)
