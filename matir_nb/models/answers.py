"""A judge's words -> what they say; pure text, no model."""

import math
import re

LETTER = re.compile(r"^\W*yes\b\W*(?:region\s+)?\(?([a-z])\b", re.IGNORECASE)


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
