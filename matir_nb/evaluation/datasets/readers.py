"""The datasets that can be read, by name. Knows no file format: the readers do.

from matir_nb.evaluation.datasets.readers import read_dataset
dataset = read_dataset("coco", Path("annotations"), split="val2017")
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matir_nb.errors import ConfigError, nearest, require_known
from matir_nb.evaluation.datasets.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Reader:
    """How one kind of dataset is read.

    Attributes:
        name: as the command line says it.
        read: path of the annotations, and the options as text -> the dataset.
        about: one line for people: what is asked, and which files are wanted.
        options: option -> its values, the default first; a single one is an example of many.
        needs_annotations: False where the path is a folder that the reader fills itself.
    """

    name: str
    read: Callable[..., Dataset]
    about: str
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs_annotations: bool = True


def read_dataset(name: str, annotations: Path | str | None, **options: str | int) -> Dataset:
    """Return a dataset, read from files that are on this machine; nothing is downloaded.

    Args:
        name: one of `READERS`.
        annotations: the dataset's annotation file or folder, as its reader says; for "scenes" the
            folder that gets the pictures.
        **options: of the reader, such as ``split="val2017"``.

    Raises:
        ConfigError: the name, an option or its value is unknown, or no path is given.
        AnnotationError: a file is missing or cannot be used.
    """
    require_known("dataset", [name], READERS)
    reader = READERS[name]
    require_known(f"option of the dataset {name}", options, reader.options)
    for option, value in options.items():
        _require_value(name, option, str(value), reader.options[option])
    if annotations is None:
        wanted = "its annotations" if reader.needs_annotations else "a folder for its pictures"
        message = f"the dataset {name} needs the path of {wanted}: {reader.about}"
        raise ConfigError(message)
    defaults = {option: values[0] for option, values in reader.options.items()}
    return reader.read(Path(annotations), **(defaults | options))


def _require_value(name: str, option: str, value: str, known: tuple[str, ...]) -> None:
    if len(known) > 1 and value not in known:
        message = (
            f"{option} = {value!r} is not known to the dataset {name}: {nearest(value, known)}"
        )
        raise ConfigError(message)


def _coco(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.coco import read_coco

    return read_coco(path, **options)


def _coco_captions(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.coco import read_coco_captions

    return read_coco_captions(path, **options)


def _coco_panoptic(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.coco import read_coco_panoptic

    return read_coco_panoptic(path, **options)


def _lvis(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.lvis import read_lvis

    return read_lvis(path, **options)


def _table(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.table import read_table

    return read_table(path, **options)


def _scenes(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.scenes import scenes_dataset

    split = options.pop("split")
    numbers = {name: _whole(name, value) for name, value in options.items()}
    return scenes_dataset(path, split=split, **numbers)


def _d3(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.d3 import read_d3

    return read_d3(path, **options)


def _refcoco(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.refcoco import read_refcoco

    return read_refcoco(path, **options)


def _reircoco(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.reircoco import read_reircoco

    return read_reircoco(path, **options)


def _inquire(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.inquire import read_inquire

    return read_inquire(path, **options)


def _roxford(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.oxford import read_oxford

    return read_oxford(path, city="oxford", **options)


def _rparis(path: Path, **options: Any) -> Dataset:
    from matir_nb.evaluation.datasets.oxford import read_oxford

    return read_oxford(path, city="paris", **options)


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        message = f"{name} = {value!r} is not allowed: give a whole number"
        raise ConfigError(message) from error


BOXES = ("published", "masks")
_REVISITED = {"protocol": ("medium", "hard", "easy")}
_READERS = (
    Reader(
        "coco",
        _coco,
        "the categories of COCO instances: instances_val2017.json, or its folder",
        {"split": ("val2017",)},
    ),
    Reader(
        "coco-captions",
        _coco_captions,
        "every caption of COCO and its one image: captions_val2017.json, or its folder; split "
        "karpathy: dataset_coco.json or dataset_flickr30k.json",
        {"split": ("val2017",)},
    ),
    Reader(
        "coco-panoptic",
        _coco_panoptic,
        "things and stuff of COCO: panoptic_val2017.json with its folder of PNGs beside it",
        {"split": ("val2017",)},
    ),
    Reader(
        "lvis",
        _lvis,
        "the categories of LVIS, judged where LVIS says so: lvis_v1_val.json or lvis_v0.5_val.json",
    ),
    Reader(
        "d3",
        _d3,
        "the descriptions of D3 (d-cube): its folder d3_pkl",
        {
            "language": ("en", "zh"),
            "setting": ("intra", "inter"),
            "part": ("full", "presence", "absence"),
            "boxes": BOXES,
        },
    ),
    Reader(
        "refcoco",
        _refcoco,
        "referring expressions of RefCOCO, RefCOCO+ or RefCOCOg: a folder with refs(unc).p and "
        "instances.json",
        {
            "split_by": ("any",),
            "split": ("val",),
            "protocol": ("retrieval", "grounding"),
            "boxes": BOXES,
        },
    ),
    Reader(
        "reircoco",
        _reircoco,
        "the expressions of REIRCOCO: reir_coco_test.json",
        {"split": ("test", "train"), "boxes": BOXES},
    ),
    Reader(
        "inquire",
        _inquire,
        "the queries of INQUIRE: its folder with inquire_queries_val.csv and "
        "inquire_annotations.csv",
        {"split": ("val", "test"), "protocol": ("full", "rerank"), "gallery": ("",)},
    ),
    Reader("roxford", _roxford, "landmarks of revisited Oxford: gnd_roxford5k.pkl", _REVISITED),
    Reader("rparis", _rparis, "landmarks of revisited Paris: gnd_rparis6k.pkl", _REVISITED),
    Reader(
        "table",
        _table,
        "your own: a CSV, TSV or Parquet file with the columns query and image (and box, mask)",
        {"images": ("",)},
    ),
    Reader(
        "scenes",
        _scenes,
        "generated scenes with exact truth: needs no files, the pictures are drawn",
        {
            "split": ("test", "validation", "train"),
            "n_images": ("1000",),
            "n_queries": ("500",),
            "seed": ("0",),
        },
        needs_annotations=False,
    ),
)
READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
"""Name on the command line -> reader."""
