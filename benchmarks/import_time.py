"""How long `import matir_nb` takes, beside `import numpy, polars` in the same run.

    python benchmarks/import_time.py [--json FILE] [--runs 7]

Both are whole fresh processes less an empty one; medians. The last line is the ratio and its
bar: importing matir_nb must be at least 5 times cheaper than importing the packages of its own
results, and load no torch.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

BAR = 5.0
BASELINE = "import numpy, polars"
OURS = "import matir_nb, sys; assert 'torch' not in sys.modules"


def seconds_of(code: str) -> float:
    """Return the wall seconds of a fresh interpreter that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> int:
    """Measure, print, and return 1 below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    codes = {"empty": "pass", "baseline": BASELINE, "ours": OURS}
    samples: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(args.runs):
        for name, code in codes.items():
            samples[name].append(seconds_of(code))
    medians = {name: statistics.median(values) for name, values in samples.items()}
    ours = max(medians["ours"] - medians["empty"], 1e-4)
    baseline = medians["baseline"] - medians["empty"]
    ratio = baseline / ours
    print(f"import matir_nb {ours * 1000:.0f} ms, {BASELINE} {baseline * 1000:.0f} ms")
    if args.json:
        report = {"seconds": medians, "ratio": ratio, "bar": BAR, "passed": ratio >= BAR}
        args.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"ratio {ratio:.1f}, bar {BAR:.1f}: {'pass' if ratio >= BAR else 'FAIL'}")
    return 0 if ratio >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
