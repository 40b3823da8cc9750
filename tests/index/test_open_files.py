"""Open files that run out: more are asked for, and an index never looks damaged."""

import errno
import subprocess
import sys

import numpy as np
import pytest

from matir_nb.errors import IndexCorruptError
from matir_nb.geometry.masks import regions_from_masks
from matir_nb.index import open_files
from matir_nb.index.arrow_map import ArrowMap
from matir_nb.index.open_files import is_shortage, with_enough_files
from matir_nb.index.segments import check_content, open_segment
from matir_nb.index.store import Index
from matir_nb.index.tables import IndexedImage
from matir_nb.index.writer import IndexWriter
from matir_nb.types import ImageRef

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such limits there")

HEAD = """
import resource, sys
from pathlib import Path
import numpy as np
from matir_nb.geometry.masks import regions_from_masks
from matir_nb.index.store import Index
from matir_nb.index.tables import IndexedImage
from matir_nb.index.writer import IndexWriter
from matir_nb.types import ImageRef

root = Path(sys.argv[1])
MADE_BY = {"segmenter": "s", "encoder": "e", "dim": 2, "masks": None}

def image(number):
    ref = ImageRef(f"{number:04d}", root / "x", 5, 4, str(number))
    vectors = np.zeros((0, 2), np.float32)
    return IndexedImage(ref, regions_from_masks([]), vectors, np.array([0.6, 0.8], np.float32))

def writer():
    return IndexWriter.create_or_resume(root / "i.matir", made_by=MADE_BY, preset={}, root=root)
"""
FEW = """
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
with writer() as w:
    for number in range(200):
        w.add([image(number)])
        assert len(w._manifest.segments) < 40
    assert len(Index.open(w.path).image_ids) == 200
    w.finish([])
index = Index.open(root / "i.matir")
assert index.image_ids == tuple(f"{number:04d}" for number in range(200))
assert len(index.parts) == 1
"""
APART = """
from matir_nb.index import joining
joining.JOIN_BYTES = 1
with writer() as w:
    for number in range(30):
        w.add([image(number)])
hard = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (60, hard))
try:
    assert len(Index.open(root / "i.matir").image_ids) == 30
    print("opened", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except OSError as error:
    print(type(error).__name__, error)
"""


def child(code, *args):
    command = [sys.executable, "-c", HEAD + code, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_many_batches_need_few_open_files(tmp_path):
    child(FEW, tmp_path)


def test_the_limit_is_raised_where_it_may_be(tmp_path):
    assert child(APART, tmp_path, 512) == "opened 512\n"


def test_where_it_may_not_the_message_says_so(tmp_path):
    said = child(APART, tmp_path, 60)
    assert said.startswith("OSError ")
    assert "too many open files (ulimit -n" in said
    assert "damaged" not in said
    assert "verify" not in said


def failing(number):
    def fail(*_args, **_options):
        raise OSError(number, "as the system says it")

    return fail


@pytest.mark.parametrize("number", open_files.SHORTAGES)
def test_a_shortage_is_no_damage(tmp_path, monkeypatch, number):
    made_by = {"segmenter": "s", "encoder": "e", "dim": 2, "masks": None}
    ref = ImageRef("a.png", tmp_path / "a.png", 5, 4, "f")
    vectors = np.zeros((0, 2), np.float32)
    image = IndexedImage(ref, regions_from_masks([]), vectors, np.eye(2, dtype=np.float32)[0])
    path = tmp_path / "i.matir"
    with IndexWriter.create_or_resume(path, made_by=made_by, preset={}, root=tmp_path) as writer:
        writer.add([image])
    (segment,) = Index.open(path).manifest.segments
    folder = path / "segments" / segment.name
    monkeypatch.setattr(open_files, "raise_limit", lambda: False)
    monkeypatch.setattr("matir_nb.index.arrow_map.os.open", failing(number))
    with pytest.raises(OSError, match=r"too many open files|no memory to map") as caught:
        open_segment(folder, segment)
    assert not isinstance(caught.value, IndexCorruptError)
    assert caught.value.errno == number
    with pytest.raises(OSError, match="as the system says it") as caught:
        ArrowMap.open(folder / "images.arrow", {})
    assert not isinstance(caught.value, IndexCorruptError)
    monkeypatch.setattr("matir_nb.index.segments.Path.open", failing(number))
    with pytest.raises(OSError, match=r"too many open files|no memory to map") as caught:
        check_content(folder / "images.arrow", segment.files["images.arrow"])
    assert not isinstance(caught.value, IndexCorruptError)


def test_it_is_tried_again_once(monkeypatch):
    calls = []

    def act():
        calls.append(1)
        raise OSError(errno.EMFILE, "no")

    monkeypatch.setattr(open_files, "raise_limit", lambda: True)
    with pytest.raises(OSError, match="too many open files"):
        with_enough_files(act)
    assert len(calls) == 2


def test_other_errors_pass():
    with pytest.raises(FileNotFoundError):
        with_enough_files(lambda: open("/nowhere/at/all"))  # noqa: SIM115, PTH123
    assert not is_shortage(ValueError())
    assert not is_shortage(FileNotFoundError(errno.ENOENT, "x"))
