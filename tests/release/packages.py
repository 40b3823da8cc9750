"""Builds the packages of a copy of this checkout, and reads what is in them."""

import email
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NOT_COPIED = (
    ".git .venv .*_cache .hypothesis .benchmarks build dist node_modules __pycache__ gallery output"
).split()
NAME = re.compile(r"matir_nb-[^/]+?/")


def copied(folder):
    """Copy this checkout into `folder`, without what tools left in it, and return that."""
    ignored = shutil.ignore_patterns(*NOT_COPIED)
    return shutil.copytree(REPOSITORY, folder, ignore=ignored, dirs_exist_ok=True)


def build(kind, source, out, *, env=None, python=sys.executable):
    """Return the package ("sdist" or "wheel") of the folder `source`; `python` has hatchling."""
    done = subprocess.run(
        [str(python), "-m", "hatchling", "build", "-t", kind, "-d", str(out)],
        cwd=source,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        message = f"{kind} of {source} failed: {done.stdout}{done.stderr}"
        raise RuntimeError(message)
    suffix = {"sdist": "*.tar.gz", "wheel": "*.whl"}[kind]
    (made,) = Path(out).glob(suffix)
    return made


def unpacked(sdist, folder):
    """Return the folder that a source distribution unpacks to."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (top,) = Path(folder).iterdir()
    return top


def names_in(package):
    """Return the files of a package; those of a source distribution without its top folder."""
    if package.suffix == ".whl":
        return set(zipfile.ZipFile(package).namelist())
    with tarfile.open(package) as archive:
        return {NAME.sub("", one.name, count=1) for one in archive.getmembers() if one.isfile()}


def texts_in(package):
    """Yield name and bytes of every file."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist())
        return
    with tarfile.open(package) as archive:
        for one in archive.getmembers():
            if one.isfile():
                yield NAME.sub("", one.name, count=1), archive.extractfile(one).read()


def metadata_of(wheel):
    """Return a wheel's METADATA, as an e-mail message."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def without_node(path):
    """Return `path`, a PATH, without the folders that hold node or npm."""
    folders = [Path(folder) for folder in path.split(":") if folder]
    kept = [f for f in folders if not any((f / name).exists() for name in ("node", "npm"))]
    return ":".join(map(str, kept))
