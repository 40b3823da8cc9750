"""Check what Binder would build and start, without docker, and how much memory it takes.

Everything is made below build/binder from a copy of the working tree without what git ignores:

1. repo2docker, which Binder builds with, says what it would do: build pack, Python, the line of
   pip, `postBuild`, `start`.
2. A virtual environment gets the packages of Binder's own environment at the versions that
   repo2docker has locked, and then that very line of pip; `postBuild` runs in it.
3. `binder/start` starts JupyterLab, Chromium opens it and runs every tutorial (`lab_run.py`).

The run fails (exit code 1) when something is not as intended or beyond a bar.

    python3 binder/check.py [--reuse] [--json FILE]
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))

from no_network import namespace_command  # noqa: E402

WORK = ROOT / "build" / "binder"
COPY, TOOLS, PREFIX, HOME = (WORK / name for name in ("repository", "tools", "environment", "home"))
PYTHON = "3.11"
FIRST = "notebooks/01_quickstart.ipynb"
MAX_MB = 1200
TOOL_PACKAGES = ("jupyter-repo2docker", "playwright", "psutil")
INTENDED = {
    "buildpack": "PythonBuildPack",
    "python": PYTHON,
    "pip_line": "${KERNEL_PYTHON_PREFIX}/bin/pip install --no-cache-dir "
    '-r "binder/requirements.txt"',
    "post_build_line": "./binder/postBuild",
    "start": "${REPO_DIR}/binder/start",
}
# On PyPI they are named otherwise, or are no Python packages.
PYPI_NAMES = {"python": None, "nodejs": None, "jupyterhub-singleuser": "jupyterhub"}


def main() -> None:
    """Go through the three parts, print what was found, and exit 1 where it is not as intended."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--reuse", action="store_true", help="keep the environments of last time")
    parser.add_argument("--json", metavar="FILE", help="write what was found there, too")
    options = parser.parse_args()
    copy_tree()
    make_tools(is_kept=options.reuse)
    rendered = json.loads(said([TOOLS / "bin" / "python", COPY / "binder" / "rendered.py", COPY]))
    faults = print_rendered(rendered)
    print("Binder's base: " + ", ".join(f"{k} {v}" for k, v in rendered["base"].items()))
    steps = make_environment(rendered, is_kept=options.reuse)
    lab = run_lab()
    faults += print_lab(lab)
    if options.json:
        document = {"rendered": rendered, "steps_s": steps, "lab": lab, "faults": faults}
        Path(options.json).write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(*(f"WRONG: {fault}" for fault in faults), sep="\n", end="\n" if faults else "")
    peak = max(row["peak"]["pss_mb"] for row in lab["rows"])
    print(
        f"{len(lab['rows'])} tutorials; network: {lab['network']}; peak of server and kernel "
        f"{peak:.0f} MB (bar {MAX_MB}): {'NOT AS INTENDED' if faults else 'all as intended'}"
    )
    raise SystemExit(1 if faults else 0)


def copy_tree() -> None:
    """Copy the working tree without what git ignores, as a clone would hold it."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = said(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    )
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, COPY / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def make_tools(*, is_kept: bool) -> None:
    """Make the environment of repo2docker and the browser's driver."""
    if is_kept and (TOOLS / "bin" / "python").exists():
        return
    made(sys.executable, TOOLS)
    pins = ["-c", ROOT / "constraints.txt"]
    done([TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", *pins, *TOOL_PACKAGES])


def print_rendered(rendered: dict[str, Any]) -> list[str]:
    """Print what repo2docker would do, beside what is intended; return the differences."""
    wrong = {part for part, wanted in INTENDED.items() if rendered[part] != wanted}
    for part in INTENDED:
        print(f"{part:<16} {'WRONG' if part in wrong else 'ok   '} {rendered[part] or '(nothing)'}")
    return [f"{part} is {rendered[part]!r}, intended: {INTENDED[part]!r}" for part in sorted(wrong)]


def make_environment(rendered: dict[str, Any], *, is_kept: bool) -> dict[str, float]:
    """Install as Binder does and run `postBuild`; return the seconds of each step."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "MATIR"))
    } | {
        "KERNEL_PYTHON_PREFIX": str(PREFIX),
        "HOME": str(HOME),
        "PATH": f"{PREFIX / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    environment.setdefault("PIP_RETRIES", "1")  # an index that is out of reach is soon given up
    seconds = {}
    shutil.rmtree(HOME, ignore_errors=True)  # an earlier run's open tabs would open again
    HOME.mkdir()
    if not (is_kept and (PREFIX / "bin" / "matir").exists()):
        made(python_311(), PREFIX)
        pip = [PREFIX / "bin" / "pip", "install", "--quiet", "-c", write_locked(rendered["locked"])]
        pip += base_packages(rendered["base"])
        seconds["base"] = done(pip, env=environment)
        seconds["pip"] = done(["bash", "-c", rendered["pip_line"]], env=environment, cwd=COPY)
    line = rendered["post_build_line"]
    seconds["postBuild"] = done(["bash", "-c", line], env=environment, cwd=COPY)
    print("; ".join(f"{step}: {spent:.0f} s" for step, spent in seconds.items()))
    return seconds


def base_packages(base: dict[str, str]) -> list[str]:
    """Return pip's requirements for what Binder's own environment file asks for.

    >>> base_packages({"nodejs": "20.19.5", "jupyterhub-singleuser": "5.4.0", "notebook": "7.4.7"})
    ['jupyterhub==5.4.0', 'notebook==7.4.7']
    """
    names = {name: PYPI_NAMES.get(name, name) for name in base}
    return [f"{names[name]}=={version}" for name, version in base.items() if names[name]]


def write_locked(locked: dict[str, str]) -> Path:
    """Write what is locked as pip's constraints, which say nothing of packages that it lacks."""
    path = WORK / "locked.txt"
    plain = [f"{k}=={v}" for k, v in locked.items() if re.fullmatch(r"\d+(\.\d+)+", v)]
    path.write_text("\n".join(line for line in plain if line[0] != "_"), encoding="utf-8")
    return path


def run_lab() -> dict[str, Any]:
    """Run the server and the browser; return what `lab_run.py` reports."""
    output = WORK / "seen"
    output.mkdir(exist_ok=True)
    namespace = namespace_command()
    command = [*namespace, TOOLS / "bin" / "python", ROOT / "binder" / "lab_run.py"]
    done([*command, COPY, PREFIX, HOME, output, *(["--namespace"] if namespace else [])])
    report: dict[str, Any] = json.loads((output / "lab.json").read_text(encoding="utf-8"))
    return report


def print_lab(lab: dict[str, Any]) -> list[str]:
    """Print the tutorials' table; return what is wrong."""
    print(f"\n{'tutorial':<28}{'wall s':>8}{'CPU s':>8}{'RSS MB':>8}{'PSS MB':>8}{'widgets':>9}")
    print(f"{'(server alone)':<28}{lab['start_s']:>8}{'':>8}{_memory(lab['server'])}")
    for row in lab["rows"] + lab["left_open"]:
        spent = f"{row['notebook']:<28}{row['wall_s']:>8}{row['cpu_s']:>8}{_memory(row['peak'])}"
        is_alone = row in lab["rows"]
        remark = f"{'' if is_alone else '  left open'}{'  FAILED' if row['errors'] else ''}"
        print(f"{spent}{row['n_widgets']:>9}{remark}")
    print()
    faults = [fault for row in lab["rows"] for fault in row_faults(row)]
    if lab["opened_first"] != FIRST:
        faults.append(f"the server's own address opens {lab['opened_first']!r}, not {FIRST}")
    return faults if lab["rows"] else [*faults, "there is no tutorial"]


def row_faults(row: dict[str, Any]) -> list[str]:
    """Return what is wrong with one tutorial's run."""
    found = [f"a cell failed: {error}" for error in row["errors"]]
    if row["peak"]["pss_mb"] > MAX_MB:
        found.append(f"{row['peak']['pss_mb']} MB of memory (bar {MAX_MB})")
    if not row["is_kernel_gone"]:
        found.append("its kernel still runs after its tab was closed")
    return [f"{row['notebook']}: {fault}" for fault in found]


def _memory(peak: dict[str, float]) -> str:
    return f"{peak['rss_mb']:>8.0f}{peak['pss_mb']:>8.0f}"


def python_311() -> str:
    """Return the Python that Binder takes.

    Raises:
        SystemExit: there is none here.
    """
    found = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which(f"python{PYTHON}")
    if found is None:
        raise SystemExit(f"Binder runs Python {PYTHON}, and there is no python{PYTHON}: install it")  # noqa: EM102
    return found


def made(python: str, folder: Path) -> None:
    """Make an empty virtual environment."""
    shutil.rmtree(folder, ignore_errors=True)
    done([python, "-m", "venv", folder])


def done(command: list[Any], **options: Any) -> float:
    """Run a command; return its seconds. A failure ends this program with what was said."""
    start = perf_counter()
    words = [str(word) for word in command]
    print("$ " + " ".join(words).replace(f"{ROOT}/", ""), flush=True)
    ran = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if ran.returncode:
        print(ran.stdout[-4000:], ran.stderr[-4000:], sep="\n", file=sys.stderr)
        raise SystemExit(f"exit code {ran.returncode}: {' '.join(words)}")  # noqa: EM102
    return perf_counter() - start


def said(command: list[Any]) -> str:
    """Return what a command prints."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
