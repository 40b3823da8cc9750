"""Figures beside the bars that they must reach, and the line that says whether they do."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure and what it must be.

    Attributes:
        what: in words.
        value: what was measured.
        bar: the least that passes; the most, if `is_limit`.
        is_limit: whether less is better.
        unit: "x" for ratios.
    """

    what: str
    value: float
    bar: float
    is_limit: bool = False
    unit: str = "x"

    @property
    def margin(self) -> float:
        """How many times better than the bar; 1 just passes."""
        if self.is_limit:
            return self.bar / max(self.value, 1e-9)
        return self.value / self.bar

    @property
    def passed(self) -> bool:
        """Tell whether the bar is reached."""
        return self.margin >= 1

    def __str__(self) -> str:
        """Return one line."""
        sign = "<=" if self.is_limit else ">="
        state = "pass" if self.passed else "FAIL"
        return f"{self.what}: {self.value:.3g} {self.unit}, bar {sign} {self.bar:g}: {state}"


def report(bars: Sequence[Bar], figures: Mapping[str, Any], file: Path | None) -> int:
    """Print every bar, the worst last; write the figures; return 1 unless all pass."""
    passed = all(bar.passed for bar in bars)
    for bar in bars:
        print(bar)
    if file:
        rows = [{**asdict(bar), "passed": bar.passed} for bar in bars]
        content = {"bars": rows, "passed": passed, **figures}
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"worst of {len(bars)}: {min(bars, key=lambda bar: bar.margin)}")
    return 0 if passed else 1
