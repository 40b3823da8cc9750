"""Fit what the structured judge says of galleries that lack what is asked (`explain.cut`).

    matir eval scenes --split validation --n-images 250 --out build/eval/scenes-validation-250
    python -m training.calibrate_cut

Prints the judge's model id and the two numbers for `matir_nb.explain.cut.JUDGE_NULLS`, and the
log-odds that they ask for in indexes of several sizes. Validation scenes only.
"""

import argparse
from pathlib import Path

from matir_nb.config import CutConfig
from matir_nb.evaluation.absence import judged, near_absent, null_of, present
from matir_nb.evaluation.gallery import write_gallery
from matir_nb.opening import open_engine

GALLERY = Path("build", "eval", "scenes-validation-250")
N_QUERIES = 150


def main() -> None:
    """Open the gallery, judge every image for every query, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gallery", type=Path, default=GALLERY, help="folder of images and index")
    parser.add_argument("--n-images", type=int, default=250)
    options = parser.parse_args()
    engine = open_engine(options.gallery / "index.matir")
    scenes = write_gallery(options.gallery / "images", options.n_images, split="validation")
    queries = [
        *near_absent(scenes, N_QUERIES, split="validation"),
        *present(scenes, N_QUERIES, split="validation"),
    ]
    logits, relevant = judged(engine, queries)
    rate = CutConfig().error_rate
    null = null_of(logits, relevant, error_rate=rate)
    name = "none" if engine.judge is None else engine.judge.model_id
    print(f"{name}\nJudgeNull(location={null.location:.3f}, scale={null.scale:.3f})")
    for n_images in (10, 100, 1000, 10000):
        print(f"{n_images} images: log-odds {null.min_logit(n_images, rate):.3f}")


if __name__ == "__main__":
    main()
