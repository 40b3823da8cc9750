"""Every example of docs/*.md and README.md runs, page by page, in a folder like a reader's.

The rules: ``python`` blocks share one namespace per page, ``ipython`` blocks run in a shell of that
namespace, ``matir`` lines of ``sh`` blocks run in this process. What cannot run here is marked
``<!-- not run: REASON -->``; its commands are parsed and its names looked up all the same.
"""

import pytest
from page_blocks import PageError, examples
from page_commands import ROOT
from page_runner import run_page

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of(page, sandbox_folder):
    run_page(page)


def page_of(folder, text):
    page = folder / "page.md"
    page.write_text(text.replace("~~~", "```"), encoding="utf-8")
    return page


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A folder without any index: enough for what fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return tmp_path


def marked(reason, language, text):
    return f"<!-- not run: {reason} -->\n~~~{language}\n{text}\n~~~\n"


WRONG = {
    "unknown reason": (marked("no time", "sh", "matir doctor"), r"page.md:3: not run: 'no time'"),
    "failing code": ("\n\n~~~python\nx = 1\nx / 0\n~~~\n", "page.md:5: (?s:.*)ZeroDivisionError"),
    "failing cell": ("~~~ipython\n%load_ext matir_nb\n%matir fly\n~~~", "page.md:2: .*unknown|fly"),
    "failing command": (
        "~~~sh\n\nmatir search a ring\n~~~",
        "page.md:3: matir search .* ends",
    ),
    "unknown command": ("~~~sh\nmatir fly\n~~~", "page.md:2: .*'fly'"),
    "unknown program": ("~~~sh\nfly\n~~~", "page.md:2: do not know the program"),
    "unknown target": ("~~~sh\nmake moon\n~~~", "page.md:2: the Makefile has no 'moon'"),
    "unknown extra": ("~~~sh\npip install 'matir_nb[moon]'\n~~~", "page.md:2: .* extra 'moon'"),
    "unknown file": ("~~~sh\npython moon.py\n~~~", "page.md:2: there is no file 'moon.py'"),
    "unknown module": ("~~~sh\npython -m moon\n~~~", "page.md:2: there is no module 'moon'"),
    "command in no example": ("~~~\nmatir search a ring\n~~~", "page.md:2: nothing tries"),
    "indented command": ("Text.\n\n    matir search a ring\n", "page.md:3: indented command"),
    "mark of nothing": ("<!-- not run: takes long -->\nText.\n", "page.md:2: a mark, and no block"),
    "open block": ("~~~sh\nmatir doctor\n", "not closed"),
    "open line": ("~~~sh\nmatir doctor \\\n~~~", "page.md:2: the line goes on"),
    "marked: option": (marked("takes long", "sh", "matir index a --moon b"), "page.md:3: .*moon"),
    "marked: magic": (marked("needs a GPU", "ipython", "r = %matir fly"), "page.md:3: .*'fly'"),
    "marked: name": (
        marked("needs the hub", "python", "import matir_nb as m\ne = m.open('a')\ne.fly()"),
        "page.md:3: Engine has no 'fly'",
    ),
    "marked: argument": (
        marked("needs the hub", "python", "import matir_nb\nmatir_nb.build('a', 'b', moon=1)"),
        "page.md:3: build has no argument 'moon'",
    ),
    "marked: import": (
        marked("needs another package", "python", "from matir_nb.types import Moon"),
        "page.md:3: .*has no 'Moon'",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_the_checker_finds(text, message, alone):
    with pytest.raises(PageError, match=message):
        run_page(page_of(alone, text))


def test_a_warning_is_an_error(alone):
    text = "~~~python\nimport warnings\nwarnings.warn('old')\n~~~"
    with pytest.raises(PageError, match=r"page.md:3: (?s:.*)UserWarning: old"):
        run_page(page_of(alone, text))


def test_blocks_share_their_names(alone):
    text = "~~~python\nx = 1\n~~~\n- in a list:\n  ~~~ipython\n  y = x + 1\n  ~~~\n"
    text += "~~~python\nassert y == 2\n~~~"
    assert run_page(page_of(alone, text)) == 3


def test_a_block_can_be_a_module_or_a_program(alone):
    text = "<!-- saved as: sizes.py -->\n~~~python\nLARGE = 3\n~~~\n"
    text += "~~~python\nfrom sizes import LARGE\n~~~\n~~~sh\npython sizes.py\n~~~\n"
    assert run_page(page_of(alone, text)) == 2
    wrong = page_of(alone, text.replace("= 3", "= 3\nmoon"))
    with pytest.raises(PageError, match=r"page.md:7: (?s:.*)NameError"):
        run_page(wrong)


def test_most_examples_run():
    blocks = [block for page in PAGES for block in examples(page)]
    assert sum(block.reason is None for block in blocks) > 0.5 * len(blocks)
