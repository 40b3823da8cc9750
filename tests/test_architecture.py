"""Who may import whom, checked from the syntax tree.

A module imports only modules of lower rank, or of its own rank and folder that stand above it
in the table. Packages from outside appear only where they are named.
"""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import matir_nb
from matir_nb.models.registry import ADAPTERS

PACKAGE = Path(matir_nb.__file__).parent

TABLE = """
0 printing
0 errors
0 extras
0 doors
0 version
0 offline
0 usage
0 types                     numpy
0 config
1 photo_facts               PIL
0 catalogue
0 presets
1 home.folder
1 home.settings
1 home.registered
1 notebook.line
0 progress                  tqdm IPython
1 image_worker              numpy PIL
1 image_process             numpy
1 geometry.boxes            numpy
1 geometry.crops            numpy
1 geometry.runs             numpy
1 geometry.masks            numpy pycocotools
1 geometry.segmentations    numpy
1 geometry.boundary         numpy
1 geometry.components       numpy
1 geometry.relations        numpy
2 images                    numpy PIL
1 sealed                    polars
2 hit_table                 polars
2 results                   numpy polars
2 terms
2 models.base               numpy
2 models.answers
2 models.spaces
2 models.prompts
2 models.marks              numpy PIL
2 models.clauses
2 models.identity
2 models.calibration        numpy
2 models.runtime            torch
2 models.batches            torch
2 models.clip_text          numpy torch
2 models.tensor_files       safetensors torch
2 models.views              numpy PIL
2 models.folder_options
2 models.alpha_clip_options
2 models.cutouts            numpy PIL
2 models.patches            numpy PIL
2 models.int8               torch
2 models.pooling            torch
2 models.siglip_text        numpy tokenizers torch
2 models.sam2_decoder       torch transformers
2 models.sam2_files         safetensors torch transformers
2 models.sam2_masks         numpy torch
2 models.sam2_select        numpy torch
1 index.disk
1 index.owner
1 index.lock
1 index.open_files
1 index.arrays              numpy
1 index.arrow_map           numpy polars
2 index.changes
2 index.where               numpy polars
2 index.manifest
2 index.calibrations
2 index.approximate.plan
2 index.approximate.about
2 index.approximate.library numpy faiss
2 index.cache               numpy
2 index.vectors             numpy
2 index.adjust              numpy
2 index.kept                numpy
2 index.codes               numpy
2 index.tables              numpy polars
2 index.columns             polars
2 index.segments            numpy polars
2 index.migrate             numpy polars
2 index.joining
2 index.places
2 index.writer
2 scenes.vocabulary
2 scenes.draw               numpy PIL
2 scenes.meaning            numpy
2 scenes.phrases            numpy
2 scenes.queries            numpy
2 evaluation.bootstrap      numpy
2 evaluation.significance   numpy
2 evaluation.metrics.ranking numpy
2 evaluation.metrics.chance numpy
2 evaluation.metrics.pairs  numpy polars
2 evaluation.metrics.relevance numpy polars
2 evaluation.rank_similarity
2 evaluation.metrics.grounding numpy
2 evaluation.metrics.box_recall numpy
2 evaluation.metrics.pixel  numpy
2 evaluation.metrics.calibration numpy polars
2 evaluation.metrics.abstention numpy polars
2 evaluation.metrics.hubness numpy
2 evaluation.metrics.sizes  numpy polars
2 evaluation.metrics.coco_boxes numpy pycocotools
2 evaluation.datasets.dataset
2 evaluation.datasets.files polars
2 evaluation.datasets.masks numpy PIL
2 evaluation.datasets.karpathy
2 evaluation.datasets.coco
2 evaluation.datasets.lvis
2 evaluation.datasets.pickle_arrays numpy
2 evaluation.datasets.pickle_machine
2 evaluation.datasets.pickles
2 evaluation.datasets.fields numpy
2 evaluation.datasets.referents numpy
2 evaluation.datasets.d3
2 evaluation.datasets.refcoco
2 evaluation.datasets.reircoco
2 evaluation.datasets.oxford
2 evaluation.runs.observed  polars
2 evaluation.runs.blocks
2 evaluation.runs.inks
2 evaluation.explain_text
3 evaluation.runs.arrays    numpy polars
3 evaluation.runs.verdicts  numpy
3 evaluation.runs.measures  numpy polars
3 evaluation.runs.scored    polars
3 evaluation.runs.observe   numpy
3 models.alpha_clip_checkpoint safetensors torch transformers
3 models.alpha_clip         numpy PIL torch transformers
3 models.dense_towers       numpy torch transformers
3 models.dense_pool         numpy PIL torch transformers
3 models.sam2               numpy PIL torch transformers
3 models.qwen_inputs        numpy PIL torch
3 models.qwen_model         torch transformers
3 models.qwen_askers        numpy PIL
3 models.qwen_vl
3 models.florence           numpy torch transformers
3 models.qwen_reranker
3 models.given_masks        numpy PIL
3 models.record_masks       numpy
3 models.structured         numpy
3 models.hub_files
3 models.hub_download       huggingface_hub
3 models.hub_advice         huggingface_hub
3 models.hub_checkpoint
3 models.hub_repo           huggingface_hub tqdm
3 models.hub                huggingface_hub
3 models.hub_table          polars
3 models.registry           transformers
3 models.hardware           torch
3 models.judges
3 models.texts              numpy
3 index.approximate.rows    numpy
3 index.approximate.opened  numpy
3 index.approximate.recall  numpy
3 index.approximate.build   numpy
3 index.store               numpy polars
3 index.certified           numpy torch
3 index.extra               numpy
3 index.folder
3 index.compact
2 index.thumbnails
3 index.pictures
3 evaluation.datasets.table numpy
3 evaluation.datasets.inquire
3 evaluation.metrics.detection numpy polars
4 index.verify
4 index.rows                numpy PIL
4 index.update
4 index.build
4 index.mend                polars
4 index.repair
4 stages.seen               numpy
4 evaluation.runs.curves    numpy polars
4 evaluation.runs.whole_arm numpy polars
4 evaluation.runs.summary   numpy polars
4 evaluation.runs.glossary
4 evaluation.runs.gains     polars
4 evaluation.runs.paired    numpy polars
4 evaluation.runs.report_text polars
4 evaluation.runs.folder    polars
4 evaluation.runs.tables    polars
4 evaluation.runs.canvas    matplotlib
4 evaluation.runs.plots     numpy matplotlib
4 evaluation.runs.plotted   polars
4 evaluation.runs.markdown
4 stages.retrieve           numpy
4 stages.judge              numpy
4 stages.align              numpy
4 evaluation.oracle         numpy
4 explain.entries
4 explain.ledger            polars
4 explain.ledger_text
4 explain.standing          numpy
4 explain.traced            polars
4 explain.neutral           numpy
4 explain.null_band         numpy
4 explain.cut               numpy
4 explain.adjusting
4 explain.yardstick         numpy
5 evaluation.gallery        PIL tqdm
5 making                    numpy
5 engine                    numpy
5 opening
5 engines
4 explain.phrases
4 explain.words             numpy polars
5 explain.without_region    numpy
5 explain.occlusion         numpy polars
5 explain.comparison_table  polars
5 explain.compare           polars
6 explain.trace             numpy
6 explain.sensitivity       numpy polars
5 review.estimate           numpy
5 review.marked
5 review.saved             polars
5 review.tables            polars
5 review.gaps
5 review.progress          numpy polars
5 review.ledger             polars
6 review.templates          polars
6 review.calibrate          numpy polars
5 exports.drawing           numpy PIL
5 exports.contact_sheet     PIL
5 exports.jpeg              PIL
5 exports.preview
5 exports.still             numpy PIL
5 doctor
4 exports.atomic            polars
4 exports.frames            polars
5 widgets.built             anywidget
4 exports.marks             polars
5 exports.text              polars
5 exports.explain           numpy
4 widgets.table
5 widgets.thumbnails        PIL
5 widgets.accounts
5 widgets.payload
6 exports.coco
6 exports.page
6 exports.others            numpy fiftyone supervision
6 exports.trec              numpy polars
6 exports.files             polars PIL
6 widgets.fallback
6 widgets.explained
6 widgets.jobs
6 widgets.requests
6 widgets.values            traitlets
6 widgets.together
6 widgets.traits            anywidget traitlets
6 widgets.base              traitlets polars
6 widgets.stills            PIL
6 widgets.grid              traitlets
6 widgets.inspector         traitlets PIL
6 widgets.flow              traitlets PIL
6 widgets.compare           traitlets polars
6 widgets.search_box        traitlets
6 widgets.display
6 evaluation.datasets.scenes
6 evaluation.datasets.readers
6 evaluation.scene_gallery
6 evaluation.runs.arms
6 evaluation.runs.asking    numpy polars
6 evaluation.runs.sheets    numpy PIL
6 evaluation.runs.worst     polars
6 evaluation.runs.origins   polars
6 evaluation.runs.chapters  polars
6 evaluation.runs.page
6 evaluation.runs.parts     polars
6 evaluation.runs.provenance
6 evaluation.runs.opened
6 evaluation.runs.report_json polars
6 evaluation.runs.evaluate  polars
6 evaluation.runs.comparable polars
6 evaluation.runs.compare   polars
6 evaluation.runs.compare_sheets polars PIL
6 evaluation.runs.page_files polars
6 evaluation.runs.compare_page polars
6 evaluation.runs.grid
6 evaluation.runs.shared_texts numpy
6 evaluation.runs.ablate    numpy polars
6 evaluation.runs.ablate_page
6 evaluation.absence        numpy
6 evaluation.faithfulness   numpy
6 evaluation.explain_curves numpy
6 evaluation.explain_rounds numpy polars tqdm
6 evaluation.explain_summary polars
6 evaluation.explain_report
6 demo
7 commands.session
7 commands.given
7 commands.on_upkeep
7 commands.on_acceleration
7 commands.on_columns       polars
7 commands.on_evaluation
7 commands.on_indexes       polars
7 commands.on_models        polars
7 commands.on_results
7 commands.on_explanations  numpy
7 commands.on_comparisons
7 commands.on_reviews       polars
7 commands.on_calibration
7 commands.arguments
7 commands.evaluation_arguments
7 commands.tree
8 cli
8 notebook.completion       IPython
8 notebook.face             IPython
8 notebook.magics           IPython traitlets
9 __init__                  IPython
"""


@dataclass(frozen=True)
class Row:
    position: int
    rank: int
    packages: frozenset[str]


def read_table():
    rows = {}
    for position, line in enumerate(TABLE.split("\n")[1:-1]):
        rank, module, *packages = line.split()
        rows[module] = Row(position, int(rank), frozenset(packages))
    return rows


ROWS = read_table()


def module_name(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def has_code(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Expr) for node in body)


SOURCES = {module_name(p): p for p in sorted(PACKAGE.rglob("*.py")) if has_code(p)}


def imported_names(source):
    """Yield every dotted name that a file imports, wherever it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_modules(source):
    """Return the modules of this package that a file imports."""
    found = set()
    for name in imported_names(source):
        parts = name.split(".")
        if parts[0] == "matir_nb":
            inside = (".".join(parts[1:end]) for end in (len(parts), len(parts) - 1))
            found.add(next((m for m in inside if m in SOURCES), "__init__"))
    return found


def outside_packages(source):
    roots = {name.split(".")[0] for name in imported_names(source)}
    return roots - sys.stdlib_module_names - {"matir_nb"}


def violations(module, source):
    """Return what `module` imports and must not."""
    row = ROWS[module]
    wrong = [
        f"imports {p}, which the table does not allow it"
        for p in sorted(outside_packages(source) - row.packages)
    ]
    for other in sorted(own_modules(source) & ROWS.keys()):
        target = ROWS[other]
        same_folder = module.rpartition(".")[0] == other.rpartition(".")[0]
        beside = target.rank == row.rank and same_folder and target.position < row.position
        if target.rank >= row.rank and not beside:
            wrong.append(f"(rank {row.rank}) imports {other} (rank {target.rank})")
    return wrong


def test_every_module_has_a_rank():
    missing = sorted(SOURCES.keys() - ROWS.keys())
    assert not missing, f"add {missing} to the table in {Path(__file__).name}, with a rank"
    gone = sorted(ROWS.keys() - SOURCES.keys())
    assert not gone, f"take {gone} out of the table in {Path(__file__).name}: no such module"


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_down(module):
    if module in ROWS:
        wrong = violations(module, SOURCES[module].read_text(encoding="utf-8"))
        assert not wrong, "\n".join(f"{module} {w}" for w in wrong)


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("types", "import torch", "imports torch"),
        ("types", "def f():\n    from PIL import Image", "imports PIL"),
        ("geometry.masks", "from matir_nb.images import load_image", "imports images"),
        ("stages.align", "from matir_nb.engine import Engine", "imports engine"),
        ("stages.align", "from matir_nb.index import build", "imports index.build"),
        ("geometry.boxes", "import matir_nb.geometry.masks", "imports geometry.masks"),
        ("engine", "from matir_nb import open", "imports __init__"),
    ],
)
def test_a_wrong_import_is_found(module, source, message):
    assert [w for w in violations(module, source) if message in w]


def test_right_imports_pass():
    source = "import json\nimport numpy.typing\nfrom matir_nb.types import MaskRLE\n"
    assert violations("geometry.masks", source) == []


def doors():
    """Yield the modules that `results` opens by name, for what is made of a result."""
    for module in ("results", "engine"):
        for node in ast.walk(ast.parse(SOURCES[module].read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "above":
                yield module, node.args[0].value


def test_doors_lead_up_to_explanations_views_reviews_and_files_only():
    opened = set(doors())
    folders = {name.partition(".")[0] for _, name in opened}
    assert folders == {"explain", "exports", "review", "widgets"}
    assert all(ROWS[name].rank > ROWS[module].rank for module, name in opened)


def test_nothing_else_imports_by_name():
    by_name = {m for m, path in SOURCES.items() if "import_module(" in path.read_text()}
    assert by_name == {"doors", "models.registry"}


def test_every_adapter_is_there_and_below_the_registry():
    rank = ROWS["models.registry"].rank
    assert all(ROWS[f"models.{name}"].rank <= rank for name in ADAPTERS)
