"""What the commands that explain do: trace, why, compare, words, sensitivity.

Arguments are those of the tree in `matir_nb.commands.tree`. Whatever can be refused is refused
before a model is loaded.
"""

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from matir_nb.commands.on_results import check_filter
from matir_nb.commands.session import Session
from matir_nb.errors import QueryError
from matir_nb.home import settings
from matir_nb.printing import number, printable, shorten, table
from matir_nb.terms import signed

if TYPE_CHECKING:
    from matir_nb.explain.sensitivity import Sensitivity
    from matir_nb.explain.words import WordMatrix

MAX_NAME = 40
MAX_REGIONS = 8
"""Columns of the table word × region; the rest is counted."""
N_LEAST = 5
"""Regions that are listed as those that hardly depend on their masks."""


def trace(args: argparse.Namespace, session: Session) -> Any:
    """Say how an image fared in a search."""
    query = session.query(args.query)
    if not query.strip():
        message = "the query is empty: say in words what to look for"
        raise QueryError(message)
    path = session.find_index(args.index)
    check_filter(args, session, path)
    has_judge = not args.no_judge
    engine = session.engines.on(
        path, has_judge=has_judge and args.judge is None, device=args.device, images=args.images
    )
    traced: Any
    with session.progress("judge") as progress:
        traced = engine.trace(
            query,
            args.image,
            k=settings.load().k if args.k is None else args.k,
            n_judged=args.n_judged,
            judge=args.judge if has_judge else False,
            where=args.where,
            progress=progress,
        )
    return session.show_made(traced, traced.text())


def why(args: argparse.Namespace, session: Session) -> Any:
    """Say why one hit stands above another."""
    from matir_nb.explain.ledger import difference, hit_of
    from matir_nb.explain.ledger_text import difference_text

    result = session.find_result(args.result, index=args.index, images=args.images).result
    below = args.rank + 1 if args.rank < len(result) else args.rank - 1
    other = below if args.other is None else args.other
    text = difference_text(result, hit_of(result, args.rank), hit_of(result, other))
    return session.show_frame(difference(result, args.rank, other), text)


def compare(args: argparse.Namespace, session: Session) -> Any:
    """Compare two results."""
    from matir_nb.explain.compare import compare as compared
    from matir_nb.explain.compare import comparison_text

    a, b = (
        session.find_result(word, index=args.index, images=args.images).result
        for word in (args.a, args.b)
    )
    comparison = compared(a, b)
    return session.show_made(comparison, comparison_text(comparison))


def words(args: argparse.Namespace, session: Session) -> Any:
    """Say what each word adds to each region of a hit."""
    from matir_nb.explain.ledger import hit_of

    result = session.find_result(args.result, index=args.index, images=args.images).result
    hit = hit_of(result, args.rank)
    matrix = result.words(args.rank)
    return session.told(matrix, words_text(matrix, hit.region_id))


def sensitivity(args: argparse.Namespace, session: Session) -> Any:
    """Measure how much the embeddings of an index depend on the masks."""
    path = session.find_index(args.index)
    engine = session.engines.on(path, has_judge=False, device=args.device, images=args.images)
    measured: Sensitivity = engine.mask_sensitivity(n_images=args.n)
    return session.told(measured, sensitivity_text(measured), notice=measured.warning)


def words_text(matrix: "WordMatrix", shown: int | None = None) -> str:
    """Return a table: a row per word and phrase, a column per region, best cosine first.

    Args:
        matrix: of one image.
        shown: region that stands in the table in any case; "*" marks it.
    """
    from matir_nb.explain.phrases import NEUTRAL

    regions = np.argsort(-matrix.base, kind="stable").tolist()
    kept = regions[:MAX_REGIONS]
    kept += [shown] if shown is not None and shown not in kept else []
    names = [f"{'*' if region == shown else ''}{region}" for region in kept]
    phrases = [phrase.text for phrase in matrix.phrases]
    rows = [
        [unit, printable(text), *(signed(float(value), 3) for value in (*adds[kept], whole))]
        for unit, texts, by_text, by_whole in (
            ("word", matrix.words, matrix.by_word, matrix.whole_image_by_word),
            ("phrase", phrases, matrix.by_phrase, matrix.whole_image_by_phrase),
        )
        for text, adds, whole in zip(texts, by_text, by_whole, strict=True)
    ]
    for text, own in zip(matrix.words, matrix.word_alone, strict=True):
        rows.append(["alone", printable(text), *(signed(float(v), 3) for v in own[kept]), "-"])
    cosines = [f"{value:.3f}" for value in (*matrix.base[kept].tolist(), matrix.whole_image)]
    rows.append(["", "cosine of the query", *cosines])
    head = ["", "adds to region", *names, "whole image"]
    lines = [f"{printable(matrix.image_id)}  for  {printable(matrix.query)!r}", ""]
    lines.append(table(head, rows, left=["", "adds to region"]))
    lines.append("word, phrase: cosine of the query less that without it")
    lines.append("alone: cosine of the word as a query of its own")
    if len(regions) > len(kept):
        lines.append(f"and {len(regions) - len(kept)} regions with lower cosines")
    if len(matrix.phrases) == 1:
        lines.append(f"without its only phrase nothing is left: it is compared with {NEUTRAL!r}")
    return "\n".join(lines)


def sensitivity_text(measured: "Sensitivity") -> str:
    """Return the median and the quartiles, and the regions that depend least on their masks."""
    regions = measured.to_polars().sort("sensitivity", "image_id", "region_id")
    if regions.is_empty():
        return "no region to measure: the index has none, or its images are gone"
    low, high = (
        regions["sensitivity"].quantile(part, interpolation="linear") for part in (0.25, 0.75)
    )
    n_images = regions["image_id"].n_unique()
    rows = [
        [shorten(printable(row["image_id"]), MAX_NAME), str(row["region_id"]), f"{value:.3f}"]
        for row in regions.head(N_LEAST).iter_rows(named=True)
        for value in [row["sensitivity"]]
    ]
    return "\n".join(
        [
            f"mask sensitivity of {regions.height} regions in {n_images} images:",
            f"median {number(measured.median)}, quartiles {number(low)} and {number(high)}",
            "(1 - cosine with the same region under a moved mask; 0 = the mask does not count)",
            "",
            table(["least in image", "region", "sensitivity"], rows, left=["least in image"]),
        ]
    )
