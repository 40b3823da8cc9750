import struct
from itertools import pairwise
from math import inf, log2, nan

import ir_measures
import pytest
from examples import hit, result
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, P, nDCG

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.evaluation.metrics.ranking import average_precision_at_k
from matir_nb.exports import trec
from matir_nb.exports.files import write
from matir_nb.types import QueryTruth

HOSTILE = [
    "plain.png",
    "a b/c d.png",
    "tab\tand\nnewline\r.png",
    "100%20.png",
    "\"quoted\" 'too'.png",
    "né_日本\u00a0\u2003\u2028\u202egpj.png",
    "\x00\x1b[31m.png",
    "<b>&amp;#.png",
    "Q0 1 0.5",
]
RELEVANT = {HOSTILE[1], HOSTILE[2], HOSTILE[5], "never found \n.png"}


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def hits_of(ids, scores):
    pairs = enumerate(zip(ids, scores, strict=True), 1)
    return [hit(rank, image_id=name, final_score=score) for rank, (name, score) in pairs]


@pytest.fixture
def hostile():
    """One result whose first scores tie, and whose ids would sort the other way round."""
    scores = [2.5, 2.5, 2.5, 1 + 1e-9, 1.0, 1.0, 0.0, 0.0, -3.25]
    return result(*hits_of(HOSTILE, scores), query='a "50%"\tpearl\nearring')


@pytest.fixture
def other():
    return result(*hits_of(["z.png", "y.png", "x.png"], [0.5, 0.5, 0.5]), query="a cat")


TRUTHS = [
    QueryTruth("first query", "irrelevant here", "any", frozenset(RELEVANT)),
    QueryTruth("second%", "a cat", "any", frozenset({"x.png"})),
]
IDS = [truth.query_id for truth in TRUTHS]


@pytest.fixture
def files(tmp_path, hostile, other):
    run = trec.write_run([hostile, other], tmp_path / "hits.run", query_ids=IDS, tag="my system")
    qrels = trec.write_qrels(TRUTHS, tmp_path / "truth.qrels")
    return run, qrels


def relevance_of(one, truth):
    return [h.image_id in truth.relevant for h in one.hits]


def ndcg_at_10(relevance, n_relevant):
    gain = sum(1 / log2(rank + 1) for rank, yes in enumerate(relevance[:10], 1) if yes)
    return gain / sum(1 / log2(rank + 1) for rank in range(1, min(n_relevant, 10) + 1))


def by_hand(one, truth):
    relevance, n = relevance_of(one, truth), len(truth.relevant)
    first = relevance.index(True) + 1
    return {
        "nDCG@10": ndcg_at_10(relevance, n),
        "AP": average_precision_at_k([relevance], [n], 1000, normaliser="relevant").item(),
        "P@5": sum(relevance[:5]) / 5,
        "RR": 1 / first,
    }


def test_ir_measures_reads_both_files_and_finds_the_same_numbers(files, hostile, other):
    run, qrels = (str(path) for path in files)
    found = list(
        ir_measures.iter_calc(
            [nDCG @ 10, AP, P @ 5, RR],
            list(ir_measures.read_trec_qrels(qrels)),
            list(ir_measures.read_trec_run(run)),
        )
    )
    assert len(found) == 8
    wanted = {
        trec.encoded(truth.query_id): by_hand(one, truth)
        for one, truth in zip([hostile, other], TRUTHS, strict=True)
    }
    for metric in found:
        assert metric.value == pytest.approx(wanted[metric.query_id][str(metric.measure)])
    assert wanted["first%20query"]["RR"] == 1 / 2
    assert wanted["second%25"]["P@5"] == 1 / 5


# numba's own hash of its typed lists
@pytest.mark.filterwarnings("ignore:unsafe cast from uint64 to int64")
def test_ranx_reads_both_files_and_finds_the_same_numbers(files, hostile, other):
    import ranx

    run = ranx.Run.from_file(str(files[0]), kind="trec")
    qrels = ranx.Qrels.from_file(str(files[1]), kind="trec")
    assert run.name == "my%20system"
    names = {"ndcg@10": "nDCG@10", "map": "AP", "precision@5": "P@5", "mrr": "RR"}
    found = ranx.evaluate(qrels, run, list(names), return_mean=False)
    order = list(qrels.qrels.keys())
    for place, (one, truth) in enumerate(zip([hostile, other], TRUTHS, strict=True)):
        wanted = by_hand(one, truth)
        assert order[place] == trec.encoded(truth.query_id)
        for name, ours in names.items():
            assert found[name][place] == pytest.approx(wanted[ours])


def test_pandas_reads_both_files_as_pyterrier_does(files):
    import pandas as pd

    names = ["qid", "iter", "docno", "rank", "score", "name"]
    run = pd.read_csv(files[0], sep=r"\s+", names=names)
    assert [trec.decoded(docno) for docno in run["docno"]][: len(HOSTILE)] == HOSTILE
    assert run["score"].groupby(run["qid"]).is_monotonic_decreasing.all()
    qrels = pd.read_csv(files[1], sep=r"\s+", names=["qid", "iter", "docno", "label"])
    assert set(map(trec.decoded, qrels["docno"])) == RELEVANT | {"x.png"}
    assert set(qrels["label"]) == {1}


def test_what_was_written_is_read_back(files, hostile, other):
    frame = trec.read_run(files[0])
    assert frame.schema == trec.RUN_SCHEMA
    first = frame.filter(frame["query_id"] == "first query")
    assert first["image_id"].to_list() == HOSTILE
    assert first["rank"].to_list() == list(range(1, len(HOSTILE) + 1))
    assert frame["query_id"].unique(maintain_order=True).to_list() == IDS
    assert set(frame["tag"]) == {"my system"}
    assert first["score"].to_list() == trec.falling_scores(hostile.hits)
    assert frame.height == len(hostile) + len(other)


def test_queries_are_told_beside_the_run(files, hostile):
    text = files[0].with_suffix(".queries.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    assert lines == [
        ["first%20query", 'a "50%25"%09pearl%0Aearring'],
        ["second%25", "a cat"],
    ]
    assert trec.decoded(lines[0][1]) == hostile.query


def test_without_ids_queries_are_numbered(hostile, other):
    text = trec.to_run([hostile, other])
    assert [line.split()[0] for line in text.splitlines()] == ["q1"] * 9 + ["q2"] * 3
    assert trec.to_queries(other) == "q1\ta cat\n"
    assert trec.to_run(other).splitlines()[0] == "q1 Q0 z.png 1 0.5 matir_nb"


@given(st.text(min_size=1))
def test_any_text_is_one_field_and_comes_back(text):
    field = trec.encoded(text)
    assert field.split() == [field]
    assert trec.decoded(field) == text


def test_a_name_that_is_no_unicode_comes_back():
    assert trec.encoded("caf\udce9.png") == "caf%ED%B3%A9.png"
    assert trec.decoded("caf%ED%B3%A9.png") == "caf\udce9.png"


def test_ids_without_blanks_stay_as_they_are():
    for name in ("dir/IMG_0001.jpg", "né_日本.png", "a+b=c&d;e.png", "a'b(1)[2]{3}.png"):
        assert trec.encoded(name) == name


SCORES = st.lists(st.floats(-1e6, 1e6), max_size=20).map(lambda s: sorted(s, reverse=True))


@given(SCORES)
def test_scores_fall_strictly_in_single_precision_and_stay_near(scores):
    ids = [f"{i}.png" for i in range(len(scores))]
    written = trec.falling_scores(hits_of(ids, scores))
    assert all(x > y for x, y in pairwise(written))
    singles = [single(score) for score in written]
    assert all(x > y for x, y in pairwise(singles))
    assert written == pytest.approx(scores, rel=3e-6, abs=1e-37)


def test_scores_that_need_no_help_are_exact():
    scores = [12.345678901234567, 0.1, -1e-7, -7.25]
    assert trec.falling_scores(hits_of("abcd", scores)) == scores


@pytest.mark.parametrize("score", [nan, inf, -inf, 1e39])
def test_a_score_that_is_no_number_is_refused(score):
    with pytest.raises(ConfigError, match=r"of 'a\.png' is no finite number"):
        trec.to_run(result(hit(1, image_id="a.png", final_score=score)))


def test_marks_become_judgements():
    marks = {"b c.png": "relevant", "a.png": "not relevant", "d.png": "unsure"}
    assert trec.to_qrels(marks) == "q1 0 a.png 0\nq1 0 b%20c.png 1\n"
    assert trec.to_qrels([marks, {}], query_ids=["x", "y"]).count("x 0 ") == 2
    with pytest.raises(ConfigError, match=r"mark 'maybe' of 'a\.png' is unknown"):
        trec.to_qrels({"a.png": "maybe"})


def test_a_result_is_exported_by_its_ending(tmp_path, hostile):
    marks = {HOSTILE[1]: "relevant", HOSTILE[0]: "not relevant"}
    run = hostile.export(tmp_path / "hits.run")
    assert run.read_bytes() == hostile.export(tmp_path / "hits.trec").read_bytes()
    assert trec.read_run(run)["query_id"].unique().to_list() == [hostile.query]
    qrels = write(hostile, tmp_path / "hits.qrels", marks=marks)
    assert {line.split()[0] for line in qrels.read_text("utf-8").splitlines()} == {
        trec.encoded(hostile.query)
    }
    found = ir_measures.calc_aggregate(
        [P @ 2],
        list(ir_measures.read_trec_qrels(str(qrels))),
        list(ir_measures.read_trec_run(str(run))),
    )
    assert found == {P @ 2: 0.5}


def test_qrels_without_judgements_are_refused_and_no_file_is_left(tmp_path, hostile):
    for marks in (None, {}, {HOSTILE[0]: "unsure"}):
        with pytest.raises(ConfigError, match="no hit is marked"):
            write(hostile, tmp_path / "hits.qrels", marks=marks)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_stay(tmp_path, other):
    (tmp_path / "hits.queries.tsv").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        trec.write_run(other, tmp_path / "hits.run")
    assert not (tmp_path / "hits.run").exists()
    trec.write_run(other, tmp_path / "hits.run", overwrite=True)
    assert (tmp_path / "hits.queries.tsv").read_text(encoding="utf-8") == "q1\ta cat\n"
    trec.write_qrels({"x.png": "relevant"}, tmp_path / "marks.qrels")
    with pytest.raises(ConfigError, match="is there already"):
        trec.write_qrels({"x.png": "relevant"}, tmp_path / "marks.qrels")


def test_an_empty_result_has_no_lines(tmp_path):
    assert trec.to_run(result()) == ""
    assert trec.read_run(trec.write_run(result(), tmp_path / "none.run")).schema == trec.RUN_SCHEMA


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query_ids": ["a"]}, "1 query ids for 2 queries"),
        ({"query_ids": ["a", "a"]}, "'a' is there twice"),
        ({"query_ids": ["a", ""]}, "an empty query id"),
        ({"query_ids": ["a", 2]}, "the query id 2 is no text"),
        ({"query_ids": "ab"}, "give a list of ids"),
        ({"tag": ""}, "an empty tag"),
    ],
)
def test_wrong_ids_and_tags_are_refused(hostile, other, options, message):
    with pytest.raises(ConfigError, match=message):
        trec.to_run([hostile, other], **options)


@pytest.mark.parametrize("given", [None, 3, ["a"], "a"])
def test_what_is_no_result_is_refused(given):
    with pytest.raises(ConfigError, match="a run is of a SearchResult or a list of them, got"):
        trec.to_run(given)


@pytest.mark.parametrize("line", ["q1 Q0 a.png 1 0.5", "q1 Q0 a.png one 0.5 t", "q1 Q0 a 1 x t"])
def test_a_line_that_is_no_hit_is_named(tmp_path, line):
    file = tmp_path / "hits.run"
    file.write_text(f"q1 Q0 b.png 1 0.9 t\n{line}\n")
    with pytest.raises(AnnotationError, match="line 2 is none of a run"):
        trec.read_run(file)
    with pytest.raises(ConfigError, match="no run at"):
        trec.read_run(tmp_path / "nothing.run")
