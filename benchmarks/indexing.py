"""Indexing, beside the loop that one would write from the models' own examples.

    python benchmarks/indexing.py [--json FILE] [--points 32] [--n-images 1] [--device auto]
        [--images FOLDER]

Same pictures, same hardware, same run, same random weights at the published sizes (SAM 2.1
hiera-tiny at 1024 px, Alpha-CLIP B/16). The loop is `benchmarks/plain_indexing.py`. Two arms of
`matir_nb.build`, from JPEG files to a finished index:

- "same": 32x32 points and Alpha-CLIP, rules and options of the loop. Its masks must be those of
  the loop (in fp32: as many, each with a mask IoU of .999 or more with one of the loop's; a pixel
  whose logit is 0 to six digits may differ) and its vectors have a cosine of .9999 or more.
- "open-cpu": the preset's grid and its one-pass encoder in 8 bits (SigLIP 2 base at 512 px).

Random weights draw nothing. Those of the mask decoder are therefore prepared so that masks look
like a trained model's in number, size and run lengths: features that do not flicker from pixel to
pixel, and a background that is the mean of the features. Which masks pass is set by quantiles
over an 8x8 grid: a third by predicted IoU, a quarter of these by stability, which leaves about as
many regions as a photograph has. Both sides use the same thresholds. Generated pictures (640x480)
unless a folder is given.

On a CPU one torch thread computes, and ratios are of processor seconds, decoding processes
included: what else runs on the machine stretches the clock, and these hardly. On a GPU ratios are
of the clock. Fails (exit code 1) below a ratio of 2.3 and 8 on a CPU, 5 and 5 on a GPU, or when
masks or vectors differ: the last line.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPModel, Sam2Model
from transformers.utils import logging

from benchmarks.model_folder import write_folder
from benchmarks.model_sizes import REAL_MODELS
from benchmarks.plain_indexing import PlainLoop, PlainRow
from matir_nb.catalogue import CATALOGUE
from matir_nb.config import EncodeConfig, MaskConfig, Preset
from matir_nb.geometry.crops import point_grid
from matir_nb.geometry.masks import mask_iou
from matir_nb.images import find_images, image_id_of, load_image
from matir_nb.index.build import BuildReport, build
from matir_nb.index.store import Index
from matir_nb.models.alpha_clip import AlphaClipEncoder
from matir_nb.models.base import RegionEncoder
from matir_nb.models.dense_pool import DensePoolEncoder
from matir_nb.models.runtime import Runtime, choose_runtime
from matir_nb.models.sam2 import IMAGENET_MEAN, IMAGENET_STD, Sam2MaskSource
from matir_nb.models.sam2_decoder import Answers, draw_masks, encode_images, read_prompts
from matir_nb.models.sam2_masks import stability_scores
from matir_nb.presets import PRESETS
from matir_nb.scenes.draw import draw_gallery
from matir_nb.types import RGBImage

BARS = {"cpu": {"same": 2.3, "open-cpu": 8.0}, "gpu": {"same": 5.0, "open-cpu": 5.0}}
LEAST_IOU = 0.999
LEAST_COSINE = 0.9999
SIZE = (640, 480)
PILOT_SIDE = 8
PASS_IOU, PASS_STABILITY = 2 / 3, 3 / 4
"""Quantiles at which the thresholds lie."""
FOREGROUND = 0.07
"""Share of all pixels of all prompts' masks that is inside."""
LOGIT_SPREAD = 10.0
SAM, CLIP, DENSE = "sam2.1-hiera-tiny", "alpha-clip-b16", "siglip2-base-512"


@dataclass(frozen=True, slots=True)
class Cost:
    """What indexing some images took.

    Attributes:
        wall_s: seconds by the clock.
        cpu_s: seconds of all processors, decoding processes included.
        by_stage: wall seconds.
    """

    wall_s: float
    cpu_s: float
    by_stage: dict[str, float]


def write_pictures(folder: Path, n: int) -> None:
    """Write `n` generated scenes, enlarged and with a camera's noise, as JPEG."""
    noise = np.random.default_rng(0)
    for scene in draw_gallery("test", n):
        large = Image.fromarray(scene.image).resize(SIZE, Image.Resampling.BICUBIC)
        pixels = np.asarray(large) + noise.normal(0, 4, (*SIZE[::-1], 3))
        seen = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        seen.save(folder / f"{scene.scene_id}.jpg", quality=90)


def write_sam(folder: Path, image: RGBImage, runtime: Runtime) -> MaskConfig:
    """Write SAM 2.1 hiera-tiny with random weights; return options that suit them."""
    torch.manual_seed(0)
    model = Sam2Model(REAL_MODELS[SAM].config_of(Sam2Model)).eval()
    with torch.inference_mode():
        shuffle(model)
        model = model.to(runtime.device)
        prepare_masks(model, image)
        config = suitable_options(model, image)
    model.cpu().save_pretrained(folder)
    return config


def shuffle(model: nn.Module) -> None:
    """Fill every matrix so that what goes in still matters at the end (Glorot and Bengio 2010)."""
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            nn.init.xavier_uniform_(parameter)


def prepare_masks(model: Any, image: RGBImage) -> None:
    """Make a random mask decoder draw regions; see the module's docstring."""
    decoder = model.mask_decoder
    code = torch.randn_like(model.shared_image_embedding.positional_embedding)
    model.shared_image_embedding.positional_embedding.copy_(code)
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(code)
    decoder.conv_s0.weight.zero_()
    decoder.conv_s1.weight.zero_()
    for layer in (decoder.upscale_conv1, decoder.upscale_conv2):
        layer.weight.copy_(2 * layer.weight.mean((2, 3), keepdim=True).expand_as(layer.weight))
    drawn: list[Tensor] = []
    hook = decoder.activation.register_forward_hook(lambda *seen: drawn.append(seen[-1]))
    ask(model, image, 4)
    hook.remove()
    mean = drawn[-1].mean((0, 2, 3))
    along = mean / mean.norm()
    heads = [head.proj_out for head in list(decoder.output_hypernetworks_mlps)[1:]]
    for head in heads:
        head.weight.sub_(along[:, None] * (along @ head.weight))
        head.bias.sub_(along * (along @ head.bias))
    logits = ask(model, image, 4)[1].flatten()[::7]
    level, spread = logits.quantile(1 - FOREGROUND), logits.std()
    for head in heads:
        head.bias.sub_(along * level / mean.norm())
        head.bias.mul_(LOGIT_SPREAD / spread)
        head.weight.mul_(LOGIT_SPREAD / spread)


def suitable_options(model: Any, image: RGBImage) -> MaskConfig:
    """Return SAM 2's options with thresholds that a usual share of the masks passes."""
    answers, logits = ask(model, image, PILOT_SIDE)
    ious = answers.predicted_ious.flatten()
    thresh = float(ious.quantile(PASS_IOU))
    stabilities = stability_scores(logits.flatten(0, 1)[ious > thresh], 1.0)
    stable = float(stabilities.quantile(PASS_STABILITY))
    return MaskConfig(pred_iou_thresh=thresh, stability_score_thresh=stable, max_area_fraction=1.0)


def ask(model: Any, image: RGBImage, points_per_side: int) -> tuple[Answers, Tensor]:
    """Return the answers at a grid of points, and the logits of all their masks."""
    side = model.config.prompt_encoder_config.image_size
    square = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(square)).float() / 255
    normal = (pixels - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    features = encode_images(model, normal.permute(2, 0, 1)[None].to(model.device))
    points = torch.from_numpy(point_grid(points_per_side))[None].to(model.device) * side
    answers = read_prompts(model, features, points=points)
    rows = torch.arange(points_per_side**2, device=model.device)
    parts = [draw_masks(model, features, answers, part) for part in rows.split(16)]
    return answers, torch.cat(parts)


def load_encoder(adapter: Any, name: str, folder: Path, runtime: Runtime) -> RegionEncoder:
    """Return an encoder with random weights at its published size."""
    real, options = REAL_MODELS[name], dict(CATALOGUE[name].options)
    write_folder(real, folder / name, options)
    torch.manual_seed(0)
    model = real.loaded_class(real.config_of(real.loaded_class))
    shuffle(model)
    model.save_pretrained(folder / name)
    encoding = EncodeConfig("crop") if adapter is AlphaClipEncoder else EncodeConfig()
    encoder: RegionEncoder = adapter.from_pretrained(
        folder / name, name=name, runtime=runtime, encoding=encoding, options=options
    )
    return encoder


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return a call's result, wall seconds and processor seconds."""
    cpu, start = processor_seconds(), time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, processor_seconds() - cpu


def processor_seconds() -> float:
    """Return user and system seconds of this process and of its ended children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def agreement(files: Sequence[Path], rows: Sequence[PlainRow], index: Index) -> dict[str, float]:
    """Return how far an index holds the masks and vectors of the loop."""
    ious, cosines, n_ours = [], [], 0
    for file, row in zip(files, rows, strict=True):
        image_id = image_id_of(file, root=file.parent)
        regions, vectors = index.regions_of(image_id), index.region_vectors_of(image_id)
        n_ours += len(regions)
        table = mask_iou(row.masks, regions.masks)
        if table.size:
            ious += table.max(1).tolist()
            cosines += (row.vectors * vectors[table.argmax(1)]).sum(1).tolist()
    others = np.concatenate([row.vectors for row in rows])
    return {
        "n_loop": float(sum(len(row.masks) for row in rows)),
        "n_ours": float(n_ours),
        "least_iou": min(ious, default=0.0),
        "share_same": float(np.mean(np.array(ious or [0]) >= LEAST_IOU)),
        "least_cosine": min(cosines, default=0.0),
        "mean_cosine_of_two_masks": float((others @ others.T).mean()),
    }


def run_arm(
    files: Sequence[Path], out: Path, source: Sam2MaskSource, encoder: RegionEncoder, preset: Preset
) -> Cost:
    """Index the pictures' folder."""
    work = lambda: build(  # noqa: E731
        files[0].parent, out, preset=preset, masks=source, encoder=encoder, progress=ignore
    )
    report, wall, cpu = measured(work)
    assert isinstance(report, BuildReport)
    return Cost(wall, cpu, dict(report.seconds))


def ignore(_done: int, _total: int) -> None:
    """Show no progress."""


def measure(folder: Path, files: Sequence[Path], device: str, points: int) -> dict[str, Any]:
    """Return costs of the loop and of both arms, and how far the first agrees."""
    runtime = choose_runtime(device)
    preset = PRESETS["open-cpu"]
    options = write_sam(folder / SAM, load_image(files[0]), runtime)
    options = replace(options, points_per_side=points)
    coarse = replace(
        preset.masks,
        pred_iou_thresh=options.pred_iou_thresh,
        stability_score_thresh=options.stability_score_thresh,
    )
    alpha = load_encoder(AlphaClipEncoder, CLIP, folder, runtime)
    sam, clip = (
        runtime.place(kind.from_pretrained(folder / name, dtype=torch.float32))
        for kind, name in ((Sam2Model, SAM), (CLIPModel, CLIP))
    )
    loop = PlainLoop(sam, clip, options)
    rows, wall, cpu = measured(lambda: loop.index(list(files)))
    figures = {"loop": asdict(Cost(wall, cpu, loop.seconds)), "options": asdict(options)}
    source = Sam2MaskSource.from_pretrained(folder / SAM, options, runtime=runtime)
    same = run_arm(files, folder / "same.matir", source, alpha, replace(preset, masks=options))
    found = agreement(files, rows, Index.open(folder / "same.matir"))
    small = choose_runtime(device, preset.compute)
    dense = load_encoder(DensePoolEncoder, DENSE, folder, small)
    source = Sam2MaskSource.from_pretrained(folder / SAM, coarse, runtime=small)
    light = run_arm(files, folder / "open.matir", source, dense, replace(preset, masks=coarse))
    n_light = Index.open(folder / "open.matir").n_regions
    return {
        **figures,
        "same": asdict(same),
        "agreement": found,
        "open-cpu": asdict(light),
        "open-cpu_regions": n_light,
        "device": device_name(runtime),
        "runtimes": {"same": str(runtime), "open-cpu": str(small)},
    }


def device_name(runtime: Runtime) -> str:
    """Return what computes: the GPU's name, or how many threads."""
    if runtime.device.startswith("cuda"):
        return torch.cuda.get_device_name(runtime.device)
    return f"{runtime.device}, {torch.get_num_threads()} thread(s)"


def judge(figures: dict[str, Any], n_images: int) -> dict[str, Any]:
    """Print the figures and return the verdict."""
    kind = "cpu" if figures["runtimes"]["same"].startswith("cpu") else "gpu"
    is_exact = figures["runtimes"]["same"].endswith("fp32")
    print(f"{figures['device']}; {n_images} image(s); {figures['runtimes']}")
    for name in ("loop", "same", "open-cpu"):
        cost = figures[name]
        stages = ", ".join(f"{stage} {s:.2f}" for stage, s in cost["by_stage"].items())
        rate = n_images / cost["wall_s"]
        print(f"{name}: {rate:.4f} images/s, {cost['cpu_s'] / n_images:.1f} CPU-s each ({stages})")
    found = figures["agreement"]
    print(
        f"masks: loop {found['n_loop']:.0f}, ours {found['n_ours']:.0f}, open-cpu "
        f"{figures['open-cpu_regions']}; least IoU {found['least_iou']:.5f}; least cosine "
        f"{found['least_cosine']:.6f}, of two masks {found['mean_cosine_of_two_masks']:.2f}"
    )
    clock = "cpu_s" if kind == "cpu" else "wall_s"
    ratios = {n: figures["loop"][clock] / figures[n][clock] for n in ("same", "open-cpu")}
    are_same = not is_exact or (
        found["n_loop"] == found["n_ours"] > 0
        and found["least_iou"] >= LEAST_IOU
        and found["least_cosine"] >= LEAST_COSINE
    )
    passed = are_same and all(ratio >= BARS[kind][name] for name, ratio in ratios.items())
    words = "; ".join(f"{n} ratio {r:.1f}, bar {BARS[kind][n]:.1f}" for n, r in ratios.items())
    same = "masks and vectors the same" if are_same else "masks or vectors DIFFER"
    print(f"{words}; {same}: {'pass' if passed else 'FAIL'}")
    return {"ratios": ratios, "bars": BARS[kind], "are_same": are_same, "passed": passed}


def main() -> int:
    """Measure, print, and return 1 below the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--points", type=int, default=32)
    parser.add_argument("--n-images", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--images", type=Path)
    args = parser.parse_args()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="matir-indexing-") as name:
        folder = Path(name)
        pictures = args.images or folder / "pictures"
        if args.images is None:
            pictures.mkdir()
            write_pictures(pictures, args.n_images)
        files = find_images(pictures)
        figures = measure(folder, files, args.device, args.points)
    verdict = judge(figures, len(files))
    if args.json:
        args.json.write_text(json.dumps({**figures, **verdict}, indent=2) + "\n")
    return 0 if verdict["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
