"""Ask an index: retrieve → judge → align → result, the method on one page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matir_nb.catalogue import licence_notices
from matir_nb.config import AlignConfig, JudgeConfig, Preset, RetrieveConfig
from matir_nb.doors import above
from matir_nb.errors import ConfigError, QueryError
from matir_nb.explain.adjusting import Adjusting
from matir_nb.explain.yardstick import Yardstick
from matir_nb.index.approximate.opened import Approximate, Refused
from matir_nb.index.cache import CACHE_FOLDER, JudgementCache
from matir_nb.index.calibrations import Calibrations
from matir_nb.index.manifest import require_same_encoder
from matir_nb.index.pictures import IndexPictures
from matir_nb.index.store import Index
from matir_nb.index.vectors import fuse
from matir_nb.index.where import Where, keep
from matir_nb.making import (
    approximate_entry,
    filter_entry,
    filter_of,
    notices_of,
    options_of,
    rest_of,
    stage_options,
    with_judging,
)
from matir_nb.models.base import Judge, RegionEncoder, grounds_of
from matir_nb.models.judges import Judges
from matir_nb.models.registry import load_segmenter
from matir_nb.models.texts import RememberedTexts
from matir_nb.progress import Progress
from matir_nb.results import SearchResult
from matir_nb.stages.align import BoxPrompt, Scored, align, order
from matir_nb.stages.judge import judge as judge_candidates
from matir_nb.stages.retrieve import Retrieval, Scan, retrieve_all, scan
from matir_nb.types import Candidate, FloatArray, Hit, Judgement, Provenance
from matir_nb.version import installed_versions

Cancel: TypeAlias = Callable[[], bool]
CACHE_FILE = Path(CACHE_FOLDER, "judgements.sqlite")
QUERIES_AT_ONCE = 32
"""Queries that share a pass of stage 1, which keeps a number per image for each of them."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Which images a filter keeps, and what a result says of it; None = there is no filter."""

    images: NDArray[np.bool_] | None
    entry: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Question:
    """A query after stage 1: how it is to be answered, and the filter as a result says it."""

    query: str
    k: int
    options: Preset
    judge: Judge | None
    filtered: Mapping[str, Any] | None
    proposed_by: Approximate | Refused | None
    found: Retrieval
    seconds: float


class Engine(IndexPictures):
    """An open index and the models that answer from it."""

    def __init__(
        self,
        index: Index,
        encoder: RegionEncoder,
        *,
        preset: Preset,
        judge: Judge | None = None,
        device: str = "auto",
    ) -> None:
        """Join an index with models.

        Args:
            index: what is searched.
            encoder: the one that made the index.
            preset: the options of every stage.
            judge: stage 2; None = stage 1 only.
            device: where a model that is loaded later runs.

        Raises:
            IndexMismatchError: another encoder made the index.
        """
        require_same_encoder(index.manifest, encoder.model_id, encoder.dim)
        super().__init__(index)
        self.encoder = encoder
        self.preset = preset
        self.judge = judge
        self._device = device
        self._cache = JudgementCache(index.path / CACHE_FILE)
        self._calibrations = Calibrations(index.path)
        self._judges = Judges(encoder, device, preset.compute)
        self._texts = RememberedTexts(encoder)
        self._adjusting = Adjusting(index, encoder)
        self._yardstick = self._new_yardstick()
        self._prompt: BoxPrompt | None = None
        self._proposer: Approximate | Refused | None = None
        self._versions = installed_versions()

    def with_preset(self, preset: Preset) -> "Engine":
        """Return an engine of the same index and models with other options.

        What is encoded, judged and remembered is shared. The preset's models are not loaded.
        """
        other = Engine(
            self.index, self.encoder, preset=preset, judge=self.judge, device=self._device
        )
        other._judges, other._texts = self._judges, self._texts
        other._cache = self._cache
        other._adjusting = self._adjusting
        other._yardstick = other._new_yardstick()
        return other

    def _new_yardstick(self) -> Yardstick:
        adjusting = self._adjusting
        return Yardstick(self.index, self.encoder, self.preset, fuse=fuse, adjusting=adjusting)

    def __repr__(self) -> str:
        """Return one line: the index, what it holds, and the judge."""
        judge = "no judge" if self.judge is None else f"judge {self.judge.model_id}"
        holds = f"{self.index.n_images} images, {self.index.n_regions} regions"
        return f"Engine({str(self.index.path)!r}, {holds}, {judge})"

    def search(  # noqa: PLR0913 - one optional argument per choice
        self,
        query: str,
        *,
        k: int = 12,
        judge: bool | str | Judge | None = None,
        n_judged: int | None = None,
        where: Where | None = None,
        approximate: bool | None = None,
        cancel: Cancel | None = None,
        progress: Progress | None = None,
    ) -> SearchResult:
        """Rank the images for `query` and show where it is in each of the best `k`.

        Args:
            query: words.
            k: hits wanted; more than there are images gives them all.
            judge: None = the engine's; False = stage 1 only; or a name, or another judge.
            n_judged: candidates that the judge sees; None = the preset's number.
            where: which images are searched at all, by `Index.facts_table`: SQL such as
                "width > 1000 and folder = 'beach'", or a polars expression; None = all.
            approximate: let the index's approximate index propose the images; None = as the
                preset says.
            cancel: asked between chunks of stage 2; once it says yes, the rest stays unjudged.
            progress: called with (judged so far, to be judged).

        Raises:
            QueryError: the query is empty, or longer than the encoder reads.
            ConfigError: `k`, `n_judged`, `judge` or `where` cannot be used.
        """
        found = self.searches(
            [query],
            k=k,
            judge=judge,
            n_judged=n_judged,
            where=where,
            approximate=approximate,
            cancel=cancel,
            progress=progress,
        )
        return next(found)

    def searches(  # noqa: PLR0913 - those of `search`
        self,
        queries: Sequence[str],
        *,
        k: int = 12,
        judge: bool | str | Judge | None = None,
        n_judged: int | None = None,
        where: Where | None = None,
        approximate: bool | None = None,
        cancel: Cancel | None = None,
        progress: Progress | None = None,
    ) -> Iterator[SearchResult]:
        """Yield what `search` returns for each of `queries`; they share stage 1's pass.

        Args:
            queries: words each.
            k: as for `search`; so are all others.
            judge: as for `search`.
            n_judged: as for `search`.
            where: as for `search`.
            approximate: as for `search`.
            cancel: as for `search`.
            progress: called anew for each query.

        Raises:
            QueryError: a query is empty, or longer than the encoder reads.
            ConfigError: `k`, `n_judged`, `judge` or `where` cannot be used.
        """
        if isinstance(queries, str):
            raise QueryError(f"queries = {queries!r} is one text: give a list of texts")  # noqa: EM102
        for query in queries:
            _check(query, k)
        judge_model = self._judges.choose(judge, self.judge)
        options = self._calibrated(with_judging(self.preset, n_judged=n_judged), judge_model)
        if approximate is not None:
            options = replace(options, retrieve=replace(options.retrieve, approximate=approximate))
        kept = self._kept(where)
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            some = queries[start : start + QUERIES_AT_ONCE]
            for asked in self._questions(some, k, options, judge_model, kept):
                yield self._answer(asked, cancel, progress)

    def judge_more(
        self,
        result: SearchResult,
        n: int = 64,
        *,
        cancel: Cancel | None = None,
        progress: Progress | None = None,
    ) -> SearchResult:
        """Return `result` as it is once the judge has seen the next `n` candidates of stage 1.

        Equal to a search with `n` more candidates judged; what was judged before is remembered,
        across runs, too. A result of stage 1 alone is given to the engine's judge.

        Args:
            result: of this index.
            n: candidates more.
            cancel: asked between chunks; once it says yes, the rest stays unjudged.
            progress: called with (judged so far, to be judged), those of before among them.

        Raises:
            ConfigError: `n` < 1, or another judge made the result, or there is none.
            IndexMismatchError: the result is of another index.
        """
        require_count("n", n)
        result.with_source(self)
        options = options_of(result.provenance, self.preset, n_more=n)
        judge, k = self.judge_of(result), result.provenance.config["k"]
        if result.provenance.config["n_judged_done"] is None:
            options = self._calibrated(options, judge)
        kept = self._kept(filter_of(result.provenance))
        asked = self._questions([result.query], k, options, judge, kept)[0]
        return self._answer(asked, cancel, progress)

    def judge_of(self, result: SearchResult) -> Judge:
        """Return the judge behind `result`; the engine's own for a result of stage 1 alone.

        Raises:
            ConfigError: this engine has it not, or has none.
        """
        return self._judges.with_id(result.provenance.models.get("judge"), self.judge)

    def judge_for(self, choice: str | Judge | None) -> Judge:
        """Return the judge that is meant; None = the engine's own.

        Raises:
            ConfigError: there is none of that name, or the engine has none.
        """
        chosen = self._judges.choose(choice, self.judge)
        if chosen is None:
            message = f"judge={choice!r}, but this engine was opened without one: give one by name"
            raise ConfigError(message)
        return chosen

    def trace(self, query: str, image_id: str, **options: Any) -> Any:
        """Return how an image fared, found or not (`matir_nb.explain.trace.trace`)."""
        return above("explain.trace").trace(self, query, image_id, **options)

    def search_template(self, template: str, **options: Any) -> Any:
        """Return a search for every filling of `template` (`matir_nb.review.templates`)."""
        return above("review.templates").search_template(self, template, **options)

    def calibrate(self, marks: Any, **options: Any) -> Any:
        """Fit the judge's probabilities to marks (`matir_nb.review.calibrate.calibrate`)."""
        return above("review.calibrate").calibrate(self, marks, **options)

    def mask_sensitivity(self, **options: Any) -> Any:
        """Return how much the embeddings depend on the masks (`matir_nb.explain.sensitivity`)."""
        return above("explain.sensitivity").mask_sensitivity(self, **options)

    def engine(self) -> "Engine":
        """Return itself."""
        return self

    def kept_by(self, provenance: Provenance) -> NDArray[np.bool_] | None:
        """Return (n_images,) which images the filter of a result keeps; None = there is none.

        Raises:
            ConfigError: the filter was a polars expression, which a result does not keep.
        """
        return self._kept(filter_of(provenance)).images

    def _kept(self, where: Where | None) -> _Kept:
        """Return which images a filter keeps; None = there is no filter."""
        if where is None:
            return _Kept(None, None)
        images = keep(self.index.facts_table(), where)
        return _Kept(images, filter_entry(where, int(images.sum())))

    def _questions(
        self,
        queries: Sequence[str],
        k: int,
        options: Preset,
        judge: Judge | None,
        kept: _Kept,
    ) -> list[_Question]:
        """Return queries with what stage 1 finds for them, in one pass over the index."""
        # images below the judged ones can overtake those that the judge turned down
        n_images = k if judge is None else k + options.judging.n_judged
        start = perf_counter()
        opened = self._approximate(options.retrieve)
        found = retrieve_all(
            queries,
            self.index,
            self.encoder,
            n_images=n_images,
            config=options.retrieve,
            keep=kept.images,
            approximate=opened if isinstance(opened, Approximate) else None,
            extra=self._adjusting.of(options.retrieve, options.neutral),
        )
        spent = (perf_counter() - start) / len(queries)
        return [
            _Question(query, k, options, judge, kept.entry, opened, one, spent)
            for query, one in zip(queries, found, strict=True)
        ]

    def _answer(
        self, asked: _Question, cancel: Cancel | None, progress: Progress | None
    ) -> SearchResult:
        query, k, options, judge_model = asked.query, asked.k, asked.options, asked.judge
        found, seconds = asked.found, {"retrieve": asked.seconds}
        judgements: list[Judgement] | None = None
        if judge_model is not None:
            with _timed(seconds, "judge"):
                judgements = self.judgements_of(
                    query,
                    found.candidates,
                    judge_model,
                    config=options.judging,
                    cancel=cancel,
                    progress=progress,
                )
        with _timed(seconds, "align"):
            log_odds = self.encoder.log_odds
            scored = order(found.candidates, judgements, log_odds=log_odds, config=options.judging)
            hits = self.hits_of(scored[:k], options.align, judge=judge_model)
            sees = judge_model if judgements else None
            cut = self._yardstick.cut(query, options.retrieve, sees, options.judging)
            hits = self._yardstick.marked(hits, query, options.retrieve, cut)
        config = {
            "k": k,
            **stage_options(options),
            "log_odds": asdict(log_odds),
            "n_images": self.index.n_images,
            "where": asked.filtered,
            "approximate": approximate_entry(asked.proposed_by, is_used=not found.is_exact),
            "n_judged_done": None if judgements is None else len(judgements),
            "judge_grounds": judge_model is None or grounds_of(judge_model),
            **self._yardstick.as_json(options.retrieve, cut),
        }
        warning = above("explain.sensitivity").stored_warning(self.index)
        models = self._models(judge_model)
        licences = licence_notices(models.values())
        told = (self.preset.notice, *licences, cut.notice(hits), warning, *notices_of(config))
        provenance = Provenance(
            self.index.fingerprint,
            models=models,
            config=config,
            versions=self._versions,
            seconds=seconds,
            notices=tuple(dict.fromkeys(notice for notice in told if notice)),
        )
        rows = self.index.rows_of([hit.image_id for hit in hits])
        others = np.delete(found.stage1_scores, rows)
        others = others[np.isfinite(others)]
        rest = rest_of(others, [item.score for item in scored[k:]], hits)
        return SearchResult(query, tuple(hits), provenance, rest=rest, source=self)

    def judgements_of(
        self,
        query: str,
        candidates: Sequence[Candidate],
        judge: Judge,
        *,
        config: JudgeConfig,
        cancel: Cancel | None = None,
        progress: Progress | None = None,
    ) -> list[Judgement]:
        """Return judgements of the first `config.n_judged` candidates, in their order.

        Their p is calibrated as `config` says, whatever is kept with the index. What this index's
        cache remembers is not asked for again (see `stages.judge.judge`).
        """
        return judge_candidates(
            query,
            candidates,
            self.index,
            judge,
            config=config,
            cache=self._cache,
            cancel=cancel,
            progress=progress,
        )

    def hits_of(
        self, scored: Sequence[Scored], config: AlignConfig, *, judge: Judge | None
    ) -> list[Hit]:
        """Return a hit for each of `scored`, with the mask of what was found (stage 3).

        Args:
            scored: best first.
            config: how a box becomes a mask.
            judge: the one that saw some of them; None = none did.
        """
        return align(
            scored,
            self.index,
            config=config,
            box_prompt=self._box_prompt(),
            judge_grounds=judge is None or grounds_of(judge),
        )

    def scan(
        self,
        query: str,
        *,
        config: RetrieveConfig | None = None,
        keep: NDArray[np.bool_] | None = None,
    ) -> Scan:
        """Return the exact stage-1 scores of every image (see `stages.retrieve.scan`).

        Args:
            query: words.
            config: of stage 1; None = the preset's.
            keep: (n_images,) images that may be found; None = all.

        Raises:
            QueryError: the query is longer than the encoder reads.
        """
        config = config or self.preset.retrieve
        extra = self._adjusting.of(config, self.preset.neutral)
        return scan(query, self.index, self.encoder, config=config, keep=keep, extra=extra)

    def region_scores_of(self, query: str, image_id: str) -> FloatArray:
        """Return (n,) float32 stage-1 cosines of `query` with every region of an image."""
        scores: FloatArray = self.text_scores_of([query], image_id)[0][0]
        return scores

    def text_scores_of(self, texts: Sequence[str], image_id: str) -> tuple[FloatArray, FloatArray]:
        """Return stage-1 cosines of texts in one image.

        Args:
            texts: encoded in one batch; those of before are remembered.
            image_id: of the index.

        Returns:
            (t, n) float32 with the image's n regions, (t,) float32 with the whole image.

        Raises:
            QueryError: a text is longer than the encoder reads.
        """
        vectors = self._texts.vectors(texts)
        regions: FloatArray = vectors @ self.index.region_vectors_of(image_id).T
        return regions, vectors @ self.index.image_vector_of(image_id)

    def null_scores_of(self, image_id: str, query: str | None = None) -> FloatArray:
        """Return (t,) float32 stage-1 scores of the neutral phrases in an image.

        Args:
            image_id: of the index.
            query: phrases that share a word with it are left out, as in a hit's
                `null_percentile`; None = none are.
        """
        return self._yardstick.scores_of(image_id, query, self.preset.retrieve)

    def marked_hits(
        self,
        hits: Sequence[Hit],
        query: str,
        *,
        config: RetrieveConfig,
        judge: Judge | None,
        judging: JudgeConfig,
    ) -> list[Hit]:
        """Return hits of `query` with their null percentile and whether they are above its cut.

        Args:
            hits: in any order.
            query: as asked.
            config: of stage 1.
            judge: the one that saw some of the candidates; None = none did.
            judging: how it is calibrated.
        """
        cut = self._yardstick.cut(query, config, judge, judging)
        return self._yardstick.marked(hits, query, config, cut)

    def _calibrated(self, options: Preset, judge: Judge | None) -> Preset:
        """Return `options` with what is kept of a judge's calibration; a preset's own wins."""
        if judge is None or options.judging.is_calibrated:
            return options
        return with_judging(options, calibration=self._calibrations.get(judge.model_id))

    def _approximate(self, config: RetrieveConfig) -> Approximate | Refused | None:
        """Return the approximate index, or why it is not used; None = it is not asked for."""
        if not config.approximate:
            return None
        if config.is_adjusted:
            return Refused("de-hubbing and references need the scores of all images")
        if self._proposer is None:
            self._proposer = Approximate.open(self.index.path, self.index.parts, config)
        return self._proposer

    def _box_prompt(self) -> BoxPrompt | None:
        if self._prompt is None and self.preset.align.prompt_sam:
            segmenter = load_segmenter(self.preset, self._device)
            self._prompt = getattr(segmenter, "from_box", None)
            if self._prompt is None:
                message = f"prompt_sam: {segmenter.model_id!r} takes no boxes, set it to False"
                raise ConfigError(message)
        return self._prompt

    def _models(self, judge: Judge | None) -> dict[str, str]:
        segmenter = str(self.index.manifest.made_by["segmenter"])
        models = {"segmenter": segmenter, "encoder": self.encoder.model_id}
        return models if judge is None else models | {"judge": judge.model_id}


def _check(query: object, k: object) -> None:
    if not isinstance(query, str) or not query.strip():
        message = f"the query is empty ({query!r}): say in words what to look for"
        raise QueryError(message)
    require_count("k", k)


def require_count(name: str, value: object) -> None:
    """Raise unless `value` is a whole number >= 1.

    Raises:
        ConfigError: it is not; the message calls it `name`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        message = f"{name} = {value!r} is not allowed: give a whole number >= 1"
        raise ConfigError(message)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = perf_counter()
    yield
    seconds[stage] = perf_counter() - start
