"""First paint of a grid: 48 hits of 12 megapixels, decoded, and from the thumbnails kept on disk.

    python benchmarks/thumbnails.py [--json FILE]

The pictures are made here. A notebook that is opened again shows the same grid from the cache:
the bar is 5 times faster. The run fails (exit code 1) below it.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from fakes import OracleEncoder, OracleMaskSource  # noqa: E402

from matir_nb.index import thumbnails  # noqa: E402
from matir_nb.index.build import build  # noqa: E402
from matir_nb.index.pictures import IndexPictures  # noqa: E402
from matir_nb.index.store import Index  # noqa: E402
from matir_nb.widgets.thumbnails import Thumbnails  # noqa: E402

N_HITS = 48
SIZE = (4000, 3000)
SIDE_PX = 256
BAR = 5.0


def make_pictures(folder: Path) -> None:
    """Save JPEGs whose detail is that of a photograph: about 3 MB each."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize(SIZE)
    grain = rng.integers(-8, 9, (SIZE[1], SIZE[0], 1), np.int16)
    pixels = (np.asarray(coarse, np.int16) + grain).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    for number in range(N_HITS):
        # what stands behind the picture's end makes it another file, and costs no encoding
        content = file.getvalue() + number.to_bytes(4, "big")
        (folder / f"{number:02}.jpg").write_bytes(content)


def paint(path: Path) -> float:
    """Return seconds until a new view has every thumbnail."""
    source, view = IndexPictures(Index.open(path)), Thumbnails()
    start = time.perf_counter()
    for image_id in source.index.image_ids:
        view.get(source, image_id, SIDE_PX)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    target = parser.parse_args().json
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name, "photos"), Path(name, "i.matir")
        folder.mkdir()
        make_pictures(folder)
        build(folder, path, masks=OracleMaskSource([]), encoder=OracleEncoder([]))
        decoded = paint(path)
        kept = min(paint(path) for _ in range(3))
        n_bytes = (path / "cache" / thumbnails.FILE_NAME).stat().st_size
    found = {"decoded_s": decoded, "kept_s": kept, "ratio": decoded / kept, "cache_bytes": n_bytes}
    print(json.dumps(found, indent=1))
    if target is not None:
        target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{decoded / kept:.1f} times faster (bar: {BAR:g})")
    return int(decoded / kept < BAR)


if __name__ == "__main__":
    sys.exit(main())
