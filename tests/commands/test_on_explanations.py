"""The commands that explain, on the console and in a shell of IPython."""

import numpy as np
import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, scene_gallery
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import matir_nb
from matir_nb import cli
from matir_nb.commands.on_explanations import MAX_REGIONS, sensitivity_text, words_text
from matir_nb.commands.tree import build_parser
from matir_nb.explain.compare import Comparison
from matir_nb.explain.ledger import DIFFERENCE_SCHEMA
from matir_nb.explain.phrases import Phrase
from matir_nb.explain.sensitivity import SENSITIVITY_SCHEMA, Sensitivity
from matir_nb.explain.traced import Trace
from matir_nb.explain.words import WordMatrix
from matir_nb.home import registered, settings
from matir_nb.index.build import build
from matir_nb.notebook.completion import complete
from matir_nb.results import SearchResult

N = 12
QUERY = ["orange", "crescent"]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Return an index and the models that made it."""
    folder = tmp_path_factory.mktemp("explanations")
    scenes = scene_gallery(folder / "images", N)
    masks, encoder = OracleMaskSource(scenes), OracleEncoder(scenes)
    build(folder / "images", folder / "scenes.matir", masks=masks, encoder=encoder)
    return folder / "scenes.matir", encoder


@pytest.fixture(autouse=True)
def opened(gallery, opening):
    opening(*gallery, OracleJudge())


@pytest.fixture
def matir(capsys):
    """Return a function that runs a command line and gives its text."""

    def run(*argv):
        assert cli.main([str(word) for word in argv]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def fails(capsys):
    """Return a function that runs a wrong command line and gives its one line of error."""

    def run(*argv):
        assert cli.main([str(word) for word in argv]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1, err
        return err

    return run


@pytest.fixture
def magic(tmp_path, monkeypatch):
    """Return a function that runs a line of %matir."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    matir_nb.load_ipython_extension(shell)
    yield lambda line: shell.run_line_magic("matir", line)
    matir_nb.unload_ipython_extension(shell)


@pytest.fixture
def image_id(gallery):
    return matir_nb.Index.open(gallery[0]).image_ids[-1]


def test_a_trace_is_text_on_the_console(matir, image_id):
    text = matir("trace", *QUERY, "--image", image_id, "-k", "2", "--n-judged", "3")
    assert text.startswith(f"{image_id}  for  'orange crescent'")
    assert "smallest k that keeps it" in text
    assert "(n_judged = 3)" in text
    assert "encoder bias" in text


def test_a_trace_is_an_object_in_a_notebook(magic, image_id, gallery):
    traced = magic(f"trace orange crescent --image {image_id} -k 2 --n-judged 3 -i {gallery[0]}")
    assert isinstance(traced, Trace)
    assert (traced.image_id, traced.query) == (image_id, "orange crescent")
    assert (traced.k, traced.n_judged) == (2, 3)
    assert magic(f"trace {{'red ' + 'ring'}} --image {image_id}").query == "red ring"


def test_a_trace_takes_the_settings_and_leaves_the_judge_out(magic, image_id):
    traced = magic(f"trace red --image {image_id}")
    assert traced.k == settings.Settings().k
    assert traced.n_judged is not None
    assert magic(f"trace red --image {image_id} --no-judge").n_judged is None


def test_what_a_trace_cannot_do(fails, image_id):
    assert "the query is empty" in fails("trace", "--image", image_id)
    assert "--image" in fails("trace", "red")
    assert "unknown image 'nowhere.png'" in fails("trace", "red", "--image", "nowhere.png")
    line = fails("trace", "red", "--image", image_id, "--no-judge", "ring")
    assert "keep a query's words together" in line


def test_why_says_how_two_hits_differ(matir, magic):
    matir("search", *QUERY, "-k", "3")
    text = matir("why", "LAST", "--rank", "1", "--other", "3")
    first, second = magic("search orange crescent -k 3").hits[::2]
    assert text.splitlines()[0] == f"#1 {first.image_id}  minus  #3 {second.image_id}"
    total = text.splitlines()[-1].split()
    assert total[0] == "="
    difference = first.final_score - second.final_score
    assert float(total[1].replace("−", "-")) == pytest.approx(difference, abs=5e-4)
    frame = magic("why LAST --rank 1 --other 3")
    assert frame.schema == DIFFERENCE_SCHEMA
    assert frame["contribution"].sum() == pytest.approx(difference, abs=1e-6)


def test_why_compares_with_the_next_unless_told_otherwise(magic):
    magic("search orange crescent -k 3")
    assert set(magic("why LAST")["other"]) == {2}
    assert set(magic("why LAST --rank 2")["other"]) == {3}
    assert set(magic("why LAST --rank 3")["other"]) == {2}


def test_a_rank_that_is_not_there(matir, fails):
    matir("search", *QUERY, "-k", "3")
    for command in (["why", "LAST", "--other", "9"], ["words", "LAST", "--rank", "9"]):
        assert "rank = 9 is not allowed: give 1 to 3" in fails(*command)


def test_compare_takes_two_results(matir, magic, tmp_path):
    saved = tmp_path / "a.parquet"
    matir("search", *QUERY, "-k", "3", "-o", saved)
    matir("search", *QUERY, "-k", "4", "--no-judge")
    text = matir("compare", saved, "LAST")
    assert "A: orange crescent (3 hits)" in text
    assert "B: orange crescent (4 hits)" in text
    comparison = magic(f"compare {saved} LAST")
    assert isinstance(comparison, Comparison)
    assert (len(comparison.a), len(comparison.b)) == (3, 4)


def test_words_are_a_table_of_regions(matir, magic):
    matir("search", *QUERY, "-k", "2")
    hit = SearchResult.load(registered.known().paths["scenes"] / "cache" / "last.parquet").hits[0]
    text = matir("words", "LAST", "--rank", "1")
    assert text.startswith(f"{hit.image_id}  for  'orange crescent'")
    rows = [line.split() for line in text.splitlines()]
    assert [row[:2] for row in rows if row[:1] == ["word"]] == [
        ["word", "orange"],
        ["word", "crescent"],
    ]
    made = magic("words LAST --rank 1")
    assert made.words == ("orange", "crescent")
    assert repr(made) == text.rstrip("\n")


def matrix_of(n):
    zeros = np.zeros((1, n), np.float32)
    return WordMatrix(
        query="red\x1b",
        image_id="a\x1b.png",
        words=("red\x1b",),
        phrases=(Phrase("red\x1b", (0,)),),
        base=np.arange(n, dtype=np.float32) / 100,
        by_word=zeros + 0.25,
        by_phrase=zeros - 0.5,
        word_alone=zeros + 0.375,
        phrase_alone=zeros + 0.625,
        whole_image=0.125,
        whole_image_by_word=np.array([0.75], np.float32),
        whole_image_by_phrase=np.array([-0.75], np.float32),
    )


def test_of_many_regions_the_best_and_the_one_shown_are_columns():
    text = words_text(matrix_of(30), shown=4)
    head, _, word, phrase, own, cosines, *_, more, neutral = text.splitlines()[2:]
    assert own.split() == ["alone", "red\\x1b", *["+0.375"] * (MAX_REGIONS + 1), "-"]
    assert head.split()[3 : 3 + MAX_REGIONS] == [str(29 - i) for i in range(MAX_REGIONS)]
    assert head.split()[-3:] == ["*4", "whole", "image"]
    assert word.split()[2:] == ["+0.250"] * (MAX_REGIONS + 1) + ["+0.750"]
    assert phrase.split()[2:] == ["−0.500"] * (MAX_REGIONS + 1) + ["−0.750"]
    assert cosines.split()[-3:] == ["0.220", "0.040", "0.125"]
    assert more == f"and {30 - MAX_REGIONS - 1} regions with lower cosines"
    assert neutral == "without its only phrase nothing is left: it is compared with 'a picture'"
    assert "\x1b" not in text


def test_an_image_without_regions_has_the_whole_image_only():
    lines = words_text(matrix_of(0)).splitlines()
    assert lines[2].split() == ["adds", "to", "region", "whole", "image"]
    assert lines[4].split()[-1] == "+0.750"


def test_sensitivity_is_measured_and_told(matir, magic):
    text = matir("sensitivity", "-n", "2")
    assert "mask sensitivity of" in text
    assert "in 2 images" in text
    made = magic("sensitivity -n 2")
    assert made.to_polars().schema == SENSITIVITY_SCHEMA
    assert f"median {made.median:.3f}" in repr(made)


def test_the_least_sensitive_regions_are_named_and_hostile_names_harmless():
    values = [0.5, 0.25, 0.75, 0.0, 1.0, 0.1, 0.9]
    regions = pl.DataFrame(
        {
            "image_id": ["\x1b.png"] * len(values),
            "region_id": range(len(values)),
            "sensitivity": values,
        },
        schema=SENSITIVITY_SCHEMA,
    )
    text = sensitivity_text(Sensitivity(regions))
    assert "median 0.500, quartiles 0.175 and 0.825" in text
    assert [line.split()[1] for line in text.splitlines()[-5:]] == ["3", "5", "1", "0", "2"]
    assert "\x1b" not in text
    empty = sensitivity_text(Sensitivity(SENSITIVITY_SCHEMA.to_frame()))
    assert empty.startswith("no region to measure")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%matir tr", ["trace"]),
        ("%matir trace red ring --im", ["--image", "--images"]),
        ("%matir trace red ring --image a.png -i ", ["photos"]),
        ("%matir trace --no-judge --n", ["--n-judged"]),
        ("%matir why ", ["r", "LAST"]),
        ("%matir why r --o", ["--other"]),
        ("%matir compare r ", ["r", "LAST"]),
        ("%matir words L", ["LAST"]),
        ("%matir sensitivity -i ", ["photos"]),
    ],
)
def test_what_can_follow(line, expected):
    names = {"index": lambda: ["photos"], "result": lambda: ["r", "LAST"]}
    assert list(complete(line, build_parser("%matir"), names).texts) == expected
