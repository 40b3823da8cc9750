"""Say a query in words: synonyms, free word order, templates of their own for each split.

The words are shared by all splits; the templates are not: no sentence frame of `TEMPLATES` is in
two splits, so a test query is worded in a way that no model saw in training. This module knows
no pixels.
"""

from collections.abc import Iterator

import numpy as np

from matir_nb.scenes.meaning import NounPhrase, Query
from matir_nb.scenes.vocabulary import COLOURS, TEXTURES, Split

WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "disc"),
    "square": ("square",),
    "triangle": ("triangle",),
    "star": ("star",),
    "cross": ("cross", "plus"),
    "ring": ("ring", "hoop"),
    "heart": ("heart",),
    "crescent": ("crescent", "moon"),
    "red": ("red",),
    "orange": ("orange",),
    "yellow": ("yellow",),
    "green": ("green",),
    "cyan": ("cyan", "turquoise"),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
    "pink": ("pink",),
    "small": ("small", "little", "tiny"),
    "medium": ("medium", "medium-sized"),
    "large": ("large", "big"),
    "plain": ("plain", "solid"),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "spotted"),
    "checkered": ("checkered", "checked"),
}
"""Each attribute's synonyms, the usual one first."""

ANYTHING = ("shape", "object", "figure")
PLURALS = {"cross": "crosses", "plus": "pluses"}
TEXTURE_NOUNS = {
    "striped": ("stripes",),
    "dotted": ("dots", "spots"),
    "checkered": ("checks",),
}
COUNT_WORDS = {2: ("two", "2"), 3: ("three", "3"), 4: ("four", "4")}
MAX_COUNT = 4
EXCLUDABLE = {"texture": TEXTURES[1:], "colour": COLOURS}

RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "lower than"),
    "inside": ("inside", "within", "in the middle of"),
    "overlapping": ("overlapping", "touching", "that overlaps"),
    "larger": ("larger than", "bigger than"),
    "smaller": ("smaller than",),
}
SUPERLATIVE_WORDS: dict[str, tuple[str, ...]] = {
    "leftmost": ("leftmost", "furthest left"),
    "rightmost": ("rightmost", "furthest right"),
    "topmost": ("topmost", "highest"),
    "bottommost": ("bottommost", "lowest"),
    "largest": ("largest", "biggest"),
    "smallest": ("smallest",),
}

TEMPLATES: dict[str, dict[str, tuple[str, ...]]] = {
    "attribute": {
        "train": (
            "{a}",
            "{a_bare}",
            "a picture of {a}",
            "there is {a}",
            "find {a}",
            "{a} somewhere",
            "it has {a}",
            "{a} on an image",
        ),
        "validation": ("an image with {a}", "{a_bare} in a picture"),
        "test": (
            "a picture with {a}",
            "find {a} somewhere",
            "an image of {a}",
            "there is {a} in it",
        ),
    },
    "relation": {
        "train": (
            "{a} {rel} {b}",
            "{a_bare} {rel} {b_bare}",
            "there is {a} {rel} {b}",
            "a picture of {a} {rel} {b}",
            "{rel} {b} there is {a}",
            "find {a} that is {rel} {b}",
        ),
        "validation": ("an image with {a} {rel} {b}", "{rel} {b}, {a}"),
        "test": ("{a} that is {rel} {b}", "find {a} {rel} {b}", "there is {a} somewhere {rel} {b}"),
    },
    "count": {
        "train": ("{n} {as}", "a picture of {n} {as}", "there are {n} {as}", "find {n} {as}"),
        "validation": ("an image with {n} {as}",),
        "test": (
            "a picture with {n} {as}",
            "find a picture with {n} {as}",
            "there are {n} {as} in it",
        ),
    },
    "none": {
        "train": (
            "no {a_bare}",
            "there is no {a_bare}",
            "without {a}",
            "a picture of no {as}",
        ),
        "validation": ("an image with no {a_bare}",),
        "test": ("a picture without {a}", "a picture with no {a_bare}", "no {as} in it"),
    },
    "without": {
        "train": (
            "{a} without {x}",
            "{a} with no {x}",
            "find {a} without {x}",
            "{a} that has no {x}",
        ),
        "validation": ("an image of {a} without {x}",),
        "test": ("a picture of {a} without {x}", "there is {a} with no {x}"),
    },
    "is not": {
        "train": ("{a} that is not {x}", "{a}, not {x}", "find {a} that is not {x}"),
        "validation": ("an image with {a} that is not {x}",),
        "test": ("there is {a} that is not {x}", "a picture of {a}, not {x}"),
    },
    "superlative": {
        "train": ("the {sup} {a_bare}", "find the {sup} {a_bare}", "{a} that is the {sup}"),
        "validation": ("an image with the {sup} {a_bare}",),
        "test": ("a picture of the {sup} {a_bare}", "{sup} {a_bare}", "there is {a}, the {sup}"),
    },
}
"""Sentence frames by kind and split; {a} has an article, {a_bare} none, {as} is plural."""


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """Return one option; the first, usual one half of the time."""
    if len(options) == 1 or rng.random() < 0.5:
        return options[0]
    return options[1 + int(rng.integers(len(options) - 1))]


def _plural(noun: str) -> str:
    return PLURALS.get(noun, noun + "s")


def _adjectives(phrase: NounPhrase, rng: np.random.Generator) -> list[str]:
    named = [v for v in (phrase.size, phrase.texture, phrase.colour) if v is not None]
    return [_pick(rng, WORDS[named[i]]) for i in rng.permutation(len(named))]


def _noun_phrase(phrase: NounPhrase, rng: np.random.Generator, *, is_plural: bool) -> str:
    """Return the phrase without an article, in one of its word orders."""
    noun = _pick(rng, WORDS[phrase.shape]) if phrase.shape else _pick(rng, ANYTHING)
    noun = _plural(noun) if is_plural else noun
    tail = ""
    has_noun_form = phrase.texture in TEXTURE_NOUNS
    adjectives = _adjectives(phrase, rng)
    roll = rng.random()
    if has_noun_form and roll < 0.25:
        texture = str(phrase.texture)
        adjectives = [a for a in adjectives if a not in WORDS[texture]]
        tail = f" with {_pick(rng, TEXTURE_NOUNS[texture])}"
    elif adjectives and roll < 0.35:
        tail = f" that {'are' if is_plural else 'is'} {adjectives.pop()}"
    elif len(adjectives) > 1 and roll < 0.4:
        tail = f", {adjectives.pop()}"
    return " ".join([*adjectives, noun]) + tail


def _with_article(words: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.3:
        return f"the {words}"
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _frame(query: Query) -> str:
    """Return the key of `TEMPLATES` that words the query."""
    if query.is_none:
        return "none"
    if query.without is not None:
        return "without" if query.without.texture else "is not"
    return query.kind


def _excluded(query: Query, rng: np.random.Generator) -> str:
    if query.without is None:
        return ""
    if query.without.texture:
        return _pick(rng, TEXTURE_NOUNS[query.without.texture])
    return _pick(rng, WORDS[str(query.without.colour)])


def say(query: Query, rng: np.random.Generator, split: Split) -> str:
    """Return `query` in words, by a random template of `split`."""
    templates = TEMPLATES[_frame(query)][split]
    template = templates[int(rng.integers(len(templates)))]
    subject = _noun_phrase(query.subject, rng, is_plural="{as}" in template)
    other = _noun_phrase(query.other, rng, is_plural=False) if query.other else ""
    slots = {
        "a": _with_article(subject, rng),
        "a_bare": subject,
        "as": subject,
        "b": _with_article(other, rng) if other else "",
        "b_bare": other,
        "rel": _pick(rng, RELATION_WORDS[query.relation]) if query.relation else "",
        "n": _pick(rng, COUNT_WORDS[query.count]) if query.count else "",
        "sup": _pick(rng, SUPERLATIVE_WORDS[query.superlative]) if query.superlative else "",
        "x": _excluded(query, rng),
    }
    return template.format(**slots)


def all_words() -> Iterator[str]:
    """Yield every word that `say` can use, for a tokenizer's vocabulary; repeats are possible."""
    for synonyms in (*WORDS.values(), ANYTHING, *TEXTURE_NOUNS.values(), *COUNT_WORDS.values()):
        for word in synonyms:
            yield word
            yield _plural(word)
    for group in (*RELATION_WORDS.values(), *SUPERLATIVE_WORDS.values()):
        for words in group:
            yield from words.split()
    for frames in TEMPLATES.values():
        for templates in frames.values():
            for template in templates:
                yield from (w.strip(",") for w in template.split() if "{" not in w)
    yield from ("a", "an", "the", "with", "that", "is", "are", ",", "and")
