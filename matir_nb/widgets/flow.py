"""How the whole ranking came about, from stage to stage."""

from typing import Any

from traitlets import Unicode

from matir_nb.errors import MatirError
from matir_nb.exports.explain import flow_text
from matir_nb.exports.jpeg import PREVIEW_COMMENT, jpeg_of
from matir_nb.exports.still import THUMB, flowed
from matir_nb.results import SearchResult, Source
from matir_nb.types import Hit, RGBImage
from matir_nb.widgets.base import ResultView
from matir_nb.widgets.fallback import words
from matir_nb.widgets.jobs import JSON
from matir_nb.widgets.stills import show


class StageFlow(ResultView):
    """Ranks of every hit from stage to stage, seconds per stage, scores of found and rest."""

    _kind = Unicode("flow", read_only=True, help="Which view the browser makes.").tag(sync=True)

    def __init__(self, result: SearchResult, grid: ResultView | None = None, **traits: Any) -> None:
        """Show how `result` came about.

        Args:
            result: of a search.
            grid: a view of the same result; selection, marks and current hit are shared with it.
            traits: those of `ResultView`.

        Raises:
            ConfigError: `grid` shows another result, or an option cannot be used.
        """
        super().__init__(result, **traits)
        if grid is not None:
            self._join(grid)

    def _ipython_display_(self) -> None:
        """Show a still picture of the ranks, and the view, which hides it."""
        show(self, self._still, alt="the ranks of the hits by stage 1 and in the final order")

    def _still(self) -> bytes | None:
        result = self.result
        if result is None or result.source is None or not result.hits:
            return None
        source = result.source
        return jpeg_of(flowed(result, lambda hit: _small(source, hit)), comment=PREVIEW_COMMENT)

    def _without_kernel(self) -> JSON:
        result = self.result
        return {} if result is None else words(f"{result!r}\n\n{flow_text(result)}")


def _small(source: Source, hit: Hit) -> RGBImage | None:
    """Return a hit's pixels; None = the image cannot be read."""
    try:
        return source.load_image(hit.image_id, max_side=2 * THUMB)
    except MatirError:
        return None
