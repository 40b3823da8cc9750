"""Traces: what they say is tried with the engine itself, for every image."""

import hashlib
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, scene_gallery
from PIL import Image

from matir_nb.config import JudgeConfig, RetrieveConfig
from matir_nb.errors import ConfigError, QueryError
from matir_nb.explain.trace import trace
from matir_nb.explain.traced import TRACE_SCHEMA
from matir_nb.index.build import build
from matir_nb.opening import open_engine
from matir_nb.presets import PRESETS
from matir_nb.types import Judgement

N = 18
QUERY = "a red circle"
QUERIES = (QUERY, "a small striped ring", "an orange crescent")


class MoodyJudge:
    """Says yes or no by the image's name, with log-odds that nothing else explains."""

    model_id = "moody-judge"

    def __init__(self):
        self.seen = []

    def judge(self, query, inputs):
        self.seen += [item.candidate.image_id for item in inputs]
        return [self._one(query, item) for item in inputs]

    @staticmethod
    def _one(query, item):
        image_id = item.candidate.image_id
        byte = hashlib.sha256(f"{query}{image_id}".encode()).digest()[0]
        logit = (byte % 13 - 7) / 2
        region = 0 if logit > 0 and len(item.regions) else None
        return Judgement(image_id, float(logit > 0), logit, None, region, "yes" if region else "no")


class ScoringJudge(MoodyJudge):
    """The same moods, and never a place."""

    model_id = "scoring-judge"
    grounds = False

    def judge(self, query, inputs):
        return [replace(one, region_id=None) for one in super().judge(query, inputs)]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Return an index of scenes and of two pictures without regions, and its encoder."""
    folder = tmp_path_factory.mktemp("trace")
    scenes = scene_gallery(folder / "scenes" / "sub", N - 2)
    for name, height in (("empty.png", 30), ("void.png", 31)):
        Image.new("RGB", (40, height), "grey").save(folder / "scenes" / name)
    masks, encoder = OracleMaskSource(scenes), OracleEncoder(scenes)
    build(folder / "scenes", folder / "i.matir", masks=masks, encoder=encoder)
    return folder / "i.matir", encoder


def engine_with(gallery, judge, *, retrieve=None, **judging):
    path, encoder = gallery
    options = JudgeConfig(**{"chunk_size": 3} | judging)
    preset = replace(PRESETS["embedded"], judging=options, retrieve=retrieve or RetrieveConfig())
    return open_engine(path, encoder=encoder, judge=judge, preset=preset)


JUDGES = {
    "moody": (MoodyJudge, {}),
    "oracle": (OracleJudge, {}),
    "ties": (MoodyJudge, {"stage1_weight": 0.0}),
    "loud": (MoodyJudge, {"weight": 9.0, "max_logit": 1.0, "stage1_weight": 1.0}),
    "calibrated": (MoodyJudge, {"calibration_scale": 2.5, "calibration_bias": -1.0}),
}


@pytest.mark.parametrize("name", JUDGES)
def test_the_limits_that_a_trace_names_are_exact(gallery, name):
    """Raised to the value named an image comes in; every smaller value leaves it out."""
    kind, options = JUDGES[name]
    engine = engine_with(gallery, kind(), **options)
    losses = set()
    queries = QUERIES[:2] if name == "moody" else QUERIES[:1]
    for query, (k, n) in product(queries, [(1, 0), (3, 5), (4, 9), (2, N)]):

        @cache
        def found(k, n, query=query):
            return {hit.image_id for hit in engine.search(query, k=k, n_judged=n)}

        for image_id in engine.index.image_ids:
            traced = trace(engine, query, image_id, k=k, n_judged=n)
            losses.add(traced.lost_by)
            assert traced.is_found == (image_id in found(k, n))
            assert image_id in found(traced.smallest_k, n)
            for fewer in range(1, traced.smallest_k):
                assert image_id not in found(fewer, n)
            if not traced.is_found:
                end = traced.smallest_n_judged
                for more in range(n, N + 1 if end is None else end):
                    assert image_id not in found(k, more)
                assert end is None or image_id in found(k, end)
                assert (end is None) == bool(traced.why_no_n_judged)
    assert len(losses) > 1
    if name == "moody":
        assert losses == {None, "k", "n_judged", "the judge"}


def test_k_and_n_candidates_give_the_same_best_k_as_all_images(gallery):
    engine = engine_with(gallery, MoodyJudge())
    for query, k, n in product(QUERIES, [1, 4, 9], [0, 3, 11]):
        whole = engine.search(query, k=N, n_judged=n)
        few = engine.search(query, k=k, n_judged=n)
        assert [hit.image_id for hit in few] == [hit.image_id for hit in whole][:k]
    for rank, hit in enumerate(engine.search(QUERY, k=N, n_judged=5)):
        assert trace(engine, QUERY, hit.image_id, k=2, n_judged=5).final_rank == rank + 1


@pytest.mark.parametrize("judge", [MoodyJudge, ScoringJudge])
@pytest.mark.parametrize("options", [{}, {"calibration_scale": 0.5, "calibration_bias": 1.2}])
def test_every_stage_is_as_in_the_search(gallery, judge, options):
    engine = engine_with(gallery, judge(), **options)
    whole = engine.search(QUERY, k=N, n_judged=9)
    for hit in whole:
        traced = trace(engine, QUERY, hit.image_id, k=4, n_judged=9)
        assert traced.hit == hit
        assert traced.is_judged == (hit.stage1_rank <= 9)
        assert traced.ledger().equals(whole.ledger(hit.rank))
        assert traced.ledger()["contribution"].sum() == pytest.approx(hit.final_score, abs=1e-6)


def test_who_speaks_against_an_image_does_so_after_calibration(gallery):
    """Log-odds below 0 that are worth more than 0 take nobody down."""
    plain = engine_with(gallery, MoodyJudge())
    spared = engine_with(gallery, MoodyJudge(), calibration_bias=9.0)
    lost = {}
    for name, engine in (("plain", plain), ("spared", spared)):
        traces = [trace(engine, QUERY, i, k=2, n_judged=N) for i in engine.index.image_ids]
        below = [t for t in traces if not t.is_found and t.hit.stage1_rank > 2]
        assert any(traced.hit.logit < 0 for traced in below)
        lost[name] = {traced.lost_by for traced in below}
    assert "the judge" in lost["plain"]
    assert lost["spared"] == {"k"}


def test_without_a_judge_stage_1_alone_decides(gallery):
    engine = engine_with(gallery, MoodyJudge())
    for hit in engine.search(QUERY, k=N, judge=False):
        traced = trace(engine, QUERY, hit.image_id, k=5, judge=False)
        assert traced.final_rank == traced.smallest_k == hit.stage1_rank == hit.rank
        assert (traced.is_found, traced.lost_by) == (
            (True, None) if hit.rank <= 5 else (False, "k")
        )
        assert (traced.n_judged, traced.smallest_n_judged) == (None, None)
        assert "judge" not in traced.text()


def test_the_losses_by_hand(gallery):
    """Three judged, two kept: who is lost, and by what."""
    engine = engine_with(gallery, MoodyJudge(), weight=4.0)
    whole = engine.search(QUERY, k=N, n_judged=N)
    for hit in whole:
        traced = trace(engine, QUERY, hit.image_id, k=2, n_judged=3)
        if traced.is_found:
            assert traced.lost_by is None
        elif hit.stage1_rank > 3 and traced.smallest_n_judged is not None:
            assert traced.lost_by == "n_judged"
        elif hit.stage1_rank <= 2 or (hit.stage1_rank <= 3 and hit.logit < 0):
            assert traced.lost_by == "the judge"
        else:
            assert traced.lost_by == "k"


def test_the_judge_is_asked_only_until_the_answer_is_certain(gallery):
    path, encoder = gallery
    judge = MoodyJudge()
    judge.model_id = "moody-judge, counted"
    engine = engine_with((path, encoder), judge)
    lost = engine.search(QUERY, k=N, n_judged=4).hits[-1]
    assert len(judge.seen) == 4
    traced = trace(engine, QUERY, lost.image_id, k=12, n_judged=4)
    end = traced.smallest_n_judged or N
    asked = len(judge.seen)
    assert asked <= end + 3
    assert len(set(judge.seen)) == asked
    trace(engine, QUERY, lost.image_id, k=12, n_judged=4)
    assert len(judge.seen) == asked


def test_k_judged_images_above_settle_it_without_more_judgements(gallery):
    """With k = 1 and a sure yes among the first, no later no can win."""

    class FirstOnly(MoodyJudge):
        model_id = "first only"

        @staticmethod
        def _one(_query, item):
            logit = 9.0 if item.candidate.stage1_rank == 1 else -9.0
            return Judgement(item.candidate.image_id, 0.5, logit, None, None, "")

    judge = FirstOnly()
    engine = engine_with(gallery, judge)
    last = engine.search(QUERY, k=N, judge=False).hits[-1]
    traced = trace(engine, QUERY, last.image_id, k=1, n_judged=2)
    assert traced.smallest_n_judged is None
    assert traced.why_no_n_judged == "1 images that the judge has seen stay above it"
    assert len(judge.seen) == 3


def test_a_trace_can_be_cancelled_and_tells_what_it_knows(gallery):
    judge = MoodyJudge()
    judge.model_id = "moody-judge, cancelled"
    engine = engine_with(gallery, judge)
    asked = []

    def cancel():
        asked.append(1)
        return len(asked) > 3

    lost = engine.search(QUERY, k=N, judge=False).hits[-1]
    traced = trace(engine, QUERY, lost.image_id, k=2, n_judged=4, cancel=cancel)
    assert traced.lost_by == "n_judged"
    assert traced.smallest_n_judged is None
    assert traced.why_no_n_judged.startswith(f"cancelled: tried up to 4 of {N}")
    assert traced.n_judged_done == 4
    assert len(set(judge.seen)) == len(judge.seen) == 5
    other = engine_with(gallery, judge)
    traced = trace(other, "an orange crescent", lost.image_id, k=2, n_judged=4, cancel=lambda: True)
    assert traced.n_judged_done == 0
    assert traced.why_no_n_judged == "cancelled: 0 of 4 candidates were judged"
    of_k, of_n = traced.remedies()
    assert of_k.endswith(f"{traced.smallest_k} (as far as judged: 0 of 4)")
    assert of_n.startswith("a larger n_judged may keep it (k = 2): cancelled")


def test_what_another_thread_judges_meanwhile_counts(gallery):
    judge = MoodyJudge()
    judge.model_id = "moody-judge, shared"
    engine = engine_with(gallery, judge)
    lost = engine.search(QUERY, k=N, judge=False).hits[-1]

    def cancel():
        engine.search(QUERY, k=2, n_judged=6)
        return True

    traced = trace(engine, QUERY, lost.image_id, k=2, n_judged=6, cancel=cancel)
    again = trace(engine, QUERY, lost.image_id, k=2, n_judged=6)
    assert traced.n_judged_done == 6
    assert (traced.is_found, traced.final_rank) == (again.is_found, again.final_rank)


def test_progress_is_told_until_the_end(gallery):
    judge = MoodyJudge()
    judge.model_id = "moody-judge, watched"
    engine = engine_with(gallery, judge)
    told = []
    lost = engine.search(QUERY, k=N, judge=False).hits[-1]
    report = lambda done, total: told.append((done, total))  # noqa: E731
    trace(engine, QUERY, lost.image_id, k=1, n_judged=4, progress=report)
    assert told[:3] == [(0, 4), (3, 4), (4, 4)]
    done = [first for first, _ in told[3:]]
    assert done == sorted(done)
    assert all(total == N for _, total in told[3:])


def test_another_judge_can_be_given(gallery):
    engine = engine_with(gallery, None)
    judge = OracleJudge(model_id="another judge")
    image_id = engine.index.image_ids[3]
    traced = trace(engine, QUERY, image_id, k=2, n_judged=5, judge=judge)
    assert traced.n_judged == 5
    assert judge.seen
    assert engine.trace(QUERY, image_id, k=2).n_judged is None


def test_its_best_regions_are_stage_1s(gallery):
    engine = engine_with(gallery, MoodyJudge(), retrieve=RetrieveConfig(m_regions=2))
    for image_id in engine.index.image_ids:
        traced = trace(engine, QUERY, image_id)
        regions = engine.regions_of(image_id)
        cosines = engine.region_scores_of(QUERY, image_id)
        assert len(traced.regions) == min(2, len(regions))
        for region in traced.regions:
            assert region.cosine == pytest.approx(cosines[region.region_id], abs=1e-6)
            assert region.box_xyxy == tuple(regions.boxes_xyxy[region.region_id])
        assert [r.cosine for r in traced.regions] == sorted(cosines.tolist())[::-1][:2]


def test_an_image_may_be_named_by_a_path(gallery, monkeypatch):
    engine = engine_with(gallery, None)
    root = engine.image_root
    image_id = next(name for name in engine.index.image_ids if "/" in name)
    assert trace(engine, QUERY, root / image_id).image_id == image_id
    assert trace(engine, QUERY, str(root / image_id)).image_id == image_id
    monkeypatch.chdir(root / "sub")
    for name in (Path(image_id).name, f"./{Path(image_id).name}", f"../{image_id}", Path(image_id)):
        assert trace(engine, QUERY, name).image_id == image_id


def test_an_image_that_is_not_there(gallery, tmp_path):
    engine = engine_with(gallery, None)
    with pytest.raises(ConfigError, match=r"unknown image 'emptx.png': did you mean 'empty.png'\?"):
        trace(engine, QUERY, "emptx.png")
    with pytest.raises(ConfigError, match="unknown image '/etc/passwd': choose from"):
        trace(engine, QUERY, Path("/etc/passwd"))
    with pytest.raises(ConfigError, match=r"unknown image '~nobody\.png'"):
        trace(engine, QUERY, "~nobody.png")
    for name in ("a\0b.png", "a" * 5000):
        with pytest.raises(ConfigError, match=r"unknown image 'a[^']{1,79}': choose from"):
            trace(engine, QUERY, name)
    for nothing in (None, 3, engine):
        with pytest.raises(ConfigError, match=r"image .* is not allowed: give its id"):
            trace(engine, QUERY, nothing)
    late = engine.image_root / "late.png"
    late.write_bytes(b"")
    try:
        with pytest.raises(ConfigError, match=r"'late.png' is under the image root, but not in"):
            trace(engine, QUERY, "late.png")
    finally:
        late.unlink()
    with pytest.raises(QueryError, match="the query is empty"):
        trace(engine, " ", "empty.png")
    with pytest.raises(ConfigError, match="k = 0 is not allowed"):
        trace(engine, QUERY, "empty.png", k=0)


def test_traces_are_rows_that_join(gallery):
    engine = engine_with(gallery, MoodyJudge())
    traces = [trace(engine, QUERY, name, k=3, n_judged=6) for name in engine.index.image_ids]
    frame = pl.concat([one.to_polars() for one in traces])
    assert frame.schema == TRACE_SCHEMA
    assert frame["is_found"].sum() == 3
    assert sorted(frame["final_rank"]) == list(range(1, N + 1))
    assert frame["judge_rank"].is_not_null().sum() == 6
    assert frame.filter(pl.col("is_found"))["lost_by"].null_count() == 3


@pytest.mark.parametrize(
    ("rank", "said"), [(9, "and took it from 7 to 9"), (6, "; it stands at 6 (7 by stage 1)")]
)
def test_the_judge_took_only_what_it_took_down(gallery, rank, said):
    engine = engine_with(gallery, MoodyJudge())
    found = trace(engine, QUERY, engine.index.image_ids[0], k=3, n_judged=N)
    hit = replace(found.hit, rank=rank, stage1_rank=7, judge_rank=4, p_relevant=0.25)
    lost = replace(found, hit=hit, is_found=False, lost_by="the judge")
    assert lost.verdict().endswith(f"the judge gave it p 0.250{' ' * (said[0] != ';')}{said}")


def test_the_text_says_what_the_trace_knows(gallery):
    engine = engine_with(gallery, MoodyJudge())
    for name in engine.index.image_ids:
        traced = trace(engine, QUERY, name, k=3, n_judged=6)
        text = traced.text()
        assert text.startswith(f"{name}  for  '{QUERY}'\n\n")
        assert f"smallest k that keeps it: {traced.smallest_k} (n_judged = 6)" in text
        wanted = f"smallest n_judged that keeps it: {traced.smallest_n_judged} (k = 3)"
        assert (wanted in text) == (traced.smallest_n_judged is not None)
        assert ("no larger n_judged keeps it (k = 3)" in text) == (
            traced.smallest_n_judged is None and not traced.is_found
        )
        assert traced.verdict() in text
        assert ("not found" in traced.verdict()) != traced.is_found
        assert ("it has no regions" in text) == (not traced.regions)
        assert ("the judge's answer" in text) == traced.is_judged
        assert repr(traced).startswith(f"Trace('{name}' for '{QUERY}': ")
        assert "\n" not in repr(traced)
        assert "<td>encoder bias</td>" in traced._repr_html_()


def test_hostile_names_and_answers_are_harmless(gallery):
    engine = engine_with(gallery, MoodyJudge())
    traced = trace(engine, QUERY, "empty.png", n_judged=N)
    hostile = "<img src=x onerror=alert(1)>\x1b[2J\u202e"
    bad = replace(traced, query=hostile, hit=replace(traced.hit, image_id=hostile, answer=hostile))
    assert "<img" not in bad._repr_html_()
    assert "&lt;img" in bad._repr_html_()
    for text in (bad.text(), repr(bad), bad._repr_html_()):
        assert "\x1b" not in text
        assert "\u202e" not in text
