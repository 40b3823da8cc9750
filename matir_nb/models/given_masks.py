"""Masks that the user already has, instead of a segmenter's.

Read are COCO instances JSON (polygons, both kinds of RLE, crowd), COCO panoptic JSON with its
folder of PNGs beside it, and records of SAM 2's or SAM's own generator: one JSON that maps file
names to lists of records, or a folder with one JSON per image, named like it (SA-1B's layout
included). Boxes and areas are measured on the masks; those in the file are not trusted.
This module knows no picture's pixels.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

import numpy as np

from matir_nb.errors import AnnotationError
from matir_nb.geometry.masks import area, regions_from_masks
from matir_nb.geometry.segmentations import mask_of_segmentation, masks_of_panoptic, require_size
from matir_nb.types import MaskRLE, Regions

Kind: TypeAlias = Literal["coco-instances", "coco-panoptic", "sam-records"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the file says of one image, undecoded.

    Attributes:
        size_hw: the image's (height, width) according to the file; None = not said.
        records: annotations with "segmentation", or panoptic segments with "id".
        png: the panoptic picture; None for other kinds.
    """

    size_hw: tuple[int, int] | None
    records: Sequence[Mapping[str, Any]]
    png: Path | None = None


class GivenMasks:
    """The masks of an annotation file, by image.

    Attributes:
        kind: what sort of file it is.
        model_id: kind and content hash: decides the masks as a segmenter's revision does.
    """

    def __init__(self, entries: Mapping[str, _Entry], *, kind: Kind, digest: str) -> None:
        self.kind: Kind = kind
        self.model_id = f"given-masks:{kind}:{digest}"
        self._entries = dict(entries)
        self._by_basename: dict[str, list[str]] = {}
        for name in self._entries:
            self._by_basename.setdefault(PurePosixPath(name).name, []).append(name)

    @classmethod
    def from_file(cls, path: Path | str) -> "GivenMasks":
        """Read a JSON file, or a folder of JSON files named like the images.

        Raises:
            AnnotationError: it is absent, no JSON, or in none of the known layouts.
        """
        source = Path(path)
        files = sorted(source.rglob("*.json")) if source.is_dir() else [source]
        if not files:
            message = f"no JSON file in {str(source)!r}: give one per image, named like it"
            raise AnnotationError(message)
        digest = hashlib.sha256()
        entries: dict[str, _Entry] = {}
        kind: Kind = "sam-records"
        for file in files:
            content, document = _read_json(file)
            digest.update(content)
            name = (
                file.relative_to(source).with_suffix("").as_posix() if file != source else file.stem
            )
            kind, found = _entries_of(document, file=file, name=name)
            entries |= found
        return cls(entries, kind=kind, digest=digest.hexdigest())

    def __len__(self) -> int:
        """Return the number of images that the file describes."""
        return len(self._entries)

    def regions_for(self, image_id: str, height: int, width: int) -> Regions:
        """Return the masks of one image, in the file's order; empty when the file has none.

        The image is looked up by its whole path, then by its file name. Masks without a pixel
        are left out.

        Raises:
            AnnotationError: a mask is broken or of another size than the image, or several
                images of the file have this file name.
        """
        name = self._name_of(image_id)
        if name is None:
            return regions_from_masks([])
        entry = self._entries[name]
        if entry.size_hw not in (None, (height, width)):
            message = _size_message(image_id, entry.size_hw, (height, width))
            raise AnnotationError(message)
        try:
            masks = _masks_of(entry, height, width)
        except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            message = f"masks of {image_id!r} cannot be used: {type(error).__name__}: {error}"
            raise AnnotationError(message) from error
        rows = [row for row, mask in enumerate(masks) if area(mask)]
        return regions_from_masks(
            [masks[row] for row in rows],
            predicted_ious=_scores(entry, rows, "predicted_iou"),
            stability_scores=_scores(entry, rows, "stability_score"),
        )

    def _name_of(self, image_id: str) -> str | None:
        """Return the file's name for an image; a record file may lack the picture's suffix."""
        path = PurePosixPath(image_id)
        for whole in (image_id, path.with_suffix("").as_posix()):
            if whole in self._entries:
                return whole
        for basename in (path.name, path.stem):
            names = self._by_basename.get(basename, [])
            if len(names) > 1:
                message = (
                    f"{image_id!r} fits {len(names)} images of the annotation file, "
                    f"{names[0]!r} and {names[1]!r} among them: use whole paths as file names"
                )
                raise AnnotationError(message)
            if names:
                return names[0]
        return None


def _read_json(file: Path) -> tuple[bytes, Any]:
    try:
        content = file.read_bytes()
        return content, json.loads(content)
    except OSError as error:
        message = f"cannot read {str(file)!r}: {error.strerror or error}"
        raise AnnotationError(message) from error
    except (ValueError, RecursionError) as error:
        message = f"{str(file)!r} is no JSON: {error}"
        raise AnnotationError(message) from error


def _entries_of(document: object, *, file: Path, name: str) -> tuple[Kind, dict[str, _Entry]]:
    """Return the layout of a parsed file, and its images by name."""
    try:
        match document:
            case {"images": list(images), "annotations": list(annotations)}:
                is_panoptic = any("segments_info" in a for a in annotations)
                if is_panoptic:
                    return "coco-panoptic", _panoptic_entries(images, annotations, file)
                return "coco-instances", _instance_entries(images, annotations)
            case {"image": dict(image), "annotations": list(records)}:
                return "sam-records", {_file_name(image): _Entry(_size_hw(image), records)}
            case list(records) if all("segmentation" in r for r in records):
                return "sam-records", {name: _Entry(None, records)}
            case dict(by_name) if by_name and all(isinstance(v, list) for v in by_name.values()):
                return "sam-records", {
                    _posix(key): _Entry(None, records) for key, records in by_name.items()
                }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{str(file)!r} lacks a field or has a wrong one: {type(error).__name__}: {error}"
        raise AnnotationError(message) from error
    message = (
        f"{str(file)!r} has an unknown layout: give COCO instances or panoptic JSON, "
        "or records of SAM 2's generator by file name"
    )
    raise AnnotationError(message)


def _instance_entries(images: list[Any], annotations: list[Any]) -> dict[str, _Entry]:
    by_image: dict[Any, list[Any]] = {image["id"]: [] for image in images}
    for annotation in annotations:
        by_image[annotation["image_id"]].append(annotation)
    return {_file_name(i): _Entry(_size_hw(i), by_image[i["id"]]) for i in images}


def _panoptic_entries(images: list[Any], annotations: list[Any], file: Path) -> dict[str, _Entry]:
    image_by_id = {image["id"]: image for image in images}
    folder = file.with_suffix("")
    entries = {}
    for annotation in annotations:
        image = image_by_id[annotation["image_id"]]
        png = folder / annotation["file_name"]
        entries[_file_name(image)] = _Entry(_size_hw(image), annotation["segments_info"], png)
    return entries


def _file_name(image: Mapping[str, Any]) -> str:
    """Return an image's name; LVIS gives only its address."""
    if "file_name" in image:
        return _posix(image["file_name"])
    return PurePosixPath(image["coco_url"]).name


def _posix(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _size_hw(image: Mapping[str, Any]) -> tuple[int, int]:
    return int(image["height"]), int(image["width"])


def _size_message(image_id: str, told: tuple[int, int] | None, actual: tuple[int, int]) -> str:
    return (
        f"masks of {image_id!r} are for (height, width) {told}, but the image has {actual}: "
        "give masks made for this very image"
    )


def _masks_of(entry: _Entry, height: int, width: int) -> list[MaskRLE]:
    if entry.png is not None:
        return _panoptic_masks(entry.png, [int(r["id"]) for r in entry.records], (height, width))
    return [mask_of_segmentation(r["segmentation"], height, width) for r in entry.records]


def _panoptic_masks(png: Path, ids: list[int], expected_hw: tuple[int, int]) -> list[MaskRLE]:
    from PIL import Image

    with Image.open(png) as image:
        rgb = np.asarray(image.convert("RGB"))
    require_size(png.name, rgb.shape[:2], expected_hw)
    return list(masks_of_panoptic(rgb, ids))


def _scores(entry: _Entry, rows: list[int], name: str) -> list[float]:
    return [float(entry.records[row].get(name, 1.0)) for row in rows]
