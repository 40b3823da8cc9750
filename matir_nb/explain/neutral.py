"""Neutral phrases: captions of nothing in particular, against which a query's scores are read.

A bank is generated, not copied: words below, put together by a fixed rule whose choices come from
SHA-256, so a bank is the same on every machine and with every version of a package. A preset names
the bank that speaks its encoder's language. This module knows no encoder and no index.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from matir_nb.errors import ConfigError, unknown
from matir_nb.models.clauses import parse
from matir_nb.scenes.phrases import PLURALS, TEXTURE_NOUNS, WORDS, all_words
from matir_nb.scenes.vocabulary import SHAPES, VALUES

N_PHRASES = 256

MATERIALS = (
    "wooden", "rusty", "paper", "glass", "leather", "plastic", "stone", "woollen", "painted",
    "folded", "broken", "polished", "dusty", "wet", "old", "empty", "handmade", "transparent",
)  # fmt: skip
THINGS = (
    "chair", "bicycle", "kettle", "umbrella", "ladder", "piano", "suitcase", "lamp", "bridge",
    "boat", "tractor", "mailbox", "bookshelf", "curtain", "bucket", "clock", "fence", "tent",
    "sandwich", "pumpkin", "candle", "violin", "typewriter", "bench", "fountain", "helmet",
    "basket", "telescope", "carpet", "mirror", "scooter", "greenhouse", "staircase", "blanket",
    "teapot", "wheelbarrow", "newspaper", "backpack", "windmill", "keyboard",
)  # fmt: skip
CREATURES = (
    "man", "woman", "child", "dog", "cat", "horse", "sheep", "pigeon", "fisherman", "nurse",
    "cyclist", "duck", "goat", "waiter", "dancer", "cow", "carpenter", "butterfly",
)  # fmt: skip
PLACES = (
    "in a kitchen", "on a beach", "beside a railway", "in a forest", "at a market stall",
    "under a tree", "in a classroom", "near a lake", "at a bus stop", "in the snow",
    "on a hillside", "in a workshop", "on a balcony", "in front of a church", "at night",
    "in a museum", "on a gravel road", "behind a window", "in a harbour", "at a fairground",
)  # fmt: skip
ACTIONS = (
    "sleeping", "running", "eating", "waiting", "jumping", "swimming", "looking up",
    "crossing a street", "carrying a box", "reading a letter", "standing still", "climbing",
)  # fmt: skip
FRAMES = (
    "a {material} {thing}",
    "a {thing} {place}",
    "a {material} {thing} {place}",
    "a {creature} {action}",
    "a {creature} {action} {place}",
    "a {creature} with a {thing}",
    "a photo of a {creature} {place}",
    "a photo of a {material} {thing} beside a {creature}",
    "a close-up of a {material} {thing}",
    "the {thing} of a {creature} {place}",
)
SLOTS = {
    "material": MATERIALS,
    "thing": THINGS,
    "creature": CREATURES,
    "place": PLACES,
    "action": ACTIONS,
}

SCENE_FRAMES = ("{}", "a {}", "the {}", "a picture of a {}", "there is a {}", "find a {}")
NAMED = (("colour",), ("size", "colour"), ("texture", "colour"), ("size", "texture", "colour"))
MIN_UNRELATED = 20
"""With fewer phrases than that, a tail of the distribution would be a guess."""

CARRIERS = frozenset(
    "a an the of in on at to by with without and or no not is are it its there that has have this "
    "find show me picture image photo photograph close up somewhere something one some any "
    "beside near behind front under over left right "
    "shape object figure".split()
)
"""Words that say nothing of what is looked for; sharing one relates no two texts."""
SYNONYMS = {word: usual for usual, words in WORDS.items() for word in words} | {
    word: texture for texture, words in TEXTURE_NOUNS.items() for word in words
}
WORD = re.compile(r"[^\W_]+")
SINGULARS = {plural: singular for singular, plural in PLURALS.items()}


def bank(name: str, n: int = N_PHRASES, *, skip: int = 0) -> tuple[str, ...]:
    """Return `n` distinct phrases of a bank, the same ones every time.

    Args:
        name: "everyday", captions of photographs; or "scenes", for an encoder that knows only the
            words of generated scenes: captions of things with two shapes at once, of which there
            are none, so that no index shows what a phrase says.
        n: phrases wanted.
        skip: so many phrases are left out before these.

    Raises:
        ConfigError: there is no such bank; the message offers the nearest name.

    >>> bank("everyday")[:2]
    ('a fisherman standing still', 'the bridge of a goat on a gravel road')
    """
    if name not in BANKS:
        raise ConfigError(unknown("neutral", name, BANKS))
    found: dict[str, None] = {}
    number = 0
    while len(found) < skip + n:
        found[_articled(BANKS[name](number))] = None
        number += 1
    return tuple(found)[skip:]


def unrelated(query: str, words: Sequence[frozenset[str]]) -> NDArray[np.bool_]:
    """Return which phrases share no word with `query`; all, where fewer than `MIN_UNRELATED` do.

    Args:
        query: as asked.
        words: `content_words` of each phrase.

    >>> words = [content_words("a crimson circle"), content_words("a plain star")]
    >>> unrelated("two red discs", [*words, *[frozenset("x")] * 20])[:2].tolist()
    [False, True]
    """
    asked = content_words(query)
    apart = np.array([asked.isdisjoint(own) for own in words], np.bool_)
    return apart if apart.sum() >= MIN_UNRELATED else np.ones(len(words), np.bool_)


def unknown_words(query: str, name: str) -> tuple[str, ...]:
    """Return the words of `query` that the language of a bank has not, in order.

    An encoder of that language places such words somewhere, too, and then finds what it placed
    them near: its scores for them mean nothing. Words that put noun phrases together ("two",
    "left of", "without") are the judge's, and known.

    Args:
        query: as asked.
        name: of the bank; "everyday" knows every word.

    A pictograph is a word, and so is a query that holds no word at all.

    >>> unknown_words("a shiny red circle beneath the dog", "scenes"), unknown_words("?!", "scenes")
    (('shiny', 'dog'), ('?!',))
    """
    if name != "scenes":
        return ()
    if not WORD.search(query):
        return (query.strip(),)
    clauses = parse(query)
    nouns = [text for text in (clauses.subject, clauses.other, clauses.without) if text]
    words = [word for text in nouns for word in WORD.findall(text.casefold())]
    unknown = [w for w in words if _usual(w) not in _SCENE_WORDS | CARRIERS]
    pictographs = [char for char in query if unicodedata.category(char) == "So"]
    return tuple(dict.fromkeys([*unknown, *pictographs]))


def content_words(text: str) -> frozenset[str]:
    """Return the words of a text that say what is looked for, each in its usual form.

    Plurals are undone and, for words of generated scenes, synonyms; `CARRIERS` are left out.

    >>> sorted(content_words("a picture of two tiny hoops with stripes"))
    ['ring', 'small', 'striped', 'two']
    """
    words = (_usual(word) for word in WORD.findall(text.casefold()))
    return frozenset(word for word in words if word not in CARRIERS)


def _usual(word: str) -> str:
    known = SYNONYMS.get(word)
    if known is not None:
        return known
    singular = SINGULARS.get(word) or (word[:-1] if len(word) > 3 and word[-1] == "s" else word)
    return SYNONYMS.get(singular, singular)


def _choose(options: Sequence[str], *about: object) -> str:
    """Return the option that a digest of `about` falls on."""
    digest = hashlib.sha256("/".join(map(str, about)).encode()).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]


def _articled(text: str) -> str:
    """Return `text` with "an" before vowels."""
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def _everyday(number: int) -> str:
    frame = _choose(FRAMES, "everyday", number)
    words = {slot: _choose(options, "everyday", number, slot) for slot, options in SLOTS.items()}
    return frame.format(**words)


def _scene(number: int) -> str:
    """Return a caption of one thing with two shapes, which no scene shows."""
    about = "scenes", number
    first = _choose(SHAPES, *about, "first")
    second = _choose([shape for shape in SHAPES if shape != first], *about, "second")
    named = [_choose(VALUES[name], *about, name) for name in NAMED[number % len(NAMED)]]
    words = [_choose(WORDS[value], *about, value) for value in (*named, first, second)]
    return _choose(SCENE_FRAMES, *about).format(" ".join(words))


BANKS: dict[str, Callable[[int], str]] = {"everyday": _everyday, "scenes": _scene}
_SCENE_WORDS = frozenset(_usual(part) for word in all_words() for part in WORD.findall(word))
