"""Contact sheets of single queries: what each card says, and that marks are where they belong."""

import io

import numpy as np
import pytest
from PIL import Image

from matir_nb.errors import ImageError
from matir_nb.evaluation.runs.sheets import (
    MARGIN,
    TILE,
    TRUTH,
    alt_text,
    cards,
    query_sheet,
)
from matir_nb.exports.drawing import MASK
from matir_nb.exports.jpeg import jpeg_within
from matir_nb.geometry.masks import encode
from matir_nb.types import QueryTruth
from tests.evaluation.runs.sample_run import HOSTILE


def mask_of(x0, y0, x1, y1):
    inside = np.zeros((100, 100), bool)
    inside[y0:y1, x0:x1] = True
    return encode(inside)


SHOWN = mask_of(10, 10, 50, 50)
TRUE = mask_of(40, 40, 90, 90)


def hit(rank, name, *, right=False, **values):
    return {
        "image_id": name,
        "rank": rank,
        "score": 3.25,
        "p_relevant": 0.75,
        "is_relevant": right,
        "region_id": 0,
        "mask_iou": 0.5 if right else None,
        "box_iou": None,
        "box_xyxy": None,
    } | values


ROW = {
    "arm": "stage1",
    "text": "a red cup",
    "hits": [hit(1, "a/x.png"), hit(2, "b.png", right=True), hit(3, "c.png", right=True)],
    "targets": [{"image_id": name} for name in ("b.png", "c.png", "gone.png")],
}
TRUTH_OF = QueryTruth(
    "q", "a red cup", "k", frozenset({"b.png", "c.png", "gone.png"}), {"b.png": (TRUE,)}
)


def load(name):
    return np.full((100, 100, 3), 128, np.uint8)


def near(sheet, colour, box):
    """Return how many pixels of a part of the sheet have about that colour."""
    pixels = np.asarray(sheet.crop(box)).astype(int)
    return int((np.abs(pixels - colour).sum(axis=2) < 60).sum())


def test_cards_say_rank_verdict_score_and_iou():
    answers, missed = cards(ROW, TRUTH_OF, n=2, mask_of=lambda *_: SHOWN)
    assert [card.name for card in answers] == ["1  x.png", "2  b.png"]
    assert answers[0].verdict == "x not relevant"
    assert answers[1].verdict == "+ relevant  IoU 0.50"
    assert answers[1].note == "score 3.25  p 0.75"
    assert (answers[1].mask, answers[1].truth) == (SHOWN, (TRUE,))
    unknown = cards(ROW, None, n=2, mask_of=None)[1]
    assert {card.note for card in unknown} == {""}, "masks that are not at hand are not none"
    assert [(card.name, card.verdict) for card in missed] == [
        ("c.png", "rank 3"),
        ("gone.png", "not in the first 3"),
    ]
    assert missed[0].mask is None


def test_without_truth_or_regions_there_are_no_masks():
    answers, missed = cards(ROW, None, n=3, mask_of=None)
    assert {(card.mask, card.truth) for card in (*answers, *missed)} == {(None, ())}


def test_a_query_without_hits_shows_what_was_missed():
    answers, missed = cards(ROW | {"hits": []}, TRUTH_OF, n=5, mask_of=None)
    assert answers == []
    assert {card.verdict for card in missed} == {"not in the first 0"}
    assert alt_text(ROW | {"hits": None}).startswith("Answers by rank: no answers.")


def test_shown_and_true_masks_are_outlined_where_they_are():
    sheet = query_sheet(ROW, load, TRUTH_OF, n=3, mask_of=lambda *_: SHOWN)
    top = MARGIN + 26 + 26 + 22
    first = (MARGIN, top, MARGIN + TILE, top + TILE)
    second = (MARGIN + TILE + 10, top, MARGIN + 2 * TILE + 10, top + TILE)
    assert near(sheet, TRUTH, first) == 0
    assert near(sheet, MASK, first) > 100
    assert near(sheet, TRUTH, second) > 100
    left, upper = second[0], second[1]
    true_edge = (left + int(0.88 * TILE), upper + int(0.6 * TILE))
    strip = (true_edge[0], true_edge[1], true_edge[0] + 12, true_edge[1] + 30)
    assert near(sheet, TRUTH, strip) > 10
    # dashed: about half of the line has the colour, so it is not told by colour alone
    assert near(sheet, TRUTH, second) < 0.75 * 4 * 0.5 * TILE * 2


def test_a_tiny_target_has_a_ring():
    tiny = QueryTruth("q", "t", "k", frozenset({"b.png"}), {"b.png": (mask_of(50, 50, 52, 52),)})
    row = ROW | {"hits": [hit(1, "b.png", right=True)], "targets": []}
    top = MARGIN + 26 + 26 + 22
    tile = (MARGIN, top, MARGIN + TILE, top + TILE)
    assert near(query_sheet(row, load, tiny, n=3), TRUTH, tile) > 60


def test_an_unreadable_picture_leaves_its_card():
    def fail(name):
        message = "gone"
        raise ImageError(message)

    assert query_sheet(ROW, fail, TRUTH_OF, n=3).size[0] == 2 * MARGIN + 3 * (TILE + 10) - 10


def test_hostile_text_and_odd_shapes_are_drawn():
    row = ROW | {"text": HOSTILE * 9, "hits": [hit(1, HOSTILE, box_xyxy=[-5.0, 0.0, 900.0, 2.0])]}
    wide = np.zeros((3, 900, 3), np.uint8)
    assert query_sheet(row, lambda _: wide, None, remark=HOSTILE).size[1] > TILE


@pytest.mark.parametrize("limit", [200_000, 30_000, 9_000])
def test_a_sheet_fits_its_limit(limit):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (100, 100, 3)).astype(np.uint8)
    data = jpeg_within(query_sheet(ROW, lambda _: noise, TRUTH_OF, n=5), limit)
    assert len(data) <= limit
    assert Image.open(io.BytesIO(data)).format == "JPEG"
