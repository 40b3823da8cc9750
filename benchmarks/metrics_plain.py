"""The ranking metrics as plain Python: one function per metric, one query at a time."""

from collections.abc import Mapping, Sequence
from math import log2
from typing import TypeAlias

Judged: TypeAlias = Sequence[tuple[Sequence[bool], int]]
"""Of each query: the relevance of its list, best first, and how many images are relevant."""


def plain_relevance(
    lists: Mapping[str, Sequence[str]], sets: Mapping[str, set[str]]
) -> list[tuple[list[bool], int]]:
    judged = []
    for query_id, images in lists.items():
        relevant = sets[query_id]
        judged.append(([image in relevant for image in images], len(relevant)))
    return judged


def recall(flags: Sequence[bool], k: int) -> float:
    return 1.0 if any(flags[:k]) else 0.0


def share_recall(flags: Sequence[bool], n: int, k: int) -> float:
    return sum(flags[:k]) / n


def precision(flags: Sequence[bool], k: int) -> float:
    return sum(flags[:k]) / k


def reciprocal_rank(flags: Sequence[bool]) -> float:
    for rank, is_relevant in enumerate(flags, 1):
        if is_relevant:
            return 1 / rank
    return 0.0


def ndcg(flags: Sequence[bool], n: int, k: int) -> float:
    gain = sum(1 / log2(rank + 1) for rank, is_relevant in enumerate(flags[:k], 1) if is_relevant)
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(n, k) + 1))
    return gain / ideal


def average_precision(flags: Sequence[bool], n: int, k: int, normaliser: str) -> float:
    n_found, total = 0, 0.0
    for rank, is_relevant in enumerate(flags[:k], 1):
        if is_relevant:
            n_found += 1
            total += n_found / rank
    return total / {"min": min(n, k), "relevant": n, "found": max(n_found, 1)}[normaliser]


def plain_metrics(judged: Judged) -> dict[str, list[float]]:
    """Return name -> one number per query; every query has a relevant image."""
    return {
        **{f"R@{k}": [recall(flags, k) for flags, _ in judged] for k in (1, 5, 10, 50)},
        **{f"recall@{k}": [share_recall(flags, n, k) for flags, n in judged] for k in (10, 100)},
        "P@10": [precision(flags, 10) for flags, _ in judged],
        "MRR": [reciprocal_rank(flags) for flags, _ in judged],
        **{f"nDCG@{k}": [ndcg(flags, n, k) for flags, n in judged] for k in (10, 50)},
        "mAP@50": [average_precision(flags, n, 50, "min") for flags, n in judged],
        "mAP@50/relevant": [average_precision(flags, n, 50, "relevant") for flags, n in judged],
        "mAP@50/found": [average_precision(flags, n, 50, "found") for flags, n in judged],
    }
