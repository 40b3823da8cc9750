"""What all plots share: a blank figure that becomes SVG, and each arm's marker, line and hatch.

The bytes depend on what is drawn only, not on the user's matplotlib settings or the time. This is
the one module that imports matplotlib, and only when something is drawn.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from matir_nb.errors import ConfigError
from matir_nb.evaluation.runs.inks import FAINT, GRID, INK, SERIES
from matir_nb.extras import install
from matir_nb.printing import printable, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_PLOTS = f"plots need matplotlib: {install('eval')}"
MARKERS = "osD^vPX*"
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), "-", "--", ":", "-.")
HATCHES = ("", "////", "----", "xxxx", "\\\\\\\\", "++++", "||||", "//--")
WIDTH = 8.2
MAX_NAME = 28
LETTERS_PER_INCH, LETTERS_OF_HANDLE = 13, 8
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "matir_nb",
    "text.parse_math": False,
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


@contextmanager
def blank(height: float, *, width: float = WIDTH) -> "Iterator[tuple[Figure, Callable[[], str]]]":
    """Give an empty figure, and a function that returns it as SVG after the block.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(NO_PLOTS) from error
    drawn = io.StringIO()
    with mpl.rc_context(), warnings.catch_warnings():
        # names may hold letters that the font of the measuring lacks; the reader's has them
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(cast("Any", SETTINGS))
        figure = Figure((width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, lambda: _element(drawn.getvalue())
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(drawn, format="svg", metadata=nothing)


def _element(svg: str) -> str:
    """Return the svg element alone, in the reader's font."""
    text = svg[svg.index("<svg") :].strip()
    return text.replace("'DejaVu Sans', ", "").replace("'DejaVu Sans'", "sans-serif")


def draw_legend(
    figure: "Figure", entries: Sequence[tuple[str, int]], handle: Callable[[int], Any]
) -> None:
    """Draw a legend above a figure: labels and the places of their arms."""
    labels = [label for label, _ in entries]
    widest = max((len(label) for label in labels), default=0)
    room = figure.get_figwidth() * LETTERS_PER_INCH // (widest + LETTERS_OF_HANDLE)
    figure.legend(
        [handle(place) for _, place in entries],
        labels,
        loc="outside upper left",
        ncols=max(min(len(entries), int(room)), 1),
        handlelength=3,
    )


def dot(place: int) -> Any:
    """Return an arm's line with its marker, for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **line(place))


def patch(place: int) -> Any:
    """Return an arm's bar, for a legend."""
    from matplotlib.patches import Patch

    return Patch(**fill(place))


def line(place: int) -> dict[str, Any]:
    """Return how an arm's line is drawn.

    Args:
        place: of the arm in its run, from 0.
    """
    return {
        "color": SERIES[place % 8],
        "marker": marker(place),
        "linestyle": LINES[place % 8],
        "markersize": 5.5,
        "linewidth": 1.7,
    }


def fill(place: int) -> dict[str, Any]:
    """Return how an arm's bars are drawn."""
    colour, hatch = SERIES[place % 8], HATCHES[place % 8]
    return {
        "facecolor": "none" if hatch else colour,
        "edgecolor": colour,
        "hatch": hatch,
        "linewidth": 1.2,
    }


def marker(place: int) -> str:
    """Return an arm's marker."""
    return MARKERS[place % 8]


def label_of(text: str) -> str:
    """Return a name as a plot shows it: harmless, and not too long."""
    # a leading underscore would hide a label from matplotlib's legend
    return (
        f" {shorten(printable(text), MAX_NAME)}"
        if text[:1] == "_"
        else shorten(printable(text), MAX_NAME)
    )
