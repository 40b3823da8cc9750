"""A judge's words -> what they say; pure text, no model.

Models write boxes as they like: JSON in code fences, JSON that breaks off, doubled braces, tool
calls, tags, prose. So nothing here parses JSON: four numbers in brackets are looked for, and what
stands before them tells whether they are meant as a box. No text makes these functions raise.
"""

import math
import re
from collections.abc import Iterator
from typing import TypeAlias

WrittenBox: TypeAlias = tuple[float, float, float, float]
"""Four numbers in the order and the coordinate space in which the model wrote them."""

LARGEST = 1e5
"""Numbers beyond this, either way, are in no picture."""
LETTER = re.compile(r"^\W*yes\b\W*(?:region\s+)?\(?([a-z])\b", re.IGNORECASE)

# Possessive quantifiers (++, *+, ?+): a number or a gap is read in one way only, so that no text
# takes more than linear time.
_DIGITS = r"[-+]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?+\d++)?+"
_NUMBER = rf"[\"']?+({_DIGITS})[\"']?+"
_BARE = rf"[\"']?+{_DIGITS}[\"']?+"
_GAP = r"(?:\s*+,\s*+|\s++)"
_TURN = rf"(?:{_GAP}|\s*+[\])]\s*+,?+\s*+[\[(]\s*+)"
_OPEN = r"[\[(\"'>{]\s*+"
_CLOSE = r"(?=\s*+,?+\s*+[\])}\"'<])"
_FOUR = re.compile(rf"{_OPEN}{_NUMBER}{_GAP}{_NUMBER}{_TURN}{_NUMBER}{_GAP}{_NUMBER}{_CLOSE}")
_PAIR = rf"[\[(]\s*+{_BARE}{_GAP}{_BARE}\s*+[\])]"
_PATH = re.compile(rf"{_PAIR}(?:\s*+,\s*+{_PAIR}){{2,}}+")
"""Three or more points in a row: a polygon, not boxes."""
_NAMED = re.compile(
    r"(?:[\"']?(?:bbox_2d|bbox|box_2d|boxes|box|bounding_box|bounding box|coordinates)[\"']?"
    r"\s{0,9}[:=]|<box>|<\|box_start\|>)[\s\[({\"']{0,9}\Z",
    re.IGNORECASE,
)
_POINT = re.compile(r"points?(?:_2d)?[\"']?\s{0,9}[:=][\s\[(\"']{0,9}\Z", re.IGNORECASE)
_CORNERS = re.compile(
    "".join(
        rf"[\"']?\b(?:{name})[\"']?\s*+[:=]\s*+{_NUMBER}\s*+{end}"
        for name, end in (
            ("x1|x0|xmin|x_min|left", r",\s*+"),
            ("y1|y0|ymin|y_min|top", r",\s*+"),
            ("x2|x1|xmax|x_max|right", r",\s*+"),
            ("y2|y1|ymax|y_max|bottom", r"(?=[,}\])])"),
        )
    ),
    re.IGNORECASE,
)
_LOOKED_BACK = 48
_NAMED_NUMBER = re.compile(
    r"(?:region|mark|number|object|label|box|no\.|#)[\"']?\s{0,9}(?:number|no\.|#|is|:|=){0,2}"
    r"\s{0,9}[\"'(\[#]?(\d{1,4})(?![\d.]\d|\d)",
    re.IGNORECASE,
)
_NUMBER_ALONE = re.compile(r"(?<![\w.,\-])\(?(\d{1,4})(?![\d\w]|[.,]\d)")
_NO = re.compile(r"^\W*no\b", re.IGNORECASE)


def boxes_in(words: str) -> list[WrittenBox]:
    r"""Return the boxes that an answer names, in its own order.

    Boxes with a name ("bbox_2d", "bbox", "box_2d", "box", "coordinates", tags) are taken alone
    where there are any; without any, every four numbers in brackets are one. Left out: boxes that
    break off, have numbers that are not finite or beyond any picture, and points ("point_2d"):
    a point has no extent that could be compared with a mask's.

    >>> boxes_in('```json\n[{"bbox_2d": [10, 20, 30.5, "40"], "label": "cup"}, {"bbox_2d": [5, 6')
    [(10.0, 20.0, 30.5, 40.0)]
    >>> boxes_in("It stands at (10,20),(30,40).")
    [(10.0, 20.0, 30.0, 40.0)]
    """
    found = sorted(_written(_PATH.sub(lambda path: " " * len(path.group()), words)))
    named = [box for _, is_named, box in found if is_named]
    return named or [box for _, _, box in found]


def _written(words: str) -> Iterator[tuple[int, bool, WrittenBox]]:
    """Yield (place in the text, whether it is named as a box, box)."""
    follows = False
    end = -1
    for match in _FOUR.finditer(words):
        before = words[max(0, match.start() + 1 - _LOOKED_BACK) : match.start() + 1]
        between = words[end : match.start()]
        # "bbox_2d": [[...], [...]]: the name stands before the first box only
        follows = bool(_NAMED.search(before)) or (follows and not between.strip("[](), \n\t"))
        end = match.end()
        box = _box(match)
        if box is not None and not _POINT.search(before):
            yield match.start(), follows, box
    for match in _CORNERS.finditer(words):
        box = _box(match)
        if box is not None:
            yield match.start(), True, box


def _box(match: re.Match[str]) -> WrittenBox | None:
    a, b, c, d = (float(number) for number in match.groups())
    is_possible = all(math.isfinite(v) and abs(v) <= LARGEST for v in (a, b, c, d))
    return (a, b, c, d) if is_possible else None


def number_answer(words: str) -> int | None:
    """Return the number of the region that an answer names, or None ("no", or no number).

    A number after "region", "mark", "number" or "#" goes before any other; of several, the first.

    >>> number_answer("yes 3"), number_answer("Yes, 2 dogs: region 12."), number_answer("no")
    (3, 12, None)
    """
    if _NO.match(words):
        return None
    found = _NAMED_NUMBER.search(words) or _NUMBER_ALONE.search(words)
    return int(found.group(1)) if found else None


def letter_answer(words: str) -> int | None:
    """Return the row of the region that the answer names, or None ("no", or no letter).

    >>> letter_answer("yes B"), letter_answer("Yes, region C."), letter_answer("no")
    (1, 2, None)
    """
    found = LETTER.match(words)
    return ord(found.group(1).upper()) - ord("A") if found else None


def sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)), without overflow.

    >>> sigmoid(0.0), sigmoid(-1000.0)
    (0.5, 0.0)
    """
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))
