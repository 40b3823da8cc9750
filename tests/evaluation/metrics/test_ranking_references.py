"""The ranking metrics beside ranx, ir_measures, scikit-learn and torchmetrics.

Where conventions agree the numbers are equal to 1e-9 (torchmetrics computes in single precision,
whatever it is given: to 1e-6). Each disagreement is a test with its name.
"""

import warnings

import ir_measures
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG
from sklearn.metrics import average_precision_score, ndcg_score
from torchmetrics.functional import retrieval as torch_retrieval
from torchmetrics.retrieval import (
    RetrievalHitRate,
    RetrievalMAP,
    RetrievalMRR,
    RetrievalNormalizedDCG,
    RetrievalPrecision,
    RetrievalRecall,
)

from matir_nb.evaluation.metrics.ranking import (
    average_precision_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank,
    share_recall_at_k,
)
from matir_nb.evaluation.metrics.relevance import relevance_of_run

EXACT, SINGLE = 1e-9, 1e-6
KS = (1, 3, 10, 25)
pytestmark = pytest.mark.filterwarnings(
    "ignore:unsafe cast from uint64 to int64",  # numba's own hash of its typed lists
)


def adversarial():
    """Return rows of (relevance of the list, N): dense, sparse, one class, short, N over the list.

    All lists have a relevant image somewhere, listed or not.
    """
    rng = np.random.default_rng(5)
    cases = []
    for length in (1, 2, 3, 9, 10, 11, 24, 25, 26, 40):
        for share in (0.05, 0.5):
            flags = rng.random(length) < share
            cases.append((flags, max(int(flags.sum()) + int(rng.integers(0, 4)), 1)))
        cases.append((np.ones(length, bool), length))
        cases.append((np.zeros(length, bool), 2))
        cases.append((np.arange(length) == length - 1, 60))
        cases.append((np.arange(length) == 0, 1))
    return cases


CASES = adversarial()
N = np.array([n for _, n in CASES])
RANKED = np.zeros((len(CASES), 40), bool)
for _row, (_flags, _) in zip(RANKED, CASES, strict=True):
    _row[: len(_flags)] = _flags
QUERIES = [f"q{i:03d}" for i in range(len(CASES))]


def ids_of(flags, n):
    """Return the ids of a list, best first, and the relevant ids, of which some are not listed."""
    listed = [f"{'right' if flag else 'wrong'}-{place}" for place, flag in enumerate(flags)]
    found = [image for image, flag in zip(listed, flags, strict=True) if flag]
    return listed, [*found, *(f"missed-{i}" for i in range(n - len(found)))]


PAIRED = [ids_of(*case) for case in CASES]
RUN = {
    query: {image: 1.0 - place / 64 for place, image in enumerate(listed)}
    for query, (listed, _) in zip(QUERIES, PAIRED, strict=True)
}
QRELS = {
    query: dict.fromkeys(relevant, 1) for query, (_, relevant) in zip(QUERIES, PAIRED, strict=True)
}


def ours(metric, k, **options):
    return metric(RANKED, N, k, **options)


def test_ids_and_scores_give_the_matrix():
    found = relevance_of_run(RUN, QRELS, 40)
    np.testing.assert_array_equal(found.ranked, RANKED)
    np.testing.assert_array_equal(found.n_relevant, N)
    assert list(found.query_ids) == QUERIES


@pytest.fixture(scope="module")
def by_ranx():
    """Return name -> values; compiled for these shapes once."""
    import ranx

    names = [
        f"{name}@{k}"
        for name in ("hit_rate", "recall", "precision", "ndcg", "mrr", "map")
        for k in KS
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ranx.evaluate(ranx.Qrels(QRELS), ranx.Run(RUN), names, return_mean=False)


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize(
    ("name", "metric", "options"),
    [
        ("hit_rate", recall_at_k, {}),
        ("recall", share_recall_at_k, {}),
        ("precision", precision_at_k, {}),
        ("mrr", reciprocal_rank, {}),
        ("ndcg", ndcg_at_k, {}),
        ("map", average_precision_at_k, {"normaliser": "relevant"}),
    ],
)
def test_ranx_agrees(by_ranx, name, metric, options, k):
    np.testing.assert_allclose(ours(metric, k, **options), by_ranx[f"{name}@{k}"], atol=EXACT)


def test_ranx_divides_average_precision_by_all_relevant_images(by_ranx):
    perfect = [i for i, (flags, n) in enumerate(CASES) if flags[:10].sum() == 10 and n > 10]
    assert perfect
    np.testing.assert_allclose(by_ranx["map@10"][perfect], 10 / N[perfect])
    np.testing.assert_array_equal(ours(average_precision_at_k, 10)[perfect], 1)


def by_ir_measures(measures, run=RUN, qrels=QRELS):
    judged = [ir_measures.Qrel(q, d, level) for q, row in qrels.items() for d, level in row.items()]
    scored = [
        ir_measures.ScoredDoc(q, d, score) for q, row in run.items() for d, score in row.items()
    ]
    found = {}
    for one in ir_measures.iter_calc(measures, judged, scored):
        found.setdefault(str(one.measure), {})[one.query_id] = one.value
    return {name: [row[query] for query in qrels] for name, row in found.items()}


def test_ir_measures_agrees():
    wanted = {}
    for k in KS:
        wanted |= {
            Success @ k: ours(recall_at_k, k),
            R @ k: ours(share_recall_at_k, k),
            P @ k: ours(precision_at_k, k),
            RR @ k: ours(reciprocal_rank, k),
            nDCG @ k: ours(ndcg_at_k, k),
            AP @ k: ours(average_precision_at_k, k, normaliser="relevant"),
        }
    found = by_ir_measures(list(wanted))
    assert len(found) == len(wanted)
    for measure, values in wanted.items():
        np.testing.assert_allclose(found[str(measure)], values, atol=EXACT, err_msg=str(measure))


def test_ties_trec_eval_takes_the_last_id_first_and_we_the_first():
    run, qrels = {"q": {"a": 0.5, "b": 0.5}}, {"q": {"a": 1}}
    assert by_ir_measures([RR], run, qrels) == {"RR": [0.5]}
    found = relevance_of_run(run, qrels, 2)
    assert reciprocal_rank(found.ranked, found.n_relevant) == 1


def test_ties_in_single_precision_only_are_no_ties_here():
    # trec_eval reads scores as C floats
    run, qrels = {"q": {"a": 0.5 + 1e-12, "b": 0.5}}, {"q": {"a": 1}}
    assert by_ir_measures([RR], run, qrels) == {"RR": [0.5]}
    found = relevance_of_run(run, qrels, 2)
    assert reciprocal_rank(found.ranked, found.n_relevant) == 1


def test_a_query_without_judgements_trec_eval_leaves_out_and_we_say_nan():
    run, qrels = {"q": {"a": 1.0}, "absent": {"a": 1.0}}, {"q": {"a": 1}}
    assert by_ir_measures([RR], run, qrels) == {"RR": [1.0]}
    found = relevance_of_run(run, qrels, 1)
    scores = reciprocal_rank(found.ranked, found.n_relevant)
    assert np.isnan(scores[1])
    assert np.nanmean(scores) == 1


FLAGS = st.lists(st.booleans(), min_size=1, max_size=40).filter(any)


def falling(n):
    return 1.0 - np.arange(n) / 64


@settings(max_examples=40, deadline=None)
@given(flags=FLAGS, k=st.integers(1, 50))
def test_scikit_learn_agrees_where_it_sees_the_whole_gallery(flags, k):
    n = sum(flags)
    scores = falling(len(flags))
    whole = average_precision_at_k([flags], [n], len(flags), normaliser="relevant").item()
    assert average_precision_score(flags, scores) == pytest.approx(whole, abs=EXACT)
    if len(flags) > 1:
        theirs = ndcg_score([np.array(flags, float)], [scores], k=k)
        assert theirs == pytest.approx(ndcg_at_k([flags], [n], k).item(), abs=EXACT)
    if any(flags[:k]):
        found = average_precision_at_k([flags], [n], k, normaliser="found").item()
        theirs = average_precision_score(flags[:k], scores[:k])
        assert theirs == pytest.approx(found, abs=EXACT)


def test_ties_scikit_learn_averages_over_them_and_we_settle_them():
    # two images of one score: any order is one threshold to it, precision 1/2 at recall 1
    assert average_precision_score([True, False], [0.5, 0.5]) == 0.5
    assert average_precision_at_k([[True, False]], [1], 2) == 1
    tied = ndcg_score([[1.0, 0.0]], [[0.5, 0.5]])
    assert tied == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert ndcg_at_k([[True, False]], [1], 2) == 1


def test_nothing_found_scikit_learn_warns_and_says_0_as_we():
    with pytest.warns(UserWarning, match="No positive class"):
        assert average_precision_score([False, False], [0.5, 0.4]) == 0
    assert average_precision_at_k([[False, False]], [1], 2, normaliser="found") == 0


def as_tensors(flags):
    return torch.from_numpy(falling(len(flags))), torch.tensor(flags)


@settings(max_examples=40, deadline=None)
@given(flags=FLAGS, k=st.integers(1, 50))
def test_torchmetrics_agrees_where_it_sees_the_whole_gallery(flags, k):
    scores, target = as_tensors(flags)
    n = [sum(flags)]
    wanted = {
        "hit_rate": recall_at_k([flags], n, k),
        "recall": share_recall_at_k([flags], n, k),
        "precision": precision_at_k([flags], n, k),
        "reciprocal_rank": reciprocal_rank([flags], n, k),
        "normalized_dcg": ndcg_at_k([flags], n, k),
        "average_precision": average_precision_at_k([flags], n, k, normaliser="found"),
    }
    for name, ours_ in wanted.items():
        theirs = getattr(torch_retrieval, f"retrieval_{name}")(scores, target, top_k=k)
        assert theirs.item() == pytest.approx(ours_.item(), abs=SINGLE), name


def test_torchmetrics_means_over_queries_agree():
    rows = [i for i, (flags, n) in enumerate(CASES) if flags.sum() == n]
    scores = torch.from_numpy(np.concatenate([falling(len(CASES[i][0])) for i in rows]))
    target = torch.from_numpy(np.concatenate([CASES[i][0] for i in rows]))
    queries = torch.from_numpy(np.repeat(rows, [len(CASES[i][0]) for i in rows]))
    for theirs, metric, options in [
        (RetrievalHitRate, recall_at_k, {}),
        (RetrievalRecall, share_recall_at_k, {}),
        (RetrievalPrecision, precision_at_k, {}),
        (RetrievalMRR, reciprocal_rank, {}),
        (RetrievalNormalizedDCG, ndcg_at_k, {}),
        (RetrievalMAP, average_precision_at_k, {"normaliser": "found"}),
    ]:
        value = theirs(top_k=10)(scores, target, indexes=queries).item()
        assert value == pytest.approx(ours(metric, 10, **options)[rows].mean(), abs=SINGLE)


def test_torchmetrics_divides_average_precision_by_what_it_found():
    # 1 of 4 relevant images within K = 2, at rank 1
    scores, target = as_tensors([True, False, True, True, True])
    assert torch_retrieval.retrieval_average_precision(scores, target, top_k=2) == 1
    assert average_precision_at_k([[True, False]], [4], 2) == 0.5
    assert average_precision_at_k([[True, False]], [4], 2, normaliser="relevant") == 0.25


def test_torchmetrics_takes_scores_of_0_and_less_for_not_found_and_we_take_the_rank():
    scores, target = torch.tensor([0.0, -1.0]), torch.tensor([True, False])
    assert torch_retrieval.retrieval_reciprocal_rank(scores, target) == 0
    assert torch_retrieval.retrieval_average_precision(scores, target) == 0
    found = relevance_of_run({"q": {"a": 0.0, "b": -1.0}}, {"q": {"a"}}, 2)
    assert reciprocal_rank(found.ranked, found.n_relevant) == 1


def test_a_query_without_relevant_images_counts_0_in_torchmetrics_and_is_nan_here():
    scores, target = as_tensors([False, False])
    assert torch_retrieval.retrieval_average_precision(scores, target) == 0
    assert RetrievalMAP()(scores, target, indexes=torch.tensor([0, 0])) == 0
    assert np.isnan(average_precision_at_k([[False, False]], [0], 2))


def test_precision_of_a_short_list_is_over_k_unless_torchmetrics_adapts_k():
    scores, target = as_tensors([True, False])
    theirs = torch_retrieval.retrieval_precision
    assert precision_at_k([[True, False]], [1], 10) == 0.1
    assert theirs(scores, target, top_k=10).item() == pytest.approx(0.1)
    assert theirs(scores, target, top_k=10, adaptive_k=True) == 0.5
