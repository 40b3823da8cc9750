"""The collection of broken, hostile and odd files, read as a user's folder is read."""

import csv
import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource, sys, time
import psutil
from matir_nb.images import ImageLimits, SkippedImage, read_folder
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
