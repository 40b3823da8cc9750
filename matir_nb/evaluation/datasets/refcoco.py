"""RefCOCO, RefCOCO+ and RefCOCOg: expressions for one instance (Kazemzadeh et al., EMNLP 2014).

The files are those of lichengunc/refer: a Python-2 pickle of references, and the instances of COCO
train2014. An expression is unique inside its image, not over the images: as a retrieval benchmark
the labels are not exhaustive, and what ranks above the labelled image may be right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matir_nb.errors import AnnotationError, nearest, require_known
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.fields import items, record, whole, words
from matir_nb.evaluation.datasets.files import (
    by_id,
    find_file,
    grouped,
    image_name,
    missing_file,
    read_json,
    readable,
)
from matir_nb.evaluation.datasets.pickles import read_pickle
from matir_nb.evaluation.datasets.referents import BOXES, Referent, expression, read_referent
from matir_nb.types import QueryTruth

REFCOCO = Source(
    "RefCOCO, RefCOCO+ or RefCOCOg (Kazemzadeh et al., EMNLP 2014; Yu et al., ECCV 2016)",
    "https://github.com/lichengunc/refer",
    "annotations not stated (code Apache-2.0), each photograph of COCO its own Flickr licence",
)
PROTOCOLS = {
    "retrieval": "all images of the split; the labels are not exhaustive over them",
    "grounding": "for each sentence its one image; no others are searched",
}
PREFERRED = ("unc", "umd", "google")
_HEADLINES = {
    "retrieval": ("R@1", "R@10", "mAP@50", "mAP@50@50", "mIoU"),
    "grounding": ("BR@1,0.5", "mIoU", "oIoU", "P@0.5", "P@0.7", "P@0.9"),
}


@dataclass(frozen=True, slots=True)
class _Sentence:
    """An expression.

    Attributes:
        number: its id.
        text: cleaned, as the authors do it.
        split: of its reference.
        referent: what it refers to.
    """

    number: int
    text: str
    split: str
    referent: Referent


def read_refcoco(
    folder: Path | str,
    *,
    split_by: str = "any",
    split: str = "val",
    protocol: str = "retrieval",
    boxes: str = "published",
) -> Dataset:
    """Return the referring expressions of a split as queries.

    Args:
        folder: that holds ``refs(<split_by>).p`` and ``instances.json``.
        split_by: whose split: "unc", "umd", "google"; "any" = the first of these that is there,
            else any.
        split: "train", "val", "test", "testA", "testB" or "all", as the file has them.
        protocol: "retrieval": sentences of equal words are one query with all their images;
            "grounding": each sentence is a query, searched in its own image.
        boxes: "published" or "masks".

    Raises:
        ConfigError: an option has another value.
        AnnotationError: a file is missing, is refused or cannot be used, or there is no such split.
    """
    require_known("protocol", [protocol], PROTOCOLS)
    require_known("boxes", [boxes], BOXES)
    refs_file = _refs_file(Path(folder), split_by)
    file = find_file(refs_file.parent, ["instances.json"], REFCOCO, "instances.json")
    with readable(str(refs_file)):
        refs = _of_split([record(ref) for ref in items(read_pickle(refs_file))], split, refs_file)
        wanted = {whole(ref["ann_id"]) for ref in refs}
    document = read_json(file)
    with readable(str(file)):
        images = by_id(file, document["images"])
        annotations = {a["id"]: a for a in document["annotations"] if a["id"] in wanted}
    with readable(str(refs_file)):
        sentences = _sentences(refs, annotations, images, file)
        image_ids = dict.fromkeys(image_name(images[whole(ref["image_id"])]) for ref in refs)
    queries = (_merged if protocol == "retrieval" else _alone)(sentences, boxes)
    queried = {
        "retrieval": "the cleaned sentences; those of equal words are one query",
        "grounding": "every cleaned sentence",
    }
    return Dataset(
        "refcoco",
        REFCOCO,
        tuple(image_ids),
        queries,
        {
            "file": f"{refs_file.parent.name}/{refs_file.name}",
            "split": split,
            "queries": queried[protocol],
            "relevant": "images with an instance that the sentence was written for",
            "searched": f"{protocol}: {PROTOCOLS[protocol]}",
            "targets": "the one instance of each reference, its box " + BOXES[boxes],
        },
        _HEADLINES[protocol],
    )


def _refs_file(folder: Path, split_by: str) -> Path:
    """Return the pickle of references."""
    found = {file.name[5:-3]: file for file in sorted(folder.glob("refs(*).p"))}
    known = [name for name in PREFERRED if name in found] + list(found)
    if split_by == "any" and known:
        return found[known[0]]
    if split_by in found:
        return found[split_by]
    if not found:
        raise missing_file(folder / "refs(unc).p", REFCOCO, "refcoco.zip")
    message = f"there is no refs({split_by}).p in {str(folder)!r}: {nearest(split_by, found)}"
    raise AnnotationError(message)


def _of_split(
    refs: Sequence[dict[Any, Any]], split: str, file: Path
) -> Sequence[Mapping[Any, Any]]:
    splits = dict.fromkeys(words(ref["split"]) for ref in refs)
    if split == "all":
        return refs
    if split not in splits:
        message = f"{str(file)!r} has no split {split!r}: {nearest(split, splits)}"
        raise AnnotationError(message)
    return [ref for ref in refs if words(ref["split"]) == split]


def _sentences(
    refs: Sequence[Mapping[Any, Any]],
    annotations: Mapping[int, Mapping[str, Any]],
    images: Mapping[int, Mapping[str, Any]],
    file: Path,
) -> list[_Sentence]:
    """Return the sentences of the references, without those of no words."""
    found = []
    for ref in refs:
        number, image = whole(ref["ann_id"]), images[whole(ref["image_id"])]
        referent = read_referent(
            annotations[number]["bbox"],
            annotations[number]["segmentation"],
            image_id=image_name(image),
            size_hw=(int(image["height"]), int(image["width"])),
            what=f"annotation {number} in {str(file)!r}",
        )
        for sentence in items(ref["sentences"]):
            text = words(record(sentence)["sent"])
            if text:
                number = whole(sentence["sent_id"])
                found.append(_Sentence(number, text, words(ref["split"]), referent))
    return found


def _merged(sentences: Sequence[_Sentence], boxes: str) -> tuple[QueryTruth, ...]:
    """Return one query for the sentences of equal words, with all that they refer to."""
    by_text = grouped(sentences, lambda sentence: " ".join(sentence.text.lower().split()))
    return tuple(
        expression(
            str(found[0].number),
            found[0].text,
            found[0].split,
            list(dict.fromkeys(sentence.referent for sentence in found)),
            boxes,
        )
        for found in by_text.values()
    )


def _alone(sentences: Sequence[_Sentence], boxes: str) -> tuple[QueryTruth, ...]:
    """Return a query for every sentence, searched in its own image."""
    return tuple(
        replace(
            expression(str(s.number), s.text, s.split, [s.referent], boxes),
            judged=frozenset({s.referent.image_id}),
        )
        for s in sentences
    )
