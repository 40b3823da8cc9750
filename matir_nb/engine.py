"""Ask an index: retrieve → judge → align → result, the method on one page."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import AlignConfig, JudgeConfig, Preset, RetrieveConfig
from matir_nb.doors import above
from matir_nb.errors import ConfigError, QueryError
from matir_nb.explain.cut import Cut
from matir_nb.explain.yardstick import Yardstick
from matir_nb.index.cache import CACHE_FOLDER, JudgementCache
from matir_nb.index.manifest import require_same_encoder
from matir_nb.index.pictures import IndexPictures
from matir_nb.index.store import Index
from matir_nb.models.base import Judge, RegionEncoder
from matir_nb.models.judges import Judges
from matir_nb.models.registry import load_segmenter
from matir_nb.models.texts import RememberedTexts
from matir_nb.progress import Progress
from matir_nb.results import SearchResult
from matir_nb.stages.align import BoxPrompt, Scored, align, order
from matir_nb.stages.judge import judge as judge_candidates
from matir_nb.stages.retrieve import fuse, retrieve
from matir_nb.types import (
    Candidate,
    FloatArray,
    Histogram,
    Hit,
    Judgement,
    Provenance,
)
from matir_nb.version import installed_versions

Cancel: TypeAlias = Callable[[], bool]
CACHE_FILE = Path(CACHE_FOLDER, "judgements.sqlite")


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
        self._judges = Judges(encoder, device)
        self._texts = RememberedTexts(encoder)
        self._yardstick = Yardstick(index, encoder, preset, fuse=fuse)
        self._prompt: BoxPrompt | None = None
        self._versions = installed_versions()

    def __repr__(self) -> str:
        """Return one line: the index, what it holds, and the judge."""
        judge = "no judge" if self.judge is None else f"judge {self.judge.model_id}"
        holds = f"{self.index.n_images} images, {self.index.n_regions} regions"
        return f"Engine({str(self.index.path)!r}, {holds}, {judge})"

    def search(
        self,
        query: str,
        *,
        k: int = 12,
        judge: bool | str | Judge | None = None,
        n_judged: int | None = None,
        cancel: Cancel | None = None,
        progress: Progress | None = None,
    ) -> SearchResult:
        """Rank the images for `query` and show where it is in each of the best `k`.

        Args:
            query: words.
            k: hits wanted; more than there are images gives them all.
            judge: None = the engine's; False = stage 1 only; or a name, or another judge.
            n_judged: candidates that the judge sees; None = the preset's number.
            cancel: asked between chunks of stage 2; once it says yes, the rest stays unjudged.
            progress: called with (judged so far, to be judged).

        Raises:
            QueryError: the query is empty, or longer than the encoder reads.
            ConfigError: `k`, `n_judged` or `judge` cannot be used.
        """
        _check(query, k)
        options, judge_model = self._options(n_judged), self._judges.choose(judge, self.judge)
        return self._answer(query, k, options, judge_model, cancel=cancel, progress=progress)

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
        config = result.provenance.config
        if "judging" not in config:
            message = "the result does not say how it was made: search again"
            raise ConfigError(message)
        wanted = (config["n_judged_done"] or 0) + n
        options = replace(
            self.preset,
            name=config["preset"],
            retrieve=RetrieveConfig(**config["retrieve"]),
            judging=replace(JudgeConfig(**config["judging"]), n_judged=wanted),
            align=AlignConfig(**config["align"]),
        )
        judge = self.judge_of(result)
        return self._answer(
            result.query, config["k"], options, judge, cancel=cancel, progress=progress
        )

    def judge_of(self, result: SearchResult) -> Judge:
        """Return the judge behind `result`; the engine's own for a result of stage 1 alone.

        Raises:
            ConfigError: this engine has it not, or has none.
        """
        return self._judges.with_id(result.provenance.models.get("judge"), self.judge)

    def trace(self, query: str, image_id: str, **options: Any) -> Any:
        """Return how an image fared, found or not (`matir_nb.explain.trace.trace`)."""
        return above("explain.trace").trace(self, query, image_id, **options)

    def search_template(self, template: str, **options: Any) -> Any:
        """Return a search for every filling of `template` (`matir_nb.review.templates`)."""
        return above("review.templates").search_template(self, template, **options)

    def mask_sensitivity(self, **options: Any) -> Any:
        """Return how much the embeddings depend on the masks (`matir_nb.explain.sensitivity`)."""
        return above("explain.sensitivity").mask_sensitivity(self, **options)

    def engine(self) -> "Engine":
        """Return itself."""
        return self

    def _answer(
        self,
        query: str,
        k: int,
        options: Preset,
        judge_model: Judge | None,
        *,
        cancel: Cancel | None,
        progress: Progress | None,
    ) -> SearchResult:
        seconds: dict[str, float] = {}
        judgements: list[Judgement] | None = None
        # images below the judged ones can overtake those that the judge turned down
        n_images = k if judge_model is None else k + options.judging.n_judged

        with _timed(seconds, "retrieve"):
            found = retrieve(
                query, self.index, self.encoder, n_images=n_images, config=options.retrieve
            )
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
            hits = self.hits_of(scored[:k], options.align)
            cut = self._yardstick.cut(query, options.retrieve, judge_model if judgements else None)
            hits = self._yardstick.marked(hits, query, options.retrieve, cut)
        provenance = Provenance(
            self.index.fingerprint,
            models=self._models(judge_model),
            config=self._config(options, k, judgements, cut),
            versions=self._versions,
            seconds=seconds,
            notices=tuple(self._notices(k, judgements, options.judging, cut.notice(hits))),
        )
        rest = self._rest(found.stage1_scores, [item.score for item in scored[k:]], hits)
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

        What this index's cache remembers is not asked for again (see `stages.judge.judge`).
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

    def hits_of(self, scored: Sequence[Scored], config: AlignConfig) -> list[Hit]:
        """Return a hit for each of `scored`, with the mask of what was found (stage 3)."""
        return align(scored, self.index, config=config, box_prompt=self._box_prompt())

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
        self, hits: Sequence[Hit], query: str, *, config: RetrieveConfig, judge: Judge | None
    ) -> list[Hit]:
        """Return hits of `query` with their null percentile and whether they are above its cut.

        Args:
            hits: in any order.
            query: as asked.
            config: of stage 1.
            judge: the one that saw some of the candidates; None = none did.
        """
        cut = self._yardstick.cut(query, config, judge)
        return self._yardstick.marked(hits, query, config, cut)

    def _rest(
        self, stage1: NDArray[np.float64], final: Sequence[float], hits: Sequence[Hit]
    ) -> dict[str, Histogram]:
        """Return how the images that are no hits scored.

        Args:
            stage1: (images,) of all images of the index.
            final: of the candidates that are no hits.
            hits: of the result.
        """
        rows = self.index.rows_of([hit.image_id for hit in hits])
        others = np.delete(stage1, rows).astype(np.float32)
        return {
            "stage1_score": Histogram.of(others, covering=[hit.stage1_score for hit in hits]),
            "final_score": Histogram.of(
                np.array(final, np.float32), covering=[hit.final_score for hit in hits]
            ),
        }

    def _config(
        self, options: Preset, k: int, judgements: Sequence[Judgement] | None, cut: Cut
    ) -> dict[str, Any]:
        stages = {name: asdict(getattr(options, name)) for name in ("retrieve", "judging", "align")}
        return {
            "k": k,
            "preset": options.name,
            **stages,
            "log_odds": asdict(self.encoder.log_odds),
            "n_images": self.index.n_images,
            "n_judged_done": None if judgements is None else len(judgements),
            **self._yardstick.as_json(options.retrieve, cut),
        }

    def _options(self, n_judged: int | None) -> Preset:
        if n_judged is None:
            return self.preset
        return replace(self.preset, judging=replace(self.preset.judging, n_judged=n_judged))

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

    def _notices(
        self, k: int, judgements: Sequence[Judgement] | None, judging: JudgeConfig, cut: str
    ) -> Iterator[str]:
        n_images = self.index.n_images
        if self.preset.notice:
            yield self.preset.notice
        if cut:
            yield cut
        if warning := above("explain.sensitivity").stored_warning(self.index):
            yield warning
        if k > n_images:
            yield f"k = {k}, but the index has only {n_images} images: all of them are listed"
        n_wanted = min(judging.n_judged, n_images)
        if judgements is not None and len(judgements) < n_wanted:
            yield f"cancelled: {len(judgements)} of {n_wanted} candidates were judged"


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
