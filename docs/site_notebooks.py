"""A notebook as a page: its text, its code, and what it stored as output. Nothing is run."""

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

MIME_TYPES = [
    "text/html",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/markdown",
    "text/plain",
]
PICTURE = re.compile(r"!\[(?:png|jpeg|svg)\]")


@dataclass(frozen=True)
class TutorialPage:
    """A notebook as Markdown.

    Attributes:
        text: of the page.
        pictures: file name -> bytes; they lie in the folder `folder` beside the page.
        folder: its name.
    """

    text: str
    pictures: dict[str, bytes]
    folder: str


def page_of(notebook: Path) -> TutorialPage:
    """Return the page of a notebook."""
    content = nbformat.read(notebook, as_version=4)
    _readable(content, notebook.stem)
    exporter = MarkdownExporter()
    folder = f"{notebook.stem}_files"
    start = {"output_files_dir": folder, "unique_key": notebook.stem}
    text, resources = exporter.from_notebook_node(content, resources=start)
    pictures = {Path(name).name: data for name, data in resources.get("outputs", {}).items()}
    return TutorialPage(PICTURE.sub("![What the cell shows]", text), pictures, folder)


def _readable(content: nbformat.NotebookNode, name: str) -> None:
    """Keep of each output the one form that a page shows, and frame its HTML."""
    for number, cell in enumerate(content.cells, 1):
        for output in cell.get("outputs", []):
            if "text" in output:
                output["text"] = output["text"].strip("\n")
            data = output.get("data")
            if data is None:
                continue
            best = next((kind for kind in MIME_TYPES if kind in data), None)
            output["data"] = nbformat.from_dict({best: data[best]} if best else {})
            output["metadata"] = nbformat.from_dict({})
            if best == "text/html":
                output["data"][best] = _framed(data[best])
        cell["id"] = f"{name}-{number}"


def _framed(html: str) -> str:
    """Return HTML that Markdown leaves alone: without empty lines, in a frame of its own."""
    lines = (line.strip() for line in html.splitlines())
    inner = "\n".join(line for line in lines if line)
    return f'<div class="cell-output">\n{inner}\n</div>\n'
