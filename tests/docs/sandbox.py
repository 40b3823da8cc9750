"""The folder in which the examples of the pages run: scenes, their index, and what people keep.

| file | what it is |
|---|---|
| `photos/` | 24 scenes, `test-0-000000.png` ... `test-0-000023.png` |
| `photos.matir` | their index by the embedded models; it is the current one, and knows LAST |
| `instances.json` | the scenes' exact masks as COCO instances; a category is a colour and a shape |
| `catalogue.csv` | `image,place,year`: a row per picture |
| `queries.csv` | `query,image`: a table of truth for `matir eval table` |
| `hits.parquet`, `monday.parquet`, `tuesday.parquet` | saved results; hits is monday's query |
| `oaks.parquet` | a saved review: three queries, at least 20 marks of both kinds |
| `run/`, `other-run/` | runs of `matir eval`: 8 queries, other-run with another weight of regions |
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

import matir_nb
from matir_nb.commands.session import LAST_FILE
from matir_nb.evaluation.gallery import file_name, write_gallery
from matir_nb.evaluation.runs.arms import Arm
from matir_nb.geometry.masks import area, encode, tight_box_xyxy
from matir_nb.home import registered, settings
from matir_nb.scenes.draw import Scene

N_SCENES = 24
N_QUERIES = 8
MONDAY, TUESDAY = "a red shape", "a blue shape"
REVIEWED = (MONDAY, TUESDAY, "a ring")
PLACES = ("beach", "forest", "town")


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Stand in `folder`, as a user with nothing but its index does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MATIR_HOME", str(folder.parent / f"home of {folder.name}"))
        patch.setenv("IPYTHONDIR", str(folder.parent / f"ipython of {folder.name}"))
        patch.setenv("MATIR_OFFLINE", "1")
        for key in settings.KEYS:
            patch.delenv(settings.variable_of(key), raising=False)
        index = folder / "photos.matir"
        if index.is_dir():
            registered.add(index)
        yield


def make_sandbox(folder: Path) -> None:
    """Write everything into an empty folder."""
    with at_home(folder):
        scenes = write_gallery(Path("photos"), N_SCENES, split="test")
        matir_nb.build("photos", "photos.matir")
        engine = matir_nb.open("photos.matir")
        _write_json(Path("instances.json"), coco(scenes))
        names = [file_name(scene) for scene in scenes]
        rows = [(name, PLACES[i % 3], 2020 + i % 5) for i, name in enumerate(names)]
        frame = pl.DataFrame(rows, schema=["image", "place", "year"], orient="row")
        frame.write_csv("catalogue.csv")
        truth = [(q, file_name(s)) for q in REVIEWED for s in scenes if is_shown(q, s)]
        pl.DataFrame(truth, schema=["query", "image"], orient="row").write_csv("queries.csv")
        _write_results(engine, scenes)
        _write_runs(engine)


def coco(scenes: list[Scene]) -> dict:
    """Return the exact masks as COCO instances."""
    names = sorted({f"{item.colour} {item.shape}" for s in scenes for item in s.objects})
    images, annotations = [], []
    for number, scene in enumerate(scenes, 1):
        height, width = scene.labels.shape
        image = {"id": number, "file_name": file_name(scene), "width": width, "height": height}
        images.append(image)
        for row, item in enumerate(scene.objects):
            mask = encode(scene.visible_mask(row))
            x0, y0, x1, y1 = (float(edge) for edge in tight_box_xyxy(mask))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": names.index(f"{item.colour} {item.shape}") + 1,
                    "segmentation": {"size": [height, width], "counts": mask.counts.decode()},
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": int(area(mask)),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": place, "name": name} for place, name in enumerate(names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def is_shown(query: str, scene: Scene) -> bool:
    """Return whether a scene shows what one of `REVIEWED` asks for."""
    word = query.split()[1]
    return any(word in (item.colour, item.shape) for item in scene.objects)


def _write_results(engine: matir_nb.Engine, scenes: list[Scene]) -> None:
    by_name = {file_name(scene): scene for scene in scenes}
    review = matir_nb.Review("Ada")
    for query in REVIEWED:
        result = engine.search(query, k=12)
        review.see(result, range(len(result.hits)))
        words = {True: "relevant", False: "not relevant"}
        ids = [hit.image_id for hit in result.hits]
        review.mark(result, {i: words[is_shown(query, by_name[i])] for i in ids})
        if query == MONDAY:
            result.save("hits.parquet")
            result.save("monday.parquet")
        if query == TUESDAY:
            result.save("tuesday.parquet")
    review.save("oaks.parquet")
    last = Path("photos.matir") / LAST_FILE
    last.parent.mkdir(exist_ok=True)
    shutil.copy("hits.parquet", last)


def _write_runs(engine: matir_nb.Engine) -> None:
    dataset = matir_nb.read_dataset(
        "scenes", "photos", n_images=str(N_SCENES), n_queries=str(N_QUERIES)
    )
    for out, options in (("run", {}), ("other-run", {"retrieve.region_weight": 0.5})):
        arms = [Arm("stage1", judge=False, options=options), Arm("structured", options=options)]
        matir_nb.evaluate(engine, dataset, out=out, arms=arms, k=8)


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
