"""`matir accelerate`: build, show the recall, measure on real queries, drop."""

import numpy as np
import pytest
from fakes import OracleEncoder, oracle_index

from matir_nb import cli
from matir_nb.config import RetrieveConfig
from matir_nb.index.approximate.about import ABOUT, FOLDER
from matir_nb.index.approximate.build import build_approximate
from matir_nb.index.approximate.opened import Approximate, Refused
from matir_nb.index.store import Index

N = 40


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    scenes, index = oracle_index(tmp_path_factory.mktemp("acceleration"), N)
    return index, OracleEncoder(scenes)


@pytest.fixture(autouse=True)
def opened(gallery, opening):
    opening(*gallery, None)
    yield
    cli.main(["accelerate", "--drop"])


def test_built_used_and_dropped(told, gallery):
    index = Index.open(gallery[0])
    code, out, _ = told("accelerate", "--kind", "hnsw")
    assert code == 0
    assert f"{index.n_regions} regions x {index.dim}: hnsw" in out
    assert "the exact search is fast, and misses nothing" in out
    made = Approximate.open(index.path, index.parts, RetrieveConfig(), exact_rows=0)
    assert made.about.kind == "hnsw"
    query = gallery[1].embed_texts(["red circle"])
    assert made.images(query, 5) is None
    expected = index.best_region_scores(query) * 0.9 + index.whole_image_scores(query) * 0.1
    got = made.rows.scores(query, np.arange(index.n_images))
    with_regions = index.region_counts > 0
    np.testing.assert_allclose(got[:, with_regions], expected[:, with_regions], atol=1e-6)
    assert told("accelerate", "--drop")[1] == "dropped: every search is exact\n"
    assert isinstance(Approximate.open(index.path, index.parts, RetrieveConfig()), Refused)
    assert told("accelerate", "--drop")[1] == "there was no approximate index\n"


def test_a_search_says_whether_it_was_approximate(told, gallery):
    index = Index.open(gallery[0])
    build_approximate(index.path, index.parts)
    code, _, err = told("search", "red circle", "--approximate", "--no-judge")
    assert (code, "searched exactly: of so few regions" in err) == (0, True)
    told("accelerate", "--drop")
    _, _, err = told("search", "red circle", "--approximate", "--no-judge")
    assert "searched exactly: there is no approximate index" in err
    assert "searched exactly" not in told("search", "red circle", "--no-judge")[2]


def test_queries_of_a_file(told, tmp_path, gallery):
    file = tmp_path / "queries.txt"
    file.write_text("red circle\n\na blue square\n")
    assert told("accelerate", "--queries", file)[0] == 0
    assert (gallery[0] / FOLDER / ABOUT).is_file()
    file.write_text("\n")
    code, _, err = told("accelerate", "--queries", file)
    assert (code != 0, "holds no query" in err) == (True, True)
    assert "cannot be read" in told("accelerate", "--queries", tmp_path / "none.txt")[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kind", "hsnw"], "hnsw"),
        (["--recall", "2"], "recall = 2"),
        (["--memory", "0.0000001"], "smallest approximate index takes"),
        (["--drop", "--kind", "ivf"], "give it alone"),
    ],
)
def test_wrong_words(words, message, told):
    code, _, err = told("accelerate", *words)
    assert code != 0
    assert message in err


def test_without_faiss_it_says_what_to_install(told, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    code, _, err = told("accelerate")
    assert code != 0
    assert 'pip install "matir_nb[faiss-cpu]"' in err
