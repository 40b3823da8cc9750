"""The whole method on generated scenes: draw, index, three searches, three pictures.

Whatever is there already from an earlier run is used again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matir_nb.evaluation.gallery import index_gallery, write_gallery
from matir_nb.exports.contact_sheet import contact_sheet
from matir_nb.exports.text import to_table
from matir_nb.opening import open_engine
from matir_nb.results import SearchResult

N_SCENES = 120
K = 8
QUERIES = {
    "attribute": "a small striped ring",
    "relation": "a red shape to the left of a blue shape",
    "absence": "a cross without dots",
}


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo made.

    Attributes:
        results: kind of query -> result.
        pictures: kind of query -> contact sheet.
    """

    results: dict[str, SearchResult]
    pictures: dict[str, Path]


def run_demo(
    out: Path, *, say: Callable[[str], None], n_scenes: int = N_SCENES, device: str = "auto"
) -> DemoReport:
    """Draw scenes, index them with the embedded models, search, and say what was found.

    Args:
        out: gets ``images/``, ``scenes.matir/`` and a PNG per search.
        say: takes one piece of text at a time.
        n_scenes: scenes of the test split.
        device: "auto", "cpu", "cuda" or "mps".
    """
    write_gallery(out / "images", n_scenes, split="test")
    report = index_gallery(out / "images", out / "scenes.matir", device=device)
    say(f"{report.n_images} generated scenes, {report.n_regions} regions: {report.path}")
    engine = open_engine(report.path, device=device)
    results = {kind: engine.search(text, k=K) for kind, text in QUERIES.items()}
    pictures = {kind: out / f"{kind}.png" for kind in QUERIES}
    for kind, result in results.items():
        sheet = contact_sheet(result, lambda hit: engine.index.load_image(hit.image_id))
        sheet.save(pictures[kind])
        say(f"\n{kind}: {result.query!r}\n{to_table(result)}\npicture: {pictures[kind].resolve()}")
    for notice in next(iter(results.values())).provenance.notices:
        say(f"\nnote: {notice}")
    return DemoReport(results, pictures)
