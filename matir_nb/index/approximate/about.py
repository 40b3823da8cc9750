"""What ``approximate/about.json`` says: what the FAISS file beside it holds, and how well it does.

The file is replaced as a whole, after the FAISS file that it names: a reader sees the old pair or
the new one. This module knows no FAISS.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from matir_nb.config import RetrieveConfig
from matir_nb.errors import IndexMismatchError
from matir_nb.index.approximate.plan import KINDS
from matir_nb.printing import table

FOLDER = "approximate"
"""Of an index folder."""
ABOUT = "about.json"
FILE_NAME = re.compile(r"[a-z0-9_-]+\.faiss")
VERSION = 1
AGAIN = "build it again with matir accelerate"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one effort was measured to give.

    Attributes:
        queries: "sampled" (regions of the index with noise), or "given".
        k: images asked for.
        share: of the images that a filter lets pass; 1 = no filter.
        effort: lists visited (nprobe), or the graph's efSearch.
        recall: share of the exact k best images among the k best found, mean over the queries.
        worst: of the query with the smallest.
        ms: milliseconds per query, exact re-scoring included, one query after the other.
    """

    queries: str
    k: int
    share: float
    effort: int
    recall: float
    worst: float
    ms: float


@dataclass(frozen=True, slots=True)
class About:
    """An approximate index on disk.

    Attributes:
        kind: one of `KINDS`.
        parameters: what FAISS was told.
        segments: names of those that it covers, in order.
        n_regions: regions on disk that it covers.
        dim: numbers per vector.
        region_weight: that its vectors were made with.
        image_weight: likewise.
        seed: of all that is random in it.
        faiss: version of FAISS.
        file: name of the FAISS file beside.
        n_bytes: size of that file.
        sha256: hex digest of that file.
        effort: that a search makes unless told otherwise.
        wanted_recall: that was asked for.
        is_reached: whether the effort reaches it, at every k, without a filter.
        n_queries: that it was measured on.
        measured: the table.
        contents: digests of the vectors of each segment; none = not known, and it fits nothing.
    """

    kind: str
    parameters: Mapping[str, Any]
    segments: tuple[str, ...]
    n_regions: int
    dim: int
    region_weight: float
    image_weight: float
    seed: int
    faiss: str
    file: str
    n_bytes: int
    sha256: str
    effort: int
    wanted_recall: float
    is_reached: bool
    n_queries: int
    measured: tuple[Measured, ...]
    contents: tuple[str, ...] = ()

    @property
    def recall(self) -> float | None:
        """The smallest mean recall that was measured for the effort, without a filter.

        None = so few regions that every search is exact.
        """
        rows = [m for m in self.measured if m.effort == self.effort and m.share == 1]
        return min((m.recall for m in rows), default=None)

    def require_covers(
        self, contents: tuple[str, ...], n_regions: int, config: RetrieveConfig
    ) -> None:
        """Raise unless it can search an index of segments with these vectors.

        Args:
            contents: digest of the vectors of each segment.
            n_regions: regions on disk of all of them.
            config: that images are ranked by.

        Raises:
            IndexMismatchError: the index has other segments now, or images are ranked otherwise.
        """
        if (self.contents, self.n_regions) != (contents, n_regions):
            message = f"the index changed since the approximate index was built: {AGAIN}"
            raise IndexMismatchError(message)
        if (self.region_weight, self.image_weight) != (config.region_weight, config.image_weight):
            message = (
                f"the approximate index was built for region_weight {self.region_weight}, "
                f"image_weight {self.image_weight}: search with these, or without it"
            )
            raise IndexMismatchError(message)

    def to_json(self) -> str:
        """Return the text of the file."""
        content = {"version": VERSION} | asdict(self)
        return json.dumps({"checksum": _digest(content)} | content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what a file says.

        Raises:
            ValueError: it is damaged, or a newer version wrote it.
            LookupError: likewise.
            TypeError: likewise.
        """
        content = json.loads(text)
        checksum = content.pop("checksum")
        if checksum != _digest(content):
            message = "its checksum is wrong"
            raise ValueError(message)
        version = content.pop("version")
        if version > VERSION:
            message = "a newer matir_nb wrote it"
            raise ValueError(message)
        measured = tuple(Measured(**row) for row in content.pop("measured"))
        segments, contents = (tuple(content.pop(name, ())) for name in ("segments", "contents"))
        about = cls(**content, measured=measured, segments=segments, contents=contents)
        if about.kind not in KINDS or not FILE_NAME.fullmatch(about.file):
            message = f"it names kind {about.kind!r}, file {about.file!r}"
            raise ValueError(message)
        return about

    def __str__(self) -> str:
        """Return the table of recall and what it is of."""
        rows = [
            [
                m.queries,
                str(m.k),
                f"{m.share:.0%}",
                str(m.effort),
                f"{m.recall:.3f}",
                f"{m.worst:.2f}",
                f"{m.ms:.1f}",
                "*" if m.effort == self.effort else "",
            ]
            for m in self.measured
        ]
        head = ["queries", "k", "images", "effort", "recall", "worst", "ms", "used"]
        first = (
            f"{self.kind} over {self.n_regions} regions x {self.dim}, "
            f"{self.n_bytes / (1 << 20):.1f} MiB in memory"
        )
        text = table(head, rows, left=["queries"])
        return f"{first}\n{text}\n{self.verdict} ({self.n_queries} sampled queries)"

    @property
    def verdict(self) -> str:
        """Whether the wanted recall is reached, in words."""
        if self.recall is None:
            return "so few regions that every search is exact: not measured"
        if self.is_reached:
            return f"effort {self.effort} is the smallest that finds {self.wanted_recall:.0%}"
        return f"no effort finds {self.wanted_recall:.0%}: {self.effort} finds {self.recall:.1%}"


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
