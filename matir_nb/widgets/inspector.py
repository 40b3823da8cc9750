"""One hit in full: every region, every score, and how they add up."""

from typing import Any

from traitlets import Unicode

from matir_nb.explain.ledger import hit_of
from matir_nb.exports.explain import hit_text
from matir_nb.exports.jpeg import PREVIEW_COMMENT, jpeg_of
from matir_nb.exports.still import SIDE, inspected
from matir_nb.results import SearchResult
from matir_nb.widgets.base import ResultView
from matir_nb.widgets.fallback import words
from matir_nb.widgets.jobs import JSON
from matir_nb.widgets.stills import show


class Inspector(ResultView):
    """One hit: its picture with all regions, the judge's words, and the terms of its scores."""

    _kind = Unicode("inspector", read_only=True, help="Which view the browser makes.").tag(
        sync=True
    )

    def __init__(
        self,
        result: SearchResult,
        rank: int | None = None,
        *,
        grid: ResultView | None = None,
        **traits: Any,
    ) -> None:
        """Show one hit of `result`.

        Args:
            result: of a search.
            rank: 1 = best; None = the one that `grid` or the option `current` names, else the best.
            grid: a view of the same result; selection, marks and current hit are shared with it.
            traits: those of `ResultView`, e.g. ``mask_mode="all"``.

        Raises:
            ConfigError: there is no such rank, `grid` shows another result, or an option cannot
                be used.
        """
        super().__init__(result, **traits)
        if rank is not None:
            self.current = _image_at(result, rank)
        if grid is not None:
            self._join(grid, self.current)
        if not self.current and result.hits:
            self.current = result.hits[0].image_id

    def _ipython_display_(self) -> None:
        """Show a still picture of the hit, and the view, which hides it."""
        show(self, self._still, alt=f"one hit, {self.current}, with its regions and its ledger")

    def _still(self) -> bytes | None:
        result = self.result
        if result is None or result.source is None or not self.current:
            return None
        pixels = result.source.load_image(self.current, max_side=2 * SIDE)
        regions = result.source.regions_of(self.current)
        rank = self._shown.hits[self.current].rank
        return jpeg_of(inspected(result, rank, pixels, regions), comment=PREVIEW_COMMENT)

    def _without_kernel(self) -> JSON:
        if self.result is None or not self.current:
            return super()._without_kernel()
        rank = self._shown.hits[self.current].rank
        # the cosines of regions are left out: a display must not load models
        return words(hit_text(self.result, rank, with_regions=False))


def _image_at(result: SearchResult, rank: object) -> str:
    """Return the image id of the hit at `rank`; "" for the best of an empty result."""
    if rank == 1 and not result.hits:
        return ""
    return hit_of(result, rank).image_id
