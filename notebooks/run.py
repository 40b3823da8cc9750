"""Run the tutorials, each in a clean kernel of its own, and store what they show.

Every notebook starts in an empty folder, with one thread and without network. What is stored in
git are static views: no widget state, nothing that changes with the machine. The run fails (exit
code 1) when a cell fails or a notebook is beyond a bar; outputs of a failed notebook are not
stored.

    python notebooks/run.py [01_quickstart ...] [--check] [--folder DIR] [--json FILE]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from no_network import namespace_command

HERE = Path(__file__).resolve().parent
PATTERN = "0*.ipynb"
MAX_CELL_KB = 150.0
MAX_CPU_S = 120.0
MAX_PEAK_MB = 1024
NOISE = ("Kernel is running over TCP without encryption",)
COLUMNS = f"{'notebook':<28}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}{'largest cell KB':>17}  run"


def main() -> None:
    """Run what the command line names, print the table, and exit 1 beyond a bar."""
    options = parser().parse_args()
    notebooks = chosen(options.notebooks)
    print(COLUMNS, flush=True)
    reports = [run(path, options.folder, is_stored=not options.check) for path in notebooks]
    for report in reports:
        if report["error"]:
            print(f"\n{report['notebook']} failed:\n{report['error']}", file=sys.stderr)
    if options.json:
        Path(options.json).write_text(json.dumps(reports, indent=1), encoding="utf-8")
    beyond = [fault for report in reports for fault in faults(report)]
    print(summary(reports, beyond))
    raise SystemExit(1 if beyond else 0)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    made.add_argument("notebooks", nargs="*", help="names or starts of names, such as 02 (all)")
    made.add_argument("--check", action="store_true", help="run and measure, store nothing")
    made.add_argument(
        "--folder", type=Path, help="run all in this folder, and keep what they write"
    )
    made.add_argument("--json", metavar="FILE", help="write the measurements there, too")
    return made


def chosen(names: list[str]) -> list[Path]:
    """Return the notebooks whose names start as one of `names` says; all without names."""
    found = sorted(HERE.glob(PATTERN))
    starts = [Path(name).stem for name in names]
    unknown = [s for s in starts if not any(path.stem.startswith(s) for path in found)]
    if unknown or not found:
        known = ", ".join(path.stem for path in found) or f"none match {PATTERN}"
        message = f"no notebook starts with {', '.join(unknown)}; there are: {known}"
        raise SystemExit(message)
    return [p for p in found if not starts or any(p.stem.startswith(s) for s in starts)]


def run(source: Path, folder: Path | None, *, is_stored: bool) -> dict[str, Any]:
    """Run one notebook, by default in a fresh folder; store its outputs if all went well."""
    with tempfile.TemporaryDirectory(prefix="matir-notebook-") as fresh:
        place = Path(fresh) if folder is None else folder.resolve()
        report = run_in(place, source)
        if report["error"] is None and is_stored:
            shutil.copyfile(place / "notebooks" / source.name, source)
    row = f"{source.name:<28}{report['wall_s']:>8.1f}{report['cpu_s']:>8.1f}{report['peak_mb']:>9}"
    result = "FAILED" if report["error"] else "ok"
    print(f"{row}{report['largest_cell_kb']:>17.1f}  {result}", flush=True)
    return report


def run_in(folder: Path, source: Path) -> dict[str, Any]:
    """Run one notebook in `folder` by `clean_kernel.py`, where possible without any network."""
    folder.mkdir(parents=True, exist_ok=True)
    report_file = folder / "report.json"
    report_file.unlink(missing_ok=True)
    namespace = namespace_command()
    command = [*namespace, sys.executable, str(HERE / "clean_kernel.py"), str(source), str(folder)]
    command += ["--namespace"] if namespace else []
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if not any(n in line for n in NOISE)]
    if not report_file.is_file():
        raise SystemExit(f"{source.name}: no kernel ran it:\n" + "\n".join(said[-40:]))
    report = json.loads(report_file.read_text(encoding="utf-8"))
    report["stderr"] = "\n".join(said)
    report["largest_cell_kb"] = max(cell_kilobytes(folder / "notebooks" / source.name), default=0.0)
    return report


def cell_kilobytes(path: Path) -> list[float]:
    """Return the size of every code cell's outputs, as JSON, in units of 1,000 bytes."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [len(json.dumps(cell["outputs"])) / 1000 for cell in cells if "outputs" in cell]


def faults(report: dict[str, Any]) -> list[str]:
    """Return what is wrong with one notebook's run; nothing when it is within every bar."""
    bars = (
        ("largest_cell_kb", MAX_CELL_KB, "KB in one cell's outputs"),
        ("cpu_s", MAX_CPU_S, "CPU s"),
        ("peak_mb", MAX_PEAK_MB, "MB at its peak"),
    )
    found = ["a cell failed"] if report["error"] else []
    found += [
        f"{report[key]} {unit} (bar: {bar:g})" for key, bar, unit in bars if report[key] > bar
    ]
    return [f"{report['notebook']}: {fault}" for fault in found]


def summary(reports: list[dict[str, Any]], beyond: list[str]) -> str:
    """Return the last lines: the bars, and what is beyond them."""
    n_run = sum(report["error"] is None for report in reports)
    networks = ", ".join(sorted({report["network"] for report in reports}))
    bars = (
        f"{n_run} of {len(reports)} run; network: {networks}; largest cell "
        f"{max(r['largest_cell_kb'] for r in reports):.1f} KB (bar {MAX_CELL_KB:g}); most CPU "
        f"{max(r['cpu_s'] for r in reports):.1f} s (bar {MAX_CPU_S:g}); peak "
        f"{max(r['peak_mb'] for r in reports)} MB (bar {MAX_PEAK_MB}): "
    )
    return "\n".join([*beyond, bars + ("BEYOND A BAR" if beyond else "all within the bars")])


if __name__ == "__main__":
    main()
