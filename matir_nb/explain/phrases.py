"""A query in words and phrases, and what is left of it without one; pure text, no model.

Phrases are found in plain English only; any other language is one phrase, parted by punctuation.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matir_nb.models.clauses import RELATION_PATTERNS

NEUTRAL = "a picture"
"""Stands for a query of which nothing is left."""
NOUN = "object"
"""Stands for the noun of a phrase whose other words stay: text encoders are lost without one."""
ARTICLES = frozenset("a an the no two three four five six seven eight some any each every".split())
"""Begin a noun phrase."""
LINKS = frozenset(
    "about above across against along among and around are at before behind below beneath beside "
    "between beyond but by during for from has have in inside into is near not of on onto or "
    "outside over that through to toward towards under underneath upon was were which while who "
    "whose with within without".split()
)
"""Lead to what comes next."""
STARTERS = LINKS - {"is", "are", "was", "were", "has", "have"}
WORD = re.compile(r"(?:[^\s,;，、；。]|(?<=\d),(?=\d))+")
LINK_PATTERN = re.compile(
    r"(?<!\S)(?:"
    + "|".join(pattern for _, pattern in RELATION_PATTERNS)
    + r"|in front of|next to|close to|out of|on the (?:side|edge) of"
    + r"|at the (?:top|bottom|side|edge|back|front) of)(?!\S)"
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Neighbouring words that belong together.

    Attributes:
        text: as typed.
        words: their places in the query, from 0.
    """

    text: str
    words: tuple[int, ...]


def word_spans(query: str) -> list[tuple[int, int]]:
    """Return where each word starts and ends, without the punctuation around it.

    Spaces and commas part words. A script without spaces is one word; what is punctuation only
    is none.

    >>> query = 'the "red" star,(big) - 3+'
    >>> [query[start:end] for start, end in word_spans(query)]
    ['the', 'red', 'star', 'big', '3+']
    """
    spans = []
    for found in WORD.finditer(query):
        start, end = found.span()
        while start < end and _is_around(query[start]):
            start += 1
        while start < end and _is_around(query[end - 1]):
            end -= 1
        if start < end:
            spans.append((start, end))
    return spans


def without(query: str, start: int, end: int) -> str:
    """Return `query` less a piece of it, tidied; `NEUTRAL` when no word is left.

    >>> without("a red circle, left of a star", 6, 12), without("star!", 0, 4)
    ('a red, left of a star', 'a picture')
    """
    left = " ".join(f"{query[:start]} {query[end:]}".split())
    left = re.sub(r"\s+(?=[,;:.!?])", "", left).lstrip(",;:.!? ")
    left = re.sub(r"[(\[«“\"]\s*[)\]»”\"]\s*", "", left)
    left = re.sub(r"[,;:]+(?=[,;:.!?])", "", left)
    return left if word_spans(left) else NEUTRAL


def left_out(query: str) -> list[str]:
    """Return `query` without each of its words; the noun of a longer phrase gives way to `NOUN`.

    In plain English the noun is the last word of its phrase ("a small red circle").

    >>> left_out("a red circle"), left_out("circle")
    (['red circle', 'a circle', 'a red object'], ['a picture'])
    """
    spans, nouns = word_spans(query), _nouns(query)
    return [
        f"{query[:start]}{NOUN}{query[end:]}" if place in nouns else without(query, start, end)
        for place, (start, end) in enumerate(spans)
    ]


def alone(query: str) -> list[str]:
    """Return each word as a query of its own: a noun with an article, an attribute with `NOUN`.

    Prepositions, verbs and articles stand as they are.

    >>> alone("a red circle")
    ['a', 'a red object', 'a circle']
    """
    spans, nouns = word_spans(query), _nouns(query)
    only = len(spans) == 1
    return [
        _as_query(query[start:end], is_noun=only or place in nouns)
        for place, (start, end) in enumerate(spans)
    ]


def _as_query(word: str, *, is_noun: bool) -> str:
    if word.lower() in LINKS | ARTICLES:
        return word
    return f"a {word}" if is_noun else f"a {word} {NOUN}"


def _nouns(query: str) -> frozenset[int]:
    """Return the places of words that end a phrase of more than prepositions and verbs."""
    typed = [query[start:end].lower() for start, end in word_spans(query)]
    ends = set()
    for phrase in phrases_of(query):
        *before, last = phrase.words
        has_more = any(typed[place] not in LINKS for place in before)
        if has_more and typed[last] not in LINKS | ARTICLES:
            ends.add(last)
    return frozenset(ends)


def phrases_of(query: str) -> tuple[Phrase, ...]:
    """Return the query in phrases: plain-English chunks that can go without tearing the rest.

    A phrase begins after punctuation, with a preposition, relation or conjunction, with an
    article or number that none of these leads to, and with a word in -ing before an article.

    >>> [phrase.text for phrase in phrases_of("find a red circle that is left of the small star")]
    ['find', 'a red circle', 'that is left of the small star']
    >>> [phrase.text for phrase in phrases_of("a man riding a horse without a saddle")]
    ['a man', 'riding a horse', 'without a saddle']
    """
    spans = word_spans(query)
    if not spans:
        return ()
    starts = sorted({0, *_breaks(query, spans)})
    ends = [*starts[1:], len(spans)]
    return tuple(
        Phrase(query[spans[first][0] : spans[end - 1][1]], tuple(range(first, end)))
        for first, end in zip(starts, ends, strict=True)
    )


def _breaks(query: str, spans: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield the words that begin a phrase, but for the first."""
    typed = [query[start:end].lower() for start, end in spans]
    begins, inside = _linked(typed)
    only_links = True
    for place, word in enumerate(typed):
        is_link = word in LINKS or place in begins or place in inside
        if place:
            between = query[spans[place - 1][1] : spans[place][0]].strip()
            starts = word in STARTERS or place in begins or _begins_noun_phrase(typed, place)
            if (between and not only_links) or (starts and not only_links and place not in inside):
                yield place
                only_links = True
        only_links = only_links and (is_link or _leads_on(typed, place))


def _begins_noun_phrase(typed: Sequence[str], place: int) -> bool:
    return typed[place] in ARTICLES or _leads_on(typed, place)


def _leads_on(typed: Sequence[str], place: int) -> bool:
    """Tell whether a word is a verb in -ing with an object: "riding a horse"."""
    following = typed[place + 1 : place + 2]
    return typed[place].endswith("ing") and bool(following) and following[0] in ARTICLES


def _linked(typed: Sequence[str]) -> tuple[set[int], set[int]]:
    """Return the words that begin a relation of several words, and those within one."""
    offsets, at = {}, 0
    for place, word in enumerate(typed):
        offsets[at] = place
        at += len(word) + 1
    begins: set[int] = set()
    inside: set[int] = set()
    for found in LINK_PATTERN.finditer(" ".join(typed)):
        first = offsets[found.start()]
        begins.add(first)
        inside.update(range(first + 1, first + len(found.group().split())))
    return begins, inside


def _is_around(character: str) -> bool:
    """Tell whether a character is punctuation or invisible."""
    return unicodedata.category(character)[0] in "PZC"
