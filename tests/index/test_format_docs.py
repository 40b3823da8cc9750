"""``docs/format.md`` says what is on the disk, and its program reads it without the package."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fakes import oracle_index

from matir_nb.config import RetrieveConfig
from matir_nb.geometry.masks import area
from matir_nb.geometry.runs import MAX_PIXELS
from matir_nb.image_process import ImageLimits
from matir_nb.index import codes, lock, store, thumbnails, writer
from matir_nb.index.certified import search
from matir_nb.index.manifest import FORMAT_VERSION, MANIFEST_NAME
from matir_nb.index.segments import FILES
from matir_nb.index.store import Index
from matir_nb.index.tables import IMAGE_SCHEMA, REGION_SCHEMA
from matir_nb.index.writer import IndexWriter

DOCUMENT = Path(__file__).parents[2] / "docs" / "format.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
PROSE = " ".join(TEXT.split())
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)
SEED = 5


def type_name(kind):
    if isinstance(kind, pl.Datetime):
        return f"Datetime({kind.time_unit}, {kind.time_zone})"
    if isinstance(kind, pl.Array):
        return f"Array({kind.inner}, {kind.shape[0]})"
    return str(kind)


@pytest.mark.parametrize(
    ("heading", "schema"), [("images.arrow", IMAGE_SCHEMA), ("regions.arrow", REGION_SCHEMA)]
)
def test_columns_are_those_of_the_code(heading, schema):
    section = TEXT.split(f"### `{heading}`")[1].split("\n##")[0]
    assert ROW.findall(section) == [(name, type_name(kind)) for name, kind in schema.items()]


def test_every_file_and_every_key_is_named(index):
    for name in FILES:
        assert name in TEXT
    manifest = json.loads((index / MANIFEST_NAME).read_bytes())
    section = TEXT.split("## `manifest.json`")[1].split("\n## ")[0]
    assert {name for name, _ in re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)} == (
        manifest.keys()
    )
    segment = manifest["segments"][0]
    for key in (*segment, *next(iter(segment["files"].values()))):
        assert f"`{key}`" in section
    for key in manifest["made_by"]:
        assert f"`{key}`" in section


def test_numbers_are_those_of_the_code():
    assert f"format version {FORMAT_VERSION}." in PROSE
    assert f"until {store.CHECKED_BYTES >> 20} MiB are read" in PROSE
    assert f"renewed every {lock.BEAT_SECONDS:g} seconds" in PROSE
    assert f"after {lock.SILENT_SECONDS / 60:g} minutes" in PROSE
    assert f"last {thumbnails.MAX_KEPT:,} thumbnails" in PROSE
    assert f"below {thumbnails.MAX_BYTES // 1000} kB" in PROSE
    assert thumbnails.MAX_KEPT * thumbnails.MAX_BYTES <= 0.35e9
    assert writer.DROPPED_SHARE == 0.25
    assert MAX_PIXELS == 2**28
    assert codes.LARGEST == 79
    assert codes.SLACK == 4e-6
    limits = ImageLimits()
    assert f"at most {limits.max_pixels / 1e6:g} megapixels" in PROSE
    assert f"({limits.seconds:g} s) and memory ({limits.memory_bytes >> 30} GiB)" in PROSE


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Return an index of several segments, one with a row dropped."""
    folder = tmp_path_factory.mktemp("documented")
    _, path = oracle_index(folder, 8)
    with IndexWriter.resume(path) as open_writer:
        ids = sorted(open_writer.known)
        rows = [open_writer.stored(image_id) for image_id in ids[:3]]
        open_writer.add(rows[:2])
        open_writer.add(rows[2:], dropping=ids[5:6])
    return path


def run_example(index, *more):
    program = TEXT.split("```python\n")[1].split("```")[0]
    found = re.findall(r"^(?:import|from) (\w+)", program, re.MULTILINE)
    assert set(found) <= {"hashlib", "json", "sys", "pathlib", "numpy", "polars"}
    return subprocess.run(
        [sys.executable, "-I", "-c", program, str(index), *map(str, more)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_reads_what_the_package_reads(index, tmp_path):
    opened = Index.open(index)
    assert len(opened.manifest.segments) == 3
    assert any(segment.dropped for segment in opened.manifest.segments)
    query = np.random.default_rng(SEED).normal(size=opened.dim).astype(np.float32)
    query /= np.linalg.norm(query)
    np.save(tmp_path / "query.npy", query)
    run = run_example(index, tmp_path / "query.npy")
    assert (run.returncode, run.stderr) == (0, "")
    said = json.loads(run.stdout)
    assert said["n_images"] == opened.n_images == 7
    assert said["n_regions"] == opened.n_regions
    masks = [mask for i in opened.image_ids for mask in opened.regions_of(i).masks]
    assert said["mask_pixels"] == sum(area(mask) for mask in masks)
    assert 0 < said["worst_of_bound"] <= 1
    (best,) = search(opened, query[None], k=5, config=RetrieveConfig())
    assert [hit["image_id"] for hit in said["best"]] == opened.ids_of(best.rows.tolist())
    assert [hit["score"] for hit in said["best"]] == pytest.approx(best.scores, abs=1e-6)


def test_the_example_asks_for_the_first_image_where_no_query_is_given(index):
    said = json.loads(run_example(index).stdout)
    assert said["best"][0]["score"] == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("name", [MANIFEST_NAME, *(f"segments/000001/{name}" for name in FILES)])
def test_the_example_finds_a_flipped_bit(index, tmp_path, name):
    copy = shutil.copytree(index, tmp_path / "copy.matir")
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    run = run_example(copy)
    assert run.returncode != 0
    assert "damaged" in run.stderr or name == MANIFEST_NAME
