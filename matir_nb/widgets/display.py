"""How results show themselves in a notebook: a static picture, then the view.

The picture and the table in plain text are all that GitHub, nbviewer and a notebook without its
kernel can show. Outside a kernel a result is a table of text. Where the package that makes views
is not installed, the table stands in the view's place and says what is missing.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any

from matir_nb.errors import MatirError, ModelUnavailableError
from matir_nb.explain.compare import Comparison, comparison_text
from matir_nb.exports.preview import preview_of
from matir_nb.extras import kernel_shell
from matir_nb.home.settings import Settings, load
from matir_nb.printing import html_text
from matir_nb.results import SearchResult
from matir_nb.widgets.fallback import as_html, as_text
from matir_nb.widgets.stills import alt_of

LOG = logging.getLogger(__name__)
LOG.addHandler(logging.NullHandler())


def display_result(result: SearchResult, settings: Settings | None = None) -> None:
    """Show `result` where the code runs: in a notebook a picture and the grid, else a table.

    Args:
        result: of a search.
        settings: None = the user's. `preview` "auto" leaves a picture where the result has a
            source of pictures, "always" a table of text where it has none, "never" nothing.
    """
    shell = kernel_shell()
    if shell is None:
        sys.stdout.write(f"{as_text(result)}\n")
        return
    chosen = load() if settings is None else settings
    view = _bundle(
        lambda: result.grid(tile_px=chosen.tile_px), lambda: (as_html(result), as_text(result))
    )
    if chosen.preview == "always" or (chosen.preview == "auto" and result.source is not None):
        shell.display_pub.publish(*preview(result))
    shell.display_pub.publish(*view)


def display_comparison(comparison: Comparison) -> None:
    """Show `comparison` where the code runs: in a notebook as a view, else as text."""
    shell = kernel_shell()
    if shell is None:
        sys.stdout.write(f"{comparison_text(comparison)}\n")
        return
    view = _bundle(comparison.view, lambda: (comparison._repr_html_(), comparison_text(comparison)))
    shell.display_pub.publish(*view)


def _bundle(
    view: Callable[[], Any], tables: Callable[[], tuple[str, str]]
) -> tuple[dict[str, Any], ...]:
    """Return the view, or tables (HTML, text) and what the view needs in its place; metadata."""
    try:
        made = view()
    except ModelUnavailableError as error:
        html, text = tables()
        html += f"<p>{html_text(str(error))}</p>"
        return {"text/html": html, "text/plain": f"{text}\n{error}"}, {}
    bundle: tuple[dict[str, Any], ...] = made._repr_mimebundle_()
    return bundle


def preview(result: SearchResult) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a picture of the best hits with a table as text, and metadata, by MIME type.

    Without pictures there is only the text; it says why.
    """
    texts = {"text/plain": as_text(result)}
    try:
        picture = preview_of(result)
    except MatirError as error:
        LOG.warning("no preview of %r: %s", result, error)
        return {"text/plain": f"{texts['text/plain']}\nno picture: {error}"}, {}
    if picture is None:
        return texts, {}
    return {"image/jpeg": picture, **texts}, {"image/jpeg": {"alt": alt_of(result.query)}}
