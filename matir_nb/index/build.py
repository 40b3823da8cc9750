"""Build an index: images → masks → region embeddings → store, batched and resumable.

Every batch is on the disk before the next begins: whatever ends a build, what it reported is in
the index, and the same call goes on from there. This module knows no model's inside.
"""

import hashlib
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias, cast

from matir_nb.config import Preset
from matir_nb.errors import ConfigError, MatirError, ModelUnavailableError
from matir_nb.images import ImageLimits, SkippedImage, find_images, image_id_of, read_files
from matir_nb.index.segments import IndexedImage
from matir_nb.index.writer import IndexWriter
from matir_nb.models.base import MaskSource, RegionEncoder
from matir_nb.models.given_masks import GivenMasks
from matir_nb.models.hardware import choose_preset
from matir_nb.models.record_masks import RecordGenerator, RecordMasks
from matir_nb.models.registry import load_encoder, load_segmenter
from matir_nb.presets import with_true_notice
from matir_nb.progress import Progress, terminal_progress
from matir_nb.types import ImageRef, Regions, RGBImage

MODEL_IMAGES = 8
"""Images given to the models at once."""
MODEL_PIXELS = 48_000_000
"""Fewer, when they are large: this many pixels at least end a batch."""
SEGMENT_IMAGES = 64
"""Images per segment, at most."""
SEGMENT_SECONDS = 60.0
"""Finished images wait no longer than this, give or take one model batch, to be stored."""
Picture: TypeAlias = tuple[ImageRef, RGBImage]
Masks: TypeAlias = MaskSource | GivenMasks
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    Attributes:
        n_images: images in the index.
        n_regions: regions in the index.
        skipped: files that are not in it, with reasons.
        seconds: "read", "masks", "embed", "store" and "total"; "read" is what the models waited for
            pictures, which are decoded while they work.
        path: the index.
        preset: the one it was built with.
        runtime: device and precision of the preset's models ("cuda bf16"); empty when all models
            were the caller's.
    """

    n_images: int
    n_regions: int
    skipped: tuple[SkippedImage, ...]
    seconds: Mapping[str, float]
    path: Path
    preset: Preset
    runtime: str = ""


@contextmanager
def _freeing_memory() -> Iterator[None]:
    try:
        yield
    finally:
        _free_memory()


@_freeing_memory()
def build(  # noqa: PLR0913 - one optional argument per part that can be replaced
    images: str | Path,
    out: str | Path,
    *,
    preset: str | Preset = "embedded",
    masks: str | Path | Masks | RecordGenerator | None = None,
    device: str = "auto",
    limits: ImageLimits | None = None,
    progress: Progress | None = None,
    encoder: RegionEncoder | None = None,
) -> BuildReport:
    """Index a folder of images, or go on with an index that was begun.

    Images that are in the index already are not read again; those that changed are replaced,
    those that are gone are taken out. An image without any region is kept as a whole.

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

    Raises:
        ConfigError: no folder, no images, or `out` is something else than an index.
        IndexMismatchError: the index at `out` was made by other models or options.
        ModelUnavailableError: weights are missing, or the models do not fit into memory.
        MatirError: the models refuse every picture.
    """
    start = perf_counter()
    root, path = Path(images), Path(out)
    files = _find(root)
    options, why = choose_preset(preset, device)
    if why:
        LOG.warning(why)
    options = with_true_notice(options, None if encoder is None else encoder.model_id)
    models = _load(masks, encoder, options, device)
    made_by = models.made_by(options if masks is None else None)
    writer = IndexWriter.create_or_resume(path, made_by=made_by, preset=asdict(options), root=root)
    with writer, _reporting(progress) as report:
        run = _Run(writer, models, _Count(len(files), report))
        new = run.keep_unchanged(files)
        run.index(read_files(new, root=root, limits=limits) if new else iter(()))
        run.require_some()
        if isinstance(models.masks, GivenMasks) and writer.known and not writer.n_regions:
            LOG.warning("none of the images in %s has a mask in %s: compare names", root, masks)
        seconds = run.seconds | {"total": perf_counter() - start}
        return BuildReport(
            n_images=len(writer.known),
            n_regions=writer.n_regions,
            skipped=tuple(run.skipped),
            seconds=seconds,
            path=path,
            preset=options,
            runtime=_runtime(options, device) if masks is None or encoder is None else "",
        )


@dataclass(frozen=True, slots=True)
class _Models:
    """What turns pictures into what the index keeps."""

    masks: Masks
    encoder: RegionEncoder

    def regions(self, refs: Sequence[ImageRef], images: Sequence[RGBImage]) -> list[Regions]:
        """Return the regions of each image, found in its pixels or by its name."""
        if isinstance(self.masks, GivenMasks):
            return [self.masks.regions_for(r.image_id, r.height, r.width) for r in refs]
        return self.masks.generate(images)

    def made_by(self, options: Preset | None) -> dict[str, Any]:
        """Return all that decides the index's content; `options` are None for given masks."""
        return {
            "segmenter": self.masks.model_id,
            "encoder": self.encoder.model_id,
            "dim": self.encoder.dim,
            "masks": None if options is None else asdict(options.masks),
        }


class _Count:
    """How many files are done."""

    def __init__(self, total: int, report: Progress) -> None:
        self._done, self._total, self._report = 0, total, report

    def add(self, n: int) -> None:
        self._done += n
        self._report(self._done, self._total)


class _Run:
    """One pass over a folder: pictures wait for the models, results wait for the store."""

    def __init__(self, writer: IndexWriter, models: _Models, count: _Count) -> None:
        self.writer = writer
        self.models = models
        self.count = count
        self.skipped: list[SkippedImage] = []
        self.refusals: list[str] = []
        self.seconds = dict.fromkeys(("read", "masks", "embed", "store"), 0.0)
        self._waiting: list[Picture] = []
        self._done: list[IndexedImage] = []
        self._stored_at = perf_counter()

    def keep_unchanged(self, files: Mapping[str, Path]) -> list[Path]:
        """Return the files that the index lacks; take out images that are gone."""
        known = self.writer.known
        self.writer.drop(known.keys() - files.keys())
        new = []
        with self._clock("read"):
            for image_id, file in files.items():
                if image_id in known and _digest(file) == known[image_id]:
                    self.count.add(1)
                else:
                    new.append(file)
        return new

    def index(self, pictures: Iterator[Picture | SkippedImage]) -> None:
        """Index `pictures`; when interrupted or out of memory, keep what is done."""
        try:
            for item in self._timed(pictures):
                self._take(item)
            self._run_models()
            self._store()
        except (KeyboardInterrupt, ModelUnavailableError):
            self._store()
            raise
        except OSError as error:
            n, where = len(self.writer.known), str(self.writer.path)
            error.add_note(f"{where!r} can be opened with {n} images; build again to go on.")
            raise
        self.writer.finish([(item.image_id, item.reason) for item in self.skipped])

    def require_some(self) -> None:
        """Raise where the models refused every picture, so that the index is empty.

        Files that cannot be decoded are not among them.

        Raises:
            MatirError: they did; the message has the commonest reason.
        """
        if not self.refusals or self.writer.known:
            return
        reason, n = Counter(self.refusals).most_common(1)[0]
        n_read = len(self.refusals)
        those = "" if n == n_read else f", {n} of them for this reason"
        pictures = "the only picture" if n_read == 1 else f"all {n_read} pictures"
        message = f"the models refuse {pictures} in this folder that can be read{those}: {reason}"
        raise MatirError(message)

    def _take(self, item: Picture | SkippedImage) -> None:
        if isinstance(item, SkippedImage):
            self._skip(item)
        else:
            self._waiting.append(item)
        n_pixels = sum(ref.width * ref.height for ref, _ in self._waiting)
        if len(self._waiting) >= MODEL_IMAGES or n_pixels >= MODEL_PIXELS:
            self._run_models()
        is_late = perf_counter() - self._stored_at > SEGMENT_SECONDS
        if len(self._done) >= SEGMENT_IMAGES or is_late:
            self._store()

    def _skip(self, item: SkippedImage) -> None:
        self.skipped.append(item)
        self.writer.drop(self.writer.known.keys() & {item.image_id})
        self.count.add(1)

    def _run_models(self) -> None:
        """Segment and embed what waits: together, or one by one to find the one that fails."""
        pictures, self._waiting = self._waiting, []
        reason = self._try(pictures) if pictures else ""
        if reason and len(pictures) == 1:
            self.refusals.append(reason)
            self._skip(SkippedImage(pictures[0][0].image_id, reason))
        elif reason:
            _free_memory()
            for picture in pictures:
                self._waiting = [picture]
                self._run_models()

    def _try(self, pictures: Sequence[Picture]) -> str:
        """Segment and embed `pictures`; return why that cannot be, "" when it is done.

        Raises:
            ModelUnavailableError: the models do not fit into memory.
        """
        try:
            self._done += self._indexed(pictures)
        except (MatirError, MemoryError, RuntimeError) as error:
            return _reason(error, [ref for ref, _ in pictures])
        self.count.add(len(pictures))
        return ""

    def _indexed(self, pictures: Sequence[Picture]) -> list[IndexedImage]:
        refs, images = [ref for ref, _ in pictures], [image for _, image in pictures]
        with self._clock("masks"):
            regions = self.models.regions(refs, images)
        with self._clock("embed"):
            vectors = self.models.encoder.embed_regions(images, [r.masks for r in regions])
            wholes = self.models.encoder.embed_images(images)
        return [IndexedImage(*row) for row in zip(refs, regions, vectors, wholes, strict=True)]

    def _store(self) -> None:
        # taken first: an interrupt within add must not store the same images twice
        rows, self._done = self._done, []
        with self._clock("store"):
            self.writer.drop(self.writer.known.keys() & {row.ref.image_id for row in rows})
            self.writer.add(rows)
        self._stored_at = perf_counter()

    def _timed(
        self, pictures: Iterator[Picture | SkippedImage]
    ) -> Iterator[Picture | SkippedImage]:
        while True:
            with self._clock("read"):
                item = next(pictures, None)
            if item is None:
                return
            yield item

    @contextmanager
    def _clock(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += perf_counter() - start


def _load(
    masks: str | Path | Masks | RecordGenerator | None,
    encoder: RegionEncoder | None,
    options: Preset,
    device: str,
) -> _Models:
    """Return the models, those that can be refused for the least loaded first."""
    given = None if masks is None else _given_masks(masks)
    encoder = encoder or load_encoder(options, device)
    return _Models(load_segmenter(options, device) if given is None else given, encoder)


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


def _reason(error: Exception, refs: Sequence[ImageRef]) -> str:
    """Return why the models refuse pictures; raise what is not the pictures' fault.

    Memory that one ordinary picture exhausts is the models' fault: no other one would do better.
    """
    if _is_out_of_memory(error):
        width, height = refs[0].width, refs[0].height
        if len(refs) == 1 and width * height <= MODEL_PIXELS:
            message = (
                f"the models do not fit into memory with one picture of {width} x {height} "
                f"({error}): use a smaller preset, or device='cpu'"
            )
            raise ModelUnavailableError(message) from error
        return f"{width} x {height} pixels: the models need more memory for it than there is"
    if isinstance(error, MatirError) and not isinstance(error, ModelUnavailableError):
        return str(error)
    raise error


def _is_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from matir_nb.models.batches import is_out_of_memory

    return is_out_of_memory(error)


def _free_memory() -> None:
    if "torch" in sys.modules:
        from matir_nb.models.batches import free_memory

        free_memory()


def _runtime(options: Preset, device: str) -> str:
    from matir_nb.models.runtime import choose_runtime

    return str(choose_runtime(device, options.compute))


def _find(root: Path) -> dict[str, Path]:
    """Return image id -> file for all pictures there are.

    Raises:
        ConfigError: no folder, or none in it.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        message = f"images = {str(root)!r} {what}: give a folder with images"
        raise ConfigError(message)
    found = {image_id_of(path, root=root): path for path in find_images(root)}
    if not found:
        message = f"no images in {str(root)!r}: give a folder with JPEG, PNG, WebP or other images"
        raise ConfigError(message)
    return found


def _digest(file: Path) -> str | None:
    """Return what `ImageRef.fingerprint` would be; None when the file cannot be read."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None


def _reporting(progress: Progress | None) -> AbstractContextManager[Progress]:
    return terminal_progress("index") if progress is None else nullcontext(progress)
