"""Whatever is typed behind %matir: an answer, or one of our errors in one line that can be read."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from matir_nb import usage
from matir_nb.commands import tree
from matir_nb.errors import MatirError
from matir_nb.notebook.face import Notebook
from matir_nb.notebook.line import Expression, split_cell, split_line

HEAVY = ("index", "models", "demo", "eval", "ablate", "doctor")
"""Their words are parsed; what they would do is not done."""
OURS = (MatirError, OSError)
"""What the disk says of a name (too long, no permission) every face turns into one line."""
COMMANDS = (*tree.COMMANDS, "help", "scenes", "explain", "fetch", "convert", "list")


def options():
    """Return every option that a command knows."""
    found = set()
    waiting = [tree.build_parser("%matir")]
    while waiting:
        parser = waiting.pop()
        found |= set(parser._option_string_actions)
        waiting += parser.commands.values()
    return sorted(found)


plain = (
    "photos red circle LAST a.parquet x.matir . .. ~ / -1 0 3 24 1e9 nan True a=b,c a=@b a=@\x00 "
    "structured:box"
)
odd = (
    "# ; ;; ' \" '' \"\" \\ {q} {1} {q x = == -- - --- -k3 --k @ %matir %% $x \x00 \x00.parquet "
    "\ud800 \ud800.parquet \x1b[0m é ﷽ ~nobody/x"
)
words = st.one_of(
    st.sampled_from(COMMANDS),
    st.sampled_from(options()),
    st.sampled_from([*plain.split(" "), *odd.split(" "), "9" * 5000]),
    st.tuples(st.sampled_from(options()), st.text(max_size=8)).map("=".join),
    st.tuples(st.sampled_from(["'", '"', "{"]), st.text(max_size=12)).map(
        lambda pair: pair[0] + pair[1] + {"{": "}"}.get(pair[0], pair[0])
    ),
    st.text(max_size=12),
)
after_command = st.tuples(st.sampled_from(COMMANDS), st.lists(words, max_size=8)).map(
    lambda pair: [pair[0], *pair[1]]
)
lines = st.one_of(st.text(), after_command.map(" ".join), st.lists(words, max_size=9).map(" ".join))


@fuzzed
@given(lines)
def test_a_line_is_cut_into_words_or_refused(text):
    with contextlib.suppress(usage.UsageError):
        line = split_line(text)
        rest = iter(text)
        for word in line.words:  # nothing is made up, and nothing changes its place
            assert all(char in rest for char in word)
            assert not isinstance(word, Expression) or word[0] + word[-1] == "{}"
            assert "".join(word.split()) == word or any(quote in text for quote in "'\"{")
    cell = split_cell(text)
    assert len(cell.words) == 1
    assert cell.words[0] == cell.words[0].strip()


@pytest.fixture
def face(tmp_path, monkeypatch, capsys):
    """Return a notebook's face without results or indexes, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    done = []
    for name in HEAVY:
        _, *rest = tree.COMMANDS[name]
        monkeypatch.setitem(tree.COMMANDS, name, (lambda *_: done.append(1), *rest))
    shell = SimpleNamespace(user_ns={"q": "a red circle", "n": 3, "names": ["a", "b"], "w": "\x00"})
    session = Notebook(shell, hold=lambda *_: None)
    monkeypatch.setattr(session, "query", lambda words, **_: " ".join(words))
    return SimpleNamespace(session=session, done=done, capsys=capsys)


@fuzzed
@given(lines, st.one_of(st.none(), st.text(max_size=30)))
def test_only_our_errors_come_out(face, text, cell):
    before = set(Path().iterdir())
    with contextlib.suppress(*OURS):
        body = None if cell is None else split_cell(cell).words[0]
        tree.run(split_line(text).words, face.session, body=body)
    face.capsys.readouterr()
    assert set(Path().iterdir()) <= before | {Path("home")}


@fuzzed
@given(st.lists(words, max_size=8), st.sampled_from(sorted(tree.COMMANDS)))
def test_words_that_no_line_was_cut_into_do_no_harm_either(face, argv, command):
    with contextlib.suppress(*OURS):
        tree.run([command, *argv], face.session)
    face.capsys.readouterr()


@pytest.mark.parametrize(
    "argv",
    [
        ["search", "x {a}", "--with", "a=@\x00"],
        ["search", "\ud800"],
        ["open", "\x00"],
        ["status", "\ud800/"],
        ["open", "x", "--images", "\x00"],
    ],
)
def test_what_no_name_can_hold_is_refused_before_anything_is_done(face, argv):
    with pytest.raises(usage.UsageError, match="holds a character that neither a query nor"):
        tree.run(argv, face.session)


def test_a_command_that_fits_is_run(face):
    tree.run(split_line("index photos/ --preset embedded").words, face.session)
    tree.run(["doctor"], face.session)
    assert len(face.done) == 2
