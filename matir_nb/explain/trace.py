"""The trace of an image: how it fared at every stage of a search, found or not.

What is counted, and why it is exact, is said in `matir_nb.explain.standing`. An image is lost by

    "k"          it is below the k best, and more judging would not help
    "n_judged"   the judge did not see it, and would have brought it in (or that is not known)
    "the judge"  stage 1 would have kept it, or the judge saw it and spoke against it

This module draws nothing.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from matir_nb.config import AlignConfig, JudgeConfig, RetrieveConfig
from matir_nb.engine import Cancel, Engine
from matir_nb.errors import ConfigError, unknown
from matir_nb.explain.entries import entries
from matir_nb.explain.standing import Standing
from matir_nb.explain.traced import N_JUDGED, THE_JUDGE, K, Trace, TracedRegion
from matir_nb.index.where import Where
from matir_nb.making import filter_of
from matir_nb.models.base import Judge
from matir_nb.progress import Progress
from matir_nb.results import SearchResult
from matir_nb.stages.align import Scored, evidence, judge_ranks
from matir_nb.types import Hit, Judgement

MAX_NAME = 4096
"""Characters of a path; longer ones no file has."""
MAX_SHOWN = 80


def trace(  # noqa: PLR0913 - the search's options, by name
    engine: Engine,
    query: str,
    image_id: str | Path,
    *,
    k: int = 12,
    n_judged: int | None = None,
    judge: bool | str | Judge | None = None,
    where: Where | None = None,
    cancel: Cancel | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Return how an image fared in a search, and which limits would have kept it.

    The search runs as `Engine.search` does. For the smallest n_judged the judge goes on down the
    list of stage 1, in chunks, until the answer is certain; judgements are remembered.

    Args:
        engine: the index that is asked.
        query: words.
        image_id: of the index, or a path under its image root.
        k: hits wanted.
        n_judged: candidates that the judge sees; None = the preset's number.
        judge: as in `Engine.search`.
        where: as in `Engine.search`.
        cancel: asked between chunks; once it says yes, the trace says what is known.
        progress: called with (judged so far, to be judged).

    Raises:
        ConfigError: the index has no such image, or an option cannot be used.
        QueryError: the query is empty, or longer than the encoder reads.
    """
    found_id = find_image(engine, image_id)
    result = engine.search(
        query,
        k=k,
        judge=judge,
        n_judged=n_judged,
        where=where,
        approximate=False,
        cancel=cancel,
        progress=progress,
    )
    run = _Run(engine, result, found_id, _model_of(engine, result, judge=judge))
    return run.trace(cancel=cancel, progress=progress)


def _model_of(
    engine: Engine, result: SearchResult, *, judge: bool | str | Judge | None
) -> Judge | None:
    """Return the judge that took part in `result`; None = none did."""
    if result.provenance.config["n_judged_done"] is None:
        return None
    if judge is None or isinstance(judge, (bool, str)):
        return engine.judge_of(result)
    return judge


def find_image(engine: Engine, image: str | Path) -> str:
    """Return the id of an image that is named by its id, or by a path under the image root.

    Raises:
        ConfigError: the index has no such image; the message offers the nearest name.
    """
    given: object = image
    if not isinstance(given, (str, Path)):
        message = f"image {image!r:.80} is not allowed: give its id, a text, or a path"
        raise ConfigError(message)
    name = image.as_posix() if isinstance(image, Path) else image
    if "\0" in name or len(name) > MAX_NAME:
        raise ConfigError(unknown("image", name[:MAX_SHOWN], engine.index.image_ids))
    # Path.expanduser raises where "~name" is no user
    path, root = Path(os.path.expanduser(name)), engine.image_root  # noqa: PTH111
    paths = [*_ids_of_path(path, root), *_ids_of_path(root / path, root)]
    found = next((one for one in (name, *paths) if engine.has_image(one)), None)
    found = found or engine.index.holder_of([name, *paths])
    if found is not None:
        return found
    message = unknown("image", name, engine.index.image_ids)
    if any((root / one).is_file() for one in paths):
        message = f"{name!r} is under the image root, but not in the index: index the folder again"
    raise ConfigError(message)


def _ids_of_path(path: Path, root: Path) -> list[str]:
    """Return what images could be called whose file is at `path`, with links followed or not."""
    ids = []
    for absolute in (os.path.abspath, os.path.realpath):
        whole, base = Path(absolute(path)), Path(absolute(root))
        if whole.is_relative_to(base):
            ids.append(whole.relative_to(base).as_posix())
    return ids


class _Run:
    """One search, seen from one image."""

    def __init__(
        self, engine: Engine, result: SearchResult, image_id: str, model: Judge | None
    ) -> None:
        config = result.provenance.config
        self.engine = engine
        self.result = result
        self.image_id = image_id
        self.model = model
        self.k = int(config["k"])
        self.judging = JudgeConfig(**config["judging"])
        self.n_wanted = 0 if model is None else self.judging.n_judged
        self.retrieving = RetrieveConfig(**config["retrieve"])
        keep = engine.kept_by(result.provenance)
        self.scan = engine.scan(result.query, config=self.retrieving, keep=keep)
        self.rows = self.scan.order(engine.n_images)
        place = np.flatnonzero(self.rows == engine.index.rows_of([image_id])[0])
        if not len(place):
            where = config["where"]["text"]
            message = f"{image_id!r} is not among the images that the filter keeps: {where}"
            raise ConfigError(message)
        self.place = int(place[0])

    def trace(self, *, cancel: Cancel | None, progress: Progress | None) -> Trace:
        """Return the trace; `cancel` and `progress` are for judgements beyond the search."""
        judgements = self._judged()
        standing = self._standing(judgements)
        is_found = standing.is_kept(self.k, self.n_wanted)
        assert is_found == any(hit.image_id == self.image_id for hit in self.result)
        judgement = next((j for j in judgements if j.image_id == self.image_id), None)
        smallest, why_not = None, "it is found as it is"
        if self.model is None:
            why_not = "no judge took part"
        elif not is_found:
            smallest, why_not = self._smallest_n(standing, judgements, cancel, progress)
        hit = self._hit(standing, judgements, judgement)
        config = self.result.provenance.config
        return Trace(
            query=self.result.query,
            hit=hit,
            k=self.k,
            n_judged=None if self.model is None else self.n_wanted,
            n_judged_done=None if self.model is None else len(judgements),
            n_images=standing.n_images,
            is_found=is_found,
            lost_by=None if is_found else self._lost_by(judgement, smallest, why_not),
            smallest_k=standing.smallest_k(self.n_wanted),
            smallest_n_judged=smallest,
            why_no_n_judged=why_not,
            regions=self._regions(),
            entries=entries(hit, config),
        )

    def _judged(self) -> list[Judgement]:
        """Return the judgements behind the result; what is not remembered was cancelled before.

        Where another thread has judged on since, the result is that of what is judged by then.
        """
        while True:
            found = self._judge(0, self.n_wanted, cancel=lambda: True)
            if self.model is None or len(found) == self.result.provenance.config["n_judged_done"]:
                return found
            self.result = self.engine.search(
                self.result.query,
                k=self.k,
                judge=self.model,
                n_judged=self.n_wanted,
                where=filter_of(self.result.provenance),
                approximate=False,
                cancel=lambda: True,
            )

    def _standing(self, judgements: Sequence[Judgement]) -> Standing:
        index, odds = self.engine.index, self.engine.encoder.log_odds
        weight = 1.0 if self.model is None else self.judging.stage1_weight
        unjudged = weight * (odds.scale * self.scan.stage1_scores[self.rows] + odds.bias)
        standing = Standing(
            place=self.place,
            unjudged=unjudged,
            judged=np.full(len(self.rows), np.nan),
            id_ranks=index.id_ranks[self.rows],
        )
        return self._with(standing, judgements)

    def _with(self, standing: Standing, judgements: Sequence[Judgement]) -> Standing:
        """Return `standing` with the final scores that judgements give (`align.final_score`)."""
        places = np.argsort(self.rows)[self.engine.index.rows_of([j.image_id for j in judgements])]
        counts = np.array([evidence(j.logit, self.judging) for j in judgements], np.float64)
        judged = standing.judged.copy()
        judged[places] = standing.unjudged[places] + self.judging.weight * counts
        return replace(standing, judged=judged)

    def _judge(
        self,
        start: int,
        end: int,
        *,
        cancel: Cancel | None,
        progress: Progress | None = None,
    ) -> list[Judgement]:
        """Return judgements of the images at the places from `start` to before `end`."""
        if self.model is None:
            return []
        rows = self.rows[start:end].tolist()
        candidates = [self.scan.candidate(row, start + i + 1) for i, row in enumerate(rows)]
        config = replace(self.judging, n_judged=len(candidates))
        return self.engine.judgements_of(
            self.result.query,
            candidates,
            self.model,
            config=config,
            cancel=cancel,
            progress=progress,
        )

    def _smallest_n(
        self,
        standing: Standing,
        judgements: Sequence[Judgement],
        cancel: Cancel | None,
        progress: Progress | None,
    ) -> tuple[int | None, str]:
        """Return the smallest n_judged above that of the search, or why there is none."""
        known = min(self.n_wanted, standing.n_images)
        if len(judgements) < known:
            return None, f"cancelled: {len(judgements)} of {known} candidates were judged"
        own = self._judge(self.place, self.place + 1, cancel=cancel)
        standing = self._with(standing, own)
        while known < standing.n_images and own:
            if standing.is_hopeless(self.k, known):
                return None, f"{self.k} images that the judge has seen stay above it"
            end = min(known + self.judging.chunk_size, standing.n_images)
            fresh = self._judge(known, end, cancel=cancel)
            if len(fresh) < end - known:
                break
            standing = self._with(standing, fresh)
            smallest = standing.smallest_n_judged(self.k, known, end)
            if smallest is not None:
                return smallest, ""
            known = end
            if progress is not None:
                progress(known, standing.n_images)
        if known < standing.n_images:
            return None, f"cancelled: tried up to {known} of {standing.n_images}"
        return None, f"with all {standing.n_images} images judged it is below the {self.k} best"

    def _lost_by(self, judgement: Judgement | None, smallest: int | None, why_not: str) -> str:
        is_open = smallest is not None or why_not.startswith("cancelled")
        if self.model is None:
            return K
        if judgement is None and is_open:
            return N_JUDGED
        spoke_against = judgement is not None and evidence(judgement.logit, self.judging) < 0
        return THE_JUDGE if spoke_against or self.place < self.k else K

    def _hit(
        self,
        standing: Standing,
        judgements: Sequence[Judgement],
        judgement: Judgement | None,
    ) -> Hit:
        """Return the image as a hit whose rank is that among all images."""
        rank = standing.final_rank()
        hit = next((hit for hit in self.result if hit.image_id == self.image_id), None)
        if hit is None:
            candidate = self.scan.candidate(int(self.rows[self.place]), self.place + 1)
            judge_rank = judge_ranks(judgements).get(self.image_id)
            score = float(standing.scores()[self.place])
            scored = Scored(score, candidate, judgement, judge_rank)
            config = AlignConfig(**self.result.provenance.config["align"])
            bare = self.engine.hits_of([scored], config, judge=self.model)
            judge = self.model if judgements else None
            (hit,) = self.engine.marked_hits(
                bare, self.result.query, config=self.retrieving, judge=judge, judging=self.judging
            )
        return replace(hit, rank=rank)

    def _regions(self) -> tuple[TracedRegion, ...]:
        candidate = self.scan.candidate(int(self.rows[self.place]), self.place + 1)
        boxes = self.engine.regions_of(self.image_id).boxes_xyxy.tolist()
        pairs = zip(candidate.region_ids, candidate.region_scores.tolist(), strict=True)
        return tuple(TracedRegion(i, cosine, tuple(boxes[i])) for i, cosine in pairs)
