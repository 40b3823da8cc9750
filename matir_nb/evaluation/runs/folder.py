"""A run: the folder that an evaluation leaves behind, and the same in memory."""

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl

from matir_nb.errors import ConfigError
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA, REPORT_SCHEMA
from matir_nb.evaluation.runs.report_text import format_report
from matir_nb.index.disk import make_folder, remove_file, write_whole
from matir_nb.printing import html_lines
from matir_nb.sealed import DIGEST_KEY, NO_DIGEST, read_sealed, sealed

PROVENANCE_FILE = "run.json"
QUERIES_FILE = "queries.parquet"
REPORT_FILE = "report.parquet"
PARTS_FOLDER = "parts"
EARLIER = "earlier"
RUN_FILES = (
    *("report.html", "report.md", "plots", "sheets"),
    *(QUERIES_FILE, REPORT_FILE, PROVENANCE_FILE),
)
"""All of a finished run, its provenance last."""
VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What an evaluation found.

    Attributes:
        folder: where it is kept.
        queries: one row per arm and query: `OBSERVED_SCHEMA`, and a column for each metric.
        report: `REPORT_SCHEMA`.
        provenance: dataset, arms, models, seeds, versions, machine, seconds; plain JSON values.
    """

    folder: Path
    queries: pl.DataFrame
    report: pl.DataFrame
    provenance: Mapping[str, Any]

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Read the run in a folder.

        Raises:
            ConfigError: there is none, it is not finished, or a file cannot be read.
        """
        place = Path(folder).expanduser()
        if not (place / PROVENANCE_FILE).is_file():
            raise ConfigError(_absent(place))
        try:
            provenance = json.loads((place / PROVENANCE_FILE).read_text(encoding="utf-8"))
            queries = read_sealed(place / QUERIES_FILE)[1]
            report = read_sealed(place / REPORT_FILE)[1]
            _check(queries, report, provenance)
        except (OSError, ValueError, AttributeError) as error:
            why = str(error).partition("\n")[0]
            message = f"the run in {str(place)!r} cannot be read ({why}): evaluate again"
            raise ConfigError(message) from error
        return cls(place, queries, report, provenance)

    @property
    def dataset_name(self) -> str:
        """Name of the dataset."""
        return str(self.provenance["dataset"]["name"])

    @property
    def arms(self) -> list[str]:
        """Names of the arms that answered, in their order."""
        return self.queries["arm"].unique(maintain_order=True).to_list()

    def __repr__(self) -> str:
        """Return one line: where, which dataset, how many queries, which arms."""
        n = self.queries["query_id"].n_unique()
        arms = ", ".join(self.arms)
        return f"Run({str(self.folder)!r}, {self.dataset_name}, {n} queries, arms: {arms})"

    def __str__(self) -> str:
        """Return the report as a table for people."""
        return format_report(self.queries, self.report, self.provenance)

    def _repr_html_(self) -> str:
        """Return the same table for a notebook."""
        return html_lines(str(self))

    def save(self) -> None:
        """Write the three files, and take the parts away.

        The provenance is written last: a folder without it holds no finished run.

        Raises:
            ConfigError: the system does not let us write.
        """
        try:
            make_folder(self.folder)
            remove_file(self.folder / PROVENANCE_FILE)
            write_frame(self.folder / QUERIES_FILE, self.queries)
            write_frame(self.folder / REPORT_FILE, self.report)
            text = json.dumps(self.provenance, indent=1, ensure_ascii=False) + "\n"
            write_whole(self.folder / PROVENANCE_FILE, text.encode())
        except OSError as error:
            message = f"cannot write the run to {str(self.folder)!r}: {error.strerror or error}"
            raise ConfigError(message) from error
        shutil.rmtree(self.folder / PARTS_FOLDER, ignore_errors=True)


def set_aside(folder: Path, known_by: Mapping[str, str]) -> Path | None:
    """Move a finished run away that a new one in its folder would replace.

    Args:
        folder: of both.
        known_by: arm -> fingerprint of all that decides the rows of the new run.

    Returns:
        Where the earlier run is now; None where the new one holds all its rows, or there is none.

    Raises:
        ConfigError: the system does not let us write.
    """
    try:
        earlier = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
        rows = {of for arm, of in earlier["fingerprints"].items() if arm in earlier["arms"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    if rows <= set(known_by.values()):
        return None
    there = (folder / f"{EARLIER}-{number}" for number in count(1))
    target = next(place for place in there if not place.exists())
    try:
        make_folder(target)
        for name in RUN_FILES:
            if (folder / name).exists():
                (folder / name).replace(target / name)
    except OSError as error:
        message = f"cannot keep the run in {str(folder)!r}: {error.strerror or error}"
        raise ConfigError(message) from error
    return target


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Put a frame in place of a Parquet file, sealed, all at once and for good.

    Raises:
        OSError: the disk is full or fails.
    """
    buffer = io.BytesIO()
    frame.write_parquet(buffer, metadata={DIGEST_KEY: NO_DIGEST.decode()})
    write_whole(path, sealed(buffer.getvalue()))


def _absent(folder: Path) -> str:
    if (folder / PARTS_FOLDER).is_dir():
        return f"the run in {str(folder)!r} is not finished: give the same matir eval again"
    return f"there is no run in {str(folder)!r}: give a folder that matir eval wrote"


def _check(queries: pl.DataFrame, report: pl.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Raise ValueError unless the files are those of a run of this version."""
    if provenance.get("version_of_run") != VERSION:
        message = f"version {provenance.get('version_of_run')!r}, this program reads {VERSION}"
        raise ValueError(message)
    head = {name: queries.schema.get(name) for name in OBSERVED_SCHEMA}
    if head != dict(OBSERVED_SCHEMA) or report.schema != REPORT_SCHEMA:
        raise ValueError("its tables have other columns")
