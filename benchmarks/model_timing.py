"""What one image or one query takes, by role; used by `benchmarks/models.py` in its own process."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.model_sizes import REAL_MODELS
from matir_nb.config import Preset

SIZE_HW = (480, 640)
N_MASKS = 30
QUERY = "a red ring to the left of a large blue star"


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return a call's value, its wall seconds and the CPU seconds of this process."""
    start, cpu = time.perf_counter(), time.process_time()
    value = work()
    return value, time.perf_counter() - start, time.process_time() - cpu


def time_masks(preset: Preset, masks_seconds: float) -> dict[str, Any]:
    """Return the figures of a mask source; see `Grid` for what is scaled."""
    wanted = preset.masks.points_per_side
    few, some = time_grid(preset, min(4, wanted)), time_grid(preset, min(12, wanted))
    found = some if some.side == wanted else some.grown(few, wanted)
    note = "" if found is some else f"scaled from {some.side}x{some.side} points"
    if note and found.seconds <= masks_seconds:
        found, note = time_grid(preset, wanted), ""
    return {
        "build_s": found.build_s,
        "seconds": found.seconds,
        "cpu_s": found.cpu_s,
        "what": f"{wanted}x{wanted} points, {found.n_masks} masks kept",
        "note": note,
    }


@dataclass(frozen=True, slots=True)
class Grid:
    """What a grid of points took: seconds grow in a line with the points."""

    side: int
    build_s: float
    seconds: float
    cpu_s: float
    n_masks: int

    def grown(self, smaller: "Grid", side: int) -> "Grid":
        """Return what a finer grid would take, from this one and a smaller one."""
        share = (side**2 - self.side**2) / (self.side**2 - smaller.side**2)
        seconds = self.seconds + share * (self.seconds - smaller.seconds)
        cpu_s = self.cpu_s + share * (self.cpu_s - smaller.cpu_s)
        return replace(self, side=side, seconds=seconds, cpu_s=cpu_s)


def time_grid(preset: Preset, side: int) -> Grid:
    """Return what all masks of the picture take with a grid of `side` x `side` points."""
    from matir_nb.models.registry import load_segmenter

    coarse = replace(preset, masks=replace(preset.masks, points_per_side=side))
    source, build_s, _ = timed(lambda: load_segmenter(coarse, "cpu"))
    (regions,), seconds, cpu_s = timed(lambda: source.generate([picture()]))
    return Grid(side, build_s, seconds, cpu_s, len(regions))


def time_encoder(preset: Preset, _masks_seconds: float) -> dict[str, Any]:
    """Return the figures of a region encoder."""
    from matir_nb.models.registry import load_encoder

    encoder, build_s, _ = timed(lambda: load_encoder(preset, "cpu"))
    image, masks = picture(), ellipses()
    vectors, seconds, cpu = timed(lambda: encoder.embed_regions([image], [masks])[0])
    _, whole_s, _ = timed(lambda: encoder.embed_images([image]))
    _, query_s, _ = timed(lambda: encoder.embed_texts([QUERY]))
    assert vectors.shape == (N_MASKS, encoder.dim)
    return {
        "build_s": build_s,
        "seconds": seconds,
        "cpu_s": cpu,
        "what": f"{N_MASKS} masks; whole image {whole_s:.2f} s, query {query_s:.2f} s",
        "note": "",
    }


def time_judge(preset: Preset, _masks_seconds: float) -> dict[str, Any]:
    """Return the figures of a judge: of an answer that is no, and of one with words behind yes."""
    from matir_nb.models.registry import load_encoder, load_judge

    needs_encoder = preset.judge not in REAL_MODELS
    encoder: Any = load_encoder(preset, "cpu") if needs_encoder else None
    judge, build_s, _ = timed(lambda: load_judge(preset.judge, encoder, "cpu", preset.compute))
    item = judge_input(encoder)
    passes = [] if needs_encoder else lean_to_yes(judge)
    if hasattr(judge, "_blank"):
        judge.judge("anything", [item])  # reads the blank picture, once for all queries
    start, cpu_start = time.perf_counter(), time.process_time()
    (answer,), seconds, cpu = timed(lambda: judge.judge(QUERY, [item]))
    what = "1 query"
    if passes:
        wall, used = passes[0]
        what = f"no after {wall - start:.1f} s (CPU {used - cpu_start:.1f}), {len(passes)} tokens"
    return {
        "build_s": build_s,
        "seconds": seconds,
        "cpu_s": cpu,
        "what": f"{what}, p {answer.p_relevant:.2f}",
        "note": "",
    }


def lean_to_yes(judge: Any) -> list[tuple[float, float]]:
    """Make a judge with random weights say yes, and words behind it.

    Returns the list that takes in the wall and CPU time at which each token was known.
    """
    if hasattr(judge, "_blank"):
        judge._options = replace(judge._options, bias=100.0)  # noqa: SLF001
        return []
    holders = (judge, getattr(judge, "_asker", judge))
    inner: Any = next(v for h in holders for v in vars(h).values() if hasattr(v, "tokenizer"))
    ids = [inner.tokenizer(word)["input_ids"] for word in ("yes", "Yes")]
    passes: list[tuple[float, float]] = []

    def forward(_model: object, _inputs: object, out: Any) -> None:
        if not passes:
            out.logits[..., [own[0] for own in ids if len(own) == 1]] += 100
        passes.append((time.perf_counter(), time.process_time()))

    inner._model.register_forward_hook(forward)  # noqa: SLF001
    return passes


def picture() -> Any:
    """Return one generated picture, (480, 640, 3) uint8."""
    from matir_nb.scenes.draw import draw_scene

    return draw_scene("test", 3, size_hw=SIZE_HW).image


def ellipses() -> list[Any]:
    """Return 30 masks of the picture, small to large."""
    import numpy as np

    from matir_nb.geometry.masks import encode

    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    masks = []
    for row in range(N_MASKS):
        a, b = (12 + 6 * row) * rng.uniform(0.6, 1.4, 2)
        cy, cx = rng.uniform(0.2, 0.8, 2) * SIZE_HW
        masks.append(encode(((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1))
    return masks


def judge_input(encoder: Any) -> Any:
    """Return the picture as a judge gets it, with 30 regions."""
    import numpy as np

    from matir_nb.geometry.masks import regions_from_masks
    from matir_nb.models.base import JudgeInput
    from matir_nb.types import Candidate

    masks, image = ellipses(), picture()
    best = tuple(range(12))
    scores = np.linspace(0.3, 0.1, len(best), dtype=np.float32)
    vectors = (
        encoder.embed_regions([image], [masks])[0]
        if encoder
        else np.zeros((len(masks), 4), np.float32)
    )
    return JudgeInput(
        candidate=Candidate("picture.png", 1, 0.3, 0.3, 0.2, best, scores),
        width=SIZE_HW[1],
        height=SIZE_HW[0],
        regions=regions_from_masks(masks),
        region_vectors=vectors,
        load_image=lambda: image,
    )
