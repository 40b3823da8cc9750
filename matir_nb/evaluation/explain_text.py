"""A report on explanations as tables for people. Knows no engine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matir_nb.printing import table

POINTING_HEAD = ("hits", "explanation", "n", "IoU", "centre", "inmost")
WORDS_HEAD = ("game", "word", "n", "queries", "right", "chance")
CURVES_HEAD = ("measure", "area", "n", "occlusion", "random", "oracle", "occlusion - random")
ABSENCE_HEAD = ("arm", "query for", "n", "a hit above the cut", "right images above", "precision")
BARS_HEAD = ("bar", "measured", "holds")
POINTING_TITLE = (
    "regions: share of right hits whose region names an object that answers the query\n"
    "(IoU: >= 0.5 with its visible mask; centre: centre of mass on it, which for a ring is its\n"
    "hole; inmost: inmost pixel on it; chance: of any region. words = the word matrix's base)"
)
WORDS_TITLE = (
    "words, left out of the query or alone as a query of their own: near miss = the lowest word\n"
    "names what the object lacks; one shared = the highest word names the only thing the object\n"
    "has; region = the highest region of a word shows an object that has it"
)
CURVES_TITLE = (
    "areas under the curve as regions go (deletion: small is good) or come (insertion: large):\n"
    "stage 1 = its score, for which this order of deletion is the best there can be;\n"
    "truth = the scene still shows the query; judge = p of the best hit"
)
ABSENCE_TITLE = (
    "the cut: share of queries with a hit above it (present: a right one), share of the right\n"
    "images above it, and share of right images among those above it"
)


def format_report(report: Mapping[str, Any]) -> str:
    """Return regions, words, curves, the cut and bars, each number with its 95 % interval."""
    parts = [
        _about(report),
        POINTING_TITLE,
        table(POINTING_HEAD, list(_pointing(report["pointing"])), left=POINTING_HEAD[:2]),
        WORDS_TITLE,
        table(WORDS_HEAD, list(_words(report["words"])), left=WORDS_HEAD[:2]),
        CURVES_TITLE,
        table(CURVES_HEAD, list(_curves(report["curves"])), left=CURVES_HEAD[:2]),
        ABSENCE_TITLE,
        table(ABSENCE_HEAD, list(_absence(report["absence"])), left=ABSENCE_HEAD[:2]),
        table(BARS_HEAD, list(_bars(report["bars"])), left=BARS_HEAD[:1]),
    ]
    return "\n\n".join(parts)


def _about(report: Mapping[str, Any]) -> str:
    return (
        f"scenes, {report['split']} split, seed {report['seed']}: {report['n_images']} images, "
        f"{report['n_regions']} regions, {report['n_queries']} attribute queries\n"
        f"{report['command']}\n"
        "brackets: 95 % bootstrap interval over queries"
    )


def _pointing(report: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for depth, explanations in report.items():
        for explanation, criteria in explanations.items():
            cells = [cell(criteria.get(name)) for name in POINTING_HEAD[3:]]
            yield [depth, explanation, str(criteria["IoU"]["n"]), *cells]


def _words(report: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for way, games in report.items():
        for game, found in games.items():
            right, chance = found["accuracy"], found["chance"]
            yield [game, way, str(right["n"]), str(right["n_queries"]), cell(right), cell(chance)]


def _curves(report: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for curve, found in report.items():
        for area, orders in found.items():
            cells = [cell(orders[name]) for name in CURVES_HEAD[3:]]
            yield [curve, area, str(orders[CURVES_HEAD[3]]["n"]), *cells]


def _absence(arms: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for arm, kinds in arms.items():
        for kind, found in kinds.items():
            shares = [
                {"value": found.get(name), "interval": found["intervals"].get(name)}
                for name in ("found" if "found" in found else "alarms", "recall", "precision")
            ]
            yield [arm, kind, str(found["n"]), *map(cell, shares)]


def _bars(bars: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for bar in bars:
        yield [bar["bar"], cell(bar), {True: "yes", False: "NO", None: "-"}[bar["holds"]]]


def cell(found: Mapping[str, Any] | None) -> str:
    """Return "0.812 [0.790 0.834]"; "-" where there was nothing to measure.

    >>> cell({"value": 0.5, "interval": (0.25, 0.75)}), cell(None)
    ('0.500 [0.250 0.750]', '-')
    """
    if found is None or found["value"] is None:
        return "-"
    if found["interval"] is None:
        return f"{found['value']:.3f}"
    low, high = found["interval"]
    return f"{found['value']:.3f} [{low:.3f} {high:.3f}]"
