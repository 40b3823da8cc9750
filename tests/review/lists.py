"""Results to review, without models."""

from datetime import UTC, datetime, timedelta

from fakes import bare_hit

from matir_nb.results import SearchResult
from matir_nb.types import Provenance

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def minute(n):
    return START + timedelta(minutes=n)


def name(number):
    return f"{number:04}.png"


def result_of(query="an oak", *, numbers=range(1, 11), p=None, index="f1", judge=None):
    """Return a result of images called by `numbers`, best first; `p` is the judge's, by rank."""
    numbers = list(numbers)
    hits = tuple(
        bare_hit(
            rank=rank,
            image_id=name(number),
            final_score=5 - rank / 100,
            stage1_rank=rank,
            stage1_score=0.5 - rank / 10_000,
            p_relevant=None if p is None else p[rank - 1],
        )
        for rank, number in enumerate(numbers, 1)
    )
    models = {"segmenter": "s@1", "encoder": "e@1"} | ({} if judge is None else {"judge": judge})
    provenance = Provenance(index, models, {"n_images": 5000}, {}, {})
    return SearchResult(query, hits, provenance)


def marks_on(numbers, mark="relevant"):
    return {name(number): mark for number in numbers}
