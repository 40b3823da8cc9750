"""What can run here, and why not. Reads versions without importing what it does not need."""

import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from matir_nb.config import Preset
from matir_nb.errors import MatirError
from matir_nb.extras import EXTRAS, install
from matir_nb.models.registry import EMBEDDED, TRAINED_JUDGE, embedded_folder
from matir_nb.presets import PRESETS, models_of
from matir_nb.printing import printable
from matir_nb.version import __version__

NEEDED = (
    "numpy",
    "polars",
    "pillow",
    "pycocotools",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "tqdm",
)
"""The packages of the core, as in ``pyproject.toml``."""
FAISS = ("faiss-cpu", "faiss-gpu-cu12", "faiss-gpu-cu11", "faiss-gpu")
"""Packages with the module `faiss`: each writes over the files of the others."""
IMPORT_SECONDS = 120
TORCHVISION_FIX = (
    "pip uninstall torchvision (matir does not use it), or install the build that matches torch"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        value: what was found.
        is_ok: False = something cannot run because of it.
        advice: what to do; empty = nothing.
    """

    name: str
    value: str
    is_ok: bool = True
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 when everything can run, else 1."""
        return 0 if all(finding.is_ok for finding in self.findings) else 1

    def __str__(self) -> str:
        """Return one line per finding, its advice below it."""
        width = max(len(finding.name) for finding in self.findings)
        lines = []
        for finding in self.findings:
            sign = "ok" if finding.is_ok else "NO"
            lines.append(f"{sign}  {finding.name:{width}}  {printable(finding.value)}")
            if finding.advice:
                lines.append(f"    {'':{width}}  → {printable(finding.advice)}")
        return "\n".join(lines)


def examine(device: str = "auto") -> Diagnosis:
    """Return versions, devices, weights, and what can run with them.

    Args:
        device: the one that is meant to be used.
    """
    findings = [*_packages(), *_optional(), _torchvision(), _device(device)]
    for preset in _shipped():
        findings += _weights(preset)
    findings += _abilities(findings)
    findings += _published()
    return Diagnosis(tuple(findings))


def _packages() -> Iterator[Finding]:
    yield Finding("matir_nb", __version__)
    is_new = sys.version_info >= (3, 11)
    yield Finding(
        "python", platform.python_version(), is_new, "" if is_new else "use 3.11 or newer"
    )
    for package in NEEDED:
        found = _version(package)
        advice = "" if found else f"pip install {package}"
        yield Finding(package, found or "missing", bool(found), advice)


def _optional() -> Iterator[Finding]:
    """Yield what each extra brings here; none of them is needed."""
    for name, extra in EXTRAS.items():
        found = {package: _version(package) for package in extra.packages}
        missing = ", ".join(package for package, number in found.items() if number is None)
        value = f"without {missing}: {extra.without}" if missing else _listed(found)
        advice = f"if you want {extra.gives}: {install(name)}" if missing else ""
        yield Finding(name, value, advice=advice)
    yield _faiss()


def _faiss() -> Finding:
    found = {name: number for name in FAISS if (number := _version(name))}
    if len(found) > 1:
        value = f"{_listed(found)} write over each other's files: FAISS may fail or crash"
        advice = f"pip uninstall {' '.join(found)}, then install one of them again"
        return Finding("faiss", value, is_ok=False, advice=advice)
    exact = "not installed: search is an exact scan, with the same results"
    return Finding("faiss", _listed(found) or exact)


def _listed(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _torchvision() -> Finding:
    """Try torchvision in a process of its own: a broken one breaks transformers' imports."""
    if find_spec("torchvision") is None:
        return Finding("torchvision", "not installed, and not needed")
    found = _version("torchvision") or "of unknown version"
    trial = subprocess.run(
        [sys.executable, "-c", "import torchvision"],
        capture_output=True,
        text=True,
        timeout=IMPORT_SECONDS,
        check=False,
    )
    if trial.returncode == 0:
        return Finding("torchvision", f"{found}, works, not needed")
    reason = (trial.stderr.strip().splitlines() or ["no message"])[-1]
    value = f"{found} is broken ({reason}): transformers cannot load models beside it"
    return Finding("torchvision", value, is_ok=False, advice=TORCHVISION_FIX)


def _device(device: str) -> Finding:
    try:
        from matir_nb.models.runtime import resolve_device

        return Finding("device", resolve_device(device))
    except MatirError as error:
        return Finding("device", str(error), is_ok=False)


def _shipped() -> list[Preset]:
    """Return the presets whose models are part of this installation."""
    return [preset for preset in PRESETS.values() if preset.encoder.startswith(EMBEDDED)]


def _weights(preset: Preset) -> Iterator[Finding]:
    judge = TRAINED_JUDGE if preset.judge in ("structured", "none") else preset.judge
    roles = {"segmenter": preset.segmenter, "encoder": preset.encoder, "trained judge": judge}
    for role, place in roles.items():
        name = f"{preset.name}: {role}"
        size = _size(embedded_folder(place))
        advice = "" if size else "weights are missing from the folder: install matir_nb again"
        yield Finding(name, f"{place}, {size / 1e6:.1f} MB", bool(size), advice)


def _published() -> Iterator[Finding]:
    """Yield whether the models of the other presets are here; none of them is needed."""
    from matir_nb.models import hub, hub_repo

    for preset in PRESETS.values():
        entries = models_of(preset)
        missing = [entry for entry in entries if hub.here(entry) is None]
        if not missing:
            if entries:
                yield Finding(f"{preset.name}: models", "fetched")
            continue
        needed = sum(entry.disk_mb for entry in missing) / 1000
        free = hub_repo.free_space() / 1e9
        names = ", ".join(entry.name for entry in missing)
        value = f"not fetched: {names}; {needed:.1f} GB of disk needed, {free:.1f} GB free"
        advice = f"if you want it: matir models fetch {preset.name}"
        if needed > free:
            advice += f", after this: {hub.SPACE}"
        yield Finding(f"{preset.name}: models", value, advice=advice)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _abilities(findings: list[Finding]) -> Iterator[Finding]:
    """Yield what can be done, and what stands in its way."""
    broken = {finding.name for finding in findings if not finding.is_ok}
    base = {*NEEDED, "python", "torchvision", "device"} & broken
    for preset in (shipped.name for shipped in _shipped()):
        segmenter, encoder, judge = (
            {f"{preset}: {role}"} & broken for role in ("segmenter", "encoder", "trained judge")
        )
        needs = {
            "index": base | segmenter | encoder,
            "index --masks": base | encoder,
            "search": base | encoder,
            "search --judge trained": base | encoder | judge,
        }
        for task, missing in needs.items():
            value = f"cannot run: {', '.join(sorted(missing))}" if missing else "can run"
            yield Finding(f"{preset}: {task}", value, is_ok=not missing)
