"""Ask an index: retrieve → judge → align → result, the method on one page."""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

from matir_nb.config import PRESETS, JudgeConfig, Preset, preset_from_json, preset_named
from matir_nb.errors import ConfigError, IndexMismatchError, QueryError
from matir_nb.index.cache import JudgementCache
from matir_nb.index.manifest import Manifest, differences
from matir_nb.index.store import Index
from matir_nb.models.base import Judge, RegionEncoder
from matir_nb.models.registry import load_encoder, load_judge, load_segmenter
from matir_nb.progress import Progress
from matir_nb.results import SearchResult
from matir_nb.stages.align import BoxPrompt, align, order
from matir_nb.stages.judge import judge as judge_candidates
from matir_nb.stages.retrieve import retrieve
from matir_nb.types import FloatArray, Histogram, Hit, Judgement, Provenance, Regions, RGBImage
from matir_nb.version import __version__

Cancel: TypeAlias = Callable[[], bool]
PACKAGES = ("numpy", "polars", "pycocotools", "pillow", "torch", "transformers")
CACHE_FILE = Path("cache", "judgements.sqlite")


class IndexPictures:
    """The part of a `matir_nb.results.Source` that an index alone can give."""

    def __init__(self, index: Index) -> None:
        """Give what `index` holds."""
        self.index = index

    @property
    def image_root(self) -> Path:
        """Folder of the images; a hit's `path` is relative to it."""
        return self.index.image_root

    @property
    def n_images(self) -> int:
        """Number of images in the index."""
        return self.index.n_images

    @property
    def fingerprint(self) -> str:
        """Hex digest of the models and options that made the index."""
        return self.index.fingerprint

    def has_image(self, image_id: str) -> bool:
        """Tell whether an image is in the index."""
        return self.index.has_image(image_id)

    def load_image(self, image_id: str, *, max_side: int | None = None) -> RGBImage:
        """Return an image's upright pixels (see `Index.load_image`)."""
        return self.index.load_image(image_id, max_side=max_side)

    def regions_of(self, image_id: str) -> Regions:
        """Return an image's regions; row number = region id."""
        return self.index.regions_of(image_id)


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
        _require_same_encoder(index.manifest, encoder)
        super().__init__(index)
        self.encoder = encoder
        self.preset = preset
        self.judge = judge
        self._device = device
        self._cache = JudgementCache(index.path / CACHE_FILE)
        self._judges: dict[str, Judge | None] = {}
        self._prompt: BoxPrompt | None = None
        self._last_text = ("", np.zeros(encoder.dim, np.float32))
        self._versions = _versions()

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
        options, judge_model = self._options(n_judged), self._judge_for(judge)
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
                judgements = judge_candidates(
                    query,
                    found.candidates,
                    self.index,
                    judge_model,
                    config=options.judging,
                    cache=self._cache,
                    cancel=cancel,
                    progress=progress,
                )
        with _timed(seconds, "align"):
            log_odds = self.encoder.log_odds
            scored = order(found.candidates, judgements, log_odds=log_odds, config=options.judging)
            prompt = self._box_prompt()
            hits = align(scored[:k], self.index, config=options.align, box_prompt=prompt)
        provenance = Provenance(
            self.index.fingerprint,
            models=self._models(judge_model),
            config=self._config(options, k, judgements),
            versions=self._versions,
            seconds=seconds,
            notices=tuple(self._notices(k, judgements, options.judging)),
        )
        rest = {
            "stage1_score": self._stage1_rest(found.stage1_scores, hits),
            "final_score": Histogram.of(
                np.array([item.score for item in scored[k:]], np.float32),
                covering=[hit.final_score for hit in hits],
            ),
        }
        return SearchResult(query, tuple(hits), provenance, rest=rest, source=self)

    def region_scores_of(self, query: str, image_id: str) -> FloatArray:
        """Return (n,) float32 stage-1 cosines of `query` with every region of an image."""
        known, vector = self._last_text
        if known != query:
            vector = self.encoder.embed_texts([query])[0]
            self._last_text = (query, vector)
        scores: FloatArray = self.index.region_vectors_of(image_id) @ vector
        return scores

    def _stage1_rest(self, scores: FloatArray, hits: Sequence[Hit]) -> Histogram:
        rows = self.index.rows_of([hit.image_id for hit in hits])
        found = [hit.stage1_score for hit in hits]
        return Histogram.of(np.delete(scores, rows), covering=found)

    def _config(
        self, options: Preset, k: int, judgements: Sequence[Judgement] | None
    ) -> dict[str, Any]:
        stages = {name: asdict(getattr(options, name)) for name in ("retrieve", "judging", "align")}
        return {
            "k": k,
            "preset": options.name,
            **stages,
            "log_odds": asdict(self.encoder.log_odds),
            "n_images": self.index.n_images,
            "n_judged_done": None if judgements is None else len(judgements),
        }

    def _options(self, n_judged: int | None) -> Preset:
        if n_judged is None:
            return self.preset
        return replace(self.preset, judging=replace(self.preset.judging, n_judged=n_judged))

    def _judge_for(self, choice: bool | str | Judge | None) -> Judge | None:  # noqa: FBT001
        if choice is None or choice is True:
            if choice and self.judge is None:
                message = "judge=True, but this engine was opened without one: give a judge by name"
                raise ConfigError(message)
            return self.judge
        if choice is False:
            return None
        if not isinstance(choice, str):
            return choice
        if choice not in self._judges:
            self._judges[choice] = load_judge(choice, self.encoder, self._device)
        return self._judges[choice]

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
        self, k: int, judgements: Sequence[Judgement] | None, judging: JudgeConfig
    ) -> Iterator[str]:
        n_images = self.index.n_images
        if self.preset.notice:
            yield self.preset.notice
        if k > n_images:
            yield f"k = {k}, but the index has only {n_images} images: all of them are listed"
        n_wanted = min(judging.n_judged, n_images)
        if judgements is not None and len(judgements) < n_wanted:
            yield f"cancelled: {len(judgements)} of {n_wanted} candidates were judged"


def open_engine(
    path: str | Path,
    *,
    judge: str | Judge | None = "default",
    preset: str | Preset | None = None,
    device: str = "auto",
    images: str | Path | None = None,
    encoder: RegionEncoder | None = None,
) -> Engine:
    """Open an index for searching.

    Args:
        path: the index folder.
        judge: "default" = the preset's; "structured", "trained", a folder, a judge, or None.
        preset: None = the one that built the index, with this version's options.
        device: "auto", "cpu", "cuda" or "mps".
        images: where the images are now; None = where they were.
        encoder: None = the preset's.

    Raises:
        IndexNotFoundError: there is no index.
        IndexCorruptError: it is damaged.
        IndexMismatchError: other models, or a newer version, made it.
        ModelUnavailableError: weights are missing.
        ConfigError: an option has a value that cannot be used.
    """
    index = Index.open(Path(path), images=None if images is None else Path(images))
    chosen = _preset_for(preset, index.manifest)
    encoder = encoder or load_encoder(chosen, device)
    _require_same_encoder(index.manifest, encoder)
    name = chosen.judge if judge == "default" else judge
    judge_model = load_judge(name, encoder, device) if isinstance(name, str) else name
    return Engine(index, encoder, preset=chosen, judge=judge_model, device=device)


def _check(query: object, k: object) -> None:
    if not isinstance(query, str) or not query.strip():
        message = f"the query is empty ({query!r}): say in words what to look for"
        raise QueryError(message)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        message = f"k = {k!r} is not allowed: give a whole number >= 1"
        raise ConfigError(message)


def _preset_for(preset: str | Preset | None, manifest: Manifest) -> Preset:
    """Return the preset asked for, or the index's own: by name where this version knows it.

    Raises:
        IndexMismatchError: the preset asked for names another segmenter than made the index.
    """
    if preset is None:
        stored = manifest.preset
        return PRESETS.get(str(stored.get("name"))) or preset_from_json(stored)
    chosen = preset_named(preset) if isinstance(preset, str) else preset
    has_own_masks = manifest.made_by.get("masks") is not None
    names = {"segmenter": manifest.preset["segmenter"]} if has_own_masks else {}
    _require_equal(names, {"segmenter": chosen.segmenter} if has_own_masks else {})
    return chosen


def _require_same_encoder(manifest: Manifest, encoder: RegionEncoder) -> None:
    made_by = {name: manifest.made_by[name] for name in ("encoder", "dim")}
    _require_equal(made_by, {"encoder": encoder.model_id, "dim": encoder.dim})


def _require_equal(made_by: Mapping[str, Any], opened_with: Mapping[str, Any]) -> None:
    changed = differences(made_by, opened_with)
    if changed:
        message = (
            f"the index was made by other models ({'; '.join(changed)}): "
            "open it with those, or build it again"
        )
        raise IndexMismatchError(message)


def _versions() -> dict[str, str]:
    found = {"matir_nb": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = perf_counter()
    yield
    seconds[stage] = perf_counter() - start
