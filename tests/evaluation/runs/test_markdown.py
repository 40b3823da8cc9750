"""The report as Markdown: read back with a parser of GitHub's dialect."""

import pytest
from markdown_it import MarkdownIt

from matir_nb.evaluation.runs.blocks import (
    Cell,
    Facts,
    Page,
    Paragraph,
    Picture,
    Plot,
    Section,
    Table,
)
from matir_nb.evaluation.runs.markdown import escaped, markdown_of
from matir_nb.printing import printable
from tests.evaluation.runs.sample_run import HOSTILE

NASTY = [
    HOSTILE,
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "12) item",
    "===",
    "--- ",
    "[a](http://e.vil)",
    "![a](http://e.vil)",
    "[a][b] [c]: d",
    "![[a]](b)",
    "`code` and ``",
    "*b* _i_ ~~s~~ $x$",
    "<b>&lt;&#60;",
    "a | b \\| c",
    "http://e.vil www.e.vil ftp://e.vil me@e.vil",
    "P@0.5",
    "\\[x\\](y) \\*",
    "   indented",
]


def page_of(*blocks, title="t"):
    return Page(title, "s", (), (Section("S", blocks),))


def parser():
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def inline_of(text):
    """Return the inline tokens of Markdown that must be one paragraph."""
    tokens = parser().parse(text)
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    return tokens[1].children


def shown(text):
    return "".join(token.content for token in inline_of(text))


@pytest.mark.parametrize("text", NASTY)
def test_text_stays_text(text):
    tokens = inline_of(escaped(text))
    assert {token.type for token in tokens} <= {"text", "text_special"}
    assert shown(escaped(text)).strip() == printable(text).strip()


@pytest.mark.parametrize("text", ["http://e.vil", "www.e.vil", "me@e.vil", "P@0.5"])
def test_github_finds_no_address_to_link(text):
    assert text not in escaped(text)


def test_numbers_and_intervals_stay_readable_as_source():
    for text in ("0.412 [0.351, 0.470]", "mAP@50@50", "+0.050"):
        assert escaped(text) == text


@pytest.mark.parametrize("text", NASTY)
def test_a_cell_holds_whatever_it_says(text):
    table = Table("cap", ("arm", text), ((Cell(text, text, is_strong=False), Cell("0.5")),))
    html = parser().render(markdown_of(page_of(table)))
    assert html.count("<td") == 2
    assert html.count("<th>") + html.count("<th ") == 2
    assert "<script" not in html
    assert "<a " not in html


def test_a_table_has_caption_alignment_and_bold():
    cells = (Cell("stage1"), Cell("yes"), Cell("0.5", "[0.4, 0.6]", is_strong=True))
    table = Table("Caption.", ("arm", "judge", "R@1"), (cells,), n_words=2)
    text = markdown_of(page_of(table))
    assert "**Caption.**" in text
    assert "| --- | --- | ---: |" in text
    assert "| stage1 | yes | **0.5** [0.4, 0.6] |" in text


@pytest.mark.parametrize("alt", ["a]b", "[[a", "x](y", "plain"])
def test_plots_and_sheets_are_files_beside(alt):
    blocks = (Plot("stages", alt, "cap", "<svg/>"), Picture("1-a-1", alt, "cap", b"", (1, 1)))
    tokens = parser().parse(markdown_of(page_of(*blocks)))
    images = [t for token in tokens for t in token.children or [] if t.type == "image"]
    assert [image.attrs["src"] for image in images] == ["plots/stages.svg", "sheets/1-a-1.jpg"]


def test_notices_facts_and_headings():
    page = Page("T", "S.", ("one", "two"), (Section("H", (Facts((("a", "b"),)), Paragraph("p"))),))
    text = markdown_of(page)
    assert text.startswith("# T\n\nS.\n\n> **Note:** one\n>\n> **Note:** two\n\n## H\n")
    assert "| a | b |" in text
    assert text.endswith("\n\np\n")
