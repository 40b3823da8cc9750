"""Revisited Oxford and Paris, with the masks of PROxford and PRParis where they are there.

Radenović et al., "Revisiting Oxford and Paris" (CVPR 2018); An et al., "Towards Content-based
Pixel Retrieval" (ICCV 2023). Both ask with pictures. Here the landmark's name is asked, so numbers
are not comparable with published ones: several queries have one text, each with its own truth.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matir_nb.errors import AnnotationError, require_known
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.fields import items, record, wholes, words
from matir_nb.evaluation.datasets.files import find_file, read_json, readable
from matir_nb.evaluation.datasets.masks import Targets, targets_of
from matir_nb.evaluation.datasets.pickles import read_pickle, read_pickled_npy
from matir_nb.geometry.masks import from_polygons
from matir_nb.types import MaskRLE, QueryTruth

REVISITED = Source(
    "revisited Oxford and Paris (Radenović et al., CVPR 2018)",
    "https://github.com/filipradenovic/revisitop",
    "labels not stated (code MIT), each photograph its own Flickr licence",
)
PIXELS = "https://github.com/anguoyuan/Pixel_retrieval-Segmented_instance_retrieval"
CITIES = {"oxford": "roxford5k", "paris": "rparis6k"}
PROTOCOLS = {
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
    "easy": (("easy",), ("junk", "hard")),
}
LANDMARKS = {
    "defense": "La Défense",
    "eiffel": "Eiffel Tower",
    "invalides": "Les Invalides",
    "louvre": "Louvre",
    "moulinrouge": "Moulin Rouge",
    "museedorsay": "Musée d'Orsay",
    "notredame": "Notre-Dame",
    "pantheon": "Panthéon",
    "pompidou": "Centre Pompidou",
    "sacrecoeur": "Sacré-Cœur",
    "triomphe": "Arc de Triomphe",
}
"""Landmarks that the files of Paris write in one word."""
_NAMELESS = ("", "general", "oxford", "paris")


@dataclass(frozen=True, slots=True)
class _Query:
    """A query of the file.

    Attributes:
        place: in the file's list.
        name: of its picture.
        truth: "easy", "hard" and "junk" -> places in the list of images.
    """

    place: int
    name: str
    truth: Mapping[str, Sequence[int]]


def read_oxford(folder: Path | str, *, city: str = "oxford", protocol: str = "medium") -> Dataset:
    """Return the landmarks of a city's queries, each with the truth of its query picture.

    Args:
        folder: that holds ``gnd_roxford5k.pkl`` (``gnd_rparis6k.pkl``), as published or in its
            subfolders; for masks the folder ``pixel_retrieval_benchmarks``.
        city: "oxford" or "paris".
        protocol: "medium": easy and hard images are relevant, junk is not searched; "hard": hard
            ones are, junk and easy ones are not searched; "easy": the other way round.

    Raises:
        ConfigError: an option has another value.
        AnnotationError: a file is missing, is refused or cannot be used.
    """
    require_known("city", [city], CITIES)
    require_known("protocol", [protocol], PROTOCOLS)
    file = _truth_file(Path(folder), CITIES[city])
    with readable(str(file)):
        document = record(read_pickle(file))
        image_ids = tuple(f"{words(name)}.jpg" for name in items(document["imlist"]))
        queries = _queries(document)
        named = [query for query in queries if landmark(query.name) is not None]
        labels = _labels(Path(folder) if Path(folder).is_dir() else file.parent, city)
        truths = [_truth(query, city, protocol, image_ids, labels) for query in named]
    said = {
        "queries": "the landmark in the name of the query picture, as text: the benchmark asks "
        f"with the picture. {len(queries) - len(named)} of {len(queries)} have none and are left "
        "out",
        "relevant": f"{protocol}: {' and '.join(PROTOCOLS[protocol][0])} images",
        "searched": f"all images but {' and '.join(PROTOCOLS[protocol][1])} ones",
        "AP": "the mean of the precisions at the relevant images; the released code averages each "
        "with the precision before it",
        "targets": "one mask for each image, of all its polygons" if labels else "none",
    }
    pixels = ("pixel mAP", "mIoU", "mAP@50@50") if labels else ()
    headline = ("mAP@50", "mAP@50/relevant", "P@10", "R@10", *pixels)
    name = f"r{city}"
    return Dataset(name, REVISITED, image_ids, tuple(truths), said, headline, depth=None)


def landmark(query: str) -> str | None:
    """Return the landmark in the name of a query's picture; None where it has none.

    >>> landmark("all_souls_000013"), landmark("paris_moulinrouge_000001")
    ('all souls', 'Moulin Rouge')
    >>> landmark("oxford_000317")
    """
    bare = re.sub(r"_?\d+$", "", query)
    word = re.sub(r"^(paris|oxford)_", "", bare)
    return None if word in _NAMELESS else LANDMARKS.get(word, word.replace("_", " "))


def _truth_file(folder: Path, name: str) -> Path:
    file = f"gnd_{name}.pkl"
    places = [f"{sub}{file}" for sub in ("", f"{name}/", f"data/{name}/")]
    return find_file(folder, [*places, f"revisitop/data/{name}/{file}"], REVISITED, file)


def _queries(document: Mapping[Any, Any]) -> list[_Query]:
    names, truths = items(document["qimlist"]), items(document["gnd"])
    return [
        _Query(place, words(name), {part: wholes(truth[part]) for part in ("easy", "hard", "junk")})
        for place, (name, truth) in enumerate(zip(names, map(record, truths), strict=True))
    ]


def _truth(
    query: _Query, city: str, protocol: str, image_ids: Sequence[str], labels: Mapping[str, Path]
) -> QueryTruth:
    """Return a query's truth; what the protocol calls junk is not searched."""
    right, unknown = PROTOCOLS[protocol]
    places = {place for part in right for place in query.truth[part]}
    left_out = {place for part in unknown for place in query.truth[part]} - places
    if not places | left_out <= set(range(len(image_ids))):
        message = f"query {query.name!r} is about image {max(places | left_out)}"
        raise IndexError(message)
    targets = _targets(query, places, image_ids, labels)
    name = landmark(query.name)
    return replace(
        QueryTruth(query.name, f"{name}, {city.title()}", str(name), frozenset()),
        relevant=frozenset(image_ids[place] for place in places),
        masks=targets.masks,
        boxes_xyxy=targets.boxes_xyxy,
        judged=frozenset(image_ids) - {image_ids[place] for place in left_out},
    )


def _targets(
    query: _Query, places: set[int], image_ids: Sequence[str], labels: Mapping[str, Path]
) -> Targets:
    masks = {}
    for place in sorted(places):
        label = labels.get(f"{query.place}_{place}")
        if label is not None:
            masks[image_ids[place]] = [_mask(label)]
    return targets_of(masks)


def _labels(folder: Path, city: str) -> dict[str, Path]:
    """Return "<query>_<image>" -> file of its polygons; nothing where there are no such files."""
    names = (f"{city}_pair2labelpath.npy", f"r{city}_pair2labelpath.npy")
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    if file is None:
        return {}
    root = folder.resolve()
    found = {}
    for pair, name in record(read_pickled_npy(file)).items():
        path = (root / words(name)).resolve()
        if not path.is_relative_to(root):
            message = f"{str(file)!r} names {words(name)!r}, which is not under {str(folder)!r}"
            raise AnnotationError(message)
        found[words(pair)] = path
    return found


def _mask(label: Path) -> MaskRLE:
    """Return the union of a labelme file's polygons."""
    document = read_json(label)
    with readable(str(label)):
        height, width = int(document["imageHeight"]), int(document["imageWidth"])
        polygons = [[v for point in s["points"] for v in point] for s in document["shapes"]]
        return from_polygons(polygons, height, width)
