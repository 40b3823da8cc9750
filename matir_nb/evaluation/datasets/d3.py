"""D3, descriptions of what is in some images and absent from others (Xie et al., NeurIPS 2023).

A sentence is annotated in every image, so what is not marked is wrong. Each image belongs to a
group, each group has its own sentences, usually four. In the ``intra`` setting a sentence is asked
over the images of the groups that it belongs to, in ``inter`` over all. The formats are those of
shikras/d-cube: its code wraps boxes, areas and masks once more than its documentation says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matir_nb.errors import AnnotationError, require_known
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.fields import record, whole, wholes, words
from matir_nb.evaluation.datasets.files import find_file, grouped, read_json, readable
from matir_nb.evaluation.datasets.pickles import read_pickle
from matir_nb.evaluation.datasets.referents import BOXES, Referent, expression, read_referent
from matir_nb.types import QueryTruth

D3 = Source(
    "D3, the Description Detection Dataset (Xie et al., NeurIPS 2023)",
    "https://github.com/shikras/d-cube",
    "CC BY-NC 4.0",
)
LANGUAGES = {"en": "raw_sent", "zh": "raw_sent_zh"}
SETTINGS = {
    "intra": "for each sentence the images of its own groups; no others are searched",
    "inter": "all images",
}
PARTS = {"full": "all sentences", "presence": "of what is there", "absence": "of what is not there"}
LABELS = {
    "pickles": "the images that are annotated with the sentence; all others are wrong",
    "JSON": "the images that are annotated with the sentence; all others count as wrong, but the "
    "JSON files are exported without the labels that an image has for other groups' sentences: "
    "some of those are right, and scores too low",
}
HEADLINE = ("mAP@50", "mAP@50@50", "AP", "mIoU", "false positives")
_JSON_PARTS = {"full": "full", "presence": "pres", "absence": "abs"}


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A description.

    Attributes:
        number: its id.
        text: in the language that is asked.
        kind: "presence" or "absence"; "description" where that is not known.
        referents: all of it.
        judged: image ids of its groups; None = all.
    """

    number: int
    text: str
    kind: str
    referents: Sequence[Referent]
    judged: frozenset[str] | None = None


def read_d3(
    folder: Path | str,
    *,
    language: str = "en",
    setting: str = "intra",
    part: str = "full",
    boxes: str = "published",
) -> Dataset:
    """Return the descriptions of D3 as queries; one with no image is kept, nothing is right there.

    Args:
        folder: that holds the four pickles, or ``d3_pkl`` with them. Where there are none, the
            JSON files (or ``d3_json``) are read, which know English, no groups, and of each image
            the labels of its own group's sentences only.
        language: "en" or "zh".
        setting: "intra" or "inter".
        part: "full", "presence" or "absence".
        boxes: "published" or "masks".

    Raises:
        ConfigError: an option has another value.
        AnnotationError: a file is missing, is refused or cannot be used, or lacks the language.
    """
    require_known("language", [language], LANGUAGES)
    require_known("setting", [setting], SETTINGS)
    require_known("part", [part], PARTS)
    require_known("boxes", [boxes], BOXES)
    root = Path(folder)
    pickled = _folder(root, "d3_pkl", "sentences.pkl")
    plain = _folder(root, "d3_json", f"d3_{_JSON_PARTS[part]}_annotations.json")
    if pickled is None and plain is not None:
        _require_plain(plain, language, setting)
        image_ids, sentences = _read_plain(plain, part)
    else:
        image_ids, sentences = _read_pickles(pickled or root, language, setting)
    chosen = [s for s in sentences if part in ("full", s.kind)]
    asked = [s for s in chosen if s.judged is None or s.judged]
    protocol = {
        "sentences": f"{part}: {PARTS[part]}, {language}",
        "searched": f"{setting}: {SETTINGS[setting]}",
        "relevant": LABELS["pickles" if pickled is not None else "JSON"],
        "targets": "every annotated instance, its box " + BOXES[boxes],
        "files": "pickles" if pickled is not None else "JSON",
    }
    if len(asked) < len(chosen):
        protocol["left out"] = f"{len(chosen) - len(asked)} sentences that no group of images has"
    return Dataset(
        "d3",
        D3,
        image_ids,
        tuple(_query(sentence, boxes) for sentence in asked),
        protocol,
        HEADLINE,
        depth=None if setting == "intra" else 1000,
    )


def _folder(root: Path, subfolder: str, name: str) -> Path | None:
    """Return the folder that holds the file: `root`, or its subfolder."""
    return next((f for f in (root, root / subfolder) if (f / name).is_file()), None)


def _query(sentence: _Sentence, boxes: str) -> QueryTruth:
    """Return the query; referents outside the searched images do not count."""
    inside = sentence.judged
    referents = [r for r in sentence.referents if inside is None or r.image_id in inside]
    query = expression(f"sent-{sentence.number}", sentence.text, sentence.kind, referents, boxes)
    return replace(query, judged=inside)


def _read_pickles(
    folder: Path, language: str, setting: str
) -> tuple[tuple[str, ...], list[_Sentence]]:
    """Return images and sentences of the four pickles."""
    files = [
        find_file(folder, [f"{name}.pkl"], D3, "d3_pkl.zip")
        for name in ("sentences", "annotations", "images", "groups")
    ]
    table, annotations, entries, groups = (_table(file) for file in files)
    with readable(str(files[2])):
        images = {number: words(entry["file_name"]) for number, entry in entries.items()}
        sizes = {n: (whole(e["height"]), whole(e["width"])) for n, e in entries.items()}
        members = grouped(list(entries), lambda number: whole(entries[number]["group_id"]))
    with readable(str(files[3])):
        asked: dict[int, set[str]] = {}
        for group, entry in groups.items():
            for sentence in wholes(entry["inner_sent_id"]):
                asked.setdefault(sentence, set()).update(images[n] for n in members.get(group, []))
    with readable(str(files[1])):
        pairs = list(_referents(annotations, images, sizes, files[1]))
        referents = grouped(pairs, lambda pair: pair[0])
    with readable(str(files[0])):
        sentences = [
            _Sentence(
                number,
                _text(entry, language, number, files[0]),
                "absence" if whole(entry["is_negative"]) else "presence",
                [referent for _, referent in referents.get(number, [])],
                frozenset(asked.get(number, ())) if setting == "intra" else None,
            )
            for number, entry in sorted(table.items())
        ]
    return tuple(images.values()), sentences


def _table(file: Path) -> dict[int, dict[Any, Any]]:
    with readable(str(file)):
        return {whole(number): record(entry) for number, entry in record(read_pickle(file)).items()}


def _referents(
    annotations: Mapping[int, Mapping[Any, Any]],
    images: Mapping[int, str],
    sizes: Mapping[int, tuple[int, int]],
    file: Path,
) -> Iterator[tuple[int, Referent]]:
    """Yield each annotation once for every sentence that it answers."""
    for number, entry in annotations.items():
        image = whole(entry["image_id"])
        segmentation = entry["segmentation"]
        if isinstance(segmentation, list) and len(segmentation) == 1:
            (segmentation,) = segmentation
        referent = read_referent(
            entry["bbox"],
            {"size": wholes(segmentation["size"]), "counts": segmentation["counts"]},
            image_id=images[image],
            size_hw=sizes[image],
            what=f"annotation {number} in {str(file)!r}",
        )
        for sentence in wholes(entry["sent_id"]):
            yield sentence, referent


def _text(entry: Mapping[Any, Any], language: str, number: int, file: Path) -> str:
    found = words(entry.get(LANGUAGES[language], ""))
    if not found:
        message = (
            f"sentence {number} in {str(file)!r} has no {LANGUAGES[language]!r}: "
            f"ask in another language than {language!r}"
        )
        raise AnnotationError(message)
    return found


def _require_plain(folder: Path, language: str, setting: str) -> None:
    """Raise where the JSON files do not say what is asked for."""
    wanted = {"language=zh": language == "zh", "setting=intra": setting == "intra"}
    for option, is_wanted in wanted.items():
        if is_wanted:
            message = (
                f"{str(folder)!r} has only JSON files, which cannot answer {option}: download "
                f"d3_pkl.zip from {D3.url}, or give language=en and setting=inter"
            )
            raise AnnotationError(message)


def _read_plain(folder: Path, part: str) -> tuple[tuple[str, ...], list[_Sentence]]:
    """Return images and sentences of a JSON file, where a category is a sentence."""
    file = folder / f"d3_{_JSON_PARTS[part]}_annotations.json"
    document = read_json(file)
    with readable(str(file)):
        images = {image["id"]: image for image in document["images"]}
        kinds = _plain_kinds(folder) if part == "full" else {}
        by_sentence = grouped(document["annotations"], lambda a: a["category_id"])
        sentences = [
            _Sentence(
                int(category["id"]),
                str(category["name"]).strip(),
                kinds.get(category["id"], "description" if part == "full" else part),
                [
                    _plain_referent(annotation, images, file)
                    for annotation in by_sentence.get(category["id"], [])
                ],
            )
            for category in document["categories"]
        ]
        return tuple(str(image["file_name"]) for image in images.values()), sentences


def _plain_kinds(folder: Path) -> dict[Any, str]:
    """Return sentence -> kind, of the files beside the full one."""
    files = {
        kind: folder / f"d3_{_JSON_PARTS[kind]}_annotations.json"
        for kind in ("presence", "absence")
    }
    return {
        category["id"]: kind
        for kind, file in files.items()
        if file.is_file()
        for category in read_json(file)["categories"]
    }


def _plain_referent(
    annotation: Mapping[str, Any], images: Mapping[Any, Mapping[str, Any]], file: Path
) -> Referent:
    image = images[annotation["image_id"]]
    return read_referent(
        annotation["bbox"],
        annotation["segmentation"],
        image_id=str(image["file_name"]),
        size_hw=(int(image["height"]), int(image["width"])),
        what=f"annotation {annotation['id']} in {str(file)!r}",
    )
