"""Approximate search: recall against brute force, filters, and every reason not to use it."""

import json
import re
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import pytest

from matir_nb.config import RetrieveConfig
from matir_nb.errors import ConfigError, ModelUnavailableError, ShapeError
from matir_nb.index import disk
from matir_nb.index.approximate.about import ABOUT, FOLDER, About
from matir_nb.index.approximate.build import build_approximate, drop_approximate
from matir_nb.index.approximate.opened import Approximate, Refused
from matir_nb.index.approximate.plan import EXACT_UP_TO, KINDS, AccelerateConfig, choose
from matir_nb.index.approximate.recall import sampled_queries
from matir_nb.index.approximate.rows import Rows

WEIGHTS = RetrieveConfig()
DIM = 24
FEW_QUERIES = 16


@dataclass
class Stored:
    exact: np.ndarray


@dataclass
class Part:
    name: str
    offsets: np.ndarray
    live: np.ndarray
    regions: Stored
    wholes: Stored

    @property
    def content(self):
        return sha256(self.regions.exact.tobytes() + self.wholes.exact.tobytes()).hexdigest()


def a_part(name, n_images, *, per_image=8, dropped=0.1, seed=0):
    """Return a segment: images of 0 to 2 * per_image regions around one direction each."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 2 * per_image + 1, n_images)
    spectrum = np.arange(1, DIM + 1) ** -0.5
    scenes = rng.standard_normal((n_images, DIM)) * spectrum
    own = rng.standard_normal((counts.sum(), DIM)) * spectrum
    regions = np.repeat(scenes, counts, axis=0) + own + 0.5
    regions /= np.linalg.norm(regions, axis=1, keepdims=True)
    wholes = (scenes + 0.5) / np.linalg.norm(scenes + 0.5, axis=1, keepdims=True)
    return Part(
        name,
        np.concatenate([[0], np.cumsum(counts)]),
        np.flatnonzero(rng.random(n_images) >= dropped),
        Stored(regions.astype(np.float16)),
        Stored(wholes.astype(np.float16)),
    )


def brute_scores(parts, query, weights=WEIGHTS):
    """Return the score of every image, from every vector, as stage 1 defines it."""
    scores = []
    for part in parts:
        whole = part.wholes.exact.astype(np.float64) @ query
        best = np.full(len(whole), -np.inf)
        owners = np.repeat(np.arange(len(whole)), np.diff(part.offsets))
        np.maximum.at(best, owners, part.regions.exact.astype(np.float64) @ query)
        best = np.where(np.diff(part.offsets) == 0, whole, best)
        scores.append((weights.region_weight * best + weights.image_weight * whole)[part.live])
    return np.concatenate(scores)


def brute_best(scores, k, allowed=None):
    rows = np.arange(len(scores)) if allowed is None else np.flatnonzero(allowed)
    return rows[np.argsort(-scores[rows], kind="stable")][:k]


@pytest.fixture(scope="module")
def parts():
    return [
        a_part("000001", 600, seed=1),
        a_part("000002", 1, seed=2),
        a_part("000004", 600, seed=3),
    ]


@pytest.fixture(scope="module")
def built(parts, tmp_path_factory):
    """Return kind -> (index folder, report)."""
    made = {}
    for kind in KINDS:
        path = tmp_path_factory.mktemp(kind)
        config = AccelerateConfig(kind=kind, n_queries=FEW_QUERIES)
        made[kind] = path, build_approximate(path, parts, config=config)
    return made


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Return a larger index, of which a filter of 1 % leaves more regions than are fetched."""
    parts = [a_part("000001", 9000, seed=4), a_part("000002", 9000, seed=5)]
    path = tmp_path_factory.mktemp("wide")
    build_approximate(path, parts, config=AccelerateConfig(kind="ivf", n_queries=4))
    return parts, Approximate.open(path, parts, WEIGHTS, exact_rows=0)


@pytest.fixture
def ivf(parts, tmp_path):
    """Return a new index folder with an approximate index."""
    build_approximate(tmp_path, parts, config=AccelerateConfig(kind="ivf", n_queries=2))
    return tmp_path


def reason_of(path, parts, weights=WEIGHTS):
    opened = Approximate.open(path, parts, weights)
    assert isinstance(opened, Refused)
    return opened.reason


def test_scores_are_those_of_stage_1(parts):
    rows, query = Rows(parts, WEIGHTS), np.random.default_rng(0).standard_normal(DIM)
    expected = brute_scores(parts, query)
    assert rows.n_images == len(expected)
    images = np.random.default_rng(1).permutation(rows.n_images)
    got = rows.scores(query[None].astype(np.float32), images)[0]
    np.testing.assert_allclose(got, expected[images], atol=1e-5)


def test_the_best_region_vector_gives_the_score_of_its_image(parts):
    rows, query = Rows(parts, WEIGHTS), np.random.default_rng(0).standard_normal(DIM)
    products = np.concatenate([block @ query for _, block in rows.blocks()])
    np.testing.assert_allclose(rows.take(np.arange(rows.n_regions)) @ query, products, atol=1e-5)
    expected = brute_scores(parts, query)
    for image in np.flatnonzero(rows.counts)[::50]:
        assert products[rows.owners == image].max() == pytest.approx(expected[image], abs=1e-5)
        assert np.count_nonzero(rows.owners == image) == rows.counts[image]
    assert np.count_nonzero(rows.owners >= 0) == rows.counts.sum() < rows.n_regions


@pytest.mark.parametrize("kind", KINDS)
def test_reported_recall_is_the_recall(kind, parts, built):
    path, report = built[kind]
    about = report.about
    opened = Approximate.open(path, parts, WEIGHTS, exact_rows=0)
    assert (about.is_reached, opened.about) == (True, about)
    queries = sampled_queries(opened.rows, FEW_QUERIES, seed=0)
    for k in (10, 100):
        recalls = []
        for query in queries:
            expected = brute_scores(parts, query)
            rows, scores = next(opened.best(query[None], k))
            np.testing.assert_allclose(scores, expected[rows], atol=1e-5)
            assert (np.diff(scores) <= 0).all()
            recalls.append(len(np.intersect1d(rows, brute_best(expected, k))) / k)
        (said,) = [m for m in about.measured if (m.k, m.effort, m.share) == (k, about.effort, 1)]
        assert said.recall == pytest.approx(np.mean(recalls), abs=0.002)
        assert said.recall >= about.recall >= about.wanted_recall
        assert said.worst == pytest.approx(min(recalls), abs=0.011)


@pytest.mark.parametrize("kind", KINDS)
def test_less_effort_finds_less_and_the_smallest_sufficient_is_chosen(kind, built):
    about = built[kind][1].about
    lowest = {}
    for row in about.measured:
        lowest[row.effort] = min(lowest.get(row.effort, 1), row.recall)
    assert len(lowest) > 2
    assert about.effort == min(e for e, recall in lowest.items() if recall >= 0.95)
    assert lowest[min(lowest)] < lowest[max(lowest)]


def test_recall_out_of_reach_is_said(parts, tmp_path):
    config = AccelerateConfig(kind="rabitq", recall=1, n_queries=FEW_QUERIES)
    report = build_approximate(tmp_path, parts, config=config)
    about = report.about
    assert about.effort == max(row.effort for row in about.measured)
    assert not about.is_reached
    assert f"no effort finds 100%: {about.effort} finds {about.recall:.1%}" in str(report)


def test_given_queries_are_measured_too(parts, tmp_path):
    queries = np.random.default_rng(9).standard_normal((3, DIM)).astype(np.float32)
    config = AccelerateConfig(kind="ivf", n_queries=2)
    about = build_approximate(tmp_path, parts, config=config, queries=queries).about
    assert {row.queries for row in about.measured} == {"sampled", "given"}
    with pytest.raises(ShapeError, match=r"expected shape \(q, 24\), got \(3, 2\)"):
        build_approximate(tmp_path, parts, queries=queries[:, :2])


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_one_index(kind, parts, built, tmp_path):
    first = built[kind][1].about
    config = AccelerateConfig(kind=kind, n_queries=2)
    again = build_approximate(tmp_path, parts, config=config).about
    assert again.sha256 == first.sha256
    other = build_approximate(tmp_path, parts, config=replace(config, seed=1)).about
    assert other.sha256 != first.sha256


@pytest.mark.parametrize("share", [0.01, 0.05])
@pytest.mark.parametrize("k", [10, 100])
def test_filters_apply_before_the_search_and_results_are_full(share, k, wide):
    parts, opened = wide
    allowed = np.random.default_rng(3).random(opened.rows.n_images) < share
    queries = sampled_queries(opened.rows, 4, seed=11)
    recalls = []
    for query in queries:
        rows = next(opened.best(query[None], k, allowed=allowed))[0]
        assert len(np.unique(rows)) == min(k, allowed.sum()) == k
        assert allowed[rows].all()
        expected = brute_best(brute_scores(parts, query), k, allowed)
        recalls.append(len(np.intersect1d(rows, expected)) / k)
    assert np.mean(recalls) >= 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_hardly_anything_allowed_is_for_the_exact_search(kind, parts, built):
    opened = Approximate.open(built[kind][0], parts, WEIGHTS, exact_rows=0)
    queries = sampled_queries(opened.rows, 4, seed=5)
    for n_allowed in (1, 5, 60):
        allowed = np.zeros(opened.rows.n_images, bool)
        allowed[:: len(allowed) // n_allowed] = True
        found = opened.images(queries, 50, allowed=allowed, effort=1)
        assert found is None, "fewer regions are allowed than are fetched at once"


def test_growing_effort_fills_what_the_first_try_left_empty(wide):
    _, opened = wide
    query = sampled_queries(opened.rows, 1, seed=6)
    few = opened.candidates(query, 1000, effort=1)
    assert (few == -1).any()
    n_distinct = len(np.unique(opened.rows.owners[few[few >= 0]]))
    found = opened.images(query, n_distinct + 50, effort=1)
    assert found.efforts[0] > 1
    assert np.count_nonzero(opened.rows.counts[found.images[0]]) >= n_distinct + 50
    enough = opened.images(query, n_distinct // 2, effort=1)
    assert enough.efforts[0] == 1


def test_a_filter_raises_the_effort(wide):
    _, opened = wide
    allowed = np.zeros(opened.rows.n_images, bool)
    allowed[::16] = True
    query = sampled_queries(opened.rows, 1, seed=6)
    assert opened.images(query, 10, effort=8).efforts == (8,)
    assert 28 <= opened.images(query, 10, allowed=allowed, effort=8).efforts[0] <= 36


def test_few_regions_left_by_a_filter_are_for_the_exact_search(parts, built):
    opened = Approximate.open(built["ivf"][0], parts, WEIGHTS)
    assert opened.images(np.ones((1, DIM), np.float32), 10) is None
    assert opened.best(np.ones((1, DIM), np.float32), 10) is None


def test_dropped_images_are_never_found(parts, built):
    path = built["ivf"][0]
    query = sampled_queries(Rows(parts, WEIGHTS), 1, seed=8)
    opened = Approximate.open(path, parts, WEIGHTS, exact_rows=0)
    top = next(opened.best(query, 20))[0]
    first, size = parts[0], len(parts[0].live)
    gone = top[top < size]
    assert len(gone)
    fewer = [replace(first, live=np.delete(first.live, gone)), *parts[1:]]
    opened = Approximate.open(path, fewer, WEIGHTS, exact_rows=0)
    expected = brute_best(brute_scores(fewer, query[0]), 20)
    everywhere = opened.about.parameters["n_lists"]
    found = next(opened.best(query, 20, effort=everywhere))[0]
    assert len(np.intersect1d(found, expected)) >= 19
    numbers = opened.candidates(query, 3000)
    assert (opened.rows.owners[numbers[numbers >= 0]] >= 0).all()


def test_images_without_regions_are_always_looked_at(parts, built):
    opened = Approximate.open(built["ivf"][0], parts, WEIGHTS, exact_rows=0)
    bare = np.flatnonzero(opened.rows.counts == 0)
    assert len(bare) > 10
    query = np.ones((1, DIM), np.float32)
    assert np.isin(bare, opened.images(query, 5).images[0]).all()
    allowed = np.ones(opened.rows.n_images, bool)
    allowed[bare[0]] = False
    found = opened.images(query, 5, allowed=allowed).images[0]
    assert np.isin(bare, found).tolist() == [False] + [True] * (len(bare) - 1)


def test_wrong_shapes_are_refused(parts, built):
    opened = Approximate.open(built["ivf"][0], parts, WEIGHTS, exact_rows=0)
    with pytest.raises(ShapeError, match=r"queries: expected shape \(q, 24\)"):
        opened.candidates(np.ones((1, 3), np.float32), 5)
    with pytest.raises(ShapeError, match="images: expected"):
        opened.images(np.ones((1, DIM), np.float32), 5, allowed=np.ones(3, bool))


def test_nothing_built_is_said(parts, tmp_path):
    assert "matir accelerate builds one" in reason_of(tmp_path, parts)


def test_refused_when_segments_changed(ivf, parts):
    message = "index changed since"
    assert message in reason_of(ivf, [*parts, a_part("000005", 3)])
    assert message in reason_of(ivf, parts[:-1])
    assert message in reason_of(ivf, parts[::-1])
    assert message in reason_of(ivf, [a_part("000001", 5), *parts[1:]])
    altered = replace(parts[0], wholes=Stored(-parts[0].wholes.exact))
    assert message in reason_of(ivf, [altered, *parts[1:]])


def test_refused_where_it_does_not_say_of_which_vectors_it_is(ivf, parts):
    file = ivf / FOLDER / ABOUT
    about = About.from_json(file.read_text())
    file.write_text(replace(about, contents=()).to_json())
    assert "index changed since" in reason_of(ivf, parts)


def test_refused_for_other_weights(ivf, parts):
    weights = RetrieveConfig(region_weight=0.5, image_weight=0.5)
    assert "built for region_weight 0.9, image_weight 0.1" in reason_of(ivf, parts, weights)


def test_refused_when_damaged(ivf, parts):
    (file,) = (ivf / FOLDER).glob("*.faiss")
    good = file.read_bytes()
    for place in (0, 40, len(good) // 2, len(good) - 1):
        file.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        assert "is damaged" in reason_of(ivf, parts)
    file.write_bytes(good[:-1])
    assert "is damaged" in reason_of(ivf, parts)
    file.unlink()
    assert "cannot be read (No such file" in reason_of(ivf, parts)


def test_refused_when_its_description_is_damaged(ivf, parts):
    file = ivf / FOLDER / ABOUT
    good = file.read_text()
    content = json.loads(good)
    broken = [good[:-9], "[]", "{}", "", good.replace('"effort"', '"efort"', 1)]
    broken.append(json.dumps(content | {"effort": content["effort"] + 1}))
    for text in broken:
        file.write_text(text)
        assert "cannot be read" in reason_of(ivf, parts)
    file.write_text(good)
    assert isinstance(Approximate.open(ivf, parts, WEIGHTS), Approximate)


def test_a_description_cannot_point_elsewhere(ivf):
    about = About.from_json((ivf / FOLDER / ABOUT).read_text())
    for name in ("../x", "..", "", "a/b.faiss", "a\0.faiss"):
        with pytest.raises(ValueError, match=f"file {re.escape(repr(name))}"):
            About.from_json(replace(about, file=name).to_json())


def test_without_faiss(ivf, parts, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    assert "FAISS is not installed: pip install" in reason_of(ivf, parts)
    with pytest.raises(ModelUnavailableError, match="FAISS is not installed"):
        build_approximate(ivf, parts)


def names_in(path):
    return sorted(file.name for file in (path / FOLDER).iterdir())


@pytest.mark.parametrize("moment", ["add", "write", "describe"])
def test_a_cancelled_build_leaves_what_was_there(moment, ivf, parts, monkeypatch):
    before, progress = names_in(ivf), None

    def stop(*_args):
        raise KeyboardInterrupt

    if moment == "add":
        progress = stop
    elif moment == "write":
        monkeypatch.setattr(disk, "write_some", stop)
    else:
        monkeypatch.setattr(disk, "write_whole", stop)
    config = AccelerateConfig(kind="ivf", n_queries=2, seed=3)
    with pytest.raises(KeyboardInterrupt):
        build_approximate(ivf, parts, config=config, progress=progress)
    monkeypatch.undo()
    assert names_in(ivf) == before
    assert Approximate.open(ivf, parts, WEIGHTS).about.seed == 0


def test_a_full_disk_is_an_error_and_leaves_what_was_there(ivf, parts, monkeypatch):
    before = names_in(ivf)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "write_some", full)
    with pytest.raises(OSError, match="No space left"):
        build_approximate(ivf, parts, config=AccelerateConfig(kind="ivf", n_queries=2))
    monkeypatch.undo()
    assert names_in(ivf) == before


def test_a_second_build_replaces_the_first_and_leftovers(ivf, parts):
    (ivf / FOLDER / "rabitq-0.faiss").write_bytes(b"left by a build that was killed")
    about = build_approximate(ivf, parts, config=AccelerateConfig(kind="rabitq", n_queries=2)).about
    assert names_in(ivf) == [ABOUT, about.file]


def test_drop(ivf, parts):
    assert drop_approximate(ivf)
    assert not drop_approximate(ivf)
    assert "there is no approximate index" in reason_of(ivf, parts)


def test_progress_counts_regions(parts, tmp_path):
    seen = []
    config = AccelerateConfig(kind="ivf", n_queries=2)
    report = build_approximate(
        tmp_path, parts, config=config, progress=lambda *pair: seen.append(pair)
    )
    assert seen[-1] == (report.plan.n_regions, report.plan.n_regions)


def test_a_gpu_trains_where_there_is_one(parts, tmp_path, monkeypatch):
    faiss = pytest.importorskip("faiss")
    moved = []

    def to_gpus(index):
        moved.append(type(index).__name__)
        return index

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", to_gpus, raising=False)
    config = AccelerateConfig(kind="ivf", n_queries=2)
    report = build_approximate(tmp_path, parts, config=config)
    assert (moved, report.n_gpus) == (["IndexFlatIP"], 2)
    assert isinstance(Approximate.open(tmp_path, parts, WEIGHTS), Approximate)


def test_few_regions_need_no_measure(tmp_path):
    few = [a_part("000001", 20)]
    report = build_approximate(tmp_path, few)
    assert "so few regions that every search is exact" in str(report)
    assert Approximate.open(tmp_path, few, WEIGHTS).best(np.ones((1, DIM), np.float32), 3) is None


def test_size_and_memory_choose():
    gib = 1 << 30
    assert choose(EXACT_UP_TO + 1, 512, 64 * gib).kind == "ivf"
    assert choose(10_000_000, 512, 4 * gib).kind == "rabitq"
    assert choose(30_000_000, 512, 64 * gib).kind == "ivf"
    assert choose(30_000_000, 512, 20 * gib).kind == "ivf"
    assert choose(30_000_000, 512, 20 * gib, kind="hnsw").kind == "hnsw"
    with pytest.raises(ConfigError, match="the smallest approximate index takes"):
        choose(10_000_000, 512, gib // 8)
    with pytest.raises(ConfigError, match="there are no regions"):
        choose(0, 512)


def test_where_exact_search_is_better_it_says_so():
    small, large = choose(EXACT_UP_TO, 512), choose(EXACT_UP_TO + 1, 512, 64 << 30)
    assert small.is_exact_better
    assert "the exact search is fast, and misses nothing" in small.why
    assert not large.is_exact_better
    assert "exact search" not in large.why


@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_of_bytes_is_close(kind, built):
    report = built[kind][1]
    assert report.plan.n_bytes == pytest.approx(report.about.n_bytes, rel=0.1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "hsnw"}, "hnsw"),
        ({"recall": 0}, "recall = 0"),
        ({"n_queries": 0}, "n_queries = 0"),
        ({"memory_bytes": -1}, "memory_bytes = -1"),
    ],
)
def test_wrong_options_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        AccelerateConfig(**values)
