from matir_nb.printing import printable, shorten, table


def test_text_that_could_steer_a_terminal_is_escaped():
    assert printable("\x1b]0;owned\x07") == "\\x1b]0;owned\\x07"
    assert printable("photo\u202egpj.exe") == "photo\\u202egpj.exe"
    assert printable("a\r\nb\tc\u2028") == "a\\r\\nb\\tc\\u2028"
    assert printable("\udcff") == "\\udcff"
    assert printable("Übung 日本 é🙂.jpg") == "Übung 日本 é🙂.jpg"


def test_shortened_text_keeps_both_ends():
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert shorten("abc", 3) == "abc"
    assert shorten("abc", 1) == "…"


def test_columns_line_up_with_wide_characters():
    text = table(["image", "p"], [["日本.png", "1"], ["a", "22"]], left=["image"])
    assert text.splitlines() == ["image      p", "--------  --", "日本.png   1", "a         22"]
