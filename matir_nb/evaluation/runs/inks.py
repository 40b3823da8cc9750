"""Colours of a plot: placeholders while it is drawn, then CSS variables or colours of paper.

In a page that is light or dark a plot takes its colours from variables; as a file of its own it
has a white ground. This module knows no plotting library.
"""

import re

INK, GRID, FAINT = "#010101", "#020202", "#030303"
SERIES = ("#0a0101", "#0a0202", "#0a0303", "#0a0404", "#0a0505", "#0a0606", "#0a0707", "#0a0808")
"""Colours that no drawing uses otherwise; a replacement finds them."""

ON_PAPER = {
    INK: "#1c2028",
    GRID: "#dcdee3",
    FAINT: "#575d68",
    SERIES[0]: "#5b626e",
    SERIES[1]: "#0067ab",
    SERIES[2]: "#b34a00",
    SERIES[3]: "#00795c",
    SERIES[4]: "#a63d7a",
    SERIES[5]: "#7a6500",
    SERIES[6]: "#2a7f9e",
    SERIES[7]: "#6d4bb5",
}
"""At least 4.5:1 against white. Hues of Okabe and Ito (2008), "Color Universal Design", darkened:
told apart by colour-blind readers too; markers and hatches differ as well."""
ON_SLATE = {
    INK: "#e4e6ea",
    GRID: "#3a3e45",
    FAINT: "#a8adb7",
    SERIES[0]: "#b3b9c4",
    SERIES[1]: "#56b4e9",
    SERIES[2]: "#f0954a",
    SERIES[3]: "#2fc79d",
    SERIES[4]: "#e495c4",
    SERIES[5]: "#e3cc3b",
    SERIES[6]: "#7fd3ee",
    SERIES[7]: "#b9a3f0",
}
"""Their partners on a dark ground, at least 4.5:1 against #16181b."""

_ID = re.compile(r'(?<= id=")(?=[^"]+")|(?<=href="#)|(?<=url\(#)')
_GLOBAL_STYLE = re.compile(r"\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>", re.DOTALL)


def variables() -> str:
    """Return the CSS declarations that `for_page` needs, for both colour schemes."""
    pairs = zip(ON_PAPER.items(), ON_SLATE.values(), strict=True)
    return "".join(f"{_name(mark)}:light-dark({light},{dark});" for (mark, light), dark in pairs)


def for_page(svg: str, name: str) -> str:
    """Return a plot that takes its colours from variables, to stand among others in a page.

    Args:
        svg: with placeholders.
        name: of the plot, letters and digits; no id of another plot begins with it.
    """
    return _coloured(
        _GLOBAL_STYLE.sub("", _ID.sub(f"{name}-", svg)), {m: _use(m) for m in ON_PAPER}
    )


def for_file(svg: str) -> str:
    """Return a plot for paper, as a file of its own: white ground, colours written out."""
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    start = svg.index(">", svg.index("<svg")) + 1
    whole = f"{svg[:start]}\n {ground}{svg[start:]}"
    return '<?xml version="1.0" encoding="utf-8"?>\n' + _coloured(whole, ON_PAPER) + "\n"


def _coloured(svg: str, colours: dict[str, str]) -> str:
    return re.sub("|".join(colours), lambda found: colours[found[0]], svg)


def _name(mark: str) -> str:
    return f"--plot-{mark[1:]}"


def _use(mark: str) -> str:
    return f"var({_name(mark)})"
