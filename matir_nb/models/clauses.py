"""A query -> the clauses that region scores alone cannot answer; pure text, no model.

Finds, in plain English, relations ("left of", "inside"), counts ("two"), absences ("no",
"without", "that is not") and superlatives ("leftmost"); what is left are noun phrases, which any
text encoder can score against regions. Words that it does not know stay in the noun phrase.
"""

import re
from dataclasses import dataclass

RELATION_PATTERNS: tuple[tuple[str, str], ...] = (
    ("left", r"(?:to|on|at) the left(?: hand)?(?: side)? of|left of"),
    ("right", r"(?:to|on|at) the right(?: hand)?(?: side)? of|right of"),
    ("inside", r"in the middle of|inside(?: of)?|within"),
    ("above", r"on top of|higher than|above|over"),
    ("below", r"lower than|below|under(?:neath)?|beneath"),
    ("overlapping", r"(?:that )?overlaps|overlapping(?: with)?|touching|that touches"),
    ("larger", r"(?:larger|bigger) than"),
    ("smaller", r"smaller than"),
)
SUPERLATIVE_PATTERNS: tuple[tuple[str, str], ...] = (
    ("leftmost", r"left-?most|furthest (?:to the )?left"),
    ("rightmost", r"right-?most|furthest (?:to the )?right"),
    ("topmost", r"top-?most|highest"),
    ("bottommost", r"bottom-?most|lowest"),
    ("largest", r"largest|biggest"),
    ("smallest", r"smallest"),
)
COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
COUNTS |= {str(n): n for n in COUNTS.values()}
FRAME = re.compile(
    r"^(?:there (?:is|are)|it has|find|show(?: me)?|"
    r"(?:a|an|the|one) (?:picture|image|photo|photograph)s?(?: (?:of|with|that shows|in which))?|"
    r"(?:picture|image|photo|photograph)s? (?:of|with))\b\s*",
    re.IGNORECASE,
)
TAIL = re.compile(
    r"(?:\s*(?:,|somewhere|in it|in (?:a|the) picture|on an image|"
    r"(?:that|which) (?:is|are)(?: the)?|there (?:is|are)))+\s*$",
    re.IGNORECASE,
)
ARTICLE = re.compile(r"^(?:a|an|the)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Clauses:
    """A query taken apart; noun phrases are plain text.

    Attributes:
        subject: what is looked for; with `is_none`, what must not be there.
        relation: one of `RELATION_PATTERNS`' names, or None.
        other: the relation's second noun phrase, or None.
        without: the subject with the feature that it must not have, or None.
        is_none: True for "no X".
        count: exact number of subjects, or None.
        superlative: one of `SUPERLATIVE_PATTERNS`' names, or None.
    """

    subject: str
    relation: str | None = None
    other: str | None = None
    without: str | None = None
    is_none: bool = False
    count: int | None = None
    superlative: str | None = None


def parse(query: str) -> Clauses:
    """Return the clauses of `query`.

    >>> parse("there is a red circle to the left of the blue square")
    Clauses(subject='red circle', relation='left', other='blue square', without=None, \
is_none=False, count=None, superlative=None)
    >>> parse("a picture with no circle").is_none
    True
    >>> parse("two green stars").count
    2
    """
    text = " ".join(query.lower().split()).rstrip(".?!")
    return _relation(text) or _absence(text) or _superlative(text) or _count(text)


def _noun_phrase(text: str) -> str:
    """Return `text` without sentence frame, article and loose ends."""
    before = None
    while before != text:
        before = text
        text = TAIL.sub("", FRAME.sub("", text.strip(" ,")))
    return ARTICLE.sub("", text).strip(" ,")


def _relation(text: str) -> Clauses | None:
    for name, pattern in RELATION_PATTERNS:
        found = re.search(rf"\b(?:{pattern})\b", text)
        if found is None or "furthest" in text[: found.start()]:
            continue
        before, after = text[: found.start()], text[found.end() :]
        if not _noun_phrase(before):
            other, _, subject = after.partition(",")
            if not subject:
                other, _, subject = after.partition(" there is ")
            before, after = subject, other
        subject, other = _noun_phrase(before), _noun_phrase(after)
        if subject and other:
            return Clauses(subject, relation=name, other=other)
    return None


def _absence(text: str) -> Clauses | None:
    negated = re.search(r"(?:\bthat (?:is|are)|,)? ?\bnot\b", text)
    if negated and _noun_phrase(text[: negated.start()]):
        subject, feature = (
            _noun_phrase(text[: negated.start()]),
            _noun_phrase(text[negated.end() :]),
        )
        return Clauses(subject, without=f"{subject} that is {feature}")
    found = re.search(r"\b(?:without(?: any)?|(?:with|that has|has|of) no|no)\b", text)
    if found is None:
        return None
    subject, feature = _noun_phrase(text[: found.start()]), _noun_phrase(text[found.end() :])
    if subject and feature:
        return Clauses(subject, without=f"{subject} with {feature}")
    return Clauses(feature, is_none=True) if feature else None


def _superlative(text: str) -> Clauses | None:
    for name, pattern in SUPERLATIVE_PATTERNS:
        found = re.search(rf"\b(?:{pattern})\b", text)
        if found is not None:
            before = re.sub(r",? *(?:that is )?(?:the )?$", "", text[: found.start()])
            subject = _noun_phrase(f"{_noun_phrase(before)} {text[found.end() :].strip()}")
            return Clauses(subject or text, superlative=name)
    return None


def _count(text: str) -> Clauses:
    phrase = _noun_phrase(text)
    found = re.match(rf"(?:exactly )?({'|'.join(COUNTS)})\b\s+(.+)", phrase)
    if found is not None:
        return Clauses(_noun_phrase(found.group(2)), count=COUNTS[found.group(1)])
    return Clauses(phrase or text)
