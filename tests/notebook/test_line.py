"""Words of a magic line: quotes, apostrophes, comments, expressions, semicolons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.notebook.line import Expression, Line, split_cell, split_line
from matir_nb.usage import UsageError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("  ", ()),
        ("# a comment", ()),
        ("search red  # a comment 'here", ("search", "red")),
        ("search #1 fan # why", ("search", "#1", "fan")),
        ("search c# code", ("search", "c#", "code")),
        ("search 'red # blue' -k 3", ("search", "red # blue", "-k", "3")),
        ("search the dog's ball", ("search", "the", "dog's", "ball")),
        ("search the dogs' ball", ("search", "the", "dogs'", "ball")),
        ("search 'the dog's ball' -k 3", ("search", "the dog's ball", "-k", "3")),
        ('search 5" nails', ("search", '5"', "nails")),
        ('search "a b" c', ("search", "a b", "c")),
        ("search ''", ("search", "")),
        (r"index C:\my\photos", ("index", r"C:\my\photos")),
        ("index x --out='my x.matir'", ("index", "x", "--out=my x.matir")),
        ("search a;b", ("search", "a;b")),
        ("search {q} x", ("search", "{q}", "x")),
        ("search {q", ("search", "{q")),
        ("search {q}x", ("search", "{q}x")),
    ],
)
def test_words(text, words):
    assert split_line(text) == Line(words)


@pytest.mark.parametrize("end", [";", " ;", ";  # why", " ; "])
@pytest.mark.parametrize("word", ["red", "'red'", "{red}"])
def test_a_semicolon_at_the_end_silences(end, word):
    line = split_line(f"search {word}{end}")
    assert line == Line(("search", word.strip("'")), is_silent=True)


@pytest.mark.parametrize("inside", ["q", " q['a'] ", "'{}'.format(x)", "{'a': 'b c'}['a']"])
def test_braces_around_a_whole_word_are_an_expression(inside):
    (_, word) = split_line(f"search {{{inside}}}").words
    assert isinstance(word, Expression)
    assert word == f"{{{inside}}}"


def test_quoted_braces_and_braces_within_a_word_are_text():
    for text in ("search '{q}'", "search x{q}"):
        assert not any(isinstance(word, Expression) for word in split_line(text).words)


@pytest.mark.parametrize("text", ["search 'tis", 'search "a b', "search 'the dogs' ball'"])
def test_a_quotation_without_a_clear_end_offers_the_cell(text):
    with pytest.raises(UsageError, match=r"cannot tell where a quotation ends.*%%matir search"):
        split_line(text)


def test_a_cell_is_one_query_with_single_blanks():
    assert split_cell("a dog\n\t that can't\n sit ; ") == Line(("a dog that can't sit",), True)
    assert split_cell("\n").words == ("",)


@given(st.text())
def test_any_line_gives_words_or_one_kind_of_error(text):
    try:
        line = split_line(text)
    except UsageError:
        return
    assert all(word in text for word in line.words if "=" not in word)


@given(st.lists(st.from_regex(r"[a-z]+('[a-z]+)?", fullmatch=True)))
def test_plain_words_stay_as_they_are(words):
    assert split_line(" ".join(words)).words == tuple(words)
