"""The summands of a score: what stage 1 and the final score of a hit are made of.

Everything is read from a hit and from the options that its result carries
(`Provenance.config`); the formulas are those of `matir_nb.stages.retrieve.fuse` and
`matir_nb.stages.align.final_score`. This module knows no index and no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from matir_nb.types import Hit

MINUS = "−"
DIGITS = 6
"""Significant digits of a factor: with these the product is the value shown beside it."""


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of a score.

    Attributes:
        name: "best region", "whole image", "whole image as only region", "encoder bias" or
            "judge".
        formula: the numbers that were multiplied, or why there are none.
        value: what it adds, in the score's own unit.
    """

    name: str
    formula: str
    value: float


def stage1_terms(hit: Hit, config: Mapping[str, Any]) -> tuple[Term, ...]:
    """Return cosines that add up to `hit.stage1_score`; none where `config` has no weights.

    An image without regions is its own only region.

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
    return (
        _product(name, weights["region_weight"], region),
        _product("whole image", weights["image_weight"], hit.whole_image_score),
    )


def final_terms(hit: Hit, config: Mapping[str, Any]) -> tuple[Term, ...]:
    """Return log-odds that add up to `hit.final_score`; none where `config` has no weights.

    Stage 1's cosines are worth scale * cosine + bias; a judge weighs them anew and adds its own,
    clipped log-odds.

    Args:
        hit: of the result.
        config: its `provenance.config`.
    """
    if "log_odds" not in config:
        return ()
    scale, bias = config["log_odds"]["scale"], config["log_odds"]["bias"]
    has_judge = config.get("n_judged_done") is not None
    weight = (config["judging"]["stage1_weight"],) if has_judge else ()
    stage1 = [_product(t.name, *weight, scale, t.value) for t in stage1_terms(hit, config)]
    judge = (_judge_term(hit, config["judging"]),) if has_judge else ()
    return (*stage1, _product("encoder bias", *weight, bias), *judge)


def signed(value: float, digits: int) -> str:
    """Return a number with its sign, a true minus, and `digits` decimals.

    >>> signed(0.25, 3), signed(-1.5, 1), signed(-0.0001, 2)
    ('+0.250', '−1.5', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return text.replace("-", MINUS) if float(text) else text[1:]


def _judge_term(hit: Hit, options: Mapping[str, Any]) -> Term:
    if hit.logit is None:
        return Term("judge", "not judged", 0.0)
    limit = options["max_logit"]
    clipped = min(max(hit.logit, -limit), limit)
    term = _product("judge", options["weight"], clipped)
    if clipped == hit.logit:
        return term
    return Term(term.name, f"{term.formula} (clipped from {_factor(hit.logit)})", term.value)


def _product(name: str, *factors: float) -> Term:
    return Term(name, " × ".join(map(_factor, factors)), prod(factors))


def _factor(value: float) -> str:
    """Return a number in `DIGITS` significant digits, neither padded nor with an exponent.

    >>> _factor(-0.25), _factor(27.3259123), _factor(0.0000123)
    ('−0.25', '27.3259', '0.0000123')
    """
    rounded = float(f"{value:.{DIGITS}g}") + 0.0
    return f"{rounded:.12f}".rstrip("0").rstrip(".").replace("-", MINUS)
