"""The benchmarks of searching and of fetching masks: fair, and able to fail."""

import mmap
import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from benchmarks.bars import Bar, report
from benchmarks.masks_arms import ARMS, measure
from benchmarks.masks_data import made_store
from benchmarks.page_cache import PeakMemory, evict, resident_share, warm_up
from benchmarks.search_arms import (
    Regions,
    faiss_search,
    flat_faiss,
    is_exact,
    oracle,
    plain_search,
    stream,
)
from benchmarks.search_data import SEED, Blocks, Size, made_index, queries, region_counts
from benchmarks.search_probe import CONFIG, GivenTexts, ours
from matir_nb.index.store import Index
from matir_nb.stages.retrieve import retrieve

SIZE = Size(n_regions=6000, dim=32, segment_bytes=400_000)
K = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def index(folder):
    return Index.open(made_index(SIZE, folder))


@pytest.fixture(scope="module")
def asked():
    return queries(SIZE, 12)


def test_the_generated_index_is_real_and_has_several_segments(index, folder):
    assert len(index.parts) > 2
    assert index.n_regions == SIZE.n_regions
    np.testing.assert_array_equal(index.region_counts, region_counts(SIZE))
    assert index.region_counts.min() == 0
    first, last = index.ids_of([0, index.n_images - 1])
    assert index.ref_of(first).path.name == "image_0000000.jpg"
    assert int(last[-11:-4]) == index.n_images - 1
    before = made_index(SIZE, folder).stat().st_mtime_ns
    assert made_index(SIZE, folder).stat().st_mtime_ns == before


def test_vectors_have_a_cone_near_duplicates_and_length_1(index):
    vectors = np.asarray(index.parts[0].regions.exact, np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    cosines = vectors @ vectors.T
    assert 0.3 < cosines.mean() < 0.7
    np.fill_diagonal(cosines, -1)
    owners = np.repeat(np.arange(len(index.parts[0].offsets) - 1), np.diff(index.parts[0].offsets))
    cosines[owners[:, None] != owners] = -1
    assert 0.3 < (cosines.max(axis=1) > 0.95).mean() < 0.8


def test_the_same_seed_gives_the_same_vectors():
    counts = region_counts(SIZE)[:20]
    one, two = (next(Blocks(counts, 0, 32).regions()) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert SEED == 6


def test_the_baselines_find_the_images_of_the_oracle(index, asked):
    regions = Regions.of(index.region_counts)
    by_regions = replace(CONFIG, region_weight=1, image_weight=0)
    truth = oracle(index, asked, by_regions)
    vectors = np.concatenate([np.asarray(p.regions.exact, np.float32) for p in index.parts])
    by_numpy = plain_search(vectors, regions)
    by_faiss = faiss_search(flat_faiss(index), regions.owners)
    # an image without regions is its own region to the index; the baselines pass it over
    truth[:, index.region_counts == 0] = -np.inf
    for query, scores in zip(asked, truth, strict=True):
        assert is_exact(by_numpy(query, K), scores, K)
        assert is_exact(by_faiss(query, K), scores, K)


def test_our_answers_are_those_of_the_oracle(index, asked):
    truth = oracle(index, asked, CONFIG)
    for best, scores in zip(ours(index, asked, K), truth, strict=True):
        assert is_exact(best.rows, scores, K)
    text = retrieve("3", index, GivenTexts(asked), n_images=K, config=CONFIG)
    found = index.rows_of([candidate.image_id for candidate in text.candidates])
    assert is_exact(found, truth[3], K)


def test_a_wrong_answer_is_not_exact(index, asked):
    scores = oracle(index, asked[:1], CONFIG)[0]
    right = np.argsort(-scores)[:K]
    assert is_exact(right, scores, K)
    assert not is_exact(right[::-1], scores, K)
    assert not is_exact(np.append(right[1:], np.argsort(-scores)[K]), scores, K)
    assert not is_exact(right[:-1], scores, K)
    assert not is_exact(np.append(right[:-1], right[0]), scores, K)
    tied = scores.copy()
    tied[right[1]] = tied[right[0]]
    swapped = right[[1, 0, *range(2, K)]]
    assert is_exact(swapped, tied, K)


def test_all_codes_are_read():
    codes = [np.zeros((4, 8), np.int8), np.zeros((2, 8), np.int8)]
    codes[1][1, 7] = 1
    assert stream(codes) == 1 << 56


def test_every_way_to_fetch_masks_gives_the_same_bytes(folder):
    store = made_store(250, 4, folder)
    found = {arm: measure(arm, store, seed=3, n_rounds=2) for arm in ARMS}
    assert len({figures["digest"] for figures in found.values()}) == 1
    assert found["pread"]["digest"] != measure("pread", store, seed=4, n_rounds=2)["digest"]
    lengths = np.diff(np.load(store.offsets))
    assert len(lengths) == 1000
    assert 450 < lengths.mean() < 750
    assert pl.read_parquet(store.parquets["parquet-small"]).height == 1000


def test_files_leave_the_page_cache_and_come_back(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(1 << 20))
    warm_up([file])
    assert resident_share([file]) == 1
    assert evict([file]) == resident_share([file])


def test_the_peak_of_memory_is_seen():
    with PeakMemory() as memory:
        before = memory.peak_mb
        with mmap.mmap(-1, 64_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as fresh:
            fresh[:] = bytes(64_000_000)  # pages that no allocator held before
            time.sleep(0.1)  # the copy does not let the watching thread run
    assert memory.peak_mb > before + 50


def test_the_last_line_is_the_worst_bar(tmp_path, capsys):
    good, limit = Bar("good", 9, 3), Bar("limit", 1, 2, is_limit=True)
    assert report([good, limit], {}, tmp_path / "report.json") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("worst of 2: limit: 1 x, bar <= 2")
    bad = Bar("bad", 3, 2, is_limit=True)
    assert report([good, bad, limit], {"more": 1}, tmp_path / "report.json") == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("bad: 3 x, bar <= 2: FAIL")
    assert '"passed": false' in (tmp_path / "report.json").read_text()
