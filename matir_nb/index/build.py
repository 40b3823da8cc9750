"""Build an index: images → masks → region embeddings → store, batched and resumable.

Every batch is on the disk before the next begins: whatever ends a build, what it reported is in
the index, and the same call goes on from there. This module knows no model's inside; the pass
over the folder is in `matir_nb.index.update`.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias, cast

from matir_nb.config import Preset
from matir_nb.errors import ConfigError
from matir_nb.images import ImageLimits, SkippedImage
from matir_nb.index.folder import Folder
from matir_nb.index.rows import Clock, Masks, Models, RowMaker, free_memory
from matir_nb.index.update import Update
from matir_nb.index.writer import IndexWriter
from matir_nb.models.base import RegionEncoder
from matir_nb.models.given_masks import GivenMasks
from matir_nb.models.hardware import choose_preset
from matir_nb.models.record_masks import RecordGenerator, RecordMasks
from matir_nb.models.registry import load_encoder, load_segmenter
from matir_nb.presets import with_true_notice
from matir_nb.progress import Progress, terminal_progress

LOG = logging.getLogger(__name__)
Given: TypeAlias = str | Path | Masks | RecordGenerator | None
"""Masks of the caller's: see `build`."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    Images that were in the index before are changed, moved, unchanged or dropped; those that are
    in it now are added, changed, moved or unchanged.

    Attributes:
        n_images: images in the index.
        n_regions: regions in the index.
        skipped: files that are not in it, with reasons; or kept as they were indexed, since they
            cannot be read now.
        seconds: "read", "masks", "embed", "store" and "total"; "read" is what the models waited for
            pictures, which are decoded while they work.
        path: the index.
        preset: the one it was built with.
        runtime: device and precision of the preset's models ("cuda bf16"); empty when all models
            were the caller's.
        n_added: images that are new.
        n_changed: images whose file holds another picture now.
        n_moved: images whose file has another name now; no model saw them.
        n_unchanged: images that stayed what they were.
        n_dropped: images that are not in the index any more.
        n_copies: files that are copies of an image in the index, byte for byte.
        moved: image id of before -> the one of now, of the images that moved. Marks follow with
            `Review.renamed`, a saved result with `SearchResult.renamed`.
    """

    n_images: int
    n_regions: int
    skipped: tuple[SkippedImage, ...]
    seconds: Mapping[str, float]
    path: Path
    preset: Preset
    runtime: str = ""
    n_added: int = 0
    n_changed: int = 0
    n_moved: int = 0
    n_unchanged: int = 0
    n_dropped: int = 0
    n_copies: int = 0
    moved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a build needs, at hand before anything is written.

    Attributes:
        folder: of the images.
        options: the preset.
        models: loaded.
        given: the caller's masks; None = the segmenter's.
        runtime: see `BuildReport`.
        started: when the preparing began, in seconds of `perf_counter`.
    """

    folder: Folder
    options: Preset
    models: Models
    given: Given
    runtime: str
    started: float

    @property
    def made_by(self) -> dict[str, Any]:
        """All that decides the index's content."""
        return self.models.made_by(self.options if self.given is None else None)


@contextmanager
def freeing_memory() -> Iterator[None]:
    """Give back, at the end, what the models' device holds for reuse."""
    try:
        yield
    finally:
        free_memory()


@freeing_memory()
def build(  # noqa: PLR0913 - one optional argument per part that can be replaced
    images: str | Path,
    out: str | Path,
    *,
    preset: str | Preset = "embedded",
    masks: Given = None,
    device: str = "auto",
    limits: ImageLimits | None = None,
    progress: Progress | None = None,
    encoder: RegionEncoder | None = None,
    rehash: bool = False,
    keep_gone: bool = False,
) -> BuildReport:
    """Index a folder of images, or bring an index to what the folder holds now.

    What is in the index already is not read again, unless its size or time differ; the models see
    new and changed pictures only. Images whose file moved get its new name, those whose file is
    gone are taken out, and files of the same bytes are indexed once, under the first of their
    names (not with masks from a file, which go by names). An image without any region is kept as
    a whole.

    Args:
        images: the folder; subfolders are included.
        out: the index folder.
        preset: models and options; "auto" = what suits the hardware (said in the log).
        masks: used in place of the segmenter's: a COCO or SAM 2 file, a mask source, or any
            object with ``generate(image)`` that returns SAM's records, such as Meta's own
            `SAM2AutomaticMaskGenerator`.
        device: "auto", "cpu", "cuda" or "mps".
        limits: what a picture may cost; None = the defaults.
        progress: called with (files done, files); None = a bar when standard error is a terminal.
        encoder: None = the preset's.
        rehash: read every known file, too, for changes that left its size and time as they were.
        keep_gone: keep images whose file is not in the folder; a file that moved is then a new one.

    Raises:
        ConfigError: no folder, no images, or `out` is something else than an index.
        IndexMismatchError: the index at `out` was made by other models or options.
        ModelUnavailableError: weights are missing, or the models do not fit into memory.
        MatirError: the models refuse every picture.
    """
    prepared = prepare(images, preset=preset, masks=masks, device=device, encoder=encoder)
    return run(prepared, out, limits=limits, progress=progress, rehash=rehash, keep_gone=keep_gone)


def prepare(
    images: str | Path,
    *,
    preset: str | Preset = "embedded",
    masks: Given = None,
    device: str = "auto",
    encoder: RegionEncoder | None = None,
) -> Prepared:
    """Look at the folder and load the models; arguments and errors are those of `build`."""
    started = perf_counter()
    folder = Folder.look(Path(images))
    options, why = choose_preset(preset, device)
    if why:
        LOG.warning(why)
    options = with_true_notice(options, None if encoder is None else encoder.model_id)
    models = _load(masks, encoder, options, device)
    runtime = _runtime(options, device) if masks is None or encoder is None else ""
    return Prepared(folder, options, models, masks, runtime, started)


def run(
    prepared: Prepared,
    out: str | Path,
    *,
    limits: ImageLimits | None = None,
    progress: Progress | None = None,
    rehash: bool = False,
    keep_gone: bool = False,
) -> BuildReport:
    """Do what `prepare` prepared; arguments and errors are those of `build`."""
    path, models, options = Path(out), prepared.models, prepared.options
    root = prepared.folder.root
    writer = IndexWriter.create_or_resume(
        path, made_by=prepared.made_by, preset=asdict(options), root=root
    )
    with writer, _reporting(progress) as tell:
        update = Update(writer, prepared.folder, RowMaker(models, Clock()), tell)
        changes = update.run(limits, rehash=rehash, keep_gone=keep_gone)
        if not writer.n_images:
            update.maker.require_some()
        elif models.go_by_name and not writer.n_regions:
            given = prepared.given
            LOG.warning("none of the images in %s has a mask in %s: compare names", root, given)
        made, n_changed = update.made, len(update.made & changes.changed)
        return BuildReport(
            n_images=writer.n_images,
            n_regions=writer.n_regions,
            skipped=tuple(update.skipped),
            seconds=update.maker.clock.seconds | {"total": perf_counter() - prepared.started},
            path=path,
            preset=options,
            runtime=prepared.runtime,
            n_added=len(made) - n_changed,
            n_changed=n_changed,
            n_moved=changes.n_moved,
            n_unchanged=writer.n_images - len(made) - changes.n_moved,
            n_dropped=len(changes.gone) + len(changes.changed) - n_changed,
            n_copies=sum(len(file.copies) for file in writer.known.values()),
            moved=changes.moved,
        )


def _load(masks: Given, encoder: RegionEncoder | None, options: Preset, device: str) -> Models:
    """Return the models, those that can be refused for the least loaded first."""
    given = None if masks is None else _given_masks(masks)
    encoder = encoder or load_encoder(options, device)
    return Models(load_segmenter(options, device) if given is None else given, encoder)


def _given_masks(masks: str | Path | Masks | RecordGenerator) -> Masks:
    if isinstance(masks, str | Path):
        return GivenMasks.from_file(masks)
    if hasattr(masks, "model_id"):
        return cast("Masks", masks)
    if not hasattr(masks, "generate"):
        what = "a file, a mask source, or an object with generate(image) that returns records"
        message = f"masks = {masks!r} cannot be used: give {what}"
        raise ConfigError(message)
    return RecordMasks(masks)


def _runtime(options: Preset, device: str) -> str:
    from matir_nb.models.runtime import choose_runtime

    return str(choose_runtime(device, options.compute))


def _reporting(progress: Progress | None) -> AbstractContextManager[Progress]:
    return terminal_progress("index") if progress is None else nullcontext(progress)
