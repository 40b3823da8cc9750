"""What a run has observed so far, kept so that it goes on where it stopped. Knows no metric."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.runs.arms import Arm
from matir_nb.evaluation.runs.folder import (
    PARTS_FOLDER,
    PROVENANCE_FILE,
    QUERIES_FILE,
    VERSION,
    write_frame,
)
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA
from matir_nb.index.calibrations import Calibrations
from matir_nb.index.disk import make_folder
from matir_nb.index.manifest import Segment
from matir_nb.index.segments import IMAGES
from matir_nb.sealed import read_sealed
from matir_nb.types import QueryTruth
from matir_nb.version import __version__

ROWS_AT_ONCE = 64
SECONDS_AT_ONCE = 10.0


class Parts:
    """The rows of one arm in a run's folder.

    What was added here stays known even if a run that is finished in the same folder takes the
    files away. Only rows under the very fingerprint are read: those of another dataset, index or
    options are left alone until the run is whole.
    """

    def __init__(self, run: Path, fingerprint: str) -> None:
        """Name the place; nothing is written yet.

        Args:
            run: the run's folder.
            fingerprint: of all that decides the rows.
        """
        self._run = run
        self._folder = run / PARTS_FOLDER
        self._fingerprint = fingerprint
        self._waiting: list[Mapping[str, Any]] = []
        self._own: list[pl.DataFrame] = []
        self._written = monotonic()

    def load(self) -> pl.DataFrame:
        """Return the rows that are there, each query once; `OBSERVED_SCHEMA`."""
        files = sorted(self._folder.glob(f"{self._fingerprint}-*.parquet"))
        frames = [*map(_read, files), _of_finished(self._run, self._fingerprint)]
        whole = pl.concat([OBSERVED_SCHEMA.to_frame(), *self._own, *frames])
        return whole.unique("query_id", keep="first", maintain_order=True)

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row; it is on the disk within `ROWS_AT_ONCE` rows or `SECONDS_AT_ONCE`.

        Raises:
            ConfigError: the system does not let us write.
        """
        self._waiting.append(row)
        late = monotonic() - self._written > SECONDS_AT_ONCE
        if late or len(self._waiting) >= ROWS_AT_ONCE:
            self._write()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write the rows that wait when the block ends, also when it was stopped."""
        self._written = monotonic()
        try:
            yield
        finally:
            if self._waiting:
                self._write()

    def _write(self) -> None:
        """Write the rows that wait, all at once and for good."""
        rows = pl.DataFrame(self._waiting, schema=OBSERVED_SCHEMA)
        name = hex_digest(rows["query_id"].to_list())[:12]
        try:
            make_folder(self._folder)
            write_frame(self._folder / f"{self._fingerprint}-{name}.parquet", rows)
        except OSError as error:
            message = f"cannot write to {str(self._folder)!r}: {error.strerror or error}"
            raise ConfigError(message) from error
        self._own.append(rows)
        self._waiting, self._written = [], monotonic()


def fingerprints(engine: Engine, dataset: Dataset, arms: Sequence[Arm]) -> dict[str, str]:
    """Return arm -> hex digest of all that decides its rows.

    That is the dataset, what the index holds, models, options, and what is kept of judges'
    calibration.
    """
    index = engine.index
    images = index.facts_table().select("image_id", "copies").rows()
    calibrated = Calibrations(index.path).all()
    shared = {
        "version": [VERSION, __version__],
        "dataset": dataset_digest(dataset),
        "index": [index.fingerprint, images, [_stamps(s) for s in index.manifest.segments]],
        "encoder": engine.encoder.model_id,
        "calibrations": {judge: [of.scale, of.bias] for judge, of in calibrated.items()},
    }
    return {arm.name: hex_digest(shared | _arm(engine, arm))[:16] for arm in arms}


def _arm(engine: Engine, arm: Arm) -> dict[str, Any]:
    preset = asdict(arm.preset_of(engine.preset))
    return {"arm": [arm.name, _judge(engine, arm), arm.n_judged], "preset": preset}


def _judge(engine: Engine, arm: Arm) -> bool | str | None:
    """Return the id of the arm's judge, which changes with its weights; its name without them."""
    if isinstance(arm.judge, str):
        try:
            return engine.judge_for(arm.judge).model_id
        except (ConfigError, ModelUnavailableError):  # asking says so
            return arm.judge
    if arm.judge is None and engine.judge is not None:
        return engine.judge.model_id
    return arm.judge


def _stamps(segment: Segment) -> list[Any]:
    """Return what tells masks and vectors: not the file times, which an update may note anew."""
    files = {name: asdict(of) for name, of in segment.files.items() if name != IMAGES}
    return [files, segment.dropped]


def dataset_digest(dataset: Dataset) -> str:
    """Return a hex digest of queries, truth, gallery and depth."""
    rest = [dataset.name, dict(dataset.protocol), dataset.depth, sorted(dataset.image_ids)]
    return hex_digest([rest, [_truth_digest(query) for query in dataset.queries]])


def hex_digest(value: Any) -> str:
    """Return the SHA-256 of plain values."""
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _truth_digest(query: QueryTruth) -> str:
    judged = None if query.judged is None else sorted(query.judged)
    masks = {name: [[m.size, m.counts.decode()] for m in of] for name, of in query.masks.items()}
    boxes = {name: of.tolist() for name, of in query.boxes_xyxy.items()}
    words = [query.query_id, query.text, query.kind]
    return hex_digest([words, sorted(query.relevant), judged, masks, boxes])


def _read(path: Path) -> pl.DataFrame:
    """Return the rows of a file; none of one that is damaged, or has other columns."""
    try:
        frame = read_sealed(path)[1].select(OBSERVED_SCHEMA.names())
    except (OSError, ValueError, PolarsError):
        return OBSERVED_SCHEMA.to_frame()
    return frame if frame.schema == OBSERVED_SCHEMA else OBSERVED_SCHEMA.to_frame()


def _of_finished(run: Path, fingerprint: str) -> pl.DataFrame:
    """Return the rows of a finished run in the folder that are under the fingerprint."""
    none = OBSERVED_SCHEMA.to_frame()
    try:
        provenance: Mapping[str, Any] = json.loads((run / PROVENANCE_FILE).read_text("utf-8"))
        arms = [name for name, of in provenance["fingerprints"].items() if of == fingerprint]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return none
    return _read(run / QUERIES_FILE).filter(pl.col("arm").is_in(arms)) if arms else none
