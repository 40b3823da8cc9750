"""A page of blocks as files: HTML that holds everything, Markdown with pictures beside it.

This module knows no run.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from matir_nb.errors import ConfigError
from matir_nb.evaluation.runs.blocks import Page
from matir_nb.evaluation.runs.folder import write_frame
from matir_nb.evaluation.runs.inks import for_file
from matir_nb.evaluation.runs.markdown import PLOTS, SHEETS, markdown_of
from matir_nb.evaluation.runs.page import html_of
from matir_nb.index.disk import make_folder, write_whole


def write_page_files(
    page: Page, folder: Path, name: str, *, frames: Mapping[str, pl.DataFrame]
) -> list[Path]:
    """Write ``NAME.html``, ``NAME.md``, its plots and sheets, and tables; return the paths.

    Args:
        page: the report.
        folder: made if it is not there; files of these names are replaced.
        name: of the page's files.
        frames: name -> table that is kept as Parquet.

    Raises:
        ConfigError: the system does not let us write.
    """
    files = {
        f"{name}.html": html_of(page).encode(errors="backslashreplace"),
        f"{name}.md": markdown_of(page).encode(errors="backslashreplace"),
        **{f"{PLOTS}/{plot.name}.svg": for_file(plot.svg).encode() for plot in page.plots()},
        **{f"{SHEETS}/{sheet.name}.jpg": sheet.jpeg for sheet in page.pictures()},
    }
    try:
        for file, data in files.items():
            make_folder((folder / file).parent)
            write_whole(folder / file, data)
        for file, frame in frames.items():
            write_frame(folder / f"{file}.parquet", frame)
    except OSError as error:
        message = f"cannot write to {str(folder)!r}: {error.strerror or error}"
        raise ConfigError(message) from error
    return [folder / file for file in (*files, *(f"{file}.parquet" for file in frames))]
