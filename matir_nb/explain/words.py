"""Word × mask: what each word and phrase of a query adds to each region of an image.

Leave one out: ``by_word[w, r] = cos(query, region r) - cos(query without word w, region r)``,
and likewise for phrases and for the whole image: erasure (Li, Monroe and Jurafsky, 2016,
arXiv:1612.08220) against stored region vectors. The noun of a phrase gives way to "object": a
phrase without noun says little to a text encoder. Only texts are encoded, all in one batch; no
pixel is read. Interactions of words are not told apart: a word that only counts together with
another gets the whole of what the pair adds. All are plain cosines: de-hubbing takes the same from
a region whatever the words are, and what references add is not counted.

Which region a word means is another question: where the rest of the query fits, one word more or
less hardly matters. ``word_alone[w, r]`` is the cosine of region r with the word as a query of its
own ("a red object"). ``matir eval explain`` measures both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from matir_nb.errors import ConfigError, nearest
from matir_nb.explain.ledger import hit_of
from matir_nb.explain.phrases import (
    Phrase,
    alone,
    left_out,
    phrases_of,
    without,
    word_spans,
)
from matir_nb.printing import html_table
from matir_nb.results import SearchResult, Source
from matir_nb.types import FloatArray

MAX_SHOWN = 12
"""Regions in a matrix's own table; `WordMatrix.to_polars` has all."""
WORDS_SCHEMA = pl.Schema(
    {
        "image_id": pl.String,
        "unit": pl.String,
        "position": pl.UInt32,
        "text": pl.String,
        "region_id": pl.UInt32,
        "query_score": pl.Float32,
        "adds": pl.Float32,
        "contrast": pl.Float32,
        "alone": pl.Float32,
    }
)
"""`unit` is "word" or "phrase", `position` its place from 0; `region_id` null = whole image.
`contrast` is `adds` less its mean over the image's regions, `alone` the cosine of the word or
phrase as a query of its own; both null for the whole image."""


@dataclass(frozen=True, slots=True, eq=False)
class WordMatrix:
    """What words and phrases of a query add to the cosines with one image's n regions.

    Attributes:
        query: as typed.
        image_id: of the index.
        words: as typed, without the punctuation around them.
        phrases: every word is in one of them.
        base: (n,) cosines of the whole query, by region id.
        by_word: (w, n) `base` less the cosines of the query without the word.
        by_phrase: (p, n) `base` less the cosines of the query without the phrase.
        word_alone: (w, n) cosines of each word as a query of its own.
        phrase_alone: (p, n) cosines of each phrase as a query of its own.
        whole_image: cosine of the whole query with the whole image.
        whole_image_by_word: (w,) likewise.
        whole_image_by_phrase: (p,) likewise.
    """

    query: str
    image_id: str
    words: tuple[str, ...]
    phrases: tuple[Phrase, ...]
    base: FloatArray
    by_word: FloatArray
    by_phrase: FloatArray
    word_alone: FloatArray
    phrase_alone: FloatArray
    whole_image: float
    whole_image_by_word: FloatArray
    whole_image_by_phrase: FloatArray

    @property
    def word_contrast(self) -> FloatArray:
        """(w, n) `by_word` less its mean over the regions: what a word sets apart.

        Without a word the cosines of all regions rise or fall together; what ranks regions is
        how they differ.
        """
        return _contrast(self.by_word)

    @property
    def phrase_contrast(self) -> FloatArray:
        """(p, n) `by_phrase` less its mean over the regions."""
        return _contrast(self.by_phrase)

    def top_region(self, word: int | str) -> int | None:
        """Return the region that a word adds most to; None without regions.

        Args:
            word: its place from 0, or the word (any case; the first of equal ones).

        Raises:
            ConfigError: the query has no such word.
        """
        place = _place(word, self.words, "word")
        return int(self.by_word[place].argmax()) if len(self.base) else None

    def top_region_of_phrase(self, phrase: int | str) -> int | None:
        """Return the region that a phrase adds most to; None without regions.

        Args:
            phrase: its place from 0, or its text.

        Raises:
            ConfigError: the query has no such phrase.
        """
        place = _place(phrase, [phrase.text for phrase in self.phrases], "phrase")
        return int(self.by_phrase[place].argmax()) if len(self.base) else None

    def top_word(self, region_id: int) -> int | None:
        """Return the place of the word that adds most to a region; None without words.

        Raises:
            ConfigError: the image has no such region.
        """
        if not 0 <= region_id < len(self.base):
            message = f"region {region_id!r} is not allowed: the image has {len(self.base)}"
            raise ConfigError(message)
        return int(self.by_word[:, region_id].argmax()) if self.words else None

    def to_polars(self) -> pl.DataFrame:
        """Return one row per word or phrase and region or whole image, with `WORDS_SCHEMA`."""
        texts = [phrase.text for phrase in self.phrases]
        n = len(self.base)
        regions = [*range(n), None]
        query_scores = [*self.base.tolist(), self.whole_image]
        frames = [WORDS_SCHEMA.to_frame()]
        for unit, place, text, adds, own in (
            *_rows("word", self.words, self.by_word, self.whole_image_by_word, self.word_alone),
            *_rows("phrase", texts, self.by_phrase, self.whole_image_by_phrase, self.phrase_alone),
        ):
            columns = {
                "image_id": [self.image_id] * (n + 1),
                "unit": [unit] * (n + 1),
                "position": [place] * (n + 1),
                "text": [text] * (n + 1),
                "region_id": regions,
                "query_score": query_scores,
                "adds": adds,
                "contrast": [*_contrast(np.array(adds[:n], np.float32)).tolist(), None],
                "alone": [*own, None],
            }
            frames.append(pl.DataFrame(columns, schema=WORDS_SCHEMA))
        return pl.concat(frames)

    def __repr__(self) -> str:
        """Return one line: the query, and the size."""
        size = f"{len(self.words)} words × {len(self.base)} regions of {self.image_id!r}"
        return f"WordMatrix({self.query!r}, {size})"

    def _repr_html_(self) -> str:
        """Return two tables of the best regions: what words add, and words alone; escaped."""
        best = np.argsort(-self.base, kind="stable")[:MAX_SHOWN].tolist()
        head = ("region", "cosine", *self.words)
        titles = {"what each word adds": self.by_word, "each word alone": self.word_alone}
        return "".join(
            html_table(
                head,
                ([r, float(self.base[r]), *scores[:, r].tolist()] for r in best),
                caption=f"{self.image_id}: {title}",
            )
            for title, scores in titles.items()
        )


def words(result: SearchResult, rank: int) -> WordMatrix:
    """Return what the words of `result.query` add in the hit at `rank`.

    Raises:
        ConfigError: the result has no such rank, or no source to encode texts with.
    """
    hit = hit_of(result, rank)
    return word_matrix(result.query, hit.image_id, result.source_for("words need"))


def word_matrix(query: str, image_id: str, source: Source) -> WordMatrix:
    """Return what the words of `query` add in any image of the index, found or not.

    A query of which nothing is left without a word (or phrase) is compared with `NEUTRAL`.

    Raises:
        QueryError: the query is longer than the encoder reads.
    """
    spans, phrases = word_spans(query), phrases_of(query)
    variants, own = texts_of(query)
    scores, whole_scores = source.text_scores_of([*variants, *own], image_id)
    regions, by_itself = scores[: len(variants)], scores[len(variants) :]
    wholes = whole_scores[: len(variants)]
    first_phrase = 1 + len(spans)
    by_text, whole_by_text = regions[:1] - regions, wholes[0] - wholes
    for array in (scores, by_text, whole_by_text):
        array.setflags(write=False)
    return WordMatrix(
        query=query,
        image_id=image_id,
        words=tuple(query[start:end] for start, end in spans),
        phrases=phrases,
        base=regions[0],
        by_word=by_text[1:first_phrase],
        by_phrase=by_text[first_phrase:],
        word_alone=by_itself[: len(spans)],
        phrase_alone=by_itself[len(spans) :],
        whole_image=float(wholes[0]),
        whole_image_by_word=whole_by_text[1:first_phrase],
        whole_image_by_phrase=whole_by_text[first_phrase:],
    )


def texts_of(query: str) -> tuple[list[str], list[str]]:
    """Return what has to be encoded for a matrix.

    Returns:
        The query, then it without each word, then without each phrase; and each word, then each
        phrase, as a query of its own.

    >>> texts_of("red star")
    (['red star', 'star', 'red object', 'a picture'], ['a red object', 'a star', 'red star'])
    """
    spans, phrases = word_spans(query), phrases_of(query)
    cut = [without(query, spans[p.words[0]][0], spans[p.words[-1]][1]) for p in phrases]
    return [query, *left_out(query), *cut], [*alone(query), *(p.text for p in phrases)]


def _rows(
    unit: str,
    texts: Sequence[str],
    by_region: FloatArray,
    by_whole: FloatArray,
    own: FloatArray,
) -> Iterator[tuple[str, int, str, list[float], list[float]]]:
    for place, text in enumerate(texts):
        adds = [*by_region[place].tolist(), float(by_whole[place])]
        yield unit, place, text, adds, own[place].tolist()


def _contrast(adds: FloatArray) -> FloatArray:
    contrast: FloatArray = adds - adds.mean(axis=-1, keepdims=True) if adds.shape[-1] else adds
    return contrast


def _place(wanted: int | str, known: Sequence[str], what: str) -> int:
    if isinstance(wanted, str):
        places = [i for i, text in enumerate(known) if text.casefold() == wanted.casefold()]
        if places:
            return places[0]
        message = f"the query has no {what} {wanted!r}: {nearest(wanted, known)}"
        raise ConfigError(message)
    if not 0 <= wanted < len(known):
        message = f"{what} {wanted!r} is not allowed: the query has {len(known)}, counted from 0"
        raise ConfigError(message)
    return wanted
