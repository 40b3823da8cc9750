"""What the metrics of a report mean, one sentence each, and which are errors."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from matir_nb.evaluation.runs.measures import MEASURES, Measure
from matir_nb.evaluation.runs.whole_arm import WHOLE_MEASURES, WholeMeasure

ALL: Sequence[Measure | WholeMeasure] = (*MEASURES.values(), *WHOLE_MEASURES.values())
CONVENTIONS: Mapping[str, str] = {measure.name: measure.convention for measure in ALL}
"""Metric -> what is counted, and whose rule it is."""
LOWER_IS_BETTER = frozenset(measure.name for measure in ALL if not measure.higher_is_better)


def conventions(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield metric and convention, in the order of `names`; a metric without one is left out."""
    yield from ((name, CONVENTIONS[name]) for name in names if name in CONVENTIONS)
