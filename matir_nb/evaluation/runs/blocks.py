"""What a report is made of: sections of text, tables, plots and pictures, in no format yet.

`matir_nb.evaluation.runs.page` writes them as HTML, `matir_nb.evaluation.runs.markdown` as
Markdown. Texts are as they came (hostile names included): whoever writes them escapes them.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says; a number already rounded.
        small: the interval beside a number, or another remark.
        is_strong: stands out; the table's note says why.
    """

    text: str
    small: str = ""
    is_strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption.

    Attributes:
        caption: what it shows, of how many, and how to read it.
        head: names of the columns.
        rows: each as long as `head`.
        n_labels: leading columns that name the row.
        n_words: leading columns that hold words, the labels among them; the others hold numbers.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    n_labels: int = 1
    n_words: int = 1


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing of numbers.

    Attributes:
        name: of its file, without suffix.
        alt: what it shows, in a sentence for those who do not see it.
        caption: what it shows, of how many, and how to read it.
        svg: an SVG element with placeholder colours (`matir_nb.evaluation.runs.inks`).
    """

    name: str
    alt: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A contact sheet.

    Attributes:
        name: of its file, without suffix.
        alt: what it shows, in words.
        caption: below it.
        jpeg: the file.
        size: width and height, pixels.
    """

    name: str
    alt: str
    caption: str
    jpeg: bytes
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they stand for, in order."""

    pairs: tuple[tuple[str, str], ...]


Block: TypeAlias = Table | Plot | Picture | Paragraph | Facts


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report.

    Attributes:
        title: one line.
        summary: one sentence that says what came out.
        notices: what a reader of the numbers must know first.
        sections: in the order of reading.
    """

    title: str
    summary: str
    notices: tuple[str, ...]
    sections: tuple[Section, ...]

    def plots(self) -> tuple[Plot, ...]:
        """Return all plots."""
        return tuple(b for s in self.sections for b in s.blocks if isinstance(b, Plot))

    def pictures(self) -> tuple[Picture, ...]:
        """Return all contact sheets."""
        return tuple(b for s in self.sections for b in s.blocks if isinstance(b, Picture))
