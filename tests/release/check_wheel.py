"""Install the wheel in bare virtual environments, and use it there without a network.

The source distribution is made of a copy of this checkout, the wheel of the source distribution
where there is no Node.js. Then, for each Python 3.11 to 3.13 that is found (on PATH, in
~/.pyenv/versions, or those that MATIR_PYTHONS names, joined as PATH is): a fresh environment with
the wheel alone (`matir demo`, `matir doctor`, a light import, what a missing widget says), then
with [notebook] (a notebook with %matir runs and shows a widget). Without a network means: in a
namespace of Linux that has none; where that is not allowed, with a guard in every Python process.

    python3 tests/release/check_wheel.py [--keep]
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from packages import REPOSITORY, build, copied, unpacked, without_node

sys.path.insert(0, str(REPOSITORY / "notebooks"))

from no_network import GUARD, namespace_command

WORK = REPOSITORY / "build" / "wheel-check"
HERE = Path(__file__).resolve().parent
VERSIONS = ("3.11", "3.12", "3.13")
MAX_BYTES = 30e6
MAX_SHOWN = 3000
ASK = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
DROPPED = ("PYTHON", "MATIR", "VIRTUAL", "HF", "TRANSFORMERS", "JUPYTER", "IPYTHON", "CONDA")


@dataclass
class Row:
    """What became of one variant under one Python."""

    python: str
    variant: str
    torch: str = ""
    mb: float = 0
    seconds: float = 0
    result: str = "pass"


class FailedError(Exception):
    """A command failed; the message has its last words."""


def main() -> None:
    """Build, check under every Python, print the table; exit 1 where anything failed."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--keep", action="store_true", help="keep the environments")
    options = parser.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    namespace = namespace_command()
    print("network:", "none (" + " ".join(namespace) + ")" if namespace else "refused by a guard")
    wheel = made_wheel()
    size = wheel.stat().st_size
    print(f"wheel: {wheel.name}, {size / 1e6:.1f} MB (at most {MAX_BYTES / 1e6:.0f})", flush=True)
    rows = []
    for version, python in pythons().items():
        rows += checked(version, python, wheel, namespace, is_kept=options.keep)
    print_table(rows)
    passed = bool(rows) and size <= MAX_BYTES and all(row.result == "pass" for row in rows)
    print("pass" if passed else "fail" if rows else "fail: no Python 3.11 to 3.13 was found")
    sys.exit(not passed)


def made_wheel() -> Path:
    """Return the wheel, made of the source distribution, without Node.js."""
    builder = environment(sys.executable, WORK / "builder")
    pip(builder, "hatchling")
    sdist = build("sdist", copied(WORK / "checkout"), WORK / "dist", python=builder)
    source = unpacked(sdist, WORK / "source")
    path = without_node(os.environ["PATH"])
    assert shutil.which("npm", path=path) is None
    bare = os.environ | {"PATH": path}
    return build("wheel", source, WORK / "dist", env=bare, python=builder)


def pythons() -> dict[str, Path]:
    """Return the Pythons to check with, one per version."""
    named = os.environ.get("MATIR_PYTHONS")
    if named:
        places = [Path(place) for place in named.split(os.pathsep)]
    else:
        on_path = [shutil.which(f"python{version}") for version in VERSIONS]
        own = sorted(Path.home().glob(".pyenv/versions/3.1*/bin/python"))
        places = [Path(sys.executable), *(Path(p) for p in on_path if p), *own]
    found: dict[str, Path] = {}
    for place in places:
        asked = subprocess.run([place, "-c", ASK], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.strip() in VERSIONS:
            found.setdefault(asked.stdout.strip(), place)
    return dict(sorted(found.items()))


def checked(
    version: str, python: Path, wheel: Path, namespace: tuple[str, ...], *, is_kept: bool
) -> list[Row]:
    """Return what became of both variants; the second needs the first."""
    folder = WORK / version
    rows: list[Row] = []
    bare = 0.0
    for variant, check in (("minimal", check_minimal), ("[notebook]", check_notebook)):
        row = Row(version, variant)
        rows.append(row)
        start = perf_counter()
        own = folder / "environment"
        try:
            inside = own / "bin" / "python" if own.exists() else environment(python, own)
            bare = bare or megabytes(own)
            pip(inside, f"{wheel}{variant if variant.startswith('[') else ''}")
            row.mb = megabytes(own) - bare
            row.torch = run([inside, "-c", "import torch; print(torch.__version__)"]).strip()
            check(Sandbox(folder, inside, namespace))
        except (FailedError, OSError, subprocess.TimeoutExpired) as error:
            row.result = "fail"
            print(f"Python {version}, {variant}: {error}")
        row.seconds = perf_counter() - start
        print(f"Python {version}, {variant}: {row.result}, {row.seconds:.0f} s", flush=True)
        if row.result != "pass":
            break
    if not is_kept:
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def environment(python: str | Path, folder: Path) -> Path:
    """Return the Python of a new virtual environment."""
    run([python, "-m", "venv", folder])
    return folder / "bin" / "python"


def pip(python: Path, *wanted: str) -> None:
    """Install at the versions that the tests ran with; PIP_FLAGS as in the Makefile."""
    flags = shlex.split(os.environ.get("PIP_FLAGS", ""))
    pins = ("-c", REPOSITORY / "constraints.txt")
    run([python, "-m", "pip", "install", "--quiet", *flags, *pins, *wanted], timeout=3600)


class Sandbox:
    """Runs programs of an environment without a network, far from the checkout and the user."""

    def __init__(self, folder: Path, python: Path, namespace: tuple[str, ...]) -> None:
        """Make the folders that the programs see."""
        self.python, self.namespace = python, namespace
        self.cwd, self.home = folder / "work", folder / "home"
        guard = folder / "guard"
        for made in (self.cwd, self.home, guard):
            made.mkdir(parents=True, exist_ok=True)
        (guard / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
        kept = {k: v for k, v in os.environ.items() if k.split("_")[0] not in DROPPED}
        path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
        own = {"HOME": str(self.home), "PATH": path, "OMP_NUM_THREADS": "1"}
        own |= {"CUDA_VISIBLE_DEVICES": "", "XDG_CACHE_HOME": str(self.home / "cache")}
        self.env = kept | own | ({} if namespace else {"PYTHONPATH": str(guard)})

    def run(self, *words: str | Path) -> str:
        """Return what a program says."""
        return run([*self.namespace, *words], cwd=self.cwd, env=self.env)


def check_minimal(sandbox: Sandbox) -> None:
    """Check what works without any extra."""
    sandbox.run(sandbox.python, HERE / "probe_core.py")
    matir = sandbox.python.with_name("matir")
    sandbox.run(matir, "demo", "--out", "demo")
    left = {path.suffix for path in (sandbox.cwd / "demo").glob("*")}
    if not {".matir", ".png"} <= left:
        message = f"matir demo left no index or no pictures, but {sorted(left)}"
        raise FailedError(message)
    said = sandbox.run(matir, "doctor", "--device", "cpu")
    if not re.search(r'notebook .*without.*\n.*pip install "matir_nb\[notebook\]"', said):
        message = f"matir doctor does not name the missing extra:\n{said}"
        raise FailedError(message)


def check_notebook(sandbox: Sandbox) -> None:
    """Check that a notebook runs and shows a widget."""
    flag = ("--namespace",) if sandbox.namespace else ()
    sandbox.run(sandbox.python, HERE / "probe_notebook.py", *flag)


def run(
    words: list[str | Path],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: int = 900,
) -> str:
    """Return what a program says.

    Raises:
        FailedError: it failed.
    """
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd or WORK,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if done.returncode:
        said = f"{done.stdout}{done.stderr}"[-MAX_SHOWN:]
        message = f"{' '.join(map(str, words))}: exit code {done.returncode}\n{said}"
        raise FailedError(message)
    return done.stdout


def megabytes(folder: Path) -> float:
    """Return the size of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def print_table(rows: list[Row]) -> None:
    """Print one line per variant."""
    print("\n| Python | torch | variant | installed MB | seconds | result |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        numbers = f"{row.mb:,.0f} | {row.seconds:.0f}"
        print(f"| {row.python} | {row.torch} | {row.variant} | {numbers} | {row.result} |")


if __name__ == "__main__":
    main()
