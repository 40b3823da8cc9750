"""Word × mask: texts cut at their length in one batch, beside padding them one by one.

    python benchmarks/explain.py [--json FILE] [--runs 15]

Both give the same matrix for the same hit of an index of generated scenes, made here with the
embedded models: the baseline encodes the query and every variant of it alone, padded to the text
encoder's full length, as CLIP's own example code does. Interleaved in one process, one torch
thread; medians. Fails (exit code 1) when a hit takes a second, when the two differ, or when ours
is less than three times cheaper: the last line.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from matir_nb.engine import Engine
from matir_nb.evaluation.gallery import index_gallery, write_gallery
from matir_nb.explain.words import texts_of, word_matrix
from matir_nb.models.alpha_clip import AlphaClipEncoder
from matir_nb.models.registry import WEIGHTS
from matir_nb.opening import open_engine
from matir_nb.types import FloatArray

BAR = 3.0
MAX_SECONDS = 1.0
MAX_DIFFERENCE = 1e-5
N_SCENES = 6
QUERIES = (
    "a red ring",
    "a picture with a small striped blue star",
    "find a large red circle somewhere below a dotted square",
    "there is a medium-sized green cross to the left of the largest yellow heart",
)


class PaddedEncoder(AlphaClipEncoder):
    """Encodes each text alone, padded to all that the text encoder reads."""

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, dim) float32 unit vectors."""
        vectors = []
        for text in texts:
            batch = self._texts.tokenizer(
                text, padding="max_length", max_length=self._texts.n_tokens, return_tensors="pt"
            )
            with torch.inference_mode():
                out = self._model.get_text_features(**batch).pooler_output
            vectors.append(torch.nn.functional.normalize(out, dim=-1).numpy()[0])
        return np.array(vectors, np.float32)


def seconds(work: Callable[[], object]) -> float:
    """Return the wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fresh(engine: Engine, encoder: AlphaClipEncoder) -> Engine:
    """Return an engine on the same index that has encoded no text yet."""
    return Engine(engine.index, encoder, preset=engine.preset)


def n_texts(query: str) -> int:
    """Return how many texts a matrix of the query needs."""
    left_out, own = texts_of(query)
    return len({*left_out, *own})


def measure(engine: Engine, padded: AlphaClipEncoder, runs: int) -> dict[str, dict[str, float]]:
    """Return by query the median seconds of both, of the query's next hit, and the difference."""
    first, second = engine.index.image_ids[:2]
    figures = {}
    for query in QUERIES:
        samples: dict[str, list[float]] = {"ours": [], "padded": [], "next_hit": []}
        word_matrix(query, first, fresh(engine, engine.encoder))
        for _ in range(runs):
            ours, theirs = fresh(engine, engine.encoder), fresh(engine, padded)
            samples["padded"].append(seconds(partial(word_matrix, query, first, theirs)))
            samples["ours"].append(seconds(partial(word_matrix, query, first, ours)))
            samples["next_hit"].append(seconds(partial(word_matrix, query, second, ours)))
        a, b = word_matrix(query, first, ours), word_matrix(query, first, theirs)
        figures[query] = {
            **{name: statistics.median(values) for name, values in samples.items()},
            "difference": float(np.abs(a.by_word - b.by_word).max()),
            "n_texts": n_texts(query),
            "n_regions": len(a.base),
        }
    return figures


def report(figures: dict[str, dict[str, float]]) -> dict[str, object]:
    """Print the figures and return the verdict."""
    for query, found in figures.items():
        print(
            f"{query!r}: {found['n_texts']:.0f} texts x {found['n_regions']:.0f} regions: "
            f"{found['ours'] * 1000:.1f} ms, padded {found['padded'] * 1000:.1f} ms "
            f"({found['padded'] / found['ours']:.1f}x), next hit "
            f"{found['next_hit'] * 1000:.2f} ms, difference {found['difference']:.1e}"
        )
    ratio = statistics.median(found["padded"] / found["ours"] for found in figures.values())
    slowest = max(found["ours"] for found in figures.values())
    difference = max(found["difference"] for found in figures.values())
    passed = ratio >= BAR and slowest < MAX_SECONDS and difference < MAX_DIFFERENCE
    print(f"slowest hit {slowest:.3f} s, bar {MAX_SECONDS:.0f} s; difference {difference:.1e}")
    print(f"ratio {ratio:.1f}, bar {BAR:.1f}: {'pass' if passed else 'FAIL'}")
    return {"ratio": ratio, "bar": BAR, "slowest_s": slowest, "passed": passed}


def main() -> int:
    """Measure, print, and return 1 below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    padded = PaddedEncoder.from_pretrained(WEIGHTS / "alpha-clip")
    with tempfile.TemporaryDirectory(prefix="matir-words-") as folder:
        images, index = Path(folder, "images"), Path(folder, "scenes.matir")
        write_gallery(images, N_SCENES, split="test")
        index_gallery(images, index, device="cpu")
        figures = measure(open_engine(index, judge=None, device="cpu"), padded, args.runs)
    verdict = report(figures)
    if args.json:
        args.json.write_text(json.dumps({"queries": figures, **verdict}, indent=2) + "\n")
    return 0 if verdict["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
