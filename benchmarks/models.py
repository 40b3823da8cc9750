"""Every preset's models at their real sizes: random weights, one image through, on this CPU.

    python benchmarks/models.py [--preset NAME ...] [--model NAME ...] [--json FILE] [--max-gib 20]
                                [--threads N] [--masks-seconds 300]

Each model runs in a process of its own, so that the peak memory is its own. It is made by the
registry and the adapter that a user gets; only the numbers in its weights are random, so nothing
that it says means anything. Three kinds of work are timed:

- mask source: all masks of one 640 x 480 picture, with the preset's grid, or, where that would
  take longer than --masks-seconds, with a coarser one and scaled: "scaled" then stands there.
  Masks are made to pass the filters, which trained models drop many by: an upper bound;
- encoder: 30 masks of that picture, the whole picture, and one query;
- judge: one query on that picture. It is made to say yes, and goes on for 32 tokens, about as
  many as a box takes; an answer of no ends with the first.

Precision is the preset's for a CPU. Where weights in it would not fit into --max-gib they are
bf16, and where these do not fit the largest sibling runs instead; both are said. Memory that is
not free here counts as not there. The last line is the verdict: everything ran, within the bar.
Reading a weights file is not part of it.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.model_sizes import REAL_MODELS
from benchmarks.model_timing import time_encoder, time_judge, time_masks
from matir_nb.catalogue import CATALOGUE
from matir_nb.config import ComputeConfig, Preset
from matir_nb.presets import PRESETS

GIB = 2**30
RSS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10
"""macOS counts a process's peak in bytes, Linux in KiB."""
ANSWER_TOKENS = 32
"""About what a box in JSON takes; random words come to no end by themselves."""
WORK_GIB = {"segmenter": 3.5, "encoder": 2.0, "judge": 1.5}
"""Python, torch and activations beside the weights, as measured and a little more."""
SPARE_GIB = 0.5
"""Left free on the machine."""
ROLES = ("segmenter", "encoder", "judge")


@dataclass(frozen=True, slots=True)
class Task:
    """One model of one preset.

    Attributes:
        preset: name.
        role: "segmenter", "encoder" or "judge".
        place: the model that the preset names.
        stand_in: the model that runs: `place`, or the largest sibling that fits.
        precision: "" = the preset's; else what the weights are kept in to fit.
        note: what differs from the preset.
    """

    preset: str
    role: str
    place: str
    stand_in: str
    precision: str = ""
    note: str = ""


def free_gib() -> float:
    """Return the memory that a new process can have, GiB; no bound where Linux does not say."""
    said = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s+(\d+)", said.read_text() if said.is_file() else "")
    return int(found[1]) * 1024 / GIB if found else float("inf")


def need_gib(place: str, n_bytes: int) -> float:
    """Return what a model needs with weights of `n_bytes` each, GiB; an embedded one 1."""
    if place not in REAL_MODELS:
        return 1.0
    work = WORK_GIB[CATALOGUE[place].role]
    return REAL_MODELS[place].n_parameters * n_bytes / GIB + work


def siblings(place: str) -> list[str]:
    """Return the models of the same family that are no larger, largest first."""
    family = re.sub(r"^([a-z]+[0-9.]*(-[a-z]+)?).*", r"\1", place)
    size = REAL_MODELS[place].n_parameters
    found = [
        (model.n_parameters, name)
        for name, model in REAL_MODELS.items()
        if name.startswith(family)
        and CATALOGUE[name].adapter == CATALOGUE[place].adapter
        and model.n_parameters <= size
    ]
    return [name for _, name in sorted(found, reverse=True)]


def plan(preset: Preset, role: str, max_gib: float) -> Task | None:
    """Return what runs for one model of a preset; None where nothing fits."""
    place = getattr(preset, role)
    task = Task(preset.name, role, place, place)
    if place not in REAL_MODELS or need_gib(place, 4) <= max_gib:
        return task
    for name in siblings(place):
        note = "" if name == place else f"{place} does not fit: its sibling"
        if need_gib(name, 4) <= max_gib:
            return replace(task, stand_in=name, note=note)
        if need_gib(name, 2) <= max_gib:
            return replace(task, stand_in=name, precision="bf16", note=note or "bf16 to fit")
    return None


def run_apart(task: Task, args: argparse.Namespace) -> dict[str, Any]:
    """Run one task in a process of its own and return its figures, or its error."""
    command = [sys.executable, __file__, "--task", json.dumps(asdict(task))]
    command += ["--threads", str(args.threads), "--masks-seconds", str(args.masks_seconds)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        last = done.stderr.strip().splitlines() or [f"ended by {done.returncode}"]
        return {"error": last[-1]}
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def run_here(task: Task, threads: int, masks_seconds: float) -> dict[str, Any]:
    """Build the task's model in this process, put one image through, return the figures."""
    import torch

    from matir_nb.models.runtime import choose_runtime

    if threads:
        torch.set_num_threads(threads)
    changed: dict[str, Any] = {task.role: task.stand_in}
    preset = replace(PRESETS[task.preset], **changed)
    if task.precision:
        preset = replace(preset, compute=ComputeConfig(precision=task.precision))
    work = {"segmenter": time_masks, "encoder": time_encoder, "judge": time_judge}[task.role]
    with stand_in(task.stand_in) as built:
        figures = work(preset, masks_seconds)
    in_bytes = task.role == "encoder" and choose_runtime("cpu", preset.compute).is_int8
    return {
        "parameters": built[0].n_parameters if built else 0,
        "precision": (built[0].dtype if built else "-") + "/int8" * in_bytes,
        "threads": torch.get_num_threads(),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RSS_PER_MIB,
        **figures,
    }


@contextmanager
def stand_in(place: str) -> Iterator[list[Any]]:
    """Let a model of the catalogue be found in a folder whose weights are random numbers.

    Yields what was built; an embedded model is itself.
    """
    from benchmarks.model_folder import models_built, write_folder

    if place not in REAL_MODELS:
        with models_built(None) as built:
            yield built
        return
    real = REAL_MODELS[place]
    with tempfile.TemporaryDirectory(prefix="matir-sizes-") as parent:
        folder = Path(parent, place)
        is_asked = CATALOGUE[place].adapter == "qwen_vl"
        write_folder(real, folder, {"max_new_tokens": ANSWER_TOKENS} if is_asked else {})
        with (
            models_built(real) as built,
            patch("matir_nb.models.hub.find", lambda *_args, **_options: folder),
        ):
            yield built


def report(rows: Sequence[dict[str, Any]], max_gib: float) -> dict[str, Any]:
    """Print the verdict and return it."""
    ran = [row for row in rows if "error" not in row]
    peak = max((row["peak_mib"] / 1024 for row in ran), default=0.0)
    passed = len(ran) == len(rows) > 0 and peak <= max_gib
    verdict = "pass" if passed else "FAIL"
    print(f"{len(ran)} of {len(rows)} ran; peak {peak:.1f} GiB, bar {max_gib:g} GiB: {verdict}")
    return {"ran": len(ran), "of": len(rows), "peak_gib": peak, "passed": passed}


def print_row(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    name = f"{row['preset']:9} {row['role']:9} {row['stand_in']:22}"
    if "error" in row:
        print(f"{name} {row['error']}", flush=True)
        return
    note = f" ({row['note']})" if row["note"] else ""
    print(
        f"{name} {row['parameters'] / 1e6:7.0f}M {row['precision']:9} {row['peak_mib']:6.0f} MiB  "
        f"build {row['build_s']:5.1f} s  image {row['seconds']:7.2f} s (CPU {row['cpu_s']:.2f}) "
        f" {row['what']}{note}",
        flush=True,
    )


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Run every wanted model, one after the other."""
    rows = []
    for name in args.preset or PRESETS:
        for role in ROLES:
            preset = PRESETS[name]
            if args.model and getattr(preset, role) not in args.model:
                continue
            free = free_gib() - SPARE_GIB
            task = plan(preset, role, min(args.max_gib, free))
            if task is None:
                place = getattr(preset, role)
                error = f"not started: {free:.1f} GiB are free, too few for it and its siblings"
                task, figures = Task(name, role, place, place), {"error": error}
            else:
                figures = run_apart(task, args)
            notes = [note for note in (task.note, figures.get("note", "")) if note]
            rows.append({**asdict(task), **figures, "note": "; ".join(notes)})
            print_row(rows[-1])
    return rows


def main() -> int:
    """Measure, print, and return 1 where something did not run or took too much."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", nargs="+", choices=list(PRESETS))
    parser.add_argument("--model", nargs="+", help="only these of the presets' models")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--max-gib", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=0, help="0 = as torch chooses")
    parser.add_argument("--masks-seconds", type=float, default=300.0)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.task:
        task = Task(**json.loads(args.task))
        print(json.dumps(run_here(task, args.threads, args.masks_seconds)))
        return 0
    rows = measure(args)
    verdict = report(rows, args.max_gib)
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, **verdict}, indent=2) + "\n")
    return 0 if verdict["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
