"""The summands of a stage-1 score, and how the numbers of a sum are written.

The formula is that of `matir_nb.index.vectors.fuse`; hit and weights come from a result
(`Provenance.config`). The final score's summands are `matir_nb.explain.ledger`'s. This module
knows no index and no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matir_nb.types import Hit

MINUS = "−"
DIGITS = 6
"""Significant digits of a factor: with these the product is the value shown beside it."""


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of a stage-1 score.

    Attributes:
        name: "best region", "whole image" or "whole image as only region"; with the options that
            ask for them, "de-hubbing" and "references".
        formula: the numbers that were multiplied.
        value: what it adds, a cosine.
    """

    name: str
    formula: str
    value: float


def stage1_terms(hit: Hit, config: Mapping[str, Any]) -> tuple[Term, ...]:
    """Return cosines that add up to `hit.stage1_score`; none where `config` has no weights.

    An image without regions is its own only region. De-hubbing subtracts `hit.hub_score`, and
    refine_weight times `hit.reference_score` is added.

    Args:
        hit: of the result.
        config: its `provenance.config`.
    """
    if "retrieve" not in config:
        return ()
    weights = config["retrieve"]
    region, name = hit.best_region_score, "best region"
    if region is None:
        region, name = hit.whole_image_score, "whole image as only region"
    summands: tuple[tuple[str, float, float], ...] = (
        (name, weights["region_weight"], region),
        ("whole image", weights["image_weight"], hit.whole_image_score),
    )
    summands += adjustments(hit, weights)
    return tuple(Term(name, product_text(w, value), w * value) for name, w, value in summands)


def adjustments(hit: Hit, weights: Mapping[str, Any]) -> tuple[tuple[str, float, float], ...]:
    """Return (name, weight, value) of what stage 1 adds to the fused cosine of `hit`.

    Args:
        hit: of a result.
        weights: stage 1's options.
    """
    summands = (
        ("de-hubbing", -1.0, hit.hub_score),
        ("references", weights.get("refine_weight", 0.0), hit.reference_score),
    )
    return tuple((name, weight, value) for name, weight, value in summands if value is not None)


def signed(value: float, digits: int) -> str:
    """Return a number with its sign, a true minus, and `digits` decimals.

    >>> signed(0.25, 3), signed(-1.5, 1), signed(-0.0001, 2)
    ('+0.250', '−1.5', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return text.replace("-", MINUS) if float(text) else text[1:]


def factor(value: float) -> str:
    """Return a number in `DIGITS` significant digits, neither padded nor with an exponent.

    >>> factor(-0.25), factor(27.3259123), factor(0.0000123)
    ('−0.25', '27.3259', '0.0000123')
    """
    rounded = float(f"{value:.{DIGITS}g}") + 0.0
    return f"{rounded:.12f}".rstrip("0").rstrip(".").replace("-", MINUS)


def product_text(*factors: float) -> str:
    """Return the numbers that are multiplied.

    >>> product_text(0.9, 27.3259123, -0.5)
    '0.9 × 27.3259 × −0.5'
    """
    return " × ".join(map(factor, factors))
