"""The collection of broken, hostile and odd files, read as a user's folder is read."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import psutil
import pytest
from fakes import OracleEncoder, OracleMaskSource
from PIL import Image

from matir_nb import cli
from matir_nb.images import find_images, image_id_of
from matir_nb.index import build as build_module
from matir_nb.index.build import build
from matir_nb.index.store import Index
from matir_nb.index.verify import verify

SCRIPT = """
import json, resource, sys, time
import psutil
from matir_nb.images import ImageLimits, SkippedImage, read_folder
def own_peak():
    # getrusage counts what the parent had when it was forked, and a test run may have gigabytes
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(line.split()[1]) * 1024

limits = ImageLimits(n_workers=int(sys.argv[2]))
start = last = time.perf_counter()
found, skipped, slowest = {}, {}, 0.0
for item in read_folder(sys.argv[1], limits):
    if isinstance(item, SkippedImage):
        skipped[item.image_id] = item.reason
    else:
        found[item[0].image_id] = [*item[1].shape, item[0].height, item[0].width]
    now = time.perf_counter()
    slowest, last = max(slowest, now - last), now
print(json.dumps({
    "found": found,
    "skipped": skipped,
    "seconds": last - start,
    "slowest_s": slowest,
    "children": len(psutil.Process().children(recursive=True)),
    "peak_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    "own_peak_bytes": own_peak(),
}))
"""


def read_in_fresh_process(folder, n_workers=1):
    # a fresh process, because the peak of its children is theirs alone
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(n_workers)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def report(matir_data):
    return read_in_fresh_process(matir_data / "badimages")


@pytest.fixture(scope="module")
def manifest(matir_data):
    with (matir_data / "badimages" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_file_is_read_or_reported_with_a_reason(report, manifest):
    assert len(manifest) == 202
    assert report["found"].keys() | report["skipped"].keys() == {row["file"] for row in manifest}
    assert report["found"].keys().isdisjoint(report["skipped"])
    for reason in report["skipped"].values():
        assert reason.strip()
        assert "\n" not in reason


def test_limits_hold(report):
    assert report["seconds"] < 60
    assert report["slowest_s"] < 20
    assert report["peak_bytes"] < 1 << 30
    assert report["own_peak_bytes"] < 1 << 30
    assert report["children"] == 0


def test_several_workers_read_the_same(report, matir_data):
    again = read_in_fresh_process(matir_data / "badimages", n_workers=3)
    assert list(again["found"].items()) == list(report["found"].items())
    assert again["skipped"] == report["skipped"]
    assert again["children"] == 0


def test_good_controls_are_read_and_hopeless_ones_are_not(report, manifest):
    by_kind = {}
    for row in manifest:
        by_kind.setdefault(row["kind"], set()).add(row["file"])
    for kind in ("valid-control", "wrong-extension", "odd-name", "exif-rotated", "icc"):
        assert by_kind[kind] <= report["found"].keys(), kind
    for kind in ("truncated", "not-an-image", "zero-byte"):
        assert by_kind[kind] <= report["skipped"].keys(), kind


def test_pixels_have_the_recorded_size(report):
    for height, width, channels, ref_height, ref_width in report["found"].values():
        assert (height, width, channels) == (ref_height, ref_width, 3)


def test_reasons_are_specific(report):
    skipped = report["skipped"]
    assert "144 megapixels, above the limit" in skipped["generated/bomb_12000x12000_1bit.png"]
    assert any("0 bytes" in reason for reason in skipped.values())


def test_all_photographs_are_read(matir_data):
    report = read_in_fresh_process(matir_data / "photos")
    assert len(report["found"]) == 66
    assert report["skipped"] == {}


@pytest.fixture(scope="module")
def gathered(matir_data, tmp_path_factory):
    """Return the collection with the hostile names, links and files that no archive can hold."""
    folder = tmp_path_factory.mktemp("hostile") / "pictures"
    shutil.copytree(matir_data / "badimages", folder)
    picture = Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3))
    for name in ("two\nlines.png", "tab\t\\\"'.png", "\u202egnp.exe", "-rf.png", "#1 {x}.png"):
        (folder / name).write_bytes(b"")
        picture.save(folder / name, "PNG")
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    picture.save(folder / os.fsdecode(b"\xff\xfe.png"), "PNG")
    os.mkfifo(folder / "pipe.png")
    picture.rotate(90).save(folder / "vanishes.png")
    return folder


def test_one_run_over_all_of_it_accounts_for_every_file(gathered, tmp_path, monkeypatch):
    before = psutil.Process().children(recursive=True)
    files = {image_id_of(path, root=gathered) for path in find_images(gathered)}
    source = OracleMaskSource([])
    generate = source.generate

    def losing_one(images):
        (gathered / "vanishes.png").unlink(missing_ok=True)
        return generate(images)

    monkeypatch.setattr(source, "generate", losing_one)
    out = tmp_path / "i.matir"
    report = build(gathered, out, masks=source, encoder=OracleEncoder([]))
    index = Index.open(out)
    skipped = dict(index.manifest.skipped)
    copies = [copy for image_id in index.image_ids for copy in index.copies_of(image_id)]
    found = [*index.image_ids, *copies, *skipped]
    assert sorted(found) == sorted(files)
    assert (len(index.image_ids), len(skipped)) == (report.n_images, len(report.skipped))
    assert all(reason.strip() and "\n" not in reason for reason in skipped.values())
    indexed = {*index.image_ids, *copies}
    assert {"two\nlines.png", "-rf.png", "#1 {x}.png", "\u202egnp.exe"} <= indexed
    assert {"loop.png", "gone.png", "pipe.png", "vanishes.png", "\\xff\\xfe.png"} <= skipped.keys()
    assert not any(name.startswith("again/") for name in files)
    assert verify(index.path).is_sound
    assert psutil.Process().children(recursive=True) == before


@pytest.mark.parametrize(
    ("argument", "max_pixels"), [((), 120_000_000), (("--max-megapixels", "0.5"), 500_000)]
)
def test_the_limit_of_pixels_is_an_option(tmp_path, monkeypatch, argument, max_pixels):
    given = {}

    def stand_in(*_args, **options):
        given.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(build_module, "build", stand_in)
    cli.main(["index", str(tmp_path), *argument])
    assert given["limits"].max_pixels == max_pixels


@pytest.mark.parametrize("wrong", ["0", "-3", "nan", "inf", "200"])
def test_no_other_limit_is_taken(tmp_path, capsys, wrong):
    assert cli.main(["index", str(tmp_path), f"--max-megapixels={wrong}"]) != 0
    assert "--max-megapixels" in capsys.readouterr().err
