import io
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from fakes import (
    OracleEncoder,
    OracleJudge,
    oracle_index,
    words_of,
)
from PIL import Image

from matir_nb.errors import ConfigError
from matir_nb.geometry.masks import decode
from matir_nb.opening import open_engine
from matir_nb.results import SearchResult
from matir_nb.scenes.draw import draw_gallery
from matir_nb.types import MaskRLE
from matir_nb.widgets import payload
from matir_nb.widgets.table import result_id, table_bytes, table_document
from matir_nb.widgets.thumbnails import Thumbnails
from tests.exports.examples import results_of

N = 12


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    scenes, path = oracle_index(tmp_path_factory.mktemp("payload"), N)
    judge = OracleJudge(answers_with="box", model_id="boxes")
    return open_engine(path, encoder=OracleEncoder(scenes), judge=judge)


@pytest.fixture(scope="module")
def query():
    first = next(iter(draw_gallery("test", N, seed=0)))
    return " ".join(words_of(first.objects[0]))


@pytest.fixture(scope="module")
def result(engine, query):
    return engine.search(query, k=N)


def mask_of(rle):
    return decode(MaskRLE(tuple(rle["size"]), rle["counts"].encode()))


def test_the_table_inflates_to_the_hits_in_rank_order(result, query):
    table = json.loads(zlib.decompress(table_bytes(result)))
    assert table["query"] == query
    assert table["n_images"] == N
    assert table["n_judged"] == N
    assert table["has_pictures"] is True
    columns = table["columns"]
    assert columns["image_id"] == [hit.image_id for hit in result]
    assert columns["final_score"] == [round(hit.final_score, 3) for hit in result]
    assert columns["has_mask"] == [int(hit.mask is not None) for hit in result]
    assert {len(values) for values in columns.values()} == {N}
    assert list(table["seconds"]) == ["retrieve", "judge", "align"]
    rest = table["rest"]["stage1_score"]
    assert len(rest["edges"]) == len(rest["counts"]) + 1
    assert sum(rest["counts"]) == 0  # every image is a hit


def test_the_images_that_are_no_hits_are_counted(engine, query):
    few = engine.search(query, k=3)
    rest = table_document(few)["rest"]
    assert sum(rest["stage1_score"]["counts"]) == N - 3
    assert sum(rest["final_score"]["counts"]) == N - 3
    low, high = rest["stage1_score"]["edges"][0], rest["stage1_score"]["edges"][-1]
    assert all(low - 1e-4 <= hit.stage1_score <= high + 1e-4 for hit in few)


def test_only_hits_with_copies_tell_of_them():
    plain = results_of(3)
    assert "copies" not in table_document(plain)["columns"]
    second = replace(plain.hits[1], copies=("b.png", "c.png"))
    some = replace(plain, hits=(plain.hits[0], second, plain.hits[2]))
    assert table_document(some)["columns"]["copies"] == {"1": ["b.png", "c.png"]}


def test_no_result_is_no_bytes():
    assert table_bytes(None) == b""


def test_two_results_have_two_names_and_one_result_one(engine, result, query):
    assert result_id(engine.search(query, k=N)) == result_id(result)
    assert result_id(engine.search("something else", k=N)) != result_id(result)


def test_a_tile_is_a_small_picture_with_its_mask_and_box(result):
    body, buffers = payload.tiles(result, [0, 5], 64, regions=True)
    assert [tile["row"] for tile in body["tiles"]] == [0, 5]
    first, hit = body["tiles"][0], result.hits[0]
    picture = Image.open(io.BytesIO(buffers[first["buffer"]]))
    assert picture.size == (first["width"], first["height"])
    assert max(picture.size) == 64
    assert mask_of(first["mask"]).shape == (first["height"], first["width"])
    assert len(first["regions"]) == len(first["region_scores"])
    assert max(first["region_scores"]) == pytest.approx(hit.best_region_score, abs=1e-3)
    x0, y0, x1, y1 = hit.judged_box_xyxy
    expected = [x0 / hit.width, y0 / hit.height, x1 / hit.width, y1 / hit.height]
    assert first["judged_box"] == pytest.approx(expected, abs=1e-4)


def test_regions_come_only_when_asked_for(result):
    body, _ = payload.tiles(result, [0], 64)
    assert body["tiles"][0]["regions"] is None
    assert body["tiles"][0]["region_scores"] is None


def test_a_cancelled_request_leaves_out_the_rest(result):
    answers = iter([False, True])
    body, buffers = payload.tiles(result, [0, 1, 2], 64, is_cancelled=lambda: next(answers))
    assert [tile["row"] for tile in body["tiles"]] == [0]
    assert len(buffers) == 1


def test_thumbnails_are_made_once(result):
    kept = Thumbnails(capacity=2)
    first = kept.get(result.source, result.hits[0].image_id, 64)
    assert kept.get(result.source, result.hits[0].image_id, 64)[0] is first[0]
    for hit in result.hits[1:3]:
        kept.get(result.source, hit.image_id, 64)
    assert kept.get(result.source, result.hits[0].image_id, 64)[0] is not first[0]


def test_a_picture_that_is_gone_gives_a_tile_that_says_so(result):
    image_id = result.hits[0].image_id
    path = result.source.index.ref_of(image_id).path
    moved = path.rename(path.with_suffix(".moved"))
    try:
        body, buffers = payload.tiles(result, [0, 1], 64)
        seen, _ = payload.image(result, 0, 512)
    finally:
        moved.rename(path)
    gone, there = body["tiles"]
    assert gone["buffer"] is None
    assert image_id in gone["error"]
    assert gone["mask"] is not None
    assert there["error"] is None
    assert len(buffers) == 1
    assert image_id in seen["error"]


@pytest.mark.parametrize(
    ("rows", "side", "message"),
    [
        ([N], 64, f"row {N} is not in the table of {N} hits"),
        ([-1], 64, "row -1 is not"),
        ([0], 9999, "side = 9999"),
        ([0] * 61, 64, "61 tiles asked for at once"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(result, rows, side, message):
    with pytest.raises(ConfigError, match=message):
        payload.tiles(result, rows, side)


def test_a_picture_comes_no_larger_than_it_is(result):
    body, (data,) = payload.image(result, 0, 2048)
    hit = result.hits[0]
    assert (body["width"], body["height"]) == (hit.width, hit.height)
    assert Image.open(io.BytesIO(data)).size == (hit.width, hit.height)


def test_the_inspector_gets_every_number_of_the_hit(result):
    hit = result.hits[0]
    body, buffers = payload.inspect(result, 0, 1024)
    assert buffers == []
    assert json.loads(json.dumps(body)) is not None
    assert body["final_score"] == hit.final_score
    assert sum(e["contribution"] for e in body["ledger"]) == pytest.approx(hit.final_score)
    assert sum(t["value"] for t in body["stage1_terms"]) == pytest.approx(hit.stage1_score)
    assert body["judge"]["answer"] == hit.answer
    assert body["ranks"] == {"stage1": hit.stage1_rank, "judge": hit.judge_rank, "final": 1}
    chosen = body["regions"][body["chosen"]]
    assert chosen["box_iou"] == pytest.approx(hit.align_iou, abs=1e-3)
    assert chosen["box_iou"] == max(region["box_iou"] for region in body["regions"])
    assert (mask_of(chosen["mask"]) == decode(hit.mask)).all()
    assert body["mask"] is None


def test_the_inspector_gets_the_ledger_and_the_gap(result):
    for hit in result.hits:
        body, _ = payload.inspect(result, hit.rank - 1, 64)
        contributions = [entry["contribution"] for entry in body["ledger"]]
        assert sum(contributions) == pytest.approx(hit.final_score, abs=1e-6)
        assert {entry["stage"] for entry in body["ledger"]} == {"retrieve", "judge", "align"}
        below = result.hits[hit.rank] if hit.rank < N else None
        assert body["gap"] == (None if below is None else hit.final_score - below.final_score)


def test_the_inspector_gets_the_null_band_of_the_image(result):
    hit = result.hits[0]
    scores = result.source.null_scores_of(hit.image_id, result.query)
    band = payload.inspect(result, 0, 64)[0]["null_band"]
    assert band["n_phrases"] == len(scores)
    assert band["percentile"] == hit.null_percentile
    below = 100 * np.mean(scores < hit.stage1_score)
    assert band["percentile"] == pytest.approx(below, abs=100 * np.mean(scores == hit.stage1_score))
    assert band["quantiles"][3] == pytest.approx(np.median(scores), abs=1e-5)
    assert band["quantiles"] == sorted(band["quantiles"])
    assert len(band["quantiles"]) == 7


def test_without_its_index_only_the_percentile_of_the_null_band_is_known(result):
    bare = SearchResult(result.query, result.hits, result.provenance)
    band = payload.inspect(bare, 0, 64)[0]["null_band"]
    assert band["percentile"] == result.hits[0].null_percentile
    assert band["quantiles"] == []
    here = payload.inspect(result, 0, 64)[0]["null_band"]
    assert band["n_phrases"] == here["n_phrases"]
    assert band["n_phrases"] < result.provenance.config["null_band"]["n_phrases"]


def test_an_older_result_has_no_null_band(result):
    hit = replace(result.hits[0], null_percentile=None)
    assert payload.inspect(replace(result, hits=(hit,)), 0, 64)[0]["null_band"] is None


def test_smaller_masks_cover_the_same_part_of_the_picture(result):
    body, _ = payload.inspect(result, 0, 48)
    whole, _ = payload.inspect(result, 0, 2048)
    assert max(body["mask_size"]) == 48
    for small, large in zip(body["regions"], whole["regions"], strict=True):
        assert mask_of(small["mask"]).mean() == pytest.approx(
            mask_of(large["mask"]).mean(), abs=0.02
        )


def test_a_mask_that_is_no_stored_region_travels_by_itself(result):
    prompted = replace(result.hits[0], region_id=None)
    body, _ = payload.inspect(replace(result, hits=(prompted,)), 0, 1024)
    assert (mask_of(body["mask"]) == decode(prompted.mask)).all()


def test_a_result_without_its_index_has_numbers_and_says_what_is_missing(result):
    bare = SearchResult(result.query, result.hits, result.provenance)
    assert table_document(bare)["has_pictures"] is False
    body, _ = payload.inspect(bare, 0, 512)
    assert body["regions"] == []
    assert "with_source" in body["notes"][0]
    assert body["ledger"]
    tile = payload.tiles(bare, [0], 64)[0]["tiles"][0]
    assert "with_source" in tile["error"]


def test_no_path_leaves_the_kernel(result):
    sent = json.dumps([table_document(result), payload.inspect(result, 0, 64)[0]])
    assert str(result.source.index.image_root) not in sent


def test_judged_and_not_found_is_an_abstention(result):
    hit = replace(result.hits[0], judged_box_xyxy=None, region_id=None, mask=None)
    document = table_document(replace(result, hits=(hit,)))
    assert document["columns"]["abstained"] == [1]
    not_judged = replace(hit, judge_rank=None)
    document = table_document(replace(result, hits=(not_judged,)))
    assert document["columns"]["abstained"] == [0]


def test_scores_of_all_regions_are_those_of_stage_1(result):
    source, hit = result.source, result.hits[0]
    scores = source.region_scores_of(result.query, hit.image_id)
    assert len(scores) == len(source.regions_of(hit.image_id))
    assert float(np.max(scores)) == pytest.approx(hit.best_region_score, abs=1e-3)
