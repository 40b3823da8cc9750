"""`matir calibrate`: from a review to searches, shown and forgotten."""

import math

import pytest
from fakes import OracleEncoder, oracle_index

import matir_nb
from matir_nb.index.calibrations import FILE_NAME, Calibrations
from matir_nb.models.structured import StructuredJudge
from matir_nb.review.ledger import Review
from matir_nb.types import Judgement

N = 30
QUERY = "red circle"


class NumberJudge:
    """Says log-odds by the image's number: the later, the higher."""

    model_id = "numbers"

    def judge(self, _query, inputs):
        return [self._one(item.candidate.image_id) for item in inputs]

    def _one(self, image_id):
        z = float(int(image_id.split("-")[-1].split(".")[0]))
        return Judgement(image_id, 1 / (1 + math.exp(-z)), z, None, None, "so")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    scenes, index = oracle_index(tmp_path_factory.mktemp("calibration"), N)
    return index, OracleEncoder(scenes)


@pytest.fixture(autouse=True)
def opened(gallery, opening):
    opening(*gallery, NumberJudge())
    yield
    (gallery[0] / FILE_NAME).unlink(missing_ok=True)


@pytest.fixture
def review(gallery, tmp_path):
    """Every third of the lower half is relevant, and two of three of the upper half."""
    result = matir_nb.open(gallery[0], judge=None).search(QUERY, k=N)
    ordered = sorted(hit.image_id for hit in result)
    is_relevant = {i: (place % 3 == 0) != (place >= N // 2) for place, i in enumerate(ordered)}
    marks = {i: "relevant" if yes else "not relevant" for i, yes in is_relevant.items()}
    found = Review("Ada")
    found.mark(result, marks)
    return found.save(tmp_path / "circles.parquet")


def test_a_review_calibrates_shows_and_is_forgotten(told, review, gallery):
    index = gallery[0]
    code, out, _ = told("calibrate", review)
    assert code == 0
    first, second, last = out.splitlines()
    made = Calibrations(index).get("numbers")
    assert first == str(made).splitlines()[0]
    assert "for numbers" in first
    assert second.startswith(f"from {N} marks (15 relevant); log loss on them ")
    assert made.log_loss_after < made.log_loss_before
    assert last == "every search with this judge uses it from now on"
    assert told("calibrate")[1].splitlines() == [first, second]
    hit = matir_nb.open(index).search(QUERY, k=1).hits[0]
    worth = made.scale * hit.logit + made.bias
    assert hit.p_relevant == pytest.approx(1 / (1 + math.exp(-worth)))
    out = told("calibrate", "--forget")[1]
    assert out.strip() == "numbers: its log-odds count as they are again"
    assert told("calibrate", "--forget")[1].strip() == "numbers: it was not calibrated"
    assert told("calibrate")[1].strip() == "no judge of this index is calibrated: give a review"


def test_a_judge_by_name(told, gallery, tmp_path):
    """Marks that mostly agree with the structured judge, which is not the engine's."""
    engine = matir_nb.open(gallery[0])
    result = engine.search(QUERY, k=N, judge=StructuredJudge(gallery[1]))
    ordered = sorted(result, key=lambda hit: -hit.logit)
    agrees = [(place < N // 2) != (place % 5 == 0) for place in range(N)]
    marks = zip(ordered, agrees, strict=True)
    review = Review("Ada")
    review.mark(result, {hit.image_id: "relevant" if yes else "not relevant" for hit, yes in marks})
    code, out, _ = told("calibrate", review.save(tmp_path / "r.parquet"), "--judge", "structured")
    assert code == 0
    (name,) = Calibrations(gallery[0]).all()
    assert name == StructuredJudge(gallery[1]).model_id
    assert f"for {name}" in out


def test_what_cannot_be_done_says_why(told, review):
    code, _, err = told("calibrate", review, "--forget")
    assert code != 0
    assert "--forget takes no review" in err
    code, _, err = told("calibrate", "nothing.parquet")
    assert code != 0
    assert "no saved review" in err
    code, _, err = told("calibrate", review, "--judge", "none")
    assert code != 0
    assert "give one by name" in err
