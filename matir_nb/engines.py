"""Engines that stay open: a notebook must not load its models again for each search.

This module knows no command and no name of an index.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from matir_nb import opening
from matir_nb.engine import Engine
from matir_nb.index.manifest import MANIFEST_NAME, read_manifest
from matir_nb.index.pictures import IndexPictures
from matir_nb.index.store import Index
from matir_nb.models.base import RegionEncoder
from matir_nb.types import FloatArray

MAX_OPEN = 4
"""Engines kept open; the one not used for longest goes."""

Key: TypeAlias = tuple[Path, int, str, Path | None, bool]


class StoredSource(IndexPictures):
    """Pictures and regions of an index; its models are loaded when a score is asked for."""

    def __init__(self, index: Index, open_engine: Callable[[], Engine]) -> None:
        """Take an opened index, and what opens an engine on it."""
        super().__init__(index)
        self._open_engine = open_engine

    def region_scores_of(self, query: str, image_id: str) -> FloatArray:
        """Return (n,) float32 stage-1 cosines of `query` with every region of an image."""
        return self.engine().region_scores_of(query, image_id)

    def text_scores_of(self, texts: Sequence[str], image_id: str) -> tuple[FloatArray, FloatArray]:
        """Return stage-1 cosines of texts in one image (see `Engine.text_scores_of`)."""
        return self.engine().text_scores_of(texts, image_id)

    def engine(self) -> Engine:
        """Return the engine; the first call opens it."""
        return self._open_engine()


class Engines:
    """Opens engines, and gives one that is open again while its index is unchanged."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: dict[Key, Engine] = {}

    def on(
        self,
        path: Path,
        *,
        has_judge: bool = True,
        device: str = "auto",
        images: Path | None = None,
    ) -> Engine:
        """Return an engine on the index at `path`: one opened before, if the index is unchanged.

        Args:
            path: the index folder.
            has_judge: the preset's judge is loaded, too.
            device: "auto", "cpu", "cuda" or "mps".
            images: where the images are now; None = where they were.
        """
        key = (path.resolve(), _stamp(path), device, images, has_judge)
        found = self._open.pop(key, None)
        if found is None:
            judge = "default" if has_judge else None
            encoder = self._encoder(path, device)
            found = opening.open_engine(
                path, judge=judge, device=device, images=images, encoder=encoder
            )
            self._drop_outdated(key)
        self._open[key] = found
        while len(self._open) > MAX_OPEN:
            del self._open[next(iter(self._open))]
        return found

    def _drop_outdated(self, key: Key) -> None:
        """Close engines on what the index of `key` was before it was written again."""
        path, stamp = key[:2]
        for other in list(self._open):
            if other[0] == path and other[1] != stamp:
                del self._open[other]

    def _encoder(self, path: Path, device: str) -> RegionEncoder | None:
        """Return the encoder of an open engine that is the right one for the index; else None."""
        wanted = read_manifest(path)
        for (_, _, its_device, _, _), opened in self._open.items():
            if its_device == device and opened.encoder.model_id == wanted.made_by["encoder"]:
                return opened.encoder
        return None


def _stamp(path: Path) -> int:
    """Return what changes when the index is written; 0 where there is none."""
    manifest = path / MANIFEST_NAME
    return manifest.stat().st_mtime_ns if manifest.is_file() else 0
