"""How the whole ranking came about, from stage to stage."""

from typing import Any

from traitlets import Unicode

from matir_nb.exports.explain import flow_text
from matir_nb.results import SearchResult
from matir_nb.widgets.base import ResultView
from matir_nb.widgets.fallback import words
from matir_nb.widgets.jobs import JSON


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

    def _without_kernel(self) -> JSON:
        result = self.result
        return {} if result is None else words(f"{result!r}\n\n{flow_text(result)}")
