"""The ranked images as a grid."""

from typing import Any

from traitlets import Unicode

from matir_nb.exports.preview import preview_of
from matir_nb.results import SearchResult
from matir_nb.widgets.base import ResultView
from matir_nb.widgets.stills import show


class ResultGrid(ResultView):
    """The hits as tiles: picture, mask, box and every stage's score.

    What is picked and marked there is read here: `selection`, `selected`, `marks`, `to_polars()`;
    what was seen and marked, and when: `review`. `judge_more()` lets the judge go on down the list.
    """

    _kind = Unicode("grid", read_only=True, help="Which view the browser makes.").tag(sync=True)

    def __init__(self, result: SearchResult, **traits: Any) -> None:
        """Show `result`; `traits` are those of `ResultView`, e.g. ``tile_px=240``, or ``review``.

        Raises:
            ConfigError: an option is unknown or has a value that it cannot take.
        """
        super().__init__(result, **traits)

    def _ipython_display_(self) -> None:
        """Show a still picture, and the view, which hides it.

        The picture has the 12 best hits in the final order with their masks and present marks,
        whatever the view hides or sorts.
        """
        result = self.result
        show(self, self._still, alt="" if result is None else result.query)

    def _still(self) -> bytes | None:
        result = self.result
        return None if result is None else preview_of(result, marks=self.marks)
