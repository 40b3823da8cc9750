"""Which neighbouring segments are written as one, so that an index never has many of them."""

from collections.abc import Iterator, Sequence

from matir_nb.index.manifest import Segment

JOIN_BYTES = 256 << 20
"""Segments are joined up to this size."""
JOIN_COUNT = 16
"""So many are joined at once, at most: each takes open files."""
LARGEST_SHARE = 0.25
"""While an index is written, segments wait until none has a larger share of what is joined: what
is written again then goes into a segment four times as large, so it is seldom written again."""
DROPPED_SHARE = 0.25
"""A segment with a larger share of dropped images is written again when a build ends."""


def waiting(segments: Sequence[Segment], *, dropped_share: float) -> list[list[Segment]]:
    """Return groups to join; a group of one has a larger share of dropped images."""
    return [
        group
        for group in _groups(segments)
        if len(group) > 1 or len(group[0].dropped) > dropped_share * group[0].n_images
    ]


def ripe(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Return groups to join after a batch: the shortest tail that is long and even enough."""
    total = largest = 0
    for number in reversed(range(len(segments))):
        n_bytes = segments[number].n_bytes
        if 2 * n_bytes > JOIN_BYTES:
            break
        total, largest = total + n_bytes, max(largest, n_bytes)
        if len(segments) - number >= JOIN_COUNT and largest <= LARGEST_SHARE * total:
            return [group for group in _groups(segments[number:]) if len(group) > 1]
    return []


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Yield up to `JOIN_COUNT` neighbours that together stay within `JOIN_BYTES`."""
    group: list[Segment] = []
    n_bytes = 0
    for segment in segments:
        if group and (len(group) == JOIN_COUNT or n_bytes + segment.n_bytes > JOIN_BYTES):
            yield group
            group, n_bytes = [], 0
        group.append(segment)
        n_bytes += segment.n_bytes
    if group:
        yield group
